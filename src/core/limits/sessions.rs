//! Limits of sessions over TCP and WebSocket: connections, frames, outboxes, cursors and replays.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Connections in total. A choice: an idle session takes 4.9 KB (docs/PERFORMANCE.md), so all
    /// take some 100 MB.
    connections: usize = 20_000,
    /// Connections before their Hello. The share of a network falls with the number of free ones. A
    /// choice, about a fifth of `connections`.
    strangers: usize = 4_096,
    /// Connections before their Hello, from one address. A quarter of `strangers`, so that one
    /// address cannot take all.
    strangers_per_address: usize = 1_024,
    /// Session connections reserved for clients before their Hello, so that known users never hold
    /// all. Of WebSocket connections, at most a quarter is reserved. A choice, about a twentieth of
    /// `connections`.
    connections_reserve: usize = 1_024,
    /// Sessions, over TCP and WebSocket, reserved for users without a session. A choice, 1.3 % of
    /// all sessions. A small pool reserves at most an eighth.
    sessions_reserve: usize = 256,
    /// How long a Hello waits for a slot when known users hold all. Each quarter of it, the newest
    /// session of the largest user ends, if that user keeps more than the waiting user gets. As
    /// long as a request waits for an actor (`ask_patience_ms`).
    sessions_patience_ms: u64 = 2_000,
    /// Time until the first frame must have arrived. A choice.
    hello_timeout_ms: u64 = 5_000,
    /// Interval in which a client should send something. Half of the 60 s after which many proxies
    /// close an idle connection.
    heartbeat_ms: u64 = 30_000,
    /// Closes a session whose client sent nothing for this long: two and a half lost heartbeats.
    silence_ms: u64 = 75_000,
    /// Time from the first byte of a frame until its rest must have arrived. A choice: a frame of
    /// `frame_bytes` then needs 6.5 kB per second.
    frame_timeout_ms: u64 = 10_000,
    /// How long a closed connection's input is drained, so that the peer reads the last frames. A
    /// choice.
    linger_ms: u64 = 1_000,
    /// Closes a connection whose client accepts no bytes for this long. A choice. It applies to
    /// HTTP, too.
    write_stall_ms: u64 = 30_000,
    /// Bytes of a client's frame before Hello. A Hello has some hundred bytes.
    stranger_frame_bytes: usize = 4 * 1024,
    /// Bytes of a client's frame. As many as `body_bytes`, so that the same message fits.
    frame_bytes: usize = 64 * 1024,
    /// Bytes of a server's frame. Larger answers are paged. A choice, equal to `outbox_bytes`: the
    /// largest answer fits into an empty outbox.
    server_frame_bytes: usize = 1024 * 1024,
    /// Sessions of one user. A choice: one user takes at most a fortieth of `connections`.
    sessions_per_user: usize = 500,
    /// Packets of one session in process at once. Beyond it, the server stops reading the socket. A
    /// choice: their frames have at most 4 MiB (64 of `frame_bytes`).
    in_flight: usize = 64,
    /// Bytes queued for one session's socket. Then pushes drop, and the client is notified once. A
    /// choice, equal to `server_frame_bytes`. A page of a replay has at most half of it. The pushes
    /// of all sessions are bounded by this times `connections`.
    outbox_bytes: usize = 1024 * 1024,
    /// Frames queued for one session's socket. As many as `batch_commands`: an empty outbox accepts
    /// all messages of a full batch.
    outbox_frames: usize = 512,
    /// Bytes of large answers in memory that their clients have not received yet: pages, lists and
    /// replays, over sessions and REST. An account has at most four times as much as is free, so a
    /// single account has at most four fifths. The number is a choice, half of `cache.max_bytes`.
    answer_bytes: usize = 128 * 1024 * 1024,
    /// Larger answers count towards `answer_bytes`; over a session also smaller ones while over
    /// half of it waits for the socket. Without free space, pages are cut to this size. The
    /// smallest size is one message, which has up to 20 KiB.
    answer_small_bytes: usize = 32 * 1024,
    /// How long an answer of a session waits for space or for its client before it is refused. A
    /// choice.
    answer_patience_ms: u64 = 10_000,
    /// How long a session collects read cursors before they are written, if no request waits. A
    /// choice: a crash may lose the cursors of this time.
    mark_merge_ms: u64 = 500,
    /// The same for delivered cursors.
    delivered_merge_ms: u64 = 30_000,
    /// Chats whose cursors are written in one command: a row each.
    marks_per_command: usize = 400,
    /// How long receipts of a chat are collected before the other participants receive them. As
    /// long as `mark_merge_ms`. The same for changed names and avatars.
    receipts_ms: u64 = 500,
    /// Participants of a chat up to which receipts are pushed.
    receipts_participants: usize = 100,
    /// Chats that one session may have catching up, and cursors in one `Resume`. As many as
    /// `chats_per_user`.
    resume_chats: usize = 10_000,
    /// Events of one chat that are replayed. A client that missed more requests pages. Ten pages of
    /// `replay_page`.
    replay_events: i64 = 1_000,
    /// Events of a replay sent together. An outbox that is at most half full has space for them.
    replay_page: usize = 100,
    /// Chats in one `Welcome` or `Chats`.
    welcome_chats: usize = 200,
}}}
pub(super) use add_limits;
