//! Tests of the removal of chats, in slices.

use diesel::connection::SimpleConnection;

use super::Db;
use super::statements::chats::purge_some;
use crate::core::config::Synchronous;
use crate::core::database;
use crate::domain::ids::ChatId;

const ROWS: &str = "
    INSERT INTO chats (id, kind, created_at) VALUES (1, 'group', 0);
    WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 20)
        INSERT INTO users (id, username, display_name, password_hash, created_at)
        SELECT n, 'user' || n, '', '', 0 FROM n;
    INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq)
        SELECT id, 1, id, id, 1, id, '', '', 0, id FROM users WHERE id <= 3;
    INSERT INTO thread_followers (thread_id, user_id) SELECT 2, id FROM users";

/// Regression: all followers of a thread were deleted with its first message, by the foreign
/// key.
#[test]
fn purge_counts_followers_among_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netbit.db");
    let mut db = database::open_writer(&path, Synchronous::Normal).unwrap();
    database::migrate(&mut db, &path).unwrap();
    db.batch_execute(ROWS).unwrap();
    let count = |sql: &str, db: &mut Db| database::integer(db, sql).unwrap();
    let changes = "SELECT total_changes() AS value";
    for slice in 0..5 {
        let before = count(changes, &mut db);
        let more = purge_some(&mut db, ChatId(1), 6).unwrap();
        assert!(count(changes, &mut db) - before <= 6, "slice {slice}");
        assert_eq!(more, slice < 3, "slice {slice}");
    }
    let left = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM thread_followers) AS value";
    assert_eq!(count(left, &mut db), 0);
}
