//! Checks that sent messages, acknowledgements, received events and the history agree. A plain
//! struct without clock or socket.
//!
//! It keeps one seq per session and chat, which is enough: a session with dense, ascending seqs of
//! a chat, whose event at each seq equals that of all other sessions, has received every message
//! exactly once and in order, if no message has two seqs. A check of a chat therefore holds for
//! each session.
//!
//! Invariants: [`Checker::verdict`] finds every fault that was not found earlier; a fault never
//! hides another; a late event is not a fault.

mod faults;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use netbit::domain::ids::{ChatId, MessageId, Seq};

pub(crate) use faults::{Fault, Faults};

/// A larger jump is an error rather than a gap, and its seqs are not recorded.
const JUMP_MAX: Seq = 100_000;

/// The identity of a message: its sender, and its number among the messages of this sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageKey {
    pub(crate) sender: usize,
    pub(crate) counter: usize,
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of sender {}", self.counter, self.sender)
    }
}

/// The answer to a sent message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Unanswered,
    Refused,
    Acknowledged { message: MessageId, seq: Seq },
}

#[derive(Debug)]
struct SentMessage {
    chat: usize,
    answer: Answer,
    /// The seq of the first received event.
    received_at: Option<Seq>,
}

#[derive(Debug)]
struct ReceivedEvent {
    /// `None` for an event that is not a message.
    message: Option<(MessageKey, MessageId)>,
    /// How many of the sessions that must receive everything have received it.
    received_by: usize,
}

#[derive(Debug)]
struct CheckedChat {
    id: ChatId,
    /// The last seq before the scenario.
    base: Seq,
    entries: BTreeMap<Seq, ReceivedEvent>,
}

#[derive(Debug)]
struct CheckedSession {
    name: String,
    /// The last received seq of each chat.
    heads: Vec<Seq>,
    /// Skipped seqs.
    missing: BTreeSet<(usize, Seq)>,
    /// Whether the session must receive everything. A slow reader may miss events at the end.
    reading: bool,
}

/// Describes a message of a history.
fn named(key: Option<MessageKey>) -> String {
    key.map_or_else(|| "a message that was never sent".to_owned(), |key| key.to_string())
}

