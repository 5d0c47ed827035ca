//! Tests of highlighting: classes, languages and limits.

use super::*;

/// A budget without a limit of time, so that a slow machine does not change the result.
fn patient() -> Budget {
    let long = Duration::from_secs(60);
    Budget { time_left: long, line_time_max: long, ..Budget::default() }
}

fn shown(path: &str, text: &str) -> Vec<String> {
    highlight(path, text, &mut patient()).lines.iter().map(ToString::to_string).collect()
}

#[test]
fn rust_is_highlighted_with_short_classes() {
    let lines = shown("src/main.rs", "// Greets.\nfn main() {\n    let x: u8 = 1;\n    f(\"<b>\\n\");\n}\n");
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], "<span class=\"hl-c\">// Greets.</span>");
    assert!(
        lines[1].contains("<span class=\"hl-k\">fn </span><span class=\"hl-f\">main</span>"),
        "{}",
        lines[1]
    );
    assert!(lines[2].contains("<span class=\"hl-n\">1</span>;"), "{}", lines[2]);
    assert!(
        lines[3].contains("<span class=\"hl-s\">&quot;&lt;b&gt;</span><span class=\"hl-n\">\\n</span>"),
        "{}",
        lines[3]
    );
}

#[test]
fn comment_over_lines_is_closed_in_each_line() {
    let lines = shown("a.c", "/* a\n\n b */ int x;\n");
    assert_eq!(lines[0], "<span class=\"hl-c\">/* a</span>");
    assert_eq!(lines[1], "");
    assert!(lines[2].starts_with("<span class=\"hl-c\"> b */ </span>"), "{}", lines[2]);
}

#[test]
fn language_is_found_by_name_extension_and_first_line() {
    let found = |path: &str, text: &str| highlight(path, text, &mut patient()).language;
    for (path, text, language) in [
        ("src/lib.rs", "", Some("Rust")),
        ("Makefile", "", Some("Makefile")),
        ("a/Dockerfile", "", Some("Dockerfile")),
        ("Cargo.lock", "", Some("TOML")),
        ("x.toml", "", Some("TOML")),
        ("index.MJS", "", Some("JavaScript (Babel)")),
        ("x.ts", "", Some("TypeScript")),
        ("run", "#!/bin/sh\necho", Some("Bourne Again Shell (bash)")),
        ("run", "#!/usr/bin/env python3\n", Some("Python")),
        ("notes.txt", "plain", None),
        ("LICENSE", "words", None),
        ("", "", None),
        ("..", "", None),
        ("a.", "", None),
    ] {
        assert_eq!(found(path, text), language, "{path}");
    }
    assert_eq!(highlight_language("rust", "fn", &mut patient()).language, Some("Rust"));
    assert_eq!(
        highlight_language("console", "ls", &mut patient()).language,
        Some("Bourne Again Shell (bash)")
    );
    assert_eq!(highlight_language("\"><script>", "x", &mut patient()).language, None);
}

#[test]
fn lines_have_no_line_ends() {
    assert_eq!(shown("a.txt", ""), Vec::<String>::new());
    assert_eq!(shown("a.txt", "a"), ["a"]);
    assert_eq!(shown("a.txt", "a\r\n\nb\r"), ["a", "", "b"]);
    assert_eq!(shown("a.rs", "let\r\nlet"), ["<span class=\"hl-k\">let</span>"; 2]);
    assert_eq!(
        shown("a.txt", "a\rb"),
        ["a<span class=\"hidden-char\" title=\"U+000D carriage return\">U+000D</span>b"]
    );
}

#[test]
fn highlighting_stops_when_time_is_used() {
    let mut budget = Budget { time_left: Duration::ZERO, ..Budget::default() };
    let result = highlight("a.rs", "fn a() {}\nfn b() {}\n", &mut budget);
    assert_eq!((result.highlighted_to, result.lines.len()), (0, 2));
    assert_eq!(result.lines[1].as_str(), "fn b() {}");
    assert_eq!(result.language, Some("Rust"));
    for mut budget in [
        Budget { time_left: Duration::from_nanos(1), ..patient() },
        Budget { line_time_max: Duration::ZERO, ..patient() },
    ] {
        let result = highlight("a.rs", "fn a() {}\nfn b() {}\nfn c() {}\n", &mut budget);
        assert_eq!(result.highlighted_to, 1, "the time is checked for each line");
    }
}

