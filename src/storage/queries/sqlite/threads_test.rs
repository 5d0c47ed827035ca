//! Tests of the list of followed threads: its pages, and the rows that it reads.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::statements::threads::*;
use super::{Backend, Db};
use crate::core::config::Synchronous;
use crate::core::database;
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::domain::thread::ThreadPlace;
use crate::storage::rows::thread::ThreadRange;

const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);

/// Returns a database in which alice follows `threads` threads of chat 1, with the senders of their
/// replies, oldest first.
fn database(threads: i64, replies: &[UserId]) -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netbit.db");
    let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
    database::migrate(&mut db, &path).unwrap();
    execute(&mut db, "PRAGMA foreign_keys = OFF");
    let mut seq = 0;
    let mut insert = |db: &mut Db, id: i64, sender: UserId, thread: &str| {
        seq += 1;
        execute(
            db,
            &format!(
                "INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content,
                     created_at, updated_seq, thread_id)
                 VALUES ({id}, 1, {seq}, {seq}, {sender}, randomblob(16), x'', 'text', 0, {seq}, {thread})"
            ),
        );
    };
    for thread in 1..=threads {
        insert(&mut db, thread, ALICE, "NULL");
        execute(&mut db, &format!("INSERT INTO thread_followers (thread_id, user_id) VALUES ({thread}, 1)"));
    }
    let mut id = threads;
    for sender in replies {
        for thread in 1..=threads {
            id += 1;
            insert(&mut db, id, *sender, &thread.to_string());
        }
    }
    (dir, db)
}

fn execute(db: &mut Db, sql: &str) {
    diesel::sql_query(sql).execute(db).unwrap();
}

/// Returns the threads and their unread replies on all pages.
fn pages(db: &mut Db, unread: bool, limit: usize, rows_max: usize) -> Vec<Vec<(i64, i64)>> {
    let (mut place, mut pages) = (ThreadPlace::FIRST, Vec::new());
    loop {
        let range = ThreadRange { cursors: HashMap::from([(ChatId(1), 0)]), unread, place };
        let page = followed_within(db, ALICE, &range, limit, rows_max).unwrap();
        pages.push(page.items.iter().map(|thread| (thread.thread_id.0, thread.unread_count)).collect());
        let Some(next) = page.next else { return pages };
        place = ThreadPlace::parse(&next.to_string()).unwrap();
        assert!(pages.len() < 100, "the pages end");
    }
}

#[test]
fn threads_are_listed_once_each_when_rows_run_out() {
    let (_dir, mut db) = database(7, &[BOB, ALICE]);
    let whole = [vec![(7, 1), (6, 1), (5, 1), (4, 1), (3, 1), (2, 1), (1, 1)]];
    assert_eq!(pages(&mut db, false, 100, ROWS_READ_MAX), whole);
    assert_eq!(pages(&mut db, true, 5, ROWS_READ_MAX).concat(), whole.concat());
    // Two index entries of replies and two rows for each thread: three threads exceed nine rows.
    let cut = [vec![(7, 1), (6, 1), (5, 1)], vec![(4, 1), (3, 1), (2, 1)], vec![(1, 1)]];
    assert_eq!(pages(&mut db, true, 100, 9), cut);
    for limit in 1..=8 {
        assert_eq!(pages(&mut db, false, limit, 9).concat(), whole.concat(), "{limit}");
    }
    execute(&mut db, "UPDATE messages SET deleted_at = 1 WHERE sender_id = 2");
    assert_eq!(pages(&mut db, false, 100, 9).concat(), [], "pages may be empty");
}

#[test]
fn deleted_replies_are_skipped_and_bounded() {
    let (_dir, mut db) = database(1, &[BOB; 3]);
    execute(&mut db, "UPDATE messages SET deleted_at = 1 WHERE seq > 2");
    assert_eq!(pages(&mut db, true, 100, ROWS_READ_MAX), [vec![(1, 1)]], "an older reply is left");
    let (_dir, mut db) = database(1, &[BOB; 102]);
    assert_eq!(pages(&mut db, true, 100, ROWS_READ_MAX), [vec![(1, 100)]], "the newest are counted");
    let mut deleted = vec![BOB];
    deleted.resize(usize::try_from(ENTRIES_READ_MAX).unwrap() + 1, ALICE);
    let (_dir, mut db) = database(1, &deleted);
    execute(&mut db, "UPDATE messages SET deleted_at = 1 WHERE sender_id = 1 AND seq > 3");
    assert_eq!(pages(&mut db, true, 100, ROWS_READ_MAX), [[]], "the reply is below too many entries");
    execute(&mut db, "DELETE FROM messages WHERE seq = 4");
    assert_eq!(pages(&mut db, true, 100, ROWS_READ_MAX), [vec![(1, 1)]]);
}

/// Each thread cost a prepared statement, and each reply a row of the table.
#[test]
fn replies_are_read_from_the_index_alone() {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    let (_dir, mut db) = database(1, &[BOB]);
    let sql = diesel::debug_query::<Backend, _>(&newest_replies(MessageId(1), 0)).to_string();
    let sql = sql.split(" -- binds").next().unwrap().to_owned();
    let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
    let plan = plan.bind::<BigInt, _>(1).bind::<BigInt, _>(0).bind::<BigInt, _>(1);
    let steps: Vec<_> = plan.load::<Step>(&mut db).unwrap().into_iter().map(|step| step.detail).collect();
    let wanted = "SEARCH messages USING COVERING INDEX messages_by_thread (thread_id=? AND seq>?)";
    assert_eq!(steps, [wanted]);
}
