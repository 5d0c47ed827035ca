//! Defines every limit and deadline of the server: key `limits.<field>`, default and meaning.
//!
//! The text of a limit has the reason for its default where the number follows from something:
//! another limit, a measurement, a protocol. Without a reason the number is a choice. A stated
//! relation, such as "a quarter of `logins`", describes the defaults; nothing enforces it.
//!
//! Each file defines the limits of one room. All of them are fields of [`Limits`], and all keys
//! stand below `[limits]`, in the order of the rooms.
//!
//! Durations end in `_ms` or `_seconds`, sizes in `_bytes`. Tests reduce them. No other code holds
//! a literal number that bounds a queue, a page, a frame or a wait.

macro_rules! define_limits {
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

/// Collects the limits of each room, in order, and defines [`Limits`] from them. The macro
/// `add_limits` of a room appends its limits to those collected so far.
macro_rules! rooms {
    ([$room:ident $($later:ident)*] $($limits:tt)*) => { $room::add_limits! { [$($later)*] $($limits)* } };
    ([] $($limits:tt)*) => { define_limits! { $($limits)* } };
}

mod accounts;
mod actors;
mod browsing;
mod chats;
mod check;
mod cluster;
mod derived;
mod files;
mod git;
mod http;
mod lfs;
mod maintenance;
mod notifications;
mod pages;
mod presence;
mod projects;
mod search;
mod sessions;
mod storage;

use serde::{Deserialize, Serialize};

/// Notifications of each user kept in memory, some 250 bytes each.
pub const NOTIFICATIONS_CACHED: usize = 100;
/// Notifications of all users kept in memory.
pub const NOTIFICATIONS_CACHED_IN_ALL: usize = 200_000;
/// SQL statements of one command of the writer, however many rows it changes. Each is a round trip
/// to a database server, and all other commands wait for it: 12 take 12 ms at 1 ms each, about half
/// of a batch (`batch_ms`).
pub const STATEMENTS_PER_COMMAND_MAX: usize = 12;
/// Rows that one statement names or inserts. SQLite binds at most 32,766 values, and the widest row
/// has 13.
pub const ROWS_PER_STATEMENT_MAX: usize = 2_000;

rooms! {
    [
        actors sessions presence pages http accounts chats
        projects notifications files lfs search git browsing maintenance storage cluster
    ]
    /// Whether rate limits apply at all. Set to `false` for trials and measurements.
    rates: bool = true,
}
