//! Addresses of links: which are allowed, and where they are in a text.

use std::ops::Range;

use super::safe_html::push_attribute;

/// Maximum length of an address; a longer one is not a link.
pub(super) const ADDRESS_BYTES_MAX: usize = 2_000;
/// The relation of links to other servers: they do not reach the page that opened them, do not
/// learn its address, and search engines do not count them.
pub(super) const RELATION: &str = "noopener noreferrer nofollow";

/// An address in a document, by its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// On another server, with an allowed scheme.
    External(String),
    /// Without a scheme and a server: a path with an optional query and fragment.
    Relative(&'a str),
}

impl<'a> Address<'a> {
    /// Sorts an address. `None` for other schemes, for characters that browsers drop or replace,
    /// and above [`ADDRESS_BYTES_MAX`].
    pub(super) fn parse(address: &'a str) -> Option<Self> {
        let address = address.trim_matches([' ', '\t', '\n', '\r', '\u{c}']);
        let misread = |c: char| c.is_control() || c.is_whitespace() && c != ' ' || c == '\\';
        if address.len() > ADDRESS_BYTES_MAX || address.contains(misread) {
            return None;
        }
        if let Some(rest) = address.strip_prefix("//") {
            let named = rest.starts_with(|c: char| c.is_alphanumeric());
            return named.then(|| Self::External(format!("https://{}", without_spaces(rest))));
        }
        let end = address.find([':', '/', '?', '#']).unwrap_or(address.len());
        let (scheme, rest) = address.split_at_checked(end)?;
        if !rest.starts_with(':') {
            return Some(Self::Relative(address));
        }
        let scheme = scheme.to_ascii_lowercase();
        let named = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '[');
        let allowed = match scheme.as_str() {
            "http" | "https" => rest.strip_prefix("://").is_some_and(named),
            "mailto" => rest.strip_prefix(':').is_some_and(named),
            _ => false,
        };
        allowed.then(|| Self::External(format!("{scheme}{}", without_spaces(rest))))
    }
}

fn without_spaces(address: &str) -> String {
    address.replace(' ', "%20")
}

/// Returns an address of this server, as a page has composed it. `None` for other addresses.
pub(super) fn local(address: String) -> Option<String> {
    let is_path = address.starts_with('/') && !address.starts_with("//");
    let blank = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    (is_path && !address.contains(blank)).then_some(address)
}

/// Appends `<a …>` with an external address.
pub(super) fn push_external_start(html: &mut String, address: &str) {
    html.push_str("<a");
    push_attribute(html, "href", address);
    push_attribute(html, "rel", RELATION);
    html.push('>');
}

/// Returns the length of the address that begins at the start of a text. Punctuation at its end and
/// brackets around it do not belong to it.
pub(super) fn url_at_start(text: &str) -> Option<usize> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme))?;
    let ends = |c: char| {
        let ascii = matches!(c, '\0'..=' ' | '<' | '>' | '"' | '`' | '|' | '\\' | '^' | '{' | '}' | '\u{7f}');
        ascii || !c.is_ascii() && (c.is_whitespace() || c.is_control() || is_unseen(c))
    };
    let window = text.get(..text.floor_char_boundary(ADDRESS_BYTES_MAX.saturating_add(1)))?;
    let end = window.find(ends).or_else(|| (window.len() == text.len()).then_some(text.len()))?;
    let mut url = window.get(..end).filter(|url| url.len() <= ADDRESS_BYTES_MAX)?;
    let count = |bracket: char| url.matches(bracket).count();
    let mut round = count(')').saturating_sub(count('('));
    let mut square = count(']').saturating_sub(count('['));
    while let Some(last) = url.chars().next_back() {
        let is_outside = match last {
            ')' if round > 0 => {
                round = round.saturating_sub(1);
                true
            }
            ']' if square > 0 => {
                square = square.saturating_sub(1);
                true
            }
            last => ".,:;!?'*_~".contains(last),
        };
        if !is_outside {
            break;
        }
        url = url.get(..url.len().saturating_sub(last.len_utf8()))?;
    }
    let host = url.get(scheme.len()..)?;
    host.starts_with(|c: char| c.is_alphanumeric() || c == '[').then_some(url.len())
}

fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Returns the next address in a text, from a byte on. Text that begins like an address and is not
/// one is skipped up to white space, so that each byte is read a bounded number of times.
pub(super) fn next_url(text: &str, from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let begin = at.saturating_add(text.get(at..)?.find("http")?);
        let rest = text.get(begin..)?;
        let begins = !text.get(from..begin)?.ends_with(char::is_alphanumeric);
        let resembles = begins && (rest.starts_with("http://") || rest.starts_with("https://"));
        if let Some(length) = resembles.then(|| url_at_start(rest)).flatten() {
            return Some(begin..begin.saturating_add(length));
        }
        let skipped = if resembles { rest.find(char::is_whitespace)? } else { "http".len() };
        at = begin.saturating_add(skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_allowed_by_name() {
        let external = |address: &str| Some(Address::External(address.to_owned()));
        assert_eq!(Address::parse(" HTTPS://x/ a "), external("https://x/%20a"));
        assert_eq!(Address::parse("//x/y"), external("https://x/y"));
        assert_eq!(Address::parse("mailto:a@b"), external("mailto:a@b"));
        for address in [
            "javascript:x",
            "JavaScript:x",
            "java\nscript:x",
            "java\tscript:x",
            "\u{1}javascript:x",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "http:x",
            "https:///x",
            "///x",
            "/\\x",
            "a\\b",
            "blob:https://x",
            "x:y",
        ] {
            assert_eq!(Address::parse(address), None, "{address:?}");
        }
        for address in ["a/b.md", "#a", "?a:b", "/a:b", "", "a#b:c", "./a:b"] {
            assert_eq!(Address::parse(address), Some(Address::Relative(address)));
        }
        assert_eq!(Address::parse(&"a".repeat(ADDRESS_BYTES_MAX + 1)), None);
    }

    #[test]
    fn addresses_of_pages_are_paths() {
        assert_eq!(local("/a/b?c#d".to_owned()).as_deref(), Some("/a/b?c#d"));
        for address in ["//x", "https://x", "a", "", "/a b", "/\\x", "javascript:x"] {
            assert_eq!(local(address.to_owned()), None, "{address}");
        }
    }

    #[test]
    fn urls_end_before_punctuation() {
        for (text, url) in [
            ("see https://x.org/a.", Some("https://x.org/a")),
            ("(https://x.org/a_(b))", Some("https://x.org/a_(b)")),
            ("<https://x.org>", Some("https://x.org")),
            ("[https://x.org/a], b", Some("https://x.org/a")),
            ("https://x/\u{202e}a", Some("https://x/")),
            ("https://größe.de/ü?", Some("https://größe.de/ü")),
            ("http:// https://y", Some("https://y")),
            ("xhttps://x", None),
            ("https://", None),
            ("https://...", None),
            ("httphttphttp", None),
        ] {
            assert_eq!(next_url(text, 0).map(|at| &text[at]), url, "{text}");
        }
        let long = format!("https://x/{}", "a".repeat(ADDRESS_BYTES_MAX));
        assert_eq!(next_url(&long, 0), None);
    }
}
