//! Writes elements and keeps them well nested.

use super::super::hidden::Marks;
use super::DEPTH_MAX;
use super::elements::{fits, is_boundary, is_structure};

/// Where an element comes from. The end of a Markdown element closes HTML elements inside of it;
/// the end of an HTML element never closes a Markdown element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Markdown,
    Html,
}

#[derive(Debug)]
struct Open {
    tag: &'static str,
    end: End,
    source: Source,
}

/// The markup that ends an open element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Tag,
    /// The head of a table, which is two elements.
    TableHead,
    /// The element was left out.
    Nothing,
    /// The element was left out with its contents.
    Shown,
}

/// The HTML and its open elements.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) html: String,
    marks: Marks,
    open: Vec<Open>,
    /// The written elements of `open`, at most [`DEPTH_MAX`].
    written: Vec<&'static str>,
    /// Number of open links.
    links: usize,
    /// Number of open elements of Markdown that contain text only.
    markdown_lines: usize,
    /// Number of open elements whose contents are left out.
    hiding: usize,
}

impl Output {
    /// Starts an element. Leaves it out, without its contents being lost, if it may not be here.
    pub(super) fn start(&mut self, tag: &'static str, attributes: &str, source: Source) {
        let is_repeated_link = tag == "a" && self.links > 0;
        let end = if self.accepts(tag) && !is_repeated_link { End::Tag } else { End::Nothing };
        if end == End::Tag {
            self.write_start(tag, attributes);
        }
        self.push(Open { tag, end, source });
    }

    /// Starts the head of a table with its row.
    pub(super) fn start_table_head(&mut self) {
        let end = if self.accepts("tr") { End::TableHead } else { End::Nothing };
        if end == End::TableHead {
            self.html.push_str("<thead>");
            self.write_start("tr", "");
        }
        self.push(Open { tag: "tr", end, source: Source::Markdown });
    }

    /// Starts an element of Markdown that is left out; its contents are not.
    pub(super) fn start_unwritten(&mut self) {
        self.push(Open { tag: "", end: End::Nothing, source: Source::Markdown });
    }

    /// Starts an element of Markdown that is left out with its contents.
    pub(super) fn start_hiding(&mut self) {
        self.push(Open { tag: "", end: End::Shown, source: Source::Markdown });
    }

    /// Writes an element without contents.
    pub(super) fn void(&mut self, tag: &str, attributes: &str) {
        if self.hiding == 0 && fits(tag, self.parent()) {
            self.html.push_str(&format!("<{tag}{attributes}>"));
        }
    }

    /// Ends the innermost element of Markdown.
    pub(super) fn end_markdown(&mut self) {
        while let Some(source) = self.pop() {
            if source == Source::Markdown {
                break;
            }
        }
    }

    /// Ends the innermost HTML element of a name, if it is inside of the innermost Markdown
    /// element.
    pub(super) fn end_html(&mut self, tag: &str) {
        self.end_html_where(|open| open == tag, |_| false);
    }

    /// Ends the HTML elements that the start of an element ends.
    pub(super) fn end_ended(&mut self, ended: &[&str]) {
        if !ended.is_empty() {
            self.end_html_where(|open| ended.contains(&open), is_boundary);
            // The start of a row ends a cell and its row.
            while self
                .open
                .last()
                .is_some_and(|open| open.source == Source::Html && ended.contains(&open.tag))
            {
                self.pop();
            }
        }
    }

    fn end_html_where(&mut self, matches: impl Fn(&str) -> bool, stops: impl Fn(&str) -> bool) {
        let mut inner =
            self.open.iter().rev().take_while(|open| open.source == Source::Html && !stops(open.tag));
        if let Some(depth) = inner.position(|open| matches(open.tag)) {
            (0..=depth).for_each(|_| {
                self.pop();
            });
        }
    }

