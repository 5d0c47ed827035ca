//! Reactions: an emoji of Unicode's recommended set (RGI, UTS #51), or a shortcode.
//!
//! Keyboards write the same emoji with and without variation selectors (U+FE0F). Both forms are the
//! same reaction: they are compared without selectors, and new reactions are stored in the fully
//! qualified form.

use std::borrow::Cow;

use super::text::Invalid;

/// Maximum bytes of a shortcode.
const SHORTCODE_BYTES_MAX: usize = 32;
/// Maximum bytes of a text that is looked up: the longest emoji has 35, and keyboards may add a
/// selector to each character.
const EMOJI_BYTES_MAX: usize = 64;
const SELECTOR: char = '\u{fe0f}';

/// A fully qualified emoji of the RGI set, or a shortcode as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emoji(String);

impl Emoji {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if is_shortcode(text) {
            return Ok(Self(text.to_owned()));
        }
        let emoji = recommended(text).ok_or(Invalid(
            "must be one emoji, or a shortcode: 1 to 32 letters, digits, '_', '+' or '-', with or without colons around it",
        ))?;
        Ok(Self(emoji.to_owned()))
    }

    /// Parses a reaction to remove. Also accepts texts that an earlier version stored.
    pub fn taken_back(text: &str) -> Result<Self, Invalid> {
        let is_short = (1..=EMOJI_BYTES_MAX).contains(&text.len());
        Self::parse(text).or_else(|refused| if is_short { Ok(Self(text.to_owned())) } else { Err(refused) })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a stored reaction is this one: earlier versions stored emoji as they were
    /// sent.
    pub fn is(&self, stored: &str) -> bool {
        without_selectors(&self.0) == without_selectors(stored)
    }
}

fn is_shortcode(text: &str) -> bool {
    let inner = text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).unwrap_or(text);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-');
    text.len() <= SHORTCODE_BYTES_MAX && !inner.is_empty() && inner.bytes().all(plain)
}

fn without_selectors(text: &str) -> Cow<'_, str> {
    if text.contains(SELECTOR) { text.replace(SELECTOR, "").into() } else { text.into() }
}

/// Returns the fully qualified emoji of the set that `text` writes.
fn recommended(text: &str) -> Option<&'static str> {
    if text.len() > EMOJI_BYTES_MAX {
        return None;
    }
    let plain = without_selectors(text);
    let found = emojis::get(text).or_else(|| emojis::get(&plain))?;
    let is_same = |emoji: &&emojis::Emoji| without_selectors(emoji.as_str()) == plain;
    // The table lists some forms without selectors under a sibling of another skin tone.
    let same = Some(found).filter(is_same);
    same.or_else(|| found.skin_tones()?.find(is_same)).map(emojis::Emoji::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaction_is_one_emoji_or_a_shortcode() {
        let england = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
        for good in
            ["+1", ":tada:", "x-1_2", "\u{1f44d}", "\u{1f469}\u{200d}\u{1f4bb}", england, "#\u{fe0f}\u{20e3}"]
        {
            assert_eq!(Emoji::parse(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(33);
        for bad in [
            "",
            "a b",
            "\n",
            "\0",
            "::",
            "\u{200d}",
            "\u{fe0f}",
            "\u{202e}",
            "\u{1f44d}\u{1f44d}",
            "\u{1f44d}x",
            "\u{1f1e6}",
            "é",
            "→",
            &long,
            &"\u{1f44d}\u{fe0f}".repeat(20),
        ] {
            assert!(Emoji::parse(bad).is_err(), "{bad:?}");
        }
    }

    /// Every emoji of the set is accepted, with and without selectors, as itself and as nothing
    /// else.
    #[test]
    fn every_form_of_an_emoji_is_one_reaction() {
        let tones = emojis::iter().filter_map(emojis::Emoji::skin_tones).flatten();
        let mut seen = 0;
        for emoji in emojis::iter().chain(tones) {
            let (plain, everywhere) = (
                without_selectors(emoji.as_str()).into_owned(),
                emoji.as_str().chars().flat_map(|c| [c, SELECTOR]).collect::<String>(),
            );
            for form in [emoji.as_str(), &plain, &everywhere] {
                if form.len() <= EMOJI_BYTES_MAX {
                    assert_eq!(Emoji::parse(form).unwrap().as_str(), emoji.as_str(), "{form:?}");
                }
            }
            assert!(emoji.as_str().len() <= 35 && Emoji::parse(emoji.as_str()).unwrap().is(&plain));
            seen += 1;
        }
        assert!(seen > 3_700, "{seen}");
    }
}
