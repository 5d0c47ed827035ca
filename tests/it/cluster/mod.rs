//! Several nodes over one database of PostgreSQL, each in its own process.

mod repositories;
mod storage_nodes;
