//! Several nodes over one database of PostgreSQL. The tests are skipped on SQLite.

mod bus_server;
mod nodes;
mod presence;
