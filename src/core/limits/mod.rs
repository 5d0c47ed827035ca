//! Every limit and deadline of the server, in one place: key `limits.<field>`, default, and the reason for it.
//!
//! Durations end in `_ms` or `_seconds`, sizes in `_bytes`. Tests shrink them; nothing else in the code holds a bare
//! number that bounds a queue, a page, a frame or a wait.

mod check;
mod derived;

use serde::{Deserialize, Serialize};

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        /// The limits. Unknown keys are refused, missing ones take their defaults.
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

/// Notifications of each user in memory, some 250 bytes each.
pub const NOTIFICATIONS_CACHED: usize = 100;
/// Notifications of all users in memory.
pub const NOTIFICATIONS_CACHED_IN_ALL: usize = 200_000;

limits! {
    /// Whether rate limits apply at all. Off for trials and measurements.
    rates: bool = true,

    // --- actors -------------------------------------------------------------------------------------------------
    /// Queries inside the cache at once: at some 20 us each, about 5 ms of waiting.
    cache_queries: usize = 256,
    /// Commands inside the writer at once: two full batches, one committing and one collecting.
    writer_commands: usize = 1024,
    /// How many commands one user may have inside.
    commands_per_user: usize = 256,
    /// How many queries one user may have inside.
    queries_per_user: usize = 64,
    /// How long an ask waits for a place before it is refused as `overloaded`.
    ask_patience_ms: u64 = 2_000,
    /// Commands in one transaction.
    batch_commands: usize = 512,
    /// Bytes of commands in one transaction: bounds the WAL's growth per commit.
    batch_bytes: usize = 4 * 1024 * 1024,
    /// How long a batch may collect and execute before it commits.
    batch_ms: u64 = 20,
    /// Logins, chats, roles and names of messages that the writer remembers: some 200 bytes each. Beyond, it forgets them all and asks again.
    mirror_facts: usize = 100_000,
    /// People named in one creation of a chat: four rows each with their notifications, so that a command stays below 500 rows.
    create_participants: usize = 100,
    /// Connections that read history from the database.
    readers: usize = 4,
    /// Reads that wait for one of them; then the account with the most is refused first. So many that a flood waits out its
    /// patience instead of coming back at once.
    readers_waiting: usize = 4_096,
    /// Threads that own sessions; 0 means one per core.
    session_threads: usize = 0,
    /// Threads that serve HTTP; 0 means one per core.
    http_workers: usize = 0,
    /// Bytes of events on their way to one session thread; beyond, its sessions must reconnect and catch up.
    lane_bytes: usize = 8 * 1024 * 1024,

    // --- sessions -----------------------------------------------------------------------------------------------
    /// Connections in all.
    connections: usize = 20_000,
    /// Connections that have not said Hello yet, in all. The share of a network falls with the number of free ones.
    strangers: usize = 4_096,
    /// Connections that have not said Hello yet, from one address.
    strangers_per_address: usize = 1_024,
    /// Connections of sessions that only clients before their Hello may take, so that known users never hold all.
    /// Of connections over WebSocket at most a quarter.
    connections_reserve: usize = 1_024,
    /// Sessions, over TCP and over WebSocket, that only users without a session may take.
    sessions_reserve: usize = 256,
    /// How long a Hello waits for a place when known users hold all; every quarter of it the newest session of the
    /// largest user ends, if that user keeps more than the waiting one gets.
    sessions_patience_ms: u64 = 2_000,
    /// The first frame must be there by then.
    hello_timeout_ms: u64 = 5_000,
    /// How often a client should say something.
    heartbeat_ms: u64 = 30_000,
    /// A silent client is gone: two lost heartbeats and a half.
    silence_ms: u64 = 75_000,
    /// The rest of a frame must follow its beginning by then.
    frame_timeout_ms: u64 = 10_000,
    /// How long a closed connection is read on, so that the peer can read our last words.
    linger_ms: u64 = 1_000,
    /// A reader that takes nothing for so long is cut off.
    write_stall_ms: u64 = 30_000,
    /// A client's frame before Hello.
    stranger_frame_bytes: usize = 4 * 1024,
    /// A client's frame.
    frame_bytes: usize = 64 * 1024,
    /// A server's frame; what does not fit is paged.
    server_frame_bytes: usize = 1024 * 1024,
    /// Sessions of one user.
    sessions_per_user: usize = 500,
    /// Packets of one session that are being worked on; then its socket is not read.
    in_flight: usize = 64,
    /// Bytes waiting for one session's socket; then pushes are dropped and the client is told once.
    outbox_bytes: usize = 1024 * 1024,
    /// Frames waiting for one session's socket.
    outbox_frames: usize = 512,
    /// Bytes of large answers in memory that their clients have not taken yet: pages, lists and replays, over sessions and
    /// REST. An account has at most four times as much as is free, so a lone one four fifths.
    answer_bytes: usize = 128 * 1024 * 1024,
    /// An answer of up to so many bytes takes none of `answer_bytes`, over a session while at most half of it waits for the
    /// socket. Where no space is free, pages are cut to it.
    answer_small_bytes: usize = 32 * 1024,
    /// How long an answer of a session waits for space or for its reader before it is refused.
    answer_patience_ms: u64 = 10_000,
    /// How long a session collects marks of what was read before they are written, when nobody waits for the answer.
    mark_merge_ms: u64 = 500,
    /// The same for what was only delivered.
    delivered_merge_ms: u64 = 30_000,
    /// Chats whose marks are written in one command: a row each.
    marks_per_command: usize = 400,
    /// How long receipts of a chat are collected before the others hear of them.
    receipts_ms: u64 = 500,
    /// Receipts are only pushed in chats of at most so many people.
    receipts_participants: usize = 100,
    /// Chats that one session may have catching up, and cursors in one `Resume`.
    resume_chats: usize = 10_000,
    /// Events that are replayed of one chat; whoever misses more pages by itself.
    replay_events: i64 = 1_000,
    /// Events of a replay in one go: with what may wait below half, they fit the outbox.
    replay_page: usize = 100,
    /// Chats in one `Welcome` or `Chats`.
    welcome_chats: usize = 200,

    // --- presence and UDP ---------------------------------------------------------------------------------------
    /// How long a device counts as there after its last datagram: three and a half keepalives of 25 s.
    presence_ttl_ms: u64 = 90_000,
    /// How long somebody whose last connection ended is still shown, so that a reconnect goes unnoticed.
    offline_debounce_ms: u64 = 15_000,
    /// Changes are collected for so long before others hear of them.
    presence_tick_ms: u64 = 500,
    /// People in one `Presence` packet.
    presence_batch: usize = 500,
    /// One typing notice per person and chat in this time.
    typing_interval_ms: u64 = 2_500,
    /// Typing is not told in chats in which more people are connected.
    typing_participants: usize = 200,
    /// Questions about presence that wait at once.
    presence_queries: usize = 64,
    /// How long a UDP ticket is good for.
    udp_ticket_seconds: u64 = 600,
    /// UDP tickets of one user; the oldest gives way.
    udp_tickets_per_user: usize = 20,
    /// UDP tickets in all, some 700 bytes each; beyond, the oldest of the user who holds most gives way.
    udp_tickets: usize = 50_000,
    /// UDP tickets that one user is given per minute, after the burst: a ticket lives ten minutes.
    udp_tickets_per_minute: u32 = 30,
    /// UDP tickets that one user is given at once.
    udp_tickets_burst: u32 = 60,
    /// Nothing is pushed to an address that said nothing for so long.
    udp_push_window_ms: u64 = 60_000,
    /// Datagrams of one ticket per second, after the burst.
    udp_datagrams_per_second: u32 = 10,
    /// Datagrams of one ticket at once.
    udp_datagrams_burst: u32 = 40,
    /// Datagrams of presence on their way to one address; more follow when these are acknowledged.
    udp_batch_datagrams: usize = 16,
    /// After how long what was not acknowledged is sent again; it doubles four times, then waits for a `Ping`.
    udp_resend_ms: u64 = 500,

    // --- pages and bodies ---------------------------------------------------------------------------------------
    /// Items of a page when the client does not say.
    page_default: usize = 50,
    /// Items of a page at most.
    page_max: usize = 100,
    /// Names that one search for users by prefix looks at while registration is closed; the next page goes on behind them.
    users_scanned: usize = 1_000,
    /// Memberships of chats that one search for users by prefix looks at while registration is open: some 0.1 us each, in
    /// the thread of the cache. Those of the newest chats come first; the people of the others are found by their whole name.
    memberships_scanned: usize = 20_000,
    /// Chats that one message of the cache compares to find out which users share one: some 10 ns each. A request for more
    /// is answered in several messages.
    chats_compared: usize = 100_000,
    /// Questions of one user about others per second, after the burst: names behind ids, searches, presence.
    lookups_per_second: u32 = 20,
    /// The same at once.
    lookups_burst: u32 = 400,
    /// A JSON request body.
    body_bytes: usize = 64 * 1024,
    /// Path and query of a request, in bytes; beyond: 414. A path of 4 KiB fits, percent-encoded.
    uri_bytes: usize = 16 * 1024,
    /// Refused requests (4xx) that are logged at level `info` per second; more are logged at `debug` and counted.
    logged_refusals_per_second: u32 = 100,
    /// HTTP connections, over all workers. The share of a network falls with the number of free ones; a trusted
    /// proxy is not counted.
    http_connections: usize = 4_096,
    /// HTTP connections that WebSockets cannot take.
    http_reserve: usize = 1_024,
    /// Connections in their TLS handshake, beside the HTTP connections.
    http_handshakes: usize = 1_024,
    /// How long a client may take for the TLS handshake.
    tls_handshake_ms: u64 = 3_000,
    /// Bytes of answers that a socket takes before the client's kernel has room for them: it bounds the memory of slow
    /// readers, and shows how fast they read.
    http_unsent_bytes: u32 = 256 * 1024,
    /// How long a client may take to send the head of a request.
    request_head_ms: u64 = 10_000,
    /// How long a client may take to send a JSON body.
    request_body_ms: u64 = 10_000,

    // --- accounts -----------------------------------------------------------------------------------------------
    /// Password hashes computed at once; 0 means one per core.
    hashes_running: usize = 0,
    /// Password hashes waiting; then the network with the most gets 429. 64 waiting on 2 cores is about a second.
    hashes_waiting: usize = 64,
    /// How long a password waits to be hashed.
    hashes_patience_ms: u64 = 10_000,
    /// Logins at once that do not wait for their turn at an account; some KiB each.
    logins: usize = 512,
    /// Logins that only networks without a login under way may take.
    logins_reserve: usize = 128,
    /// The same of one network; further ones wait.
    logins_per_address: usize = 16,
    /// Logins that wait for their turn at an account, mostly because earlier ones failed; further ones: 429.
    logins_delayed: usize = 1024,
    /// The same of one network.
    logins_delayed_per_address: usize = 64,
    /// Logins that wait for one of `logins`.
    logins_waiting: usize = 512,
    /// Logins that wait out a delay at once, for one account from one network; beyond, a random one of them gets 429. As
    /// many as `logins_per_address`, so that tries that come back at once cannot push out the others of their network.
    delayed_per_login: usize = 16,
    /// How long a login waits for a place, and again for its turn at the account: longer than the longest delay.
    logins_patience_ms: u64 = 45_000,
    /// Networks per account from which its user has logged in, whose logins do not wait for the guesses of others.
    familiar_networks: usize = 8,
    /// Registrations from one address at once.
    registrations_burst: u32 = 100,
    /// Registrations from one address per minute after that.
    registrations_per_minute: u32 = 10,
    /// Failed logins of an account before the next one is delayed; also how many are tried at once.
    login_failures_free: u32 = 10,
    /// The longest such delay; it doubles from 1 s.
    login_delay_max_ms: u64 = 30_000,
    /// The longest delay of tries from a familiar network, or by a user who is logged in. So short that, of a few tries
    /// that wait there, each mostly has its turn within `logins_patience_ms`.
    login_delay_known_max_ms: u64 = 5_000,
    /// Accounts whose failures are remembered, and networks.
    login_failures_tracked: usize = 10_000,
    /// How long an access token is valid.
    access_token_seconds: i64 = 900,
    /// How long a refresh token is valid; using it renews it.
    refresh_token_seconds: i64 = 30 * 24 * 3600,
    /// For so long after its first exchange, a refresh token can be exchanged again for the same successor. Afterwards its
    /// reuse ends the login. 0: it can be exchanged once.
    refresh_repeat_seconds: i64 = 86_400,
    /// For so long after its successor was used, an old refresh token is refused without ending its login. 0: its reuse
    /// always ends the login.
    refresh_race_seconds: i64 = 0,
    /// Superseded refresh tokens remembered per login, to recognise a stolen one.
    refresh_history: i64 = 100,
    /// Seconds for which a login is fresh enough to make an access token without the password: time
    /// to log in and do so, and less than a stolen login mostly needs.
    fresh_login_seconds: i64 = 600,
    /// A logout of all logins also ends the access tokens made so many seconds before it: a day, in
    /// which a theft is mostly noticed.
    recent_token_seconds: i64 = 24 * 3600,
    /// Days after which a personal access token expires, unless its maker says otherwise.
    token_default_days: i64 = 90,
    /// Days before a personal access token expires that its owner is notified.
    token_warning_days: i64 = 7,
    /// Seconds within which the uses of a token are written once: a row for each token in use.
    token_use_seconds: i64 = 3600,
    /// Milliseconds between two writes of the uses of tokens.
    token_use_write_ms: u64 = 60_000,
    /// Tokens whose use waits to be written, some 100 bytes each; further uses are not noted.
    token_uses_pending: usize = 10_000,
    /// Logins of one user alive at once; the oldest ends.
    logins_per_user: i64 = 100,

    // --- chats --------------------------------------------------------------------------------------------------
    /// Messages of one user per second, after the burst.
    messages_per_second: u32 = 100,
    /// Messages of one user at once.
    messages_burst: u32 = 2_000,
    /// Other changes of one user per second: chats made, people added, roles, names. Each person named counts one.
    changes_per_second: u32 = 5,
    /// Such changes at once.
    changes_burst: u32 = 1_000,
    /// Strangers (no chat or project in common) that one user puts into chats and projects per hour, after the burst.
    strangers_added_per_hour: u32 = 60,
    /// Such strangers at once. A group with a whole department fits.
    strangers_added_burst: u32 = 200,
    /// How often one person is put into chats and projects by strangers per hour, after the burst.
    added_by_strangers_per_hour: u32 = 20,
    /// The same at once.
    added_by_strangers_burst: u32 = 30,
    /// How often one person is put into chats and projects by anyone but administrators per hour, after the burst.
    added_per_hour: u32 = 240,
    /// The same at once.
    added_burst: u32 = 400,
    /// How often one user, who is no stranger to the person, puts them into chats and projects per hour, after the burst.
    added_by_one_per_hour: u32 = 60,
    /// The same at once.
    added_by_one_burst: u32 = 100,
    /// Users that one user can block. All of them are in memory, some 50 bytes each.
    blocks_per_user: usize = 1_000,
    /// Chats that are left in one command when a user leaves all into which another put them: six rows each.
    left_per_command: usize = 80,
    /// Chats that one user can make or join; being added by others is not counted against anybody.
    chats_per_user: usize = 10_000,
    /// Reactions to one message: its readers get them all, with the message.
    reactions_per_message: usize = 500,
    /// Different emoji among them.
    emojis_per_message: usize = 50,
    /// Messages deleted in one command, because a chat keeps fewer: three rows each. Also how many events about messages,
    /// and how many followers of threads, go with them in one command; those of one message go at once.
    trimmed_per_command: i64 = 100,
    /// Rows of a deleted chat that one command removes.
    purged_per_command: i64 = 500,
    /// How long an archived chat that nobody is in is kept, in seconds: until then an administrator can take it over.
    empty_chat_seconds: i64 = 7 * 24 * 3_600,
    /// How often chats are looked at that keep only so many messages.
    trim_ms: u64 = 60_000,
    /// People in one chat.
    participants_per_chat: usize = 10_000,

    // --- projects and git ---------------------------------------------------------------------------------------
    /// Projects under one user's name.
    projects_per_user: i64 = 1_000,
    /// Repositories of one project: all of them are marked in one command when it is deleted.
    repositories_per_project: i64 = 400,
    /// Names that the projects of one user, or the repositories of one project, left behind.
    former_names: i64 = 1_000,
    /// Personal access tokens of one user.
    access_tokens_per_user: i64 = 100,
    /// Repositories that one token is for.
    access_token_repositories: usize = 50,
    /// Notifications kept of each user, and at most an eighth more: all of them are marked in one command.
    notifications_per_user: i64 = 400,
    /// People who are looked at in one slice of notifications that many people get: two rows each.
    notifications_per_command: i64 = 50,
    /// Milliseconds after which such a slice ends: other commands wait for it.
    notifications_slice_ms: u64 = 1,
    /// Attempts to write the notifications of one message after a failure; then the rest of them is dropped.
    notifications_attempts: i64 = 10,
    /// People who are notified in the transaction of a message; more are notified in slices behind it.
    notifications_per_message: i64 = 8,
    /// Messages of one user whose notifications wait to be written; further ones notify only few.
    notifying_messages_per_user: i64 = 1_000,
    /// Commands that wait for the writer while a slice of notifications lets them go first.
    notifications_yield_to: u64 = 32,
    /// Milliseconds for which a slice of notifications lets commands go first.
    notifications_yield_ms: u64 = 20,
    /// Members whom one message names and notifies; further names are only text.
    mentions_per_message: usize = 50,
    /// Messages with `@all` that one user sends per hour, after the burst; further ones notify no user with it.
    everybody_mentions_per_hour: u32 = 60,
    /// The same at once.
    everybody_mentions_burst: u32 = 20,
    /// What one repository may hold, in bytes on disk.
    repository_bytes: u64 = 10 * 1024 * 1024 * 1024,
    /// Clones and fetches of known users at once, over all repositories; each is a git process or two.
    git_reads: usize = 16,
    /// Advertisements of refs to known users at once: every clone, fetch and push begins with one.
    git_advertisements: usize = 16,
    /// Clones, fetches and advertisements at once of clients without an account.
    git_visitors: usize = 16,
    /// Pushes at once.
    git_writes: usize = 8,
    /// Archives at once.
    git_archives: usize = 4,
    /// Large raw files at once.
    git_bulk: usize = 8,
    /// Places in each of these pools that only an account (for visitors: a network) with nothing inside may take.
    git_reserve: usize = 2,
    /// Requests that wait in each of these pools; then the holder with the most is refused first.
    git_waiting: usize = 256,
    /// How long a git request waits for its turn before it is refused. Below the 60 s after which many proxies give up.
    git_patience_ms: u64 = 45_000,
    /// How long a git request waits before the slowest transfer of the largest holder is ended for it.
    git_starved_ms: u64 = 5_000,
    /// Bytes per second, over the last 10 to 20 s. Where no account or network has two places in a pool, a client that
    /// takes or sends at least so many is never ended for another.
    git_busy_rate: u64 = 32 * 1024,
    /// How often a running transfer asks whether its client still has the access that it began with.
    git_access_ms: u64 = 5_000,
    /// Bytes per second, averaged over `git_idle_ms`, below which a transfer is ended. Only the time counts in which the
    /// server waits for the client.
    git_rate: u64 = 1_024,
    /// The head of a push (commands and options) must be there by then.
    git_head_ms: u64 = 30_000,
    /// The window of `git_rate`. The kernel hides up to 4 MB from us, so this is long.
    git_idle_ms: u64 = 180_000,
    /// The longest git transfer.
    git_total_ms: u64 = 3_600_000,
    /// The commands and options at the head of a push: enough for `git_updates` refs with names of 200 bytes.
    git_head_bytes: usize = 6 * 1024 * 1024,
    /// Refs that one push may update. git keeps each in a file until they are packed behind the push.
    git_updates: usize = 20_000,
    /// Objects in one push. git keeps some 200 bytes of each in memory: raise it for the import of a larger history.
    git_push_objects: u32 = 1_500_000,
    /// Objects of one repository, as its packs count them. 0: as many as `git pack-objects` can clone within the smaller of
    /// `git_memory_bytes` and `git_child_bytes`, at 180 bytes each; at least 2,000,000.
    git_repository_objects: u64 = 0,
    /// Objects of all pushes that arrive at the same time, beyond the first 10,000 of each push. They count as they arrive.
    /// The server keeps 16 bytes of each, git some 50 until it unpacks them.
    git_pushed_objects: usize = 2_200_000,
    /// Bytes of a commit or an annotated tag that is pushed. Real ones have some hundred bytes.
    git_commit_bytes: u64 = 1024 * 1024,
    /// Bytes of a tree that is pushed: some 40 bytes an entry, so about 200,000 entries.
    git_tree_bytes: u64 = 8 * 1024 * 1024,
    /// Bytes of one pushed file. git streams files, unless they come as deltas.
    git_blob_bytes: u64 = 4 * 1024 * 1024 * 1024,
    /// Bytes of a pushed delta, of its base and of its result: git holds all three in memory.
    git_delta_bytes: u64 = 128 * 1024 * 1024,
    /// Pushes with a delta, base or result beyond this many bytes share three quarters of `git_memory_bytes` while they
    /// unpack, by the sum of the three.
    git_large_delta_bytes: u64 = 16 * 1024 * 1024,
    /// How long such a push waits for room.
    git_unpacking_wait_ms: u64 = 120_000,
    /// Deltas in one chain, as git itself allows: reading its last object applies them all.
    git_delta_chain: u32 = 4_095,
    /// Bytes that the objects of one push may unpack to: git hashes them all.
    git_unpacked_bytes: u64 = 4 * 1024 * 1024 * 1024,
    /// In addition to `git_unpacked_bytes`, for each byte received. Packs of real histories reach some hundred.
    git_unpacked_ratio: u64 = 500,
    /// Of these the bytes of deltas with a base or result above 4 MiB: git loads and hashes some 50 MB of them a second.
    git_large_unpacked_bytes: u64 = 2 * 1024 * 1024 * 1024,
    /// In addition to `git_large_unpacked_bytes`, for each byte received.
    git_large_unpacked_ratio: u64 = 50,
    /// Memory that all git children may hold together, in bytes; beyond it the largest is ended. 0: an eighth of the
    /// machine's memory, at least 256 MiB.
    git_memory_bytes: u64 = 0,
    /// Memory of one git child, in bytes; its address space may hold twice `repository_bytes` of packs in addition.
    git_child_bytes: u64 = 1024 * 1024 * 1024,
    /// Whether git children see their own repository and the system's programs only, where the kernel can keep that
    /// (Landlock). Off for a git whose files are in unusual places.
    git_sandbox: bool = true,
    /// CPU time of one git child, in seconds; in addition one second for each `git_cpu_bytes` that it works on.
    git_cpu_seconds: u64 = 300,
    /// Bytes that a slow core inflates and hashes in a second.
    git_cpu_bytes: u64 = 32 * 1024 * 1024,
    /// Commits that the description of a push loads: some 20 us each.
    git_settle_commits: usize = 10_000,
    /// Bytes of commits that the description of a push reads.
    git_settle_bytes: usize = 32 * 1024 * 1024,
    /// How long the description of a push may take; it holds what was found by then.
    git_settle_ms: u64 = 2_000,
    /// Attempts to describe a push by its commits; after that it is settled without them.
    git_settle_attempts: i64 = 3,
    /// Refs of one repository.
    git_refs: usize = 200_000,
    /// Bytes of all repositories under one user's name.
    account_bytes: u64 = 50 * 1024 * 1024 * 1024,
    /// Free space that pushes leave for chats and accounts, in bytes; at most a tenth of the file system.
    disk_reserve_bytes: u64 = 1024 * 1024 * 1024,
    /// A push that is compressed as a whole (`Content-Encoding`) may inflate to so many bytes. git sends none.
    git_gzip_push_bytes: u64 = 64 * 1024 * 1024,
    /// An inflated request to fetch. It is on disk beyond 64 KiB: a clone names every ref, with 50 bytes each.
    git_request_bytes: usize = 32 * 1024 * 1024,
    /// Folders, files, refs and first pages of commits read for browsing at once; 0 means one per core.
    git_browses: usize = 0,
    /// Histories read for browsing at once: of a path, of the entries of a folder, blames, comparisons, changes of a commit;
    /// 0 means one per core. They run behind everything else and never hold places of `git_browses`.
    git_histories: usize = 0,
    /// Memory for answers that took a walk through a history: last commits of folders, and pages of commits, half each.
    /// Some hundred bytes for each entry and commit. 0: none is kept.
    git_histories_cache_bytes: usize = 16 * 1024 * 1024,
    /// New commits of a push after which the commit-graph is written at once: some hundred commits are read in a few
    /// milliseconds without.
    git_graph_commits: usize = 300,
    /// Answers of browsing that are on disk until their clients have taken them, in bytes; then
    /// 503. Small ones are in memory.
    git_spool_bytes: u64 = 4 * 1024 * 1024 * 1024,
    /// How long a blame may compute.
    git_compute_ms: u64 = 30_000,
    /// The longest archive. It is packed while it is sent, and a small repository can unfold to any size.
    git_archive_ms: u64 = 600_000,
    /// Files and folders in an archive. They are counted before git starts: nested trees of some
    /// hundred bytes can hold any number of them. 500,000 take git some 12 s.
    git_archive_entries: u64 = 500_000,
    /// All paths in an archive together.
    git_archive_path_bytes: u64 = 64 * 1024 * 1024,
    /// All files in an archive together, before they are compressed: less than a repository may
    /// hold on disk.
    git_archive_bytes: u64 = 8 * 1024 * 1024 * 1024,
    /// Pushes to a repository before it is packed anew in the background.
    maintenance_pushes: i64 = 50,
    /// How often the background looks for repositories to pack, pushes to settle and trash to remove.
    maintenance_ms: u64 = 30_000,

    // --- storage and life ---------------------------------------------------------------------------------------
    /// WAL written between two passive checkpoints.
    checkpoint_bytes: u64 = 4 * 1024 * 1024,
    /// WAL beyond which the writer itself checkpoints between two batches.
    wal_bytes: u64 = 64 * 1024 * 1024,
    /// A command that takes so long in the writer is named in the log: all others wait for it.
    slow_command_ms: u64 = 100,
    /// How often a server that ran out of disk tries to write again.
    read_only_probe_ms: u64 = 1_000,
    /// All of an orderly stop.
    shutdown_ms: u64 = 10_000,
}
