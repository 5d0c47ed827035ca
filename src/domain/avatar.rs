//! Avatars: small pictures of users, projects and chats. Without a picture, a user is shown by
//! initials.

use super::ids::{ChatId, ProjectId, UserId};

/// The side of an avatar in pixels.
pub const AVATAR_SIDE: u32 = 256;
/// Bytes of an avatar. A JPEG of this size in pixels has some 20 KiB; one that needs more has a
/// lower quality.
pub const AVATAR_BYTES_MAX: u64 = 32 * 1024;

/// The owner of an avatar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AvatarOf {
    User(UserId),
    Project(ProjectId),
    Chat(ChatId),
}

/// An avatar, as the server has made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avatar {
    /// The beginning of the hash of the bytes: part of URLs, so that each may be kept for long.
    pub version: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}
