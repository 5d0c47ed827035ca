//! Scans the HTML inside of a document.
//!
//! The scanner is simpler than a browser: it recognizes tags, attributes and comments. A construct
//! that it reads differently from a browser is not dangerous, because only listed elements with
//! escaped attributes are written, and the sanitizer follows.
//!
//! The scanner reads each byte a bounded number of times. A tag that does not end becomes text up
//! to the place where its scan stopped, so no byte of it begins another scan.

/// Maximum attributes of a tag; the others are ignored.
const ATTRIBUTES_MAX: usize = 20;
/// Maximum length of a tag; a longer one is text.
pub(super) const TAG_BYTES_MAX: usize = 4 * 1024;
/// Elements that are left out with their contents.
const WITH_CONTENTS: &[&str] = &[
    "audio", "canvas", "iframe", "math", "noembed", "noframes", "noscript", "object", "script", "select",
    "style", "svg", "template", "textarea", "title", "video", "xmp",
];

/// A part of HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'h> {
    /// Text with references to characters, such as `&amp;`.
    Text(&'h str),
    /// A tag that does not end, or that is too long: text.
    Broken(&'h str),
    Start {
        tag: String,
        attributes: Vec<Attribute>,
    },
    End {
        tag: String,
    },
}

/// An attribute with a decoded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: String,
}

/// Splits HTML into its parts. Comments and declarations are left out.
pub(super) struct Parts<'h> {
    rest: &'h str,
}

impl<'h> Parts<'h> {
    pub(super) fn of(html: &'h str) -> Self {
        Self { rest: html }
    }

    /// Skips up to the end of a mark, or up to the end of the text.
    fn skip_past(&mut self, mark: &str) {
        self.rest = self.rest.split_once(mark).map_or("", |(_, after)| after);
    }

    /// Skips the contents and the end tag of an element.
    fn skip_contents(&mut self, tag: &str) {
        let end = format!("</{tag}");
        let at = find_ignoring_case(self.rest, &end);
        self.rest = at.and_then(|at| self.rest.get(at..)).unwrap_or_default();
        self.skip_past(">");
    }
}

impl<'h> Iterator for Parts<'h> {
    type Item = Part<'h>;

    fn next(&mut self) -> Option<Part<'h>> {
        while !self.rest.is_empty() {
            let at = self.rest.find('<').unwrap_or(self.rest.len());
            if at > 0 {
                let (text, rest) = self.rest.split_at_checked(at)?;
                self.rest = rest;
                return Some(Part::Text(text));
            }
            let after = self.rest.get(1..)?;
            if self.rest.starts_with("<!--") {
                self.skip_past("-->");
            } else if self.rest.starts_with("<![CDATA[") {
                self.skip_past("]]>");
            } else if after.starts_with(['!', '?']) {
                self.skip_past(">");
            } else {
                match Scan::of(after) {
                    Scan::Tag { tag, length } => {
                        self.rest = after.get(length..)?;
                        if tag.is_end {
                            return Some(Part::End { tag: tag.name });
                        }
                        if !WITH_CONTENTS.contains(&tag.name.as_str()) {
                            return Some(Part::Start { tag: tag.name, attributes: tag.attributes });
                        }
                        self.skip_contents(&tag.name);
                    }
                    Scan::Broken { length } => {
                        let (text, rest) = self.rest.split_at_checked(length.saturating_add(1))?;
                        self.rest = rest;
                        return Some(Part::Broken(text));
                    }
                    Scan::NoTag => {
                        let (text, rest) = self.rest.split_at_checked(1)?;
                        self.rest = rest;
                        return Some(Part::Text(text));
                    }
                }
            }
        }
        None
    }
}

/// Returns the place of an ASCII text.
fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    let candidates = text.match_indices('<').map(|(at, _)| at);
    let mut matching = candidates.filter(|at| {
        let found = text.get(*at..at.saturating_add(wanted.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(wanted))
    });
    matching.next()
}

