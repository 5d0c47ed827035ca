//! The pages of the contents of a repository, and the frame that all pages of a repository have.
//!
//! ```text
//! address -> frame::at_ref -> services (tree, blob, blame, files) -> paint -> template
//! ```
//!
//! Work in proportion to a file (highlighting, documents) runs outside of the event loop, with a
//! permit of the reader ([`Services::paint`](crate::services::Services::paint)).

pub(super) mod blame;
pub(super) mod blob;
pub(super) mod contents;
pub(super) mod documents;
pub(super) mod find;
pub(super) mod frame;
pub(super) mod go;
pub(super) mod home;
pub(super) mod lfs_objects;
mod lines;
mod listing;
pub(super) mod missing;
pub(super) mod refs;
pub(super) mod tree;
pub(super) mod words;
