//! Turns the message of a commit or a tag into HTML: subject, body and trailers.

use std::ops::Range;

use super::SafeHtml;
use super::hidden::Marks;
use super::link::{local, push_external_start, url_at_start};
use super::safe_html::push_attribute;

/// Maximum size of a message; the rest is not shown.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Maximum links in a message.
pub const LINKS_MAX: usize = 200;
/// Maximum questions to [`CommitLinks`] for one message, as an answer may read the repository.
pub const QUESTIONS_MAX: usize = 100;
/// Maximum trailers; a paragraph with more is a part of the body.
pub const TRAILERS_MAX: usize = 50;
/// Lengths of object ids that may be links.
const OID_DIGITS: std::ops::RangeInclusive<usize> = 7..=40;
/// Maximum length of a user name after `@`.
const NAME_BYTES_MAX: usize = 64;

/// Knows the addresses of things that messages mention. An address is a path on this server.
pub trait CommitLinks {
    /// Returns the page of a commit. `hex` has 7 to 40 lower-case digits.
    fn commit(&self, hex: &str) -> Option<String>;
    /// Returns the page of a user.
    fn user(&self, name: &str) -> Option<String>;
}

/// Links nothing on this server.
impl CommitLinks for () {
    fn commit(&self, _hex: &str) -> Option<String> {
        None
    }

    fn user(&self, _name: &str) -> Option<String> {
        None
    }
}

/// A message in parts. The HTML consists of text, line feeds, links and marks, so the body belongs
/// into an element that keeps line feeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitText {
    /// The first line.
    pub subject: SafeHtml,
    /// The rest without the trailers and without empty lines around it.
    pub body: SafeHtml,
    pub trailers: Vec<Trailer>,
    /// Whether the message was longer than [`MESSAGE_BYTES_MAX`].
    pub truncated: bool,
    pub has_hidden: bool,
}

/// A line such as `Signed-off-by: Alice <alice@example.org>` in the last paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    pub key: SafeHtml,
    pub value: SafeHtml,
}

/// Turns a message into HTML.
pub fn commit_text(message: &str, links: &dyn CommitLinks) -> CommitText {
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    let truncated = end < message.len();
    let message = message.get(..end).unwrap_or_default();
    let normal = message.replace("\r\n", "\n");
    let (subject, rest) = normal.trim_start_matches('\n').split_once('\n').unwrap_or((&normal, ""));
    let rest = rest.trim_matches('\n').trim_end();
    let (body, trailers) = split_trailers(rest);
    let mut linker =
        Linker { links, links_left: LINKS_MAX, questions_left: QUESTIONS_MAX, marks: Marks::default() };
    let subject = linker.html(subject.trim());
    let body = linker.html(body);
    let trailers = trailers
        .iter()
        .map(|trailer| Trailer { key: SafeHtml::text(trailer.key), value: linker.html(&trailer.value) });
    let trailers = trailers.collect();
    CommitText { subject, body, trailers, truncated, has_hidden: linker.marks.found }
}

#[derive(Debug)]
struct Parsed<'m> {
    key: &'m str,
    value: String,
}

/// Splits a message without its subject into body and trailers. The last paragraph consists of
/// trailers if each line is a trailer or the continuation of a trailer.
fn split_trailers(rest: &str) -> (&str, Vec<Parsed<'_>>) {
    let (body, last) = rest.rsplit_once("\n\n").unwrap_or(("", rest));
    let mut trailers: Vec<Parsed<'_>> = Vec::new();
    for line in last.lines() {
        if let Some(trailer) = trailers.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            trailer.value.push(' ');
            trailer.value.push_str(line.trim());
            continue;
        }
        match trailer(line) {
            Some(trailer) if trailers.len() < TRAILERS_MAX => trailers.push(trailer),
            _ => return (rest, Vec::new()),
        }
    }
    (body.trim_end(), trailers)
}

fn trailer(line: &str) -> Option<Parsed<'_>> {
    let (key, value) = line.split_once(": ")?;
    let begins = key.starts_with(|c: char| c.is_ascii_alphabetic());
    let named = begins && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    named.then(|| Parsed { key, value: value.trim().to_owned() })
}

/// Writes texts with links, up to the limits of a message.
struct Linker<'l> {
    links: &'l dyn CommitLinks,
    links_left: usize,
    questions_left: usize,
    marks: Marks,
}

/// A part of a text that is a link.
struct Found {
    length: usize,
    start: String,
}

