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

/// The writer of a database.
struct World {
    executor: BatchExecutor,
    _dir: tempfile::TempDir,
}

impl World {
    fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = database::open_writer(&path, Synchronous::Normal).unwrap();
        database::migrate(&mut db, &path).unwrap();
        db.batch_execute(ROWS).unwrap();
        let executor = BatchExecutor::new(db, limits, CommitMetrics::default()).unwrap();
        Self { executor, _dir: dir }
    }

    fn execute(&mut self, sql: &str) {
        self.executor.connection().batch_execute(sql).unwrap();
    }

    fn integer(&mut self, sql: &str) -> i64 {
        database::integer(self.executor.connection().sqlite(), sql).unwrap()
    }

    fn deliver(&mut self) -> Undelivered {
        let (reply, mut answer): (_, Receiver<Result<Undelivered, CommandError>>) = Reply::channel();
        let command = PendingCommand::new(DeliverNotifications { only: None }, None, reply);
        self.executor.run(vec![Box::new(command)]).answer();
        answer.try_recv().unwrap().unwrap()
    }

    /// Returns the number of notifications after each slice.
    fn counts(&mut self) -> Vec<i64> {
        let mut counts = Vec::new();
        while self.deliver() == Undelivered::Some {
            counts.push(self.integer("SELECT count(*) AS value FROM notifications"));
        }
        counts
    }
}

fn short_slices() -> Limits {
    Limits { notifications_slice_ms: 0, notifications_per_command: 200, ..Limits::default() }
}

/// A slice looked up 50 names at once, however long that took.
#[test]
fn slice_of_names_ends_when_its_time_is_over() {
    assert_eq!(World::with(short_slices()).counts(), [8, 16, 24, 29]);
}

/// A slice notified 50 members in one statement, however long that took.
#[test]
fn slice_of_members_ends_when_its_time_is_over() {
    let mut world = World::with(short_slices());
    world.execute("UPDATE fan_outs SET kind = 'everybody'");
    assert_eq!(world.counts(), [9, 19, 29], "the sender is among the first ten");
    let mut world = World::with(short_slices());
    world.execute(
        "UPDATE messages SET thread_id = 1; UPDATE fan_outs SET kind = 'thread';
         INSERT INTO thread_followers (thread_id, user_id) SELECT 1, n FROM n",
    );
    assert_eq!(world.counts(), [9, 19, 29]);
}

/// A slice to users who reached their limit together evicted 50 notifications of each.
#[test]
fn slice_evicts_few_notifications_and_keeps_pace() {
    const HELD: &str = "SELECT count(*) AS value FROM notifications";
    let limits = Limits { notifications_slice_ms: 60_000, ..Limits::default() };
    let mut world = World::with(limits);
    // All reached the limit of 400 and an eighth.
    world.execute(
        "DELETE FROM fan_outs;
         WITH RECURSIVE k(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM k WHERE k < 450)
             INSERT INTO notifications (user_id, kind, text, created_at) SELECT n, 'account', '', 0 FROM k, n WHERE n > 1",
    );
    for seq in 2..=70 {
        world.execute(&format!(
            "INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at,
                     updated_seq) VALUES ({seq}, 1, {seq}, {seq}, 1, randomblob(16), '', '', 0, {seq});
             INSERT INTO fan_outs (kind, chat_id, seq, message_id, user_id) VALUES ('everybody', 1, {seq}, {seq}, 1)"
        ));
        let before = world.integer(HELD);
        assert_eq!(world.deliver(), Undelivered::None);
        // Three statements insert the notifications; each is followed by an eviction of 51.
        let evicted = before + 29 - world.integer(HELD);
        assert!((0..=3 * 51 + 9).contains(&evicted), "{evicted}");
        assert_eq!(world.integer(&format!("{HELD} WHERE seq = {seq}")), 29);
        let most = world.integer(
            "SELECT max(held) AS value FROM (SELECT count(*) AS held FROM notifications GROUP BY user_id)",
        );
        assert!(most <= 460, "{most}");
    }
    let least = world.integer(
        "SELECT min(held) AS value FROM (SELECT count(*) AS held FROM notifications GROUP BY user_id)",
    );
    assert!(least >= 400, "{least}");
}
