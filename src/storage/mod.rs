//! The only room that knows SQL.
//!
//! `rows` turn table rows into domain values and back, `queries` hold one function per statement, `snapshot` loads the
//! read models, `unfinished` what a crash interrupted, `readers` is the pool of read-only connections. Writing functions are called inside the writer's
//! transaction and nowhere else.

pub mod copy;
pub mod metrics;
pub mod queries;
pub mod readers;
pub mod rows;
pub mod schema;
pub mod snapshot;
pub mod unfinished;

#[cfg(test)]
mod schema_test;
