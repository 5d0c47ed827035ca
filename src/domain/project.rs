//! Projects: repositories, members and a channel under one name in a user's namespace.

use serde::{Deserialize, Serialize};

use super::ids::{ChatId, ProjectId, UserId};
use super::refusal::Refusal;
use super::text::{Invalid, is_invisible, misleads};
use super::text_enum::text_enum;
use super::timestamp::Timestamp;

text_enum! {
    /// Roles in ascending order: each role includes the permissions of the lower ones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ProjectRole {
        Reader = "reader",
        /// May push.
        Writer = "writer",
        /// May create and change repositories, and push to protected branches.
        Maintainer = "maintainer",
        /// May change members and visibility, and delete.
        Owner = "owner",
    }
}

text_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Visibility {
        /// All may read, even without an account.
        Public = "public",
        /// Members only; its existence is hidden from others.
        Private = "private",
    }
}

/// A project that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Project {
    pub id: ProjectId,
    /// The user in whose namespace the project is. They remain its owner.
    pub owner_id: UserId,
    pub name: String,
    pub description: String,
    pub visibility: Visibility,
    pub channel_id: ChatId,
    pub created_at: Timestamp,
    pub config: ProjectConfig,
    /// The version of the avatar, if the project has one.
    #[serde(default)]
    pub avatar: Option<String>,
}

/// Maximum length of a description, in characters.
const DESCRIPTION_MAX: usize = 500;
/// Maximum number of branch rules of a project.
const PROTECTED_BRANCHES_MAX: usize = 50;

/// Settings of a project, stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectConfig {
    /// The first branch of repositories that are created without naming a branch.
    pub default_branch: String,
    /// The first rule whose pattern matches a branch applies to it.
    pub protected_branches: Vec<BranchRule>,
}

impl Default for ProjectConfig {
    fn default() -> Self {
        Self { default_branch: "main".to_owned(), protected_branches: Vec::new() }
    }
}

/// The permissions on branches whose names match a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchRule {
    /// A branch name in which `*` matches any characters, including `/`.
    pub pattern: String,
    /// The lowest role that may push to such branches.
    #[serde(default = "BranchRule::default_role")]
    pub push: ProjectRole,
    /// Whether pushes may rewrite history.
    #[serde(default)]
    pub force: bool,
    #[serde(default)]
    pub delete: bool,
}

impl BranchRule {
    fn default_role() -> ProjectRole {
        ProjectRole::Maintainer
    }
}

impl ProjectConfig {
    /// Validates the config.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if the default branch or a rule of `protected_branches` is invalid, or
    /// if there are more than [`PROTECTED_BRANCHES_MAX`] rules.
    pub fn check(self) -> Result<Self, Refusal> {
        check_branch_name(&self.default_branch)
            .map_err(|reason| Refusal::Invalid { field: "default_branch", reason: reason.into() })?;
        let bad_rules = |reason| Refusal::invalid("protected_branches", reason);
        if self.protected_branches.len() > PROTECTED_BRANCHES_MAX {
            return Err(bad_rules("must be at most 50 rules"));
        }
        for rule in &self.protected_branches {
            check_branch_name(&rule.pattern.replace('*', "x"))
                .map_err(|_| bad_rules("have a pattern that matches no valid branch name"))?;
            if rule.push == ProjectRole::Reader {
                return Err(bad_rules("cannot let readers push"));
            }
        }
        Ok(self)
    }

    /// Returns the rule that protects `branch`.
    pub fn rule_for(&self, branch: &str) -> Option<&BranchRule> {
        self.protected_branches.iter().find(|rule| fits(&rule.pattern, branch))
    }
}

/// Returns whether `text` matches `pattern`, in which `*` matches any characters. Linear in both
/// for each star.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = pattern.contains('*').then(|| pattern.rsplit('*').next()).flatten() else {
        return rest.is_empty();
    };
    let Some(before_last) = rest.len().checked_sub(last.len()).filter(|_| rest.ends_with(last)) else {
        return false;
    };
    rest = rest.get(..before_last).unwrap_or_default();
    let between: Vec<_> = parts.collect();
    let middle = between.split_last().map(|(_, middle)| middle).unwrap_or_default();
    for part in middle {
        match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

/// Parses a description: at most 500 characters; newlines are the only control characters allowed.
pub fn parse_description(text: &str) -> Result<String, Invalid> {
    let fine = |c: char| !c.is_control() || c == '\n';
    if text.chars().count() > DESCRIPTION_MAX || !text.chars().all(fine) {
        return Err(Invalid("must be at most 500 characters without control characters"));
    }
    Ok(text.trim().to_owned())
}

/// Maximum number of parts of a branch name between slashes: each is a directory on disk until refs
/// are packed.
const NAME_PARTS_MAX: usize = 16;

/// Maximum bytes of the name of a branch, tag or note. With the prefix `refs/heads/` it stays below
/// 1,024 bytes, which tools and file systems accept in addition to the rest of a path.
const BRANCH_BYTES_MAX: usize = 1_000;
/// Maximum bytes of a part between slashes. A part is the name of a file or directory, which has at
/// most 255 bytes, and git appends `.lock` to it.
const BRANCH_PART_BYTES_MAX: usize = 250;

/// The reason why a branch name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidBranchName {
    /// git does not accept it, it begins with `refs/`, or it has invisible characters.
    Form,
    TooLong,
    PartTooLong,
    TooManyParts,
    /// It has the form of an object id.
    ObjectId,
}

