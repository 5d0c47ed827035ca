//! The limits of one response: size, reads, memory and time.

use std::time::Duration;

/// The limits of browsing, with the reason for each default.
#[derive(Debug, Clone, PartialEq)]
pub struct BrowseLimits {
    /// Size of a file in JSON; larger files are fetched raw.
    pub blob_bytes: usize,
    /// Size of a raw file.
    pub raw_bytes: usize,
    /// Size of a tag object, and of the part of a commit that is read: the same as a push may
    /// contain. Typical sizes are some hundred bytes.
    pub commit_bytes: usize,
    /// Size of a tree object: about 40 bytes per entry, so about 200,000 entries.
    pub tree_bytes: usize,
    /// Listed entries of a folder.
    pub tree_entries: usize,
    /// Paths of the list of all files, and folders that are read for it.
    pub listed_files: usize,
    /// Bytes of the paths of the list of all files, as JSON.
    pub listed_files_bytes: usize,
    /// Items of a page of branches, tags or commits.
    pub page_items: usize,
    /// Listed files of a diff.
    pub diff_files: usize,
    /// Lines in all patches of a diff.
    pub diff_lines: usize,
    /// Bytes in all patches of a diff.
    pub diff_bytes: usize,
    /// Lines and bytes of the patch of a file that is requested alone.
    pub file_diff_lines: usize,
    pub file_diff_bytes: usize,
    /// Size of a compared file. Larger files are not compared.
    pub diff_blob_bytes: usize,
    /// Lines of a compared file. Each line takes about 100 bytes during the comparison.
    pub diff_blob_lines: usize,
    /// Bytes of all files that a diff reads, including those for rename detection.
    pub diff_read_bytes: usize,
    /// Changed files that are searched for renames of identical files, before the first
    /// [`Self::diff_files`] are listed. Each takes about 150 bytes.
    pub changed_files: usize,
    /// Changed files among which files that were both moved and edited are detected. Diffs of more
    /// files skip this; the work grows with the square of the number.
    pub rename_files: usize,
    /// Commits that a walk through the history loads: about 30 us and 100 bytes each. Commits in
    /// the commit-graph, about 0.3 us and one byte each, are not counted; only `walk_ms` limits
    /// them.
    pub walk_commits: usize,
    /// Listed commits of a comparison.
    pub compare_commits: usize,
    /// Bytes of all objects that a request reads. A walk over commits of one kilobyte and their
    /// trees needs a fraction of it.
    pub read_bytes: usize,
    /// Additional bytes for the last commits of a folder: its tree is read in each commit that may
    /// have changed an entry, one tree at a time. 80,000 trees of 600 entries have 2 GiB.
    pub walk_tree_bytes: usize,
    /// Size of the largest object, base or delta that is in memory while an object is read. git
    /// never deltifies against a base that is more than 32 times as large as the object.
    pub object_peak_bytes: usize,
    /// The same limit for a file in an archive, in the memory of the git process. A file that is
    /// not stored as a delta is streamed.
    pub archive_peak_bytes: usize,
    /// Bytes of the bases and deltas that are built to read one object: fifty files of 8 MiB.
    pub object_built_bytes: usize,
    /// Bytes of the delta bases that libgit2 caches during a request, over all packs.
    pub bases_bytes: usize,
    /// Bytes of nested trees that are open at the same time.
    pub open_tree_bytes: usize,
    /// Bytes of the texts in a response, as JSON. The response is in memory until the client has
    /// received it.
    pub answer_bytes: usize,
    /// Bytes of the texts in a page of branches or tags, as JSON.
    pub page_bytes: usize,
    /// Time in which a request may read, in milliseconds. A comparison walks the history, finds
    /// changed files and compares them.
    pub read_ms: u64,
    /// Bytes of a commit-graph that are loaded: all of it up to about 400,000 commits. Parts of a
    /// larger file are read repeatedly.
    pub graph_bytes: usize,
    /// Time of a walk through the history, in milliseconds.
    pub walk_ms: u64,
    /// Time of a diff, in milliseconds. After it, the diff contains the files found until then.
    pub time_ms: u64,
}

/// A limit of a whole request that ends its reading.
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
            listed_files: 20_000,
            listed_files_bytes: 2 * 1024 * 1024,
            page_items: 100,
            diff_files: 300,
            diff_lines: 20_000,
            diff_bytes: 1024 * 1024,
            file_diff_lines: 100_000,
            file_diff_bytes: 4 * 1024 * 1024,
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
    /// Returns the limits of a part of a page that may be missing: the page does not wait for long.
    pub fn of_a_detail() -> Self {
        Self {
            walk_commits: 20_000,
            read_bytes: 32 * 1024 * 1024,
            read_ms: 250,
            walk_ms: 150,
            ..Self::default()
        }
    }

    /// Returns the limits of the distances on a page of branches: reads begin for 150 ms, and the
    /// last walk ends 100 ms later. A page that waits for 300 ms thus leaves no work behind.
    pub fn of_distances() -> Self {
        Self { read_ms: 150, walk_ms: 100, ..Self::of_a_detail() }
    }

    pub(super) fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }

    pub(super) fn walk(&self) -> Duration {
        Duration::from_millis(self.walk_ms)
    }

    /// Returns the size of a page: at least one item, so that paging always advances.
    pub(super) fn page(&self, asked: usize) -> usize {
        asked.min(self.page_items).max(1)
    }
}
