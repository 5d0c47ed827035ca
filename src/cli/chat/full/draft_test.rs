//! Typed text is never lost, and never acts by accident.

use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers};
use serde_json::json;
use tokio::time::Instant;

use super::ahead::bursts;
use super::decoder::Decoder;
use super::draft::Purpose;
use super::kept::Kept;
use super::model::{Asked, Focus, Model, Order, Pane, Question};
use super::support_test::{
    OTHER, TEAM, accept_messages, alice, event, key, message, model, packet, said, screen, sent, type_text,
    welcome, with,
};

fn prompt(model: &Model) -> &str {
    model.editor.text()
}

/// Alice, whose own message with seq 11 is the newest one of the team.
fn author() -> Model {
    let mut alice = alice();
    alice.event(&said(TEAM, 11, 1, "mine"));
    alice
}

/// Returns the number of orders that change something: not the notice that the user types.
fn acts(alice: &Model) -> usize {
    let is_notice = |order: &&Order| matches!(order, Order::Send(_, Asked::Aside));
    alice.orders.iter().filter(|order| !is_notice(order)).count()
}

/// Begins to edit the newest message while `draft` is in the prompt.
fn begin_edit(alice: &mut Model, draft: &str) {
    type_text(alice, draft);
    alice.input(key(KeyCode::Esc));
    type_text(alice, "e");
    assert_eq!((prompt(alice), alice.purpose), ("mine", Purpose::Edit(message(TEAM, 11, 1, "").id)));
}

fn refuse(alice: &mut Model, asked: Asked) {
    let nack = json!({"packet_type": "Ack", "success": false, "code": "forbidden", "error": "too late"});
    alice.packet(packet(nack), Some(asked), Instant::now());
}

/// Returns the purpose of the edit that was ordered, and removes the order.
fn edit_order(alice: &mut Model) -> Asked {
    let is_edit = |order: &Order| matches!(order, Order::Send(_, Asked::Edit { .. }));
    let index = alice.orders.iter().position(is_edit).expect("an edit");
    match alice.orders.remove(index) {
        Some(Order::Send(_, asked)) => asked,
        _ => unreachable!(),
    }
}

/// The draft was lost when an edit began.
#[test]
fn draft_returns_after_an_edit() {
    let mut alice = author();
    begin_edit(&mut alice, "being written");
    assert!(screen(&mut alice, 120, 24).contains("1 text returns afterwards"));
    type_text(&mut alice, "!\n");
    assert_eq!(
        sent(&mut alice, "EditMessage")[0].message.as_ref().unwrap().content.as_deref(),
        Some("mine!")
    );
    assert_eq!((prompt(&alice), alice.purpose), ("being written", Purpose::Message));
    alice.input(key(KeyCode::Esc));
    type_text(&mut alice, "e");
    alice.input(key(KeyCode::Esc));
    assert_eq!((prompt(&alice), alice.purpose), ("being written", Purpose::Message));
    type_text(&mut alice, "\n");
    assert_eq!(accept_messages(&mut alice, 12), [(TEAM, "being written".to_owned())]);
}

#[test]
fn draft_beneath_an_edit_survives_switches_and_the_end() {
    let mut alice = author();
    begin_edit(&mut alice, "being written");
    type_text(&mut alice, "!");
    alice.open_chat(OTHER);
    assert_eq!((prompt(&alice), alice.purpose, alice.beneath.len()), ("", Purpose::Message, 0));
    let mut again = model(alice.kept());
    for alice in [&mut alice, &mut again] {
        alice.welcomed(&welcome(5, 11));
        alice.open_chat(TEAM);
        assert_eq!((prompt(alice), alice.purpose), ("mine!", Purpose::Edit(message(TEAM, 11, 1, "").id)));
        alice.input(key(KeyCode::Esc));
        assert_eq!((prompt(alice), alice.purpose), ("being written", Purpose::Message));
    }
}

