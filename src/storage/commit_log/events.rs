//! The events of a commit as MessagePack, with named fields: a later version may add fields.
//!
//! [`FORMAT`] is in the row. A node that reads a larger one does not know all events; it loads a
//! snapshot instead, because it does understand the rows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::event::{Change, Event};
use crate::domain::message::Message;

/// The version of the encoding: the newest that this node reads.
pub const FORMAT: i16 = 3;
/// The first version whose nodes know files in chats. Its events are those of version 1: a message
/// with files has one more field.
pub const FILES_FORMAT: i16 = 2;
/// The first version whose nodes know avatars. A user, a project and a chat have one more field.
pub const AVATARS_FORMAT: i16 = 3;
/// The first version whose nodes know objects of Git LFS. Its events are those of version 2.
pub const LFS_FORMAT: i16 = 3;
/// The oldest version of the encoding that this node writes, for nodes of the version before.
///
/// A change of the encoding raises [`FORMAT`] by 1, leaves this at the version before, and makes
/// [`encode`] write the format that all running nodes read.
pub const OLDEST_FORMAT: i16 = 1;

#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    #[error("the events of a commit cannot be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    #[error("the events of a commit cannot be decoded: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
}

/// A message is stored in the form that clients receive, which has no ordinal: the ordinals follow
/// the events, in the order of the messages.
#[derive(Serialize)]
struct Stored<'a> {
    events: &'a [Event],
    ordinals: Vec<i64>,
}

#[derive(Deserialize)]
struct Loaded {
    events: Vec<Event>,
    ordinals: Vec<i64>,
}

/// Encodes the events of a commit.
///
/// # Errors
/// [`EventsError::Encode`] for a value that MessagePack cannot represent.
pub fn encode(events: &[Event]) -> Result<Vec<u8>, EventsError> {
    let mut ordinals = Vec::new();
    for event in events {
        if let Some(message) = message_of(event) {
            ordinals.push(message.ordinal);
        }
    }
    Ok(rmp_serde::to_vec_named(&Stored { events, ordinals })?)
}

/// Decodes the events of a commit.
///
/// # Errors
/// [`EventsError::Decode`] for bytes that this version did not write.
pub fn decode(bytes: &[u8]) -> Result<Vec<Event>, EventsError> {
    let Loaded { mut events, ordinals } = rmp_serde::from_slice(bytes)?;
    let mut ordinals = ordinals.into_iter();
    for event in &mut events {
        restore_ordinal(event, &mut ordinals);
    }
    Ok(events)
}

fn message_of(event: &Event) -> Option<&Arc<Message>> {
    match event {
        Event::MessageChanged { message } => Some(message),
        Event::Chat(event) => match &event.change {
            Change::Message(message) | Change::Edit(message) => Some(message),
            _ => None,
        },
        _ => None,
    }
}

/// Sets the ordinal of the event's message, if it has one. A decoded event shares no message.
fn restore_ordinal(event: &mut Event, ordinals: &mut impl Iterator<Item = i64>) {
    let message = match event {
        Event::MessageChanged { message } => message,
        Event::Chat(event) => match Arc::get_mut(event).map(|event| &mut event.change) {
            Some(Change::Message(message) | Change::Edit(message)) => message,
            _ => return,
        },
        _ => return,
    };
    if let (Some(message), Some(ordinal)) = (Arc::get_mut(message), ordinals.next()) {
        message.ordinal = ordinal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::ChatEvent;

    #[test]
    fn messages_keep_their_ordinals() {
        let message = |ordinal| Arc::new(Message { ordinal, ..Message::example() });
        let events = [
            Event::Chat(Arc::new(ChatEvent::of_message(message(7)))),
            Event::ChatDeleted { chat_id: crate::domain::ids::ChatId(3) },
            Event::MessageChanged { message: message(9) },
        ];
        assert_eq!(decode(&encode(&events).unwrap()).unwrap(), events);
    }
}
