//! The changed files of a commit or a comparison, as a page shows them.
//!
//! Only the first files are open, and only up to [`ROWS_MAX`] rows. The others are on pages of
//! their own (`?file=`), and not in the HTML.

use crate::git::browse::{ChangeStatus, Diff, DiffPart, FileDiff, Oid};
use crate::http::address::path_encoded;
use crate::web::paint::SafeHtml;
use crate::web::paint::diff::{DiffBudget, DiffKind, DiffRow, diff_rows_within};

use super::generated::is_generated;
use super::part;

/// Maximum rows of a page.
pub(super) const ROWS_MAX: usize = 20_000;
/// Maximum elements in the tables of a page: browsers become slow above.
const ELEMENTS_MAX: usize = 60_000;
/// Elements of a row without marked words: the row and its two cells.
const ROW_ELEMENTS: usize = 3;
/// A file with more changed and unchanged lines than this is closed, unless it is the only file.
pub(super) const OPEN_ROWS_MAX: usize = 400;
/// A file with a larger patch is closed, unless it is the only file.
const OPEN_BYTES_MAX: usize = 128 * 1024;
/// Files after these are closed.
pub(super) const OPEN_FILES_MAX: usize = 50;
/// The rest of a longer line is not shown.
const LINE_BYTES_MAX: usize = 5_000;
/// Rows of a table. Browsers skip the layout of tables outside of the window.
const PART_ROWS: usize = 200;

/// Where the files of both sides are.
#[derive(Debug)]
pub(super) struct Sides {
    /// The address of the repository.
    pub(super) base: String,
    /// The address of the page, without a query.
    pub(super) page: String,
    /// The commit of the old side; `None` for the empty tree.
    pub(super) old: Option<Oid>,
    pub(super) new: Oid,
    /// Whether both sides are beside each other, in a wide window.
    pub(super) is_split: bool,
}

/// The changes of a page.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) files: Vec<ChangedFile>,
    pub(super) additions: usize,
    pub(super) deletions: usize,
    pub(super) is_truncated: bool,
    pub(super) renames_skipped: bool,
    /// Whether the page shows a single file that was asked for.
    pub(super) is_single: bool,
    pub(super) ignores_whitespace: bool,
    /// The same changes, with or without changes of white space.
    pub(super) whitespace_href: String,
    /// The page of all files.
    pub(super) all_href: String,
    pub(super) is_split: bool,
    /// The same changes, with both sides beside each other or one after the other.
    pub(super) split_href: String,
}

/// A changed file.
#[derive(Debug)]
pub(super) struct ChangedFile {
    /// Counted from 1; the anchor is `file-N`.
    pub(super) number: usize,
    pub(super) path: SafeHtml,
    pub(super) old_path: Option<SafeHtml>,
    /// `added`, `deleted`, ….
    pub(super) status: &'static str,
    /// The letter of the status, as in git.
    pub(super) letter: &'static str,
    pub(super) additions: usize,
    pub(super) deletions: usize,
    /// Both modes, if they differ.
    pub(super) modes: Option<Modes>,
    /// The ids of both versions: the key of the mark "viewed".
    pub(super) key: String,
    /// The page of this file only.
    pub(super) only_href: String,
    /// The page of this file with more unchanged lines.
    pub(super) context_href: Option<String>,
    /// The number of unchanged lines on that page.
    pub(super) context_lines: u32,
    pub(super) blob_href: Option<String>,
    pub(super) raw_href: Option<String>,
    pub(super) has_hidden: bool,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) struct Modes {
    pub(super) old: String,
    pub(super) new: String,
}

/// The content below the head of a file.
#[derive(Debug)]
pub(super) enum Body {
    Rows {
        parts: Vec<RowsPart>,
        /// Whether rows or ends of lines are missing.
        is_cut: bool,
    },
    /// The changes are on a page of their own, for this reason.
    Closed(String),
    /// The file has no changed lines, for this reason.
    Empty(&'static str),
    /// The contents were not compared because of their size.
    TooLarge,
}

/// Some rows of a file: a table.
#[derive(Debug)]
pub(super) struct RowsPart {
    /// The rows, in runs: unchanged ones, or those of a change. Lines of a change that belong
    /// together are beside each other in the split view.
    pub(super) runs: Vec<Vec<DiffRow>>,
    /// The class with the expected height.
    pub(super) class: &'static str,
}

impl ChangedFile {
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.body, Body::Closed(_))
    }
}

