//! Removes comments and indentation from scripts and style sheets.
//!
//! `build.rs` includes this file. Comments are a fourth of the compressed chat program. Names are
//! kept, so that errors of a browser can be read.

/// Returns a module without comments that begin a line, and without casts. Its indentation stays:
/// the linker reads it.
///
/// # Errors
/// Returns a sentence for a template literal of several lines, because its text may begin like a
/// comment.
pub(crate) fn without_comments(text: &str) -> Result<String, String> {
    let mut code = String::with_capacity(text.len());
    let mut is_comment = false;
    for line in text.lines() {
        let words = line.trim();
        let begins = !is_comment && words.starts_with("/*") && !words.starts_with("/** @type ");
        is_comment |= begins;
        if is_comment {
            is_comment = !words.contains("*/");
            if !words.ends_with("*/") && !is_comment {
                return Err(format!("code follows a comment: {line}"));
            }
        } else if !words.is_empty() && !words.starts_with("//") {
            let plain = without_types(line);
            if plain.replace("'`'", "").matches('`').count() % 2 == 1 {
                return Err(format!("a template literal has several lines: {line}"));
            }
            if !plain.trim().is_empty() {
                code.push_str(&plain);
                code.push('\n');
            }
        }
    }
    Ok(code)
}

/// Returns a linked script without indentation.
pub(crate) fn without_indentation(script: &str) -> String {
    script.lines().flat_map(|line| [line.trim(), "\n"]).collect()
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
        let text = "/**\n * A.\n * @param {string} a\n */\nfunction f(a) {\n  // B.\n\n  /** @type {Y} */\n  /** C. */\n  const b = /** @type {import('./x.js').X} */ (a); // c\n}\n";
        let code = without_comments(text).unwrap();
        assert_eq!(code, "function f(a) {\n  const b = (a); // c\n}\n");
        assert_eq!(without_indentation(&code), "function f(a) {\nconst b = (a); // c\n}\n");
        assert_eq!(without_comments("const a = `b`;\n").unwrap(), "const a = `b`;\n");
        assert!(without_comments("const a = `b\n  c`;").unwrap_err().contains("several lines"));
        assert!(without_comments("/* a\n */ b();").unwrap_err().contains("follows"));
    }

    #[test]
    fn style_sheets_keep_everything_but_comments_and_indentation() {
        let text = "/* A. */\n.a { /* b */ color: red;\n  margin: 0; }\n";
        assert_eq!(style(text), ".a {  color: red;\nmargin: 0; }\n");
    }
}