struct Tag {
    name: String,
    is_end: bool,
    attributes: Vec<Attribute>,
}

/// The result of a scan after a `<`. The lengths do not count the `<`.
enum Scan {
    Tag {
        tag: Tag,
        length: usize,
    },
    /// A tag begins and does not end. `length` is all that was scanned.
    Broken {
        length: usize,
    },
    /// The text does not begin like a tag.
    NoTag,
}

impl Scan {
    /// Scans a tag after its `<`, up to [`TAG_BYTES_MAX`].
    fn of(text: &str) -> Self {
        let window = text.get(..text.floor_char_boundary(TAG_BYTES_MAX)).unwrap_or_default();
        let scanned = |rest: &str| window.len().saturating_sub(rest.len());
        let (is_end, text) = window.strip_prefix('/').map_or((false, window), |text| (true, text));
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Self::NoTag;
        }
        let (name, mut rest) =
            split_at_first(text, |c| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '<'));
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if let Some(rest) = rest.strip_prefix('>') {
                let tag = Tag { name: name.to_ascii_lowercase(), is_end, attributes };
                return Self::Tag { tag, length: scanned(rest) };
            }
            // A tag inside of a tag: the first is not complete.
            if rest.is_empty() || rest.starts_with('<') {
                return Self::Broken { length: scanned(rest) };
            }
            // The value of an attribute does not end, so all was scanned.
            let Some((attribute, after)) = attribute(rest) else {
                return Self::Broken { length: window.len() };
            };
            if attributes.len() < ATTRIBUTES_MAX {
                attributes.push(attribute);
            }
            rest = after;
        }
    }
}

/// Parses an attribute at the start of a text that is neither empty nor begins with `>` or `/`.
fn attribute(text: &str) -> Option<(Attribute, &str)> {
    let first = text.chars().next()?.len_utf8();
    let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '<' | '=');
    let length = text.get(first..)?.find(ends).map_or(text.len(), |at| at.saturating_add(first));
    let (name, rest) = text.split_at_checked(length)?;
    let name = name.to_ascii_lowercase();
    let Some(value) = rest.trim_start().strip_prefix('=') else {
        return Some((Attribute { name, value: String::new() }, rest));
    };
    let value = value.trim_start();
    let (value, rest) = match value.chars().next()? {
        quote @ ('"' | '\'') => value.get(1..)?.split_once(quote)?,
        _ => split_at_first(value, |c| c.is_ascii_whitespace() || matches!(c, '>' | '<')),
    };
    Some((Attribute { name, value: decoded(value) }, rest))
}

fn split_at_first(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at_checked(text.find(ends).unwrap_or(text.len())).unwrap_or((text, ""))
}

/// A reference to a character at the start of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// The character, and the length of the reference.
    Character(char, usize),
    /// A name that only the parser of the sanitizer knows, with its length.
    Named(usize),
}

impl Reference {
    /// Parses `&#65;`, `&#x41;` or `&name;`.
    pub(super) fn at_start(text: &str) -> Option<Self> {
        const LENGTH_MAX: usize = 34;
        let window = text.get(..text.floor_char_boundary(LENGTH_MAX))?;
        let (body, _) = window.strip_prefix('&')?.split_once(';')?;
        let length = body.len().saturating_add(2);
        if let Some(number) = body.strip_prefix('#') {
            let hex = number.strip_prefix(['x', 'X']);
            let point = hex.map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
            let c = point.and_then(char::from_u32).filter(|c| !c.is_control() || c.is_ascii_whitespace());
            return Some(Self::Character(c.unwrap_or(char::REPLACEMENT_CHARACTER), length));
        }
        let c = match body {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "colon" => ':',
            "sol" => '/',
            "Tab" => '\t',
            "NewLine" => '\n',
            name => {
                let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
                return named.then_some(Self::Named(length));
            }
        };
        Some(Self::Character(c, length))
    }
}

