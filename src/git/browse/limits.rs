//! How much one answer may hold, read and take.

use std::time::Duration;

/// The bounds of browsing, with the reason for each default.
#[derive(Debug, Clone, PartialEq)]
pub struct BrowseLimits {
    /// A file's content in JSON; larger ones are fetched raw.
    pub blob_bytes: usize,
    /// A raw file.
    pub raw_bytes: usize,
    /// One tag object, and what is read of a commit: as much as a push may bring. Real ones have some hundred bytes.
    pub commit_bytes: usize,
    /// One tree object: some 40 bytes an entry, so about 200,000 entries.
    pub tree_bytes: usize,
    /// Entries listed of one folder.
    pub tree_entries: usize,
    /// Items of a page: branches, tags, commits.
    pub page_items: usize,
    /// Files listed in one diff.
    pub diff_files: usize,
    /// Lines in all patches of one diff.
    pub diff_lines: usize,
    /// Bytes in all patches of one diff.
    pub diff_bytes: usize,
    /// A file beyond this is not compared.
    pub diff_blob_bytes: usize,
    /// A file of more lines is not compared: each costs some 100 bytes while it is.
    pub diff_blob_lines: usize,
    /// Bytes of all files that one diff reads, renames included.
    pub diff_read_bytes: usize,
    /// Changed files that are looked at for renames of identical files, before the first [`Self::diff_files`] are listed:
    /// some 150 bytes each.
    pub changed_files: usize,
    /// Files that were moved and changed are looked for among at most so many changed files: the work grows with the square.
    pub rename_files: usize,
    /// Commits that one walk through the history loads: some 30 us and 100 bytes each. Those in the commit-graph, some
    /// 0.3 us and one byte each, are not counted: only `walk_ms` ends a walk through them.
    pub walk_commits: usize,
    /// Commits listed in one comparison.
    pub compare_commits: usize,
    /// Bytes of all objects that one request reads. A walk over commits of a kilobyte and their
    /// trees takes a fraction.
    pub read_bytes: usize,
    /// In addition, for the last commits of a folder: its tree in each commit that may have changed an entry, one after the
    /// other. 80,000 trees of 600 entries have 2 GiB.
    pub walk_tree_bytes: usize,
    /// The largest object, base or delta that is in memory while one object is read. git makes no
    /// delta of a base that is more than 32 times as large.
    pub object_peak_bytes: usize,
    /// The same for a file in an archive, in git's memory. A file that is not stored as a delta is streamed.
    pub archive_peak_bytes: usize,
    /// Bases and deltas that are built to read one object: fifty files of 8 MiB.
    pub object_built_bytes: usize,
    /// Bases that libgit2 keeps during one request, over all packs.
    pub bases_bytes: usize,
    /// Bytes of trees that are open at once, one within the other.
    pub open_tree_bytes: usize,
    /// Texts in one answer, as JSON: it is in memory until the client has taken it.
    pub answer_bytes: usize,
    /// Texts in one page of branches or tags, as JSON.
    pub page_bytes: usize,
    /// How long one request may read: a comparison walks, looks for changes and compares files.
    pub read_ms: u64,
    /// What is loaded of a commit-graph: all of it up to some 400,000 commits. Of a larger one, parts are read again and
    /// again.
    pub graph_bytes: usize,
    /// How long one walk through the history may take.
    pub walk_ms: u64,
    /// How long one diff may take; it answers with what it has by then.
    pub time_ms: u64,
}

/// A limit of a whole request, which ends its reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// [`BrowseLimits::walk_commits`]
    WalkCommits,
    /// [`BrowseLimits::walk_ms`]
    WalkMs,
    /// [`BrowseLimits::read_bytes`]
    ReadBytes,
    /// [`BrowseLimits::read_ms`]
    ReadMs,
    /// [`BrowseLimits::bases_bytes`]
    BasesBytes,
}

impl Default for BrowseLimits {
    fn default() -> Self {
        Self {
            blob_bytes: 1024 * 1024,
            raw_bytes: 64 * 1024 * 1024,
            commit_bytes: 1024 * 1024,
            tree_bytes: 8 * 1024 * 1024,
            tree_entries: 10_000,
            page_items: 100,
            diff_files: 300,
            diff_lines: 20_000,
            diff_bytes: 1024 * 1024,
            diff_blob_bytes: 1024 * 1024,
            diff_blob_lines: 100_000,
            diff_read_bytes: 32 * 1024 * 1024,
            changed_files: 20_000,
            rename_files: 200,
            walk_commits: 150_000,
            compare_commits: 250,
            read_bytes: 256 * 1024 * 1024,
            walk_tree_bytes: 8 * 1024 * 1024 * 1024,
            object_peak_bytes: 32 * 1024 * 1024,
            archive_peak_bytes: 128 * 1024 * 1024,
            object_built_bytes: 400 * 1024 * 1024,
            bases_bytes: 128 * 1024 * 1024,
            open_tree_bytes: 32 * 1024 * 1024,
            answer_bytes: 4 * 1024 * 1024,
            page_bytes: 256 * 1024,
            read_ms: 30_000,
            graph_bytes: 32 * 1024 * 1024,
            walk_ms: 25_000,
            time_ms: 5_000,
        }
    }
}

impl BrowseLimits {
    pub(super) fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }

    pub(super) fn walk(&self) -> Duration {
        Duration::from_millis(self.walk_ms)
    }

    /// A page of at least one item, so that paging always advances.
    pub(super) fn page(&self, asked: usize) -> usize {
        asked.min(self.page_items).max(1)
    }
}
