//! Limits of accounts: passwords, logins, registrations and tokens.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Password hashes computed at once. 0: one per core. A hash keeps a core busy for some 30 ms.
    hashes_running: usize = 0,
    /// Password hashes waiting; then the network with most gets 429. 64 on 2 cores take about 1 s.
    hashes_waiting: usize = 64,
    /// How long a password waits to be hashed. Ten times what a full queue takes on 2 cores.
    hashes_patience_ms: u64 = 10_000,
    /// Logins at once that do not wait for their turn at an account, some KiB each. The number is a
    /// choice.
    logins: usize = 512,
    /// Logins reserved for networks without a login in progress. A quarter of `logins`.
    logins_reserve: usize = 128,
    /// Logins of one network at once. Further ones wait. So 24 networks are needed to take all
    /// `logins` without the reserve.
    logins_per_address: usize = 16,
    /// Logins that wait for their turn at an account, mostly after failures. Further ones get 429.
    /// A choice, twice `logins`: they hold none of those places.
    logins_delayed: usize = 1024,
    /// The same for one network. A sixteenth of `logins_delayed`, so that one network cannot take
    /// all.
    logins_delayed_per_address: usize = 64,
    /// Logins that wait for one of `logins`. As many as `logins`.
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
    /// How long an access token is valid. A choice: a session needs the token only in its `Hello`.
    access_token_seconds: i64 = 900,
    /// How long a refresh token is valid. Using it renews it. A client that is used once in 30 days
    /// stays logged in.
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
    /// Tokens whose use waits to be written, some 100 bytes each. Further uses are not recorded. So
    /// all take some 1 MB.
    token_uses_pending: usize = 10_000,
    /// Active logins of one user. Beyond it, the oldest ends.
    logins_per_user: i64 = 100,
}}}
pub(super) use add_limits;