impl Changes {
    /// Builds the changes. Takes up to a second for the largest: call it on a blocking thread.
    pub(super) fn new(diff: Diff, part: &DiffPart, sides: &Sides) -> Self {
        let mut painter = Painter {
            part,
            sides,
            rows_left: ROWS_MAX,
            elements_left: ELEMENTS_MAX,
            budget: DiffBudget::default(),
        };
        let (additions, deletions) = (diff.additions, diff.deletions);
        let (is_truncated, renames_skipped) = (diff.truncated, diff.renames_by_content_skipped);
        let files = diff.files.into_iter().enumerate().map(|(at, file)| painter.file(at, file)).collect();
        let switched = DiffPart { ignore_whitespace: !part.ignore_whitespace, ..part.clone() };
        let all = DiffPart { file: None, ignore_whitespace: part.ignore_whitespace, ..DiffPart::default() };
        Self {
            files,
            additions,
            deletions,
            is_truncated,
            renames_skipped,
            is_single: part.file.is_some(),
            ignores_whitespace: part.ignore_whitespace,
            whitespace_href: part::href(&sides.page, &switched, sides.is_split),
            all_href: part::href(&sides.page, &all, sides.is_split),
            is_split: sides.is_split,
            split_href: part::href(&sides.page, part, !sides.is_split),
        }
    }
}

struct Painter<'p> {
    part: &'p DiffPart,
    sides: &'p Sides,
    rows_left: usize,
    elements_left: usize,
    budget: DiffBudget,
}

impl Painter<'_> {
    fn file(&mut self, at: usize, file: FileDiff) -> ChangedFile {
        let number = at.saturating_add(1);
        let (body, has_hidden) = self.body(number, &file);
        let only =
            |context_lines| DiffPart { file: Some(file.path.clone()), context_lines, ..self.part.clone() };
        let at_page = |part: &DiffPart| part::href(&self.sides.page, part, self.sides.is_split);
        let context_lines = part::more_context(self.part.context_lines);
        let is_modified = file.old_oid.is_some() && file.new_oid.is_some();
        let more = context_lines.filter(|_| is_modified && matches!(body, Body::Rows { .. }));
        let is_submodule =
            [&file.old_mode, &file.new_mode].into_iter().flatten().any(|mode| mode == "160000");
        let commit = if file.new_oid.is_some() { Some(self.sides.new) } else { self.sides.old };
        let at_commit = |view: &str| {
            let commit = commit.filter(|_| !is_submodule)?;
            Some(format!("{}/-/{view}/{commit}/{}", self.sides.base, path_encoded(&file.path)))
        };
        let id = |oid: Option<Oid>| oid.map_or_else(String::new, |oid| oid.to_string());
        let (status, letter) = words(file.status);
        let modes = file.old_mode.clone().zip(file.new_mode.clone()).filter(|(old, new)| old != new);
        ChangedFile {
            number,
            status,
            letter,
            additions: file.additions,
            deletions: file.deletions,
            modes: modes.map(|(old, new)| Modes { old, new }),
            key: format!("{}-{}", id(file.old_oid), id(file.new_oid)),
            only_href: at_page(&only(self.part.context_lines)),
            context_href: more.map(|lines| at_page(&only(lines))),
            context_lines: more.unwrap_or_default(),
            blob_href: at_commit("blob"),
            raw_href: at_commit("raw"),
            has_hidden,
            body,
            path: SafeHtml::text(&file.path),
            old_path: file.old_path.as_deref().map(SafeHtml::text),
        }
    }

    fn body(&mut self, number: usize, file: &FileDiff) -> (Body, bool) {
        if file.binary {
            return (Body::Empty("Binary file: the versions are not shown as text."), false);
        }
        let Some(patch) = file.patch.as_deref().filter(|_| !file.too_large) else {
            return (Body::TooLarge, false);
        };
        if patch.is_empty() {
            return (Body::Empty(self.without_lines(file)), false);
        }
        if let Some(reason) = self.why_closed(number, file, patch) {
            return (Body::Closed(reason), false);
        }
        let shown = shortened(patch);
        let found = diff_rows_within(&shown.text, &mut self.budget);
        let is_cut = found.truncated || shown.is_cut;
        self.rows_left = self.rows_left.saturating_sub(found.rows.len());
        let marks = found.rows.iter().map(|row| row.html.as_str().matches("<span").count()).sum::<usize>();
        let elements = found.rows.len().saturating_mul(ROW_ELEMENTS).saturating_add(marks);
        self.elements_left = self.elements_left.saturating_sub(elements);
        (Body::Rows { parts: in_parts(found.rows), is_cut }, found.has_hidden)
    }

    fn without_lines(&self, file: &FileDiff) -> &'static str {
        if file.old_oid == file.new_oid {
            let renamed = matches!(file.status, ChangeStatus::Renamed | ChangeStatus::Copied);
            if renamed { "The content is unchanged." } else { "Only the mode changed." }
        } else if self.part.ignore_whitespace && file.old_oid.is_some() && file.new_oid.is_some() {
            "Only white space changed."
        } else {
            "The file is empty."
        }
    }

    /// Returns why a file is closed; `None` if it is open.
    fn why_closed(&self, number: usize, file: &FileDiff, patch: &str) -> Option<String> {
        if self.part.file.is_some() {
            return None;
        }
        let rows = patch.lines().count();
        if is_generated(&file.path) {
            Some("Generated file.".to_owned())
        } else if rows > OPEN_ROWS_MAX || patch.len() > OPEN_BYTES_MAX {
            Some(format!("{rows} lines."))
        } else if patch.lines().any(|line| line.len() > LINE_BYTES_MAX) {
            Some("Very long lines.".to_owned())
        } else if number > OPEN_FILES_MAX || rows > self.rows_left.min(self.elements_left / ROW_ELEMENTS) {
            Some("The page is long enough without this file.".to_owned())
        } else {
            None
        }
    }
}

