//! The model as a user meets it: keys, packets and answers in, orders and the screen out.

use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers};
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use super::draft::Purpose;
use super::kept::Kept;
use super::model::{Asked, Focus, Model, Order, Pane, Question, Then};
use super::support_test::{
    OTHER, TEAM, accept_messages, alice, event, key, message, model, packet, said, screen, sent, serve_page,
    type_text, welcome, with,
};
use crate::cli::chat::rest::RestError;
use crate::domain::message::CONTENT_BYTES_MAX;

fn prompt(model: &Model) -> &str {
    model.editor.text()
}

fn call(model: &mut Model) -> (Method, String, Then) {
    let call = model.next_call().expect("a request");
    (call.method, call.path, call.then)
}

/// Fault C10: everything behind the first Enter was lost.
#[test]
fn input_typed_before_the_connection_is_processed_in_order() {
    let mut early = model(Kept::default());
    type_text(&mut early, "one\n/open bob\ntwo\n/open team\nthree\nfour");
    assert!(early.ahead.len() > 10 && sent(&mut early, "SendMessage").is_empty());
    early.welcomed(&welcome(5, 10));
    let sent = accept_messages(&mut early, 20);
    let sent: Vec<_> = sent.iter().map(|(chat, text)| (*chat, text.as_str())).collect();
    // The first chat of the list is opened at the start.
    assert_eq!(sent, [(OTHER, "one"), (OTHER, "two"), (TEAM, "three")]);
    assert_eq!((prompt(&early), early.open), ("four", Some(TEAM)));
}

#[test]
fn input_behind_a_command_waits_for_its_answer() {
    let mut alice = alice();
    type_text(&mut alice, "/join news\nhello news\n");
    assert_eq!(prompt(&alice), "hello news");
    let (_, path, then) = call(&mut alice);
    assert_eq!(path, "/api/chats?joinable=true&limit=100");
    let news =
        json!({"id": 9, "kind": "channel", "name": "News", "last_seq": 4, "read_seq": 0, "unread_count": 4});
    alice.answered(then, Ok(json!({"items": [news]})));
    let (method, path, then) = call(&mut alice);
    assert_eq!((method, path.as_str()), (Method::PUT, "/api/chats/9/participants/alice"));
    alice.answered(then, Ok(json!(null)));
    let (_, path, then) = call(&mut alice);
    assert_eq!(path, "/api/chats/9");
    assert!(accept_messages(&mut alice, 1).is_empty());
    alice.answered(then, Ok(news));
    assert_eq!(accept_messages(&mut alice, 5), [(crate::domain::ids::ChatId(9), "hello news".to_owned())]);
}

