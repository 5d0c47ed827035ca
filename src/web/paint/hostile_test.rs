//! Feeds attacks and random texts to every function of this module, and checks that the output has
//! allowed markup only.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::code::{Budget, highlight, plain_lines};
use super::commit_text::{CommitLinks, commit_text};
use super::diff::diff_rows;
use super::document::{Links, document, plain_document};
use super::html_check_test::assert_safe;
use super::{SafeHtml, avatar};

/// Answers with what was asked, as an address: wrong on purpose.
struct Echo;

impl Links for Echo {
    fn page(&self, path: &str) -> Option<String> {
        Some(path.to_owned())
    }

    fn image(&self, path: &str) -> Option<String> {
        Some(format!("/{path}"))
    }
}

impl CommitLinks for Echo {
    fn commit(&self, hex: &str) -> Option<String> {
        Some(format!("/{hex}\"><script>"))
    }

    fn user(&self, name: &str) -> Option<String> {
        Some(name.to_owned())
    }
}

const ATTACKS: &[&str] = &[
    "<script>alert(1)</script>",
    "<ScRiPt src=//x></sCrIpT>",
    "<script\n>alert(1)</script\n>",
    "<<script>alert(1)//<</script>",
    "<scr<script>ipt>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=\"x\"onerror=\"alert(1)\">",
    "<img src=`x` onerror=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<img src='x' title='\"><script>'>",
    "<img src=\"a.png\" alt=\"&quot;><script>alert(1)</script>\">",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:x><text>a",
    "<math><mtext><table><mglyph><style><img src=x onerror=x>",
    "<noscript><p title=\"</noscript><img src=x onerror=x>\">",
    "<style>@import '//x';</style>",
    "<p style=\"background:url(//x)\">a",
    "<link rel=stylesheet href=//x>",
    "<meta http-equiv=refresh content=0;//x>",
    "<base href=//x>",
    "<iframe src=javascript:x></iframe>",
    "<iframe srcdoc=\"<script>x</script>\">",
    "<object data=x><embed src=x>",
    "<form action=//x><input name=a><button formaction=//x>",
    "<body onload=x><html><head>",
    "<a href=javascript:x>a</a>",
    "<a href=\"java\nscript:x\">a</a>",
    "<a href=\" &#14; javascript:x\">a</a>",
    "<a href=&#106;avascript&colon;x>a</a>",
    "<a href=\"&#x6A;avascript:x\">a</a>",
    "<a href=data:text/html,x>a</a>",
    "<a href=vbscript:x>a</a>",
    "<a href=//x/..//y target=_blank>a</a>",
    "<a href=\\\\x\\y>a</a>",
    "<a href=\"x\" onclick=x onmouseover='x'>a</a>",
    "<details ontoggle=x open>a",
    "<b id=__proto__ name=x class=y>a",
    "<template><script>x</script></template>",
    "<textarea><script>x</script></textarea>",
    "<title><img src=x onerror=x></title>",
    "<xmp><script>x</script></xmp>",
    "<plaintext>a",
    "<table><td><a href=x><table><td>a",
    "<b><p><b></p></b><i></b></i>",
    "</p></div></body></html>",
    "<!--><script>x</script>-->",
    "<!-- --!><script>x</script>",
    "<![CDATA[<script>x</script>]]>",
    "<?xml-stylesheet href=x?><script>x</script>",
    "<video><source onerror=x></video><audio src=x onerror=x>",
    "<marquee onstart=x>a</marquee>",
    "<isindex action=javascript:x>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&colon;alert(1))",
    "[a](<javascript:alert(1)>)",
    "[a](data:text/html;base64,x)",
    "[a](x \"\"onclick=x\")",
    "![a](javascript:x \"\\\" onerror=\\\"x\")",
    "![\"onerror=x](a.png)",
    "[![a](//x)](javascript:x)",
    "[a]\n\n[a]: javascript:x",
    "<javascript:alert(1)>",
    "<https://x/\"onclick=x>",
    "https://x/\"><script>x</script>",
    "https://x/'onclick='x",
    "```\"><script>\nx\n```",
    "```html\n<script>x</script>\n```",
    "`<script>`",
    "# <script>\"x\"</script>",
    "[^<script>]\n\n[^<script>]: a",
    "|<script>|\n|-|\n|<img src=x onerror=x>|",
    "- [x] <input type=checkbox onclick=x>",
    "&lt;script&gt;&#60;script&#62;&#x3c;script>",
    "\u{202e}<script>\u{2066}\0\u{feff}</script>",
    "@<script> abc1234<script> @alice\"onclick=x",
    "Signed-off-by: <script>\nx: y",
    "@@ -1 +1 @@<script>\n-<b>\n+<script>\n\\<i>",
];