impl Linker<'_> {
    fn html(&mut self, text: &str) -> SafeHtml {
        let mut html = String::with_capacity(text.len());
        let (mut from, mut at) = (0, 0_usize);
        let mut previous = ' ';
        while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let begins =
                !previous.is_alphanumeric() && !matches!(previous, '_' | '/' | '@' | '.' | '-' | '#');
            if begins && let Some(found) = self.find(text, at, c) {
                let end = at.saturating_add(found.length);
                self.marks.push(&mut html, text, from..at);
                html.push_str(&found.start);
                self.marks.push(&mut html, text, at..end);
                html.push_str("</a>");
                (from, at, previous) = (end, end, ' ');
                continue;
            }
            at = at.saturating_add(c.len_utf8());
            previous = c;
        }
        self.marks.push(&mut html, text, from..text.len());
        SafeHtml::written(html)
    }

    /// Returns the link that begins at a place.
    fn find(&mut self, text: &str, at: usize, first: char) -> Option<Found> {
        if self.links_left == 0 {
            return None;
        }
        let rest = text.get(at..)?;
        let found = match first {
            'h' => {
                let length = url_at_start(rest)?;
                let mut start = String::new();
                push_external_start(&mut start, rest.get(..length)?);
                Some(Found { length, start })
            }
            '@' => {
                let name = rest.get(word(rest, 1, |c| c.is_ascii_alphanumeric() || "-_.".contains(c)))?;
                let name = name.trim_end_matches(['.', '-']);
                let asked = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
                let address = asked.then(|| self.ask(|links| links.user(name))).flatten()?;
                Some(Found { length: name.len().saturating_add(1), start: local_start(&address) })
            }
            '0'..='9' | 'a'..='f' => {
                let hex = word(rest, 0, |c| matches!(c, '0'..='9' | 'a'..='f'));
                let after = rest.get(hex.end..)?.chars().next();
                let ends = after.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-');
                let hex = rest.get(hex)?;
                let asked =
                    ends && OID_DIGITS.contains(&hex.len()) && hex.contains(|c: char| c.is_ascii_digit());
                let address = asked.then(|| self.ask(|links| links.commit(hex))).flatten()?;
                Some(Found { length: hex.len(), start: local_start(&address) })
            }
            _ => None,
        };
        self.links_left = self.links_left.saturating_sub(usize::from(found.is_some()));
        found
    }

    fn ask(&mut self, question: impl Fn(&dyn CommitLinks) -> Option<String>) -> Option<String> {
        self.questions_left = self.questions_left.checked_sub(1)?;
        question(self.links).and_then(local)
    }
}

/// Returns the range from a byte to the first character that does not match.
fn word(text: &str, from: usize, matches: impl Fn(char) -> bool) -> Range<usize> {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest.find(|c| !matches(c)).unwrap_or(rest.len());
    from..from.saturating_add(length)
}

fn local_start(address: &str) -> String {
    let mut start = "<a".to_owned();
    push_attribute(&mut start, "href", address);
    start.push('>');
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl CommitLinks for Known {
        fn commit(&self, hex: &str) -> Option<String> {
            (hex != "0000000").then(|| format!("/alice/x/commit/{hex}"))
        }

        fn user(&self, name: &str) -> Option<String> {
            (name == "alice").then(|| "/alice".to_owned())
        }
    }

    fn body(text: &str) -> String {
        commit_text(&format!("s\n\n{text}"), &Known).body.to_string()
    }

    #[test]
    fn message_has_subject_body_and_trailers() {
        let message =
            "web: add <b>\r\n\r\nFirst.\n\n  code\n\nSigned-off-by: Alice <a@x>\nSee: abc1234\n  more\n";
        let text = commit_text(message, &Known);
        assert_eq!(text.subject.as_str(), "web: add &lt;b&gt;");
        assert_eq!(text.body.as_str(), "First.\n\n  code");
        let trailers: Vec<_> = text.trailers.iter().map(|t| format!("{}={}", t.key, t.value)).collect();
        assert_eq!(
            trailers,
            ["Signed-off-by=Alice &lt;a@x&gt;", "See=<a href=\"/alice/x/commit/abc1234\">abc1234</a> more"]
        );
        assert!(!text.truncated && !text.has_hidden);
    }

    #[test]
    fn paragraph_with_other_lines_is_body() {
        let text = commit_text("s\n\nNote: this\nis text", &());
        assert!(text.trailers.is_empty());
        assert_eq!(text.body.as_str(), "Note: this\nis text");
        assert_eq!(commit_text("Fixes: 1", &()).subject.as_str(), "Fixes: 1");
        assert_eq!(commit_text("", &()), CommitText::default());
        let many = format!("s\n\n{}", "A: b\n".repeat(TRAILERS_MAX + 1));
        assert!(commit_text(&many, &()).trailers.is_empty());
    }

    #[test]
    fn known_things_are_linked() {
        assert_eq!(body("(abc1234)."), "(<a href=\"/alice/x/commit/abc1234\">abc1234</a>).");
        assert_eq!(body("@alice, @bob"), "<a href=\"/alice\">@alice</a>, @bob");
        assert_eq!(
            body("https://x.org/abc1234."),
            "<a href=\"https://x.org/abc1234\" rel=\"noopener noreferrer nofollow\">https://x.org/abc1234</a>."
        );
        for text in
            ["0000000", "defaced", "abc123", "abc1234g", "xabc1234", "a@alice", "abc1234-x", "@", "@."]
        {
            assert_eq!(body(text), text);
        }
        assert!(!body(&"a1".repeat(21)).contains("<a"), "longer than an object id");
    }

    #[test]
    fn addresses_of_other_servers_are_refused() {
        struct Wrong;
        impl CommitLinks for Wrong {
            fn commit(&self, _: &str) -> Option<String> {
                Some("javascript:x".to_owned())
            }
            fn user(&self, _: &str) -> Option<String> {
                Some("//evil".to_owned())
            }
        }
        assert_eq!(commit_text("@alice abc1234", &Wrong).subject.as_str(), "@alice abc1234");
    }

    #[test]
    fn messages_and_links_are_bounded() {
        let text = commit_text(&"é".repeat(MESSAGE_BYTES_MAX), &());
        assert!(text.truncated && text.subject.as_str().len() == MESSAGE_BYTES_MAX);
        assert!(!commit_text(&"a".repeat(MESSAGE_BYTES_MAX), &()).truncated);
        let count = |text: &str| commit_text(text, &Known).subject.as_str().matches("<a ").count();
        assert_eq!(count(&"https://x ".repeat(LINKS_MAX + 9)), LINKS_MAX);
        assert_eq!(count(&"abc1234 ".repeat(LINKS_MAX)), QUESTIONS_MAX);
    }

    #[test]
    fn hidden_characters_are_marked_in_messages() {
        let text = commit_text("a\u{202e}b", &());
        assert!(text.has_hidden && text.subject.as_str().contains("U+202E"));
    }
}
