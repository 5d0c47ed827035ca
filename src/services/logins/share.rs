//! Outcomes of logins that the nodes of a cluster share, so that guesses at several nodes wait like
//! guesses at a single node.
//!
//! Soft state: a lost message is a failure that counts at its own node only. Accounts are named by
//! a code under the key of the cluster, because clients sometimes type a password in place of a
//! name.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::pacing::{Among, RemoteAttempt, RemoteOutcome};
use crate::core::bus::{Bus, BusKey, Topic};

/// The means to share the outcomes of logins.
pub struct LoginShare {
    pub bus: Bus,
    pub key: BusKey,
}

/// A message between nodes. Its topic is logins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LoginMessage {
    account: [u8; 16],
    network: IpAddr,
    origin: OriginCode,
    outcome: RemoteOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum OriginCode {
    LoggedIn,
    Familiar,
    Other,
}

impl LoginShare {
    /// Returns the text by which all nodes name the account.
    pub(super) fn name_of(&self, account: &str) -> String {
        text_of(&self.code_of(account))
    }

    fn code_of(&self, account: &str) -> [u8; 16] {
        self.key.code_of("account", account)
    }

    /// Sends an attempt to the other nodes. Its account is named as [`Self::name_of`] returns it.
    pub(super) fn publish(&self, attempt: &RemoteAttempt) {
        let Some(account) = code_in(&attempt.account) else { return };
        let origin = match attempt.among {
            Among::LoggedIn => OriginCode::LoggedIn,
            Among::Familiar(_) => OriginCode::Familiar,
            Among::Others => OriginCode::Other,
        };
        let message = LoginMessage { account, network: attempt.network, origin, outcome: attempt.outcome };
        if let Ok(body) = rmp_serde::to_vec(&message) {
            self.bus.publish(Topic::Login, body);
        }
    }

    /// Returns the attempt in a message of another node; `None`: it is not such a message.
    pub(super) fn read(&self, body: &[u8]) -> Option<RemoteAttempt> {
        let Ok(message) = rmp_serde::from_slice::<LoginMessage>(body) else {
            self.bus.malformed();
            return None;
        };
        let LoginMessage { account, network, origin, outcome } = message;
        let among = match origin {
            OriginCode::LoggedIn => Among::LoggedIn,
            OriginCode::Familiar => Among::Familiar(network),
            OriginCode::Other => Among::Others,
        };
        Some(RemoteAttempt { account: text_of(&account), network, among, outcome })
    }
}

fn text_of(code: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*code))
}

fn code_in(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_an_account_is_its_code_in_both_directions() {
        let code = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        assert_eq!(text_of(&code), "000102030405060708090a0b0c0d0eff");
        assert_eq!(code_in(&text_of(&code)), Some(code));
        assert_eq!(code_in("alice"), None);
    }
}
