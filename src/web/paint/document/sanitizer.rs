//! The last step before a page: parses HTML as a browser does and keeps listed elements.
//!
//! The parser joins the pieces of a text, and copies the text for each piece. Each reference such
//! as `&amp;` is a piece, so a text of references takes a time that grows with the square of its
//! length. Comments, which are removed again, bound the length of a text: [`with_breaks`].

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

use super::super::SafeHtml;
use super::super::link::RELATION;
use super::address::ID_PREFIX;

const TAGS: &[&str] = &[
    "a",
    "b",
    "blockquote",
    "br",
    "caption",
    "code",
    "dd",
    "del",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
    "var",
];
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("details", &["open"]),
    ("div", &["align"]),
    ("h2", &["align"]),
    ("h3", &["align"]),
    ("h4", &["align"]),
    ("h5", &["align"]),
    ("h6", &["align"]),
    ("img", &["src", "alt", "width", "height", "align"]),
    ("ol", &["start"]),
    ("p", &["align"]),
    ("td", &["align", "colspan", "rowspan"]),
    ("th", &["align", "colspan", "rowspan"]),
];
/// The classes that the emitter writes.
const CLASSES: &[(&str, &[&str])] = &[
    ("a", &["external-image"]),
    ("blockquote", &["alert-note", "alert-tip", "alert-important", "alert-warning", "alert-caution"]),
    ("div", &["footnote"]),
    ("pre", &["code-block"]),
    (
        "span",
        &[
            "hl-c",
            "hl-k",
            "hl-s",
            "hl-n",
            "hl-t",
            "hl-f",
            "hl-v",
            "hl-a",
            "hl-m",
            "hidden-char",
            "task",
            "external-image",
        ],
    ),
];

/// Length of a text after which a comment breaks it.
const TEXT_BYTES_MAX: usize = 4 * 1024;
/// A comment.
const BREAK: &str = "<!---->";

/// The rules, which never change.
static RULES: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let lists = |lists: &[(&'static str, &[&'static str])]| -> HashMap<&'static str, HashSet<&'static str>> {
        lists.iter().map(|(tag, names)| (*tag, names.iter().copied().collect())).collect()
    };
    let mut rules = Builder::empty();
    rules
        .tags(TAGS.iter().copied().collect())
        .tag_attributes(lists(ATTRIBUTES))
        .allowed_classes(lists(CLASSES))
        .generic_attributes(HashSet::from(["id", "title"]))
        .clean_content_tags(HashSet::from(["script", "style"]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some(RELATION))
        .id_prefix(Some(ID_PREFIX))
        .attribute_filter(|tag, name, value| {
            let is_path = value.starts_with('/') && !value.starts_with("//");
            let allowed = match (tag, name) {
                // A browser fetches images from this server only.
                ("img", "src") => is_path,
                ("a", "href") => is_path || value.starts_with('#') || value.contains(':'),
                _ => true,
            };
            allowed.then_some(Cow::Borrowed(value))
        });
    rules
});

/// Keeps listed elements and attributes, and closes all elements.
pub(super) fn clean(html: &str) -> SafeHtml {
    SafeHtml::written(RULES.clean(&with_breaks(html)).to_string())
}

/// Breaks long texts of the emitter with comments. It escapes `<` and `>` in texts and attributes.
fn with_breaks(html: &str) -> String {
    let mut broken = String::with_capacity(html.len());
    let (mut in_tag, mut length, mut from) = (false, 0_usize, 0);
    for (at, byte) in html.bytes().enumerate() {
        match byte {
            b'<' => in_tag = true,
            b'>' => (in_tag, length) = (false, 0),
            b'&' | b'\n' if !in_tag && length >= TEXT_BYTES_MAX => {
                broken.push_str(html.get(from..at).unwrap_or_default());
                broken.push_str(BREAK);
                (from, length) = (at, 0);
            }
            _ => {}
        }
        length = length.saturating_add(1);
    }
    broken.push_str(html.get(from..).unwrap_or_default());
    broken
}

#[cfg(test)]
mod tests {
    use super::super::super::html_check_test::assert_safe;
    use super::*;

    #[test]
    fn long_text_is_broken_and_comes_back_whole() {
        for piece in ["&amp;", "\n", "a\n", "é&lt;"] {
            let text = piece.repeat(4 * TEXT_BYTES_MAX);
            let html = format!("<pre>a{text}</pre><p title=\"{text}\">{text}</p>");
            let broken = with_breaks(&html);
            let longest = broken.split(BREAK).map(|text| text.rsplit('>').next().unwrap_or_default().len());
            assert!(longest.max() <= Some(TEXT_BYTES_MAX + piece.len()), "{piece:?}");
            assert_eq!(broken.replace(BREAK, ""), html);
            assert_eq!(clean(&html).as_str(), RULES.clean(&html).to_string(), "{piece:?}");
        }
    }

    #[test]
    fn unlisted_markup_is_removed() {
        for (html, expected) in [
            ("<script>x</script>a", "a"),
            ("<p onclick=x style=y class=z>a", "<p>a</p>"),
            ("<img src=//x onerror=y>", "<img>"),
            ("<img src=https://x>", "<img>"),
            ("<a href=javascript:x>a</a>", "<a rel=\"noopener noreferrer nofollow\">a</a>"),
            ("<a href=x>a</a>", "<a rel=\"noopener noreferrer nofollow\">a</a>"),
            ("<b id=x>a", "<b id=\"user-content-x\">a</b>"),
            ("<form><input><button>a", "a"),
            ("<span class=\"hl-k evil\">a</span>", "<span class=\"hl-k\">a</span>"),
            ("<svg><style><img src=x onerror=y>", "<img>"),
        ] {
            let clean = clean(html);
            assert_safe(clean.as_str(), html);
            assert_eq!(clean.as_str(), expected, "{html}");
        }
    }
}
