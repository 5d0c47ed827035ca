//! The secret of a web login, which a browser holds in a cookie. Only its hash is stored.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::token::{InvalidToken, hash_of};

/// Characters of a secret: 256 bits in base64url without padding.
const CHARS: usize = 43;

/// The secret in clear text: 256 random bits.
pub struct WebSecret(String);

impl WebSecret {
    /// Returns a random secret.
    pub fn fresh() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    }

    /// Returns its hash, which is stored and compared instead of the secret.
    pub fn hash(&self) -> [u8; 32] {
        hash_of(&self.0)
    }

    /// Returns the text that the browser gets.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Debug for WebSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSecret(..)")
    }
}

/// Returns the hash of a presented secret.
///
/// # Errors
/// If the text does not have the form of a secret; it is then not hashed.
pub fn web_secret_hash(presented: &str) -> Result<[u8; 32], InvalidToken> {
    let mut bits = [0; 32];
    let is_secret = presented.len() == CHARS
        && URL_SAFE_NO_PAD.decode_slice(presented, &mut bits).is_ok_and(|length| length == bits.len());
    if is_secret { Ok(hash_of(presented)) } else { Err(InvalidToken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_secret_has_the_form_that_is_accepted() {
        let secret = WebSecret::fresh();
        assert_eq!(format!("{secret:?}"), "WebSecret(..)");
        let hash = secret.hash();
        let text = secret.into_text();
        assert_eq!((text.len(), web_secret_hash(&text)), (CHARS, Ok(hash)));
        assert_ne!(WebSecret::fresh().into_text(), text);
    }

    #[test]
    fn text_of_another_form_is_refused() {
        let text = WebSecret::fresh().into_text();
        let last_bits_set = format!("{}B", &text[..CHARS - 1]);
        for bad in [
            "",
            "x",
            &text[1..],
            &format!("{text}="),
            &format!(" {}", &text[1..]),
            &format!("{}+", &text[1..]),
            &format!("nbp_{}", &text[4..CHARS - 1]),
            &last_bits_set,
            &"A".repeat(5000),
        ] {
            assert_eq!(web_secret_hash(bad), Err(InvalidToken), "{bad}");
        }
    }
}
