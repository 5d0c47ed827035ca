//! The screen at common and at hostile sizes.

use proptest::prelude::*;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;
use tokio::time::Instant;

use crate::cli::chat::full::model::{Connection, Model, Pane};
use crate::cli::chat::full::support_test::{
    OTHER, TEAM, alice, event, key, packet, said, screen, serve_page, type_text,
};

/// A conversation with everything that a row can have.
fn busy() -> Model {
    let mut alice = alice();
    alice.event(&said(TEAM, 11, 2, "hello @alice and @all, see `main.rs`:\n```\nfn main() {}\n```"));
    alice.event(&event(TEAM, 12, "react", json!({"actor_id": 2, "message_id": 7_000_011, "emoji": "👍"})));
    alice.event(&event(TEAM, 13, "join", json!({"actor_id": 2, "user_id": 3, "role": "member"})));
    alice.event(&said(TEAM, 14, 1, "my answer"));
    let mut reply =
        said(TEAM, 15, 2, "你好, a reply with 👩‍💻 that is long enough to be wrapped on a narrow screen");
    if let Some(message) = &mut reply.message {
        message.reply_to = Some(crate::domain::ids::MessageId(7_000_014));
    }
    alice.event(&reply);
    alice.event(&said(OTHER, 4, 2, "psst"));
    let users = json!([{"user_id": 2, "status": "away", "version": 1}]);
    alice.packet(packet(json!({"packet_type": "Presence", "users": users})), None, Instant::now());
    type_text(&mut alice, "being written");
    alice
}

#[test]
fn screen_of_80_by_24_shows_the_conversation() {
    insta::assert_snapshot!(screen(&mut busy(), 80, 24));
}

#[test]
fn screen_of_40_by_10_hides_the_list() {
    insta::assert_snapshot!(screen(&mut busy(), 40, 10));
}

#[test]
fn screen_of_200_by_50_shows_everything() {
    let text = screen(&mut busy(), 200, 50);
    let parts = [
        "Direct",
        "2· team",
        "◐ bob",
        " 1",
        "New",
        "[👍 bob]",
        "* bob added user 3",
        "my answer (1 reply: t) ✓",
        "╭ alice: my answer",
        "text 1",
        "team> being written",
    ];
    for part in parts {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn hostile_text_does_not_reach_the_terminal() {
    let mut alice = alice();
    let evil = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}evil\u{9b}31m";
    alice.event(&said(TEAM, 11, 2, evil));
    alice.event(&event(TEAM, 12, "rename", json!({"actor_id": 2, "name": evil})));
    alice.store.names.learn(crate::domain::ids::UserId(2), evil);
    alice.event(&event(TEAM, 13, "react", json!({"actor_id": 2, "message_id": 7_000_011, "emoji": evil})));
    alice.input(Event::Paste(evil.to_owned()));
    let typing = json!({"packet_type": "Typing", "chat_id": TEAM, "user_id": 2});
    alice.packet(packet(typing), None, Instant::now());
    for (width, height) in [(80, 24), (200, 50)] {
        let text = screen(&mut alice, width, height);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{9b}']), "{text:?}");
    }
}

#[test]
fn states_of_the_connection_are_shown() {
    let mut alice = alice();
    alice.disconnected("the server closed the session (shutdown)", Instant::now());
    let text = screen(&mut alice, 120, 24);
    assert!(text.contains("(Ctrl-R: now): the server closed the session (shutdown)"), "{text}");
    alice.connection = Connection::Connecting;
    type_text(&mut alice, "still possible\n");
    let text = screen(&mut alice, 120, 24);
    assert!(text.contains("connecting…") && text.contains("1 sending"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any keys at any size: the model and the view never panic.
    #[test]
    fn any_keys_at_any_size_are_drawn(
        steps in prop::collection::vec((0usize..34, 0u16..210, 0u16..60), 1..40)
    ) {
        let mut alice = busy();
        let codes = [
            KeyCode::Up, KeyCode::Down, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End,
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Backspace, KeyCode::Delete,
            KeyCode::F(1), KeyCode::F(2), KeyCode::F(3),
        ];
        for (step, width, height) in steps {
            let modifiers = [KeyModifiers::NONE, KeyModifiers::ALT, KeyModifiers::CONTROL];
            let modifiers = modifiers[usize::from(width) % modifiers.len()];
            match step {
                0..15 => alice.input(Event::Key(KeyEvent::new(codes[step], modifiers))),
                15..28 => {
                    let letter = "jkgrte+pn/@:x".as_bytes()[step - 15];
                    alice.input(Event::Key(KeyEvent::new(KeyCode::Char(char::from(letter)), modifiers)));
                }
                28 => alice.event(&said(TEAM, alice.store.chats.get(&TEAM).map_or(1, |chat| chat.last) + 1, 2, "more\n\ttext")),
                29 => alice.input(Event::Paste("one\r\ntwo\u{1b}".to_owned())),
                30 => drop(serve_page(&mut alice, 15)),
                31 if height % 2 == 0 => alice.pane = Pane::Found,
                31 => alice.pane = Pane::Inbox(usize::from(height)),
                32 => alice.input(key(KeyCode::Char(' '))),
                _ => alice.store.limited(TEAM, 20),
            }
            alice.pump(Instant::now());
            screen(&mut alice, width.max(1), height.max(1));
        }
    }
}
