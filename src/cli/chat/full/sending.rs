//! The user's own messages until they are part of the history: sending, kept or failed.

use tokio::time::Instant;

use super::history::History;
use super::kept::Kept;
use crate::cli::chat::outgoing::{Outgoing, Refused, Unsent};
use crate::domain::ids::{ChatId, Seq};

/// Messages that wait for the server or were not accepted.
pub(super) const UNSENT_MAX: usize = 1_000;
/// The reason of a draft whose chat the user has left. The user has never sent it.
const LEFT_DRAFT: &str = "a draft; you are no longer in this chat";

/// State of an own message that is not in the history yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Sending,
    /// Acknowledged; its event is still to come.
    Kept(Seq),
    /// The reason why it was not accepted.
    Failed(String),
}

#[derive(Debug, Default)]
pub(super) struct Sending {
    outgoing: Outgoing,
    failed: Vec<(Unsent, String)>,
    committed: Vec<(Unsent, Seq)>,
}

impl Sending {
    /// Continues with the messages that an earlier run of the client kept.
    pub(super) fn of(kept: &Kept) -> Self {
        let mut sending = Self::default();
        for (unsent, failure) in kept.messages() {
            match failure {
                Some(reason) => sending.failed.push((unsent, reason)),
                None => sending.outgoing.push(unsent),
            }
        }
        sending
    }

    pub(super) fn push(&mut self, unsent: Unsent) {
        self.outgoing.push(unsent);
    }

    pub(super) fn next(&mut self, now: Instant) -> Option<Unsent> {
        self.outgoing.next(now)
    }

    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.outgoing.paused_until()
    }

    pub(super) fn connection_lost(&mut self) {
        self.outgoing.connection_lost();
    }

    /// The message on its way is committed at `seq`.
    pub(super) fn acknowledged(&mut self, seq: Seq) {
        if let Some(sent) = self.outgoing.acknowledged() {
            self.committed.push((sent, seq));
        }
    }

    /// Handles the refusal of the message on its way; returns whether it failed for good.
    pub(super) fn refused(&mut self, code: &str, error: &str, after_ms: Option<u64>, now: Instant) -> bool {
        match self.outgoing.refused(code, after_ms, now) {
            Some(Refused::GivenUp(unsent)) => {
                self.failed.push((unsent, format!("{error} ({code})")));
                true
            }
            _ => false,
        }
    }

    /// Adds the draft of a chat that the user has left. [`Sending::retry`] does not send it.
    pub(super) fn keep_draft(&mut self, draft: Unsent) {
        self.failed.push((draft, LEFT_DRAFT.to_owned()));
    }

    /// Returns the texts that were not accepted, of all chats, each with the reason.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&Unsent, &str)> {
        self.failed.iter().map(|(unsent, reason)| (unsent, reason.as_str()))
    }

    /// Removes one of [`Sending::failures`], and returns its text.
    pub(super) fn discard_at(&mut self, index: usize) -> Option<String> {
        (index < self.failed.len()).then(|| self.failed.remove(index).0.content)
    }

    /// Returns whether so many messages wait or failed that no further one is accepted.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() + self.failed() >= UNSENT_MAX
    }

    /// The server's history was replaced, so that chat ids have other meanings: nothing may be sent
    /// without the user.
    pub(super) fn abandon(&mut self) {
        let reason = "the server's history was replaced".to_owned();
        let waiting = self.outgoing.abandon().into_iter();
        self.failed.extend(waiting.map(|unsent| (unsent, reason.clone())));
        self.committed.clear();
    }

    /// Removes committed whose event has arrived.
    pub(super) fn arrived(&mut self, chat: ChatId, last: Seq, history: &History) {
        self.committed.retain(|(sent, seq)| {
            sent.chat != chat || (*seq > last && !history.has_client_id(sent.client_id))
        });
    }

    /// Sends the failed messages of a chat again, and returns their number.
    pub(super) fn retry(&mut self, chat: ChatId) -> usize {
        let (again, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.failed)
            .into_iter()
            .partition(|(unsent, reason)| unsent.chat == chat && reason != LEFT_DRAFT);
        self.failed = rest;
        let count = again.len();
        again.into_iter().for_each(|(unsent, _)| self.outgoing.push(unsent));
        count
    }

    /// Removes the failed messages of a chat, and returns their texts.
    pub(super) fn discard(&mut self, chat: ChatId) -> Vec<String> {
        let (gone, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.failed).into_iter().partition(|(unsent, _)| unsent.chat == chat);
        self.failed = rest;
        gone.into_iter().map(|(unsent, _)| unsent.content).collect()
    }

    /// Returns the messages of a chat in the order in which they are shown.
    pub(super) fn of_chat(&self, chat: ChatId) -> Vec<(&Unsent, State)> {
        let committed = self.committed.iter().map(|(sent, seq)| (sent, State::Kept(*seq)));
        let failed = self.failed.iter().map(|(unsent, reason)| (unsent, State::Failed(reason.clone())));
        let waiting = self.outgoing.waiting().map(|unsent| (unsent, State::Sending));
        committed.chain(failed).chain(waiting).filter(|(unsent, _)| unsent.chat == chat).collect()
    }

    /// Returns the messages that are not committed yet, each with the reason if it failed.
    pub(super) fn unsent(&self) -> impl Iterator<Item = (&Unsent, Option<&str>)> {
        let failed = self.failed.iter().map(|(unsent, reason)| (unsent, Some(reason.as_str())));
        failed.chain(self.outgoing.waiting().map(|unsent| (unsent, None)))
    }

    /// Returns whether messages to a chat wait for the server.
    pub(super) fn is_sending(&self, chat: ChatId) -> bool {
        self.outgoing.waiting().any(|unsent| unsent.chat == chat)
    }

    /// Returns the number of messages that wait for the server.
    pub(super) fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    pub(super) fn failed(&self) -> usize {
        self.failed.len()
    }
}
