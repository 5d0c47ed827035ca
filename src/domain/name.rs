//! Names of projects and repositories, and the endings that all names must avoid.
//!
//! No name of a project or repository is reserved: their pages are under a segment `-`, and no name
//! begins with `-`.

use std::fmt;

use super::text::Invalid;

/// The name of a project or repository: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, not ending in `.`,
/// `.git` or `.lock`, without `..`. Names that differ only in case are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const SHAPE: Invalid = Invalid(
            "must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' or '-', starting with a letter or a digit",
        );
        let first = text.bytes().next().ok_or(SHAPE)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.len() > 64 || !first.is_ascii_alphanumeric() || !text.bytes().all(allowed) {
            return Err(SHAPE);
        }
        check_ending(&text.to_ascii_lowercase())?;
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key that must be unique.
    pub fn key(&self) -> String {
        key(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the lookup key of a name, independent of case.
pub fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Refuses endings that have a special meaning for git or file systems.
pub(super) fn check_ending(name: &str) -> Result<(), Invalid> {
    if name.ends_with('.') || name.ends_with(".git") || name.ends_with(".lock") || name.contains("..") {
        return Err(Invalid("must not contain '..' or end in '.', '.git' or '.lock'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted_and_compared_without_case() {
        for name in ["a", "Hello-World_2.0", "0", "docs", "api", "create", "info", &"x".repeat(64)] {
            assert!(Name::parse(name).is_ok(), "{name}");
        }
        assert_eq!(Name::parse("Web").unwrap().key(), Name::parse("wEB").unwrap().key());
    }

    #[test]
    fn names_that_could_be_paths_routes_or_options_are_refused() {
        let long = "x".repeat(65);
        for name in [
            "",
            "..",
            ".git",
            "a/b",
            "-x",
            "-",
            "x.git",
            "x.GIT",
            "x.lock",
            "x.",
            "a..b",
            "a b",
            "é",
            "a\u{200b}",
            "a\0",
            &long,
        ] {
            assert!(Name::parse(name).is_err(), "{name:?}");
        }
    }
}
