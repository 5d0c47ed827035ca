//! Tests that frequent statements are prepared once.

use std::sync::mpsc::{Sender, channel};

use diesel::connection::{Connection, Instrumentation, InstrumentationEvent};
use diesel::prelude::*;

use super::Db;
use super::statements::{audit, chats, fan_outs, notifications, threads};
use crate::core::config::Synchronous;
use crate::core::database;
use crate::domain::chat::{ChatRole, Participant};
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::storage::rows::audit::NewAuditRow;
use crate::storage::rows::fan_out::NewFanOutRow;

/// Sends each statement that a connection keeps prepared.
struct KeptStatements(Sender<String>);

impl Instrumentation for KeptStatements {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::CacheQuery { sql, .. } = event {
            drop(self.0.send(sql.to_owned()));
        }
    }
}

/// Statements over a list of one were prepared each time.
#[test]
fn statements_of_a_single_row_are_prepared_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netbit.db");
    let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
    database::migrate(&mut db, &path).unwrap();
    diesel::sql_query("PRAGMA foreign_keys = OFF").execute(&mut db).unwrap();
    let (sender, kept) = channel();
    db.set_instrumentation(KeptStatements(sender));
    let (chat, user, thread) = (ChatId(1), UserId(1), MessageId(1));
    let mut is_kept = |what: &str, run: &dyn Fn(&mut Db) -> QueryResult<()>| {
        run(&mut db).unwrap();
        assert_eq!(kept.try_iter().count(), 1, "{what}");
    };
    is_kept("a follower", &|db| threads::join(db, thread, &[user]));
    is_kept("two followers", &|db| threads::join(db, thread, &[UserId(2), UserId(3)]));
    is_kept("a participant", &|db| {
        chats::insert_participants(db, chat, &[Participant::new(user, ChatRole::Member)])
    });
    is_kept("an audit event", &|db| {
        let row = NewAuditRow {
            actor_id: None,
            action: "action",
            target: "user:1",
            detail: "{}",
            request_id: None,
            created_at: 0,
        };
        audit::insert(db, &[row])
    });
    is_kept("a fan-out", &|db| {
        let row = NewFanOutRow {
            kind: "named",
            chat_id: chat,
            seq: 1,
            message_id: None,
            user_id: None,
            names: "[]",
            position: 0,
        };
        fan_outs::insert(db, &[row])
    });
    is_kept("users above", &|db| notifications::users_above(db, &[user], 1).map(drop));
    is_kept("ranges above", &|db| notifications::ranges_above(db, chat, &[(1, 2)], 1).map(drop));
    is_kept("a range", &|db| notifications::retract_ranges(db, chat, &[(1, 2)]).map(drop));
}