/// Decodes the references in an attribute. Unknown names stay as they are.
fn decoded(value: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(value.len()), value);
    while let Some((before, _)) = rest.split_once('&') {
        text.push_str(before);
        let from = rest.get(before.len()..).unwrap_or_default();
        let length = match Reference::at_start(from) {
            Some(Reference::Character(c, length)) => {
                text.push(c);
                length
            }
            Some(Reference::Named(_)) | None => {
                text.push('&');
                1
            }
        };
        rest = from.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(html: &str) -> String {
        let parts = Parts::of(html).map(|part| match part {
            Part::Text(text) => format!("[{text}]"),
            Part::Broken(text) => format!("{{{text}}}"),
            Part::End { tag } => format!("</{tag}>"),
            Part::Start { tag, attributes } => {
                let pairs = attributes.iter().map(|a| format!(" {}={}", a.name, a.value));
                format!("<{tag}{}>", pairs.collect::<String>())
            }
        });
        parts.collect()
    }

    #[test]
    fn tags_and_texts_are_split() {
        for (html, expected) in [
            ("a<B c=d E='f g' h=\"i&amp;j\" k>l</b >", "[a]<b c=d e=f g h=i&j k=>[l]</b>"),
            ("<br/><img src = x />", "<br><img src=x>"),
            ("a<!-- <b> -->c<!doctype x><?y?>d<![CDATA[<b>]]>", "[a][c][d]"),
            ("<script>a<b></script>c<STYLE>x</Style>d", "[c][d]"),
            ("<script>a", ""),
            ("a < b <3 <", "[a ][<][ b ][<][3 ][<]"),
            ("<a <b>", "{<a }<b>"),
            ("<a href=\"x", "{<a href=\"x}"),
            ("<a\nhref=x>", "<a href=x>"),
            ("<a href=&#106;&#x61;v&colon;x>", "<a href=jav:x>"),
            ("<a =x>", "<a =x=>"),
            ("<é>", "[<][é>]"),
            ("<a é=ü>", "<a é=ü>"),
        ] {
            assert_eq!(shown(html), expected, "{html}");
        }
    }

    #[test]
    fn tag_without_end_is_scanned_once() {
        for part in ["<a \" x=\"", "<a x='", "<a ", "</a\n", "<a x=", "<a x=<"] {
            let html = part.repeat(10_000);
            let (mut pieces, mut bytes) = (0, 0);
            for part in Parts::of(&html) {
                let (Part::Text(text) | Part::Broken(text)) = part else { continue };
                pieces += 1;
                bytes += text.len();
            }
            assert!(bytes <= html.len(), "{part}: {bytes}");
            // Each `<` begins at most one scan, and each scan takes what it read.
            assert!(pieces <= 2 * 10_000, "{part}: {pieces}");
        }
    }

    #[test]
    fn tag_above_the_limit_becomes_text() {
        let fits = format!("<a x=\"{}\">b", "y".repeat(TAG_BYTES_MAX - 7));
        assert!(matches!(Parts::of(&fits).next(), Some(Part::Start { .. })));
        let long = format!("<a x=\"{}\">b", "y".repeat(TAG_BYTES_MAX - 6));
        assert!(matches!(Parts::of(&long).next(), Some(Part::Broken(_))));
        assert_eq!(shown(&long).len(), long.len() + 4, "nothing is lost");
        let wide = format!("<a x=\"{}", "é".repeat(TAG_BYTES_MAX));
        assert!(matches!(Parts::of(&wide).next(), Some(Part::Broken(_))));
    }

    #[test]
    fn references_are_parsed() {
        assert_eq!(Reference::at_start("&#65;b"), Some(Reference::Character('A', 5)));
        assert_eq!(Reference::at_start("&mdash; x"), Some(Reference::Named(7)));
        assert_eq!(Reference::at_start("&#0;"), Some(Reference::Character('\u{fffd}', 4)));
        for text in ["&", "&;", "& a;", "&a", "&<b>;", "x"] {
            assert_eq!(Reference::at_start(text), None, "{text}");
        }
    }
}
