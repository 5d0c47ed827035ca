//! Commands about the read and delivered cursors of users.
//!
//! Cursors move forward only, except by [`MarkUnread`]. A move is not an event of the chat: it
//! takes no seq.

use std::collections::BTreeMap;

use super::chats::load_with_participant;
use super::notifications::read_in_chats;
use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::limits::ROWS_PER_STATEMENT_MAX;
use crate::core::saturate;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::{Chat, Participant};
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{chats, messages, notifications};

/// Cursors that a user moves in a chat. A read event counts as delivered too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    pub read: Option<Seq>,
    pub delivered: Option<Seq>,
}

impl Marks {
    /// Keeps the later seq of both.
    pub fn merge(&mut self, other: Self) {
        self.read = self.read.max(other.read);
        self.delivered = self.delivered.max(other.delivered);
    }
}

/// Moves the caller's cursors in a chat. A move backwards changes nothing. Returns the read cursor.
pub struct MarkRead {
    pub who: Credential,
    pub chat: ChatId,
    /// `None`: up to the newest event.
    pub marks: Option<Marks>,
}

impl Command for MarkRead {
    type Output = Seq;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Seq> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let (chat, me) = load_with_participant(tx, self.chat, self.who.user)?;
        permission::read(&chat, me.as_ref().map(|me| me.role))?;
        let everything = Marks { read: Some(chat.last_seq), delivered: None };
        let marks = self.marks.unwrap_or(everything);
        for (field, seq) in [("read_seq", marks.read), ("delivered_seq", marks.delivered)] {
            if seq > Some(chat.last_seq) {
                return Err(Refusal::invalid(field, "is beyond the newest event of the chat").into());
            }
        }
        let me = me.ok_or(Refusal::NotFound("chat"))?;
        let moved = advance(tx, self.who.user, vec![(chat.id, me, marks)])?;
        Ok(moved.first().map_or(0, |(_, read_seq)| *read_seq))
    }
}

/// Moves the caller's cursors in several chats, skipping those where that is impossible. No client
/// waits for the result.
pub struct MergeMarks {
    pub who: Credential,
    /// At most `limits.marks_per_command`.
    pub marks: Vec<(ChatId, Marks)>,
}

impl Command for MergeMarks {
    type Output = ();
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn bytes(&self) -> usize {
        256 + self.marks.len() * size_of::<(ChatId, Marks)>()
    }

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let marks = self.marks.get(..tx.limits.marks_per_command).unwrap_or(&self.marks);
        for marks in marks.chunks(ROWS_PER_STATEMENT_MAX) {
            let chats: Vec<_> = marks.iter().map(|(chat, _)| *chat).collect();
            let found = chats::chats_of(tx.reader(), self.who.user, &chats)?;
            // A statement moves the cursors of a chat once.
            let mut merged: BTreeMap<ChatId, Marks> = BTreeMap::new();
            for (chat, marks) in marks {
                let last_seq = found.get(chat).map(|(chat, _)| chat.last_seq);
                if marks.read.max(marks.delivered) <= last_seq {
                    merged.entry(*chat).or_default().merge(*marks);
                }
            }
            let mark =
                |(chat, marks): (ChatId, Marks)| found.get(&chat).map(|(_, me)| (chat, me.clone(), marks));
            advance(tx, self.who.user, merged.into_iter().filter_map(mark).collect())?;
        }
        Ok(())
    }
}

/// Marks the messages from `from` on as unread: the read cursor moves back to before it.
pub struct MarkUnread {
    pub who: Credential,
    pub chat: ChatId,
    pub from: Seq,
    /// Verdict of the rate limiter for messages; checked only if nothing else refuses.
    pub within_rate: Result<(), Refusal>,
}

/// Maximum number of messages that are scanned for own messages, which are not unread.
const OWN_SCANNED: i64 = 1_000;

impl Command for MarkUnread {
    /// The read cursor.
    type Output = Seq;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Seq> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let me = self.who.user;
        let (chat, before) = load_with_participant(tx, self.chat, me)?;
        permission::mark(&chat, before.as_ref().map(|before| before.role))?;
        if self.from < 1 || self.from > chat.last_seq {
            return Err(Refusal::invalid("from_seq", "is not the seq of an event of the chat").into());
        }
        let before = before.ok_or(Refusal::NotFound("chat"))?;
        let seq = self.from - 1;
        if seq >= before.read_seq {
            return Ok(before.read_seq);
        }
        self.within_rate.clone()?;
        let ordinal = messages::ordinals_at(tx.reader(), &[(chat.id, seq)])?;
        let ordinal = ordinal.get(&(chat.id, seq)).copied().unwrap_or(0);
        let own = messages::own_from(tx.reader(), chat.id, me, self.from, OWN_SCANNED)?;
        let mut participant = before;
        participant.unread_from(seq, ordinal, own.into_iter().collect());
        tx.store_cursors(&[(chat.id, participant.clone())])?;
        tx.announce(Event::CursorsMovedBack { chat_id: chat.id, participant });
        Ok(seq)
    }
}

