//! git over HTTP, with the installed git client and with raw requests.

mod access;
mod archives;
pub(crate) mod clients;
mod disconnects;
mod histories;
mod maintenance;
mod many_refs;
mod push_to_create;
mod pushes;
mod recovery;
mod refusals;
mod sentences;
mod wire;
