//! Git repositories: the only room that uses git2 or runs the `git` program.
//!
//! * [`store`] the directories on disk, named by storage keys and nothing a user chose
//! * [`program`] the `git` that moves packs, with a fixed environment and configuration
//! * [`pkt_line`], [`push_head`], [`report`] the bytes of the smart protocol that the server itself reads and writes
//! * [`child`], [`cage`], [`memory`], [`sandbox`] how a child is run and what it may use and reach
//! * [`pack_reader`], [`pack_limits`] the sizes in a pushed pack, checked before git has it
//! * [`object_count`] how many objects a repository holds and may hold
//! * [`transfer`] one fetch or push: a child process between two pumps, ended with its client
//! * [`browse`] reading repositories for people; [`blame`] whose line is whose; [`history`] what a push brought
//! * [`maintenance`] packing in the background
//!
//! Deliberately absent: who may do what. Whoever calls has asked.

pub mod archive_request;
pub mod blame;
pub mod browse;
mod cage;
pub mod child;
pub mod compute;
mod fsck;
#[cfg(test)]
mod handmade_pack;
pub mod history;
pub mod leftovers;
pub mod maintenance;
pub mod memory;
pub mod metrics;
pub mod object_count;
pub mod pack_entries;
pub mod pack_limits;
pub mod pack_reader;
pub mod pkt_line;
mod process;
pub mod program;
pub mod push_head;
pub mod report;
pub mod sandbox;
pub mod store;
pub mod transfer;
