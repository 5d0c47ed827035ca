//! The list of messages that the server found.

use ratatui::crossterm::event::{KeyCode, KeyModifiers};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::model::{Asked, Focus, Model, Order, Pane};
use super::support_test::{
    OTHER, TEAM, alice, key, packet, screen, sent, serve_page, type_text, welcome, with,
};
use crate::domain::ids::ChatId;
use crate::protocol::packet::MessagePacket;

fn hit(chat: ChatId, seq: i64, excerpt: &str) -> Value {
    let place = match chat {
        TEAM => json!({"id": chat, "kind": "group", "name": "team"}),
        OTHER => json!({"id": chat, "kind": "direct", "peer": "bob"}),
        _ => json!({"id": chat, "kind": "channel", "name": "elsewhere"}),
    };
    json!({
        "chat": place, "message_id": chat.0 * 1_000_000 + seq, "seq": seq, "sender_id": 2, "sender": "bob",
        "created_at": 1_700_000_000_000_i64, "excerpt": excerpt, "highlights": [[0, 4]],
    })
}

/// Returns the searches that were sent, and how their answers are handled.
fn asked(model: &mut Model) -> Vec<(MessagePacket, Asked)> {
    let mut found = Vec::new();
    model.orders.retain(|order| match order {
        Order::Send(packet, asked) if packet.packet_type == "Search" => {
            found.push(((**packet).clone(), asked.clone()));
            false
        }
        _ => true,
    });
    found
}

fn answer(model: &mut Model, asked: &Asked, hits: &[Value], next: Option<&str>) {
    let mut messages = json!({"hits": hits});
    if let Some(next) = next {
        messages["next"] = json!(next);
    }
    let results = json!({"messages": messages, "took_ms": 1});
    let found = packet(json!({"packet_type": "Found", "results": results}));
    model.packet(found, Some(asked.clone()), Instant::now());
}

/// Alice with the messages that a search has found.
fn searched(hits: &[Value], next: Option<&str>) -> Model {
    let mut alice = alice();
    type_text(&mut alice, "/search disk from:bob\n");
    let (packet, first) = asked(&mut alice).pop().unwrap();
    assert_eq!(
        (packet.q.as_deref(), packet.groups.as_deref()),
        (Some("disk from:bob"), Some("messages,code,commits"))
    );
    assert_eq!((packet.limit, packet.cursor), (Some(50), None));
    assert!(screen(&mut alice, 80, 24).contains("Loading…"));
    answer(&mut alice, &first, hits, next);
    alice
}

#[test]
fn hits_are_listed_and_enter_goes_to_the_message() {
    let mut alice = searched(&[hit(OTHER, 3, "disk of bob"), hit(TEAM, 4, "disk of the team")], None);
    let text = screen(&mut alice, 80, 24);
    assert!(
        text.contains("Found for \"disk from:bob\": 2") && text.contains("[@bob] bob: disk of bob"),
        "{text}"
    );
    alice.input(key(KeyCode::Down));
    alice.input(key(KeyCode::Down));
    alice.input(key(KeyCode::Enter));
    assert!(matches!(alice.pane, Pane::Chat));
    assert_eq!((alice.open, alice.selected, alice.focus), (Some(TEAM), Some(4), Focus::Compose));
    // The list stays: without words it is shown again, and numbers choose from it.
    type_text(&mut alice, "/search\n");
    assert!(matches!(alice.pane, Pane::Found) && asked(&mut alice).is_empty());
    assert!(screen(&mut alice, 80, 24).contains("disk of the team"));
    type_text(&mut alice, "/goto 1\n");
    assert_eq!(alice.open, Some(OTHER));
    assert_eq!(alice.jump, Some((OTHER, 3)));
    type_text(&mut alice, "/goto 3\n");
    assert!(alice.note.as_ref().unwrap().text.contains("no message 3 was found"));
}

#[test]
fn hit_that_is_not_loaded_is_requested_and_shown() {
    let (last, mut alice) = (5_000, super::support_test::model(super::kept::Kept::default()));
    alice.welcomed(&welcome(5, last));
    alice.open_chat(OTHER);
    type_text(&mut alice, "/search text\n");
    let (_, first) = asked(&mut alice).pop().unwrap();
    answer(&mut alice, &first, &[hit(TEAM, 777, "text 777")], None);
    alice.input(key(KeyCode::Enter));
    alice.pump(Instant::now());
    serve_page(&mut alice, last).expect("the page around the message is requested");
    assert_eq!(alice.selected, Some(777));
    assert!(screen(&mut alice, 80, 24).contains("text 777"));
}

