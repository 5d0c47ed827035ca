//! What one person may do to another, wherever they meet: chats, projects, notifications.

use crate::domain::access::{Credential, Proof};
use crate::domain::refusal::Refusal;

/// Putting a person into a chat or project, and opening a direct chat. A user who is blocked meets the answer for a user
/// who does not exist.
pub fn reach(is_blocked: bool) -> Result<(), Refusal> {
    if is_blocked { Err(Refusal::NotFound("user")) } else { Ok(()) }
}

/// Learning the name behind an id: the own one, and those of users who are, were or acted in a chat that the user who
/// asks can read. Neither a block nor deactivation hides a name.
pub fn identify(oneself: bool, met: bool) -> bool {
    oneself || met
}

/// How a user who is found by the beginning of their name stands to the user who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    pub is_active: bool,
    /// Both are in a chat that the user who asks can read.
    pub meets: bool,
    /// The name was given whole.
    pub is_exact: bool,
    /// Accounts are made by administrators: all users are colleagues.
    pub registration_closed: bool,
}

impl Finding {
    /// The one rule.
    pub fn is_allowed(self) -> bool {
        self.is_active && (self.meets || self.is_exact || self.registration_closed)
    }
}

/// How the user who adds stands to the person who is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adding {
    /// The user who adds administers the server.
    pub by_administrator: bool,
    /// The user who adds owns the project into which the person is put.
    pub into_own_project: bool,
    /// Both are in a chat or project into which the person was not put by the user who adds.
    pub acquainted: bool,
}

/// Which rates an addition counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddingRate {
    /// None.
    Free,
    /// How often this person is added, by anyone.
    Person,
    /// The same, how often this person is added by strangers, and how many strangers the user adds.
    Strangers,
}

impl Adding {
    /// The one rule. The bound per person holds for project owners and acquaintances too: projects are free to make,
    /// and an acquaintance can be made by a second account.
    pub fn rate(self, who: Credential) -> AddingRate {
        if self.by_administrator || who.proof == Proof::Operator {
            AddingRate::Free
        } else if self.into_own_project || self.acquainted {
            AddingRate::Person
        } else {
            AddingRate::Strangers
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{LoginId, UserId};

    #[test]
    fn strangers_are_counted_and_administrators_are_not() {
        let who = Credential::login(UserId(1), LoginId(1), 1);
        let stranger = Adding { by_administrator: false, into_own_project: false, acquainted: false };
        assert_eq!(stranger.rate(who), AddingRate::Strangers);
        assert_eq!(stranger.rate(Credential::operator(UserId(1))), AddingRate::Free);
        for (adding, rate) in [
            (Adding { by_administrator: true, ..stranger }, AddingRate::Free),
            (Adding { into_own_project: true, ..stranger }, AddingRate::Person),
            (Adding { acquainted: true, ..stranger }, AddingRate::Person),
        ] {
            assert_eq!(adding.rate(who), rate);
        }
    }

    #[test]
    fn stranger_is_found_by_whole_name_while_registration_is_open() {
        let stranger = Finding { is_active: true, meets: false, is_exact: false, registration_closed: false };
        assert!(!stranger.is_allowed());
        for found in [
            Finding { meets: true, ..stranger },
            Finding { is_exact: true, ..stranger },
            Finding { registration_closed: true, ..stranger },
        ] {
            assert!(found.is_allowed());
            assert!(!Finding { is_active: false, ..found }.is_allowed());
        }
    }

    #[test]
    fn a_blocked_user_meets_the_answer_for_an_unknown_user() {
        assert_eq!(reach(true), Err(Refusal::NotFound("user")));
        assert_eq!(reach(false), Ok(()));
    }
}
