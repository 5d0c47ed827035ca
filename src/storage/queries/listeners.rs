//! Participants of a chat, with the fields that decide whether a message notifies them.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::{Backend, Db};
use crate::core::saturate;
use crate::domain::ids::{MessageId, Seq, UserId};
use crate::storage::rows::chat::notify_level;
use crate::storage::rows::listener::{Followers, Listener, SentMessage};

/// A user, and the columns of the participant if the user is in the chat.
#[derive(Queryable)]
struct Row {
    user_id: UserId,
    username: String,
    active: bool,
    blocks_sender: bool,
    notify: Option<String>,
    read_seq: Option<Seq>,
}

type Columns = (BigInt, Text, Bool, Bool, Nullable<Text>, Nullable<BigInt>);

fn push_columns<'b>(out: &mut AstPass<'_, 'b, Backend>, sent: &'b SentMessage) -> QueryResult<()> {
    out.push_sql(
        "SELECT u.id, u.username, u.deactivated_at IS NULL,
         EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = u.id AND b.blocked_id = ",
    );
    out.push_bind_param::<BigInt, _>(&sent.sender)?;
    out.push_sql("), p.notify, p.read_seq");
    Ok(())
}

/// Returns the users who are in the chat.
fn listeners(rows: Vec<Row>) -> QueryResult<Vec<Listener>> {
    let listener = |row: Row| {
        let (notify, read_seq) = row.notify.zip(row.read_seq)?;
        Some(notify_level(&notify).map(|level| Listener {
            user_id: row.user_id,
            username: row.username,
            level,
            active: row.active,
            read_seq,
            blocks_sender: row.blocks_sender,
        }))
    };
    rows.into_iter().filter_map(listener).collect()
}

/// Returns the next participants of the chat, by ascending id.
pub fn all_members(db: &mut Db, sent: SentMessage, after: UserId, limit: i64) -> QueryResult<Vec<Listener>> {
    listeners(NextMembers { sent, after, limit }.load(db)?)
}

#[derive(QueryId)]
struct NextMembers {
    sent: SentMessage,
    after: UserId,
    limit: i64,
}

impl Query for NextMembers {
    type SqlType = Columns;
}

impl QueryFragment<Backend> for NextMembers {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        push_columns(&mut out, &self.sent)?;
        out.push_sql(" FROM chat_participants p JOIN users u ON u.id = p.user_id WHERE p.chat_id = ");
        out.push_bind_param::<BigInt, _>(&self.sent.chat)?;
        out.push_sql(" AND p.user_id > ");
        out.push_bind_param::<BigInt, _>(&self.after)?;
        out.push_sql(" ORDER BY p.user_id LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)
    }
}

impl RunQueryDsl<Db> for NextMembers {}

/// Returns the participants of the chat with these user names, in any order.
pub fn named(db: &mut Db, sent: SentMessage, names: &[&str]) -> QueryResult<Vec<Listener>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    listeners(NamedMembers { sent, names }.load(db)?)
}

struct NamedMembers<'a> {
    sent: SentMessage,
    names: &'a [&'a str],
}

impl QueryId for NamedMembers<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for NamedMembers<'_> {
    type SqlType = Columns;
}

impl QueryFragment<Backend> for NamedMembers<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        push_columns(&mut out, &self.sent)?;
        // CROSS JOIN: SQLite then reads the named users, instead of all members of the chat.
        out.push_sql(" FROM users u CROSS JOIN chat_participants p WHERE u.username IN (");
        for (n, name) in self.names.iter().enumerate() {
            out.push_sql(if n == 0 { "" } else { ", " });
            out.push_bind_param::<Text, _>(*name)?;
        }
        out.push_sql(") AND p.user_id = u.id AND p.chat_id = ");
        out.push_bind_param::<BigInt, _>(&self.sent.chat)
    }
}

impl RunQueryDsl<Db> for NamedMembers<'_> {}

/// Returns the next `limit` followers of the thread who did not mute it, by ascending id.
pub fn followers(
    db: &mut Db,
    sent: SentMessage,
    thread: MessageId,
    after: UserId,
    limit: i64,
) -> QueryResult<Followers> {
    let rows: Vec<Row> = NextFollowers { sent, thread, after, limit }.load(db)?;
    let scanned = saturate::to_i64(rows.len());
    let scanned_to = rows.last().map(|row| row.user_id).filter(|_| scanned >= limit);
    Ok(Followers { listeners: listeners(rows)?, scanned, scanned_to })
}

#[derive(QueryId)]
struct NextFollowers {
    sent: SentMessage,
    thread: MessageId,
    after: UserId,
    limit: i64,
}

impl Query for NextFollowers {
    type SqlType = Columns;
}

impl QueryFragment<Backend> for NextFollowers {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        push_columns(&mut out, &self.sent)?;
        out.push_sql(" FROM (SELECT user_id FROM thread_followers WHERE thread_id = ");
        out.push_bind_param::<BigInt, _>(&self.thread)?;
        out.push_sql(" AND user_id > ");
        out.push_bind_param::<BigInt, _>(&self.after)?;
        // SQLite uses the partial index only if the condition is written exactly like this.
        out.push_sql(" AND NOT muted ORDER BY user_id LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        out.push_sql(
            ") AS f JOIN users u ON u.id = f.user_id LEFT JOIN chat_participants p ON p.user_id = f.user_id AND p.chat_id = ",
        );
        out.push_bind_param::<BigInt, _>(&self.sent.chat)?;
        out.push_sql(" ORDER BY f.user_id");
        Ok(())
    }
}

impl RunQueryDsl<Db> for NextFollowers {}
