//! The audit log: actions of administrators and owners. Its entries are kept permanently and never
//! changed.

use super::ids::UserId;
use super::timestamp::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    pub id: i64,
    /// `None`: the operator of the machine.
    pub actor_id: Option<UserId>,
    /// `user.deactivate`, `chat.rename`, `project.delete`, …
    pub action: String,
    /// `user:3`, `chat:7`, …
    pub target: String,
    /// The new values, as JSON.
    pub detail: String,
    /// The id of the HTTP request, as in the log.
    pub request_id: Option<String>,
    pub created_at: Timestamp,
}
