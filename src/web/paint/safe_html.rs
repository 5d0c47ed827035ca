//! HTML that is safe to write into a page.

use std::fmt;

/// HTML without scripts, in which all texts of users are escaped and all elements are closed.
///
/// Only [`super`] creates values from markup; [`SafeHtml::text`] escapes. `Display` writes the
/// markup as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SafeHtml(String);

impl SafeHtml {
    /// Escapes a text. Hidden characters are marked.
    pub fn text(text: &str) -> Self {
        let mut html = String::with_capacity(text.len());
        super::hidden::push_text(&mut html, text);
        Self(html)
    }

    /// Accepts markup that this module has written.
    pub(super) fn written(html: String) -> Self {
        Self(html)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for SafeHtml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends a character in the form that is safe in texts and in quoted attributes.
pub(super) fn push_char(html: &mut String, c: char) {
    match c {
        '&' => html.push_str("&amp;"),
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '"' => html.push_str("&quot;"),
        '\'' => html.push_str("&#39;"),
        c => html.push(c),
    }
}

/// Appends ` name="value"`. Control characters are dropped from the value.
pub(super) fn push_attribute(html: &mut String, name: &str, value: &str) {
    html.push(' ');
    html.push_str(name);
    html.push_str("=\"");
    value.chars().filter(|c| !c.is_control()).for_each(|c| push_char(html, c));
    html.push('"');
}
