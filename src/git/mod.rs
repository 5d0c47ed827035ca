//! Git repositories: the only module that uses git2 or runs the `git` program.
//!
//! * [`store`] the directories on disk, named by storage keys; no name is chosen by a user
//! * [`program`] the `git` program that transfers packs, with a fixed environment and configuration
//! * [`pkt_line`], [`push_request`], [`report`] the parts of the smart protocol that the server
//!   itself reads and writes
//! * [`child`], [`cage`], [`memory`], [`sandbox`] how a child process is run, its resource limits
//!   and the files it can access
//! * [`pack_reader`], [`pack_limits`] checks of the sizes in a pushed pack before git receives them
//! * [`object_count`] the number of objects in a repository and its limit
//! * [`transfer`] one fetch or push: a child process between two pumps, ended when its client
//!   disconnects
//! * [`browse`] reads of repositories for the API; [`blame`] the commit of each line; [`history`]
//!   the refs and commits of a push
//! * [`maintenance`] repacking in the background
//!
//! Deliberately absent: authorization. Callers check permissions before they call this module.

pub mod archive_request;
pub mod blame;
pub mod browse;
mod cage;
pub mod child;
pub mod copies;
mod fsck;
#[cfg(test)]
mod handmade_pack;
pub mod history;
pub mod maintenance;
pub mod memory;
pub mod metrics;
pub mod object_count;
pub mod orphans;
pub mod pack_entries;
pub mod pack_limits;
pub mod pack_reader;
pub mod pkt_line;
mod process;
pub mod program;
pub mod push_request;
pub mod report;
pub mod run_child;
pub mod sandbox;
pub mod store;
pub mod transfer;
