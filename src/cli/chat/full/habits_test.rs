//! Habits of users of other chat programs: chords, sent lines, Esc, searches and scrolling.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;
use tokio::time::Instant;

use super::draft::Purpose;
use super::model::{Asked, Focus, Model, Order, Pane};
use super::support_test::{
    OTHER, TEAM, accept_messages, alice, event, key, message, model, packet, said, screen, sent, serve_page,
    type_text, welcome, with,
};
use crate::domain::ids::ChatId;

fn prompt(model: &Model) -> &str {
    model.editor.text()
}

fn mention(id: i64, chat: ChatId, seq: i64) -> serde_json::Value {
    let notification = json!({"id": id, "kind": "mention", "chat_id": chat, "seq": seq, "message_id": chat.0 * 1_000_000 + seq,
        "text": "bob named you", "created_at": "2023-11-14T22:13:20Z"});
    json!({"packet_type": "Notification", "notification": notification})
}

/// Alt-d asked to delete, Alt-p pinned for all, Ctrl-U closed the chat as unread.
#[test]
fn chords_do_not_act_as_their_letter() {
    for letter in ('a'..='z').filter(|letter| !"afjlnqcr".contains(*letter)) {
        for modifiers in [KeyModifiers::ALT, KeyModifiers::CONTROL] {
            for is_selecting in [false, true] {
                let mut alice = alice();
                type_text(&mut alice, "one two");
                if is_selecting {
                    alice.input(key(KeyCode::Esc));
                }
                alice.orders.clear();
                alice.input(with(KeyCode::Char(letter), modifiers));
                assert!(alice.orders.is_empty() && alice.question.is_none(), "{letter}");
                assert!(alice.prompt.is_none() && alice.purpose == Purpose::Message, "{letter}");
                assert_eq!(
                    (alice.focus == Focus::Navigate, alice.open),
                    (is_selecting, Some(TEAM)),
                    "{letter}"
                );
            }
        }
    }
    let mut alice = alice();
    type_text(&mut alice, "one two");
    alice.input(key(KeyCode::Home));
    alice.input(with(KeyCode::Char('d'), KeyModifiers::ALT));
    assert_eq!(prompt(&alice), " two");
}

/// Up selected a message, and the words that followed acted on it.
#[test]
fn up_brings_back_sent_lines_of_the_chat() {
    let mut alice = alice();
    type_text(&mut alice, "first\n/open bob\nto bob\n/open team\nsecond\n");
    accept_messages(&mut alice, 11);
    let mut again = model(alice.kept());
    again.welcomed(&welcome(5, 12));
    for alice in [&mut alice, &mut again] {
        let lines: Vec<_> = (0..4)
            .map(|_| {
                alice.input(key(KeyCode::Up));
                prompt(alice).to_owned()
            })
            .collect();
        assert_eq!(lines, ["second", "/open bob", "first", "first"]);
        alice.input(key(KeyCode::Down));
        assert_eq!((prompt(alice), alice.focus), ("/open bob", Focus::Compose));
        alice.input(key(KeyCode::Down));
        alice.input(key(KeyCode::Down));
        assert_eq!(prompt(alice), "");
        // A text that is being written is not replaced.
        type_text(alice, "new");
        alice.input(key(KeyCode::Up));
        assert_eq!(prompt(alice), "new");
        alice.editor.take();
    }
    // Ids of another history have other meanings.
    alice.welcomed(&welcome(6, 10));
    alice.input(key(KeyCode::Up));
    assert_eq!(prompt(&alice), "");
}

/// An Esc that was meant for a list selected a message.
#[test]
fn escape_closes_a_list_or_a_note_first() {
    let mut alice = alice();
    type_text(&mut alice, "/chats\n");
    assert!(!alice.report.is_empty());
    alice.input(key(KeyCode::Esc));
    assert_eq!((alice.report.is_empty(), alice.focus), (true, Focus::Compose));
    alice.problem("a note");
    alice.input(key(KeyCode::Esc));
    assert_eq!((alice.note.is_none(), alice.focus), (true, Focus::Compose));
    alice.input(key(KeyCode::Esc));
    assert_eq!(alice.focus, Focus::Navigate);
    assert!(screen(&mut alice, 80, 24).contains("select>"));
}