impl From<InvalidBranchName> for Invalid {
    fn from(reason: InvalidBranchName) -> Self {
        Self(match reason {
            InvalidBranchName::Form => "is not a branch name that git accepts",
            InvalidBranchName::TooLong => "has more than 1000 bytes",
            InvalidBranchName::PartTooLong => "has a part of more than 250 bytes between slashes",
            InvalidBranchName::TooManyParts => "has more than 16 parts between slashes",
            InvalidBranchName::ObjectId => "reads like an object id",
        })
    }
}

/// Checks a branch name: valid for git (git-check-ref-format), 1 to 1,000 bytes, and not in the
/// form of an object id, an option or `HEAD`. A name that begins with `refs/` would be ambiguous
/// with another full name. Invisible characters would make two different names appear equal.
pub fn check_branch_name(name: &str) -> Result<(), InvalidBranchName> {
    let forbidden = |c: char| {
        misleads(c)
            || is_invisible(c)
            || c.is_whitespace()
            || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    let part_is_bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if name.is_empty()
        || name.starts_with('-')
        || name.ends_with('.')
        || name == "@"
        || name == "HEAD"
        || name.starts_with("refs/")
        || name.contains("..")
        || name.contains("@{")
        || name.chars().any(forbidden)
        || name.split('/').any(part_is_bad)
    {
        return Err(InvalidBranchName::Form);
    }
    if name.len() > BRANCH_BYTES_MAX {
        return Err(InvalidBranchName::TooLong);
    }
    if name.split('/').any(|part| part.len() > BRANCH_PART_BYTES_MAX) {
        return Err(InvalidBranchName::PartTooLong);
    }
    if name.split('/').count() > NAME_PARTS_MAX {
        return Err(InvalidBranchName::TooManyParts);
    }
    if matches!(name.len(), 40 | 64) && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(InvalidBranchName::ObjectId);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_whole_names() {
        for (pattern, name, expected) in [
            ("main", "main", true),
            ("main", "mainline", false),
            ("main", "xmain", false),
            ("release/*", "release/1.0", true),
            ("release/*", "release/", true),
            ("release/*", "prerelease/1", false),
            ("*", "anything/at/all", true),
            ("*-stable", "v1-stable", true),
            ("*-stable", "v1-stable2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "ac", false),
            ("ab*ba", "aba", false),
            ("a**a", "aa", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn first_matching_branch_rule_applies() {
        let text =
            r#"{"protected_branches":[{"pattern":"main","push":"owner"},{"pattern":"m*","force":true}]}"#;
        let config: ProjectConfig = serde_json::from_str(text).unwrap();
        let config = config.check().unwrap();
        assert_eq!(config.rule_for("main").map(|rule| rule.push), Some(ProjectRole::Owner));
        assert_eq!(config.rule_for("mine").map(|rule| rule.push), Some(ProjectRole::Maintainer));
        assert_eq!(config.rule_for("topic"), None);
        assert_eq!(config.default_branch, "main");
    }

    #[test]
    fn invalid_project_config_is_refused() {
        for text in [
            r#"{"default_branch":"-x"}"#,
            r#"{"default_branch":"HEAD"}"#,
            r#"{"protected_branches":[{"pattern":"a..b"}]}"#,
            r#"{"protected_branches":[{"pattern":"main","push":"reader"}]}"#,
        ] {
            assert!(serde_json::from_str::<ProjectConfig>(text).unwrap().check().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<ProjectConfig>(r#"{"nothing":1}"#).is_err());
    }

    #[test]
    fn branch_names_follow_git_without_misleading_names() {
        for good in ["main", "feature/x", "v1.0", "ünïcode", "a-b"] {
            assert!(check_branch_name(good).is_ok(), "{good}");
        }
        let hex = "a".repeat(40);
        for bad in [
            "",
            "-x",
            "HEAD",
            "@",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "a@{1}",
            "a\u{7f}",
            &hex,
            "refs/heads/main",
            "refs/x",
        ] {
            assert!(check_branch_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn branch_name_with_an_invisible_character_is_refused() {
        for unseen in [
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{200d}',
            '\u{feff}',
            '\u{ad}',
            '\u{61c}',
            '\u{85}',
            '\u{2028}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{2800}',
            '\u{fffd}',
            '\u{180e}',
            '\u{a0}',
        ] {
            for name in [format!("a{unseen}b"), format!("{unseen}main"), format!("main{unseen}")] {
                assert!(check_branch_name(&name).is_err(), "{name:?}");
            }
        }
    }
}
