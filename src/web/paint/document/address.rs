//! Resolves the addresses of links and images of a document.

use super::super::link::{Address, local};
use super::{LINKS_MAX, Links, is_markdown};

/// The prefix of all ids of a document.
pub(super) const ID_PREFIX: &str = "user-content-";

/// A resolved address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    External(String),
    /// On this server, or a fragment of this page.
    Local(String),
}

/// Resolves addresses relative to the folder of a document.
pub(super) struct Resolver<'l> {
    links: &'l dyn Links,
    /// The segments of the path of the folder.
    folder: Vec<&'l str>,
    questions_left: usize,
}

impl<'l> Resolver<'l> {
    pub(super) fn new(path: &'l str, links: &'l dyn Links) -> Self {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = folder.split('/').filter(|segment| !segment.is_empty()).collect();
        Self { links, folder, questions_left: LINKS_MAX }
    }

    /// Resolves the address of a link.
    pub(super) fn link(&mut self, address: &str) -> Option<Target> {
        let address = match Address::parse(address)? {
            Address::External(address) => return Some(Target::External(address)),
            Address::Relative(address) => address,
        };
        let (rest, fragment) = address.split_once('#').map_or((address, None), |(rest, at)| (rest, Some(at)));
        let path = rest.split('?').next().unwrap_or(rest);
        if path.is_empty() {
            return fragment.map(|fragment| Target::Local(format!("#{}", in_document(fragment))));
        }
        let path = self.path(path)?;
        self.questions_left = self.questions_left.checked_sub(1)?;
        let mut address = self.links.page(&path).and_then(local)?;
        if let Some(fragment) = fragment {
            address.push('#');
            // Another document has the same prefix; a line of code has none.
            if is_markdown(&path) {
                address.push_str(&in_document(fragment));
            } else {
                address.push_str(&without_spaces(fragment));
            }
        }
        Some(Target::Local(address))
    }

    /// Resolves the address of an image.
    pub(super) fn image(&mut self, address: &str) -> Option<Target> {
        let address = match Address::parse(address)? {
            Address::External(address) => return Some(Target::External(address)),
            Address::Relative(address) => address,
        };
        let path = self.path(address.split(['?', '#']).next()?)?;
        self.questions_left = self.questions_left.checked_sub(1)?;
        self.links.image(&path).and_then(local).map(Target::Local)
    }

    /// Returns the path from the root of the repository. `None` for a path outside of it and for
    /// encodings of control characters and separators.
    fn path(&self, relative: &str) -> Option<String> {
        let from_root = relative.starts_with('/');
        let mut segments = if from_root { Vec::new() } else { self.folder.clone() };
        let mut decoded = Vec::new();
        for segment in relative.split('/') {
            decoded.push(decode(segment)?);
        }
        for segment in &decoded {
            match segment.as_str() {
                "" | "." => {}
                ".." => {
                    segments.pop()?;
                }
                name => segments.push(name),
            }
        }
        Some(segments.join("/"))
    }
}

/// Returns a fragment as the id that it has in a document.
pub(super) fn in_document(fragment: &str) -> String {
    let fragment = without_spaces(fragment);
    if fragment.starts_with(ID_PREFIX) { fragment } else { format!("{ID_PREFIX}{fragment}") }
}

fn without_spaces(text: &str) -> String {
    text.replace(char::is_whitespace, "%20")
}

/// Decodes `%20` and the like in a segment of a path.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digits = || Some((ahead.next()?, ahead.next()?));
        match (byte == b'%').then(digits).flatten().and_then(|(high, low)| hex(high, low)) {
            Some(decoded) => {
                bytes.push(decoded);
                rest.nth(1);
            }
            None => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let refused = |c: char| c.is_control() || matches!(c, '/' | '\\');
    (!text.contains(refused)).then_some(text)
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digit(high)?.checked_mul(16)?.checked_add(digit(low)?)
}

/// Returns the anchor of a heading: lower-case letters and digits, with hyphens for spaces.
pub(super) fn anchor(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    let kept = text.trim().chars().filter_map(|c| match c {
        ' ' | '-' => Some('-'),
        c if c.is_alphanumeric() || c == '_' => Some(c),
        _ => None,
    });
    kept.take(CHARS_MAX).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Links for Known {
        fn page(&self, path: &str) -> Option<String> {
            Some(format!("/blob/{}", path.replace(' ', "%20")))
        }

        fn image(&self, path: &str) -> Option<String> {
            path.ends_with(".png").then(|| format!("/image/{path}"))
        }
    }

    fn link(address: &str) -> Option<String> {
        Resolver::new("docs/guide/README.md", &Known).link(address).map(|target| match target {
            Target::External(address) | Target::Local(address) => address,
        })
    }

    #[test]
    fn links_are_relative_to_the_folder() {
        for (address, expected) in [
            ("a.md", Some("/blob/docs/guide/a.md")),
            ("./a%20b.rs#L3", Some("/blob/docs/guide/a%20b.rs#L3")),
            ("../x.md#part", Some("/blob/docs/x.md#user-content-part")),
            ("/src/?q=1", Some("/blob/src")),
            ("../..", Some("/blob/")),
            ("../../..", None),
            ("/..", None),
            ("%2e%2e/%2e%2e/%2e%2e", None),
            ("a%2fb", None),
            ("a%00", None),
            ("a%5cb", None),
            ("%ff", None),
            ("100%", Some("/blob/docs/guide/100%")),
            ("#A b", Some("#user-content-A%20b")),
            ("#user-content-a", Some("#user-content-a")),
            ("#", Some("#user-content-")),
            ("", None),
            ("?a", None),
            ("javascript:x", None),
            ("https://x.org/a", Some("https://x.org/a")),
        ] {
            assert_eq!(link(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn images_are_resolved_to_contents() {
        let mut resolver = Resolver::new("README.md", &Known);
        let local = Some(Target::Local("/image/a.png".to_owned()));
        assert_eq!(resolver.image("a.png?raw=true"), local);
        assert_eq!(resolver.image("/a.png"), local);
        assert_eq!(resolver.image("a.exe"), None);
        assert_eq!(resolver.image("https://x/a.png"), Some(Target::External("https://x/a.png".to_owned())));
        assert_eq!(resolver.image("data:image/png,x"), None);
    }

    #[test]
    fn questions_are_bounded() {
        let mut resolver = Resolver::new("README.md", &Known);
        let found = (0..LINKS_MAX + 9).filter(|_| resolver.link("a").is_some()).count();
        assert_eq!(found, LINKS_MAX);
    }
}
