//! Compares the index with the terms that it should have.

use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{Document, SearchIndex, SearchIndexError};
use crate::domain::ids::MessageId;

#[derive(QueryableByName)]
struct Occurrence {
    #[diesel(sql_type = Text)]
    term: String,
    #[diesel(sql_type = BigInt)]
    doc: MessageId,
}

impl SearchIndex {
    /// Returns how the index differs from these documents: all that it should have.
    pub fn differences(&mut self, expected: Vec<Document>) -> Result<Vec<String>, SearchIndexError> {
        self.db.batch_execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.occurrences USING fts5vocab(main, documents, instance)",
        )?;
        let rows: Vec<Occurrence> =
            diesel::sql_query("SELECT term, doc FROM temp.occurrences").load(&mut self.db)?;
        let mut indexed: BTreeMap<MessageId, BTreeSet<String>> = BTreeMap::new();
        for Occurrence { term, doc } in rows {
            indexed.entry(doc).or_default().insert(term);
        }
        let count = usize::try_from(self.count()?).unwrap_or_default();
        let mut found = Vec::new();
        if count != indexed.len() {
            found.push(format!("{count} documents, of which {} have terms", indexed.len()));
        }
        for Document { id, terms } in expected {
            match indexed.remove(&id) {
                None => found.push(format!("message {id} is missing")),
                Some(has) if !has.iter().eq(&terms) => found.push(format!("message {id} has other terms")),
                Some(_) => {}
            }
        }
        found.extend(indexed.into_keys().map(|id| format!("message {id} should not be there")));
        Ok(found)
    }
}
