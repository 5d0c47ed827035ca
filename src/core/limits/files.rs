//! Limits of files in chats.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Bytes of one file. A choice: screenshots, logs and short videos fit.
    file_bytes: u64 = 50 * 1024 * 1024,
    /// Files of one message. All of them are bound in one command.
    files_per_message: usize = 10,
    /// Bytes of all files of one user, with and without a message. A file counts with at least
    /// 4 KiB, and from its announcement on. About a hundred of the largest.
    files_user_bytes: u64 = 5 * 1024 * 1024 * 1024,
    /// Bytes of the files of all users. A choice, bounded by the disk (`disk_reserve_bytes`).
    files_server_bytes: u64 = 1024 * 1024 * 1024 * 1024,
    /// Files of one user that no message has had. Ten full messages.
    files_unbound_per_user: i64 = 100,
    /// Seconds after which a file that no message has had is removed, complete or not.
    files_unbound_seconds: i64 = 24 * 3_600,
    /// Seconds for which bytes without a file stay, after they were stored and after the data
    /// directory got another database. A week: the operator may find that it was the wrong one.
    files_unnamed_seconds: i64 = 7 * 24 * 3_600,
    /// Uploads at once. A choice: each holds up to 256 KiB in memory.
    uploads: usize = 64,
    /// Uploads of one user at once.
    uploads_per_user: usize = 4,
    /// Places of `uploads` reserved for accounts that hold none. An eighth of `uploads`.
    uploads_reserve: usize = 8,
    /// Uploads waiting for a place. As many as in the pools of git.
    uploads_waiting: usize = 256,
    /// How long an upload may send nothing. Its bytes so far stay.
    upload_idle_ms: u64 = 30_000,
    /// Files at once that clients receive, beyond 64 KiB each. A choice, a quarter of
    /// `http_connections`: each holds an open file.
    downloads: usize = 1_024,
    /// How long a request that reads from the S3 store may take, with its answer. A block of
    /// `files_s3_read_bytes` needs 0.1 MB/s for it.
    files_s3_request_ms: u64 = 10_000,
    /// How long a failed request that reads is repeated, and how long a call waits for a thread.
    /// Clients wait as long for an answer.
    files_s3_retry_ms: u64 = 20_000,
    /// How long a request that changes the S3 store may take. A part of an upload needs 0.14 MB/s
    /// for it.
    files_s3_put_ms: u64 = 60_000,
    /// How long a failed request that changes the S3 store is repeated. Its signature is valid for
    /// 15 minutes.
    files_s3_put_retry_ms: u64 = 240_000,
    /// Repetitions of a failed request to the S3 store. One in 3 s, for as long as above.
    files_s3_retries: usize = 100,
    /// Reads of the S3 store at once. Each holds a thread.
    files_s3_requests: usize = 64,
    /// Uploads and removals of the S3 store at once. Each holds a thread.
    files_s3_puts: usize = 32,
    /// Seconds after which an object goes that a newer one with the same bytes has replaced. A
    /// week, longer than any upload.
    files_s3_replaced_seconds: u64 = 7 * 24 * 3_600,
    /// Parts of uploads to the S3 store in memory.
    files_s3_parts: usize = 8,
    /// Bytes of a part. The protocol permits 5 MiB or more.
    files_s3_part_bytes: u64 = 8 * 1024 * 1024,
    /// Bytes that are read from the S3 store at once; each download holds so many.
    files_s3_read_bytes: u64 = 1024 * 1024,
    /// Objects of the S3 store in a list. A list has a 256th of a node's blobs.
    files_s3_listed: usize = 1_000_000,
    /// Pixels of the largest picture of which a smaller one is made. A large photograph; four bytes
    /// each fit into `thumbnail_memory_bytes`.
    thumbnail_pixels: u64 = 50_000_000,
    /// Memory of a child that makes a picture, beyond that of its program.
    thumbnail_memory_bytes: u64 = 256 * 1024 * 1024,
    /// CPU time of such a child. Ten times that of the largest pictures.
    thumbnail_cpu_seconds: u64 = 5,
    /// The deadline of such a child.
    thumbnail_ms: u64 = 15_000,
    /// Such children at once. A choice: together they take half a gigabyte.
    thumbnails: usize = 2,
    /// Requests waiting for such a child. A choice: the readers of a group who see a new picture at
    /// once. After the first, they find it made.
    thumbnails_waiting: usize = 64,
    /// How long such a request waits. The time of some twenty usual pictures.
    thumbnails_patience_ms: u64 = 10_000,
    /// Bytes of the thumbnails on disk. Without them, they are made again.
    thumbnail_cache_bytes: u64 = 1024 * 1024 * 1024,
    /// Seconds for which a file without a thumbnail starts no child again.
    thumbnail_failed_seconds: u64 = 24 * 3_600,
    /// Bytes of a picture from which an avatar is made. A photograph of a phone, made smaller.
    avatar_bytes: usize = 2 * 1024 * 1024,
}}}
pub(super) use add_limits;
