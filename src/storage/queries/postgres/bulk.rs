//! Statements with SQL of PostgreSQL only.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};

use super::{Backend, Db};
use crate::domain::ids::MessageId;
use crate::storage::rows::chat::ChatHead;
use crate::storage::rows::message::NewMessageRow;

/// Inserts messages whose client ids are known to be new, and moves the heads of chats: with one
/// statement that is prepared once for any number of rows. The chats must differ.
pub fn insert_new(db: &mut Db, rows: &[NewMessageRow<'_>], heads: &[ChatHead]) -> QueryResult<()> {
    if rows.is_empty() && heads.is_empty() {
        return Ok(());
    }
    let numbers = |column: fn(&NewMessageRow<'_>) -> i64| rows.iter().map(column).collect();
    let optional = |column: fn(&NewMessageRow<'_>) -> Option<MessageId>| {
        rows.iter().map(|row| column(row).map(|id| id.0)).collect()
    };
    let columns = InsertRows {
        ids: numbers(|row| row.id.0),
        chats: numbers(|row| row.chat_id.0),
        seqs: numbers(|row| row.seq),
        ordinals: numbers(|row| row.ordinal),
        senders: numbers(|row| row.sender_id.0),
        client_ids: rows.iter().map(|row| row.client_id).collect(),
        hashes: rows.iter().map(|row| row.request_hash).collect(),
        contents: rows.iter().map(|row| row.content).collect(),
        replies: optional(|row| row.reply_to),
        metadata: rows.iter().map(|row| row.metadata).collect(),
        times: numbers(|row| row.created_at),
        updated: numbers(|row| row.updated_seq),
        threads: optional(|row| row.thread_id),
        files: rows.iter().map(|row| row.files).collect(),
        heads: heads.iter().map(|head| head.id.0).collect(),
        last_seqs: heads.iter().map(|head| head.last_seq).collect(),
        last_ordinals: heads.iter().map(|head| head.last_ordinal).collect(),
        last_messages: heads.iter().map(|head| head.last_message_id.0).collect(),
    };
    columns.execute(db).map(drop)
}

/// The columns of the rows.
struct InsertRows<'a> {
    ids: Vec<i64>,
    chats: Vec<i64>,
    seqs: Vec<i64>,
    ordinals: Vec<i64>,
    senders: Vec<i64>,
    client_ids: Vec<&'a [u8]>,
    hashes: Vec<&'a [u8]>,
    contents: Vec<&'a str>,
    replies: Vec<Option<i64>>,
    metadata: Vec<Option<&'a str>>,
    times: Vec<i64>,
    updated: Vec<i64>,
    threads: Vec<Option<i64>>,
    files: Vec<Option<&'a str>>,
    /// The chats whose heads move.
    heads: Vec<i64>,
    last_seqs: Vec<i64>,
    last_ordinals: Vec<i64>,
    last_messages: Vec<i64>,
}

impl QueryId for InsertRows<'_> {
    type QueryId = InsertRows<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Backend> for InsertRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("WITH moved AS (UPDATE chats SET last_seq = h.seq, last_ordinal = h.ordinal, last_message_id = h.message FROM unnest(");
        for (n, numbers) in
            [&self.heads, &self.last_seqs, &self.last_ordinals, &self.last_messages].into_iter().enumerate()
        {
            out.push_sql(if n == 0 { "" } else { ", " });
            out.push_bind_param::<Array<BigInt>, _>(numbers)?;
        }
        out.push_sql(") AS h (id, seq, ordinal, message) WHERE chats.id = h.id) ");
        out.push_sql(
            "INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, reply_to, \
             metadata, created_at, updated_seq, thread_id, files) SELECT * FROM unnest(",
        );
        for numbers in [&self.ids, &self.chats, &self.seqs, &self.ordinals, &self.senders] {
            out.push_bind_param::<Array<BigInt>, _>(numbers)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<Array<Binary>, _>(&self.client_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.hashes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.contents)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<BigInt>>, _>(&self.replies)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.metadata)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.times)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.updated)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<BigInt>>, _>(&self.threads)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.files)?;
        out.push_sql(")");
        Ok(())
    }
}

impl RunQueryDsl<Db> for InsertRows<'_> {}
