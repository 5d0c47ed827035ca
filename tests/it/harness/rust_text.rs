//! A scanner of Rust source text, for the tests that check the source itself.
//!
//! It recognizes comments, strings and braces only. `syn` would parse the whole language, but it
//! drops the comments, which [`crate::prose`] checks, and it exposes the arguments of macros as
//! tokens only.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    LineComment,
    BlockComment,
    /// A string literal of any kind, with its quotes.
    Text,
    /// A character literal, with its quotes.
    Character,
}

/// A comment or a literal.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: Range<usize>,
}

/// Returns the comments, strings and characters of a source text, in order.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let bytes = source.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (kind, end) = match &bytes[at..] {
            [b'/', b'/', ..] => (Kind::LineComment, find(source, at, "\n")),
            [b'/', b'*', ..] => (Kind::BlockComment, end_of_block(bytes, at)),
            [b'"', ..] => (Kind::Text, end_of_string(bytes, at)),
            [b'r', ..] if !is_word_before(bytes, at) && raw_hashes(bytes, at + 1).is_some() => {
                (Kind::Text, end_of_raw(source, at + 1))
            }
            [b'\'', ..] => {
                let end = end_of_char(source, at);
                if end == at + 1 {
                    at = end;
                    continue;
                }
                (Kind::Character, end)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        found.push(Token { kind, at: at..end });
        at = end;
    }
    found
}

/// Replaces comments, strings and characters with spaces. Lines and offsets stay the same.
pub(crate) fn code(source: &str) -> String {
    let mut bytes = source.as_bytes().to_vec();
    for token in tokens(source) {
        blank(&mut bytes, token.at);
    }
    String::from_utf8(bytes).unwrap()
}

/// Returns the ranges of items that only tests compile: those under `#[cfg(test)]`.
pub(crate) fn test_items(code: &str) -> Vec<Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = code[from..].find(MARK).map(|at| from + at) {
        from = end_of_item(code.as_bytes(), at + MARK.len());
        found.push(at..from);
    }
    found
}

/// Returns the code of a file without its tests, comments, strings and characters. Offsets stay the
/// same.
pub(crate) fn production(source: &str) -> String {
    let code = code(source);
    let tests = test_items(&code);
    let mut bytes = code.into_bytes();
    for item in tests {
        blank(&mut bytes, item);
    }
    String::from_utf8(bytes).unwrap()
}

fn blank(bytes: &mut [u8], at: Range<usize>) {
    bytes[at].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn find(source: &str, from: usize, end: &str) -> usize {
    source[from..].find(end).map_or(source.len(), |at| from + at)
}

fn is_word_before(bytes: &[u8], at: usize) -> bool {
    // `br"…"` is a raw byte string, `for"…"` is not.
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b' | b'c') => at.checked_sub(2).is_some_and(|before| is_word(&bytes[before])),
        Some(byte) => is_word(&byte),
        None => false,
    }
}

/// Returns the number of `#` before the quote of a raw string; `None` without a quote.
fn raw_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(at + hashes) == Some(&b'"')).then_some(hashes)
}

fn end_of_raw(source: &str, at: usize) -> usize {
    let hashes = raw_hashes(source.as_bytes(), at).unwrap();
    let end = format!("\"{}", "#".repeat(hashes));
    (find(source, at + hashes + 1, &end) + end.len()).min(source.len())
}

fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

fn end_of_block(bytes: &[u8], at: usize) -> usize {
    let (mut end, mut depth) = (at + 2, 1);
    while end < bytes.len() && depth > 0 {
        let step = match &bytes[end..] {
            [b'/', b'*', ..] => 1,
            [b'*', b'/', ..] => -1,
            _ => 0,
        };
        depth += step;
        end += if step == 0 { 1 } else { 2 };
    }
    end
}

/// Returns the end of a character literal, or of the quote of a lifetime.
fn end_of_char(source: &str, at: usize) -> usize {
    let rest = &source[at + 1..];
    if let Some(rest) = rest.strip_prefix('\\') {
        // The escaped character may itself be a quote.
        let escaped = rest.chars().next().map_or(0, char::len_utf8);
        return find(source, at + 2 + escaped, "'") + 1;
    }
    let length = rest.chars().next().map_or(0, char::len_utf8);
    if rest[length..].starts_with('\'') { at + length + 2 } else { at + 1 }
}

/// Returns the end of the item that starts here, with its attributes: its `;` or its closing brace.
fn end_of_item(code: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    let mut in_attribute = 0;
    while at < code.len() {
        let byte = code[at];
        at += 1;
        match byte {
            b'#' if depth == 0 && code.get(at) == Some(&b'[') => in_attribute = depth + 1,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth < 0 {
                    // A field or a variant: it ends where the enclosing item ends.
                    return at - 1;
                }
                if in_attribute > 0 && depth == 0 {
                    in_attribute = 0;
                } else if byte == b'}' && depth == 0 {
                    return at;
                }
            }
            b';' | b',' if depth == 0 => return at,
            _ => {}
        }
    }
    at
}

#[test]
fn scanner_finds_comments_strings_and_test_items() {
    let source = r##"
        use a::b; // one "not a string"
        const C: char = '"'; /* two /* nested */ */
        fn f<'a>(x: &'a str) -> &'a str { r#"raw " text"# }
        #[cfg(test)]
        #[path = "x_test.rs"]
        mod x;
        fn after() { let s = "text \" // not a comment"; }
        #[cfg(test)]
        mod tests { fn inner() { let brace = '{'; let also = "}"; } }
        fn last() {}
    "##;
    let found: Vec<_> =
        tokens(source).into_iter().map(|token| (token.kind, source[token.at].to_owned())).collect();
    let expected = [
        (Kind::LineComment, r#"// one "not a string""#),
        (Kind::Character, "'\"'"),
        (Kind::BlockComment, "/* two /* nested */ */"),
        (Kind::Text, r##"r#"raw " text"#"##),
        (Kind::Text, r#""x_test.rs""#),
        (Kind::Text, r#""text \" // not a comment""#),
        (Kind::Character, "'{'"),
        (Kind::Text, r#""}""#),
    ];
    assert_eq!(found, expected.map(|(kind, text)| (kind, text.to_owned())));
    let production = production(source);
    for kept in ["fn after", "fn last", "use a::b", "fn f<'a>"] {
        assert!(production.contains(kept), "{kept}");
    }
    for gone in ["mod x", "fn inner", "mod tests", "comment"] {
        assert!(!production.contains(gone), "{gone}");
    }
    assert_eq!(production.len(), source.len());
}
