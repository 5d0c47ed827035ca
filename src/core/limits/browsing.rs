//! Limits of browsing of repositories and archives.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Folders, files, refs and first pages of commits read for browsing at once. 0: one per core.
    /// Each occupies a thread.
    git_browses: usize = 0,
    /// Histories read for browsing at once: of a path, of the entries of a folder, blames,
    /// comparisons, changes of a commit. 0: one per core. They run at a lower priority than
    /// everything else and never hold places of `git_browses`.
    git_histories: usize = 0,
    /// Bytes of memory for answers from walks of a history: last commits of folders, and pages of
    /// commits, half each. Some hundred bytes for each entry and commit. 0: none is kept.
    git_histories_cache_bytes: usize = 16 * 1024 * 1024,
    /// New commits of a push after which the commit-graph is written at once. Without it, some
    /// hundred commits are read in a few milliseconds.
    git_graph_commits: usize = 300,
    /// Bytes of browsing answers kept on disk until their clients have received them. Beyond it:
    /// 503. Small answers are in memory. The number is a choice.
    git_spool_bytes: u64 = 4 * 1024 * 1024 * 1024,
    /// How long a blame may compute. A choice.
    git_compute_ms: u64 = 30_000,
    /// The longest archive. It is packed while sent; a small repository can unfold to any size. The
    /// number is a choice.
    git_archive_ms: u64 = 600_000,
    /// Files and folders in an archive. They are counted before git starts: nested trees of some
    /// hundred bytes can hold any number of them. 500,000 take git some 12 s.
    git_archive_entries: u64 = 500_000,
    /// Bytes of all paths in an archive together.
    git_archive_path_bytes: u64 = 64 * 1024 * 1024,
    /// Bytes of all files in an archive, uncompressed: less than a repository may hold on disk.
    git_archive_bytes: u64 = 8 * 1024 * 1024 * 1024,
}}}
pub(super) use add_limits;
