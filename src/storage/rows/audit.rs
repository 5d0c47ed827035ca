//! Rows of `audit_events`.

use diesel::prelude::*;

use crate::domain::audit::AuditEvent;
use crate::domain::ids::UserId;
use crate::domain::timestamp::Timestamp;
use crate::storage::schema::audit_events;

#[derive(Debug, Insertable)]
#[diesel(table_name = audit_events)]
#[diesel(treat_none_as_default_value = false)]
pub struct NewAuditRow<'a> {
    pub actor_id: Option<UserId>,
    pub action: &'a str,
    pub target: &'a str,
    pub detail: &'a str,
    pub request_id: Option<&'a str>,
    pub created_at: i64,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = audit_events)]
pub struct AuditRow {
    pub id: i64,
    pub actor_id: Option<UserId>,
    pub action: String,
    pub target: String,
    pub detail: String,
    pub request_id: Option<String>,
    pub created_at: i64,
}

impl From<AuditRow> for AuditEvent {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            actor_id: row.actor_id,
            action: row.action,
            target: row.target,
            detail: row.detail,
            request_id: row.request_id,
            created_at: Timestamp(row.created_at),
        }
    }
}
