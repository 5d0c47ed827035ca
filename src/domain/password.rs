//! Rules for passwords: a size limit for compared passwords, and further rules for new ones.
//!
//! The rules follow NIST SP 800-63B section 5.1.1.2: a minimum length, a list of values that
//! attackers try first, and words of the context. Classes of characters are not required.
//! The rules apply when a password is set and never at login, so an existing password stays valid.

use std::borrow::Cow;

use precis_core::profile::Rules;
use precis_profiles::OpaqueString;

use super::text::{Invalid, is_blank, nfc};

/// Minimum characters of a new password.
const CHARACTERS_MIN: usize = 8;
/// Maximum bytes of any password, checked before hashing.
pub const BYTES_MAX: usize = 1024;
/// The 3,000 most frequent passwords of at least 8 characters, in lower case and sorted by byte.
/// Taken from the frequency lists of zxcvbn (MIT licence).
const COMMON: &str = include_str!("common_passwords.txt");
/// The name of the service, which attackers try as a part of passwords.
const SERVICE: &str = "netbit";

/// The minimum length at which a name surrounded by digits and punctuation is refused.
const NAME_BYTES_MIN: usize = 3;
/// Up to this many bytes of digits and punctuation do not make a common word acceptable.
const DECORATION_BYTES: usize = 4;

/// Returns the form of a password that is hashed. Keyboards write `é` and spaces in several ways,
/// and all of them must be the same password.
///
/// Applies the mapping and the normalization of OpaqueString (RFC 8265, section 4.2.2). Its class
/// of characters is not enforced: it refuses joiners and selectors, which emoji need, and
/// characters newer than its tables.
pub fn prepared(text: &str) -> Cow<'_, str> {
    let profile = OpaqueString::new();
    let mapped = profile.additional_mapping_rule(text);
    let normal = mapped.and_then(|mapped| profile.normalization_rule(mapped.into_owned()));
    normal.map_or(Cow::Borrowed(text), |normal| if normal == text { text.into() } else { normal })
}

const SIZE: Invalid = Invalid("must be 8 characters to 1024 bytes");

/// Checks the size of a password before it is compared with a hash: 1 to 1024 bytes.
///
/// # Errors
/// The allowed size.
pub fn check_size(text: &str) -> Result<(), Invalid> {
    if (1..=BYTES_MAX).contains(&text.len()) { Ok(()) } else { Err(Invalid("must be 1 to 1024 bytes")) }
}

/// Checks a new password. `names` are the user's own: user name, display name, mail address.
///
/// # Errors
/// The rule that the password breaks.
pub fn check_new(text: &str, names: &[&str]) -> Result<(), Invalid> {
    if text.len() > BYTES_MAX {
        return Err(SIZE);
    }
    let text = &*prepared(text);
    if text.len() > BYTES_MAX || text.chars().count() < CHARACTERS_MIN {
        return Err(SIZE);
    }
    if is_blank(text) {
        return Err(Invalid("must not be blank"));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid("must not contain control characters"));
    }
    let plain = text.trim().to_lowercase();
    if is_run(&plain) || is_periodic(&plain) {
        return Err(Invalid("must not be a short repeated pattern or a sequence of consecutive characters"));
    }
    let word = word_of(&plain);
    if is_common(&plain) || plain.len() - word.len() <= DECORATION_BYTES && is_common(word) {
        return Err(Invalid("is among the most common passwords; choose another"));
    }
    let own = names.iter().flat_map(|name| name.split('@').next().into_iter().chain([*name]));
    for name in own.map(|name| nfc(&name.to_lowercase())).chain([SERVICE.to_owned()]) {
        let is_decorated = word.len() >= NAME_BYTES_MIN && word == word_of(&name);
        if plain == name || is_decorated || is_repetition(&plain, &name) {
            return Err(Invalid("must not consist of your own name or of the name of the service"));
        }
    }
    Ok(())
}

fn is_common(text: &str) -> bool {
    COMMON.lines().any(|common| common == text)
}

