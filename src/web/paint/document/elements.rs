//! The elements that a document may have, and which element may be inside of which.
//!
//! Following these rules, the emitter writes HTML that a parser reads as it is written: no element
//! is moved, repeated or closed early.

/// A listed element of the HTML inside of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// The name that is written, which may differ from the name that was read.
    pub(super) tag: &'static str,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stands in a line of text.
    Inline,
    /// Contains blocks or text.
    Block,
    /// A block that contains text only.
    TextBlock,
    /// A block that contains listed elements only: tables and their rows.
    Structure,
    /// A block without contents.
    VoidBlock,
    /// Has no contents.
    Void,
}

const KNOWN: &[(&str, &str, Kind)] = &[
    ("a", "a", Kind::Inline),
    ("b", "b", Kind::Inline),
    ("blockquote", "blockquote", Kind::Block),
    ("br", "br", Kind::Void),
    ("caption", "caption", Kind::Block),
    ("center", "div", Kind::Block),
    ("code", "code", Kind::Inline),
    ("dd", "dd", Kind::Block),
    ("del", "del", Kind::Inline),
    ("details", "details", Kind::Block),
    ("div", "div", Kind::Block),
    ("dl", "dl", Kind::Block),
    ("dt", "dt", Kind::Block),
    ("em", "em", Kind::Inline),
    ("h1", "h2", Kind::TextBlock),
    ("h2", "h3", Kind::TextBlock),
    ("h3", "h4", Kind::TextBlock),
    ("h4", "h5", Kind::TextBlock),
    ("h5", "h6", Kind::TextBlock),
    ("h6", "h6", Kind::TextBlock),
    ("hr", "hr", Kind::VoidBlock),
    ("i", "i", Kind::Inline),
    ("img", "img", Kind::Void),
    ("ins", "ins", Kind::Inline),
    ("kbd", "kbd", Kind::Inline),
    ("li", "li", Kind::Block),
    ("mark", "mark", Kind::Inline),
    ("ol", "ol", Kind::Block),
    ("p", "p", Kind::TextBlock),
    ("pre", "pre", Kind::TextBlock),
    ("q", "q", Kind::Inline),
    ("s", "s", Kind::Inline),
    ("samp", "samp", Kind::Inline),
    ("small", "small", Kind::Inline),
    ("strike", "s", Kind::Inline),
    ("strong", "strong", Kind::Inline),
    ("sub", "sub", Kind::Inline),
    ("summary", "summary", Kind::Block),
    ("sup", "sup", Kind::Inline),
    ("table", "table", Kind::Structure),
    ("tbody", "tbody", Kind::Structure),
    ("td", "td", Kind::Block),
    ("th", "th", Kind::Block),
    ("thead", "thead", Kind::Structure),
    ("tr", "tr", Kind::Structure),
    ("tt", "code", Kind::Inline),
    ("u", "u", Kind::Inline),
    ("ul", "ul", Kind::Block),
    ("var", "var", Kind::Inline),
];

/// Returns the element of a lower-case name.
pub(super) fn known(name: &str) -> Option<Known> {
    let found = KNOWN.iter().find(|(read, _, _)| *read == name);
    found.map(|(_, tag, kind)| Known { tag, kind: *kind })
}

/// Elements that need one of the listed parents.
const PARENTS: &[(&str, &[&str])] = &[
    ("caption", &["table"]),
    ("dd", &["dl"]),
    ("dt", &["dl"]),
    ("li", &["ol", "ul"]),
    ("summary", &["details"]),
    ("tbody", &["table"]),
    ("td", &["tr"]),
    ("th", &["tr"]),
    ("thead", &["table"]),
    ("tr", &["table", "thead", "tbody"]),
];

/// Returns whether an element may be directly inside of `parent`; `None` is the document.
pub(super) fn fits(tag: &str, parent: Option<&str>) -> bool {
    let needed = PARENTS.iter().find(|(child, _)| *child == tag);
    let parent_is_structure = parent.is_some_and(is_structure);
    needed.map_or(!parent_is_structure, |(_, parents)| parent.is_some_and(|parent| parents.contains(&parent)))
}

/// Returns whether an element contains listed elements only, so no text.
pub(super) fn is_structure(tag: &str) -> bool {
    matches!(tag, "table" | "thead" | "tbody" | "tr")
}

/// Elements that the start of an element ends, without an end tag.
const ENDED: &[(&str, &[&str])] = &[
    ("dd", &["dd", "dt"]),
    ("dt", &["dd", "dt"]),
    ("li", &["li"]),
    ("tbody", &["caption", "tbody", "td", "th", "thead", "tr"]),
    ("td", &["td", "th"]),
    ("th", &["td", "th"]),
    ("thead", &["caption", "tbody", "td", "th", "thead", "tr"]),
    ("tr", &["caption", "td", "th", "tr"]),
];

/// Returns the elements that the start of an element ends.
pub(super) fn ended_by(tag: &str) -> &'static [&'static str] {
    ENDED.iter().find(|(start, _)| *start == tag).map_or(&[], |(_, ended)| ended)
}

/// Returns whether the search for elements that a start ends stops at an open element.
pub(super) fn is_boundary(tag: &str) -> bool {
    matches!(tag, "table" | "ul" | "ol" | "dl")
}
