//! The only module that contains SQL.
//!
//! `rows` converts table rows to domain values and back. `queries` holds one function per
//! statement. `ids` makes typed ids columns. `snapshot` loads the read models. `unfinished` loads
//! the work that a crash interrupted. `readers` is the pool of read-only connections. `commit_log`
//! numbers the commits, and passes them to other nodes. `nodes` and `signing_key` hold what nodes
//! share on PostgreSQL. `database_copy` copies all rows to another database. `search_index` is the
//! index of messages, a file of its own, and `search_feed` reads the changes that it lacks.
//!
//! Invariant: functions that write the database are called only inside the writer's transaction.

pub mod commit_log;
pub mod copy;
pub mod database_copy;
mod failed_connections;
mod ids;
pub mod metrics;
pub mod nodes;
pub mod queries;
pub mod readers;
pub mod replica_check;
pub mod replicas;
pub mod rows;
pub mod schema;
pub mod search_feed;
pub mod search_index;
pub mod signing_key;
pub mod snapshot;
pub mod unfinished;

#[cfg(test)]
mod schema_test;
