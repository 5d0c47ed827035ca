//! Limits of git transfers: places, deadlines, sizes of pushes and the memory of git.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Bytes on disk of one repository. A choice, bounded by the disk. A git child may map twice as
    /// much, because a repack holds old and new packs (`git_child_bytes`).
    repository_bytes: u64 = 10 * 1024 * 1024 * 1024,
    /// Clones and fetches of known users at once, over all repositories: one or two processes each.
    /// A choice: `git_memory_bytes` bounds the memory of their processes.
    git_reads: usize = 16,
    /// Advertisements of refs to known users at once. Every clone, fetch and push begins with one.
    /// As many as `git_reads`.
    git_advertisements: usize = 16,
    /// Clones, fetches and advertisements at once of clients without an account. A choice, equal to
    /// `git_reads`.
    git_visitors: usize = 16,
    /// Pushes at once. A choice: their heads take at most 96 MiB, twice `git_head_bytes` each.
    git_writes: usize = 8,
    /// Archives at once. A choice. The pool is separate, so that archives never hold places of
    /// fetches.
    git_archives: usize = 4,
    /// Large raw files at once. A choice. The pool is separate for the same reason as that of
    /// archives.
    git_bulk: usize = 8,
    /// Places in each of these pools reserved for accounts (visitors: networks) that hold none.
    /// Half of the smallest pool (`git_archives`), the most that a pool reserves.
    git_reserve: usize = 2,
    /// Requests waiting in each of these pools. Beyond it, the holder with most is refused first.
    /// With the two pools of browsing there are eight such queues: together 2,048 requests, half of
    /// `http_connections`.
    git_waiting: usize = 256,
    /// How long a git request waits for its turn. Below the 60 s timeout of many proxies.
    git_patience_ms: u64 = 45_000,
    /// How long a git request waits before the largest holder's slowest transfer ends for it. A
    /// choice, well below `git_patience_ms`, so that the request still gets its turn.
    git_starved_ms: u64 = 5_000,
    /// Bytes per second, over the last 10 to 20 s. Where no account or network has two places in a
    /// pool, a client that transfers at least this much is never ended for another.
    git_busy_rate: u64 = 32 * 1024,
    /// Interval at which a running transfer checks that its client still has access. A choice: a
    /// transfer ends at most this long after its client has lost access.
    git_access_ms: u64 = 5_000,
    /// Bytes per second, averaged over `git_idle_ms`, below which a transfer is ended. Only the
    /// time in which the server waits for the client counts.
    git_rate: u64 = 1_024,
    /// Time until the head of a push (commands and options) must have arrived. A choice: the
    /// largest head (`git_head_bytes`) then needs 210 kB per second.
    git_head_ms: u64 = 30_000,
    /// The window of `git_rate`. It is long because the kernel buffers up to 4 MB unseen.
    git_idle_ms: u64 = 180_000,
    /// The longest git transfer. A choice: a repository of `repository_bytes` then needs 3 MB per
    /// second.
    git_total_ms: u64 = 3_600_000,
    /// Bytes of a push's head (commands and options): `git_updates` refs with names of 200 bytes.
    git_head_bytes: usize = 6 * 1024 * 1024,
    /// Refs that one push may update. git keeps each in a file until they are packed afterwards.
    git_updates: usize = 20_000,
    /// Objects in one push. git keeps some 200 bytes of each in memory: raise it for large imports.
    git_push_objects: u32 = 1_500_000,
    /// Objects of one repository, as its packs count them. 0: as many as `git pack-objects` can
    /// clone within both `git_memory_bytes` and `git_child_bytes`, 180 bytes each; at least
    /// 2,000,000.
    git_repository_objects: u64 = 0,
    /// Objects of all pushes that arrive at the same time, beyond the first 10,000 of each push, as
    /// they arrive. The server keeps 16 bytes of each, git some 50 until it unpacks them. Above
    /// `git_push_objects`, so that the largest push leaves room for others.
    git_pushed_objects: usize = 2_200_000,
    /// Bytes of a pushed commit or annotated tag. Real ones have some hundred bytes.
    git_commit_bytes: u64 = 1024 * 1024,
    /// Bytes of a pushed tree: some 40 bytes per entry, so about 200,000 entries.
    git_tree_bytes: u64 = 8 * 1024 * 1024,
    /// Bytes of one pushed file. git streams files, unless they arrive as deltas.
    git_blob_bytes: u64 = 4 * 1024 * 1024 * 1024,
    /// Bytes of a pushed delta, of its base and of its result. git holds all three in memory.
    git_delta_bytes: u64 = 128 * 1024 * 1024,
    /// Pushes with a delta, base or result beyond this many bytes share three quarters of
    /// `git_memory_bytes` while they unpack, by the sum of the three.
    git_large_delta_bytes: u64 = 16 * 1024 * 1024,
    /// How long such a push waits for memory. A choice.
    git_unpacking_wait_ms: u64 = 120_000,
    /// Deltas in one chain, as git itself allows. Reading the last object applies them all.
    git_delta_chain: u32 = 4_095,
    /// Bytes that the objects of one push may unpack to. git hashes them all. As much as the
    /// largest file (`git_blob_bytes`).
    git_unpacked_bytes: u64 = 4 * 1024 * 1024 * 1024,
    /// In addition to `git_unpacked_bytes`, per byte received. Real histories reach some hundred.
    git_unpacked_ratio: u64 = 500,
    /// Of these, the bytes of deltas with a base or result above 4 MiB. git loads and hashes some
    /// 50 MB of them per second. So 2 GiB take some 40 s.
    git_large_unpacked_bytes: u64 = 2 * 1024 * 1024 * 1024,
    /// In addition to `git_large_unpacked_bytes`, for each byte received.
    git_large_unpacked_ratio: u64 = 50,
    /// Memory that all git children may hold together, in bytes. Beyond it, the largest is ended.
    /// 0: an eighth of the machine's memory, at least 256 MiB.
    git_memory_bytes: u64 = 0,
    /// Memory of one git child, in bytes. Its address space may hold twice `repository_bytes` of
    /// packs in addition. The largest delta with its base and result needs 384 MiB
    /// (`git_delta_bytes`), the objects of the largest push 300 MB.
    git_child_bytes: u64 = 1024 * 1024 * 1024,
    /// Whether git children can access only their own repository and the system's programs
    /// (Landlock, where the kernel has it). Set to `false` for a git with files in unusual places.
    git_sandbox: bool = true,
    /// CPU seconds of one git child, plus one second for each `git_cpu_bytes` that it processes.
    /// The first number is a choice.
    git_cpu_seconds: u64 = 300,
    /// Bytes that a slow core inflates and hashes in a second.
    git_cpu_bytes: u64 = 32 * 1024 * 1024,
    /// Commits that the description of a push loads: some 20 us each. So 0.2 s, a tenth of
    /// `git_settle_ms`.
    git_settle_commits: usize = 10_000,
    /// Bytes of commits that the description of a push reads. Some 3 KB for each of
    /// `git_settle_commits`.
    git_settle_bytes: usize = 32 * 1024 * 1024,
    /// How long the description of a push may take. It holds the results found by then. A choice:
    /// the answer to the push waits for it.
    git_settle_ms: u64 = 2_000,
    /// Attempts to describe a push by its commits. After that it is settled without them.
    git_settle_attempts: i64 = 3,
    /// Refs of one repository. A choice: ten pushes of `git_updates` refs.
    git_refs: usize = 200_000,
    /// Bytes of all repositories under one user's name. Five full repositories
    /// (`repository_bytes`).
    account_bytes: u64 = 50 * 1024 * 1024 * 1024,
    /// Free bytes that pushes leave for chats and accounts, at most a tenth of the file system.
    disk_reserve_bytes: u64 = 1024 * 1024 * 1024,
    /// Bytes that a push compressed as a whole (`Content-Encoding`) may inflate to. git sends none.
    git_gzip_push_bytes: u64 = 64 * 1024 * 1024,
    /// Bytes of an inflated fetch request, on disk beyond 64 KiB. A clone sends 50 bytes per ref.
    /// So a clone of `git_refs` refs sends 10 MB.
    git_request_bytes: usize = 32 * 1024 * 1024,
}}}
pub(super) use add_limits;
