//! Tests of documents: Markdown, HTML inside of it, links, limits.

use std::time::{Duration, Instant};

use super::super::html_check_test::{Element, assert_safe};
use super::*;

struct Known;

impl Links for Known {
    fn page(&self, path: &str) -> Option<String> {
        Some(format!("/p/blob/{path}"))
    }

    fn image(&self, path: &str) -> Option<String> {
        Some(format!("/p/image/{path}"))
    }
}

const REL: &str = "rel=\"noopener noreferrer nofollow\"";

fn html(markdown: &str) -> String {
    let document = document("docs/README.md", markdown, &Known);
    assert_safe(document.html.as_str(), markdown);
    document.html.to_string()
}

/// Checks the HTML of a hostile document, and that its time does not grow with the square of its
/// size. The limit is far above the usual time, for slow machines.
fn hostile(markdown: &str) -> (Document, Vec<Element>) {
    let begin = Instant::now();
    let document = document("README.md", markdown, &Known);
    let shown: String = markdown.chars().take(20).collect();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?} {shown:?}", begin.elapsed());
    let elements = assert_safe(document.html.as_str(), markdown);
    let depth = elements.iter().map(|element| element.depth).max().unwrap_or_default();
    // The parser adds `tbody`, which the emitter does not count.
    assert!(depth <= 2 * DEPTH_MAX, "{depth}");
    (document, elements)
}

#[test]
fn headings_move_down_and_have_anchors() {
    assert_eq!(
        html("# A *b* `c`!\n\n## A b c\n\n###### x"),
        "<h2 id=\"user-content-a-b-c\">A <em>b</em> <code>c</code>!</h2>\n\
         <h3 id=\"user-content-a-b-c-1\">A b c</h3>\n<h6 id=\"user-content-x\">x</h6>\n"
    );
    assert_eq!(html("<h1 align=center>T</h1>"), "<h2 align=\"center\">T</h2>");
}

#[test]
fn extensions_of_github_are_written() {
    assert_eq!(html("~~a~~"), "<p><del>a</del></p>\n");
    assert_eq!(
        html("|a|b|\n|:-|-:|\n|c|`d`|"),
        "<table><thead><tr><th align=\"left\">a</th><th align=\"right\">b</th></tr></thead>\
         <tbody><tr><td align=\"left\">c</td><td align=\"right\"><code>d</code></td></tr>\n</tbody></table>\n"
    );
    assert_eq!(
        html("- [x] a\n- [ ] b"),
        "<ul><li><span class=\"task\" title=\"done\">☑</span> a</li>\n\
         <li><span class=\"task\" title=\"open\">☐</span> b</li>\n</ul>\n"
    );
    let notes = html("a[^x] b[^x]\n\n[^x]: c");
    assert!(
        notes.contains(&format!(
            "<sup id=\"user-content-fnref-1\"><a href=\"#user-content-fn-1\" {REL}>1</a></sup> b<sup><a"
        )),
        "{notes}"
    );
    assert!(notes.contains("<div class=\"footnote\" id=\"user-content-fn-1\">"), "{notes}");
    assert!(html("> [!NOTE]\n> a").contains("<blockquote class=\"alert-note\"><p><strong>Note</strong></p>"));
}

#[test]
fn code_is_highlighted_within_one_budget() {
    let code = html("```rust\nfn f() {} // <b>\n```");
    assert!(code.starts_with("<pre class=\"code-block\"><code>"), "{code}");
    assert!(code.contains("&lt;b&gt;") && code.contains("</code></pre>"), "{code}");
    assert_eq!(html("```\n<b>\n\n```"), "<pre class=\"code-block\"><code>&lt;b&gt;\n\n</code></pre>\n");
    assert_eq!(html("    a\u{200b}").matches("hidden-char").count(), 1);
}