#[test]
fn opened_notification_leaves_keys_in_the_prompt() {
    let mut alice = alice();
    alice.packet(packet(mention(1, TEAM, 4)), None, Instant::now());
    alice.input(key(KeyCode::F(2)));
    alice.input(key(KeyCode::Enter));
    assert_eq!((alice.focus, alice.selected), (Focus::Compose, Some(4)));
    type_text(&mut alice, "pure text");
    assert_eq!(prompt(&alice), "pure text");
    // The marked message is the first one that is selected.
    alice.input(key(KeyCode::Esc));
    assert_eq!((alice.focus, alice.selected), (Focus::Navigate, Some(4)));
}

/// A search without a match threw the reader to the first message.
#[test]
fn search_without_a_match_leaves_the_screen() {
    let mut alice = alice();
    for seq in 11..=40 {
        alice.event(&said(TEAM, seq, 2, &format!("text {seq}")));
    }
    for keys in [&[][..], &[KeyCode::PageUp][..]] {
        keys.iter().for_each(|code| alice.input(key(*code)));
        let before = screen(&mut alice, 80, 12);
        alice.input(with(KeyCode::Char('f'), KeyModifiers::CONTROL));
        type_text(&mut alice, "nosuchword\n");
        assert!(alice.note.as_ref().is_some_and(|note| note.text.contains("no older match")));
        alice.input(key(KeyCode::Esc));
        assert_eq!((screen(&mut alice, 80, 12), alice.focus), (before, Focus::Compose));
    }
    // From the prompt, the newest match is found first, and lines stand above it.
    alice.input(with(KeyCode::Char('f'), KeyModifiers::CONTROL));
    type_text(&mut alice, "text 2\n");
    assert_eq!(alice.selected, Some(29));
    let text = screen(&mut alice, 80, 12);
    assert!(text.contains("text 27") && text.contains("text 29") && text.contains("text 31"), "{text}");
}

#[test]
fn running_search_is_stopped_by_escape() {
    let last = 5_000;
    let mut alice = model(super::kept::Kept::default());
    alice.welcomed(&welcome(5, last));
    alice.open_chat(TEAM);
    alice.go_to_end();
    alice.pump(Instant::now());
    serve_page(&mut alice, last);
    type_text(&mut alice, "/find nosuchword\n");
    for _ in 0..20 {
        alice.pump(Instant::now());
        serve_page(&mut alice, last).expect("a page is requested");
    }
    alice.input(key(KeyCode::Esc));
    assert_eq!((alice.focus, alice.anchor), (Focus::Compose, None));
    alice.pump(Instant::now());
    serve_page(&mut alice, last);
    assert!(screen(&mut alice, 80, 24).contains("text 5000"));
}

/// New stood above own messages, and the news were below the screen.
#[test]
fn own_messages_and_events_are_never_new() {
    let mut alice = alice();
    alice.store.read(TEAM, 10);
    alice.open_chat(OTHER);
    for seq in 11..=50 {
        alice.event(&said(TEAM, seq, 1, &format!("mine {seq}")));
    }
    alice.event(&event(TEAM, 51, "join", json!({"actor_id": 1, "user_id": 3, "role": "member"})));
    alice.event(&said(TEAM, 52, 2, "hello all"));
    alice.event(&said(TEAM, 53, 2, "hey"));
    if let Some(chat) = alice.store.chats.get_mut(&TEAM) {
        chat.read_seq = 10;
    }
    alice.open_chat(TEAM);
    alice.pump(Instant::now());
    let text = screen(&mut alice, 80, 12);
    let lines: Vec<_> = text.lines().collect();
    let new = lines.iter().position(|line| line.contains(" New ")).expect("a New line");
    assert!(lines[new + 1].contains("hello all") && text.contains("hey"), "{text}");
    // A chat without unread messages has no New line, also for messages that arrive on the screen.
    let mut alice = super::support_test::alice();
    alice.open_chat(OTHER);
    alice.event(&said(OTHER, 4, 2, "seen at once"));
    assert!(!screen(&mut alice, 80, 12).contains(" New "));
}

