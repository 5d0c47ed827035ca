//! The pages of the contents of a repository, and the frame that all pages of a repository have.

pub(super) mod frame;
pub(super) mod go;
pub(super) mod refs;
