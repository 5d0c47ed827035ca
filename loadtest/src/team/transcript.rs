//! Compares sent messages with received events: each event once, in order, identical, members only.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::wire::{Cursor, PacketView};

/// The last received seq of each chat of a user.
pub(crate) type Cursors = HashMap<i64, Cursor>;

/// One chat of the run.
#[derive(Debug, Default)]
struct ChatTranscript {
    members: HashSet<usize>,
    /// The due time of each content, until the first member has received it.
    due: HashMap<String, Instant>,
    acknowledged: u64,
    /// The first seq, and the content and due time of each event from there on.
    first: i64,
    events: Vec<(String, Option<Instant>)>,
}

#[derive(Debug, Default)]
pub(crate) struct Transcript {
    chats: HashMap<i64, ChatTranscript>,
}

impl Transcript {
    pub(crate) fn add(&mut self, chat: i64, members: impl IntoIterator<Item = usize>) {
        let members = members.into_iter().collect();
        self.chats.insert(chat, ChatTranscript { members, ..ChatTranscript::default() });
    }

    pub(crate) fn sent(&mut self, chat: i64, content: String, due: Instant) {
        if let Some(chat) = self.chats.get_mut(&chat) {
            chat.due.insert(content, due);
        }
    }

    pub(crate) fn acknowledged(&mut self, chat: i64) {
        if let Some(chat) = self.chats.get_mut(&chat) {
            chat.acknowledged += 1;
        }
    }

    /// Records an event that `user` received; returns when its message was due.
    ///
    /// # Errors
    /// Describes an event that is lost, repeated, reordered, changed, or not for `user`.
    pub(crate) fn received(
        &mut self,
        user: usize,
        cursors: &mut Cursors,
        view: &PacketView<'_>,
    ) -> Result<Option<Instant>, String> {
        let (Some(id), Some(seq), Some(message)) = (view.chat_id, view.seq, &view.message) else {
            return Err(format!("user {user} gets {view:?}"));
        };
        let Some(chat) = self.chats.get_mut(&id).filter(|chat| chat.members.contains(&user)) else {
            return Err(format!("user {user} receives an event of chat {id} without being a member"));
        };
        if chat.events.is_empty() {
            chat.first = seq;
        }
        let cursor = cursors.entry(id).or_insert(Cursor(chat.first - 1));
        cursor.take(seq).map_err(|reason| format!("user {user} in chat {id}: {reason}"))?;
        let index = usize::try_from(seq - chat.first)
            .map_err(|_| format!("event {seq} of chat {id} precedes the first"))?;
        if index == chat.events.len() {
            let due = chat.due.remove(message.content);
            if due.is_none() {
                return Err(format!("chat {id}: {} is repeated, or was never sent", message.content));
            }
            chat.events.push((message.content.to_owned(), due));
        }
        match chat.events.get(index) {
            Some((content, due)) if content == message.content => Ok(*due),
            _ => Err(format!("event {seq} of chat {id} differs between members")),
        }
    }

    /// Returns how many users lack an acknowledged message, and how many events have no
    /// acknowledged message.
    pub(crate) fn missing<'a>(&self, users: impl Iterator<Item = (usize, &'a Cursors)>) -> (usize, u64) {
        let heads =
            |chat: &ChatTranscript| chat.first + i64::try_from(chat.events.len()).unwrap_or(i64::MAX) - 1;
        let lacks = |user: usize, cursors: &Cursors| {
            let mut own = self.chats.iter().filter(|(_, chat)| chat.members.contains(&user));
            own.any(|(id, chat)| {
                let complete =
                    u64::try_from(chat.events.len()).is_ok_and(|received| received >= chat.acknowledged);
                let has = cursors.get(id).map_or(chat.first - 1, |cursor| cursor.0);
                !complete || (!chat.events.is_empty() && has < heads(chat))
            })
        };
        let lacking = users.filter(|(user, cursors)| lacks(*user, cursors)).count();
        let received = |chat: &ChatTranscript| u64::try_from(chat.events.len()).unwrap_or(u64::MAX);
        let more = self.chats.values().map(|chat| received(chat).saturating_sub(chat.acknowledged)).sum();
        (lacking, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(chat: i64, seq: i64, content: &str) -> Vec<u8> {
        let event = serde_json::json!({"packet_type": "Event", "chat_id": chat, "seq": seq, "message": {"content": content}});
        rmp_serde::to_vec_named(&event).unwrap()
    }

    fn team() -> Transcript {
        let mut transcript = Transcript::default();
        transcript.add(7, [1, 2]);
        for content in ["a", "b"] {
            transcript.sent(7, content.to_owned(), Instant::now());
            transcript.acknowledged(7);
        }
        transcript
    }

    fn receive(
        transcript: &mut Transcript,
        user: usize,
        cursors: &mut Cursors,
        seq: i64,
        content: &str,
    ) -> Result<(), String> {
        transcript.received(user, cursors, &PacketView::of(&event(7, seq, content)).unwrap()).map(drop)
    }

    #[test]
    fn transcript_is_complete_when_members_received_all_events() {
        let (mut transcript, mut one, mut two) = (team(), Cursors::new(), Cursors::new());
        let (a, b) =
            (receive(&mut transcript, 1, &mut one, 4, "a"), receive(&mut transcript, 1, &mut one, 5, "b"));
        assert_eq!((a, b), (Ok(()), Ok(())));
        assert_eq!(
            transcript.missing([(1, &one), (2, &two)].into_iter()),
            (1, 0),
            "the other user received nothing"
        );
        receive(&mut transcript, 2, &mut two, 4, "a").unwrap();
        receive(&mut transcript, 2, &mut two, 5, "b").unwrap();
        assert_eq!(transcript.missing([(1, &one), (2, &two)].into_iter()), (0, 0));
        transcript.acknowledged(7);
        assert_eq!(transcript.missing([(1, &one), (2, &two)].into_iter()), (2, 0), "both lack a message");
    }

    #[test]
    fn transcript_rejects_repeated_lost_changed_and_foreign_events() {
        let (mut transcript, mut one, mut two) = (team(), Cursors::new(), Cursors::new());
        receive(&mut transcript, 1, &mut one, 4, "a").unwrap();
        assert!(receive(&mut transcript, 1, &mut one, 4, "a").unwrap_err().contains("again"));
        assert!(receive(&mut transcript, 1, &mut one, 6, "b").unwrap_err().contains("6 instead of 5"));
        assert!(receive(&mut transcript, 1, &mut one, 5, "a").unwrap_err().contains("is repeated"));
        assert!(receive(&mut transcript, 2, &mut two, 4, "b").unwrap_err().contains("differs"));
        assert!(
            receive(&mut transcript, 2, &mut Cursors::new(), 5, "b").unwrap_err().contains("5 instead of 4")
        );
        assert!(
            receive(&mut transcript, 3, &mut Cursors::new(), 4, "a")
                .unwrap_err()
                .contains("without being a member")
        );
    }
}
