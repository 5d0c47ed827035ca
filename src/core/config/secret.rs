//! Secrets: texts that are never printed, and the check for weak ones.

use std::fmt;

use serde::Deserialize;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The minimum length of a secret in bytes.
const BYTES_MIN: usize = 32;

/// Checks that the text can sign tokens: long enough, and not one of the well-known texts that
/// attackers try first.
pub fn check_strength(text: &str) -> Result<(), &'static str> {
    const WELL_KNOWN: &[&str] = &["secret", "changeme", "password", "your-256-bit-secret", "netbit"];
    if text.len() < BYTES_MIN {
        return Err("the secret must have at least 32 bytes");
    }
    let plain = text.to_lowercase();
    let repeats =
        |word: &str| plain.replace(word, "").trim_matches(|c: char| !c.is_alphanumeric()).is_empty();
    let monotonous = text.chars().collect::<std::collections::BTreeSet<_>>().len() < 8;
    if monotonous || WELL_KNOWN.iter().any(|word| repeats(word)) {
        return Err("the secret is easy to guess; remove it, and netbit generates a secret");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_or_well_known_secret_is_refused() {
        for bad in ["short", &"a".repeat(64), &"changeme".repeat(8), &"secret-".repeat(6)] {
            assert!(check_strength(bad).is_err(), "{bad}");
        }
        assert!(check_strength("correct horse battery staple, 32 bytes").is_ok());
    }
}
