//! Removes comments and indentation from scripts and style sheets, and names the style sheets.
//!
//! `build.rs` includes this file. Names are kept, so that errors of a browser can be read.

/// Decides by the name of a file below `web/css/` whether a style sheet has it.
type Selection = dyn Fn(&str) -> bool + Sync;

/// The style sheets: of the pages, and of the chat. Files from `50` on belong to code and people, those
/// from `80` on to the chat, `90` to both.
pub(crate) const STYLE_SHEETS: &[(&str, &Selection)] = &[
    ("app.css", &|name| !name.starts_with('8')),
    ("chat.css", &|name| name < "50" || name >= "80"),
];

/// Returns a script without comments at the beginning of lines, and without indentation.
///
/// # Errors
/// Returns a sentence for a template literal of several lines: its indentation is a part of it.
pub(crate) fn script(text: &str) -> Result<String, String> {
    let mut compact = String::with_capacity(text.len());
    let mut is_comment = false;
    for line in text.lines().map(str::trim) {
        if !is_comment && line.matches('`').count() % 2 == 1 {
            return Err(format!("a template literal has several lines: {line}"));
        }
        is_comment |= line.starts_with("/*") && !line.contains("*/");
        let is_whole = line.starts_with("/*") && line.ends_with("*/");
        if !is_comment && !is_whole && !line.is_empty() {
            compact.push_str(&without_types(line));
            compact.push('\n');
        }
        is_comment &= !line.contains("*/");
    }
    Ok(compact)
}

/// Removes the casts `/** @type {…} */` from a line.
fn without_types(line: &str) -> String {
    let mut parts = line.split("/** @type ");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.split_once("*/").map_or(part, |(_, after)| after.trim_start()));
    }
    rest
}

/// Returns a style sheet without comments and indentation. Strings must not contain comments.
pub(crate) fn style(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let mut parts = text.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once("*/").map_or("", |(_, after)| after));
    let plain: String = std::iter::once(first.as_str()).chain(rest).collect();
    for line in plain.lines().map(str::trim).filter(|line| !line.is_empty()) {
        compact.push_str(line);
        compact.push('\n');
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_keep_everything_but_comments_and_indentation() {
        let text = "/**\n * A.\n * @param {string} a\n */\nfunction f(a) {\n  // kept by the linker only\n\n  /** B. */\n  const b = /** @type {X} */ (a); // c\n}\n";
        let expected = "function f(a) {\n// kept by the linker only\nconst b = (a); // c\n}\n";
        assert_eq!(script(text).unwrap(), expected);
        assert_eq!(script("const a = `b`;\n").unwrap(), "const a = `b`;\n");
        assert!(script("const a = `b\n  c`;").unwrap_err().contains("several lines"));
    }

    #[test]
    fn style_sheets_keep_everything_but_comments_and_indentation() {
        let text = "/* A. */\n.a { /* b */ color: red;\n  margin: 0; }\n";
        assert_eq!(style(text), ".a {  color: red;\nmargin: 0; }\n");
    }

    #[test]
    fn chat_and_pages_have_their_own_style_sheets() {
        let has = |sheet: usize, name: &str| STYLE_SHEETS[sheet].1(name);
        for (name, in_pages, in_chat) in [
            ("10-tokens.css", true, true),
            ("50-code.css", true, false),
            ("80-chat.css", false, true),
            ("90-media.css", true, true),
        ] {
            assert_eq!((has(0, name), has(1, name)), (in_pages, in_chat), "{name}");
        }
    }
}