/// The text of an edit was lost when the server refused it, or was not reached.
#[test]
fn refused_edit_returns_to_the_prompt() {
    let mut alice = author();
    begin_edit(&mut alice, "");
    type_text(&mut alice, "!\n");
    let edit = edit_order(&mut alice);
    refuse(&mut alice, edit.clone());
    let id = message(TEAM, 11, 1, "").id;
    assert_eq!((prompt(&alice), alice.purpose), ("mine!", Purpose::Edit(id)));
    assert!(alice.note.as_ref().is_some_and(|note| note.text.contains("too late")));
    // While another text is being written, the edit waits beneath it.
    type_text(&mut alice, "\n");
    type_text(&mut alice, "new text");
    let edit = edit_order(&mut alice);
    refuse(&mut alice, edit.clone());
    assert_eq!((prompt(&alice), alice.purpose), ("new text", Purpose::Message));
    type_text(&mut alice, "\n");
    assert_eq!((prompt(&alice), alice.purpose), ("mine!", Purpose::Edit(id)));
    // In another chat, the edit is the draft of its chat.
    type_text(&mut alice, "\n");
    alice.open_chat(OTHER);
    refuse(&mut alice, edit);
    assert_eq!(prompt(&alice), "");
    alice.open_chat(TEAM);
    assert_eq!((prompt(&alice), alice.purpose), ("mine!", Purpose::Edit(id)));
}

#[test]
fn edit_without_an_answer_returns_to_the_prompt() {
    let mut alice = author();
    begin_edit(&mut alice, "");
    type_text(&mut alice, "!\n");
    // The packet was not sent yet.
    alice.disconnected("gone", Instant::now());
    assert_eq!(prompt(&alice), "mine!");
    // Without a connection the text stays.
    type_text(&mut alice, "?\n");
    assert_eq!(prompt(&alice), "mine!?");
    alice.welcomed(&welcome(5, 11));
    type_text(&mut alice, "\n");
    let edit = edit_order(&mut alice);
    alice.disconnected("gone", Instant::now());
    alice.unanswered(vec![edit]);
    assert_eq!(prompt(&alice), "mine!?");
    alice.editor.take();
    alice.purpose = Purpose::Message;
    type_text(&mut alice, "/edit a long text\n");
    assert_eq!(prompt(&alice), "/edit a long text");
}

#[test]
fn text_typed_without_a_chat_goes_along() {
    let mut alice = alice();
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    type_text(&mut alice, "uy");
    assert_eq!(alice.open, None);
    type_text(&mut alice, "for the next chat");
    alice.drafts.insert(OTHER, super::draft::Draft::new("own draft".into(), Purpose::Message));
    alice.open_chat(OTHER);
    assert_eq!(prompt(&alice), "for the next chat");
    type_text(&mut alice, "\n");
    assert_eq!(prompt(&alice), "own draft");
}

/// The first letters of a text acted on the selected message, and `c` and `q` quit.
#[test]
fn text_that_arrives_at_once_goes_to_the_prompt() {
    let feed = |alice: &mut Model, bytes: &[u8]| {
        for (event, is_text) in bursts(Decoder::default().feed(bytes)) {
            if is_text { alice.input_text(event) } else { alice.input(event) }
        }
    };
    for text in ["perhaps", "under", "do it", "right", "every", "Every one", "quit", "test", "? why"] {
        for start in [KeyCode::Esc, KeyCode::F(1), KeyCode::F(2)] {
            let mut alice = author();
            alice.input(key(start));
            feed(&mut alice, text.as_bytes());
            assert_eq!((prompt(&alice), alice.purpose), (text, Purpose::Message), "{start:?}");
            assert!(alice.question.is_none() && acts(&alice) == 0, "{text}");
        }
    }
    // A key that is held down moves.
    let mut alice = author();
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    feed(&mut alice, b"kkkk");
    assert_eq!((prompt(&alice), alice.selected), ("", Some(7)));
    // Text in a prompt or a question stays there.
    feed(&mut alice, b"/");
    feed(&mut alice, b"query");
    assert_eq!(alice.prompt.as_ref().map(|prompt| prompt.editor.text().to_owned()).as_deref(), Some("query"));
}

