//! The users of the server, as other users see them.

pub(super) mod list;
pub(super) mod show;
