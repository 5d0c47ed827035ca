//! Limits of Git LFS.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Bytes of one object of Git LFS. A choice, bounded by the disk (`disk_reserve_bytes`).
    lfs_object_bytes: u64 = 5 * 1024 * 1024 * 1024,
    /// Bytes of the objects of one repository. An object counts with at least 4 KiB. Four of the
    /// largest. They do not count in `repository_bytes`.
    lfs_repository_bytes: u64 = 20 * 1024 * 1024 * 1024,
    /// Bytes of the objects of all repositories under one user's name. Five full repositories
    /// (`lfs_repository_bytes`).
    lfs_account_bytes: u64 = 100 * 1024 * 1024 * 1024,
    /// Objects that one batch request names. The client sends batches of 100.
    lfs_batch_objects: usize = 1_000,
    /// Bytes of a JSON body of Git LFS. The largest batch has some 120 kB.
    lfs_body_bytes: usize = 512 * 1024,
    /// Uploads of objects of one user at once, in `uploads`. Twice as many as the client sends.
    lfs_uploads_per_user: usize = 16,
    /// Milliseconds that an upload waits for a place, at most. The client gives up after 30 s.
    lfs_wait_ms: u64 = 20_000,
    /// Milliseconds that an upload may take beyond the time of its bytes at 8 KiB/s. A choice.
    lfs_upload_grace_ms: u64 = 60_000,
    /// Seconds for which the addresses of objects in the answer to a batch are valid. The client
    /// requests new ones afterwards.
    lfs_link_seconds: i64 = 3_600,
    /// Seconds after which the bytes of an interrupted upload are removed, from the last write on.
    /// Far above `upload_idle_ms`, the longest pause of an upload. Uploads that run are not
    /// removed.
    lfs_staged_seconds: u64 = 3_600,
    /// Locks of one repository. A choice.
    lfs_locks_per_repository: i64 = 10_000,
}}}
pub(super) use add_limits;
