//! Several nodes over one database of PostgreSQL, each in its own process. The tests are skipped on
//! SQLite.

mod addresses;
mod backups;
mod bus_server;
mod files;
mod hops;
mod keys;
mod lfs;
mod link;
mod nodes;
mod presence;
mod proof;
mod repositories;
mod state;
mod storage_nodes;
