//! Checks the prose rules that a machine can check: plain technical English in comments, messages,
//! documents and test names.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::harness::rust_text::{Kind, code, test_items, tokens};

/// Files and folders below the root of the package that are checked.
const PATHS: &[&str] = &[
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "GLOSSARY.md",
    "CONTRIBUTING.md",
    "docs",
    "src",
    "tests/it",
    "benches",
    "loadtest",
    "fuzz",
    "scripts",
    "build.rs",
    "web/js",
    "web/css",
    "templates",
    "tests/web",
];
/// The kinds of files that are checked.
const KINDS: &[&str] = &["rs", "md", "js", "mjs", "css", "html"];
/// Findings that are right as they stand: file, a part of the text, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

const TEST_NAME_MAX: usize = 60;
const COLUMNS_MAX: usize = 100;

/// Words and phrases in lower-case text. `look` and `no` are groups: the text after them decides.
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    let words = [
        r"\b(?:oneself|one['’]s|nobody|somebody|everybody|anybody|anew|whoever|whomever)\b",
        r"\b(?:tell|tells|told|telling|say|says|said|saying|hear|hears|heard|hearing)\b",
        r"\b(?:wakes?|woken|woke|waking|forgets?|forgot|forgotten|forgetting|believes?|believed)\b",
        r"\b(?P<look>look(?:s|ed|ing)?)\b",
        r"\b(?:gives?|gave|given)\s+way\b",
        r"\b(?:is|are|was|were)\s+(?P<no>no)\s+[a-z]",
        r"\bas\s+good\s+as\b|\bof\s+a\s+moment\b|\bfor\s+ever\b|\bbehind\s+(?:it|them)\s+come",
        r"\b(?:if|when|what|that|as|because|before|after|than|where|though|until|unless|while|and|so)\s+one\s+(?:is|was|has|had|may|can|must|does|did|do|will|would|should|could|might|needs|wants|sees|gets|reads|writes|sends|asks|knows|leaves|joins)\b",
    ];
    ascii(&words.join("|"))
});
/// `look up` is the word of the standard library.
static AFTER_LOOK: LazyLock<Regex> = LazyLock::new(|| ascii(r"^\s+(?:up|ups)\b"));
/// A comparison with `no` is allowed.
static AFTER_NO: LazyLock<Regex> = LazyLock::new(|| {
    ascii(
        r"^\s+(?:longer|more\b|later|earlier|larger|smaller|fewer|less|greater|slower|faster|worse|better|older|newer|deeper)",
    )
});
static START: LazyLock<Regex> = LazyLock::new(|| {
    ascii(r"(?:^|[.:!?;]\s+|\(\s*|^\s*[*\-|#]+\s+(?:\*\*)?)(What|Whoever|Who|Whom|One)\s+[a-z]")
});
/// "One" is a pronoun where a verb or a relative follows.
static PRONOUN: LazyLock<Regex> = LazyLock::new(|| {
    ascii(
        r"^One\s+(?:is|was|has|had|may|can|must|does|did|who|that|cannot|will|would|should|reads|sends|gets|sees)\b",
    )
});
static SENTENCE_END: LazyLock<Regex> = LazyLock::new(|| ascii(r"[.?!](?:\s|$)"));
static CODE_SPAN: LazyLock<Regex> = LazyLock::new(|| ascii("`[^`]*`"));
static CODE_SPAN_OF_A_LINE: LazyLock<Regex> = LazyLock::new(|| ascii("`[^`\n]*`"));
static CODE_BLOCK: LazyLock<Regex> = LazyLock::new(|| ascii("(?s)```.*?```"));
static LIST_ITEM: LazyLock<Regex> = LazyLock::new(|| ascii(r"^\s*(?:[*\-|#>]|\d+\.)\s"));
static WORDS_IN_A_ROW: LazyLock<Regex> = LazyLock::new(|| ascii("[a-z] [a-z]"));
static SQL: LazyLock<Regex> =
    LazyLock::new(|| ascii(r"^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|PRAGMA|CREATE)\b"));