/// Marks everything as read in the next `limits.marks_per_command` chats above an id.
pub struct MarkAllRead {
    pub who: Credential,
    pub above: ChatId,
}

impl Command for MarkAllRead {
    /// The last chat, if more may follow.
    type Output = Option<ChatId>;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Option<ChatId>> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let limit = saturate::to_i64(tx.limits.marks_per_command);
        let found = chats::unread_of(tx.reader(), self.who.user, self.above, limit)?;
        for found in found.chunks(ROWS_PER_STATEMENT_MAX) {
            let mark = |(chat, me): &(Chat, Participant)| {
                (chat.id, me.clone(), Marks { read: Some(chat.last_seq), delivered: None })
            };
            advance(tx, self.who.user, found.iter().map(mark).collect())?;
        }
        let is_full = saturate::to_i64(found.len()) >= limit;
        if !is_full {
            // Joining or posting moves the read cursor, but leaves older notifications unread: read
            // them now.
            let (user, kept) = (self.who.user, tx.limits.notifications_per_user);
            let read = notifications::unread_below_cursors(tx.reader(), user, kept)?;
            let mut events = read_in_chats(tx, user, &read)?;
            for event in read.iter().filter_map(|(chat, _)| events.remove(chat)) {
                tx.announce(event);
            }
        }
        Ok(found.last().filter(|_| is_full).map(|(chat, _)| chat.id))
    }
}

/// Hides a direct chat from the caller until its next message, or shows it again.
pub struct SetHidden {
    pub who: Credential,
    pub chat: ChatId,
    pub hidden: bool,
}

impl Command for SetHidden {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let user_id = self.who.user;
        let (chat, me) = load_with_participant(tx, self.chat, user_id)?;
        permission::hide(&chat, me.as_ref().map(|me| me.role))?;
        let me = me.ok_or(Refusal::NotFound("chat"))?;
        if me.hides(chat.last_ordinal) != self.hidden {
            let ordinal = self.hidden.then_some(chat.last_ordinal);
            chats::set_hidden(tx.write(), chat.id, user_id, ordinal)?;
            tx.announce(Event::HiddenSet { chat_id: chat.id, user_id, ordinal });
        }
        Ok(())
    }
}

/// Moves the cursors of a user in chats, at most `ROWS_PER_STATEMENT_MAX`. Returns the read cursor
/// of each chat.
fn advance(
    tx: &mut Tx<'_>,
    user: UserId,
    marks: Vec<(ChatId, Participant, Marks)>,
) -> Execution<Vec<(ChatId, Seq)>> {
    let is_ahead = |(chat, before, marks): &(ChatId, Participant, Marks)| {
        marks.read.filter(|read| *read > before.read_seq).map(|read| (*chat, read))
    };
    let places: Vec<_> = marks.iter().filter_map(is_ahead).collect();
    let ordinals = messages::ordinals_at(tx.reader(), &places)?;
    let (mut moved, mut read, mut cursors) = (Vec::new(), Vec::new(), Vec::new());
    for (chat, before, marks) in marks {
        let mut participant = before.clone();
        if let Some(read) = marks.read.filter(|read| *read > before.read_seq) {
            participant.read_to(read, ordinals.get(&(chat, read)).copied().unwrap_or(0));
        }
        participant.delivered_seq =
            before.delivered_seq.max(marks.delivered.unwrap_or(0)).max(participant.read_seq);
        cursors.push((chat, participant.read_seq));
        if marks.read.is_some() {
            read.push((chat, participant.read_seq));
        }
        if participant != before {
            moved.push((chat, participant));
        }
    }
    tx.store_cursors(&moved)?;
    let mut events = read_in_chats(tx, user, &read)?;
    let mut moved = moved.into_iter().peekable();
    for (chat, _) in &cursors {
        if let Some((chat_id, participant)) = moved.next_if(|(moved, _)| moved == chat) {
            tx.announce(Event::CursorsMoved { chat_id, participant });
        }
        if let Some(event) = events.remove(chat) {
            tx.announce(event);
        }
    }
    Ok(cursors)
}