#[test]
fn keys_with_effects_for_others_ask_first() {
    let mut alice = author();
    for (letter, question) in [
        ('p', Question::Pin { message: message(TEAM, 11, 1, "").id, remove: false }),
        ('u', Question::Unread(TEAM, 11)),
        ('d', Question::Delete(TEAM, message(TEAM, 11, 1, "").id)),
    ] {
        alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
        alice.input(key(KeyCode::Char(letter)));
        assert_eq!(alice.question, Some(question));
        // Another letter shows that a message is being typed.
        alice.input(key(KeyCode::Char('e')));
        assert_eq!((prompt(&alice).to_owned(), &alice.question), (format!("{letter}e"), &None));
        assert_eq!((alice.focus, acts(&alice)), (Focus::Compose, 0));
        alice.editor.take();
        alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
        alice.input(key(KeyCode::Char(letter)));
        alice.input(key(KeyCode::Esc));
        assert_eq!((prompt(&alice), &alice.question, acts(&alice)), ("", &None, 0));
        alice.input(key(KeyCode::Esc));
    }
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    type_text(&mut alice, "py");
    assert_eq!(sent(&mut alice, "Pin")[0].remove, Some(false));
}

#[test]
fn letters_after_the_question_to_quit_are_text() {
    let mut alice = alice();
    let interrupt = || with(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for letter in ['c', 'q', 'i'] {
        alice.input(interrupt());
        assert_eq!(alice.question, Some(Question::Quit));
        alice.input(key(KeyCode::Char(letter)));
        assert_eq!((prompt(&alice).to_owned(), acts(&alice)), (letter.to_string(), 0));
        assert!(!alice.orders.iter().any(|order| matches!(order, Order::Quit)));
        alice.editor.take();
    }
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    type_text(&mut alice, "q");
    assert_eq!((prompt(&alice), alice.focus), ("q", Focus::Compose));
    alice.editor.take();
    alice.input(interrupt());
    alice.input(interrupt());
    assert!(alice.orders.iter().any(|order| matches!(order, Order::Quit)));
}

#[test]
fn paste_above_the_limit_is_refused_with_a_note() {
    let mut alice = alice();
    let mut decoder = Decoder::default();
    let paste = [b"\x1b[200~".to_vec(), b"/quit\r".repeat(1_600_000), b"\x1b[201~".to_vec()].concat();
    paste.chunks(4_096).flat_map(|chunk| decoder.feed(chunk)).for_each(|event| alice.input(event));
    assert!(acts(&alice) == 0 && prompt(&alice).is_empty());
    assert!(alice.note.as_ref().is_some_and(|note| note.text.contains("larger than 1 MiB")));
    // Several pastes are bounded too.
    for _ in 0..4 {
        alice.input(Event::Paste("x".repeat(1 << 20)));
    }
    assert_eq!(prompt(&alice).len(), 2 << 20);
    assert!(alice.note.as_ref().is_some_and(|note| note.text.contains("too long")));
}

#[test]
fn failed_messages_of_absent_chats_are_listed() {
    let mut alice = alice();
    type_text(&mut alice, "too late\n");
    sent(&mut alice, "SendMessage");
    refuse(&mut alice, Asked::Message);
    alice.open_chat(OTHER);
    alice.drafts.insert(TEAM, super::draft::Draft::new("half written".into(), Purpose::Message));
    alice.event(&event(TEAM, 11, "leave", json!({"actor_id": 2, "user_id": 1})));
    assert!(screen(&mut alice, 120, 24).contains("2 failed (/failed)"));
    type_text(&mut alice, "own text");
    let own = alice.editor.take();
    type_text(&mut alice, "/failed\n");
    alice.editor.set(own);
    let text = screen(&mut alice, 120, 24);
    assert!(
        text.contains("[chat 7] too late (too late (forbidden))") && text.contains("half written"),
        "{text}"
    );
    alice.input(key(KeyCode::Down));
    alice.input(key(KeyCode::Enter));
    assert_eq!((prompt(&alice), alice.beneath.len()), ("half written", 1));
    type_text(&mut alice, "\n");
    assert_eq!(prompt(&alice), "own text");
    alice.editor.take();
    type_text(&mut alice, "/failed\n");
    alice.input(key(KeyCode::Delete));
    alice.input(key(KeyCode::Delete));
    assert_eq!((alice.sending.failed(), matches!(alice.pane, Pane::Failed(_))), (0, true));
    type_text(&mut alice, "text");
    assert_eq!(prompt(&alice), "text");
    alice.editor.take();
    alice.input(with(KeyCode::Char('z'), KeyModifiers::CONTROL));
    assert_eq!(prompt(&alice), "half written");
}

#[test]
fn unsent_messages_are_bounded() {
    let mut alice = alice();
    alice.disconnected("gone", Instant::now());
    for number in 0..super::sending::UNSENT_MAX {
        type_text(&mut alice, &format!("{number}\n"));
    }
    type_text(&mut alice, "one more\n");
    assert_eq!((prompt(&alice), alice.sending.waiting()), ("one more", super::sending::UNSENT_MAX));
}

#[test]
fn draft_of_a_chat_that_is_gone_at_the_start_is_listed() {
    let mut alice = alice();
    alice
        .drafts
        .insert(crate::domain::ids::ChatId(99), super::draft::Draft::new("lost?".into(), Purpose::Message));
    let mut again = model(alice.kept());
    again.welcomed(&welcome(5, 10));
    assert_eq!(
        again.sending.failures().map(|(unsent, _)| unsent.content.as_str()).collect::<Vec<_>>(),
        ["lost?"]
    );
    assert_eq!(model(Kept::default()).kept(), Kept::default());
}

/// The text behind `/join` of a channel that the user is in was put into the former chat.
#[test]
fn input_behind_a_join_of_an_own_channel_goes_to_it() {
    let mut alice = alice();
    type_text(&mut alice, "/join bob\nhello\n");
    let call = alice.next_call().unwrap();
    alice.answered(call.then, Ok(json!({"items": []})));
    assert_eq!((alice.open, prompt(&alice)), (Some(OTHER), ""));
    assert_eq!(accept_messages(&mut alice, 20), [(OTHER, "hello".to_owned())]);
    assert!(alice.drafts.is_empty());
}

/// A text beneath came into the prompt of the chat that a command opened, and was sent there.
#[test]
fn text_beneath_stays_when_a_command_opens_a_chat() {
    let mut alice = alice();
    type_text(&mut alice, "being written");
    alice.begin_draft(String::new(), Purpose::Message);
    type_text(&mut alice, "/join bob\nhello\n");
    let call = alice.next_call().unwrap();
    alice.answered(call.then, Ok(json!({"items": []})));
    assert_eq!(accept_messages(&mut alice, 20), [(OTHER, "hello".to_owned())]);
    alice.open_chat(TEAM);
    assert_eq!(prompt(&alice), "being written");
}

/// The draft of the chat that was open by then went along with a late answer.
#[test]
fn late_answer_does_not_open_a_chat_after_a_change() {
    let mut alice = alice();
    alice.open_chat(OTHER);
    type_text(&mut alice, "for bob");
    alice.open_chat(TEAM);
    type_text(&mut alice, "/join team\n");
    let call = alice.next_call().unwrap();
    alice.open_chat(OTHER);
    alice.answered(call.then, Ok(json!({"items": []})));
    assert_eq!((alice.open, prompt(&alice)), (Some(OTHER), "for bob"));
}

/// The text behind a `/new` that was not confirmed was sent to the open chat.
#[test]
fn text_behind_an_unconfirmed_new_chat_is_not_sent() {
    let mut alice = alice();
    type_text(&mut alice, "/new team bob\nhello\n");
    assert_eq!((alice.sending.waiting(), prompt(&alice)), (0, "hello\n"));
}

/// "dynamic" deleted the selected message.
#[test]
fn burst_of_text_answers_no_question() {
    let mut alice = author();
    alice.input(key(KeyCode::Esc));
    type_text(&mut alice, "d");
    assert!(matches!(alice.question, Some(Question::Delete(..))));
    "ynamic".chars().for_each(|letter| alice.input_text(key(KeyCode::Char(letter))));
    assert_eq!((prompt(&alice), acts(&alice), alice.question.is_none()), ("dynamic", 0, true));
}

/// A draft was posted after the user joined the chat again.
#[test]
fn retry_sends_no_draft_of_a_chat_that_was_left() {
    let mut alice = alice();
    alice.open_chat(OTHER);
    type_text(&mut alice, "half a sentence");
    alice.open_chat(TEAM);
    alice.close_chat(OTHER, "you have left");
    alice.open_chat(OTHER);
    let mut again = model(alice.kept());
    again.open = Some(OTHER);
    for alice in [&mut alice, &mut again] {
        type_text(alice, "/retry\n");
        assert_eq!((alice.sending.waiting(), alice.sending.failed()), (0, 1));
    }
}