#[test]
fn input_behind_a_failed_command_stays_in_the_prompt() {
    let mut alice = alice();
    type_text(&mut alice, "/dm nosuch\nsecret\nlines\n");
    let (_, _, then) = call(&mut alice);
    let refusal = RestError::Failed { status: Some(404), reason: "the user does not exist".into() };
    alice.answered(then, Err(refusal));
    assert_eq!(prompt(&alice), "secret\nlines\n");
    assert!(accept_messages(&mut alice, 20).is_empty());
    assert!(alice.note.as_ref().is_some_and(|note| note.is_problem));
    alice.hold_until = None;
    // Ctrl-C while a command runs brings the text back as well.
    alice.editor.take();
    type_text(&mut alice, "/dm slow\nmore\n");
    alice.input(with(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!((prompt(&alice), alice.busy.is_none()), ("more\n", true));
}

/// The text behind a command that fails at once went to the chat that was open before.
#[test]
fn input_behind_a_chat_that_does_not_exist_is_not_sent() {
    let mut alice = alice();
    type_text(&mut alice, "/open nowhere\nnot for the team\n");
    assert_eq!(prompt(&alice), "not for the team\n");
    assert!(accept_messages(&mut alice, 20).is_empty());
    assert!(alice.note.as_ref().is_some_and(|note| note.text.contains("nowhere")));
}

#[test]
fn letters_that_are_not_keys_are_not_lost() {
    let mut alice = alice();
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    type_text(&mut alice, "what");
    alice.input(key(KeyCode::F(2)));
    type_text(&mut alice, "ever");
    assert_eq!(prompt(&alice), "whatver", "e marks a notification as read");
}

#[test]
fn text_written_in_a_chat_stays_its_draft() {
    let mut alice = alice();
    type_text(&mut alice, "for the team");
    alice.input(with(KeyCode::Up, KeyModifiers::ALT));
    assert_eq!((alice.open, prompt(&alice)), (Some(OTHER), ""));
    type_text(&mut alice, "for bob");
    alice.input(with(KeyCode::Down, KeyModifiers::ALT));
    assert_eq!((alice.open, prompt(&alice)), (Some(TEAM), "for the team"));
    let mut again = model(alice.kept());
    again.welcomed(&welcome(5, 10));
    assert_eq!((again.open, prompt(&again)), (Some(TEAM), "for the team"));
    again.open_chat(OTHER);
    assert_eq!(prompt(&again), "for bob");
}

/// A command that was typed ahead was appended to the draft of the chat that was open last.
#[test]
fn input_typed_ahead_is_not_mixed_with_a_draft() {
    let mut alice = alice();
    type_text(&mut alice, "a draft");
    let mut again = model(alice.kept());
    type_text(&mut again, "/open bob\nhello\n/open team\n");
    again.welcomed(&welcome(5, 10));
    assert_eq!(accept_messages(&mut again, 20), [(OTHER, "hello".to_owned())]);
    assert_eq!((again.open, prompt(&again)), (Some(TEAM), "a draft"));
}

#[test]
fn paste_of_many_lines_is_one_message() {
    let mut alice = alice();
    let lines: Vec<_> = (0..200).map(|line| format!("line {line}")).collect();
    alice.input(Event::Paste(lines.join("\r")));
    assert!(accept_messages(&mut alice, 11).is_empty(), "a paste is not sent by itself");
    type_text(&mut alice, "\n");
    assert_eq!(accept_messages(&mut alice, 11), [(TEAM, lines.join("\n"))]);
}

#[test]
fn large_text_is_split_after_a_question_and_never_lost() {
    let mut alice = alice();
    let lines: Vec<_> = (0..3_000).map(|line| format!("line number {line:05}")).collect();
    let text = lines.join("\n");
    alice.input(Event::Paste(text.clone()));
    type_text(&mut alice, "\n");
    assert_eq!(alice.question, Some(Question::Split(4)));
    type_text(&mut alice, "n");
    assert_eq!(prompt(&alice), text);
    type_text(&mut alice, "\ny");
    let parts: Vec<_> = accept_messages(&mut alice, 11).into_iter().map(|(_, part)| part).collect();
    assert!(parts.iter().all(|part| part.len() <= CONTENT_BYTES_MAX));
    assert_eq!((parts.len(), parts.join("\n")), (4, text));
}

#[test]
fn unsent_messages_survive_with_their_client_id() {
    let mut alice = alice();
    alice.disconnected("gone", Instant::now());
    type_text(&mut alice, "written offline\n");
    assert!(alice.must_save && alice.orders.is_empty());
    let kept = alice.kept();
    let client_id = kept.messages().next().unwrap().0.client_id;
    let mut again = model(kept);
    again.welcomed(&welcome(5, 10));
    let packets = sent(&mut again, "SendMessage");
    assert_eq!(packets[0].message.as_ref().unwrap().client_id, Some(client_id));
    // The connection is lost before the answer: the same message is sent again.
    again.disconnected("gone", Instant::now());
    again.welcomed(&welcome(5, 10));
    let packets = sent(&mut again, "SendMessage");
    assert_eq!(packets[0].message.as_ref().unwrap().client_id, Some(client_id));
}

#[test]
fn nothing_is_sent_into_another_history() {
    let mut alice = alice();
    alice.disconnected("gone", Instant::now());
    type_text(&mut alice, "for the old team\nand a draft");
    alice.welcomed(&welcome(6, 10));
    assert!(accept_messages(&mut alice, 11).is_empty());
    assert_eq!(alice.sending.failed(), 1);
    assert!(prompt(&alice).contains("and a draft"));
    // The same for messages that were kept on disk.
    let mut earlier = super::support_test::alice();
    earlier.disconnected("gone", Instant::now());
    type_text(&mut earlier, "kept\n");
    let mut again = model(earlier.kept());
    again.welcomed(&welcome(6, 10));
    assert!(accept_messages(&mut again, 11).is_empty());
}

#[test]
fn own_message_shows_sending_kept_and_failed() {
    let mut alice = alice();
    type_text(&mut alice, "hello\n");
    assert!(screen(&mut alice, 80, 24).contains("hello …"));
    sent(&mut alice, "SendMessage");
    let ack = packet(json!({"packet_type": "Ack", "success": true, "seq": 11}));
    alice.packet(ack, Some(Asked::Message), Instant::now());
    assert!(screen(&mut alice, 80, 24).contains("hello ✓"));
    alice.event(&said(TEAM, 11, 1, "hello"));
    assert_eq!(screen(&mut alice, 80, 24).matches("hello ✓").count(), 1);
    type_text(&mut alice, "too late\n");
    sent(&mut alice, "SendMessage");
    let nack =
        json!({"packet_type": "Ack", "success": false, "code": "forbidden", "error": "the chat is archived"});
    alice.packet(packet(nack), Some(Asked::Message), Instant::now());
    let text = screen(&mut alice, 120, 24);
    assert!(text.contains("too late ✗ the chat is archived (forbidden): /retry or /discard"), "{text}");
    type_text(&mut alice, "/retry\n");
    assert_eq!(accept_messages(&mut alice, 12), [(TEAM, "too late".to_owned())]);
}

#[test]
fn selected_message_is_replied_to_edited_reacted_and_deleted() {
    let mut alice = alice();
    alice.event(&said(TEAM, 11, 1, "mine"));
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    assert_eq!((alice.focus, alice.selected), (Focus::Navigate, Some(11)));
    type_text(&mut alice, "e");
    assert_eq!((prompt(&alice), alice.purpose), ("mine", Purpose::Edit(message(TEAM, 11, 1, "").id)));
    type_text(&mut alice, "!\n");
    let edit = sent(&mut alice, "EditMessage").remove(0);
    assert_eq!(edit.message.unwrap().content.as_deref(), Some("mine!"));
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    type_text(&mut alice, "kr");
    assert_eq!(alice.focus, Focus::Compose);
    type_text(&mut alice, "answer\n");
    let reply = sent(&mut alice, "SendMessage").remove(0);
    assert_eq!(reply.message.unwrap().reply_to, Some(message(TEAM, 10, 2, "").id));
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    type_text(&mut alice, "+:tada:\n");
    assert_eq!(sent(&mut alice, "React").remove(0).emoji.as_deref(), Some("🎉"));
    alice.input(key(KeyCode::Delete));
    type_text(&mut alice, "n");
    assert!(sent(&mut alice, "DeleteMessage").is_empty());
    type_text(&mut alice, "dy");
    assert_eq!(sent(&mut alice, "DeleteMessage").len(), 1);
    type_text(&mut alice, "t");
    assert!(matches!(alice.pane, Pane::Thread(_)));
}

#[test]
fn rows_that_arrive_do_not_move_what_is_read() {
    let mut alice = alice();
    alice.list_hidden = true;
    screen(&mut alice, 80, 12);
    alice.input(key(KeyCode::PageUp));
    let before = screen(&mut alice, 80, 12);
    assert!(before.contains("text 3") && !before.contains("text 10"), "{before}");
    alice.event(&said(TEAM, 11, 2, "new"));
    let after = screen(&mut alice, 80, 12);
    assert!(after.lines().next().is_some_and(|title| title.contains("↓ 1 new")), "{after}");
    assert!(after.lines().skip(1).eq(before.lines().skip(1)), "{after}");
    alice.input(with(KeyCode::End, KeyModifiers::CONTROL));
    assert!(screen(&mut alice, 80, 12).contains("new"));
    // The first row does not leave the top.
    for _ in 0..10 {
        alice.input(key(KeyCode::PageUp));
    }
    let top = screen(&mut alice, 80, 12);
    assert!(top.contains("beginning of the chat") && top.contains("text 1\n"), "{top}");
}

#[test]
fn chat_with_many_unread_messages_opens_at_the_first() {
    let mut alice = alice();
    alice.open_chat(OTHER);
    for seq in 11..=60 {
        alice.event(&said(TEAM, seq, 2, &format!("text {seq}")));
    }
    alice.orders.clear();
    alice.open_chat(TEAM);
    alice.pump(Instant::now());
    serve_page(&mut alice, 60);
    let text = screen(&mut alice, 80, 24);
    assert!(text.contains(" New ") && text.contains("text 9\n") && !text.contains("text 60"), "{text}");
    assert!(sent(&mut alice, "Mark").is_empty() && alice.focus == Focus::Compose);
    type_text(&mut alice, "hello\n");
    assert!(screen(&mut alice, 80, 24).contains("text 60"));
}

#[test]
fn search_goes_through_the_whole_history_in_bounded_memory() {
    let (last, mut alice) = (5_000, model(Kept::default()));
    alice.welcomed(&welcome(5, last));
    alice.open_chat(TEAM);
    alice.pump(Instant::now());
    serve_page(&mut alice, last);
    alice.input(with(KeyCode::Char('f'), KeyModifiers::CONTROL));
    type_text(&mut alice, "TEXT 77\n");
    let mut pages = 0;
    while alice.search.as_ref().unwrap().is_running {
        alice.pump(Instant::now());
        serve_page(&mut alice, last).expect("a page is requested");
        pages += 1;
        assert!(alice.open_state().unwrap().history.rows().len() <= super::history::ROWS_MAX);
    }
    assert_eq!((alice.selected, pages), (Some(779), 42));
    assert!(screen(&mut alice, 80, 24).contains("text 779"));
    type_text(&mut alice, "nN");
    assert_eq!(alice.selected, Some(779));
    type_text(&mut alice, "nnnnnnnnnnn");
    while alice.search.as_ref().unwrap().is_running {
        alice.pump(Instant::now());
        serve_page(&mut alice, last).expect("a page is requested");
    }
    assert_eq!(alice.selected, Some(77));
    // Back to the newest messages.
    alice.input(key(KeyCode::Esc));
    alice.pump(Instant::now());
    serve_page(&mut alice, last);
    assert!(screen(&mut alice, 80, 24).contains("text 5000"));
}

#[test]
fn chat_is_marked_as_read_only_while_its_end_is_on_the_screen() {
    let mut alice = alice();
    let reads = |model: &mut Model| -> Vec<_> {
        model.read_sent_at = None;
        sent(model, "Mark").into_iter().map(|mark| mark.read_seq).collect()
    };
    alice.event(&said(TEAM, 11, 2, "seen"));
    assert_eq!(reads(&mut alice), [Some(11)]);
    alice.input(Event::FocusLost);
    alice.event(&said(TEAM, 12, 2, "not seen"));
    assert!(reads(&mut alice).is_empty());
    alice.input(Event::FocusGained);
    assert_eq!(reads(&mut alice), [Some(12)]);
    assert!(screen(&mut alice, 80, 24).contains(" New "));
    screen(&mut alice, 80, 8);
    alice.input(key(KeyCode::PageUp));
    alice.event(&said(TEAM, 13, 2, "below the screen"));
    assert!(reads(&mut alice).is_empty());
    assert_eq!(alice.store.chats[&TEAM].unread, 1);
}

#[test]
fn bell_rings_for_notifications_unless_their_chat_is_read() {
    let mut alice = alice();
    let notification = |chat: crate::domain::ids::ChatId| {
        let notification = json!({"id": chat, "kind": "mention", "chat_id": chat, "seq": 12, "text": "bob named you",
            "created_at": "2023-11-14T22:13:20Z"});
        packet(json!({"packet_type": "Notification", "notification": notification}))
    };
    let bells = |model: &mut Model, chat| {
        model.orders.clear();
        model.packet(notification(chat), None, Instant::now());
        model.orders.iter().filter(|order| matches!(order, Order::Bell)).count()
    };
    assert_eq!((bells(&mut alice, TEAM), bells(&mut alice, OTHER)), (0, 1));
    alice.input(Event::FocusLost);
    assert_eq!(bells(&mut alice, TEAM), 1);
    assert_eq!(alice.inbox.mentions(TEAM, 10), 1);
    alice.config.bell = crate::cli::chat::config::Bell::None;
    assert_eq!(bells(&mut alice, OTHER), 0);
    let read = packet(json!({"packet_type": "NotificationsRead", "read_at": "2023-11-14T22:13:20Z"}));
    alice.packet(read, None, Instant::now());
    assert_eq!(alice.inbox.unread(), 0);
}

#[test]
fn tab_completes_users_chats_emoji_and_commands() {
    let mut alice = alice();
    for (typed, completed) in [
        ("hello @bo", "hello @bob "),
        ("see #te", "see #team "),
        (":tada", "🎉 "),
        ("/inv", "/invite "),
        ("/open te", "/open team "),
        ("/dm b", "/dm bob "),
        ("nothing", "nothing"),
    ] {
        alice.editor.take();
        type_text(&mut alice, typed);
        alice.input(key(KeyCode::Tab));
        assert_eq!(prompt(&alice), completed);
    }
    alice.editor.take();
    type_text(&mut alice, "/re");
    alice.input(key(KeyCode::Tab));
    let first = prompt(&alice).to_owned();
    alice.input(key(KeyCode::Tab));
    assert_ne!(prompt(&alice), first);
    alice.input(key(KeyCode::BackTab));
    assert_eq!(prompt(&alice), first);
}

#[test]
fn chat_that_ends_leaves_its_draft_in_the_prompt() {
    let mut alice = alice();
    type_text(&mut alice, "half written");
    alice.event(&event(TEAM, 11, "leave", json!({"actor_id": 2, "user_id": 1})));
    assert_eq!((alice.open, prompt(&alice)), (None, "half written"));
    type_text(&mut alice, "\n");
    assert_eq!(prompt(&alice), "half written", "without a chat nothing is sent");
}

#[test]
fn interrupt_empties_the_prompt_and_undo_brings_it_back() {
    let mut alice = alice();
    type_text(&mut alice, "a long text");
    alice.input(with(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(prompt(&alice), "");
    alice.input(with(KeyCode::Char('z'), KeyModifiers::CONTROL));
    assert_eq!(prompt(&alice), "a long text");
    alice.input(with(KeyCode::Char('q'), KeyModifiers::CONTROL));
    assert!(alice.orders.iter().any(|order| matches!(order, Order::Quit)));
    assert_eq!(alice.kept().drafts()[&TEAM].text, "a long text");
}

/// The thread showed a refused reply as if it were on its way.
#[test]
fn state_of_an_own_reply_is_shown_in_the_thread() {
    let mut alice = alice();
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    type_text(&mut alice, "t");
    type_text(&mut alice, "too late\n");
    assert!(screen(&mut alice, 120, 24).contains("… too late"));
    sent(&mut alice, "SendMessage");
    let nack = json!({"packet_type": "Ack", "success": false, "code": "forbidden", "error": "archived"});
    alice.packet(packet(nack), Some(Asked::Message), Instant::now());
    let text = screen(&mut alice, 120, 24);
    assert!(text.contains("✗ too late (archived (forbidden)): /retry or /discard"), "{text}");
}
