//! The window of a history under pages, live events and changes.

use serde_json::json;

use super::history::{History, Part, ROWS_MAX};
use super::support_test::{TEAM, event, message, said};
use crate::domain::ids::Seq;
use crate::protocol::view::EventData;

fn messages(from: Seq, to: Seq) -> Vec<EventData> {
    (from..=to).map(|seq| said(TEAM, seq, 2, &format!("text {seq}"))).collect()
}

fn load(history: &mut History, part: Part, events: &[EventData], has_more: bool, last: Seq) -> bool {
    history.loading = Some(part);
    history.page(part, events, has_more, last, last)
}

fn seqs(history: &History) -> Vec<Seq> {
    history.rows().iter().map(super::history::Row::seq).collect()
}

#[test]
fn pages_and_live_events_extend_the_window() {
    let mut history = History::default();
    assert!(load(&mut history, Part::Newest, &messages(8, 10), true, 10));
    assert!(history.is_at_end(10) && !history.is_at_start());
    history.apply(&said(TEAM, 11, 2, "live"));
    assert!(load(&mut history, Part::Before(8), &messages(1, 7), false, 11));
    assert!(history.is_at_start() && history.is_at_end(11));
    assert_eq!(seqs(&history), (1..=11).collect::<Vec<_>>());
}

#[test]
fn window_is_bounded_in_both_directions() {
    let (mut history, last) = (History::default(), 10_000);
    assert!(load(&mut history, Part::Newest, &messages(last - 99, last), true, last));
    while !history.is_at_start() {
        let before = history.from() + 1;
        let first = (before - 100).max(1);
        assert!(load(&mut history, Part::Before(before), &messages(first, before - 1), first > 1, last));
        assert!(history.rows().len() <= ROWS_MAX);
    }
    assert!(!history.is_at_end(last), "the newest rows were given up");
    while !history.is_at_end(last) {
        let after = history.to();
        let end = (after + 100).min(last);
        assert!(load(&mut history, Part::After(after), &messages(after + 1, end), end < last, last));
        assert!(history.rows().len() <= ROWS_MAX);
    }
    let shown = seqs(&history);
    assert_eq!(shown, (last - Seq::try_from(shown.len()).unwrap() + 1..=last).collect::<Vec<_>>());
}

#[test]
fn changes_apply_to_loaded_messages_once() {
    let mut history = History::default();
    load(&mut history, Part::Newest, &messages(1, 3), false, 3);
    let react =
        |seq| event(TEAM, seq, "react", json!({"actor_id": 2, "message_id": 7_000_002, "emoji": "+1"}));
    history.apply(&react(4));
    history.apply(&react(5));
    assert_eq!(history.message_at(2).unwrap().reactions[0].user_ids.len(), 1);
    let mut edited = message(TEAM, 2, 2, "better");
    edited.updated_seq = Some(6);
    history.apply(&event(TEAM, 6, "edit", json!({"actor_id": 2, "message": edited})));
    assert_eq!(history.message_at(2).unwrap().content, "better");
    // An older change that arrives later, in a page, has no effect.
    load(&mut history, Part::After(6), &[react(5)], false, 6);
    assert!(history.message_at(2).unwrap().reactions.is_empty());
    history.apply(&event(TEAM, 7, "delete", json!({"actor_id": 2, "message_id": 7_000_002})));
    assert!(history.message_at(2).unwrap().deleted);
    assert_eq!(seqs(&history), [1, 2, 3], "changes of messages are not rows");
}

/// A page that was read before a reaction, and arrived after it, hid the reaction.
#[test]
fn page_older_than_applied_events_is_refused() {
    let mut history = History::default();
    load(&mut history, Part::Newest, &messages(8, 10), true, 10);
    history.loading = Some(Part::Before(8));
    assert!(!history.page(Part::Before(8), &messages(1, 7), false, 10, 11));
    assert_eq!(seqs(&history), [8, 9, 10]);
    assert_eq!(history.loading, None);
    // A page that was requested before the window was discarded does not become part of it.
    history.unload();
    assert!(!history.page(Part::Before(8), &messages(1, 7), false, 11, 11));
}

#[test]
fn trim_discards_the_window() {
    let mut history = History::default();
    load(&mut history, Part::Newest, &messages(1, 3), false, 3);
    history.apply(&event(TEAM, 4, "trim", json!({"actor_id": 2, "to_seq": 2})));
    assert!(!history.is_loaded());
}
