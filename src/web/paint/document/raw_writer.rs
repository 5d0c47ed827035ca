//! Writes the HTML inside of a document, as far as it is listed.

use super::super::safe_html::push_attribute;
use super::DOCUMENT_HTML_BYTES_MAX;
use super::address::{Target, in_document};
use super::elements::{Kind, ended_by, known};
use super::emitter::Emitter;
use super::output::Source;
use super::raw_html::{Attribute, Part, Parts, Reference};

/// Maximum rows or columns of a cell.
const SPAN_MAX: u32 = 100;
/// Maximum length of an id.
const ID_BYTES_MAX: usize = 200;

impl Emitter<'_> {
    /// Writes a part of a document that is HTML.
    pub(super) fn raw_html(&mut self, html: &str) {
        for part in Parts::of(html) {
            if self.is_over() {
                return;
            }
            if let Part::Text(text) = part {
                self.raw_text(text);
                continue;
            }
            let Some(left) = self.raw_tags_left.checked_sub(1) else {
                self.truncated = true;
                continue;
            };
            self.raw_tags_left = left;
            match part {
                Part::Broken(text) => self.raw_text(text),
                Part::Start { tag, attributes } => self.raw_start(&tag, &attributes),
                Part::End { tag } => {
                    if let Some(element) = known(&tag) {
                        self.output.end_html(element.tag);
                    }
                }
                Part::Text(_) => {}
            }
        }
    }

    /// Returns whether the time or the size of the document is used up. Records that it was cut.
    pub(super) fn is_over(&mut self) -> bool {
        let over = self.output.html.len() > DOCUMENT_HTML_BYTES_MAX || self.clock.is_over();
        self.truncated |= over;
        over
    }

    /// Writes a text with references to characters.
    fn raw_text(&mut self, text: &str) {
        let mut rest = text;
        while let Some((before, _)) = rest.split_once('&') {
            self.output.text(before);
            let from = rest.get(before.len()..).unwrap_or_default();
            let length = match Reference::at_start(from) {
                Some(Reference::Character(c, length)) => {
                    self.output.text(c.encode_utf8(&mut [0; 4]));
                    length
                }
                Some(Reference::Named(length)) => {
                    self.output.markup(from.get(..length).unwrap_or_default());
                    length
                }
                None => {
                    self.output.text("&");
                    1
                }
            };
            rest = from.get(length..).unwrap_or_default();
        }
        self.output.text(rest);
    }

    fn raw_start(&mut self, name: &str, attributes: &[Attribute]) {
        let Some(element) = known(name) else { return };
        match element.kind {
            Kind::Inline => {}
            Kind::Void if element.tag == "img" => {
                self.raw_image(attributes);
                return;
            }
            Kind::Void => {
                self.output.void(element.tag, "");
                return;
            }
            Kind::Block | Kind::TextBlock | Kind::Structure | Kind::VoidBlock => {
                // A parser would end the paragraph of Markdown.
                if self.output.in_markdown_line() {
                    return;
                }
                self.output.end_ended(ended_by(element.tag));
                self.output.prepare_block();
            }
        }
        if element.kind == Kind::VoidBlock {
            self.output.void(element.tag, "");
        } else if self.output.accepts(element.tag) {
            let attributes = self.raw_attributes(name, element.tag, attributes);
            self.output.start(element.tag, &attributes, Source::Html);
        }
    }

    /// Returns the listed attributes of an element, escaped.
    fn raw_attributes(&mut self, name: &str, tag: &str, attributes: &[Attribute]) -> String {
        let mut all = String::new();
        if name == "center" {
            push_attribute(&mut all, "align", "center");
        }
        for Attribute { name, value } in attributes {
            let kept = match (tag, name.as_str()) {
                ("a", "href") => self.resolver.link(value).map(|target| match target {
                    Target::External(address) | Target::Local(address) => address,
                }),
                ("a", "name") | (_, "id") => id(value),
                (_, "title") => Some(value.clone()),
                ("div" | "p" | "h2" | "h3" | "h4" | "h5" | "h6" | "td" | "th", "align") => align(value),
                ("td" | "th", "colspan" | "rowspan") => {
                    number(value).filter(|span| (1..=SPAN_MAX).contains(span)).map(|span| span.to_string())
                }
                ("ol", "start") => number(value).map(|start| start.to_string()),
                ("details", "open") => Some(String::new()),
                _ => None,
            };
            if let Some(value) = kept {
                push_attribute(&mut all, if name == "name" { "id" } else { name }, &value);
            }
        }
        all
    }

    fn raw_image(&mut self, attributes: &[Attribute]) {
        let value = |name: &str| {
            attributes
                .iter()
                .find(|attribute| attribute.name == name)
                .map(|attribute| attribute.value.as_str())
        };
        let mut all = String::new();
        for name in ["width", "height"] {
            if let Some(length) = value(name).filter(|length| is_length(length)) {
                push_attribute(&mut all, name, length);
            }
        }
        if let Some(align) = value("align").and_then(align) {
            push_attribute(&mut all, "align", &align);
        }
        let text = value("alt").unwrap_or_default();
        let title = value("title").unwrap_or_default();
        if let Some(address) = value("src") {
            self.write_image(address, text, title, &all);
        }
    }
}

fn number(value: &str) -> Option<u32> {
    value.trim().parse().ok()
}

fn id(value: &str) -> Option<String> {
    let valid = !value.is_empty() && value.len() <= ID_BYTES_MAX && !value.contains(char::is_whitespace);
    valid.then(|| in_document(value))
}

fn align(value: &str) -> Option<String> {
    let value = value.to_ascii_lowercase();
    ["left", "center", "right", "justify", "top", "middle", "bottom"]
        .contains(&value.as_str())
        .then_some(value)
}

/// Returns whether a text is a length in pixels or percent.
fn is_length(text: &str) -> bool {
    let digits = text.strip_suffix('%').unwrap_or(text);
    (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}
