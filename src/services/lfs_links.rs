//! Credentials for the objects of a repository, which the answer to a batch contains.
//!
//! A client sends hundreds of objects after a batch. With a password, each request would cost a
//! hash of it. A link costs an HMAC.
//!
//! Invariants
//! * A link is for one repository and one operation, until it expires.
//! * It grants nothing by itself: it names the credential of the batch, which every request checks
//!   again. A login that has ended, a revoked token and a changed password end their links.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{ServiceError, Services};
use crate::domain::access::{AuthMethod, Credential};
use crate::domain::ids::{AccessTokenId, LoginId, RepositoryId, UserId};
use crate::domain::permission::project::Act;
use crate::domain::timestamp::Timestamp;

/// The prefix of every link.
pub const LFS_LINK_PREFIX: &str = "nbl_";
/// Links have some 100 characters.
const LINK_BYTES_MAX: usize = 256;
const HASH_BYTES: usize = 32;

/// A valid link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LfsLink {
    pub who: Credential,
    pub repository: RepositoryId,
    pub act: Act,
}

impl Services {
    /// Returns the link of a credential. `None` for the operator of the machine, who has none.
    pub fn lfs_link(&self, link: LfsLink) -> Option<String> {
        let until = Timestamp::now().plus_seconds(self.limits.lfs_link_seconds);
        sealed(self.tokens.lfs_links(), link, until)
    }

    /// Returns what a link permits.
    ///
    /// # Errors
    /// `unauthenticated` if it is not valid, or has expired.
    pub fn open_lfs_link(&self, text: &str) -> Result<LfsLink, ServiceError> {
        opened(self.tokens.lfs_links(), text, Timestamp::now()).ok_or_else(ServiceError::unauthenticated)
    }
}

fn sealed(key: &[u8; 32], link: LfsLink, until: Timestamp) -> Option<String> {
    let LfsLink { who, repository, act } = link;
    let proof = match who.auth_method {
        AuthMethod::Login { id, token_version } => format!("login {id} {token_version}"),
        AuthMethod::Password { token_version } => format!("password {token_version} 0"),
        AuthMethod::Token(id) => format!("token {id} 0"),
        AuthMethod::Operator => return None,
    };
    let act = match act {
        Act::Read => "read",
        Act::Push => "push",
        Act::Maintain | Act::Manage => return None,
    };
    let text = format!("{act} {repository} {} {} {proof}", until.0, who.user);
    let code = code_of(key, text.as_bytes())?.finalize().into_bytes();
    let bytes = [&code[..], text.as_bytes()].concat();
    Some(format!("{LFS_LINK_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn opened(key: &[u8; 32], text: &str, now: Timestamp) -> Option<LfsLink> {
    let encoded = text.strip_prefix(LFS_LINK_PREFIX).filter(|_| text.len() <= LINK_BYTES_MAX)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let (code, text) = bytes.split_at_checked(HASH_BYTES)?;
    code_of(key, text)?.verify_slice(code).ok()?;
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let act = match words.next()? {
        "read" => Act::Read,
        "push" => Act::Push,
        _ => return None,
    };
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<i64>().ok());
    let (repository, until) = (number(words.next())?, number(words.next())?);
    let (user, proof) = (number(words.next())?, words.next()?);
    let (first, second) = (number(words.next())?, number(words.next())?);
    let auth_method = match proof {
        "login" => AuthMethod::Login { id: LoginId(first), token_version: second },
        "password" => AuthMethod::Password { token_version: first },
        "token" => AuthMethod::Token(AccessTokenId(first)),
        _ => return None,
    };
    let who = Credential { user: UserId(user), auth_method };
    (now.0 < until).then_some(LfsLink { who, repository: RepositoryId(repository), act })
}

fn code_of(key: &[u8; 32], text: &[u8]) -> Option<Hmac<Sha256>> {
    Some(Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_is_valid_with_its_key_until_it_expires() {
        let (key, until) = ([7; 32], Timestamp(1_000));
        for auth_method in [
            AuthMethod::Login { id: LoginId(3), token_version: 4 },
            AuthMethod::Password { token_version: 5 },
            AuthMethod::Token(AccessTokenId(6)),
        ] {
            let who = Credential { user: UserId(1), auth_method };
            let link = LfsLink { who, repository: RepositoryId(2), act: Act::Push };
            let text = sealed(&key, link, until).unwrap();
            assert_eq!(opened(&key, &text, Timestamp(999)), Some(link));
            assert_eq!(opened(&key, &text, until), None, "expired");
            assert_eq!(opened(&[8; 32], &text, Timestamp(0)), None);
            let changed = text.replacen("nbl_", "nbp_", 1);
            for text in ["", "nbl_", "nbl_AAAA", &changed, &text[..text.len() - 1], &"A".repeat(1000)] {
                assert_eq!(opened(&key, text, Timestamp(0)), None, "{text}");
            }
        }
        let link =
            LfsLink { who: Credential::operator(UserId(1)), repository: RepositoryId(2), act: Act::Read };
        assert_eq!(sealed(&key, link, until), None);
    }
}
