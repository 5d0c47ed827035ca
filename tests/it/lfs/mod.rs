//! Git LFS: objects, their quotas and removal, locks, and the real client.

mod access;
mod locks;
mod objects;
mod program;
mod removal;
mod store;
mod uploads;
