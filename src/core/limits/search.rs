//! Limits of the search.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Searches of one user per second, after the burst.
    searches_per_second: u32 = 5,
    /// Such searches at once.
    searches_burst: u32 = 20,
    /// Searches that run at once. Each user has at most one of them; the next one waits for its
    /// end.
    searches: usize = 64,
    /// Messages that one search compares with the terms of its query in the index, in all its
    /// steps.
    search_rows: usize = 50_000,
    /// How long one search may take in the index, in all its steps: others wait for it
    /// (milliseconds).
    search_ms: u64 = 50,
    /// Messages that one search reads to compare them with its query.
    search_checked: usize = 1_000,
    /// Bytes of the contents of these messages.
    search_checked_bytes: usize = 2_097_152,
    /// How long one search may compare contents with its query (milliseconds).
    search_check_ms: u64 = 100,
    /// Messages and events that are read and written together to keep the index up to date.
    /// Searches wait for such a batch.
    search_batch: usize = 1_000,
    /// Bytes of the contents of these messages.
    search_batch_bytes: usize = 131_072,
    /// How long changes of chats are collected before they are read for the index. A message is
    /// found about this long after it was sent.
    search_delay_ms: u64 = 100,
    /// Pause after a failed read or write of the index before it is tried again.
    search_retry_ms: u64 = 10_000,
    /// Searches are incomplete while the index lacks a change that is older than this
    /// (milliseconds).
    search_lag_ms: u64 = 5_000,
    /// How often the index is compared with the newest events of all chats (milliseconds).
    search_compare_ms: u64 = 300_000,
    /// Messages up to which an orderly stop compares the index with the database.
    search_compared: usize = 10_000,
    /// Size of a file of the default branch that is searched. Larger files are rarely written by
    /// people.
    search_code_file_bytes: usize = 1_048_576,
    /// Files of one repository that are searched. Each takes about 200 bytes in memory while the
    /// index compares them with a commit.
    search_code_files: usize = 50_000,
    /// Bytes of the texts of one repository that are searched. The index takes about a quarter of
    /// this.
    search_code_bytes: usize = 536_870_912,
    /// Different trigrams of a file that the index has. Source files of 1 MiB have about 20,000.
    /// The time and the space of a file in the index depend on them. A file with more is dense:
    /// each search reads it.
    search_code_file_terms: usize = 65_536,
    /// Bytes of the dense files of one repository that are searched.
    search_code_dense_bytes: usize = 4_194_304,
    /// Bytes of dense files that one search compares with its query.
    search_code_dense_checked_bytes: usize = 4_194_304,
    /// Different trigrams of the files of one repository, counted for each file. The index takes
    /// about six bytes for each.
    search_code_terms: usize = 20_000_000,
    /// Bytes of the index from which on no more files and commits are added to it. A choice,
    /// bounded by the disk (`disk_reserve_bytes`).
    search_index_bytes: u64 = 34_359_738_368,
    /// Repositories that one search covers. With more, it is incomplete.
    search_repositories: usize = 4_096,
    /// Searches that read repositories at once, to compare files and commits.
    search_reads: usize = 4,
    /// How long a search waits to read repositories. After this it is incomplete (milliseconds).
    search_reads_wait_ms: u64 = 500,
    /// Lines of one file that a search shows.
    search_code_lines: usize = 5,
    /// Bytes of files that one search compares with its query.
    search_code_checked_bytes: usize = 16_777_216,
    /// How long one search may read and compare files or commits (milliseconds).
    search_code_check_ms: u64 = 300,
    /// Newest commits of one repository that are searched.
    search_commits: usize = 10_000,
    /// How long a part of the changed files and commits of one repository may be listed
    /// (milliseconds). A large list is made in parts.
    search_plan_ms: u64 = 30_000,
    /// Files and commits that are read and written together to keep the index up to date. Searches
    /// wait for such a step.
    search_step_rows: usize = 200,
    /// Bytes of the texts of a step.
    search_step_bytes: usize = 262_144,
    /// Different trigrams of the texts of a step. A thousand take about 1.5 ms.
    search_step_terms: usize = 20_000,
    /// How long a step may read (milliseconds).
    search_step_ms: u64 = 200,
}}}
pub(super) use add_limits;