#[test]
fn title_counts_messages_below_the_screen() {
    let mut alice = alice();
    screen(&mut alice, 80, 8);
    alice.input(key(KeyCode::PageUp));
    assert!(!screen(&mut alice, 80, 8).contains(" new"));
    alice.event(&said(TEAM, 11, 2, "hey"));
    alice.event(&said(TEAM, 12, 1, "from another device"));
    alice.event(&said(TEAM, 13, 2, "@alice"));
    alice.packet(packet(mention(1, TEAM, 13)), None, Instant::now());
    let text = screen(&mut alice, 120, 8);
    assert!(text.contains("↓ 2 new, 1 @you"), "{text}");
    alice.input(with(KeyCode::End, KeyModifiers::CONTROL));
    assert!(!screen(&mut alice, 120, 8).contains(" new"));
}

/// Keys at the edge of the loaded page were dropped.
#[test]
fn held_page_up_continues_when_pages_arrive() {
    let (last, mut alice) = (1_000, model(super::kept::Kept::default()));
    alice.welcomed(&welcome(5, last));
    alice.open_chat(TEAM);
    alice.go_to_end();
    alice.pump(Instant::now());
    serve_page(&mut alice, last);
    screen(&mut alice, 80, 24);
    (0..20).for_each(|_| alice.input(key(KeyCode::PageUp)));
    assert!(screen(&mut alice, 120, 24).contains("Loading…"));
    while alice.scroll_rest != 0 {
        alice.pump(Instant::now());
        serve_page(&mut alice, last).expect("a page is requested");
    }
    let (seq, _) = alice.anchor.unwrap();
    assert!((580..=640).contains(&seq), "20 pages of about 19 rows: {seq}");
    // Another key ends it.
    (0..90).for_each(|_| alice.input(key(KeyCode::PageUp)));
    type_text(&mut alice, "x");
    assert_eq!(alice.scroll_rest, 0);
}

/// Alt-2 opened another chat after a new direct chat.
#[test]
fn chats_keep_their_numbers() {
    let mut alice = alice();
    assert_eq!((alice.store.number_of(OTHER), alice.store.number_of(TEAM)), (Some(1), Some(2)));
    let chat = |id: i64, peer: &str| {
        let summary = json!({"id": id, "kind": "direct", "peer": peer, "last_seq": 1, "read_seq": 0, "unread_count": 0});
        event(ChatId(id), 1, "join", json!({"actor_id": 1, "user_id": 1, "chat": summary}))
    };
    alice.event(&chat(20, "ann"));
    assert_eq!(alice.store.order().first(), Some(&ChatId(20)));
    assert_eq!((alice.store.number_of(TEAM), alice.store.number_of(ChatId(20))), (Some(2), Some(3)));
    alice.input(with(KeyCode::Char('2'), KeyModifiers::ALT));
    assert_eq!(
        (alice.open, alice.store.find("2"), alice.store.find("3")),
        (Some(TEAM), Ok(TEAM), Ok(ChatId(20)))
    );
    // A number that becomes free is given to the next chat.
    alice.event(&event(OTHER, 4, "leave", json!({"actor_id": 1, "user_id": 1})));
    assert!(alice.store.find("1").is_err());
    alice.event(&chat(21, "eve"));
    assert_eq!(alice.store.numbers, [ChatId(21), TEAM, ChatId(20)]);
    let mut again = model(alice.kept());
    again.welcomed(&welcome(5, 10));
    assert_eq!(again.store.numbers, [OTHER, TEAM], "numbers of chats that are gone are free");
}

