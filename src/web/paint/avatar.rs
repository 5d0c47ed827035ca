//! The picture of a user without an image: initials on one of twelve hues.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::SafeHtml;

/// Number of classes for hues.
pub const HUES: u8 = 12;
const CLASSES: [&str; HUES as usize] = [
    "avatar-0",
    "avatar-1",
    "avatar-2",
    "avatar-3",
    "avatar-4",
    "avatar-5",
    "avatar-6",
    "avatar-7",
    "avatar-8",
    "avatar-9",
    "avatar-10",
    "avatar-11",
];
/// Maximum combining marks at a letter.
const MARKS_MAX: usize = 3;
/// Maximum words of a name that are searched for initials.
const WORDS_MAX: usize = 16;

/// The initials and the hue of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avatar {
    /// One or two upper-case letters with their marks; `?` if the name has no letter or digit.
    pub initials: SafeHtml,
    /// `avatar-0` to `avatar-11`. The same for the same user name on all servers and in all
    /// versions.
    pub class: &'static str,
}

/// Returns the avatar of a user. The display name decides about the initials, the user name about
/// the hue, so a new display name keeps the hue.
pub fn avatar(username: &str, display_name: &str) -> Avatar {
    let named = initials(display_name).or_else(|| initials(username));
    // The lowest bits of the hash depend on the lowest bits of the name only.
    let hue = (fnv1a(username.as_bytes()) >> 8).checked_rem(u32::from(HUES)).unwrap_or_default();
    let class = usize::try_from(hue).ok().and_then(|hue| CLASSES.get(hue)).copied();
    Avatar { initials: SafeHtml::text(named.as_deref().unwrap_or("?")), class: class.unwrap_or("avatar-0") }
}

/// Returns the 32-bit FNV-1a hash of bytes. It is a line in the chat program, too.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Returns the first letters of the first and the last word.
fn initials(name: &str) -> Option<String> {
    let separates = |c: char| c.is_whitespace() || matches!(c, '-' | '_' | '.' | '(' | ')' | '/' | ',');
    let mut letters = name.split(separates).filter_map(first_letter).take(WORDS_MAX);
    let mut found = letters.next()?;
    found.push_str(&letters.last().unwrap_or_default());
    Some(found)
}

/// Returns the first letter or digit of a word in upper case, with the marks that belong to it.
fn first_letter(word: &str) -> Option<String> {
    let mut chars = word.nfc().skip_while(|c| !c.is_alphanumeric());
    let upper = chars.next()?.to_uppercase();
    let marks = chars.take_while(|c| c.general_category_group() == GeneralCategoryGroup::Mark);
    Some(upper.chain(marks.take(MARKS_MAX)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_first_and_last_word() {
        for (name, expected) in [
            ("Alice", "A"),
            ("alice liddell", "AL"),
            ("Ada King Lovelace", "AL"),
            ("bob-smith", "BS"),
            ("e\u{301}mile zola", "ÉZ"),
            ("किरण", "कि"),
            ("山田 太郎", "山太"),
            ("4 you", "4Y"),
            ("<b> x", "BX"),
            ("ßa", "SS"),
        ] {
            assert_eq!(avatar("u", name).initials.as_str(), expected, "{name}");
        }
        assert_eq!(avatar("carol", "").initials.as_str(), "C");
        assert_eq!(avatar("", "🎉 \u{202e}").initials.as_str(), "?");
    }

    #[test]
    fn hue_depends_on_the_user_name_only() {
        assert_eq!(avatar("alice", "A").class, avatar("alice", "Other").class);
        assert_eq!(avatar("alice", "").class, "avatar-11");
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
        let all: std::collections::BTreeSet<_> =
            (0..200).map(|n| avatar(&format!("user{n}"), "").class).collect();
        assert_eq!(all.len(), usize::from(HUES));
    }
}
