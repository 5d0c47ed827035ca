//! Splits `{ref}/{path}`, where both may contain slashes, as page addresses have them.
//!
//! git refuses a branch `a/b` beside a branch `a`, and the same for tags. So at most one prefix of
//! the text is a branch, and at most one is a tag.

use super::refs::{HEAD, RefKind};
use super::{BrowseError, Browser, ResolvedRef};

/// Maximum number of segments of a ref that are tried, each as a branch and as a tag.
const REF_SEGMENTS_MAX: usize = 32;

/// A ref and a path that were sent as a single text.
#[derive(Debug, Clone, PartialEq)]
pub struct RefPath {
    pub commit: ResolvedRef,
    /// The rest of the text, as sent; empty for the root. Not looked up.
    pub path: String,
}

impl Browser {
    /// Resolves the beginning of `text`: a branch, else a tag, else `HEAD` or the id of a commit,
    /// which may be shortened. A text that begins with `refs/` begins with a full ref name. A slash
    /// at the end is ignored. If a prefix is a branch and another one a tag, the branch is taken;
    /// the tag has the text `refs/tags/...`.
    pub fn resolve_ref_path(&self, text: &str) -> Result<RefPath, BrowseError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.starts_with('-') {
            return Err(BrowseError::NotFound("ref"));
        }
        let kinds: &[(RefKind, &str)] = if text.starts_with("refs/") {
            &[(RefKind::Ref, "")]
        } else {
            &[(RefKind::Branch, "refs/heads/"), (RefKind::Tag, "refs/tags/")]
        };
        let splits = splits(text);
        for (kind, prefix) in kinds {
            for (name, path) in splits.iter().rev() {
                let found = self.named(*kind, (*name).to_owned(), format!("{prefix}{name}"))?;
                if let Some(commit) = found {
                    return Ok(RefPath { commit, path: (*path).to_owned() });
                }
            }
        }
        let (first, path) = splits.first().copied().unwrap_or_default();
        let is_default = text.is_empty() || first == HEAD;
        let commit = if is_default { self.resolve("")? } else { self.resolve_id(first)? };
        Ok(RefPath { commit, path: path.to_owned() })
    }
}

/// Returns the first splits of a text at its slashes, shortest prefix first.
fn splits(text: &str) -> Vec<(&str, &str)> {
    let at_slash = |(at, _): (usize, &str)| Some((text.get(..at)?, text.get(at.saturating_add(1)..)?));
    text.match_indices('/').filter_map(at_slash).chain([(text, "")]).take(REF_SEGMENTS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{SampleRepository, files};
    use super::*;

    fn resolved(sample: &SampleRepository, text: &str) -> Result<(String, String), BrowseError> {
        let found = sample.browser().resolve_ref_path(text)?;
        Ok((found.commit.canonical, found.path))
    }

    #[test]
    fn ref_with_slashes_is_split_from_its_path() {
        let sample = SampleRepository::new();
        let oid = sample.commit(&[], &files(&[("a", "1\n")]));
        for name in
            ["heads/main", "heads/feature/x/y", "tags/v1/rc", "tags/feature/x", "tags/main", "notes/n"]
        {
            sample.set(&format!("refs/{name}"), oid);
        }
        let (id, short) = (oid.to_string(), oid.to_string()[..7].to_owned());
        for (text, canonical, path) in [
            ("main", "refs/heads/main", ""),
            ("main/", "refs/heads/main", ""),
            ("main/src/a b.rs", "refs/heads/main", "src/a b.rs"),
            ("main/src/", "refs/heads/main", "src"),
            ("feature/x/y", "refs/heads/feature/x/y", ""),
            ("feature/x/y/feature/x", "refs/heads/feature/x/y", "feature/x"),
            // The branch does not match here.
            ("feature/x/z", "refs/tags/feature/x", "z"),
            ("v1/rc/x", "refs/tags/v1/rc", "x"),
            ("refs/tags/feature/x/y/z", "refs/tags/feature/x", "y/z"),
            ("refs/tags/main/src", "refs/tags/main", "src"),
            ("refs/notes/n", "refs/notes/n", ""),
            ("", "refs/heads/main", ""),
            ("HEAD/src", "refs/heads/main", "src"),
            ("main/%E9", "refs/heads/main", "%E9"),
        ] {
            let wanted = (canonical.to_owned(), path.to_owned());
            assert_eq!(resolved(&sample, text), Ok(wanted), "{text}");
        }
        assert_eq!(resolved(&sample, &format!("{id}/a/b")), Ok((id.clone(), "a/b".to_owned())));
        assert_eq!(resolved(&sample, &format!("{short}/a")), Ok((id, "a".to_owned())));
    }

    #[test]
    fn ref_path_without_a_ref_is_not_found() {
        let sample = SampleRepository::new();
        let oid = sample.commit(&[], &files(&[("a", "1\n")]));
        sample.set("refs/heads/main", oid);
        sample.set("refs/netbit/private", oid);
        let deep = "x/".repeat(10_000);
        for text in [
            "none",
            "feature/x",
            "-main",
            "refs",
            "refs/netbit/private/a",
            "refs/main/a",
            "/main",
            "main~1/a",
            &deep,
        ] {
            let found = resolved(&sample, text);
            assert!(matches!(found, Err(BrowseError::NotFound(_))), "{text}: {found:?}");
        }
    }

    #[test]
    fn ref_path_tries_a_bounded_number_of_segments() {
        let sample = SampleRepository::new();
        let oid = sample.commit(&[], &files(&[("a", "1\n")]));
        let name = |segments: usize| vec!["x"; segments].join("/");
        sample.set(&format!("refs/heads/{}", name(REF_SEGMENTS_MAX)), oid);
        assert!(resolved(&sample, &format!("{}/a", name(REF_SEGMENTS_MAX))).is_ok());
        sample.set(&format!("refs/tags/{}", name(REF_SEGMENTS_MAX + 1)), oid);
        assert!(resolved(&sample, &format!("y/{}", name(REF_SEGMENTS_MAX))).is_err());
    }
}
