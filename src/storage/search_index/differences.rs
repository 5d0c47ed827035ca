//! Compares the index with the terms that it should have.

use std::collections::{BTreeMap, BTreeSet};

use super::{Document, SearchIndex, SearchIndexError};
use crate::domain::ids::MessageId;

impl SearchIndex {
    /// Returns how the index differs from these documents: all that it should have.
    pub fn differences(&self, expected: Vec<Document>) -> Result<Vec<String>, SearchIndexError> {
        self.db.execute_batch(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.occurrences USING fts5vocab(main, documents, instance)",
        )?;
        let mut indexed: BTreeMap<MessageId, BTreeSet<String>> = BTreeMap::new();
        let mut statement = self.db.prepare("SELECT term, doc FROM temp.occurrences")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            indexed.entry(MessageId(row.get(1)?)).or_default().insert(row.get(0)?);
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