#[test]
fn links_stay_in_the_repository() {
    let link = |address: &str| format!("<p><a href=\"{address}\" {REL}>a</a></p>\n");
    assert_eq!(html("[a](b.md#C)"), link("/p/blob/docs/b.md#user-content-C"));
    assert_eq!(html("[a](../src/x.rs#L3)"), link("/p/blob/src/x.rs#L3"));
    assert_eq!(html("[a](/x)"), link("/p/blob/x"));
    assert_eq!(html("[a](#b)"), link("#user-content-b"));
    assert_eq!(html("[a](https://x.org/?a=1&b=2)"), link("https://x.org/?a=1&amp;b=2"));
    assert_eq!(html("<a href='b.md'>a</a>"), link("/p/blob/docs/b.md"));
    assert_eq!(html("[a](../../x)"), "<p>a</p>\n");
    assert_eq!(html("[a](javascript:x)"), "<p>a</p>\n");
    assert_eq!(html("<a@b.de>"), format!("<p><a href=\"mailto:a@b.de\" {REL}>a@b.de</a></p>\n"));
    assert_eq!(
        html("see https://x.org/a_b_c."),
        format!("<p>see <a href=\"https://x.org/a_b_c\" {REL}>https://x.org/a_b_c</a>.</p>\n")
    );
}

#[test]
fn external_images_become_links() {
    assert_eq!(
        html("![*b*](a.png \"t\")"),
        "<p><img src=\"/p/image/docs/a.png\" alt=\"b\" title=\"t\"></p>\n"
    );
    let link = format!("<a class=\"external-image\" href=\"https://x/a.png\" {REL}>b</a>");
    assert_eq!(html("![b](https://x/a.png)"), format!("<p>{link}</p>\n"));
    assert_eq!(html("<img src=https://x/a.png alt=b>"), link);
    assert_eq!(html("![b](//x/a.png)"), format!("<p>{link}</p>\n"));
    assert_eq!(
        html("[![](https://x/a.png)](https://y)"),
        format!("<p><a href=\"https://y\" {REL}><span class=\"external-image\">image</span></a></p>\n")
    );
    assert_eq!(html("![a ![b](c) d](data:x)"), "<p>a b d</p>\n");
}

#[test]
fn listed_html_is_kept() {
    for (markdown, expected) in [
        (
            "<details open>\n<summary><h3>S</h3></summary>\n\n*a*\n\n</details>\n\nb",
            "<details open=\"\">\n<summary><h4>S</h4></summary>\n<p><em>a</em></p>\n</details>\n<p>b</p>\n",
        ),
        ("a<br/>b <kbd>C</kbd><sub>d</sub>", "<p>a<br>b <kbd>C</kbd><sub>d</sub></p>\n"),
        (
            "<p align=\"center\">\n<img src=\"a.png\" width=\"50%\" height=\"x\">\n</p>",
            "<p align=\"center\">\n<img src=\"/p/image/docs/a.png\" alt=\"\" width=\"50%\">\n</p>",
        ),
        ("<center>a</center>", "<div align=\"center\">a</div>"),
        (
            "<a name=\"x\"></a>&copy; &lt;b&gt;",
            "<p><a id=\"user-content-x\" rel=\"noopener noreferrer nofollow\"></a>© &lt;b&gt;</p>\n",
        ),
        (
            "<table><tr><td colspan=2>a<td>b<tr><td>c</table>",
            "<table><tbody><tr><td colspan=\"2\">a</td><td>b</td></tr><tr><td>c</td></tr></tbody></table>",
        ),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("<script>\nx\n</script>\n\na <style>b</style>", "\n<p>a b</p>\n"),
        ("<div>\n\na\n\n<div>\n\nb", "<div>\n<p>a</p>\n<div>\n<p>b</p>\n</div></div>"),
        ("- <b>a\n- c</b>", "<ul><li><b>a</b></li>\n<li>c</li>\n</ul>\n"),
        ("a <div>b</div> <p>c", "<p>a b c</p>\n"),
        (
            "<a href=x><a href=y>z</a></a>",
            "<p><a href=\"/p/blob/docs/x\" rel=\"noopener noreferrer nofollow\">z</a></p>\n",
        ),
        ("<!-- a -->", ""),
    ] {
        assert_eq!(html(markdown), expected, "{markdown}");
    }
}

#[test]
fn plain_document_is_escaped() {
    let document = plain_document("\u{feff}a <b>\r\n\u{202e}");
    assert_safe(document.html.as_str(), "plain");
    assert!(document.html.as_str().starts_with("<pre class=\"plain-text\">a &lt;b&gt;\n<span"));
    assert!(!document.truncated);
    assert!(
        is_markdown("a/README.MD")
            && is_markdown("x.markdown")
            && !is_markdown("md")
            && !is_markdown("README")
    );
}

