//! Recipients of the notifications of a push.

use crate::domain::ids::{ChatId, ProjectId, Seq, UserId};
use crate::domain::project::ProjectRole;

/// A user, in relation to a push.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub user_id: UserId,
    pub active: bool,
    pub role: Option<ProjectRole>,
    pub watches: bool,
    /// The user blocks the pusher.
    pub blocks_pusher: bool,
    /// The read cursor of a participant of the channel.
    pub read_seq: Option<Seq>,
}

/// The push whose recipients are queried.
#[derive(Debug, Clone, Copy)]
pub struct AnnouncedPush {
    pub project: ProjectId,
    pub channel: ChatId,
    pub pusher: UserId,
}
