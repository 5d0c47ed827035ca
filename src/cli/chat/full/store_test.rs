//! The rule of the client for events, also under random drops, doubles and replays.

use proptest::prelude::*;
use serde_json::json;

use super::store::{Applied, Store};
use super::support_test::{OTHER, TEAM, event, said, welcome};
use crate::domain::ids::{ChatId, Seq, UserId};

fn store() -> Store {
    let mut store = Store::new(UserId(1));
    store.connected();
    store.list(welcome(5, 10).chats.list());
    store.end_listing();
    store
}

#[test]
fn gap_resumes_the_chat_once_from_its_last_event() {
    let mut store = store();
    assert_eq!(store.apply(&said(TEAM, 11, 2, "next")), Applied::Message);
    store.apply(&said(TEAM, 13, 2, "after a gap"));
    assert_eq!(store.cursors(), [(TEAM, 11)].into());
    store.apply(&said(TEAM, 14, 2, "still behind"));
    assert!(store.cursors().is_empty(), "a replay is running");
    for seq in 12..=14 {
        store.apply(&said(TEAM, seq, 2, "replayed"));
    }
    store.synced(TEAM);
    assert!(store.cursors().is_empty());
    assert_eq!((store.chats[&TEAM].last, store.chats[&TEAM].unread), (14, 6));
}

#[test]
fn heartbeat_compares_counts_and_sums() {
    let mut store = store();
    assert!(store.agrees(2, 13) && !store.agrees(2, 14) && !store.agrees(3, 13));
    store.apply(&said(TEAM, 12, 2, "after a gap"));
    assert!(store.agrees(2, 99), "a replay is due");
}

#[test]
fn limited_and_reset_move_the_position() {
    let mut store = store();
    store.limited(TEAM, 5_000);
    assert_eq!(store.apply(&said(TEAM, 5_001, 2, "live")), Applied::Message);
    store.reset(TEAM, 3);
    assert_eq!(store.apply(&said(TEAM, 4, 2, "live")), Applied::Message);
    store.fell_behind();
    assert_eq!(store.cursors(), [(TEAM, 4), (OTHER, 3)].into());
}

#[test]
fn own_join_begins_a_chat_and_own_leave_ends_it() {
    let mut store = store();
    let summary = json!({"id": 9, "kind": "channel", "name": "news", "last_seq": 40, "read_seq": 40, "unread_count": 0});
    store.apply(&event(ChatId(9), 41, "join", json!({"actor_id": 1, "user_id": 1, "chat": summary})));
    assert_eq!(store.chats[&ChatId(9)].last, 41);
    assert_eq!(store.find("#news"), Ok(ChatId(9)));
    let leave = event(ChatId(9), 42, "leave", json!({"actor_id": 1, "user_id": 1}));
    assert_eq!(store.apply(&leave), Applied::Left);
    assert!(!store.chats.contains_key(&ChatId(9)));
}

#[test]
fn reconnect_resumes_only_chats_that_moved() {
    let mut store = store();
    store.connected();
    store.list(welcome(5, 14).chats.list());
    assert!(store.end_listing().is_empty());
    assert_eq!(store.cursors(), [(TEAM, 10)].into());
    store.begin_listing();
    store.list(&welcome(5, 14).chats.list()[1..]);
    assert_eq!(store.end_listing(), [TEAM]);
}

proptest! {
    /// Whatever is dropped, doubled or reordered, every event is applied once and in order.
    #[test]
    fn every_event_is_applied_once_under_drops_and_doubles(
        fates in prop::collection::vec(0u8..5, 1..120), reconnect in 0usize..120
    ) {
        let (mut store, mut applied) = (store(), Vec::new());
        let mut head: Seq = 10;
        let mut deliver = |store: &mut Store, seq: Seq| {
            let before = store.chats[&TEAM].last;
            store.apply(&said(TEAM, seq, 2, "x"));
            if store.chats[&TEAM].last != before {
                applied.push(seq);
            }
        };
        for (step, fate) in fates.iter().enumerate() {
            head += 1;
            match fate {
                0 => {}
                1 => { deliver(&mut store, head); deliver(&mut store, head); }
                2 => { deliver(&mut store, head); deliver(&mut store, (head - 3).max(1)); }
                _ => deliver(&mut store, head),
            }
            if step == reconnect {
                store.connected();
                store.list(welcome(5, head).chats.list());
                store.end_listing();
            }
            for (chat, cursor) in store.cursors() {
                for seq in Seq::try_from(cursor).unwrap() + 1..=head {
                    deliver(&mut store, seq);
                }
                store.synced(chat);
            }
        }
        // The heartbeat finds what was dropped at the end.
        if !store.agrees(2, head + 3) {
            store.begin_listing();
            store.list(welcome(5, head).chats.list());
            store.end_listing();
            for (_, cursor) in store.cursors() {
                (Seq::try_from(cursor).unwrap() + 1..=head).for_each(|seq| deliver(&mut store, seq));
            }
        }
        prop_assert_eq!(applied, (11..=head).collect::<Vec<_>>());
    }
}
