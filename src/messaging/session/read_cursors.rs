//! Read and delivered cursors of a session, collected into few writes.
//!
//! A mark with a request id is submitted like every command. Marks without one are merged here,
//! with the furthest position kept, and written shortly after with the others. Marks that only move
//! the delivered cursor may wait longer. A crash may lose such marks: the client sends them again
//! with the next one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::actors::writer::commands::Marks;
use crate::core::limits::Limits;
use crate::domain::access::Credential;
use crate::domain::ids::ChatId;

/// Marks of a session that are not written yet.
#[derive(Default)]
pub(super) struct PendingCursors {
    who: Option<Credential>,
    chats: BTreeMap<ChatId, Marks>,
    /// Whether a write is scheduled after the short delay, and after the long one.
    soon: bool,
    later: bool,
}

/// When added marks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Now,
    After(Delay),
    /// With a write that is scheduled already.
    Scheduled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delay {
    Short,
    Long,
}

impl Delay {
    pub(super) fn duration(self, limits: &Limits) -> Duration {
        Duration::from_millis(match self {
            Self::Short => limits.mark_merge_ms,
            Self::Long => limits.delivered_merge_ms,
        })
    }
}

impl PendingCursors {
    /// Adds marks of a chat. They are written at once when `chats_max` chats have marks.
    pub(super) fn add(&mut self, who: Credential, chat: ChatId, marks: Marks, chats_max: usize) -> Write {
        let full = self.chats.len() >= chats_max;
        self.who = Some(who);
        self.chats.entry(chat).or_default().merge(marks);
        if full {
            Write::Now
        } else if marks.read.is_some() && !std::mem::replace(&mut self.soon, true) {
            Write::After(Delay::Short)
        } else if !std::mem::replace(&mut self.later, true) {
            Write::After(Delay::Long)
        } else {
            Write::Scheduled
        }
    }

    /// Records that a delay has passed.
    pub(super) fn passed(&mut self, delay: Delay) {
        match delay {
            Delay::Short => self.soon = false,
            Delay::Long => self.later = false,
        }
    }

    /// Takes all marks, if there are any.
    pub(super) fn take(&mut self) -> Option<(Credential, Vec<(ChatId, Marks)>)> {
        let marks: Vec<_> = std::mem::take(&mut self.chats).into_iter().collect();
        self.who.filter(|_| !marks.is_empty()).map(|who| (who, marks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{LoginId, UserId};

    #[test]
    fn cursors_are_written_after_the_delay_of_their_kind() {
        let who = Credential::login(UserId(1), LoginId(1), 1);
        let read = |seq| Marks { read: Some(seq), delivered: None };
        let delivered = |seq| Marks { read: None, delivered: Some(seq) };
        let mut cursors = PendingCursors::default();
        assert_eq!(cursors.take(), None);
        assert_eq!(cursors.add(who, ChatId(1), delivered(5), 2), Write::After(Delay::Long));
        assert_eq!(cursors.add(who, ChatId(1), delivered(6), 2), Write::Scheduled);
        assert_eq!(cursors.add(who, ChatId(2), read(4), 2), Write::After(Delay::Short));
        assert_eq!(cursors.add(who, ChatId(3), read(1), 2), Write::Now);
        let marks = vec![(ChatId(1), delivered(6)), (ChatId(2), read(4)), (ChatId(3), read(1))];
        assert_eq!(cursors.take(), Some((who, marks)));
        cursors.passed(Delay::Short);
        assert_eq!(cursors.add(who, ChatId(1), read(7), 2), Write::After(Delay::Short));
    }
}
