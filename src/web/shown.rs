//! Values in the form in which pages show them.

use super::paint::SafeHtml;
use super::paint::avatar::{Avatar, avatar};
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::http::address::percent_encoded;

/// A time. The script of the pages replaces the text by a relative time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339.
    pub(super) iso: String,
    /// Date and minute in UTC, for browsers without scripts.
    pub(super) text: String,
}

impl Moment {
    pub(super) fn of(at: Timestamp) -> Self {
        let iso = at.to_string();
        let part = |range: std::ops::Range<usize>| iso.get(range).unwrap_or_default();
        let text = format!("{} {} UTC", part(0..10), part(11..16));
        Self { text, iso }
    }
}

/// The picture and the name of a user.
#[derive(Debug, Clone)]
pub(super) struct Face {
    pub(super) username: String,
    pub(super) display_name: String,
    /// The address of the user's page.
    pub(super) href: String,
    pub(super) initials: SafeHtml,
    pub(super) class: &'static str,
    /// The address of the avatar, if the user has one.
    pub(super) picture: Option<String>,
}

impl Face {
    pub(super) fn new(username: &str, display_name: &str) -> Self {
        let Avatar { initials, class } = avatar(username, display_name);
        let href = format!("/people/{}", percent_encoded(username));
        let (username, display_name) = (username.to_owned(), display_name.to_owned());
        Self { username, display_name, href, initials, class, picture: None }
    }

    /// Adds the avatar with this version.
    pub(super) fn with_avatar(self, version: Option<&str>) -> Self {
        let path = |version| format!("/api/users/{}/avatar?v={version}", percent_encoded(&self.username));
        Self { picture: version.map(path), ..self }
    }

    pub(super) fn of(user: &User) -> Self {
        Self::new(&user.username, &user.display_name).with_avatar(user.shown_avatar())
    }

    /// Returns whether the display name is another than the user name.
    pub(super) fn has_own_name(&self) -> bool {
        self.username != self.display_name
    }
}

/// Returns a problem as a sentence: with a capital letter and a full stop.
pub(super) fn sentence(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// The words with which a problem continues the label of its field.
const CONTINUATIONS: [&str; 8] = ["are", "cannot", "contain", "has", "have", "include", "is", "must"];

/// Returns the problem of a field as a sentence. A problem that is only the end of a sentence
/// (`must be …`) continues the label of the field.
pub(super) fn field_sentence(label: &str, problem: &str) -> String {
    let first = problem.split(' ').next().unwrap_or_default();
    if CONTINUATIONS.contains(&first) { sentence(format!("{label} {problem}")) } else { sentence(problem) }
}

/// Returns a duration in its two largest units: `3 d 4 h`.
pub(super) fn duration(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_is_a_minute_in_utc() {
        let moment = Moment::of(Timestamp(1_795_960_314_123));
        assert_eq!(moment.text, format!("{} {} UTC", &moment.iso[..10], &moment.iso[11..16]));
        assert!(moment.iso.ends_with('Z'), "{moment:?}");
    }

    #[test]
    fn sentence_begins_with_a_capital_and_keeps_names() {
        assert_eq!(sentence("must be exactly Hello"), "Must be exactly Hello.");
        assert_eq!(sentence("is it?"), "Is it?");
    }

    #[test]
    fn problem_continues_the_label_of_its_field() {
        let shown = field_sentence("Repositories", "include a repository that does not exist");
        assert_eq!(shown, "Repositories include a repository that does not exist.");
        assert_eq!(field_sentence("User name", "must be a name"), "User name must be a name.");
        assert_eq!(field_sentence("Password", "the password is wrong"), "The password is wrong.");
    }

    #[test]
    fn duration_has_two_units() {
        let shown: Vec<_> = [5, 65, 3_700, 90_000].into_iter().map(duration).collect();
        assert_eq!(shown, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