/// Returns whether `text` repeats a unit of up to 4 characters, or a common password.
fn is_periodic(text: &str) -> bool {
    let boundaries = text.char_indices().map(|(at, _)| at).skip(1);
    let mut units = boundaries.filter_map(|at| text.split_at_checked(at)).map(|(unit, _)| unit);
    units.any(|unit| {
        text.len().is_multiple_of(unit.len())
            && (unit.chars().count() <= 4 || is_common(unit))
            && is_repetition(text, unit)
    })
}

/// Returns `text` without digits, punctuation and white space at both ends: `alice2024!` becomes
/// `alice`.
fn word_of(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphabetic())
}

/// Returns whether `text` repeats `name`.
fn is_repetition(text: &str, name: &str) -> bool {
    !name.is_empty() && text.len() > name.len() && text.replace(name, "").is_empty()
}

/// Returns whether each character differs from the previous one by the same step of -1, 0 or 1.
fn is_run(text: &str) -> bool {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let step = |pair: &[i64]| match pair {
        [a, b] => b - a,
        _ => i64::MAX,
    };
    let mut steps = codes.windows(2).map(step);
    let Some(first) = steps.next() else { return true };
    (-1..=1).contains(&first) && steps.all(|next| next == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &[&str] = &["alice", "Alice Adams", "ali@example.org"];

    #[test]
    fn new_password_is_long_uncommon_and_not_a_name() {
        for bad in [
            "",
            "short",
            "seven77",
            "        ",
            "\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}",
            "\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}",
            "password",
            "Password",
            "PASSWORD1",
            " password ",
            "12345678",
            "87654321",
            "abcdefghij",
            "aaaaaaaaaaaa",
            "iloveyou",
            "p@ssw0rd",
            "Password123!",
            "password2026",
            "passwordpassword",
            "abc1abc1abc1",
            "xyxyxyxyxy",
            "alice123",
            "Alice2026!",
            "alicealice",
            "alice adams",
            "ali@example.org",
            "netbit2026",
            "NetBitNetBit",
            &"x1".repeat(513),
        ] {
            assert!(check_new(bad, ALICE).is_err(), "{bad:?}");
        }
        for good in [
            "correct horse",
            "battery staple",
            "ü9k\u{1f600}4f(a",
            "alices secret garden",
            "76319420",
            "mountain76319420",
        ] {
            assert_eq!(check_new(good, ALICE), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn equivalent_passwords_are_prepared_to_the_same_text() {
        for (typed, expected) in [
            ("caf\u{e9} caf\u{e9}", "caf\u{e9} caf\u{e9}"),
            ("cafe\u{301}\u{a0}cafe\u{301}", "caf\u{e9} caf\u{e9}"),
            ("caf\u{e9}\u{3000}cafe\u{301}", "caf\u{e9} caf\u{e9}"),
            ("Plain ASCII  ", "Plain ASCII  "),
            (
                "\u{1fae0}\u{2764}\u{fe0f}\u{1f469}\u{200d}\u{1f680}",
                "\u{1fae0}\u{2764}\u{fe0f}\u{1f469}\u{200d}\u{1f680}",
            ),
            ("", ""),
        ] {
            assert_eq!(prepared(typed), expected);
            assert_eq!(prepared(&prepared(typed)), expected);
        }
        assert!(
            check_new("zoe\u{308} zoe\u{308}", &["zo\u{eb}"]).is_err()
                == check_new("zo\u{eb} zo\u{eb}", &["zoe\u{308}"]).is_err()
        );
        assert!(check_new("correct\thorse", &[]).is_err());
    }

    #[test]
    fn short_name_does_not_make_a_password_invalid() {
        assert_eq!(check_new("7394a8264", &["a"]), Ok(()));
        assert!(check_new("7394bob8264", &["bob"]).is_err());
    }

    #[test]
    fn existing_password_is_compared_without_the_new_rules() {
        for password in ["a", "password", "        "] {
            assert_eq!(check_size(password), Ok(()));
        }
        assert!(check_size("").is_err() && check_size(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn common_passwords_are_sorted_lower_case_and_long_enough() {
        let lines: Vec<_> = COMMON.lines().collect();
        assert_eq!(lines.len(), 3000);
        assert!(lines.is_sorted() && lines.iter().all(|line| line.chars().count() >= CHARACTERS_MIN));
        assert!(lines.iter().all(|line| line.to_lowercase() == *line));
    }
}