#[test]
fn long_documents_are_cut() {
    let long = "a ".repeat(DOCUMENT_BYTES_MAX);
    assert!(document("a.md", &long, &()).truncated && plain_document(&long).truncated);
    let fits = "a ".repeat(DOCUMENT_BYTES_MAX / 2);
    let document = document("a.md", &fits, &());
    assert!(!document.truncated && document.html.as_str().len() >= fits.trim_end().len());
}

#[test]
fn nesting_is_bounded() {
    for markdown in [
        "> ".repeat(10_000) + "a",
        "- ".repeat(10_000) + "a",
        "<div>".repeat(20_000) + "a",
        "x ".to_owned() + &"<b>".repeat(20_000) + "a",
        "*a **b ".repeat(20_000),
        "*".repeat(50_000) + "a" + &"*".repeat(50_000),
        "<ul><li>".repeat(10_000) + "a",
        "<table><tr><td>".repeat(5_000) + "a",
        "> <div>\n\n".repeat(5_000) + "a",
    ] {
        let (document, _) = hostile(&markdown);
        assert!(document.html.as_str().contains('a'), "{}", &markdown[..20]);
    }
}

#[test]
fn tables_are_bounded() {
    let head = format!("|{}\n|{}\n", "a|".repeat(10_000), "-|".repeat(10_000));
    let (document, elements) = hostile(&(head + &"|b\n".repeat(1_000)));
    let cells = elements.iter().filter(|element| ["td", "th"].contains(&element.tag.as_str())).count();
    assert_eq!(cells, CELLS_MAX);
    assert!(document.truncated);
}

#[test]
fn html_tags_are_bounded() {
    let (document, elements) = hostile(&"<b>a</b>".repeat(RAW_TAGS_MAX));
    let tags = elements.iter().filter(|element| element.tag == "b").count();
    assert_eq!(tags, RAW_TAGS_MAX / 2);
    assert!(document.truncated);
}

#[test]
fn patterns_with_backtracking_take_linear_time() {
    for part in [
        "[",
        "[[[[",
        "![",
        "](",
        "[a](",
        "`",
        "``` ",
        "~~",
        "*_",
        "<",
        "<!--",
        "<a b=\"",
        "<a b='",
        "</",
        "<a ",
        "&",
        "&#",
        "[^a]",
        "[^a]:\n",
        "|",
        "|-",
        "\\",
        "https://",
        "https://x,",
        "(https://x",
        "<?",
        "<![CDATA[",
        "a*b_",
        "__a**",
        "- a\n ",
        "1. ",
        "# ",
        "<script>",
        "<b id=\"x\"><p>",
        "</p><p><b>",
        "<details>\n\n",
        "\u{202e}",
        "\0",
        "\t",
        "-\t",
        "{",
        "[a]: b\n",
        "[a]",
        "<a href=x><p>",
    ] {
        let size = if part.contains('[') { 100 * 1024 } else { 32 * 1024 };
        hostile(&part.repeat(size / part.len()));
    }
}

#[test]
fn document_ends_when_time_is_used() {
    let text = "a\n\n".repeat(100);
    let cut = document_within("a.md", &text, &(), Duration::ZERO);
    assert!(cut.truncated && cut.html.is_empty());
    assert!(!document_within("a.md", &text, &(), Duration::from_secs(60)).truncated);
    let html = format!("<div>\n{}", "<b>a</b>\n".repeat(100));
    let begun = Clock::start(Duration::ZERO);
    let mut emitter = Emitter::new("a.md", &(), begun);
    emitter.raw_html(&html);
    assert!(emitter.truncated && emitter.output.html.is_empty(), "a part of HTML ends, too");
}

#[test]
fn incomplete_tags_use_the_budget_of_tags() {
    let (document, _) = hostile(&format!("<div>\n{}", "<a x\n".repeat(RAW_TAGS_MAX)));
    assert!(document.truncated);
}

#[test]
fn references_do_not_multiply_long_addresses() {
    let address = "a".repeat(1_900);
    let (document, _) = hostile(&format!("{}\n\n[a]: /{address}\n", "[a] ".repeat(50_000)));
    assert!(document.html.as_str().len() < 2 * DOCUMENT_HTML_BYTES_MAX);
}

#[test]
fn questions_about_links_are_bounded() {
    let (_, elements) = hostile(&"[a](b) ![](c) ".repeat(LINKS_MAX));
    assert_eq!(
        elements.iter().filter(|element| ["a", "img"].contains(&element.tag.as_str())).count(),
        LINKS_MAX
    );
}