static CONTINUED: LazyLock<Regex> = LazyLock::new(|| ascii(r"\\\s*\n\s*"));
static TEST: LazyLock<Regex> = LazyLock::new(|| {
    ascii(
        r"#\[(?:actix_web::|actix_rt::|actix::|tokio::)?test(?:\([^)]*\))?\]\s*(?:#\[[^\]]*\]\s*)*(?:async\s+)?fn\s+(\w+)",
    )
});
/// The name of a test of a script.
static SCRIPT_TEST: LazyLock<Regex> = LazyLock::new(|| ascii(r"^\s*(?:test|it)\('((?:[^'\\]|\\.)*)'"));
/// A tag of a comment with its type and its name, such as `@param {string} name`.
static TAG: LazyLock<Regex> =
    LazyLock::new(|| ascii(r"(?:^|\s)@[a-z]+(?:\s+\{.*?\}+)?(?:\s+\[?[\w.]+(?:=[\w.]*)?\]?)?"));
static SCRIPT_STRING: LazyLock<Regex> =
    LazyLock::new(|| ascii(r"'((?:[^'\\]|\\.)*)'|\x60((?:[^\x60\\]|\\.)*)\x60"));
static INSERTED: LazyLock<Regex> = LazyLock::new(|| ascii(r"(?s)\$\{[^}]*\}|\{\{.*?\}\}"));
static TRAILING_COMMENT: LazyLock<Regex> = LazyLock::new(|| ascii(r"\s//\s+([A-Za-z].*)$"));
static BLOCK_COMMENT: LazyLock<Regex> = LazyLock::new(|| ascii(r"(?s)/\*(.*?)\*/"));
static HTML_CODE: LazyLock<Regex> = LazyLock::new(|| ascii("(?s)<(?:code|kbd|pre)\\b.*?</(?:code|kbd|pre)>"));
static HTML_TEXT: LazyLock<Regex> = LazyLock::new(|| ascii("[^<>]+"));
static ARTICLE: LazyLock<Regex> = LazyLock::new(|| ascii(r"^(?:what|whoever|who|one|a|an|the)\s"));

/// Returns a regular expression whose `\b`, `\s`, `\d` and `\w` match ASCII only, which is fast.
fn ascii(pattern: &str) -> Regex {
    let pattern = pattern
        .replace(r"\b", r"(?-u:\b)")
        .replace(r"\s", r"[ \t\n\r]")
        .replace(r"\d", "[0-9]")
        .replace(r"\w", "[A-Za-z0-9_]");
    Regex::new(&pattern).unwrap()
}

#[derive(Debug)]
struct Finding {
    line: usize,
    what: String,
    text: String,
}

/// Returns the forbidden words and beginnings in a text without code spans.
fn forbidden(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(captures) = WORDS.captures_at(&lower, from) {
        let whole = captures.get(0).unwrap();
        from = whole.end();
        let allowed = |name: &str, after: &Regex| {
            captures.name(name).is_some_and(|group| after.is_match(&lower[group.end()..]))
        };
        if allowed("no", &AFTER_NO) {
            from = captures.name("no").unwrap().end();
        } else if !allowed("look", &AFTER_LOOK) {
            found.push(whole.as_str().to_owned());
        }
    }
    for captures in START.captures_iter(text) {
        let first = captures.get(1).unwrap();
        let rest = &text[first.start()..];
        let is_question = SENTENCE_END.find(rest).is_some_and(|end| end.as_str().starts_with('?'));
        if !is_question && (first.as_str() != "One" || PRONOUN.is_match(rest)) {
            found.push(format!("{} (at the start of a sentence)", first.as_str()));
        }
    }
    found
}

