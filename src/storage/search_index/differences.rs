//! Compares the index with the terms that it should have.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Document, IndexedFile, SearchIndex, SearchIndexError};
use crate::domain::ids::{MessageId, RepositoryId};
use crate::domain::search::CodeTerms;

/// The terms of more files are not compared.
const FILES_WITH_TERMS_MAX: usize = 50;
/// Terms of one query of a comparison.
const TERMS_PER_MATCH: usize = 100;

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

    /// Returns how the files and commits of a repository differ from these: all that the index
    /// should have. The terms of a few files are compared, too.
    pub fn repository_differences(
        &self,
        repository: RepositoryId,
        mut files: BTreeMap<Vec<u8>, IndexedFile>,
        commits: &HashSet<String>,
    ) -> Result<Vec<String>, SearchIndexError> {
        let mut found = Vec::new();
        let with_terms = files.len() <= FILES_WITH_TERMS_MAX;
        let mut statement =
            self.db.prepare("SELECT id, path, oid, is_text FROM files WHERE repository_id = ?")?;
        let mut rows = statement.query([repository.0])?;
        while let Some(row) = rows.next()? {
            let (id, path): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let name = String::from_utf8_lossy(&path).into_owned();
            let Some(expected) = files.remove(&path) else {
                found.push(format!("file {name} should not be there"));
                continue;
            };
            let is_dense = expected.terms.as_ref().is_some_and(|found| found.is_dense);
            if expected.oid != row.get::<_, String>(2)?
                || expected.terms.is_some() != row.get::<_, bool>(3)?
                || is_dense != (id < 0)
            {
                found.push(format!("file {name} is another"));
            } else if let Some(CodeTerms { terms, .. }) = expected.terms.filter(|_| with_terms)
                && !self.has_exactly("code", id, &terms)?
            {
                found.push(format!("file {name} has other terms"));
            }
        }
        found.extend(
            files.into_keys().map(|path| format!("file {} is missing", String::from_utf8_lossy(&path))),
        );
        let indexed = self.commits_of(repository)?;
        found.extend(indexed.difference(commits).map(|oid| format!("commit {oid} should not be there")));
        found.extend(commits.difference(&indexed).map(|oid| format!("commit {oid} is missing")));
        Ok(found)
    }

    /// Returns whether a row has these terms, and as many as these.
    fn has_exactly(&self, table: &str, id: i64, terms: &[String]) -> Result<bool, SearchIndexError> {
        let quoted: Vec<_> = terms.iter().map(|term| format!("\"{term}\"")).collect();
        for some in quoted.chunks(TERMS_PER_MATCH) {
            let select = format!("SELECT 1 FROM {table} WHERE {table} MATCH ? AND rowid = ?");
            if !self.db.prepare(&select)?.exists(rusqlite::params![some.join(" AND "), id])? {
                return Ok(false);
            }
        }
        // The size of the only column: the number of its terms, as a varint.
        let size: Vec<u8> =
            self.db
                .query_row(&format!("SELECT sz FROM {table}_docsize WHERE id = ?"), [id], |row| row.get(0))?;
        let count = size.iter().fold(0_usize, |count, byte| (count << 7) | usize::from(byte & 0x7f));
        Ok(count == terms.len())
    }
}