    /// Ends HTML elements that contain text only, before the start of a block.
    pub(super) fn prepare_block(&mut self) {
        let inner = self.open.iter().rev().take_while(|open| open.source == Source::Html);
        let lines = inner.enumerate().filter(|(_, open)| is_line(open.tag)).map(|(depth, _)| depth);
        if let Some(depth) = lines.last() {
            (0..=depth).for_each(|_| {
                self.pop();
            });
        }
    }

    pub(super) fn end_all(&mut self) {
        while self.pop().is_some() {}
    }

    /// Writes a text, escaped.
    pub(super) fn text(&mut self, text: &str) {
        if self.takes_text() || (self.hiding == 0 && text.trim().is_empty()) {
            self.marks.push_prose(&mut self.html, text);
        }
    }

    /// Writes code, escaped, with all hidden characters marked.
    pub(super) fn code(&mut self, code: &str) {
        if self.takes_text() {
            self.marks.push(&mut self.html, code, 0..code.len());
        }
    }

    /// Writes markup that is complete, so that it leaves no element open.
    pub(super) fn markup(&mut self, markup: &str) {
        if self.takes_text() {
            self.html.push_str(markup);
        }
    }

    pub(super) fn newline(&mut self) {
        if self.hiding == 0 {
            self.html.push('\n');
        }
    }

    pub(super) fn in_link(&self) -> bool {
        self.links > 0
    }

    /// Returns whether the place is inside of a Markdown element that contains text only.
    pub(super) fn in_markdown_line(&self) -> bool {
        self.markdown_lines > 0
    }

    /// Returns whether the innermost element was written.
    pub(super) fn is_written(&self) -> bool {
        self.open.last().is_some_and(|open| open.end == End::Tag)
    }

    /// Returns whether an HTML element may start here.
    pub(super) fn accepts(&self, tag: &str) -> bool {
        self.hiding == 0 && self.open.len() < DEPTH_MAX && fits(tag, self.parent())
    }

    fn takes_text(&self) -> bool {
        self.hiding == 0 && !self.parent().is_some_and(is_structure)
    }

    fn parent(&self) -> Option<&'static str> {
        self.written.last().copied()
    }

    fn write_start(&mut self, tag: &'static str, attributes: &str) {
        self.html.push('<');
        self.html.push_str(tag);
        self.html.push_str(attributes);
        self.html.push('>');
        self.written.push(tag);
        self.links = self.links.saturating_add(usize::from(tag == "a"));
    }

    fn push(&mut self, open: Open) {
        let is_line = open.source == Source::Markdown && is_line(open.tag);
        self.markdown_lines = self.markdown_lines.saturating_add(usize::from(is_line));
        self.hiding = self.hiding.saturating_add(usize::from(open.end == End::Shown));
        self.open.push(open);
    }

    fn pop(&mut self) -> Option<Source> {
        let open = self.open.pop()?;
        let is_line = open.source == Source::Markdown && is_line(open.tag);
        self.markdown_lines = self.markdown_lines.saturating_sub(usize::from(is_line));
        match open.end {
            End::Tag | End::TableHead => {
                self.written.pop();
                self.links = self.links.saturating_sub(usize::from(open.tag == "a"));
                self.html.push_str("</");
                self.html.push_str(open.tag);
                self.html.push_str(if open.end == End::TableHead { "></thead>" } else { ">" });
            }
            End::Shown => self.hiding = self.hiding.saturating_sub(1),
            End::Nothing => {}
        }
        Some(open.source)
    }
}

/// Returns whether an element contains text and inline elements only.
fn is_line(tag: &str) -> bool {
    matches!(
        tag,
        "a" | "b"
            | "code"
            | "del"
            | "em"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "i"
            | "ins"
            | "kbd"
            | "mark"
            | "p"
            | "pre"
            | "q"
            | "s"
            | "samp"
            | "small"
            | "span"
            | "strong"
            | "sub"
            | "sup"
            | "u"
            | "var"
    )
}
