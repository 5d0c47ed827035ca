//! Permissions of users towards other users in chats, projects and notifications.

use crate::domain::access::{AuthMethod, Credential};
use crate::domain::refusal::Refusal;

/// Checks adding a user to a chat or project, and opening a direct chat. A blocked user receives
/// the same answer as for a user who does not exist.
pub fn reach(is_blocked: bool) -> Result<(), Refusal> {
    if is_blocked { Err(Refusal::NotFound("user")) } else { Ok(()) }
}

/// Returns whether the caller may see the name of an id. Visible are the caller's own name and
/// those of users who are, were or acted in a chat that the caller can read. Neither a block nor
/// deactivation hides a name.
pub fn identify(oneself: bool, met: bool) -> bool {
    oneself || met
}

/// The relation of a user, found by a prefix of their name, to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    pub is_active: bool,
    /// Both are in a chat that the caller can read.
    pub meets: bool,
    /// The caller gave the complete name.
    pub is_exact: bool,
    /// Only administrators create accounts: all users are colleagues.
    pub registration_closed: bool,
}

impl Finding {
    /// Applies the only rule for finding users.
    pub fn is_allowed(self) -> bool {
        self.is_active && (self.meets || self.is_exact || self.registration_closed)
    }
}

/// The relation between the user who adds and the user who is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adding {
    /// The adding user administers the server.
    pub by_administrator: bool,
    /// The adding user owns the project to which the user is added.
    pub into_own_project: bool,
    /// Both are in a chat or project to which the added user was not added by the adding user.
    pub acquainted: bool,
}

/// The rates that an addition counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddingRate {
    /// None.
    Free,
    /// The rate at which this user is added, by any user.
    Person,
    /// As `Person`, and the rates at which strangers add this user, and at which the adding user
    /// adds strangers.
    Strangers,
}

impl Adding {
    /// Returns the rates, by the only rule for additions. The limit per added user applies to
    /// project owners and acquaintances too: creating projects is free, and a second account can
    /// create an acquaintance.
    pub fn rate(self, who: Credential) -> AddingRate {
        if self.by_administrator || who.auth_method == AuthMethod::Operator {
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
    fn additions_count_for_strangers_and_not_for_administrators() {
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
    fn blocked_user_gets_the_answer_for_an_unknown_user() {
        assert_eq!(reach(true), Err(Refusal::NotFound("user")));
        assert_eq!(reach(false), Ok(()));
    }
}