/// Returns the findings in comments (as paragraphs), strings of production code, and test names.
fn in_rust(path: &str, source: &str) -> Vec<Finding> {
    let is_test_file = ["_test.rs", "/tests.rs"].iter().any(|end| path.ends_with(end))
        || ["/model_test/", "/tests/", "/benches/"].iter().any(|part| format!("/{path}").contains(part));
    let code = code(source);
    let tests = test_items(&code);
    let mut texts: Vec<(usize, String)> = Vec::new();
    // The paragraph of line comments that continues in this line.
    let mut open: Option<usize> = None;
    let mut found = Vec::new();
    let lines = Lines::of(source);
    for token in tokens(source) {
        let (line, text) = (lines.at(token.at.start), &source[token.at.clone()]);
        match token.kind {
            Kind::LineComment => {
                found.extend(wide_comment(source, &token.at, line));
                let body = text.trim_start_matches(['/', '!']).trim_end();
                if open == Some(line) && !body.trim().is_empty() && !LIST_ITEM.is_match(body) {
                    let (_, paragraph) = texts.last_mut().unwrap();
                    paragraph.push(' ');
                    paragraph.push_str(body.trim());
                } else {
                    texts.push((line, body.trim().to_owned()));
                }
                open = (!body.trim().is_empty()).then_some(line + 1);
            }
            Kind::BlockComment => {
                texts.push((line, text.replace(['\n', '*', '/'], " ")));
                open = None;
            }
            Kind::Character => {}
            Kind::Text => {
                let in_a_test = is_test_file || tests.iter().any(|item| item.contains(&token.at.start));
                let body = text.split_once('"').map_or("", |(_, body)| body);
                let body = body.rsplit_once('"').map_or("", |(body, _)| body);
                if !in_a_test && WORDS_IN_A_ROW.is_match(body) && !SQL.is_match(body) {
                    // A string between two comments ends the paragraph: no comment may be appended
                    // to it.
                    open = None;
                    texts.push((line, CONTINUED.replace_all(body, "").into_owned()));
                }
            }
        }
    }
    for (line, text) in texts {
        let text = CODE_SPAN.replace_all(&text, "`_`").into_owned();
        found.extend(forbidden(&text).into_iter().map(|what| Finding { line, what, text: text.clone() }));
    }
    for captures in TEST.captures_iter(source) {
        let name = captures[1].to_owned();
        let line = lines.at(captures.get(0).unwrap().start());
        found.extend(in_test_name(&name).into_iter().map(|what| Finding { line, what, text: name.clone() }));
    }
    found
}

/// Returns a finding if a comment on a line of its own is too wide. Tables and links may be wider.
fn wide_comment(source: &str, comment: &std::ops::Range<usize>, line: usize) -> Option<Finding> {
    let begin = source[..comment.start].rfind('\n').map_or(0, |at| at + 1);
    let (indent, text) = (&source[begin..comment.start], &source[comment.clone()]);
    let body = text.trim_start_matches(['/', '!']).trim();
    let columns = indent.chars().count() + text.trim_end().chars().count();
    let is_exempt = !indent.trim().is_empty() || body.starts_with('|') || body.contains("http");
    let what = format!("comment of {columns} columns");
    (columns > COLUMNS_MAX && !is_exempt).then(|| Finding { line, what, text: body.to_owned() })
}

