//! Refresh tokens: opaque to clients, stored as hashes.
//!
//! The first token of a login is random. Each successor is derived from the server's secret, the
//! login and the generation. So every exchange of one token gives the same successor, and the
//! database holds no successor in clear text.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::token::hash_of;
use crate::domain::ids::LoginId;

/// The prefix of every refresh token.
const PREFIX: &str = "nbr_";
/// Separates these codes from the signatures of access tokens, which use the same key.
const CONTEXT: &[u8] = b"netbit refresh token, version 1\0";

/// A refresh token in clear text: `nbr_` and 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

impl RefreshToken {
    /// Returns a random token.
    pub fn fresh() -> Self {
        Self::of(&rand::random::<[u8; 32]>())
    }

    fn of(bytes: &[u8]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Returns its hash, which is stored and compared instead of the token.
    pub fn hash(&self) -> [u8; 32] {
        hash_of(&self.0)
    }

    /// Returns the text that the client gets.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

/// Derives successors. Cheap to clone.
#[derive(Clone)]
pub struct RefreshKey {
    mac: Hmac<Sha256>,
    /// The database's epoch: a restored copy issues the ids of its logins again.
    epoch: i64,
}

impl RefreshKey {
    pub fn new(secret: &[u8], epoch: i64) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 3)")]
        let mac = Hmac::new_from_slice(secret).expect("a key of any length");
        Self { mac, epoch }
    }

    /// Returns the token of a generation of a login: the same at every call.
    pub fn successor(&self, login: LoginId, generation: i64) -> RefreshToken {
        let mut mac = self.mac.clone();
        mac.update(CONTEXT);
        for number in [self.epoch, login.0, generation] {
            mac.update(&number.to_be_bytes());
        }
        RefreshToken::of(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for RefreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshKey").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn successor_depends_on_login_generation_epoch_and_secret() {
        let key = RefreshKey::new(SECRET, 1);
        let token = key.successor(LoginId(7), 3);
        assert_eq!(token, RefreshKey::new(SECRET, 1).successor(LoginId(7), 3));
        assert_eq!(token.clone().into_text().len(), "nbr_".len() + 43);
        let others = [
            key.successor(LoginId(7), 4),
            key.successor(LoginId(3), 7),
            RefreshKey::new(SECRET, 2).successor(LoginId(7), 3),
            RefreshKey::new(b"another secret of 32 bytes length", 1).successor(LoginId(7), 3),
        ];
        assert!(others.iter().all(|other| *other != token));
    }

    #[test]
    fn tokens_and_keys_print_no_secret() {
        let token = RefreshToken::fresh();
        assert_ne!(token, RefreshToken::fresh());
        assert_eq!(format!("{token:?}"), "RefreshToken(..)");
        assert!(!format!("{:?}", RefreshKey::new(SECRET, 1)).contains("0123"));
    }
}