#[test]
fn next_page_is_requested_at_the_end_of_the_list() {
    let mut alice = searched(&[hit(TEAM, 9, "disk 9"), hit(TEAM, 8, "disk 8")], Some("8"));
    assert!(screen(&mut alice, 80, 24).contains("Found for \"disk from:bob\": 2 and more"));
    alice.input(key(KeyCode::Down));
    let pages = asked(&mut alice);
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].0.cursor.as_deref(), Some("8"));
    assert_eq!(pages[0].0.groups.as_deref(), Some("messages"));
    alice.input(key(KeyCode::Down));
    assert!(asked(&mut alice).is_empty(), "one request at once");
    answer(&mut alice, &pages[0].1, &[hit(TEAM, 7, "disk 7")], None);
    alice.input(key(KeyCode::Down));
    assert_eq!((alice.found.hits.len(), alice.found.selected), (3, 2));
    alice.input(key(KeyCode::Down));
    assert!(asked(&mut alice).is_empty(), "nothing is left");
}

#[test]
fn late_answer_of_an_earlier_search_is_dropped() {
    let mut alice = alice();
    type_text(&mut alice, "/search one\n");
    let (_, first) = asked(&mut alice).pop().unwrap();
    type_text(&mut alice, "/search one\n");
    let (_, second) = asked(&mut alice).pop().unwrap();
    answer(&mut alice, &first, &[hit(TEAM, 3, "one early")], None);
    assert!(alice.found.hits.is_empty());
    answer(&mut alice, &second, &[hit(TEAM, 4, "one late")], None);
    assert_eq!(alice.found.hits.len(), 1);
    assert!(screen(&mut alice, 80, 24).contains("one late"));
}

#[test]
fn refused_and_lost_searches_are_reported() {
    let mut alice = alice();
    type_text(&mut alice, "/search from:\n");
    let (_, first) = asked(&mut alice).pop().unwrap();
    let error = "q from: needs a user name, such as from:alice";
    let ack = packet(json!({"packet_type": "Ack", "success": false, "code": "bad_request", "error": error}));
    alice.packet(ack, Some(first), Instant::now());
    let text = screen(&mut alice, 100, 24);
    assert!(text.contains("from: needs a user name") && !text.contains("q from:"), "{text}");
    type_text(&mut alice, "/search word\n");
    let (_, second) = asked(&mut alice).pop().unwrap();
    alice.unanswered(vec![second]);
    assert!(screen(&mut alice, 100, 24).contains("the connection was lost before the answer"));
    alice.disconnected("gone", Instant::now());
    type_text(&mut alice, "/search word\n");
    assert!(alice.note.as_ref().unwrap().text.contains("not connected"));
    assert!(sent(&mut alice, "Search").is_empty());
}

#[test]
fn message_of_a_chat_that_is_not_joined_is_not_opened() {
    let mut alice = searched(&[hit(ChatId(99), 3, "disk elsewhere")], None);
    alice.input(key(KeyCode::Enter));
    assert_eq!(alice.open, Some(TEAM));
    assert!(alice.note.as_ref().unwrap().text.contains("you are not in elsewhere: /join"));
    // A letter begins a message.
    type_text(&mut alice, "x");
    assert!(matches!(alice.pane, Pane::Chat) && alice.editor.text() == "x");
}

#[test]
fn empty_result_and_hostile_texts_are_drawn() {
    let mut alice = searched(&[], None);
    assert!(screen(&mut alice, 80, 24).contains("No message is found."));
    alice.input(key(KeyCode::Esc));
    assert!(matches!(alice.pane, Pane::Chat));
    let mut evil = hit(TEAM, 4, "a\u{1b}[2J\u{202e}b\nc");
    evil["sender"] = json!("bob\u{1b}]0;x\u{7}");
    evil["chat"]["name"] = json!("te\u{1b}[1;1Ham");
    let mut alice = searched(&[evil], None);
    for (width, height) in [(80, 24), (40, 10), (10, 3), (1, 1)] {
        assert!(!screen(&mut alice, width, height).contains(['\u{1b}', '\u{202e}', '\u{7}']));
    }
    assert!(screen(&mut alice, 80, 24).contains("[team] bob: a"));
}

#[test]
fn code_and_commits_are_listed_below_the_messages() {
    let mut alice = alice();
    type_text(&mut alice, "/search disk\n");
    let (_, first) = asked(&mut alice).pop().unwrap();
    let code = json!({"hits": [{
        "repository_id": 1, "repository": "a/b/c", "path": "src/disk.rs", "ref": "main", "commit_oid": "0",
        "line_count": 1, "lines": [{"number": 7, "text": "fn disk() {"}],
    }]});
    let results = json!({"messages": {"hits": [hit(TEAM, 4, "disk 4")]}, "code": code, "took_ms": 1});
    let found = packet(json!({"packet_type": "Found", "results": results}));
    alice.packet(found, Some(first), Instant::now());
    let text = screen(&mut alice, 80, 24);
    assert!(
        text.contains("[team] bob: disk 4") && text.contains("a/b/c src/disk.rs:7: fn disk() {"),
        "{text}"
    );
}

#[test]
fn search_of_the_open_chat_is_another() {
    let mut alice = alice();
    type_text(&mut alice, "/find text 4\n");
    assert_eq!((alice.selected, asked(&mut alice).len()), (Some(4), 0));
    alice.input(with(KeyCode::Char('f'), KeyModifiers::CONTROL));
    assert!(alice.prompt.is_some());
}