/// Returns the texts of a script: its comments as paragraphs, and the sentences of a program.
fn script_texts(source: &str, is_test: bool) -> Vec<(usize, String)> {
    let mut texts: Vec<(usize, String)> = Vec::new();
    // The paragraph of comments that continues in this line.
    let (mut open, mut in_block) = (None, false);
    for (number, line) in (1..).zip(source.lines()) {
        let words = line.trim();
        if !in_block && !words.starts_with("//") && !words.starts_with("/*") {
            open = None;
            texts.extend(TRAILING_COMMENT.captures(line).map(|found| (number, found[1].to_owned())));
            for found in SCRIPT_STRING.captures_iter(line).filter(|_| !is_test) {
                let text = found.get(1).or(found.get(2)).map_or("", |text| text.as_str());
                let text = INSERTED.replace_all(text, "_");
                if WORDS_IN_A_ROW.is_match(&text) {
                    texts.push((number, text.into_owned()));
                }
            }
            continue;
        }
        in_block |= words.starts_with("/*");
        let body = words.split("*/").next().unwrap_or_default().trim_start_matches(['/', '*']).trim();
        in_block &= !words.contains("*/");
        let starts = body.starts_with('@') || LIST_ITEM.is_match(body);
        for (part, text) in TAG.split(body).enumerate() {
            if part == 0 && open == Some(number) && !starts && !text.is_empty() {
                let (_, paragraph) = texts.last_mut().unwrap();
                paragraph.push(' ');
                paragraph.push_str(text.trim());
            } else {
                texts.push((number, text.trim().to_owned()));
            }
        }
        open = (!body.is_empty()).then_some(number + 1);
    }
    texts
}

/// Returns the texts and attributes of a template, and the comments of a style sheet.
fn page_texts(path: &str, source: &str) -> Vec<(usize, String)> {
    let lines = Lines::of(source);
    if path.ends_with(".css") {
        let comments = BLOCK_COMMENT.captures_iter(source).map(|found| found.get(1).unwrap());
        return comments.map(|text| (lines.at(text.start()), text.as_str().trim().to_owned())).collect();
    }
    let blank = |found: &regex::Captures<'_>| format!("_{}", "\n".repeat(found[0].matches('\n').count()));
    let source = INSERTED.replace_all(source, blank);
    let source = HTML_CODE.replace_all(&source, blank);
    let lines = Lines::of(&source);
    let texts = HTML_TEXT.find_iter(&source);
    texts.map(|text| (lines.at(text.start()), tag_as_text(text.as_str()))).collect()
}

/// Returns a text, or a tag or call of a template whose attributes and arguments are sentences.
fn tag_as_text(text: &str) -> String {
    text.trim().replace("=\"", ". ").replace("\", \"", ". ").replace('"', " ")
}

/// Returns the findings in the texts of a script, a style sheet or a template, and in test names.
fn in_page(path: &str, source: &str) -> Vec<Finding> {
    let (is_script, is_test) = (path.ends_with("js"), path.starts_with("tests/"));
    let texts = if is_script { script_texts(source, is_test) } else { page_texts(path, source) };
    let mut found = Vec::new();
    for (line, text) in texts {
        let text = CODE_SPAN.replace_all(&text, "`_`").into_owned();
        found.extend(forbidden(&text).into_iter().map(|what| Finding { line, what, text: text.clone() }));
    }
    for (line, text) in (1..).zip(source.lines()) {
        let Some(test) = SCRIPT_TEST.captures(text).filter(|_| is_test) else { continue };
        let finding = |what| Finding { line, what, text: test[1].to_owned() };
        found.extend(in_test_name(&test[1]).into_iter().map(finding));
    }
    found
}

/// Returns what is wrong with the name of a test.
fn in_test_name(name: &str) -> Vec<String> {
    let words = name.replace('_', " ");
    let mut found = Vec::new();
    if name.len() > TEST_NAME_MAX {
        found.push(format!("test name of {} characters", name.len()));
    }
    found.extend(ARTICLE.find(&words).map(|article| format!("test name begins with {}", article.as_str())));
    found.extend(forbidden(&words));
    found
}