#[test]
fn highlighting_stops_at_limits_of_bytes() {
    let long = "fn a() {}\n".repeat(HIGHLIGHT_BYTES_MAX / 10 + 1);
    let mut budget = patient();
    let result = highlight("a.rs", &long, &mut budget);
    assert_eq!((result.highlighted_to, result.lines[0].as_str()), (0, "fn a() {}"));
    assert_eq!(budget.bytes_left, HIGHLIGHT_BYTES_MAX, "nothing was used");

    let mut budget = Budget { html_bytes_left: 100, ..patient() };
    let result = highlight("a.rs", "fn a() {}\nfn a() {}\nfn a() {}\nfn a() {}\n", &mut budget);
    assert_eq!(result.highlighted_to, 2);
    assert_eq!(result.lines[3].as_str(), "fn a() {}");
}

#[test]
fn long_line_is_plain_and_the_next_is_not() {
    let long = format!("let x = \"{}\";\nlet y;\n", "x".repeat(HIGHLIGHT_LINE_BYTES_MAX));
    let result = highlight("a.rs", &long, &mut patient());
    assert!(!result.lines[0].as_str().contains("<span"));
    assert!(result.lines[1].as_str().contains("hl-k"));
    assert_eq!(result.highlighted_to, 2);
}

#[test]
fn line_with_many_hyphens_is_plain() {
    let class_of = |line: &str| highlight("a.rs", line, &mut patient()).lines[0].as_str().contains("hl-c");
    assert!(class_of(&format!("// {}b", "a-".repeat(WORD_HYPHENS_MAX))));
    assert!(!class_of(&format!("// {}b", "a-".repeat(WORD_HYPHENS_MAX + 1))));
    assert!(class_of(&format!("//{}", "-".repeat(200))), "a rule of hyphens");
    assert!(class_of(&format!("// {}", "a-b ".repeat(50))), "each word has few");
}

#[test]
fn slow_language_is_plain() {
    for name in SLOW_SYNTAXES {
        assert!(SYNTAXES.find_syntax_by_name(name).is_some(), "{name}");
        let result = highlight_language(name, "a\n", &mut patient());
        assert_eq!((result.language, result.highlighted_to), (None, 1), "{name}");
    }
}

#[test]
fn deep_nesting_keeps_the_stack_small() {
    let mut highlighter = Highlighter::new(syntax_of_file("a.json", "").unwrap());
    let mut html = String::new();
    for _ in 0..5_000 {
        highlighter.push_line(&mut html, "[\n", "[", &mut Marks::default(), &mut patient());
    }
    assert!(highlighter.stack.len() < 500, "{}", highlighter.stack.len());
}

#[test]
fn hidden_characters_are_marked_in_code() {
    let result = highlight("a.rs", "\u{feff}let a\u{200b} = \"\u{202e}\";\n", &mut patient());
    let line = result.lines[0].as_str();
    assert!(result.has_hidden && line.contains("U+200B") && line.contains("U+202E"), "{line}");
    assert!(!line.contains("U+FEFF"), "a byte order mark is not a part of the text");
    assert!(!highlight("a.rs", "\u{feff}let a;", &mut patient()).has_hidden);
    assert!(plain_lines("a\u{2066}").has_hidden);
}

/// Texts that take an engine with backtracking long, if they repeat.
const HOSTILE_UNITS: &[&str] = &[
    "a",
    "(",
    "[",
    " ",
    "\t",
    "\"",
    "\\",
    "a<",
    "a.",
    "*a",
    "_a ",
    "$a{",
    "<%",
    "int a(",
    "std::a<b,",
    "`a",
    "f(a,{b:c=>[",
    "@a(",
    "a-",
    "!",
    "a--",
];

#[test]
fn every_syntax_survives_hostile_lines() {
    // Far above the usual time, for slow machines. Without the bounds of a line it was 40 s.
    const TIME_MAX: Duration = Duration::from_secs(20);
    for unit in HOSTILE_UNITS {
        for begin in ["", "a("] {
            let line = format!("{begin}{}x\n", unit.repeat((HIGHLIGHT_LINE_BYTES_MAX - 3) / unit.len()));
            for syntax in SYNTAXES.syntaxes() {
                let start = Instant::now();
                let result = lines(&line, Some(syntax), &mut Budget::default());
                let time = start.elapsed();
                assert_eq!(result.lines.len(), 1);
                assert!(time < TIME_MAX, "{} {begin}{unit}: {time:?}", syntax.name);
            }
        }
    }
}

#[test]
fn every_syntax_survives_hostile_text() {
    let hostile = format!(
        "<?php {}\n{}\n#{{${{`\"'\\\n\u{202e}é</script><style>{}\n",
        "a".repeat(300),
        "([{<".repeat(60),
        "*_~`".repeat(60)
    );
    for syntax in SYNTAXES.syntaxes() {
        let mut budget = patient();
        let result = lines(&hostile, Some(syntax), &mut budget);
        assert_eq!(result.lines.len(), 4, "{}", syntax.name);
        for line in &result.lines {
            super::super::html_check_test::assert_safe(line.as_str(), &syntax.name);
        }
    }
}
