//! Finds the messages that meet the conditions of a query.

use std::collections::HashSet;
use std::ffi::c_int;
use std::time::Instant;

use rusqlite::{ErrorCode, params};

use super::{SearchIndex, SearchIndexError};
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::search::{Candidates, Condition, chat_term};

/// Instructions of SQLite between two checks of the time. FTS5 reads each page of its lists by a
/// statement of a few instructions, so the check also runs while it intersects or merges lists
/// without a result.
pub(super) const INSTRUCTIONS_PER_CHECK: c_int = 8;

/// A query of the index: the newest messages first.
#[derive(Debug)]
pub struct IndexQuery<'a> {
    pub candidates: &'a Candidates,
    /// Other messages are skipped; `None`: the conditions choose the chats.
    pub among: Option<&'a HashSet<ChatId>>,
    /// Only messages above and below these ids.
    pub above: MessageId,
    pub below: MessageId,
    pub limit: usize,
    pub rows_max: usize,
    pub until: Instant,
}

/// The messages found, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundIds {
    pub ids: Vec<MessageId>,
    /// Rows that were walked.
    pub rows: usize,
    pub end: FindEnd,
}

/// Why a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindEnd {
    /// No other message meets the conditions.
    Complete,
    /// `limit` was reached: more may follow below the last id.
    Limit,
    /// The rows or the time ended at this id, which is that of `below` if no row was found.
    /// Messages below it were not compared. The message may be in any chat.
    Budget(MessageId),
}

impl SearchIndex {
    /// Returns the messages that meet the conditions. Ends soon after `until`, whatever the
    /// conditions are.
    pub fn find(&self, query: &IndexQuery<'_>) -> Result<FoundIds, SearchIndexError> {
        let until = query.until;
        self.db.progress_handler(INSTRUCTIONS_PER_CHECK, Some(move || Instant::now() >= until))?;
        let found = self.walk(query);
        self.db.progress_handler(0, None::<fn() -> bool>)?;
        found
    }

    fn walk(&self, query: &IndexQuery<'_>) -> Result<FoundIds, SearchIndexError> {
        let mut found = FoundIds { ids: Vec::new(), rows: 0, end: FindEnd::Budget(query.below) };
        match self.walk_rows(query, &mut found) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(found),
            Err(error) => Err(error.into()),
            Ok(end) => Ok(FoundIds { end, ..found }),
        }
    }

    /// Adds rows to `found`, whose end is the place that was reached.
    fn walk_rows(&self, query: &IndexQuery<'_>, found: &mut FoundIds) -> rusqlite::Result<FindEnd> {
        let (above, below) = (query.above.0, query.below.0);
        let expression = expression(query.candidates);
        let mut statement = self.db.prepare(match &expression {
            Some(_) => {
                "SELECT rowid, chat_id FROM documents
                 WHERE documents MATCH ?3 AND rowid > ?1 AND rowid < ?2 ORDER BY rowid DESC"
            }
            None => {
                "SELECT rowid, chat_id FROM documents WHERE rowid > ?1 AND rowid < ?2 ORDER BY rowid DESC"
            }
        })?;
        let mut rows = match &expression {
            Some(expression) => statement.query(params![above, below, expression])?,
            None => statement.query([above, below])?,
        };
        // Reads as many rows as are needed.
        while let Some(row) = rows.next()? {
            let (id, chat) = (MessageId(row.get(0)?), ChatId(row.get(1)?));
            found.rows += 1;
            found.end = FindEnd::Budget(id);
            if query.among.is_none_or(|among| among.contains(&chat)) {
                found.ids.push(id);
                if found.ids.len() >= query.limit {
                    return Ok(FindEnd::Limit);
                }
            }
            if found.rows >= query.rows_max || Instant::now() >= query.until {
                return Ok(found.end);
            }
        }
        Ok(FindEnd::Complete)
    }

    /// Returns the first messages of a chat in the index above an id.
    pub fn ids_of_chat(
        &self,
        chat: ChatId,
        after: MessageId,
        limit: i64,
    ) -> Result<Vec<MessageId>, SearchIndexError> {
        let mut statement = self.db.prepare(
            "SELECT rowid FROM documents WHERE documents MATCH ? AND rowid > ? ORDER BY rowid LIMIT ?",
        )?;
        let term = quoted(&chat_term(chat));
        let rows = statement.query_map(params![term, after.0, limit], |row| row.get(0).map(MessageId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Returns the conditions in the syntax of FTS5, or `None` if any message meets them. Each term is
/// a string, in which no character has a meaning. FTS5 cannot exclude terms from all messages: then
/// only the content is compared with them.
pub(super) fn expression(candidates: &Candidates) -> Option<String> {
    if candidates.all.is_empty() {
        return None;
    }
    let any = |terms: &[String]| {
        let terms: Vec<_> = terms.iter().map(|term| quoted(term)).collect();
        // Messages do not have this term.
        if terms.is_empty() { quoted("=none") } else { format!("({})", terms.join(" OR ")) }
    };
    let condition = |condition: &Condition| match condition {
        Condition::Term(term) => quoted(term),
        Condition::Prefix(prefix) => format!("{} *", quoted(prefix)),
        Condition::AnyOf(terms) => any(terms),
    };
    let all = candidates.all.iter().map(condition).collect::<Vec<_>>().join(" AND ");
    let is_open = candidates.none.is_empty();
    Some(if is_open { all } else { format!("({all}) NOT {}", any(&candidates.none)) })
}

pub(super) fn quoted(term: &str) -> String {
    format!("\"{}\"", term.replace('"', "\"\""))
}
