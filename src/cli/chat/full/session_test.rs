//! Sessions that refuse, fall behind or end.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyModifiers};
use serde_json::json;
use tokio::time::Instant;

use super::inbox::Loading;
use super::model::{Asked, Connection, Model, Order, Pane, Then};
use super::support_test::{
    OTHER, TEAM, alice, event, key, message, packet, said, screen, sent, type_text, welcome, with,
};
use crate::cli::chat::rest::RestError;
use crate::domain::ids::{ChatId, UserId};
use crate::protocol::answer::ReceivedPacket;
use crate::protocol::packet::MessagePacket;

fn nack(code: &str) -> ReceivedPacket {
    packet(json!({"packet_type": "Ack", "success": false, "code": code, "error": "no"}))
}

/// Returns the packets of a type that are ordered at a time.
fn sent_at(model: &mut Model, packet_type: &str, now: Instant) -> Vec<(MessagePacket, Asked)> {
    model.pump(now);
    let mut found = Vec::new();
    model.orders.retain(|order| match order {
        Order::Send(packet, asked) if packet.packet_type == packet_type => {
            found.push(((**packet).clone(), asked.clone()));
            false
        }
        _ => true,
    });
    found
}

fn chats(ids: &[i64], has_more: bool) -> ReceivedPacket {
    let chat = |id: &i64| json!({"id": id, "kind": "group", "name": format!("g{id}"), "last_seq": 10, "read_seq": 10, "unread_count": 0});
    packet(
        json!({"packet_type": "Chats", "chats": ids.iter().map(chat).collect::<Vec<_>>(), "has_more": has_more}),
    )
}

/// A client whose `GetChats` was refused waited for the list without end.
#[test]
fn refused_list_of_chats_is_requested_again() {
    let mut alice = super::support_test::model(super::kept::Kept::default());
    let mut first = welcome(5, 10);
    first.has_more = true;
    alice.welcomed(&first);
    let mut now = Instant::now();
    assert_eq!(sent_at(&mut alice, "GetChats", now)[0].0.after_chat_id, Some(OTHER));
    for code in ["overloaded", "internal", "bad_request"] {
        alice.packet(nack(code), Some(Asked::Chats), now);
        assert!(alice.note.as_ref().is_some_and(|note| note.text.contains(code)));
        assert!(sent_at(&mut alice, "GetChats", now).is_empty() && !alice.ready);
        let due = alice.next_due(now).unwrap();
        assert!(due > now);
        now = due.max(now + Duration::from_secs(60));
        assert_eq!(sent_at(&mut alice, "GetChats", now)[0].0.after_chat_id, Some(OTHER));
    }
    alice.packet(chats(&[9], false), Some(Asked::Chats), now);
    assert!(alice.ready && alice.store.chats.len() == 3);
}

#[test]
fn refused_resume_is_sent_again() {
    let mut alice = alice();
    let mut now = Instant::now();
    alice.event(&said(TEAM, 13, 2, "after a gap"));
    let (resume, asked) = sent_at(&mut alice, "Resume", now).remove(0);
    assert_eq!(resume.cursors.unwrap().get(&TEAM), Some(&10));
    alice.packet(nack("rate_limited"), Some(asked), now);
    assert!(sent_at(&mut alice, "Resume", now).is_empty());
    assert!(alice.next_due(now).is_some_and(|due| due > now));
    now += Duration::from_secs(60);
    let (resume, _) = sent_at(&mut alice, "Resume", now).remove(0);
    assert_eq!(resume.cursors.unwrap().get(&TEAM), Some(&10));
}

/// The last page of the running listing ended the one that `Limited` had begun, and the chats of
/// the earlier pages were dropped.
#[test]
fn limited_during_a_listing_drops_no_chat() {
    let mut alice = alice();
    let pong = packet(json!({"packet_type": "Pong", "chats": 4, "heads_sum": 33}));
    alice.packet(pong, Some(Asked::Heartbeat), Instant::now());
    assert_eq!(sent(&mut alice, "GetChats").len(), 1);
    alice.packet(chats(&[7, 8], true), Some(Asked::Chats), Instant::now());
    assert_eq!(sent(&mut alice, "GetChats")[0].after_chat_id, Some(OTHER));
    sent(&mut alice, "Resume");
    alice.packet(packet(json!({"packet_type": "Limited"})), None, Instant::now());
    assert!(sent(&mut alice, "GetChats").is_empty(), "the running listing continues");
    let cursors = sent(&mut alice, "Resume").remove(0).cursors.unwrap();
    assert_eq!(cursors.keys().copied().collect::<Vec<_>>(), [TEAM, OTHER]);
    // Chats of later pages are not live either.
    alice.packet(chats(&[9], false), Some(Asked::Chats), Instant::now());
    let cursors = sent(&mut alice, "Resume").remove(0).cursors.unwrap();
    assert_eq!(cursors.keys().copied().collect::<Vec<_>>(), [ChatId(9)]);
    assert_eq!((alice.store.chats.len(), alice.open), (3, Some(TEAM)));
    // Without a running listing a new one begins.
    alice.packet(packet(json!({"packet_type": "Limited"})), None, Instant::now());
    assert_eq!(sent(&mut alice, "GetChats").len(), 1);
}