#[test]
fn mentions_are_opened_before_other_unread_chats() {
    let mut alice = alice();
    let group =
        json!({"id": 9, "kind": "group", "name": "ops", "last_seq": 9, "read_seq": 0, "unread_count": 9});
    alice.store.learn(&serde_json::from_value(group).unwrap());
    alice.store.number();
    alice.open_chat(ChatId(9));
    alice.event(&said(OTHER, 4, 2, "psst"));
    alice.event(&said(TEAM, 11, 2, "@alice"));
    alice.packet(packet(mention(1, TEAM, 11)), None, Instant::now());
    let unread = |alice: &mut Model| {
        alice.input(with(KeyCode::Char('a'), KeyModifiers::ALT));
        alice.open
    };
    assert_eq!(unread(&mut alice), Some(TEAM));
    alice.store.read(TEAM, 11);
    assert_eq!(unread(&mut alice), Some(OTHER));
    alice.input(with(KeyCode::Char('n'), KeyModifiers::ALT));
    assert_eq!((alice.open, alice.selected, alice.focus), (Some(TEAM), Some(11), Focus::Compose));
    // A part of the name.
    alice.input(with(KeyCode::Char('j'), KeyModifiers::ALT));
    type_text(&mut alice, "o");
    assert!(screen(&mut alice, 120, 24).contains("Enter: 3:ops  1:@bob"));
    type_text(&mut alice, "\n");
    assert_eq!(alice.open, Some(ChatId(9)));
}

/// A push was shown twice, with an address that could not be opened.
#[test]
fn push_and_its_message_are_one_row() {
    let mut alice = alice();
    let push = json!({"repository_id": 1, "repository": "alice/hello/web", "ref_count": 1, "commit_count": 1,
        "refs": [{"ref": "refs/heads/main", "old": "a", "new": "b"}],
        "commits": [{"oid": "0123456789ab", "summary": "Fix it", "author": "bob"}]});
    alice.event(&event(TEAM, 11, "push", json!({"actor_id": 2, "push": push})));
    assert!(screen(&mut alice, 120, 24).contains("⇪ bob pushed 1 commit"));
    let text = "please look\npushed 1 commit to main of alice/hello/web\n- 01234567 Fix it\n/alice/hello/web/-/compare/a...b";
    let announce = |alice: &mut Model, seq: i64, sender: i64, push_seq: i64| {
        let mut said = said(TEAM, seq, sender, text);
        let metadata = serde_json::from_value(json!({"push_seq": push_seq})).unwrap();
        said.message.as_mut().unwrap().metadata = Some(metadata);
        alice.event(&said);
        screen(alice, 120, 24)
    };
    let shown = announce(&mut alice, 12, 2, 11);
    assert!(shown.contains("⇪ please look") && !shown.contains("bob pushed"), "{shown}");
    assert!(shown.contains("http://127.0.0.1:8080/alice/hello/web/-/compare/a...b"), "{shown}");
    assert_eq!(shown.matches("pushed 1 commit").count(), 1);
    // Any user can write such metadata.
    let shown = announce(&mut alice, 13, 2, 11);
    assert_eq!(shown.matches("\u{21ea}").count(), 1, "{shown}");
}

#[test]
fn selected_text_is_copied_as_it_was_written() {
    let mut alice = alice();
    let text = "fn main() {\n\t// a long line\n}";
    alice.event(&said(TEAM, 11, 2, text));
    alice.input(key(KeyCode::Esc));
    type_text(&mut alice, "y");
    assert!(matches!(alice.orders.back(), Some(Order::Copy(copied)) if copied == text));
    assert_eq!((alice.focus, alice.note.is_some()), (Focus::Navigate, true));
    alice.input(with(KeyCode::Char('l'), KeyModifiers::ALT));
    let Some(Order::Bare(bare)) = alice.orders.pop_back() else { panic!() };
    assert!(bare.contains("bob\nfn main() {\n    // a long line\n}\n"), "{bare}");
    alice.input(key(KeyCode::Char('d')));
    assert!(
        !alice.is_bare && alice.question.is_none() && matches!(alice.orders.back(), Some(Order::Repaint))
    );
}

