//! Defines every limit and deadline of the server: key `limits.<field>`, default and reason.
//!
//! Durations end in `_ms` or `_seconds`, sizes in `_bytes`. Tests reduce them. No other code holds
//! a literal number that bounds a queue, a page, a frame or a wait.

mod check;
mod derived;

use serde::{Deserialize, Serialize};

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        /// Holds the limits. Unknown keys are refused, missing keys take their defaults.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Limits {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }
    };
}

/// Notifications of each user kept in memory, some 250 bytes each.
pub const NOTIFICATIONS_CACHED: usize = 100;
/// Notifications of all users kept in memory.
pub const NOTIFICATIONS_CACHED_IN_ALL: usize = 200_000;

limits! {
    /// Whether rate limits apply at all. Set to `false` for trials and measurements.
    rates: bool = true,

    // --- actors ---
    /// Queries inside the cache at once: at some 20 us each, about 5 ms of waiting.
    cache_queries: usize = 256,
    /// Commands inside the writer at once: two full batches, one committing and one collecting.
    writer_commands: usize = 1024,
    /// Commands that one user may have inside the writer.
    commands_per_user: usize = 256,
    /// Queries that one user may have inside the cache.
    queries_per_user: usize = 64,
    /// How long a request to an actor waits for a permit before it is refused as `overloaded`.
    ask_patience_ms: u64 = 2_000,
    /// Commands in one transaction.
    batch_commands: usize = 512,
    /// Bytes of commands in one transaction. Bounds the WAL's growth per commit.
    batch_bytes: usize = 4 * 1024 * 1024,
    /// How long a batch may collect and execute before it commits.
    batch_ms: u64 = 20,
    /// Entries of the writer's cache: logins, chats, roles and client ids of messages, some 200
    /// bytes each. When it is full, the writer clears it and reads the database again.
    writer_cache_entries: usize = 100_000,
    /// Users named when a chat is created: four rows each with their notifications, so that a
    /// command stays below 500 rows.
    create_participants: usize = 100,
    /// Connections that read history from the database.
    readers: usize = 4,
    /// Reads that wait for one of `readers`. Beyond it, the account with the most waiting reads is
    /// refused first. The limit is large, so that the reads of a flood wait until `ask_patience_ms`
    /// ends instead of being refused and retried at once.
    readers_waiting: usize = 4_096,
    /// Threads that own sessions. 0: one per core.
    session_threads: usize = 0,
    /// Threads that serve HTTP. 0: one per core.
    http_workers: usize = 0,
    /// Bytes of events queued for a session thread; then its sessions must reconnect and catch up.
    lane_bytes: usize = 8 * 1024 * 1024,

    // --- sessions ---
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

    // --- presence and UDP ---
    /// How long a device is present after its last datagram: three and a half keepalives of 25 s.
    presence_ttl_ms: u64 = 90_000,
    /// How long a user stays shown as online without a connection, to hide a reconnect.
    offline_debounce_ms: u64 = 15_000,
    /// How long presence changes are collected before other users receive them.
    presence_tick_ms: u64 = 500,
    /// Users in one `Presence` packet.
    presence_batch: usize = 500,
    /// Interval in which a user sends at most one typing notice per chat.
    typing_interval_ms: u64 = 2_500,
    /// Connected users of a chat up to which typing is pushed.
    typing_participants: usize = 200,
    /// Presence queries inside the presence actor at once.
    presence_queries: usize = 64,
    /// How long a UDP ticket is valid.
    udp_ticket_seconds: u64 = 600,
    /// UDP tickets of one user. Beyond it, the user's oldest one is evicted.
    udp_tickets_per_user: usize = 20,
    /// UDP tickets, some 700 bytes each. Beyond it, the oldest of the user with most is evicted.
    udp_tickets: usize = 50_000,
    /// UDP tickets that one user gets per minute, after the burst: a ticket lives ten minutes.
    udp_tickets_per_minute: u32 = 30,
    /// UDP tickets that one user gets at once.
    udp_tickets_burst: u32 = 60,
    /// Nothing is pushed to an address that sent nothing for this long.
    udp_push_window_ms: u64 = 60_000,
    /// Datagrams of one ticket per second, after the burst.
    udp_datagrams_per_second: u32 = 10,
    /// Datagrams of one ticket at once.
    udp_datagrams_burst: u32 = 40,
    /// Presence datagrams in flight to one address. More follow when these are acknowledged.
    udp_batch_datagrams: usize = 16,
    /// Delay before an unacknowledged datagram is resent; doubles four times, then waits for
    /// `Ping`.
    udp_resend_ms: u64 = 500,

    // --- pages and bodies ---
    /// Items of a page when the client does not ask for a number.
    page_default: usize = 50,
    /// Items of a page at most.
    page_max: usize = 100,
    /// User names that one search by prefix scans while registration is closed. The next page
    /// continues after them.
    users_scanned: usize = 1_000,
    /// Memberships of chats that one search for users by prefix scans while registration is open:
    /// some 0.1 us each, in the thread of the cache. The newest chats are scanned first. Members of
    /// the other chats are found by their whole name.
    memberships_scanned: usize = 20_000,
    /// Chats that one message to the cache compares to find the users who share one: some 10 ns
    /// each. A request for more is answered in several messages.
    chats_compared: usize = 100_000,
    /// Queries of one user about others per second, after the burst: names, searches, presence.
    lookups_per_second: u32 = 20,
    /// Such queries at once.
    lookups_burst: u32 = 400,
    /// Bytes of a JSON request body.
    body_bytes: usize = 64 * 1024,
    /// Bytes of path and query of a request. Beyond it: 414. A percent-encoded path of 4 KiB fits.
    uri_bytes: usize = 16 * 1024,
    /// Refused requests (4xx) logged at `info` per second. More are logged at `debug` and counted.
    logged_refusals_per_second: u32 = 100,
    /// HTTP connections, over all workers. The share of a network falls with the number of free
    /// ones. A trusted proxy is not counted.
    http_connections: usize = 4_096,
    /// HTTP connections that WebSockets cannot take.
    http_reserve: usize = 1_024,
    /// Connections in their TLS handshake, in addition to the HTTP connections.
    http_handshakes: usize = 1_024,
    /// How long a client may take for the TLS handshake.
    tls_handshake_ms: u64 = 3_000,
    /// Bytes of answers that a socket accepts before the client's kernel has room for them. Bounds
    /// the memory of slow clients, and shows how fast they read.
    http_unsent_bytes: u32 = 256 * 1024,
    /// How long a client may take to send the head of a request.
    request_head_ms: u64 = 10_000,
    /// How long a client may take to send a JSON body.
    request_body_ms: u64 = 10_000,

    // --- accounts ---
    /// Password hashes computed at once. 0: one per core.
    hashes_running: usize = 0,
    /// Password hashes waiting; then the network with most gets 429. 64 on 2 cores take about 1 s.
    hashes_waiting: usize = 64,
    /// How long a password waits to be hashed.
    hashes_patience_ms: u64 = 10_000,
    /// Logins at once that do not wait for their turn at an account, some KiB each.
    logins: usize = 512,
    /// Logins reserved for networks without a login in progress.
    logins_reserve: usize = 128,
    /// Logins of one network at once. Further ones wait.
    logins_per_address: usize = 16,
    /// Logins that wait for their turn at an account, mostly after failures. Further ones get 429.
    logins_delayed: usize = 1024,
    /// The same for one network.
    logins_delayed_per_address: usize = 64,
    /// Logins that wait for one of `logins`.
    logins_waiting: usize = 512,
    /// Logins that wait out a delay at once, for one account from one network. Beyond it, a random
    /// one of them gets 429. The default equals `logins_per_address`, so that immediate retries
    /// cannot push out the other logins of their network.
    delayed_per_login: usize = 16,
    /// How long a login waits for a slot, and again for its turn: longer than the longest delay.
    logins_patience_ms: u64 = 45_000,
    /// Networks per account with an earlier login. Their logins do not wait for others' guesses.
    familiar_networks: usize = 8,
    /// Registrations from one address at once.
    registrations_burst: u32 = 100,
    /// Registrations from one address per minute, after the burst.
    registrations_per_minute: u32 = 10,
    /// Failed logins of an account before the next one is delayed; also the tries at once.
    login_failures_free: u32 = 10,
    /// The longest delay after failed logins. The delay starts at 1 s and doubles.
    login_delay_max_ms: u64 = 30_000,
    /// The longest delay of tries from a familiar network, or by a user who is logged in. So short
    /// that a few waiting tries mostly have their turn within `logins_patience_ms`.
    login_delay_known_max_ms: u64 = 5_000,
    /// Accounts whose failures are tracked, and the same number of networks.
    login_failures_tracked: usize = 10_000,
    /// How long an access token is valid.
    access_token_seconds: i64 = 900,
    /// How long a refresh token is valid. Using it renews it.
    refresh_token_seconds: i64 = 30 * 24 * 3600,
    /// Time after the first exchange of a refresh token in which it can be exchanged again for the
    /// same successor. Afterwards its reuse ends the login. 0: it can be exchanged once.
    refresh_repeat_seconds: i64 = 86_400,
    /// Time after the first use of its successor in which an old refresh token is refused without
    /// ending its login. 0: its reuse always ends the login.
    refresh_race_seconds: i64 = 0,
    /// Superseded refresh tokens kept per login, to recognise a stolen one.
    refresh_history: i64 = 100,
    /// Seconds after a login in which an access token can be made without the password: enough time
    /// to log in and do so, and less than a stolen login mostly needs.
    fresh_login_seconds: i64 = 600,
    /// A logout of all logins also ends the access tokens made this many seconds before it: a day,
    /// in which a theft is mostly noticed.
    recent_token_seconds: i64 = 24 * 3600,
    /// Days after which a personal access token expires, unless its maker sets another expiry.
    token_default_days: i64 = 90,
    /// Days before the expiry of a personal access token when its owner is notified.
    token_warning_days: i64 = 7,
    /// Seconds in which the uses of a token are written once: a row for each token in use.
    token_use_seconds: i64 = 3600,
    /// Milliseconds between two writes of the uses of tokens.
    token_use_write_ms: u64 = 60_000,
    /// Tokens whose use waits to be written, some 100 bytes each. Further uses are not recorded.
    token_uses_pending: usize = 10_000,
    /// Active logins of one user. Beyond it, the oldest ends.
    logins_per_user: i64 = 100,

    // --- chats ---
    /// Messages of one user per second, after the burst.
    messages_per_second: u32 = 100,
    /// Messages of one user at once.
    messages_burst: u32 = 2_000,
    /// Other changes of one user per second: chats, additions (each user counts), roles, names.
    changes_per_second: u32 = 5,
    /// Such changes at once.
    changes_burst: u32 = 1_000,
    /// Strangers (no common chat or project) that a user adds per hour, after the burst.
    strangers_added_per_hour: u32 = 60,
    /// Such strangers at once. A group with a whole department fits.
    strangers_added_burst: u32 = 200,
    /// How often one user is added to chats and projects by strangers per hour, after the burst.
    added_by_strangers_per_hour: u32 = 20,
    /// The same at once.
    added_by_strangers_burst: u32 = 30,
    /// How often a user is added by anyone but administrators per hour, after the burst.
    added_per_hour: u32 = 240,
    /// The same at once.
    added_burst: u32 = 400,
    /// How often a user is added by the same non-stranger per hour, after the burst.
    added_by_one_per_hour: u32 = 60,
    /// The same at once.
    added_by_one_burst: u32 = 100,
    /// Users that one user can block. All of them are in memory, some 50 bytes each.
    blocks_per_user: usize = 1_000,
    /// Chats left in one command by a user who leaves all chats of one adder: six rows each.
    left_per_command: usize = 80,
    /// Chats that one user can make or join. Chats that others add the user to do not count.
    chats_per_user: usize = 10_000,
    /// Reactions to one message. Its readers receive all of them, with the message.
    reactions_per_message: usize = 500,
    /// Different emoji among the reactions to one message.
    emojis_per_message: usize = 50,
    /// Messages deleted in one command because a chat keeps fewer: three rows each. Also bounds
    /// their events and thread followers in one command; those of one message are deleted together.
    trimmed_per_command: i64 = 100,
    /// Rows of a deleted chat that one command removes.
    purged_per_command: i64 = 500,
    /// Seconds that an archived chat without participants is kept for an administrator's takeover.
    empty_chat_seconds: i64 = 7 * 24 * 3_600,
    /// How often chats that keep a limited number of messages are trimmed.
    trim_ms: u64 = 60_000,
    /// Participants of one chat.
    participants_per_chat: usize = 10_000,

    // --- projects and git ---
    /// Projects under one user's name.
    projects_per_user: i64 = 1_000,
    /// Repositories of one project. All of them are marked in one command when it is deleted.
    repositories_per_project: i64 = 400,
    /// Former names of the projects of one user, or of the repositories of one project.
    former_names: i64 = 1_000,
    /// Personal access tokens of one user.
    access_tokens_per_user: i64 = 100,
    /// Repositories that one token is restricted to.
    access_token_repositories: usize = 50,
    /// Notifications kept of each user, plus at most an eighth. All are marked in one command.
    notifications_per_user: i64 = 400,
    /// Users examined in one slice of notifications with many recipients: two rows each.
    notifications_per_command: i64 = 50,
    /// Milliseconds after which such a slice ends: other commands wait for it.
    notifications_slice_ms: u64 = 1,
    /// Attempts to write a message's notifications after a failure. Then the rest is dropped.
    notifications_attempts: i64 = 10,
    /// Users who are notified in the transaction of a message. More are notified in later slices.
    notifications_per_message: i64 = 8,
    /// Messages of one user with unwritten notifications. Further ones notify only a few users.
    notifying_messages_per_user: i64 = 1_000,
    /// A slice of notifications yields while more than this many commands wait for the writer.
    notifications_yield_to: u64 = 32,
    /// Milliseconds for which a slice of notifications yields at most.
    notifications_yield_ms: u64 = 20,
    /// Members that one message mentions and notifies. Further names are only text.
    mentions_per_message: usize = 50,
    /// Messages with `@all` of one user per hour, after the burst. Further `@all` notify no user.
    everybody_mentions_per_hour: u32 = 60,
    /// The same at once.
    everybody_mentions_burst: u32 = 20,
    /// Bytes on disk of one repository.
    repository_bytes: u64 = 10 * 1024 * 1024 * 1024,
    /// Clones and fetches of known users at once, over all repositories: one or two processes each.
    git_reads: usize = 16,
    /// Advertisements of refs to known users at once. Every clone, fetch and push begins with one.
    git_advertisements: usize = 16,
    /// Clones, fetches and advertisements at once of clients without an account.
    git_visitors: usize = 16,
    /// Pushes at once.
    git_writes: usize = 8,
    /// Archives at once.
    git_archives: usize = 4,
    /// Large raw files at once.
    git_bulk: usize = 8,
    /// Places in each of these pools reserved for accounts (visitors: networks) that hold none.
    git_reserve: usize = 2,
    /// Requests waiting in each of these pools. Beyond it, the holder with most is refused first.
    git_waiting: usize = 256,
    /// How long a git request waits for its turn. Below the 60 s timeout of many proxies.
    git_patience_ms: u64 = 45_000,
    /// How long a git request waits before the largest holder's slowest transfer ends for it.
    git_starved_ms: u64 = 5_000,
    /// Bytes per second, over the last 10 to 20 s. Where no account or network has two places in a
    /// pool, a client that transfers at least this much is never ended for another.
    git_busy_rate: u64 = 32 * 1024,
    /// Interval at which a running transfer checks that its client still has access.
    git_access_ms: u64 = 5_000,
    /// Bytes per second, averaged over `git_idle_ms`, below which a transfer is ended. Only the
    /// time in which the server waits for the client counts.
    git_rate: u64 = 1_024,
    /// Time until the head of a push (commands and options) must have arrived.
    git_head_ms: u64 = 30_000,
    /// The window of `git_rate`. It is long because the kernel buffers up to 4 MB unseen.
    git_idle_ms: u64 = 180_000,
    /// The longest git transfer.
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
    /// they arrive. The server keeps 16 bytes of each, git some 50 until it unpacks them.
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
    /// How long such a push waits for memory.
    git_unpacking_wait_ms: u64 = 120_000,
    /// Deltas in one chain, as git itself allows. Reading the last object applies them all.
    git_delta_chain: u32 = 4_095,
    /// Bytes that the objects of one push may unpack to. git hashes them all.
    git_unpacked_bytes: u64 = 4 * 1024 * 1024 * 1024,
    /// In addition to `git_unpacked_bytes`, per byte received. Real histories reach some hundred.
    git_unpacked_ratio: u64 = 500,
    /// Of these, the bytes of deltas with a base or result above 4 MiB. git loads and hashes some
    /// 50 MB of them per second.
    git_large_unpacked_bytes: u64 = 2 * 1024 * 1024 * 1024,
    /// In addition to `git_large_unpacked_bytes`, for each byte received.
    git_large_unpacked_ratio: u64 = 50,
    /// Memory that all git children may hold together, in bytes. Beyond it, the largest is ended.
    /// 0: an eighth of the machine's memory, at least 256 MiB.
    git_memory_bytes: u64 = 0,
    /// Memory of one git child, in bytes. Its address space may hold twice `repository_bytes` of
    /// packs in addition.
    git_child_bytes: u64 = 1024 * 1024 * 1024,
    /// Whether git children can access only their own repository and the system's programs
    /// (Landlock, where the kernel has it). Set to `false` for a git with files in unusual places.
    git_sandbox: bool = true,
    /// CPU seconds of one git child, plus one second for each `git_cpu_bytes` that it processes.
    git_cpu_seconds: u64 = 300,
    /// Bytes that a slow core inflates and hashes in a second.
    git_cpu_bytes: u64 = 32 * 1024 * 1024,
    /// Commits that the description of a push loads: some 20 us each.
    git_settle_commits: usize = 10_000,
    /// Bytes of commits that the description of a push reads.
    git_settle_bytes: usize = 32 * 1024 * 1024,
    /// How long the description of a push may take. It holds the results found by then.
    git_settle_ms: u64 = 2_000,
    /// Attempts to describe a push by its commits. After that it is settled without them.
    git_settle_attempts: i64 = 3,
    /// Refs of one repository.
    git_refs: usize = 200_000,
    /// Bytes of all repositories under one user's name.
    account_bytes: u64 = 50 * 1024 * 1024 * 1024,
    /// Free bytes that pushes leave for chats and accounts, at most a tenth of the file system.
    disk_reserve_bytes: u64 = 1024 * 1024 * 1024,
    /// Bytes that a push compressed as a whole (`Content-Encoding`) may inflate to. git sends none.
    git_gzip_push_bytes: u64 = 64 * 1024 * 1024,
    /// Bytes of an inflated fetch request, on disk beyond 64 KiB. A clone sends 50 bytes per ref.
    git_request_bytes: usize = 32 * 1024 * 1024,
    /// Folders, files, refs and first pages of commits read for browsing at once. 0: one per core.
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
    /// 503. Small answers are in memory.
    git_spool_bytes: u64 = 4 * 1024 * 1024 * 1024,
    /// How long a blame may compute.
    git_compute_ms: u64 = 30_000,
    /// The longest archive. It is packed while sent; a small repository can unfold to any size.
    git_archive_ms: u64 = 600_000,
    /// Files and folders in an archive. They are counted before git starts: nested trees of some
    /// hundred bytes can hold any number of them. 500,000 take git some 12 s.
    git_archive_entries: u64 = 500_000,
    /// Bytes of all paths in an archive together.
    git_archive_path_bytes: u64 = 64 * 1024 * 1024,
    /// Bytes of all files in an archive, uncompressed: less than a repository may hold on disk.
    git_archive_bytes: u64 = 8 * 1024 * 1024 * 1024,
    /// Pushes to a repository after which it is packed again in the background.
    maintenance_pushes: i64 = 50,
    /// Interval of the background search for repositories to pack, pushes to settle and trash.
    maintenance_ms: u64 = 30_000,

    // --- storage and life cycle ---
    /// WAL bytes written between two passive checkpoints.
    checkpoint_bytes: u64 = 4 * 1024 * 1024,
    /// WAL bytes beyond which the writer itself checkpoints between two batches.
    wal_bytes: u64 = 64 * 1024 * 1024,
    /// A command that takes this long in the writer is named in the log: all others wait for it.
    slow_command_ms: u64 = 100,
    /// How often a server that ran out of disk space tries to write again.
    read_only_probe_ms: u64 = 1_000,
    /// Time for a whole orderly shutdown.
    shutdown_ms: u64 = 10_000,
}
