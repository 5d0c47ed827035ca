//! Several servers that share a database of PostgreSQL.

mod link;
mod state;
