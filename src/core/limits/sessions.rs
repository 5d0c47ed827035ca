//! Limits of sessions over TCP and WebSocket: connections, frames, outboxes, cursors and replays.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Connections in total.
    connections: usize = 20_000,
    /// Connections before their Hello. The share of a network falls with the number of free ones.
    strangers: usize = 4_096,
    /// Connections before their Hello, from one address.
    strangers_per_address: usize = 1_024,
    /// Session connections reserved for clients before their Hello, so that known users never hold
    /// all. Of WebSocket connections, at most a quarter is reserved.
    connections_reserve: usize = 1_024,
    /// Sessions, over TCP and WebSocket, reserved for users without a session.
    sessions_reserve: usize = 256,
    /// How long a Hello waits for a slot when known users hold all. Each quarter of it, the newest
    /// session of the largest user ends, if that user keeps more than the waiting user gets.
    sessions_patience_ms: u64 = 2_000,
    /// Time until the first frame must have arrived.
    hello_timeout_ms: u64 = 5_000,
    /// Interval in which a client should send something.
    heartbeat_ms: u64 = 30_000,
    /// Closes a session whose client sent nothing for this long: two and a half lost heartbeats.
    silence_ms: u64 = 75_000,
    /// Time from the first byte of a frame until its rest must have arrived.
    frame_timeout_ms: u64 = 10_000,
    /// How long a closed connection's input is drained, so that the peer reads the last frames.
    linger_ms: u64 = 1_000,
    /// Closes a connection whose client accepts no bytes for this long.
    write_stall_ms: u64 = 30_000,
    /// Bytes of a client's frame before Hello.
    stranger_frame_bytes: usize = 4 * 1024,
    /// Bytes of a client's frame.
    frame_bytes: usize = 64 * 1024,
    /// Bytes of a server's frame. Larger answers are paged.
    server_frame_bytes: usize = 1024 * 1024,
    /// Sessions of one user.
    sessions_per_user: usize = 500,
    /// Packets of one session in process at once. Beyond it, the server stops reading the socket.
    in_flight: usize = 64,
    /// Bytes queued for one session's socket. Then pushes drop, and the client is notified once.
    outbox_bytes: usize = 1024 * 1024,
    /// Frames queued for one session's socket.
    outbox_frames: usize = 512,
    /// Bytes of large answers in memory that their clients have not received yet: pages, lists and
    /// replays, over sessions and REST. An account has at most four times as much as is free, so a
    /// single account has at most four fifths.
    answer_bytes: usize = 128 * 1024 * 1024,
    /// Larger answers count towards `answer_bytes`; over a session also smaller ones while over
    /// half of it waits for the socket. Without free space, pages are cut to this size.
    answer_small_bytes: usize = 32 * 1024,
    /// How long an answer of a session waits for space or for its client before it is refused.
    answer_patience_ms: u64 = 10_000,
    /// How long a session collects read cursors before they are written, if no request waits.
    mark_merge_ms: u64 = 500,
    /// The same for delivered cursors.
    delivered_merge_ms: u64 = 30_000,
    /// Chats whose cursors are written in one command: a row each.
    marks_per_command: usize = 400,
    /// How long receipts of a chat are collected before the other participants receive them.
    receipts_ms: u64 = 500,
    /// Participants of a chat up to which receipts are pushed.
    receipts_participants: usize = 100,
    /// Chats that one session may have catching up, and cursors in one `Resume`.
    resume_chats: usize = 10_000,
    /// Events of one chat that are replayed. A client that missed more requests pages.
    replay_events: i64 = 1_000,
    /// Events of a replay sent together. An outbox that is at most half full has space for them.
    replay_page: usize = 100,
    /// Chats in one `Welcome` or `Chats`.
    welcome_chats: usize = 200,
}}}
pub(super) use add_limits;
