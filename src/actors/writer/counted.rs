//! What a command has counted towards rates. A batch that is replayed executes its commands again; each counts once.
//!
//! The verdicts belong to the command, so they last until it is answered, whatever batch it is executed in. What a
//! command counts may differ between two executions, so each verdict is kept under what it is about.

use std::collections::BTreeMap;

use super::additions::AdditionRates;
use super::mentions::MentionRates;
use crate::domain::ids::UserId;
use crate::domain::permission::people::AddingRate;
use crate::domain::refusal::Refusal;

/// The verdicts of the rates on one command.
#[derive(Debug, Default)]
pub(super) struct CountedRates {
    /// Whether the `@all` of its message is within the rate.
    mention_of_all: BTreeMap<UserId, bool>,
    /// By who adds whom.
    additions: BTreeMap<(UserId, UserId), Result<(), Refusal>>,
}

impl CountedRates {
    /// Counts the `@all` of the command's message; `false`: it is above the rate.
    pub(super) fn mention_of_all(&mut self, rates: &MentionRates, sender: UserId) -> bool {
        *self.mention_of_all.entry(sender).or_insert_with(|| rates.count_mention_of_all(sender))
    }

    /// Counts that `adder` adds `person`, to one chat or project.
    pub(super) fn addition(
        &mut self,
        rates: &AdditionRates,
        (adder, person): (UserId, UserId),
        rate: AddingRate,
    ) -> Result<(), Refusal> {
        let count = || rates.count(adder, person, rate);
        self.additions.entry((adder, person)).or_insert_with(count).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::Limits;

    /// A message in a batch that was replayed twice took three of the sender's twenty.
    #[test]
    fn replayed_message_counts_once() {
        let rates = MentionRates::new(&Limits { everybody_mentions_burst: 2, ..Limits::default() });
        let (mut first, mut second, mut over) =
            (CountedRates::default(), CountedRates::default(), CountedRates::default());
        assert!((0..5).all(|_| first.mention_of_all(&rates, UserId(1))));
        assert!(second.mention_of_all(&rates, UserId(1)));
        assert!((0..5).all(|_| !over.mention_of_all(&rates, UserId(1))), "the answer stays the same");
        assert!(!CountedRates::default().mention_of_all(&rates, UserId(1)), "another command counts again");
    }

    /// The same for additions: a batch with failing commands took what a person may be added per hour.
    #[test]
    fn replayed_addition_counts_once() {
        let rates = AdditionRates::new(&Limits { added_by_strangers_burst: 2, ..Limits::default() });
        let add = |counted: &mut CountedRates, adder: i64| {
            counted.addition(&rates, (UserId(adder), UserId(1)), AddingRate::Strangers).is_ok()
        };
        let (mut first, mut over) = (CountedRates::default(), CountedRates::default());
        assert!((0..5).all(|_| add(&mut first, 10)));
        assert!(add(&mut first, 11), "another addition of the same command counts");
        assert!((0..5).all(|_| !add(&mut over, 12)), "the answer stays the same");
    }
}
