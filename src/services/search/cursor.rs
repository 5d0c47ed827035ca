//! Cursors of searches: sealed, because the place at which a search was cut is that of a message
//! which the caller may not read, or of a file of a repository which the caller may not read.
//!
//! Layout: base64url(`nonce | ChaCha20-Poly1305(i64 BE id) | tag`). The user, the group and the
//! query are the associated data, so a cursor continues only the search that returned it. The nonce
//! is random.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

use crate::domain::ids::UserId;
use crate::domain::search::SearchGroup;

const NONCE_BYTES: usize = 12;
/// A cursor has 48 characters.
const TEXT_BYTES_MAX: usize = 64;

/// Seals a place for a user and a query. `None` cannot occur: the text has a fixed size.
pub(super) fn seal(key: &[u8; 32], who: UserId, group: SearchGroup, query: &str, at: i64) -> Option<String> {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let payload = Payload { msg: &at.to_be_bytes(), aad: &associated(who, group, query) };
    let sealed = ChaCha20Poly1305::new(&(*key).into()).encrypt(&Nonce::from(nonce), payload).ok()?;
    Some(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
}

/// Returns the place of a cursor that was sealed for this user and query.
pub(super) fn open(
    key: &[u8; 32],
    who: UserId,
    group: SearchGroup,
    query: &str,
    cursor: &str,
) -> Option<i64> {
    if cursor.len() > TEXT_BYTES_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload { msg: sealed, aad: &associated(who, group, query) };
    let id = ChaCha20Poly1305::new(&(*key).into()).decrypt(&Nonce::from(*nonce), payload).ok()?;
    Some(i64::from_be_bytes(id.try_into().ok()?))
}

fn associated(who: UserId, group: SearchGroup, query: &str) -> Vec<u8> {
    let group = group.name().as_bytes();
    [&b"search of "[..], group, b"\0", &who.0.to_be_bytes()[..], query.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: SearchGroup = SearchGroup::Messages;

    #[test]
    fn cursor_is_opened_only_for_its_user_and_query() {
        let (key, at) = ([7; 32], 0x0102_0304_0506);
        let cursor = seal(&key, UserId(1), MESSAGES, "disk", at).unwrap();
        assert_eq!(open(&key, UserId(1), MESSAGES, "disk", &cursor), Some(at));
        assert_eq!(open(&key, UserId(2), MESSAGES, "disk", &cursor), None);
        assert_eq!(open(&key, UserId(1), MESSAGES, "disk before:2026-11-24", &cursor), None);
        assert_eq!(open(&key, UserId(1), SearchGroup::Code, "disk", &cursor), None);
        assert_eq!(open(&[8; 32], UserId(1), MESSAGES, "disk", &cursor), None);
        assert_ne!(
            seal(&key, UserId(1), MESSAGES, "disk", at).unwrap(),
            cursor,
            "equal places look different"
        );
        for text in ["", "x", "3041", &cursor[1..], &cursor.to_lowercase(), &"A".repeat(1000)] {
            assert_eq!(open(&key, UserId(1), MESSAGES, "disk", text), None, "{text}");
        }
    }
}
