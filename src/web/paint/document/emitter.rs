//! Writes the events of a Markdown parser as well-nested HTML.

use std::collections::HashMap;

use pulldown_cmark::{
    Alignment, BlockQuoteKind, CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag,
    TextMergeStream,
};

use super::super::code::{Budget, highlight_language};
use super::super::link::next_url;
use super::super::safe_html::push_attribute;
use super::address::{ID_PREFIX, Resolver, Target, anchor};
use super::clock::Clock;
use super::output::{Output, Source};
use super::tag_end::End;
use super::{CELLS_MAX, Links, RAW_TAGS_MAX};

/// HTML before the sanitizer.
pub(super) struct Emitted {
    pub(super) html: String,
    pub(super) truncated: bool,
}

/// The image whose description is being read.
struct Image {
    address: String,
    title: String,
    text: String,
    /// Images inside of the description.
    depth: usize,
}

/// The heading that is being read.
struct Heading {
    /// The place of its attributes in the output.
    attributes_at: usize,
    text: String,
}

/// The code block that is being read.
struct Code {
    language: String,
    text: String,
}

/// The state of writing a document.
pub(super) struct Emitter<'l> {
    pub(super) output: Output,
    pub(super) resolver: Resolver<'l>,
    pub(super) raw_tags_left: usize,
    pub(super) truncated: bool,
    pub(super) clock: Clock,
    budget: Budget,
    cells_left: usize,
    image: Option<Image>,
    heading: Option<Heading>,
    code: Option<Code>,
    /// The block of HTML that is being read.
    raw: Option<String>,
    alignments: Vec<Alignment>,
    column: usize,
    in_table_head: bool,
    /// Uses of each anchor, so that ids differ.
    anchors: HashMap<String, usize>,
    footnotes: HashMap<String, Footnote>,
}

#[derive(Debug, Clone, Copy)]
struct Footnote {
    number: usize,
    referenced: bool,
}

impl<'l> Emitter<'l> {
    pub(super) fn new(path: &'l str, links: &'l dyn Links, clock: Clock) -> Self {
        Self {
            output: Output::default(),
            resolver: Resolver::new(path, links),
            raw_tags_left: RAW_TAGS_MAX,
            truncated: false,
            clock,
            budget: Budget::default(),
            cells_left: CELLS_MAX,
            image: None,
            heading: None,
            code: None,
            raw: None,
            alignments: Vec::new(),
            column: 0,
            in_table_head: false,
            anchors: HashMap::new(),
            footnotes: HashMap::new(),
        }
    }

    /// Writes a document.
    pub(super) fn run(mut self, markdown: &str) -> Emitted {
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_GFM;
        for event in TextMergeStream::new(Parser::new_ext(markdown, options)) {
            if self.is_over() {
                break;
            }
            self.event(event);
        }
        self.output.end_all();
        Emitted { html: self.output.html, truncated: self.truncated }
    }

