//! Tests of a slice of notifications.

use diesel::connection::SimpleConnection;
use tokio::sync::oneshot::Receiver;

use super::fan_out::{DeliverNotifications, Undelivered};
use crate::actors::writer::CommandError;
use crate::actors::writer::batch::BatchExecutor;
use crate::actors::writer::messages::PendingCommand;
use crate::actors::writer::metrics::CommitMetrics;
use crate::core::actor::Reply;
use crate::core::config::Synchronous;
use crate::core::database;
use crate::core::limits::Limits;

/// User 1 named users 2 to 30 in a message to a chat of all of them.
const ROWS: &str = "
    CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 30)
        SELECT n FROM n;
    INSERT INTO users (id, username, display_name, password_hash, created_at)
        SELECT n, 'user' || n, '', '', 0 FROM n;
    INSERT INTO chats (id, kind, created_at, last_seq, last_ordinal, last_message_id)
        VALUES (1, 'group', 0, 1, 1, 1);
    INSERT INTO chat_participants (chat_id, user_id, role) SELECT 1, n, 'member' FROM n;
    INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at,
            updated_seq)
        VALUES (1, 1, 1, 1, 1, zeroblob(16), '', '', 0, 1);
    INSERT INTO fan_outs (kind, chat_id, seq, message_id, user_id, names)
        SELECT 'named', 1, 1, 1, 1, json_group_array('user' || n) FROM n WHERE n > 1";

/// A slice looked up 50 names at once, however long that took.
#[test]
fn slice_of_names_ends_when_its_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netbit.db");
    let mut db = database::open_writer(&path, Synchronous::Normal).unwrap();
    database::migrate(&mut db, &path).unwrap();
    db.batch_execute(ROWS).unwrap();
    let limits = Limits { notifications_slice_ms: 0, notifications_per_command: 200, ..Limits::default() };
    let mut executor = BatchExecutor::new(db, limits, CommitMetrics::default()).unwrap();
    let mut counts = Vec::new();
    loop {
        let (reply, mut answer): (_, Receiver<Result<Undelivered, CommandError>>) = Reply::channel();
        executor
            .run(vec![Box::new(PendingCommand::new(DeliverNotifications { only: None }, None, reply))])
            .answer();
        if answer.try_recv().unwrap().unwrap() != Undelivered::Some {
            break;
        }
        let sql = "SELECT count(*) AS value FROM notifications";
        counts.push(database::integer(executor.connection().sqlite(), sql).unwrap());
    }
    assert_eq!(counts, [8, 16, 24, 29]);
}
