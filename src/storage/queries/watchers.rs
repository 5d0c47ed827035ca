//! Users whom a push may notify, with the fields that decide whether it does.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::{Backend, Db};
use crate::domain::ids::{Seq, UserId};
use crate::storage::rows::project::project_role;
use crate::storage::rows::watcher::{AnnouncedPush, Recipient};

#[derive(Queryable)]
struct Row {
    user_id: UserId,
    active: bool,
    role: Option<String>,
    watches: bool,
    blocks_pusher: bool,
    read_seq: Option<Seq>,
}

/// Returns the next `limit` watchers above `after`, and the users `named`, by ascending id.
pub fn recipients(
    db: &mut Db,
    push: AnnouncedPush,
    (after, limit): (UserId, i64),
    named: &[UserId],
) -> QueryResult<Vec<Recipient>> {
    let recipient = |row: Row| {
        Ok(Recipient {
            user_id: row.user_id,
            active: row.active,
            role: row.role.as_deref().map(project_role).transpose()?,
            watches: row.watches,
            blocks_pusher: row.blocks_pusher,
            read_seq: row.read_seq,
        })
    };
    let rows: Vec<Row> = NextRecipients { push, after, limit, named }.load(db)?;
    rows.into_iter().map(recipient).collect()
}

/// The statement without named users is prepared once.
struct NextRecipients<'a> {
    push: AnnouncedPush,
    after: UserId,
    limit: i64,
    named: &'a [UserId],
}

impl QueryId for NextRecipients<'_> {
    type QueryId = NextRecipients<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for NextRecipients<'_> {
    type SqlType = (BigInt, Bool, Nullable<Text>, Bool, Bool, Nullable<BigInt>);
}

impl QueryFragment<Backend> for NextRecipients<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        if !self.named.is_empty() {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(
            "SELECT u.id, u.deactivated_at IS NULL, m.role, w.user_id IS NOT NULL,
                 EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = u.id AND b.blocked_id = ",
        );
        out.push_bind_param::<BigInt, _>(&self.push.pusher)?;
        out.push_sql("), p.read_seq FROM users u LEFT JOIN project_members m ON m.project_id = ");
        out.push_bind_param::<BigInt, _>(&self.push.project)?;
        out.push_sql(" AND m.user_id = u.id LEFT JOIN project_watchers w ON w.project_id = ");
        out.push_bind_param::<BigInt, _>(&self.push.project)?;
        out.push_sql(" AND w.user_id = u.id LEFT JOIN chat_participants p ON p.chat_id = ");
        out.push_bind_param::<BigInt, _>(&self.push.channel)?;
        out.push_sql(
            " AND p.user_id = u.id
             WHERE u.id IN (
                 SELECT user_id FROM (
                     SELECT user_id FROM project_watchers WHERE project_id = ",
        );
        out.push_bind_param::<BigInt, _>(&self.push.project)?;
        out.push_sql(" AND user_id > ");
        out.push_bind_param::<BigInt, _>(&self.after)?;
        out.push_sql(" ORDER BY user_id LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        out.push_sql(") AS next");
        for (n, user) in self.named.iter().enumerate() {
            out.push_sql(if n == 0 { " UNION VALUES (" } else { ", (" });
            out.push_bind_param::<BigInt, _>(user)?;
            out.push_sql(")");
        }
        out.push_sql(") ORDER BY u.id");
        Ok(())
    }
}

impl RunQueryDsl<Db> for NextRecipients<'_> {}
