//! The record of a history: the requests of the clients and their answers, by which the judge
//! decides.

use std::collections::{BTreeMap, HashMap, HashSet};

/// The place of a message: its chat and its seq.
type Place = (i64, i64);

/// The outcome of a message, found by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// The outcome is unknown so far.
    Open,
    Acknowledged {
        place: Place,
        id: i64,
    },
    Refused,
}

#[derive(Default)]
pub(crate) struct Record {
    fates: HashMap<String, Fate>,
    /// Every message that any client saw in any chat.
    seen: HashMap<Place, i64>,
    /// The largest acknowledged seq of each chat.
    heads: BTreeMap<i64, i64>,
    pub(crate) operations: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
}

impl Record {
    pub(crate) fn said(&mut self, content: &str) {
        self.fates.entry(content.to_owned()).or_insert(Fate::Open);
    }

    pub(crate) fn acknowledged(&mut self, content: &str, chat: i64, seq: i64, id: i64) {
        let place = (chat, seq);
        let fate = self.fates.get_mut(content).unwrap();
        assert_ne!(*fate, Fate::Refused, "{content} was refused and is now acknowledged");
        if let Fate::Acknowledged { place: before, id: id_before } = *fate {
            assert_eq!((before, id_before), (place, id), "{content} is acknowledged as two messages");
        }
        *fate = Fate::Acknowledged { place, id };
        self.saw(chat, seq, id);
        let head = self.heads.entry(chat).or_default();
        *head = seq.max(*head);
        self.acknowledged += 1;
        self.operations += 1;
    }

    /// Records that the message will not be sent again, so it must not be stored.
    pub(crate) fn refused(&mut self, content: &str) {
        let fate = self.fates.get_mut(content).unwrap();
        assert_eq!(*fate, Fate::Open, "{content} was refused although it was acknowledged");
        *fate = Fate::Refused;
        self.refused += 1;
        self.operations += 1;
    }

    /// Records that a client saw message `id` at `seq`; every client must see the same message
    /// there.
    pub(crate) fn saw(&mut self, chat: i64, seq: i64, id: i64) {
        let known = *self.seen.entry((chat, seq)).or_insert(id);
        assert_eq!(known, id, "two messages at {seq} of chat {chat}");
    }

    /// Returns the smallest seq that a read that starts now must include: the largest acknowledged
    /// seq, or the largest one that the reader has seen.
    pub(crate) fn floor(&self, chat: i64, known: i64) -> i64 {
        self.heads.get(&chat).copied().unwrap_or(0).max(known)
    }

    pub(crate) fn read(&mut self) {
        self.operations += 1;
    }

    /// Compares the record with the final content of the server: `(chat, seq) -> (id, content)`.
    pub(crate) fn judge(&self, stored: &BTreeMap<Place, (i64, String)>) {
        let mut contents = HashSet::new();
        for (id, content) in stored.values() {
            assert!(contents.insert(content.as_str()), "doubled: {content} ({id})");
            let fate = self.fates.get(content.as_str());
            assert!(fate.is_some_and(|fate| *fate != Fate::Refused), "{content} is stored: {fate:?}");
        }
        for (content, fate) in &self.fates {
            match fate {
                Fate::Acknowledged { place, id } => {
                    assert_eq!(stored.get(place), Some(&(*id, content.clone())), "lost: {content}");
                }
                Fate::Refused => assert!(!contents.contains(content.as_str())),
                Fate::Open => panic!("{content} was never answered"),
            }
        }
        for (place, id) in &self.seen {
            assert_eq!(stored.get(place).map(|(id, _)| id), Some(id), "{place:?} was seen and is not stored");
        }
    }
}

#[test]
fn judge_finds_lost_doubled_refused_and_vanished_messages() {
    let fails = |change: fn(&mut Record, &mut BTreeMap<Place, (i64, String)>)| {
        let (mut record, mut stored) = (Record::default(), BTreeMap::new());
        for (n, content) in ["a", "b"].into_iter().enumerate() {
            let n = i64::try_from(n).unwrap();
            record.said(content);
            record.acknowledged(content, 1, n + 1, n + 10);
            stored.insert((1, n + 1), (n + 10, content.to_owned()));
        }
        record.said("no");
        record.refused("no");
        change(&mut record, &mut stored);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| record.judge(&stored))).is_err()
    };
    assert!(!fails(|_, _| ()));
    assert!(fails(|_, stored| drop(stored.remove(&(1, 2)))), "lost");
    assert!(fails(|_, stored| drop(stored.insert((1, 3), (12, "a".into())))), "doubled");
    assert!(fails(|_, stored| drop(stored.insert((1, 3), (12, "no".into())))), "refused");
    assert!(fails(|_, stored| drop(stored.insert((1, 2), (12, "b".into())))), "another id");
    assert!(fails(|record, _| record.saw(1, 9, 99)), "seen and not stored");
    assert!(fails(|record, _| record.said("c")), "never answered");
}
