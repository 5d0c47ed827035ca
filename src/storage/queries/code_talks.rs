//! Queries of messages about lines of a file.
//!
//! A row goes with its message: by foreign key when the message is removed, and by the writer when
//! it is edited or deleted.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Db;
use crate::domain::code_talk::{CodeLines, CodeTalk};
use crate::domain::ids::{ChatId, MessageId, RepositoryId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::storage::schema::code_talks;

/// Maximum number of replies of one message that are counted.
const REPLIES_COUNTED_MAX: i64 = 100;
/// Maximum number of index entries of replies of one message that are read. Deleted replies have
/// entries too.
const ENTRIES_READ_MAX: i64 = 1_000;

pub fn insert(
    db: &mut Db,
    message: MessageId,
    repository: RepositoryId,
    lines: &CodeLines,
) -> QueryResult<()> {
    diesel::insert_into(code_talks::table)
        .values((
            code_talks::message_id.eq(message),
            code_talks::repository_id.eq(repository),
            code_talks::path.eq(&lines.path),
            code_talks::oid.eq(&lines.oid),
            code_talks::from_line.eq(lines.from),
            code_talks::to_line.eq(lines.to),
        ))
        .execute(db)
        .map(drop)
}

pub fn remove(db: &mut Db, message: MessageId) -> QueryResult<()> {
    diesel::delete(code_talks::table.find(message)).execute(db).map(drop)
}

/// Removes at most `limit` rows of a repository. Returns how many.
pub fn remove_some(db: &mut Db, repository: RepositoryId, limit: i64) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM code_talks WHERE message_id IN (SELECT message_id FROM code_talks WHERE repository_id = $1 LIMIT $2)",
    )
    .bind::<BigInt, _>(repository)
    .bind::<BigInt, _>(limit)
    .execute(db)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: MessageId,
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = BigInt)]
    sender_id: UserId,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = Text)]
    oid: String,
    #[diesel(sql_type = BigInt)]
    from_line: i64,
    #[diesel(sql_type = BigInt)]
    to_line: i64,
    #[diesel(sql_type = BigInt)]
    replies: i64,
}

/// Returns the messages about a file with ids below `before`, newest first.
pub fn of_path(
    db: &mut Db,
    repository: RepositoryId,
    path: &str,
    before: MessageId,
    limit: i64,
) -> QueryResult<Vec<CodeTalk>> {
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT m.id, m.chat_id, m.seq, m.sender_id, m.created_at, t.oid, t.from_line, t.to_line,
             (SELECT count(*) FROM (
                  SELECT 1 FROM (SELECT deleted_at FROM messages r WHERE r.thread_id = m.id LIMIT $1) AS entries
                  WHERE deleted_at IS NULL LIMIT $2) AS counted) AS replies
         FROM code_talks t JOIN messages m ON m.id = t.message_id
         WHERE t.repository_id = $3 AND t.path = $4 AND t.message_id < $5 ORDER BY t.message_id DESC LIMIT $6",
    )
    .bind::<BigInt, _>(ENTRIES_READ_MAX)
    .bind::<BigInt, _>(REPLIES_COUNTED_MAX)
    .bind::<BigInt, _>(repository)
    .bind::<Text, _>(path)
    .bind::<BigInt, _>(before)
    .bind::<BigInt, _>(limit)
    .load(db)?;
    Ok(rows.into_iter().map(CodeTalk::from).collect())
}

impl From<Row> for CodeTalk {
    fn from(row: Row) -> Self {
        Self {
            message_id: row.id,
            chat_id: row.chat_id,
            seq: row.seq,
            sender_id: row.sender_id,
            created_at: Timestamp(row.created_at),
            oid: row.oid,
            from: row.from_line,
            to: row.to_line,
            replies: row.replies,
        }
    }
}
