//! Compares the writer cache with the database, for tests of several nodes.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};

use super::WriterCache;
use crate::core::database::Db;
use crate::domain::chat::{Chat, Participant};
use crate::storage::queries::{accounts, chats, cursors_behind, messages};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl WriterCache {
    /// Returns how the entries differ from what the database holds now.
    pub(in crate::actors::writer) fn differences(&self, db: &mut Db) -> Vec<String> {
        let mut found = Vec::new();
        for &(user, login, token_version) in &self.logins {
            if !accounts::credential_is_live(db, user, login, token_version).unwrap() {
                found.push(format!("login {login} of {user} is not live"));
            }
        }
        for (id, known) in &self.chats {
            let cached = Chat {
                last_seq: known.head.seq,
                last_ordinal: known.head.ordinal,
                last_message_id: None,
                ..(*known.chat).clone()
            };
            let row = chats::chat(db, *id).unwrap().map(|row| Chat { last_message_id: None, ..row });
            if row.as_ref() != Some(&cached) {
                found.push(format!("chat {id}: {cached:?} is cached, {row:?} is stored"));
            }
        }
        for (&(chat, user), known) in &self.people {
            let Some(row) = chats::participant(db, chat, user).unwrap() else {
                found.push(format!("{user} is not in {chat}"));
                continue;
            };
            let mut caught_up = [(chat, row)];
            cursors_behind::catch_up(db, &mut caught_up).unwrap();
            let [(_, row)] = caught_up;
            let cached = if self.others_ahead {
                // Only a command that writes cursors uses them, and it computes them first.
                Participant { role: known.participant.role, ..row.clone() }
            } else {
                known.participant.clone()
            };
            if row != cached {
                found.push(format!("{user} in {chat}: {cached:?} is cached, {row:?} is stored"));
            }
        }
        for (sender, range) in &self.client_ids {
            let Db::Postgres(db) = db else { continue };
            let used: Count = diesel::sql_query(
                "SELECT count(*) FROM messages WHERE sender_id = $1 AND client_id > $2 AND client_id <= $3",
            )
            .bind::<BigInt, _>(sender.0)
            .bind::<Binary, _>(range.used.0.to_vec())
            .bind::<Binary, _>(range.checked_up_to.0.to_vec())
            .get_result(&mut db.queries)
            .unwrap();
            if used.count > 0 {
                found.push(format!("{} client ids of {sender} are used and not known", used.count));
            }
        }
        let last = messages::last_id(db).unwrap();
        if self.last_message_id.is_some_and(|known| known < last) {
            found.push(format!("message {last} exists, and {:?} counts as the last", self.last_message_id));
        }
        found
    }
}
