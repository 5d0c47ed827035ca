//! Mentions: `@name` in texts of users. The only grammar, for messages and for commit messages.
//!
//! `docs/PROTOCOL.md` describes it in words, and `examples/mentions.json` in test vectors, which
//! the tests of this module read. Parsing only yields names: the caller checks whether such users
//! exist, and names without a user do not count towards any limit.

mod prose;

use std::collections::HashSet;

/// The name that mentions all members of a chat. It is not available as a user name.
pub const EVERYBODY: &str = "all";

/// Maximum bytes of a user name.
const NAME_BYTES_MAX: usize = 39;

/// The mentions of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// `@all`.
    pub all: bool,
    /// The other names, each once, in the order of the text.
    pub names: Vec<Mention>,
}

impl Mentions {
    pub fn of(text: &str) -> Self {
        let (mut this, mut seen) = (Self::default(), HashSet::new());
        if !text.contains('@') {
            return this;
        }
        prose::each_name(text, |written| {
            let Some(mention) = Mention::parse(written) else { return };
            if mention.name() == EVERYBODY {
                this.all = true;
            } else if !seen.contains(&mention) {
                seen.insert(mention.clone());
                this.names.push(mention);
            }
        });
        this
    }
}

/// A name as written after an `@`, in lower case, possibly with trailing punctuation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mention(String);

impl Mention {
    /// Parses `written`, the text up to the first character that cannot be in a name. Returns
    /// `None` if no user can have that name.
    pub fn parse(written: &str) -> Option<Self> {
        let first = written.bytes().next()?;
        if !first.is_ascii_alphanumeric() || !written.is_ascii() {
            return None;
        }
        let name = written.trim_end_matches(is_punctuation);
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let written = written.get(..NAME_BYTES_MAX).unwrap_or(written);
        Some(Self(written.to_ascii_lowercase()))
    }

    /// Returns the name without trailing punctuation. It is the mentioned name, unless a user has
    /// an older name that ends in punctuation.
    pub fn name(&self) -> &str {
        self.0.trim_end_matches(is_punctuation)
    }

    /// Returns the user names that may be meant, the longest first. The first one that a member has
    /// is the mentioned one.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        (self.name().len()..=self.0.len()).rev().filter_map(|bytes| self.0.get(..bytes))
    }

    /// Returns the name as written, in lower case, which [`Mention::parse`] accepts.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether a user name may contain `c` but a new one must not end in it.
fn is_punctuation(c: char) -> bool {
    matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn names(text: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for mention in Mentions::of(text).names {
            if !names.iter().any(|name| name == mention.name()) {
                names.push(mention.name().to_owned());
            }
        }
        names
    }

    /// Clients are tested with the same file.
    #[test]
    fn grammar_equals_the_vectors_for_clients() {
        let vectors: Value = serde_json::from_str(include_str!("../../../examples/mentions.json")).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert!(vectors.len() > 50);
        for vector in vectors {
            let text = vector["text"].as_str().unwrap();
            let expected: Vec<_> =
                vector["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            assert_eq!(names(text), expected, "in {text:?}");
            assert_eq!(Mentions::of(text).all, vector["all"].as_bool().unwrap(), "@all in {text:?}");
        }
    }

    #[test]
    fn longest_name_comes_first_among_candidates() {
        let mention = Mention::parse("Bob_-.").unwrap();
        assert_eq!(mention.candidates().collect::<Vec<_>>(), ["bob_-.", "bob_-", "bob_", "bob"]);
        assert_eq!(Mention::parse("bob").unwrap().candidates().collect::<Vec<_>>(), ["bob"]);
        // Punctuation after a name never makes it too long.
        let long = format!("{}{}", "x".repeat(39), "_".repeat(100));
        assert_eq!(Mention::parse(&long).unwrap().candidates().count(), 1);
        assert_eq!(Mention::parse(&"x".repeat(40)), None);
    }

    /// A text is scanned once, whatever its contents.
    #[test]
    fn time_grows_with_the_length_of_the_text_only() {
        let hostile =
            ["`", "[", "[a](", "[a](b", "``` a\n", "@a ", "@a_", "a.", "://", "> @a\n", "`` ` ", "](", "x/"];
        for piece in hostile {
            let text: String = piece.chars().cycle().take(1_000_000).collect();
            let begun = std::time::Instant::now();
            Mentions::of(&text);
            assert!(begun.elapsed().as_secs() < 5, "{piece:?} takes {:?}", begun.elapsed());
        }
        let runs: String = (1..1_400).map(|length| format!("{}a", "`".repeat(length))).collect();
        let begun = std::time::Instant::now();
        Mentions::of(&runs);
        assert!(begun.elapsed().as_secs() < 5, "runs of all lengths take {:?}", begun.elapsed());
    }
}