/// Each event requested the unknown names again until the answer arrived.
#[test]
fn names_are_requested_once_and_refusals_wait() {
    let mut alice = alice();
    alice.event(&said(TEAM, 11, 40, "from a stranger"));
    let mut now = Instant::now();
    let (_, asked) = sent_at(&mut alice, "GetUsers", now).remove(0);
    assert!(sent_at(&mut alice, "GetUsers", now).is_empty());
    alice.packet(nack("overloaded"), Some(asked), now);
    assert!(sent_at(&mut alice, "GetUsers", now).is_empty());
    now += Duration::from_secs(60);
    let (request, asked) = sent_at(&mut alice, "GetUsers", now).remove(0);
    assert_eq!(request.user_ids, Some(vec![UserId(40)]));
    alice.packet(packet(json!({"packet_type": "Users", "people": []})), Some(asked), now);
    assert!(sent_at(&mut alice, "GetUsers", now).is_empty(), "the server does not know the user");
}

/// A deadline in the past kept the client busy: a page that waits while the connection is lost, and
/// an attempt to connect while another request runs.
#[test]
fn no_deadline_passes_without_being_handled() {
    let mut alice = alice();
    let now = Instant::now();
    alice.open_chat(OTHER);
    let (_, asked) = sent_at(&mut alice, "GetEvents", now).remove(0);
    alice.packet(nack("overloaded"), Some(asked), now);
    assert!(alice.next_due(now).is_some());
    alice.disconnected("gone", now);
    let later = now + Duration::from_secs(3_600);
    for _ in 0..3 {
        alice.pump(later);
        assert!(alice.next_due(later).is_none_or(|due| due > later), "{:?}", alice.next_due(later));
    }
    assert!(matches!(alice.connection, Connection::Waiting { .. }));
    assert_eq!(alice.connect_due(false, now), None, "another request is running");
    assert_eq!(alice.connect_due(true, now), Some(now));
    alice.reconnect();
    assert_eq!(alice.connect_due(true, now), Some(now), "an attempt begins at once");
    alice.welcomed(&welcome(5, 10));
    assert_eq!(alice.connect_due(true, now), None);
}

#[test]
fn orders_of_an_earlier_history_are_not_carried_out() {
    let mut alice = alice();
    type_text(&mut alice, "one\n");
    alice.pump(Instant::now());
    type_text(&mut alice, "/invite carol\n");
    type_text(&mut alice, "/dm carol\n");
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    type_text(&mut alice, "d");
    alice.welcomed(&welcome(6, 10));
    let is_old = |order: &Order| match order {
        Order::Send(packet, _) => packet.packet_type == "SendMessage",
        Order::Rest(call) => matches!(call.then, Then::Done(_) | Then::Noted(..) | Then::Open { .. }),
        _ => false,
    };
    assert!(!alice.orders.iter().any(is_old) && alice.question.is_none() && alice.busy.is_none());
    // The answer to a message of the earlier session does not count for a new one.
    alice.hold_until = None;
    type_text(&mut alice, "two\n");
    let ack = packet(json!({"packet_type": "Ack", "success": true, "seq": 9}));
    alice.packet(ack, None, Instant::now());
    assert_eq!((alice.sending.waiting(), alice.sending.failed()), (1, 1));
}

/// Changes were shown as done although no packet was sent.
#[test]
fn changes_without_a_connection_are_not_shown_as_done() {
    let mut alice = alice();
    alice.event(&said(TEAM, 11, 1, "mine"));
    alice.disconnected("gone", Instant::now());
    let level = alice.store.chats[&TEAM].notify;
    for keys in [
        "/notify none\n",
        "/read\n",
        "/status away\n",
        "/react +1\n",
        "/delete\ny",
        "/leave\ny",
        "/invite bob\n",
        "/who\n",
        "/edit other\n",
    ] {
        alice.hold_until = None;
        type_text(&mut alice, keys);
        let note = alice.note.clone().unwrap();
        assert!(note.is_problem && note.text.starts_with("not connected"), "{keys}: {note:?}");
        alice.editor.take();
    }
    alice.hold_until = None;
    for keys in ["uy", "py", "dy"] {
        alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
        type_text(&mut alice, keys);
        assert!(alice.note.as_ref().is_some_and(|note| note.is_problem), "{keys}");
        alice.input(key(KeyCode::Esc));
    }
    assert_eq!((alice.open, alice.store.chats[&TEAM].notify, alice.orders.len()), (Some(TEAM), level, 0));
    // A change whose answer is lost.
    alice.welcomed(&welcome(5, 11));
    alice.disconnected("gone", Instant::now());
    alice.unanswered(vec![Asked::Change]);
    assert!(alice.note.as_ref().is_some_and(|note| note.text.contains("check the last change")));
}

