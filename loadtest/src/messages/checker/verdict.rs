//! The checks at the end of a run.

use std::collections::{BTreeSet, HashMap};

use netbit::domain::ids::{ChatId, Seq};

use super::{Answer, Checker, Fault, Faults};

impl Checker {
    /// Returns all faults. With `complete` the scenario has reached its end, and everything must
    /// have arrived; otherwise only faults that later events cannot resolve are reported.
    pub(crate) fn verdict(&self, complete: bool) -> Faults {
        let mut faults = self.faults.clone();
        self.check_senders_order(&mut faults);
        self.check_answers(complete, &mut faults);
        if complete {
            let known = self.known();
            self.check_dense(&known, &mut faults);
            self.check_sessions(&known, &mut faults);
        }
        faults
    }

    /// Checks that the seqs of a sender in a chat follow the order of sending.
    fn check_senders_order(&self, faults: &mut Faults) {
        for chat in &self.chats {
            let mut last: HashMap<usize, usize> = HashMap::new();
            for (seq, entry) in &chat.entries {
                let Some((key, _)) = entry.message else { continue };
                if let Some(before) = last.insert(key.sender, key.counter).filter(|last| *last > key.counter)
                {
                    let id = chat.id;
                    faults.add(Fault::Reordered, || {
                        format!("chat {id}, {seq}: {key} follows message {before} of the same sender")
                    });
                }
            }
        }
    }

    /// Checks that acknowledged messages match the received events, and that refused ones never
    /// arrived.
    fn check_answers(&self, complete: bool, faults: &mut Faults) {
        for (key, sent) in &self.sent_messages {
            let Some(chat) = self.chats.get(sent.chat) else { continue };
            let id = chat.id;
            match (sent.answer, sent.received_at) {
                (Answer::Unanswered, _) if complete => {
                    faults.add(Fault::Wrong, || format!("chat {id}: {key} was never answered"));
                }
                (Answer::Refused, Some(seq)) => faults
                    .add(Fault::Wrong, || format!("chat {id}: {key} was refused, and is present as {seq}")),
                (Answer::Acknowledged { message, seq }, _) => {
                    let entry = chat.entries.get(&seq);
                    if let Some(other) =
                        entry.map(|entry| entry.message).filter(|other| *other != Some((*key, message)))
                    {
                        faults.add(Fault::Wrong, || {
                            format!(
                                "chat {id}: {key} was acknowledged as {seq} ({message}), but its event is {other:?}"
                            )
                        });
                    }
                }
                _ => {}
            }
        }
    }

    /// Returns the seqs of each chat that are acknowledged or were received by any session.
    fn known(&self) -> Vec<BTreeSet<Seq>> {
        let mut known: Vec<BTreeSet<Seq>> =
            self.chats.iter().map(|chat| chat.entries.keys().copied().collect()).collect();
        for sent in self.sent_messages.values() {
            if let (Answer::Acknowledged { seq, .. }, Some(known)) = (sent.answer, known.get_mut(sent.chat)) {
                known.insert(seq);
            }
        }
        known
    }

    fn check_dense(&self, known: &[BTreeSet<Seq>], faults: &mut Faults) {
        for (chat, known) in self.chats.iter().zip(known) {
            let mut last = chat.base;
            for seq in known {
                if *seq != last + 1 {
                    let id = chat.id;
                    faults.add(Fault::Gap, || format!("chat {id}: after {last} comes {seq}"));
                }
                last = *seq;
            }
        }
    }

    fn check_sessions(&self, known: &[BTreeSet<Seq>], faults: &mut Faults) {
        for session in self.sessions.iter().filter(|session| session.reading) {
            for (index, ((chat, known), head)) in self.chats.iter().zip(known).zip(&session.heads).enumerate()
            {
                let jumped =
                    session.missing.range((index, Seq::MIN)..=(index, Seq::MAX)).map(|(_, seq)| *seq);
                let later = known.range(head.saturating_add(1)..).copied();
                // A seq that no session has is a gap of the chat, not a loss of this session.
                for seq in jumped.filter(|seq| known.contains(seq)).chain(later) {
                    faults.add(Fault::Lost, || {
                        format!("{}, chat {}: {seq} never arrived", session.name, chat.id)
                    });
                }
            }
        }
        for session in self.sessions.iter().filter(|session| !session.reading) {
            if let Some((index, seq)) = session.missing.first() {
                let id = self.chats.get(*index).map_or(ChatId(0), |chat| chat.id);
                faults.add(Fault::Lost, || {
                    format!(
                        "{}, which did not read, chat {id}: {seq} is missing among the received events",
                        session.name
                    )
                });
            }
        }
    }
}
