//! Several nodes over one database of PostgreSQL.
//!
//! The tests run with `NETBIT_TEST_DATABASE=postgres` only.

mod proof;
