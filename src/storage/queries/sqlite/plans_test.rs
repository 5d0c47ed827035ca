//! Plans and results of statements on SQLite.

use diesel::connection::SimpleConnection;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;

use super::Db;
use super::statements::messages::{last_id, replies};
use crate::core::config::Synchronous;
use crate::core::database;
use crate::domain::ids::MessageId;
use crate::storage::rows::message::MessageRow;
use crate::storage::schema::messages;

fn database() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netbit.db");
    let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
    database::migrate(&mut db, &path).unwrap();
    (dir, db)
}

#[test]
fn last_id_includes_messages_of_purged_chats() {
    let (_dir, mut db) = database();
    assert_eq!(last_id(&mut db).unwrap(), MessageId(0));
    let rows = "
        INSERT INTO users (id, username, display_name, password_hash, created_at) VALUES (1, 'a', '', '', 0);
        INSERT INTO chats (id, kind, last_message_id, created_at) VALUES (1, 'group', 9, 0), (2, 'group', NULL, 0);";
    db.batch_execute(rows).unwrap();
    assert_eq!(last_id(&mut db).unwrap(), MessageId(9));
    // The head of a chat is written after its messages.
    let message = "
        INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq)
        VALUES (11, 2, 1, 1, 1, x'01', x'', '', 0, 1)";
    db.batch_execute(message).unwrap();
    assert_eq!(last_id(&mut db).unwrap(), MessageId(11));
}

/// A page of a thread read every message of the chat from the thread's beginning.
#[test]
fn replies_of_a_page_are_found_by_their_index() {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    let (_dir, mut db) = database();
    let query = replies(MessageId(1), 0, 9).order(messages::seq.desc()).limit(2);
    let query = query.select(MessageRow::as_select());
    let sql = diesel::debug_query::<Sqlite, _>(&query).to_string();
    let sql = sql.split(" -- binds").next().unwrap().to_owned();
    let mut plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).into_boxed::<Sqlite>();
    for _ in sql.matches('?') {
        plan = plan.bind::<BigInt, _>(1);
    }
    let steps: Vec<_> = plan.load::<Step>(&mut db).unwrap().into_iter().map(|step| step.detail).collect();
    let wanted = "SEARCH messages USING INDEX messages_by_thread (thread_id=? AND seq>? AND seq<?)";
    assert_eq!(steps, [wanted]);
}
