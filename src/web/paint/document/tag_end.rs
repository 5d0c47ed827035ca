//! The ends of Markdown elements, by what they do.

use pulldown_cmark::TagEnd;

/// The end of a tag, by what it does.
pub(super) enum End {
    Code,
    RawHtml,
    Heading,
    TableHead,
    Block,
    Inline,
}

impl From<TagEnd> for End {
    fn from(tag: TagEnd) -> Self {
        match tag {
            TagEnd::CodeBlock => Self::Code,
            TagEnd::HtmlBlock => Self::RawHtml,
            TagEnd::Heading(_) => Self::Heading,
            TagEnd::TableHead => Self::TableHead,
            TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image
            | TagEnd::TableCell => Self::Inline,
            TagEnd::Paragraph
            | TagEnd::BlockQuote(_)
            | TagEnd::List(_)
            | TagEnd::Item
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Table
            | TagEnd::TableRow
            | TagEnd::MetadataBlock(_) => Self::Block,
        }
    }
}