/// Returns the findings in paragraphs and list items, and the lines that are too wide, without
/// code.
fn in_markdown(source: &str) -> Vec<Finding> {
    let without = CODE_BLOCK
        .replace_all(source, |block: &regex::Captures<'_>| "\n".repeat(block[0].matches('\n').count()));
    let text = CODE_SPAN_OF_A_LINE.replace_all(&without, "`_`");
    let (mut found, mut paragraphs): (Vec<Finding>, Vec<(usize, String)>) = (Vec::new(), Vec::new());
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let columns = line.chars().count();
        let words = line.trim();
        if columns > COLUMNS_MAX && !words.starts_with('|') && !line.contains("http") {
            found.push(Finding {
                line: number,
                what: format!("line of {columns} columns"),
                text: words.to_owned(),
            });
        }
        if open && !words.is_empty() && !LIST_ITEM.is_match(words) {
            let (_, paragraph) = paragraphs.last_mut().unwrap();
            paragraph.push(' ');
            paragraph.push_str(words);
        } else if !words.is_empty() {
            paragraphs.push((number, words.to_owned()));
        }
        open = !words.is_empty();
    }
    for (line, text) in paragraphs {
        found.extend(forbidden(&text).into_iter().map(|what| Finding { line, what, text: text.clone() }));
    }
    found
}

/// The byte offsets at which the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// Returns the line number of a byte, from 1.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|begin| *begin <= offset)
    }
}

fn files(under: &Path) -> Vec<PathBuf> {
    if under.is_file() {
        return vec![under.to_owned()];
    }
    let entries = fs::read_dir(under).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| !path.ends_with("target") && !path.ends_with("node_modules"))
        .flat_map(|path| files(&path))
        .filter(|path| path.extension().and_then(|end| end.to_str()).is_some_and(|end| KINDS.contains(&end)))
        .collect();
    found.sort();
    found
}

fn findings_in(path: &str, source: &str) -> Vec<Finding> {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("md") => in_markdown(source),
        Some("rs") => in_rust(path, source),
        _ => in_page(path, source),
    }
}

fn findings(root: &Path, file: &Path) -> Vec<(String, Finding)> {
    let path = file.strip_prefix(root).unwrap().to_str().unwrap();
    let source = fs::read_to_string(file).unwrap();
    let found = findings_in(path, &source);
    let is_exception = |finding: &Finding| {
        EXCEPTIONS.iter().any(|(file, part, _)| *file == path && finding.text.contains(part))
    };
    found.into_iter().filter(|finding| !is_exception(finding)).map(|found| (path.to_owned(), found)).collect()
}

#[test]
fn prose_has_no_findings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = PATHS.iter().flat_map(|path| files(&root.join(path)));
    let found: Vec<_> = files.flat_map(|file| findings(root, &file)).collect();
    let lines = found.iter().map(|(path, finding)| {
        let text: String = finding.text.chars().take(110).collect();
        format!("{path}:{}: {}: {text}", finding.line, finding.what)
    });
    assert!(found.is_empty(), "docs/STYLE.md has the rules:\n{}", lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn paths_of_the_check_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in PATHS {
        assert!(!files(&root.join(path)).is_empty(), "{path} has no text to check");
    }
}

#[test]
fn exceptions_are_needed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, part, reason) in EXCEPTIONS {
        let source = fs::read_to_string(root.join(file)).unwrap();
        let found = findings_in(file, &source);
        let needed = found.iter().any(|finding| finding.text.contains(part));
        assert!(needed && !reason.is_empty(), "{file}: {part}");
    }
}

#[test]
fn check_finds_words_and_leaves_plain_text() {
    for (text, count) in [
        ("nobody reads it", 1),
        ("It is told anew.", 2),
        ("The server looks at it", 1),
        ("The server looks it over; a client looks up a name", 1),
        ("There is no user", 1),
        ("It is no longer there, and is no more", 0),
        ("kept for ever, as good as new", 2),
        ("gives way when one reads", 2),
        ("What is read is kept.", 1),
        ("It ends. Who asks gets none.", 1),
        ("What is read?", 0),
        ("One who reads", 1),
        ("One reader reads", 0),
        ("Sends a frame to each session.", 0),
    ] {
        assert_eq!(forbidden(text).len(), count, "{text}: {:?}", forbidden(text));
    }
}