#[test]
fn level_of_notifications_changes_with_the_answer() {
    let mut alice = alice();
    type_text(&mut alice, "/notify none\n");
    let call = alice.next_call().unwrap();
    let refusal = RestError::Failed { status: Some(503), reason: "busy".into() };
    let before = alice.store.chats[&TEAM].notify;
    alice.answered(call.then.clone(), Err(refusal));
    assert_eq!(alice.store.chats[&TEAM].notify, before);
    alice.answered(call.then, Ok(json!(null)));
    assert_ne!(alice.store.chats[&TEAM].notify, before);
}

#[test]
fn inbox_that_cannot_be_read_shows_why_and_is_read_again() {
    let mut alice = alice();
    let refusal = RestError::Failed { status: Some(503), reason: "the server is busy".into() };
    alice.answered(Then::Notifications, Err(refusal));
    assert!(matches!(alice.inbox.loading, Loading::Failed(_)));
    alice.inbox.begin_loading();
    alice.answered(Then::Notifications, Ok(json!({"no": "items"})));
    let text = screen(&mut alice, 120, 24);
    assert!(!text.contains("cannot be read"));
    alice.input(key(KeyCode::F(2)));
    assert_eq!(alice.next_call().map(|call| call.then), Some(Then::Notifications));
    let refusal = RestError::Failed { status: Some(503), reason: "the server is busy".into() };
    alice.answered(Then::Notifications, Err(refusal));
    let text = screen(&mut alice, 120, 24);
    assert!(text.contains("cannot be read (F2: try again): the server is busy"), "{text}");
    alice.answered(Then::Notifications, Ok(json!({"items": []})));
    assert!(screen(&mut alice, 120, 24).contains("No notifications."));
}

/// Threads ended at their newest 100 messages.
#[test]
fn thread_is_paged_back_to_its_first_message() {
    let mut alice = alice();
    type_text(&mut alice, "/thread\n");
    let page = |first: i64, last: i64, has_more: bool| {
        let items: Vec<_> =
            (first..=last).map(|seq| message(TEAM, seq, 2, &format!("reply {seq}"))).collect();
        Ok(json!({"items": items, "has_more": has_more}))
    };
    let request = |alice: &mut Model| {
        alice.pump(Instant::now());
        alice.next_call().map(|call| (call.path, call.then))
    };
    let (path, then) = loop {
        let (path, then) = request(&mut alice).expect("a request");
        if matches!(then, Then::Thread { .. }) {
            break (path, then);
        }
    };
    assert!(path.ends_with("&limit=100"), "{path}");
    alice.answered(then, page(151, 250, true));
    assert!(screen(&mut alice, 80, 24).contains("reply 250"));
    alice.input(with(KeyCode::Up, KeyModifiers::SHIFT));
    alice.input(key(KeyCode::Home));
    assert!(screen(&mut alice, 80, 24).contains("reply 151"));
    let (path, then) = request(&mut alice).unwrap();
    assert!(path.ends_with("&before_seq=151"), "{path}");
    alice.answered(then, page(51, 150, true));
    // The place is kept; a change of an older message is applied, a new reply is loaded.
    assert!(screen(&mut alice, 80, 24).contains("reply 151"));
    alice.event(&event(TEAM, 300, "x", json!({})));
    let Pane::Thread(thread) = &mut alice.pane else { panic!() };
    let id = thread.messages[0].id;
    thread.event(&event(TEAM, 301, "delete", json!({"actor_id": 2, "message_id": id})));
    assert!(thread.messages[0].deleted);
    let (_, then) = request(&mut alice).unwrap();
    assert!(matches!(then, Then::Thread { before: None, .. }));
    alice.answered(then, page(152, 251, true));
    let Pane::Thread(thread) = &alice.pane else { panic!() };
    let seqs: Vec<_> = thread.messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (51..=251).collect::<Vec<_>>());
    alice.input(key(KeyCode::Home));
    let (_, then) = request(&mut alice).unwrap();
    alice.answered(then, page(1, 50, false));
    alice.input(key(KeyCode::Home));
    assert!(request(&mut alice).is_none(), "the thread is complete");
    assert!(screen(&mut alice, 80, 24).contains("reply 1\n"));
}