/// Passes a text through every function, and checks all HTML.
fn check(text: &str) {
    let safe = |html: &SafeHtml| {
        assert_safe(html.as_str(), text);
    };
    safe(&SafeHtml::text(text));
    safe(&document("a/b.md", text, &Echo).html);
    safe(&document(text, text, &()).html);
    safe(&plain_document(text).html);
    for path in ["a.rs", "a.html", "a.md", "a.js", "a.diff", text] {
        let result = highlight(path, text, &mut Budget::default());
        result.lines.iter().for_each(safe);
        let plain = plain_lines(text);
        assert_eq!(result.lines.len(), plain.lines.len());
        assert_eq!(result.has_hidden, plain.has_hidden);
        plain.lines.iter().for_each(safe);
    }
    for patch in [text.to_owned(), format!("@@ -1 +1 @@\n-a {text}\n+b {text}\n {text}")] {
        diff_rows(&patch).rows.iter().for_each(|row| safe(&row.html));
    }
    let avatar = avatar::avatar(text, text);
    safe(&avatar.initials);
    for message in [text.to_owned(), format!("s\n\n{text}\n\nA: {text}")] {
        let message = commit_text(&message, &Echo);
        safe(&message.subject);
        safe(&message.body);
        for trailer in &message.trailers {
            safe(&trailer.key);
            safe(&trailer.value);
        }
    }
}

#[test]
fn attacks_become_harmless() {
    for attack in ATTACKS {
        check(attack);
        check(&format!("a\n\n{attack}\n\nb"));
        check(&format!("> {attack} *b*"));
    }
}

#[test]
fn attacks_in_pairs_become_harmless() {
    for first in ATTACKS.iter().step_by(5) {
        for second in ATTACKS.iter().step_by(3) {
            assert_safe(document("a.md", &format!("{first}{second}"), &Echo).html.as_str(), first);
        }
    }
}

/// Texts of the size of a file that took seconds or minutes.
#[test]
fn slow_texts_end_in_time() {
    // Far above the usual time, for slow machines.
    const TIME_MAX: Duration = Duration::from_secs(60);
    let incomplete = "<a \" x=\"".repeat(10) + "\n";
    let fences = |language: &str, line: &str| format!("```{language}\n{line}\n```\n").repeat(200);
    for (path, text) in [
        ("a.md", format!("<div>\n{}", incomplete.repeat(500 * 1024 / incomplete.len()))),
        ("a.md", "&".repeat(500_000)),
        ("a.md", format!("```\n{}\n```\n", "&\n".repeat(250_000))),
        ("a.md", fences("ini", &format!("{}x", " ".repeat(1_990)))),
        ("a.md", fences("sv", &"@a(".repeat(160))),
        ("a.md", fences("scss", &"a-".repeat(240))),
        ("a.md", fences("lisp", &format!("a({}", "!".repeat(490)))),
        ("a.ini", format!("{}x\n", " ".repeat(1_990))),
        ("a.sv", "@a(".repeat(660) + "\n"),
        ("a.less", "a-".repeat(250) + "\n"),
        ("a.vue", format!("<style lang=\"scss\">\n{}\n", "a-".repeat(240))),
        ("a.pug", ("<%".repeat(990) + "\n").repeat(3)),
    ] {
        let begin = Instant::now();
        assert_safe(document(path, &text, &()).html.as_str(), path);
        highlight(path, &text, &mut Budget::default());
        let time = begin.elapsed();
        assert!(time < TIME_MAX, "{path}: {time:?} {:?}", text.chars().take(20).collect::<String>());
    }
}

/// Parts that documents and attacks consist of.
fn parts() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "<",
        ">",
        "\"",
        "'",
        "&",
        "/",
        "=",
        " ",
        "\n",
        "\n\n",
        "*",
        "**",
        "_",
        "`",
        "```",
        "[",
        "](",
        ")",
        "!",
        "#",
        "- ",
        "1. ",
        "> ",
        "|",
        "|-|\n",
        "~~",
        "\\",
        "<a href=",
        "<b>",
        "</b>",
        "<p>",
        "</p>",
        "<div>",
        "</div>",
        "<table>",
        "<tr>",
        "<td>",
        "<li>",
        "<ul>",
        "</ul>",
        "<details>",
        "<summary>",
        "<img src=",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "<h1>",
        "</h1>",
        "<pre>",
        "<hr>",
        "https://x",
        "javascript:",
        "&#60;",
        "&lt;",
        "@alice",
        "abc1234",
        "@@ -1,2 +3,4 @@\n",
        "+",
        "-",
        "\u{202e}",
        "\u{200d}",
        "\0",
        "\r\n",
        "é",
        "[^a]",
        "[^a]: ",
        "[a]: b\n",
        "Key: value\n",
        "    ",
        "\t",
        "<svg>",
        "<style>",
        "</a>",
        "<center>",
        "<dl><dt>",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_documents_become_harmless(parts in prop::collection::vec(parts(), 0..60)) {
        check(&parts.concat());
    }

    #[test]
    fn random_texts_keep_their_visible_characters(text in "[ -~\n]{0,200}") {
        let html = SafeHtml::text(&text).to_string();
        let back = html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        prop_assert_eq!(back.replace("&#39;", "'").replace("&amp;", "&"), text);
    }
}
