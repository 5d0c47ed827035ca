//! Verdicts of the rates on a command. A replayed batch executes its commands again; each command
//! counts only once.
//!
//! The verdicts belong to the command, so they last until it is answered, also if it moves to the
//! next batch. Two executions of a command may count different things, so each verdict is stored
//! under its subject.

use std::collections::BTreeMap;

use super::additions::AdditionRates;
use super::mentions::MentionRates;
use crate::domain::ids::UserId;
use crate::domain::permission::people::AddingRate;
use crate::domain::refusal::Refusal;

/// Holds the verdicts of the rates on one command.
#[derive(Debug, Default)]
pub(super) struct CountedRates {
    /// Whether the `@all` of its message is within the rate, by sender.
    mention_of_all: BTreeMap<UserId, bool>,
    /// By adder and added user.
    additions: BTreeMap<(UserId, UserId), Result<(), Refusal>>,
}

impl CountedRates {
    /// Counts the `@all` of the command's message. Returns `false` if it exceeds the rate.
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

    /// A message in a batch that was replayed twice took three tokens of the sender's twenty.
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

    /// The same for additions: a batch with failing commands used up the additions of a user for an
    /// hour.
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
