//! The list of a folder. It does not wait for the history: last commits that are not known in time
//! are left out.

use std::sync::Arc;
use std::time::Duration;

use super::frame::Frame;
use super::words::{day, short};
use crate::domain::timestamp::Timestamp;
use crate::git::browse::{CommitSummary, CommitView, EntryKind, Oid, Person, Tree, TreeEntry, TreePart};
use crate::services::{RepositoryView, ServiceError, Services};

/// Maximum time that a page waits for the last commits of a folder.
const HISTORY_TIME_MAX: Duration = Duration::from_millis(150);
/// Entries of a page.
pub(super) const ENTRIES: usize = 1_000;

/// A commit in one line.
#[derive(Debug)]
pub(in crate::web) struct LastCommit {
    pub(in crate::web) summary: String,
    pub(in crate::web) author: String,
    pub(in crate::web) href: String,
    pub(in crate::web) short: String,
    pub(in crate::web) at: Timestamp,
    pub(in crate::web) day: String,
}

impl LastCommit {
    pub(super) fn of(commit: &CommitSummary, base: &str) -> Self {
        let CommitSummary { oid, summary, author, committed_at } = commit;
        Self::new((*oid, summary), author, *committed_at, base)
    }

    pub(super) fn of_view(commit: &CommitView, base: &str) -> Self {
        Self::new((commit.oid, &commit.summary), &commit.author, commit.committed_at, base)
    }

    fn new((oid, summary): (Oid, &str), author: &Person, at: Timestamp, base: &str) -> Self {
        let summary = if summary.is_empty() { "(no message)" } else { summary };
        Self {
            summary: summary.to_owned(),
            author: author.name.clone(),
            href: format!("{base}/-/commit/{oid}"),
            short: short(oid),
            at,
            day: day(at),
        }
    }
}

/// A file, folder, link or submodule.
#[derive(Debug)]
pub(in crate::web) struct Row {
    pub(in crate::web) name: String,
    /// Empty for a submodule, which is in another repository.
    pub(in crate::web) href: String,
    /// The name of the icon.
    pub(in crate::web) icon: &'static str,
    /// The meaning of the icon as a word, for screen readers; empty for files.
    pub(in crate::web) kind: &'static str,
    /// The commit of a submodule.
    pub(in crate::web) target: String,
    pub(in crate::web) last: Option<LastCommit>,
}

impl Row {
    fn of(entry: &TreeEntry, frame: &Frame) -> Self {
        let (icon, kind, view) = match entry.kind {
            EntryKind::Tree => ("folder", "folder", "tree"),
            EntryKind::Blob => ("file", "", "blob"),
            EntryKind::Symlink => ("link", "link", "blob"),
            EntryKind::Commit => ("module", "submodule", ""),
        };
        let is_module = entry.kind == EntryKind::Commit;
        Self {
            name: entry.name.clone(),
            href: if is_module { String::new() } else { frame.href(view, &entry.path) },
            icon,
            kind,
            target: if is_module { short(entry.oid) } else { String::new() },
            last: entry.last_commit.as_ref().map(|commit| LastCommit::of(commit, &frame.base)),
        }
    }
}

/// The values of the list.
#[derive(Debug)]
pub(in crate::web) struct Listing {
    /// The folder above; empty at the root.
    pub(in crate::web) up: String,
    pub(in crate::web) rows: Vec<Row>,
    /// The address of the next page; empty on the last one.
    pub(in crate::web) next: String,
    /// Whether this page begins after the first entry.
    pub(in crate::web) is_continued: bool,
    /// Whether last commits are missing that a later load may show.
    pub(in crate::web) is_history_late: bool,
    /// Whether the walk through the history was cut.
    pub(in crate::web) is_history_cut: bool,
}

/// Reads a folder, and its history if that is known in time.
pub(super) async fn read(
    services: &Services,
    view: &RepositoryView,
    (commit, path): (Oid, &str),
    part: TreePart,
) -> Result<(Arc<Tree>, bool), ServiceError> {
    let history = services.tree(view, commit, path.to_owned(), true, part);
    // A walk that is late goes on, and its result is kept for the next load.
    match tokio::time::timeout(HISTORY_TIME_MAX, history).await {
        Ok(Ok(found)) => return Ok((found.answer, false)),
        // The error of the folder itself follows from the plain read.
        Ok(Err(error)) => error.log_causes(),
        Err(_) => {}
    }
    Ok((services.tree(view, commit, path.to_owned(), false, part).await?.answer, true))
}

impl Listing {
    pub(super) fn new(tree: &Tree, frame: &Frame, part: TreePart, is_history_late: bool) -> Self {
        let (folders, files): (Vec<_>, Vec<_>) =
            tree.entries.iter().partition(|entry| entry.kind == EntryKind::Tree);
        let up = match tree.path.rsplit_once('/') {
            _ if tree.path.is_empty() => String::new(),
            Some((above, _)) => frame.href("tree", above),
            None => frame.href("tree", ""),
        };
        let next = tree.next.filter(|_| tree.truncated);
        let next = next.map(|next| format!("{}?cursor={next}", frame.href("tree", &tree.path)));
        Self {
            up,
            rows: folders.into_iter().chain(files).map(|entry| Row::of(entry, frame)).collect(),
            next: next.unwrap_or_default(),
            is_continued: part.cursor.is_some(),
            is_history_late,
            is_history_cut: tree.history_truncated,
        }
    }
}
