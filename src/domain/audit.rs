//! What administrators and owners did: kept for ever, changed by nobody.

use super::ids::UserId;
use super::timestamp::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    pub id: i64,
    /// Absent: the operator of the machine.
    pub actor_id: Option<UserId>,
    /// `user.deactivate`, `chat.rename`, `project.delete`, …
    pub action: String,
    /// `user:3`, `chat:7`, …
    pub target: String,
    /// What was set, as JSON.
    pub detail: String,
    /// Of the HTTP request, as in the log.
    pub request_id: Option<String>,
    pub created_at: Timestamp,
}
