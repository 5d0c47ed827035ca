//! A strict scanner of HTML for the tests: it accepts only the markup that this module may write.

/// Elements that may occur.
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
    "tt",
    "u",
    "ul",
    "var",
];
const VOID: &[&str] = &["br", "hr", "img"];
/// Attributes that may occur at some element.
const ATTRIBUTES: &[&str] = &[
    "align", "alt", "class", "colspan", "height", "href", "id", "open", "rel", "rowspan", "src", "start",
    "title", "width",
];

/// An element with its attributes, for assertions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) tag: String,
    pub(super) attributes: Vec<(String, String)>,
    /// Number of elements around it.
    pub(super) depth: usize,
}

/// Fails unless all elements, attributes and addresses are allowed, and all elements are closed.
pub(super) fn assert_safe(html: &str, case: &str) -> Vec<Element> {
    let shown: String = html.chars().take(2_000).collect();
    let case: String = case.chars().take(300).collect();
    match scan(html) {
        Ok(elements) => elements,
        Err(problem) => panic!("{problem}\nof: {case}\nin: {shown}"),
    }
}

fn scan(html: &str) -> Result<Vec<Element>, String> {
    let (mut open, mut found): (Vec<&str>, Vec<Element>) = (Vec::new(), Vec::new());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text(&rest[..at])?;
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('/') {
            let (tag, after) = after.split_once('>').ok_or("an end tag is not closed")?;
            let expected = open.pop();
            if expected != Some(tag) {
                return Err(format!("</{tag}> closes {expected:?}"));
            }
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).ok_or("open tag")?;
        let tag = &rest[..end];
        if !TAGS.contains(&tag) {
            return Err(format!("element {tag:?}"));
        }
        rest = &rest[end..];
        let mut attributes = Vec::new();
        while let Some(after) = rest.strip_prefix(' ') {
            let (name, after) = after.split_once("=\"").ok_or("attribute without a value")?;
            let (value, after) = after.split_once('"').ok_or("value without an end")?;
            if !ATTRIBUTES.contains(&name) {
                return Err(format!("attribute {name:?}"));
            }
            if ["href", "src"].contains(&name) {
                address(tag, value)?;
            }
            text(value)?;
            attributes.push((name.to_owned(), value.to_owned()));
            rest = after;
        }
        rest = rest.strip_prefix('>').ok_or_else(|| format!("<{tag} has no end"))?;
        found.push(Element { tag: tag.to_owned(), attributes, depth: open.len() });
        if !VOID.contains(&tag) {
            open.push(tag);
        }
    }
    text(rest)?;
    if open.is_empty() { Ok(found) } else { Err(format!("{open:?} are not closed")) }
}

fn text(text: &str) -> Result<(), String> {
    let control = text.chars().find(|c| c.is_control() && !['\n', '\t', '\r'].contains(c));
    control.map_or(Ok(()), |c| Err(format!("control character {c:?}")))
}

fn address(tag: &str, value: &str) -> Result<(), String> {
    let local = value.starts_with('/') && !value.starts_with("//") || value.starts_with("#user-content-");
    let external = ["http://", "https://", "mailto:"].iter().any(|scheme| value.starts_with(scheme));
    let allowed = if tag == "img" { local } else { local || external };
    let blank = value.chars().any(|c| c.is_whitespace() || c == '\\');
    if allowed && !blank { Ok(()) } else { Err(format!("address {value:?} of {tag}")) }
}

#[test]
fn check_accepts_allowed_markup_only() {
    for html in ["", "a &lt; b", "<p>a<br><img src=\"/x\" alt=\"\"></p>", "<a href=\"https://x\">y</a>"] {
        assert!(scan(html).is_ok(), "{html}");
    }
    for html in [
        "<script>",
        "<p>",
        "</p>",
        "<p></b>",
        "<p onclick=\"x\"></p>",
        "<p style=\"x\"></p>",
        "<p class=x></p>",
        "<a href=\"javascript:x\"></a>",
        "<a href=\"//x\"></a>",
        "<img src=\"https://x\">",
        "a < b",
        "<P></P>",
        "\u{1}",
    ] {
        assert!(scan(html).is_err(), "{html}");
    }
}
