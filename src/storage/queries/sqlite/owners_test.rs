//! Tests of the rows that are read when a user leaves chats.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use diesel::connection::SimpleConnection;

use diesel::sql_types::BigInt;

use super::statements::chats::company_of;
use crate::core::config::Synchronous;
use crate::core::database;
use crate::domain::ids::{ChatId, UserId};
use crate::storage::rows::chat::{Company, LeftChat};

diesel::define_sql_function! {
    /// Counts the participants and users whose role or activity a statement reads.
    fn count_read(id: BigInt) -> BigInt;
}

/// The users 1 to 1000 are in the chats 1 and 2. The user 1 owns chat 1; the users 1 and 1000 own
/// chat 2.
const ROWS: &str = "
    CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
        SELECT n FROM n;
    INSERT INTO users (id, username, display_name, password_hash, created_at)
        SELECT n, 'user' || n, '', '', 0 FROM n;
    INSERT INTO chats (id, kind, created_at) VALUES (1, 'group', 0), (2, 'group', 0);
    INSERT INTO chat_participants (chat_id, user_id, role)
        SELECT c.id, n, CASE WHEN n = 1 OR (n = 1000 AND c.id = 2) THEN 'owner' ELSE 'member' END FROM n, chats c;
    CREATE TEMP VIEW users AS
        SELECT id, CASE WHEN count_read(id) > 0 THEN deactivated_at END AS deactivated_at FROM main.users;
    CREATE TEMP VIEW chat_participants AS
        SELECT chat_id, user_id, CASE WHEN count_read(user_id) > 0 THEN role END AS role
        FROM main.chat_participants;";

/// The leave of each member read and sorted all members of the chat.
#[test]
fn members_are_read_only_for_a_last_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netbit.db");
    let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
    database::migrate(&mut db, &path).unwrap();
    let read = Arc::new(AtomicI64::new(0));
    let counted = Arc::clone(&read);
    count_read_utils::register_nondeterministic_impl(&mut db, move |id: i64| {
        counted.fetch_add(1, Ordering::Relaxed);
        id
    })
    .unwrap();
    db.batch_execute(ROWS).unwrap();
    let mut company = |leaving: i64, chat: i64, owns: bool, preferred: Option<i64>| {
        read.store(0, Ordering::Relaxed);
        let chat = LeftChat { id: ChatId(chat), owns, preferred: preferred.map(UserId) };
        let company = company_of(&mut db, UserId(leaving), &[chat]).unwrap().remove(&chat.id).unwrap();
        (company, read.load(Ordering::Relaxed))
    };
    let of = |has_owner, heir: Option<i64>| Company { is_any: true, has_owner, heir: heir.map(UserId) };
    assert_eq!(company(500, 1, false, Some(1)), (of(false, None), 1), "a member");
    let (found, count) = company(1, 2, true, Some(7));
    assert_eq!(found, of(true, None), "one of two owners");
    assert!((1_000..=2_010).contains(&count), "{count}: the roles of the members");
    let (found, count) = company(1, 1, true, Some(7));
    assert_eq!(found, of(false, Some(7)), "the last owner, added by the user 7");
    assert!((1_000..=2_010).contains(&count), "{count}: the roles of the members");
    assert_eq!(company(1, 1, true, Some(2_000)).0, of(false, Some(2)), "added by a user who left");
    assert_eq!(company(1, 1, true, None).0, of(false, None), "added by none");
}
