//! Finds the messages that meet the conditions of a query.

use std::collections::HashSet;
use std::time::Instant;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{SearchIndex, SearchIndexError};
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::search::{Candidates, Condition, chat_term};

/// Rows that are read between two checks of the time.
const ROWS_PER_CHECK: usize = 256;

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
    pub end: FindEnd,
}

/// Why a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindEnd {
    /// No other message meets the conditions.
    Complete,
    /// `limit` was reached: more may follow below the last id.
    Limit,
    /// The rows or the time ended at this id. Messages below it were not compared.
    Budget(MessageId),
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: MessageId,
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
}

impl SearchIndex {
    /// Returns the messages that meet the conditions.
    pub fn find(&mut self, query: &IndexQuery<'_>) -> Result<FoundIds, SearchIndexError> {
        let mut ids = Vec::new();
        let statement = diesel::sql_query(
            "SELECT rowid AS id, chat_id FROM documents
             WHERE documents MATCH ? AND rowid > ? AND rowid < ? ORDER BY rowid DESC",
        )
        .bind::<Text, _>(expression(query.candidates))
        .bind::<BigInt, _>(query.above)
        .bind::<BigInt, _>(query.below);
        // Reads as many rows as are needed.
        let rows = statement.load_iter::<Row, DefaultLoadingMode>(&mut self.db)?;
        for (count, row) in (1..).zip(rows) {
            let Row { id, chat_id } = row?;
            if query.among.is_none_or(|among| among.contains(&chat_id)) {
                ids.push(id);
                if ids.len() >= query.limit {
                    return Ok(FoundIds { ids, end: FindEnd::Limit });
                }
            }
            let is_late = count % ROWS_PER_CHECK == 0 && Instant::now() >= query.until;
            if count >= query.rows_max || is_late {
                return Ok(FoundIds { ids, end: FindEnd::Budget(id) });
            }
        }
        Ok(FoundIds { ids, end: FindEnd::Complete })
    }

    /// Returns the first messages of a chat in the index above an id.
    pub fn ids_of_chat(
        &mut self,
        chat: ChatId,
        after: MessageId,
        limit: i64,
    ) -> Result<Vec<MessageId>, SearchIndexError> {
        let rows: Vec<Row> = diesel::sql_query(
            "SELECT rowid AS id, chat_id FROM documents
             WHERE documents MATCH ? AND rowid > ? ORDER BY rowid LIMIT ?",
        )
        .bind::<Text, _>(quoted(&chat_term(chat)))
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit)
        .load(&mut self.db)?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}

/// Returns the conditions in the syntax of FTS5. Each term is a string, in which no character has a
/// meaning.
pub(super) fn expression(candidates: &Candidates) -> String {
    let any = |terms: &[String]| {
        let terms: Vec<_> = terms.iter().map(|term| quoted(term)).collect();
        // A message never has the empty term.
        if terms.is_empty() { quoted("=none") } else { format!("({})", terms.join(" OR ")) }
    };
    let condition = |condition: &Condition| match condition {
        Condition::Term(term) => quoted(term),
        Condition::Prefix(prefix) => format!("{} *", quoted(prefix)),
        Condition::AnyOf(terms) => any(terms),
    };
    let all = candidates.all.iter().map(condition).collect::<Vec<_>>().join(" AND ");
    if candidates.none.is_empty() { all } else { format!("({all}) NOT {}", any(&candidates.none)) }
}

fn quoted(term: &str) -> String {
    format!("\"{}\"", term.replace('"', "\"\""))
}
