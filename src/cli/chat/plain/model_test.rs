//! The model applies events as servers send them, in every order.

use serde_json::{Value, json};

use super::line::Line;
use super::model::Model;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::Message;
use crate::protocol::view::{ChatSummary, EventData};

const TEAM: ChatId = ChatId(7);
const OTHER: ChatId = ChatId(8);

fn summary(id: ChatId, name: &str, last_seq: Seq) -> ChatSummary {
    let value = json!({"id": id, "kind": "group", "name": name, "last_seq": last_seq, "read_seq": last_seq, "unread_count": 0});
    serde_json::from_value(value).unwrap()
}

/// Alice (1), who knows Bob (2), in two chats with five events each; the first chat is open.
fn alice() -> Model {
    let mut model = Model::new(UserId(1), "alice".into());
    model.names.insert(UserId(2), Some("bob".into()));
    model.list(&[summary(TEAM, "team", 5), summary(OTHER, "other", 5)], false);
    model.end_listing();
    model.opened(TEAM, &[], false);
    model.shown_day = Some(0);
    model
}

fn chat_message(chat: ChatId, seq: Seq) -> Message {
    serde_json::from_value(json!({
        "id": seq, "chat_id": chat, "seq": seq, "sender_id": 2, "content": format!("text {seq}"),
        "client_id": "0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f", "created_at": "1970-01-01T12:03:00Z"
    }))
    .unwrap()
}

fn message(chat: ChatId, seq: Seq) -> EventData {
    let chat_message = chat_message(chat, seq);
    event(chat, seq, "message", json!({"actor_id": 2, "message": chat_message}))
}

fn rename_by(user: i64) -> EventData {
    event(TEAM, 8, "rename", json!({"actor_id": user, "name": "x"}))
}

