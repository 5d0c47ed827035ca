//! Turns documents of repositories, such as a README, into HTML.
//!
//! ```text
//! Markdown -> events (pulldown-cmark) -> emitter -> sanitizer (ammonia) -> SafeHtml
//!                                          ^ links, highlighted code
//! ```
//!
//! The [`emitter`] writes well-nested HTML only and resolves all addresses. It reads the HTML
//! inside of a document with its own scanner and keeps listed elements and attributes. The
//! [`sanitizer`] parses the result again as a browser does, so an error of the emitter does not
//! reach a page.
//!
//! # Rules
//! * Headings move down by one level: a page has one `h1`, which is its own.
//! * Ids begin with `user-content-`, so they are never ids of the page. Links to fragments follow.
//! * Images on other servers become links. A browser fetches nothing from another server.
//! * Addresses have the schemes `http`, `https` and `mailto`, or are addresses of this server that
//!   [`Links`] returned.

mod address;
mod clock;
mod elements;
mod emitter;
mod output;
mod raw_html;
mod raw_writer;
mod sanitizer;
mod tag_end;

use std::time::Duration;

use clock::Clock;
use emitter::Emitter;

use super::SafeHtml;
use super::hidden::Marks;

/// Maximum size of a document; the rest is not shown.
pub const DOCUMENT_BYTES_MAX: usize = 512 * 1024;
/// Maximum nesting of elements; deeper elements are left out, their text is kept.
pub const DEPTH_MAX: usize = 64;
/// Maximum cells of all tables of a document; further cells are left out.
pub const CELLS_MAX: usize = 20_000;
/// Maximum HTML tags inside of a document; further tags are left out.
pub const RAW_TAGS_MAX: usize = 10_000;
/// Maximum size of the HTML of a document; the rest is left out.
pub const DOCUMENT_HTML_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Maximum time of reading a document; the rest is left out. The sanitizer follows, whose time is
/// bounded by [`DOCUMENT_HTML_BYTES_MAX`]. Builds without optimisation are slower.
pub const DOCUMENT_TIME_MAX: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(10) } else { Duration::from_millis(500) };
/// Maximum questions to [`Links`] for one document.
pub const LINKS_MAX: usize = 5_000;
/// File name extensions of Markdown.
const EXTENSIONS: &[&str] = &["md", "markdown", "mdown", "mkd", "mkdn"];

/// Knows the addresses of files of the repository. Paths are relative to the root of the
/// repository, without `.` and `..`, not percent-encoded; the root is empty. An address is a path
/// on this server, encoded, without a fragment.
pub trait Links {
    /// Returns the page of a file or a folder.
    fn page(&self, path: &str) -> Option<String>;
    /// Returns the address of the contents of an image.
    fn image(&self, path: &str) -> Option<String>;
}

/// Links nothing in the repository.
impl Links for () {
    fn page(&self, _path: &str) -> Option<String> {
        None
    }

    fn image(&self, _path: &str) -> Option<String> {
        None
    }
}

/// A document as HTML.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    pub html: SafeHtml,
    /// Whether a limit was reached, so that parts are missing.
    pub truncated: bool,
}

/// Returns whether a file is Markdown, by its name.
pub fn is_markdown(path: &str) -> bool {
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    extension
        .is_some_and(|(_, extension)| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// Turns Markdown into HTML. Relative links are relative to the folder of `path`.
pub fn document(path: &str, markdown: &str, links: &dyn Links) -> Document {
    document_within(path, markdown, links, DOCUMENT_TIME_MAX)
}

/// Turns Markdown into HTML, with another limit than [`DOCUMENT_TIME_MAX`].
fn document_within(path: &str, markdown: &str, links: &dyn Links, time_max: Duration) -> Document {
    let clock = Clock::start(time_max);
    let shown = cut(markdown);
    let text = shown.strip_prefix('\u{feff}').unwrap_or(shown);
    let emitted = Emitter::new(path, links, clock).run(text);
    Document {
        html: sanitizer::clean(&emitted.html),
        truncated: emitted.truncated || shown.len() < markdown.len(),
    }
}

/// Turns a text that is not Markdown into HTML: `<pre class="plain-text">`.
pub fn plain_document(text: &str) -> Document {
    let shown = cut(text);
    let normal = shown.strip_prefix('\u{feff}').unwrap_or(shown).replace("\r\n", "\n");
    let mut html = "<pre class=\"plain-text\">".to_owned();
    Marks::default().push(&mut html, &normal, 0..normal.len());
    html.push_str("</pre>");
    Document { html: SafeHtml::written(html), truncated: shown.len() < text.len() }
}

/// Returns the part of a text below the limit.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(DOCUMENT_BYTES_MAX)).unwrap_or_default()
}

#[cfg(test)]
#[path = "../document_test.rs"]
mod tests;
