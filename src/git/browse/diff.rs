//! Computes the changes of a commit, file by file, with patches up to the limits.

use std::time::Instant;

use git2::{DiffLine, DiffOptions, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use super::blob::is_binary;
use super::budget::json_bytes;
use super::changes::{Change, ChangeStatus, Changes};
use super::diff_part::DiffPart;
use super::history::deadline;
use super::object::{CommitView, Oid};
use super::path::{MODE_COMMIT, PathEntry};
use super::{BrowseError, Browser, path_text};

/// A changed file.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FileDiff {
    /// The new path; for a deleted file the old one.
    pub path: String,
    /// The previous path of a renamed or copied file.
    pub old_path: Option<String>,
    pub status: ChangeStatus,
    pub old_oid: Option<Oid>,
    pub new_oid: Option<Oid>,
    /// Six octal digits, such as `100644`.
    pub old_mode: Option<String>,
    pub new_mode: Option<String>,
    pub additions: usize,
    pub deletions: usize,
    pub binary: bool,
    /// Whether the contents were not compared, or the patch was omitted, because of their size.
    /// `additions` and `deletions` may then be 0 although lines differ.
    pub too_large: bool,
    /// The hunks of a unified diff (from `@@` on, without the file header). Empty if only the mode
    /// or the name changed; absent for binary files and if `too_large`. A submodule is a line
    /// `Subproject commit …`.
    pub patch: Option<String>,
}

/// The changed files between two trees.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Diff {
    pub files: Vec<FileDiff>,
    /// Added lines of all listed files.
    pub additions: usize,
    pub deletions: usize,
    /// Whether files that were moved and changed may be listed as deleted and added: more than 200
    /// files differ, or the files are too large to be compared with each other. Files that moved
    /// unchanged are always `renamed`.
    pub renames_by_content_skipped: bool,
    /// Whether files are not listed, or patches are omitted because the total would be too large.
    pub truncated: bool,
}

/// A commit and its changes compared with its first parent; a root commit is compared with the
/// empty tree.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CommitDiff {
    #[serde(flatten)]
    pub commit: CommitView,
    #[serde(flatten)]
    pub diff: Diff,
}

impl Browser {
    /// Returns a commit with its changes.
    pub fn commit(&self, oid: Oid) -> Result<CommitDiff, BrowseError> {
        self.commit_part(oid, &DiffPart::default())
    }

    /// Returns a commit with a part of its changes.
    pub fn commit_part(&self, oid: Oid, part: &DiffPart) -> Result<CommitDiff, BrowseError> {
        let commit = self.find_commit(oid.raw())?;
        let parent = commit.parents.first();
        let old = parent.map(|parent| self.find_commit(*parent)).transpose()?.map(|parent| parent.tree);
        Ok(CommitDiff { diff: self.diff(old, commit.tree, part)?, commit: CommitView::of(&commit) })
    }

    /// Returns the difference between two trees; `None` is the empty tree.
    pub(super) fn diff(
        &self,
        old: Option<git2::Oid>,
        new: git2::Oid,
        part: &DiffPart,
    ) -> Result<Diff, BrowseError> {
        let limits = &self.limits;
        let (changes, lines_left, bytes_left) = match &part.file {
            Some(file) => (self.change_of(old, new, file)?, limits.file_diff_lines, limits.file_diff_bytes),
            None => (self.changes(old, Some(new))?, limits.diff_lines, limits.diff_bytes),
        };
        let Changes { files: changes, truncated, renames_by_content_skipped } = changes;
        let mut writer = PatchWriter {
            browser: self,
            part,
            read_left: limits.diff_read_bytes,
            bytes_left,
            lines_left,
            until: deadline(limits.time()),
        };
        let mut diff = Diff { truncated, renames_by_content_skipped, ..Diff::default() };
        for change in &changes {
            let mut file = FileDiff::of(change);
            diff.truncated |= writer.compare(change, &mut file) == PatchOutcome::OverBudget;
            diff.additions = diff.additions.saturating_add(file.additions);
            diff.deletions = diff.deletions.saturating_add(file.deletions);
            diff.files.push(file);
        }
        Ok(diff)
    }
}