fn event(chat: ChatId, seq: Seq, kind: &str, rest: Value) -> EventData {
    let mut value = json!({"chat_id": chat, "seq": seq, "kind": kind});
    value.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

/// Seqs of the messages that were shown in the open chat.
fn shown(lines: &[Line]) -> Vec<Seq> {
    let seq = |content: &String| content.strip_prefix("text ").unwrap().parse().unwrap();
    lines
        .iter()
        .filter_map(|line| if let Line::Message { content, .. } = line { Some(seq(content)) } else { None })
        .collect()
}

fn changes(lines: &[Line]) -> Vec<&str> {
    lines
        .iter()
        .filter_map(|line| if let Line::Change { text, .. } = line { Some(text.as_str()) } else { None })
        .collect()
}

#[test]
fn message_is_shown_once_when_it_comes_repeatedly() {
    let mut model = alice();
    assert_eq!(shown(&model.apply(&message(TEAM, 6))), [6]);
    assert_eq!(model.apply(&message(TEAM, 6)), []);
    assert_eq!(model.apply(&message(TEAM, 3)), []);
    assert_eq!(model.apply_page(TEAM, &[message(TEAM, 5), message(TEAM, 6)], false, 6), []);
    assert!(model.behind.is_empty() && model.agrees(2, 6 + 5));
}

#[test]
fn gap_is_closed_by_pages_in_order() {
    let mut model = alice();
    assert_eq!(model.apply(&message(TEAM, 9)), [], "an event after a gap is not shown");
    assert!(model.behind.contains(&TEAM));
    assert_eq!(shown(&model.apply_page(TEAM, &[message(TEAM, 6), message(TEAM, 7)], true, 9)), [6, 7]);
    assert!(model.behind.contains(&TEAM), "there is more");
    assert_eq!(shown(&model.apply(&message(TEAM, 8))), [8], "a push without a gap is applied meanwhile");
    assert_eq!(model.apply(&message(TEAM, 10)), []);
    assert_eq!(shown(&model.apply_page(TEAM, &[message(TEAM, 8), message(TEAM, 9)], false, 9)), [9]);
    assert!(model.behind.contains(&TEAM), "10 was pushed before the page was made");
    assert_eq!(shown(&model.apply_page(TEAM, &[message(TEAM, 10)], false, 10)), [10]);
    assert!(model.behind.is_empty());
}

#[test]
fn page_with_own_leave_and_rejoin_keeps_the_chat() {
    let mut model = alice();
    let leave = event(TEAM, 6, "leave", json!({"actor_id": 2, "user_id": 1}));
    let join = event(TEAM, 7, "join", json!({"actor_id": 2, "user_id": 1}));
    model.apply(&message(TEAM, 8));
    assert_eq!(shown(&model.apply_page(TEAM, &[leave.clone(), join, message(TEAM, 8)], false, 8)), [8]);
    assert!(model.chats.contains_key(&TEAM) && model.behind.is_empty());
    model.apply(&EventData { seq: 9, ..leave });
    assert!(!model.chats.contains_key(&TEAM), "a pushed leave removes the chat");
}

#[test]
fn page_with_a_hole_continues_after_trimmed_events() {
    let mut model = alice();
    model.apply(&message(TEAM, 9));
    let page = [message(TEAM, 6), message(TEAM, 8), message(TEAM, 9)];
    assert_eq!(shown(&model.apply_page(TEAM, &page, false, 9)), [6, 8, 9]);
    assert!(model.behind.is_empty());
}

#[test]
fn list_after_reconnect_marks_chats_with_missing_events() {
    let mut model = alice();
    model.begin_listing();
    let lines = model.list(&[summary(TEAM, "team", 7), summary(ChatId(9), "new", 3)], true);
    assert_eq!(changes(&lines), ["you are now in this chat; 0 unread"]);
    assert_eq!(changes(&model.end_listing()), ["you are no longer in this chat"], "the other one");
    assert_eq!(model.behind.iter().collect::<Vec<_>>(), [&TEAM]);
    assert_eq!(shown(&model.apply_page(TEAM, &[message(TEAM, 6), message(TEAM, 7)], false, 7)), [6, 7]);
    assert!(model.agrees(2, 7 + 3));
}

#[test]
fn event_before_the_summary_of_its_chat_is_kept() {
    let mut model = alice();
    assert_eq!(model.apply(&message(ChatId(9), 4)), []);
    model.learn(&summary(ChatId(9), "late", 3));
    assert!(model.behind.contains(&ChatId(9)));
    assert_eq!(model.apply_page(ChatId(9), &[message(ChatId(9), 4)], false, 4).len(), 1);
    assert!(model.behind.is_empty());
}

#[test]
fn history_and_events_do_not_show_the_same_message() {
    let mut model = alice();
    let lines = model.opened(TEAM, &[chat_message(TEAM, 6), chat_message(TEAM, 7)], true);
    assert_eq!(shown(&lines), [6, 7]);
    assert_eq!(model.apply(&message(TEAM, 6)), []);
    assert_eq!(model.apply(&message(TEAM, 7)), []);
    assert_eq!(shown(&model.apply(&message(TEAM, 8))), [8]);
    assert_eq!(model.chats[&TEAM].older_than, Some(6));
    assert_eq!(model.read_mark(), Some((TEAM, 8)));
    model.marked_read(TEAM, 8);
    assert_eq!(model.read_mark(), None);
}

#[test]
fn other_chats_show_notices_and_count_unread() {
    let mut model = alice();
    let notice = Line::Notice { chat: "other".into(), sender: "bob".into(), content: "text 6".into() };
    assert_eq!(model.apply(&message(OTHER, 6)), [notice]);
    assert_eq!(model.chats[&OTHER].unread, 1);
    let missed: Vec<_> = (7..27).map(|seq| message(OTHER, seq)).collect();
    model.apply(&message(OTHER, 27));
    assert_eq!(changes(&model.apply_page(OTHER, &missed, true, 27)), ["20 new messages"]);
    assert_eq!(model.chats[&OTHER].unread, 21);
}

#[test]
fn messages_counted_by_the_server_are_not_counted_again() {
    let mut model = alice();
    model.begin_listing();
    let counted = ChatSummary { unread_count: 2, ..summary(OTHER, "other", 7) };
    model.list(&[summary(TEAM, "team", 5), counted], true);
    model.apply_page(OTHER, &[message(OTHER, 6), message(OTHER, 7), message(OTHER, 8)], false, 8);
    assert_eq!(model.chats[&OTHER].unread, 3);
}

#[test]
fn model_follows_being_added_and_removed() {
    let mut model = alice();
    let chat = summary(ChatId(9), "club", 2);
    let added = json!({"actor_id": 2, "user_id": 1, "role": "member", "chat": {
        "id": 9, "kind": "group", "name": "club", "last_seq": 2, "read_seq": 0, "unread_count": 0
    }});
    let join = event(ChatId(9), 2, "join", added);
    assert_eq!(changes(&model.apply(&join)), ["bob added you"]);
    assert_eq!(model.apply(&join), [], "a repeated event adds no line");
    model.learn(&chat);
    assert_eq!(model.find("club"), Ok(ChatId(9)));
    model.opened(ChatId(9), &[], false);
    let leave = event(ChatId(9), 3, "leave", json!({"actor_id": 2, "user_id": 1, "role": "member"}));
    assert_eq!(changes(&model.apply(&leave)), ["bob removed alice"]);
    assert_eq!((model.open, model.agrees(2, 10)), (None, true));
}

#[test]
fn changes_of_a_chat_are_shown_as_sentences() {
    let mut model = alice();
    let people = |actor, user| json!({"actor_id": actor, "user_id": user, "role": "admin"});
    for (seq, kind, rest, text) in [
        (6, "join", people(3, 3), "user 3 joined"),
        (7, "role", people(2, 3), "bob made user 3 admin"),
        (8, "leave", people(2, 3), "bob removed user 3"),
        (9, "rename", json!({"actor_id": 2, "name": "crew"}), "bob renamed the chat to \"crew\""),
        (10, "archive", json!({"actor_id": 2, "archived": true}), "bob archived the chat"),
        (11, "archive", json!({"actor_id": 2, "archived": false}), "bob reopened the chat"),
    ] {
        assert_eq!(changes(&model.apply(&event(TEAM, seq, kind, rest))), [text]);
    }
    assert_eq!(model.apply(&event(TEAM, 12, "of the future", json!({"actor_id": 2}))), []);
    assert_eq!((model.title(TEAM), model.chats[&TEAM].last_seq), ("crew".into(), 12));
}

#[test]
fn chat_is_found_by_number_and_by_name() {
    let mut model = alice();
    let direct =
        json!({"id": 9, "kind": "direct", "peer": "bob", "last_seq": 2, "read_seq": 0, "unread_count": 1});
    model.learn(&serde_json::from_value(direct).unwrap());
    model.learn(&summary(ChatId(10), "Team", 1));
    model.learn(&summary(ChatId(11), "teamwork", 1));
    assert_eq!(model.entries().len(), 5);
    for (wanted, id) in
        [("1", 7), ("3", 9), ("bob", 9), ("@bob", 9), ("BOB", 9), ("team", 7), ("Team", 10), ("teamw", 11)]
    {
        assert_eq!(model.find(wanted), Ok(ChatId(id)), "{wanted}");
    }
    for wanted in ["0", "6", "nosuch", "TEAM"] {
        assert!(model.find(wanted).is_err(), "{wanted}");
    }
    model.learn(&summary(ChatId(12), "caf\u{e9} creme", 1));
    for wanted in ["cafe\u{301} creme", "CAFE\u{301} CREME", "cafe\u{301}"] {
        assert_eq!(model.find(wanted), Ok(ChatId(12)), "{wanted}");
    }
}

#[test]
fn only_unknown_people_are_asked_for() {
    let mut model = alice();
    let join = event(TEAM, 6, "join", json!({"actor_id": 2, "user_id": 3, "role": "member"}));
    assert_eq!(
        model.strangers(&[join.clone(), message(TEAM, 7)]).into_iter().collect::<Vec<_>>(),
        [UserId(3)]
    );
    model.names.insert(UserId(3), None);
    assert!(model.strangers(&[rename_by(3)]).is_empty(), "requested only once");
    assert_eq!(model.strangers(&[join]).len(), 1, "requested again after a rejoin");
}

#[test]
fn commands_apply_to_the_newest_message_on_screen() {
    let mut model = alice();
    assert_eq!(model.recent.newest(None), None);
    model.apply(&message(TEAM, 6));
    model.apply(&message(TEAM, 7));
    assert_eq!(model.recent.newest(None), Some(MessageId(7)));
    assert_eq!(model.recent.newest(Some(UserId(1))), None, "alice sent none of them");
    model.apply(&event(TEAM, 8, "delete", json!({"actor_id": 2, "message_id": 7})));
    assert_eq!(model.recent.newest(Some(UserId(2))), Some(MessageId(6)));
    model.opened(OTHER, &[], false);
    assert_eq!(model.recent.newest(None), None, "messages of another chat are not on the screen");
}

#[test]
fn cursor_moved_by_another_device_is_applied() {
    let mut model = alice();
    model.apply(&message(OTHER, 6));
    model.moved(OTHER, 6, 0);
    assert_eq!((model.chats[&OTHER].unread, model.chats[&OTHER].read_seq), (0, 6));
    model.moved(OTHER, 3, 9);
    assert_eq!(model.chats[&OTHER].unread, 0, "an older cursor changes nothing");
}