/// Describes an event.
fn event(message: Option<(MessageKey, MessageId)>) -> String {
    message.map_or_else(|| "another event".to_owned(), |(key, message)| format!("{key} ({message})"))
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Checker {
    index: HashMap<ChatId, usize>,
    chats: Vec<CheckedChat>,
    sent_messages: BTreeMap<MessageKey, SentMessage>,
    sessions: Vec<CheckedSession>,
    reading_sessions: usize,
    acknowledged: usize,
    faults: Faults,
}

impl Checker {
    /// `heads` are the chats with their last seqs before the first message.
    pub(crate) fn new(heads: &[(ChatId, Seq)]) -> Self {
        let index = heads.iter().enumerate().map(|(index, (chat, _))| (*chat, index)).collect();
        let chats = heads
            .iter()
            .map(|(id, base)| CheckedChat { id: *id, base: *base, entries: BTreeMap::new() })
            .collect();
        Self { index, chats, ..Self::default() }
    }

    /// Adds a session that is a member of all chats; returns its number. With `reading` it must
    /// receive everything.
    pub(crate) fn session(&mut self, name: String, reading: bool) -> usize {
        let heads = self.chats.iter().map(|chat| chat.base).collect();
        self.sessions.push(CheckedSession { name, heads, missing: BTreeSet::new(), reading });
        self.reading_sessions += usize::from(reading);
        self.sessions.len() - 1
    }

    pub(crate) fn sent(&mut self, key: MessageKey, chat: ChatId) {
        let Some(chat) = self.index.get(&chat).copied() else {
            return self.faults.add(Fault::Wrong, || format!("{key} was sent to an unknown chat {chat}"));
        };
        let sent = SentMessage { chat, answer: Answer::Unanswered, received_at: None };
        if self.sent_messages.insert(key, sent).is_some() {
            self.faults.add(Fault::Doubled, || format!("{key} was sent twice by the load test itself"));
        }
    }

    pub(crate) fn acknowledged(&mut self, key: MessageKey, message: MessageId, seq: Seq) {
        self.answered(key, Answer::Acknowledged { message, seq });
    }

    /// Records that the server refused the message: it must never appear.
    pub(crate) fn refused(&mut self, key: MessageKey) {
        self.answered(key, Answer::Refused);
    }

    fn answered(&mut self, key: MessageKey, answer: Answer) {
        match self.sent_messages.get_mut(&key) {
            None => {
                self.faults.add(Fault::Wrong, || format!("{key} was answered and never sent: {answer:?}"))
            }
            Some(sent) if sent.answer == Answer::Unanswered => {
                sent.answer = answer;
                self.acknowledged += usize::from(answer != Answer::Refused);
            }
            Some(sent) => self.faults.add(Fault::Doubled, || {
                format!("{key} was answered twice: {:?}, then {answer:?}", sent.answer)
            }),
        }
    }

    /// Records a received event. Returns whether all reading sessions have now received its
    /// message.
    pub(crate) fn received(
        &mut self,
        session: usize,
        chat_id: ChatId,
        seq: Seq,
        message: Option<(MessageKey, MessageId)>,
    ) -> bool {
        let faults = &mut self.faults;
        let Some(session) = self.sessions.get_mut(session) else { return false };
        let name = &session.name;
        let index = self.index.get(&chat_id).copied();
        let Some((index, chat, head)) =
            index.and_then(|index| Some((index, self.chats.get_mut(index)?, session.heads.get_mut(index)?)))
        else {
            faults.add(Fault::Wrong, || {
                format!("{name} got an event of chat {chat_id}, which is not part of the run")
            });
            return false;
        };
        if seq > head.saturating_add(JUMP_MAX) {
            faults.add(Fault::Wrong, || format!("{name}, chat {chat_id}: {seq} arrived after {head}"));
            return false;
        } else if seq > *head {
            // Skipped seqs are counted at the end: they may be late, lost, or gaps.
            session.missing.extend((*head + 1..seq).map(|seq| (index, seq)));
            *head = seq;
        } else if session.missing.remove(&(index, seq)) {
            faults.add(Fault::Reordered, || format!("{name}, chat {chat_id}: {seq} arrived after {head}"));
        } else {
            faults
                .add(Fault::Doubled, || format!("{name}, chat {chat_id}: {seq} arrived again after {head}"));
            return false;
        }

        let entry = match chat.entries.entry(seq) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                if let Some((key, _)) = message {
                    match self.sent_messages.get_mut(&key) {
                        None => {
                            faults.add(Fault::Wrong, || format!("{name} got {key}, which was never sent"))
                        }
                        Some(sent) if sent.chat != index => faults.add(Fault::Wrong, || {
                            format!("{name} got {key} in chat {chat_id}, not where it was sent")
                        }),
                        Some(sent) => match sent.received_at.replace(seq) {
                            None => {}
                            Some(other) => faults.add(Fault::Doubled, || {
                                format!("chat {chat_id}: {key} has the seqs {other} and {seq}")
                            }),
                        },
                    }
                }
                new.insert(ReceivedEvent { message, received_by: 0 })
            }
        };
        if entry.message != message {
            faults.add(Fault::Wrong, || {
                format!(
                    "{name}, chat {chat_id}, {seq}: {} where others got {}",
                    event(message),
                    event(entry.message)
                )
            });
            return false;
        }
        entry.received_by += usize::from(session.reading);
        session.reading && message.is_some() && entry.received_by == self.reading_sessions
    }

    /// Records the sum of the last seqs of all chats, sent in order with the events: earlier events
    /// must have arrived.
    pub(crate) fn heads_sum(&mut self, session: usize, heads_sum: Seq) {
        let Some(session) = self.sessions.get_mut(session) else { return };
        let name = &session.name;
        let sum: Seq = session.heads.iter().sum();
        match heads_sum - sum {
            0 => {}
            missing @ 1.. => self.faults.add(Fault::Lost, || {
                format!("{name} received seqs that sum to {sum}, and the server reports {heads_sum}: {missing} events never arrived")
            }),
            _ => self
                .faults
                .add(Fault::Wrong, || format!("{name} received seqs that sum to {sum}, but the server reports only {heads_sum}")),
        }
        // A seq that no session has received may be a gap of the chat: the verdict decides.
        let seen = |chats: &[CheckedChat], index: usize, seq| {
            chats.get(index).is_some_and(|chat| chat.entries.contains_key(&seq))
        };
        let (chats, faults) = (&self.chats, &mut self.faults);
        session.missing.retain(|(index, seq)| {
            let lost = seen(chats, *index, *seq);
            if lost {
                let id = chats.get(*index).map_or(ChatId(0), |chat| chat.id);
                faults.add(Fault::Lost, || format!("{name}, chat {id}: {seq} never arrived"));
            }
            !lost
        });
    }

    /// Records a packet that cannot be an event of this run.
    pub(crate) fn unexpected(&mut self, session: usize, describe: impl FnOnce() -> String) {
        let name = self.sessions.get(session).map_or("an unknown session", |session| &session.name);
        self.faults.add(Fault::Wrong, || format!("{name} got {}", describe()));
    }

    /// Returns whether a fault was found.
    pub(crate) fn is_faulty(&self) -> bool {
        self.faults.total() > 0
    }

    /// Compares the history of a chat above its base, in the order of the server. Called once per
    /// chat, after all messages are answered.
    pub(crate) fn history(&mut self, chat_id: ChatId, listed: &[(Seq, MessageId, Option<MessageKey>)]) {
        let faults = &mut self.faults;
        let Some(index) = self.index.get(&chat_id).copied() else {
            return faults.add(Fault::Wrong, || format!("history of an unknown chat {chat_id}"));
        };
        let mut expected: BTreeMap<Seq, (MessageId, MessageKey)> = self
            .sent_messages
            .iter()
            .filter(|(_, sent)| sent.chat == index)
            .filter_map(|(key, sent)| match sent.answer {
                Answer::Acknowledged { message, seq } => Some((seq, (message, *key))),
                _ => None,
            })
            .collect();
        let (mut read, mut last) = (BTreeSet::new(), 0);
        for (seq, message, key) in listed.iter().copied() {
            if !read.insert(seq) {
                faults.add(Fault::Doubled, || format!("history of chat {chat_id}: {seq} is listed twice"));
                continue;
            }
            if seq < last {
                faults
                    .add(Fault::Reordered, || format!("history of chat {chat_id}: {seq} comes after {last}"));
            }
            last = last.max(seq);
            match expected.remove(&seq) {
                Some((id, who)) if id == message && Some(who) == key => {}
                Some(other) => faults.add(Fault::Wrong, || {
                    format!(
                        "history of chat {chat_id}, {seq}: {} ({message}), but {} ({}) was acknowledged",
                        named(key),
                        other.1,
                        other.0
                    )
                }),
                None => faults.add(Fault::Wrong, || {
                    format!(
                        "history of chat {chat_id}, {seq}: {} ({message}) was never acknowledged",
                        named(key)
                    )
                }),
            }
        }
        for (seq, (message, key)) in expected {
            faults.add(Fault::Lost, || {
                format!(
                    "history of chat {chat_id}: {key} ({message}) was acknowledged as {seq} and is missing"
                )
            });
        }
    }

    pub(crate) fn messages(&self) -> usize {
        self.acknowledged
    }

    /// Returns the numbers of unanswered messages and of missing deliveries, to explain why a run
    /// was aborted.
    pub(crate) fn outstanding(&self) -> (usize, usize) {
        let unanswered = self.sent_messages.values().filter(|sent| sent.answer == Answer::Unanswered).count();
        let mut undelivered = 0;
        for sent in self.sent_messages.values() {
            if let Answer::Acknowledged { seq, .. } = sent.answer {
                let entry = self.chats.get(sent.chat).and_then(|chat| chat.entries.get(&seq));
                undelivered +=
                    self.reading_sessions.saturating_sub(entry.map_or(0, |entry| entry.received_by));
            }
        }
        (unanswered, undelivered)
    }
}

#[cfg(test)]
#[path = "checker_test.rs"]
mod tests;