/// Returns the word and the letter for a kind of change.
fn words(status: ChangeStatus) -> (&'static str, &'static str) {
    match status {
        ChangeStatus::Added => ("added", "A"),
        ChangeStatus::Deleted => ("deleted", "D"),
        ChangeStatus::Modified => ("modified", "M"),
        ChangeStatus::Renamed => ("renamed", "R"),
        ChangeStatus::Copied => ("copied", "C"),
        ChangeStatus::Typechange => ("type changed", "T"),
    }
}

struct Shortened {
    text: String,
    is_cut: bool,
}

/// Cuts the ends of very long lines.
fn shortened(patch: &str) -> Shortened {
    let (mut text, mut is_cut) = (String::with_capacity(patch.len()), false);
    for line in patch.split_inclusive('\n') {
        if line.len() <= LINE_BYTES_MAX {
            text.push_str(line);
            continue;
        }
        is_cut = true;
        text.push_str(line.get(..line.floor_char_boundary(LINE_BYTES_MAX)).unwrap_or_default());
        text.push_str(" …\n");
    }
    Shortened { text, is_cut }
}

fn in_parts(rows: Vec<DiffRow>) -> Vec<RowsPart> {
    let mut rows = rows.into_iter().peekable();
    let mut parts = Vec::new();
    while rows.peek().is_some() {
        let rows: Vec<_> = rows.by_ref().take(PART_ROWS).collect();
        let class = match rows.len() {
            PART_ROWS => "of-200",
            100.. => "of-100",
            50.. => "of-50",
            _ => "",
        };
        parts.push(RowsPart { runs: in_runs(rows), class });
    }
    parts
}

/// Returns the rows in runs. A remark, such as that of a missing end of line, stays in the run of
/// the line before it.
fn in_runs(rows: Vec<DiffRow>) -> Vec<Vec<DiffRow>> {
    let is_change = |row: &DiffRow| matches!(row.kind, DiffKind::Added | DiffKind::Removed);
    let mut runs: Vec<Vec<DiffRow>> = Vec::new();
    for row in rows {
        let joins = runs.last().is_some_and(|run| {
            let in_change = run.first().is_some_and(is_change);
            let has_added = run.iter().rev().any(|row| row.kind == DiffKind::Added);
            match row.kind {
                DiffKind::Note => true,
                DiffKind::Added => in_change,
                DiffKind::Removed => in_change && !has_added,
                DiffKind::Context | DiffKind::Hunk => !in_change,
            }
        });
        match runs.last_mut().filter(|_| joins) {
            Some(run) => run.push(row),
            None => runs.push(vec![row]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::paint::diff::diff_rows;

    #[test]
    fn runs_are_changes_and_the_lines_between_them() {
        let patch = "@@ -1,4 +1,5 @@\n a\n-b\n-c\n+B\n+C\n-d\n+D\n e\n+f\n\\ No newline at end of file\n";
        let runs = in_runs(diff_rows(patch).rows);
        let kinds: Vec<String> = runs
            .iter()
            .map(|run| {
                run.iter().map(|row| row.kind.css().trim_start_matches("diff-").get(..1).unwrap()).collect()
            })
            .collect();
        assert_eq!(kinds, ["hc", "rraa", "ra", "c", "an"]);
        assert!(in_runs(Vec::new()).is_empty());
    }
}
