//! The author, committer or tagger of an object, and days, as pages show them.

use crate::domain::timestamp::Timestamp;
use crate::git::browse::Person;
use crate::web::paint::SafeHtml;
use crate::web::paint::avatar::{Avatar, avatar};

/// A person that an object names. Not verified: git writes any name that its user configured.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) name: SafeHtml,
    pub(super) email: String,
    pub(super) avatar: Avatar,
}

impl Signer {
    pub(super) fn of(person: &Person) -> Self {
        let name = if person.name.is_empty() { "unknown" } else { &person.name };
        // Of the address: a person may write the name in several ways.
        let key = if person.email.is_empty() { name } else { &person.email };
        Self { name: SafeHtml::text(name), email: person.email.clone(), avatar: avatar(key, name) }
    }
}

/// Returns the day of a time (UTC), such as `29 November 2026`.
pub(super) fn day_of(time: Timestamp) -> String {
    let parsed = jiff::Timestamp::from_millisecond(time.0);
    parsed.map_or_else(|_| time.to_string(), |time| time.strftime("%-d %B %Y").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_is_shown_in_words() {
        assert_eq!(day_of(Timestamp(1_795_910_400_000)), "29 November 2026");
        assert_eq!(day_of(Timestamp(i64::MAX)), format!("{} ms", i64::MAX));
    }

    #[test]
    fn signer_without_a_name_is_unknown() {
        let signer = Signer::of(&Person { name: String::new(), email: String::new() });
        assert_eq!(signer.name.as_str(), "unknown");
    }
}
