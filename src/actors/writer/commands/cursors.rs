//! Commands about how far people have read and received.
//!
//! Cursors only move forward. They are no events of the chat: nobody's seq moves because somebody reads.

use super::chats::load;
use crate::actors::writer::Effect;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, Need};
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{chats, messages};

/// How far somebody is in a chat. What is read is delivered too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    pub read: Option<Seq>,
    pub delivered: Option<Seq>,
}

impl Marks {
    /// The further of both.
    pub fn merge(&mut self, other: Self) {
        self.read = self.read.max(other.read);
        self.delivered = self.delivered.max(other.delivered);
    }
}

/// Moves one's cursors in a chat; backwards is no change. Answers the read cursor.
pub struct MarkRead {
    pub who: Credential,
    pub chat: ChatId,
    /// `None`: everything is read.
    pub marks: Option<Marks>,
}

impl Command for MarkRead {
    type Output = Seq;
    const NAME: &'static str = "MarkRead";
    const EFFECT: Effect = Effect::Local;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Seq> {
        tx.authenticate(self.who, Need::ChatWrite)?;
        let (chat, role) = load(tx, self.chat, self.who.user)?;
        permission::read(&chat, role)?;
        let everything = Marks { read: Some(chat.last_seq), delivered: None };
        let marks = self.marks.unwrap_or(everything);
        for (field, seq) in [("read_seq", marks.read), ("delivered_seq", marks.delivered)] {
            if seq > Some(chat.last_seq) {
                return Err(Refusal::invalid(field, "is beyond the newest event of the chat").into());
            }
        }
        advance(tx, chat.id, self.who.user, marks)?.ok_or(Refusal::NotFound("chat").into())
    }
}

/// Moves one's cursors in several chats, as far as that can be done: what nobody waits for.
pub struct MergeMarks {
    pub who: Credential,
    /// At most `limits.marks_per_command`.
    pub marks: Vec<(ChatId, Marks)>,
}

impl Command for MergeMarks {
    type Output = ();
    const NAME: &'static str = "MergeMarks";
    const EFFECT: Effect = Effect::Local;

    fn bytes(&self) -> usize {
        256 + self.marks.len() * size_of::<(ChatId, Marks)>()
    }

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, Need::ChatWrite)?;
        for (chat, marks) in self.marks.iter().take(tx.limits.marks_per_command) {
            let Some(chat) = chats::chat(tx.look(), chat.0)? else { continue };
            if marks.read.max(marks.delivered) <= Some(chat.last_seq) {
                advance(tx, chat.id, self.who.user, *marks)?;
            }
        }
        Ok(())
    }
}

/// Moves the cursors of a participant; `None` for whoever is none.
fn advance(tx: &mut Tx<'_>, chat: ChatId, user: UserId, marks: Marks) -> Execution<Option<Seq>> {
    let Some(before) = chats::participant(tx.look(), chat.0, user.0)? else { return Ok(None) };
    let mut participant = before.clone();
    if let Some(read) = marks.read.filter(|read| *read > before.read_seq) {
        participant.read_seq = read;
        participant.read_ordinal = messages::ordinal_at(tx.look(), chat.0, read)?;
    }
    participant.delivered_seq =
        before.delivered_seq.max(marks.delivered.unwrap_or(0)).max(participant.read_seq);
    let read_seq = participant.read_seq;
    if participant != before {
        chats::set_cursors(tx.write(), chat.0, &participant)?;
        tx.announce(Event::CursorsMoved { chat_id: chat, participant });
    }
    Ok(Some(read_seq))
}