#[test]
fn check_reads_comments_strings_names_and_markdown() {
    let count = |source: &str| in_rust("src/x.rs", source).len();
    assert_eq!(count("// It is told\n// to nobody.\nfn f() {}"), 2);
    assert_eq!(count("/// There is\n/// no user, and `nobody` is a name."), 1, "a paragraph is one text");
    assert_eq!(count("/// There is\n///\n/// no user."), 0, "two paragraphs are not");
    assert_eq!(count("/* nobody */ fn nobody() {}"), 1);
    assert_eq!(count(r#"const TEXT: &str = "nobody asks";"#), 1);
    assert_eq!(count(r#"const TEXT: &str = "nobody";"#), 0, "a name, not a sentence");
    assert_eq!(count(r#"const TEXT: &str = "SELECT said from told";"#), 0);
    assert_eq!(count("#[cfg(test)]\nmod tests { const T: &str = \"nobody asks\"; }"), 0);
    assert_eq!(count("#[cfg(test)]\nmod tests { /* nobody */ }\nconst T: &str = \"nobody asks\";"), 2);
    assert_eq!(in_rust("tests/it/x.rs", "const T: &str = \"nobody asks\";").len(), 0);
    assert_eq!(count("#[test]\nfn a_reader_is_told() {}"), 2);
    assert_eq!(count("#[actix_web::test]\nasync fn reader_gets_a_frame() {}"), 0);
    let long = "x".repeat(TEST_NAME_MAX + 1);
    assert_eq!(count(&format!("#[test]\n#[ignore]\nfn {long}() {{}}")), 1);

    let long = "word ".repeat(21);
    assert_eq!(count(&format!("/// {long}\nfn f() {{}}")), 1);
    assert_eq!(count(&format!("//! | {long}\nfn f() {{}} // {long}\n/// {}", &long[..95])), 0);

    assert_eq!(in_markdown("# Title\n\nNobody `told`\nis told.\n\n```\nnobody\n```\n").len(), 2);
    assert_eq!(in_markdown("* There is\n* no user").len(), 0, "two items");
    let wide = "word ".repeat(21);
    assert_eq!(in_markdown(&wide).len(), 1);
    assert_eq!(in_markdown(&format!("| {wide}\n\n{wide} https://example.org")).len(), 0);
    assert_eq!(in_markdown("a\nb\n\nnobody")[0].line, 4);
}

#[test]
fn check_reads_scripts_templates_and_styles() {
    let count = |source: &str| in_page("web/js/x.js", source).len();
    assert_eq!(count("// It is told\n// to nobody.\nfn()"), 2);
    assert_eq!(
        count("/**\n * There is\n * no user, and `nobody` is a name.\n */"),
        1,
        "a paragraph is one text"
    );
    assert_eq!(count("/** There is\n * @param {string} no user */"), 0, "a tag begins a text");
    assert_eq!(count("/** @param {string} name nobody reads it */"), 1);
    assert_eq!(count("/* nobody */\nconst nobody = 1; // nobody reads it"), 2);
    assert_eq!(count("const words = [`nobody asks ${who}`, 'nobody'];"), 1, "a name is not a sentence");
    assert_eq!(in_page("tests/web/x.mjs", "const words = 'nobody asks';").len(), 0);
    assert_eq!(in_page("tests/web/x.mjs", "test('a reader is told', () => {});").len(), 2);
    let long = format!("test('{}', () => {{}});", "x".repeat(TEST_NAME_MAX + 1));
    assert_eq!(in_page("tests/web/x.mjs", &long).len(), 1);

    let count = |source: &str| in_page("templates/x.html", source).len();
    assert_eq!(count("<p>Nobody reads <code>nobody</code>{{ nobody }}</p>"), 1);
    assert_eq!(count("<h2>What it does</h2><th>What is it?</th>"), 1);
    assert_eq!(count("<input placeholder=\"What it does\" class=\"x\">"), 1);
    assert_eq!(in_page("web/css/x.css", "/* nobody */ .nobody {}").len(), 1);
}