#[test]
fn notifications_show_what_was_written() {
    let mut alice = alice();
    alice.event(&said(OTHER, 4, 2, "can you\nhelp me?"));
    alice.packet(packet(mention(1, OTHER, 4)), None, Instant::now());
    alice.packet(packet(mention(2, TEAM, 3)), None, Instant::now());
    alice.input(key(KeyCode::F(2)));
    let text = screen(&mut alice, 120, 24);
    assert!(text.contains("bob named you: can you help me?"), "{text}");
    // The other message is requested.
    let request = sent(&mut alice, "GetEvents").remove(0);
    assert_eq!((request.chat_id, request.after_seq, request.limit), (Some(TEAM), Some(2), Some(1)));
    let said = json!({"chat_id": TEAM, "seq": 3, "kind": "message", "actor_id": 2, "message": message(TEAM, 3, 2, "an older text")});
    let page =
        json!({"packet_type": "Events", "chat_id": TEAM, "events": [said], "has_more": true, "as_of": 10});
    alice.packet(packet(page), Some(Asked::Excerpt), Instant::now());
    assert!(screen(&mut alice, 120, 24).contains("bob named you: an older text"));
}

#[test]
fn list_shows_unread_chats_beyond_its_edges() {
    let mut alice = alice();
    for id in 30..60 {
        let summary = json!({"id": id, "kind": "group", "name": format!("grp-{id}"), "last_seq": 5, "read_seq": 5, "unread_count": 0});
        alice.store.learn(&serde_json::from_value(summary).unwrap());
    }
    alice.store.number();
    alice.event(&said(ChatId(31), 6, 2, "@alice"));
    alice.packet(packet(mention(1, ChatId(31), 6)), None, Instant::now());
    alice.event(&said(ChatId(58), 6, 2, "hello"));
    alice.open_chat(ChatId(45));
    let text = screen(&mut alice, 100, 12);
    let (first, last) = (text.lines().next().unwrap(), text.lines().next_back().unwrap());
    assert!(first.starts_with("↑ @1 1 more") && last.starts_with("↓ 2 more"), "{text}");
    let text = screen(&mut alice, 60, 12);
    assert!(text.contains("unread: 4@ 2 31"), "{text}");
}

#[test]
fn text_that_is_not_an_emoji_stays_in_its_prompt() {
    let mut alice = alice();
    alice.input(key(KeyCode::Esc));
    type_text(&mut alice, "+tadda\n");
    assert_eq!(alice.prompt.as_ref().map(|prompt| prompt.editor.text()), Some("tadda"));
    assert!(sent(&mut alice, "React").is_empty());
    (0..2).for_each(|_| alice.input(key(KeyCode::Backspace)));
    alice.input(key(KeyCode::Backspace));
    alice.input(key(KeyCode::Tab));
    type_text(&mut alice, "\n");
    assert_eq!(sent(&mut alice, "React").len(), 1);
    alice.input(key(KeyCode::Esc));
    type_text(&mut alice, "/react :tada:\n");
    assert_eq!(sent(&mut alice, "React").remove(0).emoji.as_deref(), Some("🎉"));
}

#[test]
fn click_selects_the_message_under_the_mouse() {
    use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
    let mut alice = alice();
    let text = screen(&mut alice, 80, 12);
    let row = text.lines().position(|line| line.ends_with("text 7")).unwrap();
    let kind = MouseEventKind::Down(MouseButton::Left);
    let row = u16::try_from(row).unwrap();
    alice.input(Event::Mouse(MouseEvent { kind, column: 40, row, modifiers: KeyModifiers::NONE }));
    assert_eq!((alice.selected, alice.focus), (Some(7), Focus::Navigate));
    alice.input(Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)));
    assert!(matches!(alice.pane, Pane::Chat));
}
