//! A model of user alice (1) with bob (2), two chats and a session.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::history::Part;
use super::kept::Kept;
use super::model::{Asked, Model, Order};
use crate::cli::chat::config::Config;
use crate::domain::ids::{ChatId, Seq};
use crate::domain::message::Message;
use crate::protocol::answer::ReceivedPacket;
use crate::protocol::packet::MessagePacket;
use crate::protocol::view::EventData;

pub(super) const TEAM: ChatId = ChatId(7);
pub(super) const OTHER: ChatId = ChatId(8);
/// 2023-11-14T22:13:20Z.
const START_MS: i64 = 1_700_000_000_000;

pub(super) fn message(chat: ChatId, seq: Seq, sender: i64, content: &str) -> Message {
    let created = crate::domain::timestamp::Timestamp(START_MS + seq * 1_000);
    serde_json::from_value(json!({
        "id": chat.0 * 1_000_000 + seq, "chat_id": chat, "seq": seq, "sender_id": sender, "content": content,
        "client_id": uuid::Uuid::from_u128(u128::try_from(chat.0 * 1_000_000 + seq).unwrap()),
        "created_at": created,
    }))
    .unwrap()
}

pub(super) fn event(chat: ChatId, seq: Seq, kind: &str, rest: Value) -> EventData {
    let created = crate::domain::timestamp::Timestamp(START_MS + seq * 1_000);
    let mut value = json!({"chat_id": chat, "seq": seq, "kind": kind, "created_at": created});
    value.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

/// Returns the event of a message.
pub(super) fn said(chat: ChatId, seq: Seq, sender: i64, content: &str) -> EventData {
    event(chat, seq, "message", json!({"actor_id": sender, "message": message(chat, seq, sender, content)}))
}

pub(super) fn packet(value: Value) -> ReceivedPacket {
    serde_json::from_value(value).unwrap()
}

pub(super) fn welcome(epoch: i64, team_last: Seq) -> ReceivedPacket {
    packet(json!({
        "packet_type": "Welcome", "user_id": 1, "username": "alice", "epoch": epoch, "chats": [
            {"id": TEAM, "kind": "group", "name": "team", "last_seq": team_last, "read_seq": team_last - 2, "unread_count": 2},
            {"id": OTHER, "kind": "direct", "peer": "bob", "last_seq": 3, "read_seq": 3, "unread_count": 0},
        ],
    }))
}

pub(super) fn model(kept: Kept) -> Model {
    Model::new(Config::of_tests(), "http://127.0.0.1:8080".into(), "alice".into(), kept)
}

/// Alice after `Welcome`, with the newest of the ten events of the chat `team` on the screen.
pub(super) fn alice() -> Model {
    let mut alice = model(Kept::default());
    alice.welcomed(&welcome(5, 10));
    alice.store.names.learn(crate::domain::ids::UserId(2), "bob");
    alice.open_chat(TEAM);
    alice.pump(Instant::now());
    serve_page(&mut alice, 10);
    alice.orders.clear();
    alice
}

/// Answers the requested page of the open chat, whose events 1 to `last` are messages of bob.
pub(super) fn serve_page(model: &mut Model, last: Seq) -> Option<Part> {
    let asked = model.orders.iter().find_map(|order| match order {
        Order::Send(_, asked @ Asked::Page(..)) => Some(asked.clone()),
        _ => None,
    })?;
    model.orders.retain(|order| !matches!(order, Order::Send(_, Asked::Page(..))));
    let Asked::Page(chat, part) = asked.clone() else { return None };
    let (first, end) = match part {
        Part::Newest => ((last - 99).max(1), last),
        Part::Before(before) => ((before - 100).max(1), before - 1),
        Part::After(after) => (after + 1, (after + 100).min(last)),
    };
    let events: Vec<_> = (first..=end)
        .map(|seq| {
            json!({
                "chat_id": chat, "seq": seq, "kind": "message", "actor_id": 2,
                "created_at": crate::domain::timestamp::Timestamp(START_MS + seq * 1_000),
                "message": message(chat, seq, 2, &format!("text {seq}")),
            })
        })
        .collect();
    let has_more = if matches!(part, Part::After(_)) { end < last } else { first > 1 };
    let page = json!({"packet_type": "Events", "chat_id": chat, "events": events, "has_more": has_more, "as_of": last});
    model.packet(packet(page), Some(asked), Instant::now());
    Some(part)
}

pub(super) fn key(code: KeyCode) -> Event {
    Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

pub(super) fn with(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

/// Types text; `\n` is the Enter key.
pub(super) fn type_text(model: &mut Model, text: &str) {
    for character in text.chars() {
        let code = if character == '\n' { KeyCode::Enter } else { KeyCode::Char(character) };
        model.input(key(code));
    }
}

/// Returns the packets of a type that were ordered, and removes them.
pub(super) fn sent(model: &mut Model, packet_type: &str) -> Vec<MessagePacket> {
    model.pump(Instant::now());
    let mut found = Vec::new();
    model.orders.retain(|order| match order {
        Order::Send(packet, _) if packet.packet_type == packet_type => {
            found.push((**packet).clone());
            false
        }
        _ => true,
    });
    found
}

/// Acknowledges own messages and delivers their events, until none waits. Returns the contents in
/// the order in which they were sent, each with its chat.
pub(super) fn accept_messages(model: &mut Model, mut next_seq: Seq) -> Vec<(ChatId, String)> {
    let mut contents = Vec::new();
    loop {
        let packets = sent(model, "SendMessage");
        let Some(packet) = packets.into_iter().next() else { return contents };
        let (chat, said) = (packet.chat_id.unwrap(), packet.message.unwrap());
        contents.push((chat, said.content.unwrap()));
        let ack = self::packet(json!({"packet_type": "Ack", "success": true, "seq": next_seq}));
        model.packet(ack, Some(Asked::Message), Instant::now());
        next_seq += 1;
    }
}

/// Returns the screen as text.
pub(super) fn screen(model: &mut Model, width: u16, height: u16) -> String {
    model.input(Event::Resize(width, height));
    let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(width, height)).unwrap();
    let draw = |frame: &mut ratatui::Frame<'_>| _ = super::view::draw(model, frame);
    terminal.draw(draw).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y| {
        let (mut text, mut x) = (String::new(), 0);
        while x < width {
            let symbol = buffer.cell((x, y)).unwrap().symbol();
            text.push_str(symbol);
            x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol).max(1)).unwrap();
        }
        text.trim_end().to_owned()
    };
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}
