//! Users whom a push may notify, with the fields that decide whether it does.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::Db;
use crate::domain::ids::{Seq, UserId};
use crate::storage::rows::project::project_role;
use crate::storage::rows::watcher::{AnnouncedPush, Recipient};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    user_id: UserId,
    #[diesel(sql_type = Bool)]
    active: bool,
    #[diesel(sql_type = Nullable<Text>)]
    role: Option<String>,
    #[diesel(sql_type = Bool)]
    watches: bool,
    #[diesel(sql_type = Bool)]
    blocks_pusher: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    read_seq: Option<Seq>,
}

/// Returns the next `limit` watchers above `after`, and the users `named`, by ascending id.
pub fn recipients(
    db: &mut Db,
    push: AnnouncedPush,
    (after, limit): (UserId, i64),
    named: &[UserId],
) -> QueryResult<Vec<Recipient>> {
    let also = if named.is_empty() {
        String::new()
    } else {
        format!("UNION VALUES {}", vec!["(?)"; named.len()].join(", "))
    };
    let sql = format!(
        "SELECT u.id AS user_id, u.deactivated_at IS NULL AS active, m.role, w.user_id IS NOT NULL AS watches,
             EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = u.id AND b.blocked_id = ?) AS blocks_pusher,
             p.read_seq
         FROM users u
         LEFT JOIN project_members m ON m.project_id = ? AND m.user_id = u.id
         LEFT JOIN project_watchers w ON w.project_id = ? AND w.user_id = u.id
         LEFT JOIN chat_participants p ON p.chat_id = ? AND p.user_id = u.id
         WHERE u.id IN (
             SELECT user_id FROM (
                 SELECT user_id FROM project_watchers WHERE project_id = ? AND user_id > ?
                 ORDER BY user_id LIMIT ?
             ) next {also}
         ) ORDER BY u.id"
    );
    let query = diesel::sql_query(sql)
        .into_boxed()
        .bind::<BigInt, _>(push.pusher)
        .bind::<BigInt, _>(push.project)
        .bind::<BigInt, _>(push.project)
        .bind::<BigInt, _>(push.channel)
        .bind::<BigInt, _>(push.project)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit);
    let query = named.iter().fold(query, |query, user| query.bind::<BigInt, _>(*user));
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
    query.load::<Row>(db)?.into_iter().map(recipient).collect()
}
