//! What a commit changed, file by file, with patches as far as the limits reach.

use std::time::Instant;

use git2::{DiffLine, DiffOptions, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use super::blob::is_binary;
use super::budget::json_bytes;
use super::changes::{Change, ChangeStatus, Changes};
use super::history::deadline;
use super::object::{CommitView, Oid};
use super::path::{MODE_COMMIT, Place};
use super::{BrowseError, Browser, path_text};

/// One changed file.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FileDiff {
    /// The new path; for a deleted file the old one.
    pub path: String,
    /// Where a renamed or copied file was before.
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
    /// Whether the contents were not compared, or the patch was left out, for their size. Then the numbers of lines
    /// may be 0 although there are some.
    pub too_large: bool,
    /// The hunks of a unified diff (from `@@` on, without the file header), empty when only the mode or the name
    /// changed; none for binary files and what is too large. A submodule is a line `Subproject commit …`.
    pub patch: Option<String>,
}

/// The changed files between two trees.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Diff {
    pub files: Vec<FileDiff>,
    /// Sums over the listed files.
    pub additions: usize,
    pub deletions: usize,
    /// Whether files that were moved and changed may be listed as deleted and added: more than 200 files differ, or theirs
    /// are too large to be compared with each other. Files that moved as they were are `renamed` always.
    pub renames_by_content_skipped: bool,
    /// Whether files are not listed, or patches left out because all of them together would be too large.
    pub truncated: bool,
}

/// A commit and its changes against its first parent; against nothing for a first commit.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CommitDiff {
    #[serde(flatten)]
    pub commit: CommitView,
    #[serde(flatten)]
    pub diff: Diff,
}

impl Browser {
    /// A commit with what it changed.
    pub fn commit(&self, oid: Oid) -> Result<CommitDiff, BrowseError> {
        let commit = self.find_commit(oid.raw())?;
        let parent = commit.parents.first();
        let old = parent.map(|parent| self.find_commit(*parent)).transpose()?.map(|parent| parent.tree);
        Ok(CommitDiff { diff: self.diff(old, commit.tree)?, commit: CommitView::of(&commit) })
    }

    /// The difference between two trees; `None` is the empty one.
    pub(super) fn diff(&self, old: Option<git2::Oid>, new: git2::Oid) -> Result<Diff, BrowseError> {
        let Changes { files: changes, truncated, renames_by_content_skipped } =
            self.changes(old, Some(new))?;
        let mut writer = PatchWriter {
            browser: self,
            read_left: self.limits.diff_read_bytes,
            bytes_left: self.limits.diff_bytes,
            lines_left: self.limits.diff_lines,
            until: deadline(self.limits.time()),
        };
        let mut diff = Diff { truncated, renames_by_content_skipped, ..Diff::default() };
        for change in &changes {
            let mut file = FileDiff::of(change);
            diff.truncated |= writer.compare(change, &mut file) == Outcome::OverBudget;
            diff.additions = diff.additions.saturating_add(file.additions);
            diff.deletions = diff.deletions.saturating_add(file.deletions);
            diff.files.push(file);
        }
        Ok(diff)
    }
}

impl FileDiff {
    /// Without the contents.
    fn of(change: &Change) -> Self {
        let text = path_text::escaped;
        Self {
            path: text(&change.path),
            old_path: change.old_path.as_deref().map(text),
            status: change.status,
            old_oid: change.old.map(|place| place.oid.into()),
            new_oid: change.new.map(|place| place.oid.into()),
            old_mode: change.old.map(Place::octal),
            new_mode: change.new.map(Place::octal),
            additions: 0,
            deletions: 0,
            binary: false,
            too_large: false,
            patch: None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The whole diff's limits were met, not this file's.
    OverBudget,
}

/// Compares contents until the limits of the whole diff are reached.
struct PatchWriter<'b> {
    browser: &'b Browser,
    read_left: usize,
    bytes_left: usize,
    lines_left: usize,
    until: Instant,
}

impl PatchWriter<'_> {
    fn compare(&mut self, change: &Change, file: &mut FileDiff) -> Outcome {
        let places = [change.old, change.new];
        if change.old.map(|place| place.oid) == change.new.map(|place| place.oid) {
            file.patch = Some(String::new());
            return Outcome::Done;
        }
        let sizes = places.map(|place| match place {
            None => Some(0),
            Some(place) => match submodule(place) {
                Some(line) => Some(line.len()),
                None => self.browser.blob_size(place.oid),
            },
        });
        // A missing object cannot be shown; the rest of the commit can.
        let [Some(old_bytes), Some(new_bytes)] = sizes else {
            file.too_large = true;
            return Outcome::Done;
        };
        let limits = &self.browser.limits;
        if old_bytes.max(new_bytes) > limits.diff_blob_bytes {
            file.too_large = true;
            return Outcome::Done;
        }
        let read = old_bytes.saturating_add(new_bytes);
        if read > self.read_left || Instant::now() >= self.until {
            file.too_large = true;
            return Outcome::OverBudget;
        }
        self.read_left = self.read_left.saturating_sub(read);
        let (Ok(old), Ok(new)) = (self.read(change.old), self.read(change.new)) else {
            file.too_large = true;
            return Outcome::Done;
        };
        file.binary = is_binary(&old) || is_binary(&new);
        if file.binary {
            return Outcome::Done;
        }
        if lines(&old).max(lines(&new)) > limits.diff_blob_lines {
            file.too_large = true;
            return Outcome::Done;
        }
        self.write(&old, &new, file).unwrap_or_else(|_| {
            file.too_large = true;
            Outcome::Done
        })
    }

    fn read(&self, place: Option<Place>) -> Result<Vec<u8>, BrowseError> {
        let bytes_max = self.browser.limits.diff_blob_bytes;
        let Some(place) = place else { return Ok(Vec::new()) };
        match submodule(place) {
            Some(line) => Ok(line.into_bytes()),
            None => self.browser.read_blob(place.oid, bytes_max),
        }
    }

    /// The patch of two texts. It is left out if it does not fit into what is left; a smaller one may still.
    fn write(&mut self, old: &[u8], new: &[u8], file: &mut FileDiff) -> Result<Outcome, git2::Error> {
        let mut options = DiffOptions::new();
        // What is binary was decided above, for all of a file's contents alike.
        options.force_text(true);
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
            // What it takes in the answer, where a control character has six bytes.
            cost = cost.saturating_add(json_bytes(line.content()).saturating_add(1));
            fits = cost <= self.bytes_left && lines <= self.lines_left;
            fits
        });
        if !fits {
            file.too_large = true;
            return Ok(Outcome::OverBudget);
        }
        printed?;
        self.bytes_left = self.bytes_left.saturating_sub(cost);
        self.lines_left = self.lines_left.saturating_sub(lines);
        file.patch = Some(String::from_utf8_lossy(&text).into_owned());
        Ok(Outcome::Done)
    }
}

/// What git shows of a submodule: its commit is in another repository.
fn submodule(place: Place) -> Option<String> {
    (place.mode == MODE_COMMIT).then(|| format!("Subproject commit {}\n", place.oid))
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}