    fn event(&mut self, event: Event<'_>) {
        if self.image.is_some() {
            self.in_image(&event);
            return;
        }
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag.into()),
            Event::Text(text) => self.text(&text),
            Event::Code(text) => self.inline_code(&text),
            Event::Html(html) => match &mut self.raw {
                Some(raw) => raw.push_str(&html),
                None => self.raw_html(&html),
            },
            Event::InlineHtml(html) => self.raw_html(&html),
            Event::SoftBreak => self.output.text("\n"),
            Event::HardBreak => self.output.void("br", ""),
            Event::Rule => {
                self.output.prepare_block();
                self.output.void("hr", "");
            }
            Event::FootnoteReference(label) => self.footnote_reference(&label),
            Event::TaskListMarker(done) => self.output.markup(if done {
                "<span class=\"task\" title=\"done\">☑</span> "
            } else {
                "<span class=\"task\" title=\"open\">☐</span> "
            }),
            // These extensions are not enabled.
            Event::InlineMath(text) | Event::DisplayMath(text) => self.text(&text),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.block("p", ""),
            Tag::Heading { level, .. } => {
                self.block(shifted(level), "");
                // Before the `>` of the start tag.
                let attributes_at = self.output.html.len().saturating_sub(1);
                self.heading =
                    self.output.is_written().then(|| Heading { attributes_at, text: String::new() });
            }
            Tag::BlockQuote(None) => self.block("blockquote", ""),
            Tag::BlockQuote(Some(kind)) => {
                let (class, name) = alert(kind);
                self.block("blockquote", &format!(" class=\"{class}\""));
                self.output.markup(&format!("<p><strong>{name}</strong></p>"));
            }
            Tag::CodeBlock(kind) => {
                let language = match &kind {
                    CodeBlockKind::Fenced(info) => {
                        info.split([' ', ',', '{', ':', '\t']).next().unwrap_or_default()
                    }
                    CodeBlockKind::Indented => "",
                };
                self.code = Some(Code { language: language.to_owned(), text: String::new() });
            }
            Tag::HtmlBlock => self.raw = Some(String::new()),
            Tag::List(None) => self.block("ul", ""),
            Tag::List(Some(1)) => self.block("ol", ""),
            Tag::List(Some(start)) => self.block("ol", &format!(" start=\"{start}\"")),
            Tag::Item => self.block("li", ""),
            Tag::FootnoteDefinition(label) => self.footnote_definition(&label),
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.block("table", "");
            }
            Tag::TableHead => {
                (self.in_table_head, self.column) = (true, 0);
                self.output.start_table_head();
            }
            Tag::TableRow => {
                self.column = 0;
                self.block("tr", "");
            }
            Tag::TableCell => self.cell(),
            Tag::Emphasis => self.inline("em", ""),
            Tag::Strong => self.inline("strong", ""),
            Tag::Strikethrough => self.inline("del", ""),
            Tag::Superscript => self.inline("sup", ""),
            Tag::Subscript => self.inline("sub", ""),
            Tag::Link { link_type, dest_url, title, .. } => self.link(link_type, &dest_url, &title),
            Tag::Image { dest_url, title, .. } => {
                let (address, title) = (dest_url.into_string(), title.into_string());
                self.image = Some(Image { address, title, text: String::new(), depth: 0 });
            }
            // These extensions are not enabled.
            Tag::DefinitionList | Tag::DefinitionListTitle | Tag::DefinitionListDefinition => {
                self.block("div", "")
            }
            Tag::MetadataBlock(_) => self.block("pre", ""),
        }
    }

    fn end(&mut self, end: End) {
        match end {
            End::Code => self.code_block(),
            End::RawHtml => {
                if let Some(html) = self.raw.take() {
                    self.raw_html(&html);
                }
            }
            End::Heading => {
                self.heading_end();
                self.output.end_markdown();
                self.output.newline();
            }
            End::TableHead => {
                self.in_table_head = false;
                self.output.end_markdown();
            }
            End::Block => {
                self.output.end_markdown();
                self.output.newline();
            }
            End::Inline => self.output.end_markdown(),
        }
    }

    fn block(&mut self, tag: &'static str, attributes: &str) {
        self.output.prepare_block();
        self.output.start(tag, attributes, Source::Markdown);
    }

    fn inline(&mut self, tag: &'static str, attributes: &str) {
        self.output.start(tag, attributes, Source::Markdown);
    }

    /// Writes a text, with links for the addresses in it.
    fn text(&mut self, text: &str) {
        if let Some(code) = &mut self.code {
            code.text.push_str(text);
            return;
        }
        if let Some(heading) = &mut self.heading {
            heading.text.push_str(text);
        }
        let mut from = 0;
        while let Some(url) = (!self.output.in_link()).then(|| next_url(text, from)).flatten() {
            self.output.text(text.get(from..url.start).unwrap_or_default());
            let address = text.get(url.clone()).unwrap_or_default();
            let mut attributes = String::new();
            push_attribute(&mut attributes, "href", address);
            self.output.start("a", &attributes, Source::Markdown);
            self.output.text(address);
            self.output.end_markdown();
            from = url.end;
        }
        self.output.text(text.get(from..).unwrap_or_default());
    }

    fn inline_code(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.text.push_str(text);
        }
        self.inline("code", "");
        self.output.code(text);
        self.output.end_markdown();
    }

    fn code_block(&mut self) {
        let Some(Code { language, text }) = self.code.take() else { return };
        self.block("pre", " class=\"code-block\"");
        self.output.markup("<code>");
        for line in highlight_language(&language, &text, &mut self.budget).lines {
            self.output.markup(line.as_str());
            self.output.markup("\n");
        }
        self.output.markup("</code>");
        self.output.end_markdown();
        self.output.newline();
    }

    fn heading_end(&mut self) {
        let Some(Heading { attributes_at, text }) = self.heading.take() else { return };
        let anchor = anchor(&text);
        let uses = self.anchors.entry(anchor.clone()).or_default();
        let id = if *uses == 0 { anchor } else { format!("{anchor}-{uses}") };
        *uses = uses.saturating_add(1);
        let mut attribute = String::new();
        push_attribute(&mut attribute, "id", &format!("{ID_PREFIX}{id}"));
        if self.output.html.is_char_boundary(attributes_at) {
            self.output.html.insert_str(attributes_at, &attribute);
        }
    }

    fn cell(&mut self) {
        let align = match self.alignments.get(self.column) {
            Some(Alignment::Left) => " align=\"left\"",
            Some(Alignment::Center) => " align=\"center\"",
            Some(Alignment::Right) => " align=\"right\"",
            Some(Alignment::None) | None => "",
        };
        self.column = self.column.saturating_add(1);
        match self.cells_left.checked_sub(1) {
            Some(left) => {
                self.cells_left = left;
                self.block(if self.in_table_head { "th" } else { "td" }, align);
            }
            None => {
                self.truncated = true;
                self.output.start_hiding();
            }
        }
    }

    fn link(&mut self, link_type: LinkType, address: &str, title: &str) {
        let target = if link_type == LinkType::Email {
            self.resolver.link(&format!("mailto:{address}"))
        } else {
            self.resolver.link(address)
        };
        let Some(Target::External(address) | Target::Local(address)) = target else {
            self.output.start_unwritten();
            return;
        };
        let mut attributes = String::new();
        push_attribute(&mut attributes, "href", &address);
        if !title.is_empty() {
            push_attribute(&mut attributes, "title", title);
        }
        self.inline("a", &attributes);
    }

    /// Reads the description of an image, and writes the image at its end.
    fn in_image(&mut self, event: &Event<'_>) {
        let Some(image) = &mut self.image else { return };
        match event {
            Event::Start(Tag::Image { .. }) => image.depth = image.depth.saturating_add(1),
            Event::End(pulldown_cmark::TagEnd::Image) => match image.depth.checked_sub(1) {
                Some(depth) => image.depth = depth,
                None => {
                    if let Some(Image { address, title, text, .. }) = self.image.take() {
                        self.write_image(&address, &text, &title, "");
                    }
                }
            },
            Event::Text(text) | Event::Code(text) => image.text.push_str(text),
            Event::SoftBreak | Event::HardBreak => image.text.push(' '),
            _ => {}
        }
    }

    /// Writes an image of the repository, or a link to an image on another server.
    pub(super) fn write_image(&mut self, address: &str, text: &str, title: &str, attributes: &str) {
        match self.resolver.image(address) {
            Some(Target::Local(address)) => {
                let mut all = String::new();
                push_attribute(&mut all, "src", &address);
                push_attribute(&mut all, "alt", text);
                if !title.is_empty() {
                    push_attribute(&mut all, "title", title);
                }
                all.push_str(attributes);
                self.output.void("img", &all);
            }
            Some(Target::External(address)) => {
                let shown = if text.trim().is_empty() { "image" } else { text };
                let mut attributes = " class=\"external-image\"".to_owned();
                let tag = if self.output.in_link() { "span" } else { "a" };
                if tag == "a" {
                    push_attribute(&mut attributes, "href", &address);
                }
                self.output.start(tag, &attributes, Source::Markdown);
                self.output.text(shown);
                self.output.end_markdown();
            }
            None => self.output.text(text),
        }
    }

    fn footnote(&mut self, label: &str) -> &mut Footnote {
        let number = self.footnotes.len().saturating_add(1);
        self.footnotes.entry(label.to_owned()).or_insert(Footnote { number, referenced: false })
    }

    fn footnote_reference(&mut self, label: &CowStr<'_>) {
        let footnote = self.footnote(label);
        let (number, first) = (footnote.number, !footnote.referenced);
        footnote.referenced = true;
        let id = if first { format!(" id=\"{ID_PREFIX}fnref-{number}\"") } else { String::new() };
        self.inline("sup", &id);
        self.inline("a", &format!(" href=\"#{ID_PREFIX}fn-{number}\""));
        self.output.text(&number.to_string());
        self.output.end_markdown();
        self.output.end_markdown();
    }

    fn footnote_definition(&mut self, label: &CowStr<'_>) {
        let number = self.footnote(label).number;
        self.block("div", &format!(" class=\"footnote\" id=\"{ID_PREFIX}fn-{number}\""));
        self.inline("sup", "");
        self.inline("a", &format!(" href=\"#{ID_PREFIX}fnref-{number}\""));
        self.output.text(&number.to_string());
        self.output.end_markdown();
        self.output.end_markdown();
        self.output.text(" ");
    }
}

fn shifted(level: HeadingLevel) -> &'static str {
    match level {
        HeadingLevel::H1 => "h2",
        HeadingLevel::H2 => "h3",
        HeadingLevel::H3 => "h4",
        HeadingLevel::H4 => "h5",
        HeadingLevel::H5 | HeadingLevel::H6 => "h6",
    }
}

fn alert(kind: BlockQuoteKind) -> (&'static str, &'static str) {
    match kind {
        BlockQuoteKind::Note => ("alert-note", "Note"),
        BlockQuoteKind::Tip => ("alert-tip", "Tip"),
        BlockQuoteKind::Important => ("alert-important", "Important"),
        BlockQuoteKind::Warning => ("alert-warning", "Warning"),
        BlockQuoteKind::Caution => ("alert-caution", "Caution"),
    }
}
