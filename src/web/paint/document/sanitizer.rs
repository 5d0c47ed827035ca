//! The last step before a page: parses HTML as a browser does and keeps listed elements.

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
    SafeHtml::written(RULES.clean(html).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::super::html_check_test::assert_safe;
    use super::*;

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
