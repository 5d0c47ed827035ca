//! Parts of a diff: a single file, more context, no changes of white space.

use super::changes::{Change, Changes};
use super::path::TreePath;
use super::{BrowseError, Browser};

/// Maximum number of unchanged lines around a change.
pub const CONTEXT_LINES_MAX: u32 = 1_000;
/// The number of unchanged lines around a change, unless a request asks for another; as in git.
const CONTEXT_LINES: u32 = 3;

/// The requested part of the changes, and how their patches are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffPart {
    /// The path of the only file, or its old path if it was renamed; `None`: all files.
    pub file: Option<String>,
    /// Unchanged lines around each change, at most [`CONTEXT_LINES_MAX`].
    pub context_lines: u32,
    /// Whether lines that differ only in white space count as unchanged.
    pub ignore_whitespace: bool,
}

impl Default for DiffPart {
    fn default() -> Self {
        Self { file: None, context_lines: CONTEXT_LINES, ignore_whitespace: false }
    }
}

impl Browser {
    /// Returns the change of a single file.
    ///
    /// # Errors
    /// [`BrowseError::NotFound`] if the file is not in the changes.
    pub(super) fn change_of(
        &self,
        old_tree: Option<git2::Oid>,
        new_tree: git2::Oid,
        file: &str,
    ) -> Result<Changes, BrowseError> {
        let path = TreePath::parse(file)?;
        let file_in = |tree| -> Result<_, BrowseError> {
            Ok(self.place(tree, &path)?.filter(|place| !place.is_tree()))
        };
        let (old, new) = (old_tree.map(file_in).transpose()?.flatten(), file_in(new_tree)?);
        if old == new {
            return Err(BrowseError::NotFound("file in the changes"));
        }
        let path = path.bytes();
        let alone = || Change::at(path.clone(), old, new);
        // A file that exists on both sides is not a rename. A root commit has none.
        if old_tree.is_none() || old.is_some() && new.is_some() {
            return Ok(Changes { files: vec![alone()], ..Changes::default() });
        }
        let mut all = self.all_changes(old_tree, Some(new_tree))?;
        let is_new = |change: &Change| change.path == path;
        let is_old = |change: &Change| change.old_path.as_ref() == Some(&path);
        let at = all.files.iter().position(is_new).or_else(|| all.files.iter().position(is_old));
        // A change that is too large is cut before the file; whether the file was renamed is
        // unknown.
        let renames_by_content_skipped = all.renames_by_content_skipped || at.is_none();
        let change = at.map_or_else(alone, |at| all.files.swap_remove(at));
        Ok(Changes { files: vec![change], truncated: false, renames_by_content_skipped })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{SampleRepository, files};
    use super::super::{ChangeStatus, CommitDiff, Oid};
    use super::*;

    fn only(file: &str) -> DiffPart {
        DiffPart { file: Some(file.to_owned()), ..DiffPart::default() }
    }

    /// Returns a repository with a commit that changes, adds, deletes and renames files.
    fn changed() -> (SampleRepository, Oid) {
        let sample = SampleRepository::new();
        let text: String = (0..40).map(|number| format!("line {number}\n")).collect();
        let old = [("kept", "k\n"), ("d/changed", "1\n"), ("gone", "g\n"), ("before", &text), ("s", "s\n")];
        let root = sample.commit(&[], &files(&old));
        let moved = text.replace("line 7\n", "line seven\n");
        let new = [("kept", "k\n"), ("d/changed", "2\n"), ("new", "n\n"), ("after", &moved), ("s/x", "s\n")];
        let head = sample.commit(&[root], &files(&new));
        (sample, head)
    }

    #[test]
    fn diff_of_one_file_equals_its_part_of_the_whole() {
        let (sample, head) = changed();
        let whole = sample.browser().commit(head).unwrap();
        assert!(whole.diff.files.len() > 4);
        for file in whole.diff.files {
            let CommitDiff { diff, commit } = sample.browser().commit_part(head, &only(&file.path)).unwrap();
            assert_eq!((diff.additions, diff.deletions), (file.additions, file.deletions));
            assert_eq!((diff.files, diff.truncated, commit.oid), (vec![file], false, head));
        }
        let renamed = sample.browser().commit_part(head, &only("before")).unwrap().diff.files.remove(0);
        assert_eq!((renamed.path.as_str(), renamed.status), ("after", ChangeStatus::Renamed));
    }

    #[test]
    fn diff_of_file_outside_of_the_changes_is_refused() {
        let (sample, head) = changed();
        let browser = sample.browser();
        for path in ["kept", "none", "d", "d/changed/x", ""] {
            let found = browser.commit_part(head, &only(path));
            assert_eq!(found, Err(BrowseError::NotFound("file in the changes")), "{path}");
        }
        assert!(matches!(browser.commit_part(head, &only("../x")), Err(BrowseError::BadRequest(_))));
    }

    #[test]
    fn diff_of_one_file_has_limits_of_its_own() {
        let sample = SampleRepository::new();
        let head = sample.commit(&[], &files(&[("a", "1\n2\n3\n"), ("b", "1\n")]));
        let browser = sample.limited(|limits| (limits.diff_lines, limits.diff_files) = (2, 1));
        let part = browser.commit_part(head, &only("a")).unwrap().diff;
        assert!(part.files[0].patch.is_some() && !part.truncated);
        assert!(browser.commit(head).unwrap().diff.files[0].too_large);
        assert_eq!(browser.commit_part(head, &only("b")).unwrap().diff.files.len(), 1);
        let browser = sample.limited(|limits| limits.file_diff_lines = 3);
        assert!(browser.commit_part(head, &only("a")).unwrap().diff.files[0].too_large);
    }

    #[test]
    fn diff_has_the_requested_context_and_ignores_white_space() {
        let sample = SampleRepository::new();
        let lines = |changed: &str| ["a", "b", "c", changed, "e", "f", "g", ""].join("\n");
        let root = sample.commit(&[], &files(&[("x", &lines("d d"))]));
        let head = sample.commit(&[root], &files(&[("x", &lines("D"))]));
        let patch = |part: &DiffPart, head| {
            sample.browser().commit_part(head, part).unwrap().diff.files[0].patch.clone().unwrap()
        };
        let context = |context_lines| DiffPart { context_lines, ..DiffPart::default() };
        assert_eq!(patch(&context(0), head), "@@ -4 +4 @@ c\n-d d\n+D\n");
        assert_eq!(patch(&context(1), head), "@@ -3,3 +3,3 @@ b\n c\n-d d\n+D\n e\n");
        assert_eq!(patch(&context(CONTEXT_LINES_MAX), head).lines().count(), 9);
        let spaced = sample.commit(&[root], &files(&[("x", &lines("  d   d "))]));
        let ignoring = DiffPart { ignore_whitespace: true, ..DiffPart::default() };
        assert_eq!(patch(&ignoring, spaced), "");
        assert_eq!(patch(&ignoring, head), patch(&DiffPart::default(), head));
    }
}