impl FileDiff {
    /// Creates the entry of a change without comparing the contents.
    fn of(change: &Change) -> Self {
        let text = path_text::escaped;
        Self {
            path: text(&change.path),
            old_path: change.old_path.as_deref().map(text),
            status: change.status,
            old_oid: change.old.map(|place| place.oid.into()),
            new_oid: change.new.map(|place| place.oid.into()),
            old_mode: change.old.map(PathEntry::octal),
            new_mode: change.new.map(PathEntry::octal),
            additions: 0,
            deletions: 0,
            binary: false,
            too_large: false,
            patch: None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum PatchOutcome {
    Done,
    /// A limit of the whole diff was reached, not one of this file.
    OverBudget,
}

/// Compares file contents until the limits of the whole diff are reached.
struct PatchWriter<'b> {
    browser: &'b Browser,
    part: &'b DiffPart,
    read_left: usize,
    bytes_left: usize,
    lines_left: usize,
    until: Instant,
}

impl PatchWriter<'_> {
    fn compare(&mut self, change: &Change, file: &mut FileDiff) -> PatchOutcome {
        let places = [change.old, change.new];
        if change.old.map(|place| place.oid) == change.new.map(|place| place.oid) {
            file.patch = Some(String::new());
            return PatchOutcome::Done;
        }
        let sizes = places.map(|place| match place {
            None => Some(0),
            Some(place) => match submodule(place) {
                Some(line) => Some(line.len()),
                None => self.browser.blob_size(place.oid),
            },
        });
        // A missing object does not prevent the rest of the commit from being returned.
        let [Some(old_bytes), Some(new_bytes)] = sizes else {
            file.too_large = true;
            return PatchOutcome::Done;
        };
        let limits = &self.browser.limits;
        if old_bytes.max(new_bytes) > limits.diff_blob_bytes {
            file.too_large = true;
            return PatchOutcome::Done;
        }
        let read = old_bytes.saturating_add(new_bytes);
        if read > self.read_left || Instant::now() >= self.until {
            file.too_large = true;
            return PatchOutcome::OverBudget;
        }
        self.read_left = self.read_left.saturating_sub(read);
        let (Ok(old), Ok(new)) = (self.read(change.old), self.read(change.new)) else {
            file.too_large = true;
            return PatchOutcome::Done;
        };
        file.binary = is_binary(&old) || is_binary(&new);
        if file.binary {
            return PatchOutcome::Done;
        }
        if lines(&old).max(lines(&new)) > limits.diff_blob_lines {
            file.too_large = true;
            return PatchOutcome::Done;
        }
        self.write(&old, &new, file).unwrap_or_else(|_| {
            file.too_large = true;
            PatchOutcome::Done
        })
    }

    fn read(&self, place: Option<PathEntry>) -> Result<Vec<u8>, BrowseError> {
        let bytes_max = self.browser.limits.diff_blob_bytes;
        let Some(place) = place else { return Ok(Vec::new()) };
        match submodule(place) {
            Some(line) => Ok(line.into_bytes()),
            None => self.browser.read_blob(place.oid, bytes_max),
        }
    }

    /// Writes the patch of two texts. Omits it if it exceeds the remaining budget; a smaller patch
    /// may still fit later.
    fn write(&mut self, old: &[u8], new: &[u8], file: &mut FileDiff) -> Result<PatchOutcome, git2::Error> {
        let mut options = DiffOptions::new();
        // `compare` has excluded binary files, with the same rule for both versions.
        options.force_text(true).context_lines(self.part.context_lines);
        options.ignore_whitespace(self.part.ignore_whitespace);
        let mut patch = Patch::from_buffers(old, None, new, None, Some(&mut options))?;
        (_, file.additions, file.deletions) = patch.line_stats()?;
        let (mut text, mut lines, mut cost) = (Vec::new(), 0_usize, 0_usize);
        let mut fits = true;
        let printed = patch.print(&mut |_, _, line: DiffLine<'_>| {
            match line.origin() {
                'F' | 'B' => return true,
                origin @ (' ' | '+' | '-') => text.push(u8::try_from(origin).unwrap_or(b' ')),
                _ => {}
            }
            text.extend_from_slice(line.content());
            lines = lines.saturating_add(1);
            // The size in the response: a control character takes six bytes.
            cost = cost.saturating_add(json_bytes(line.content()).saturating_add(1));
            fits = cost <= self.bytes_left && lines <= self.lines_left;
            fits
        });
        if !fits {
            file.too_large = true;
            return Ok(PatchOutcome::OverBudget);
        }
        printed?;
        self.bytes_left = self.bytes_left.saturating_sub(cost);
        self.lines_left = self.lines_left.saturating_sub(lines);
        file.patch = Some(String::from_utf8_lossy(&text).into_owned());
        Ok(PatchOutcome::Done)
    }
}

/// Returns the line that git shows for a submodule, whose commit is in another repository.
fn submodule(place: PathEntry) -> Option<String> {
    (place.mode == MODE_COMMIT).then(|| format!("Subproject commit {}\n", place.oid))
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}
