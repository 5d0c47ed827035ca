//! Queries on `audit_events`.

use diesel::prelude::*;

use super::Db;
use crate::domain::audit::AuditEvent;
use crate::storage::rows::audit::{AuditRow, NewAuditRow};
use crate::storage::schema::audit_events;

pub fn insert(db: &mut Db, rows: &[NewAuditRow<'_>]) -> QueryResult<()> {
    diesel::insert_into(audit_events::table).values(rows).execute(db).map(drop)
}

/// Returns the newest events below an id.
pub fn below(db: &mut Db, id: i64, limit: i64) -> QueryResult<Vec<AuditEvent>> {
    let rows: Vec<AuditRow> = audit_events::table
        .filter(audit_events::id.lt(id))
        .order(audit_events::id.desc())
        .limit(limit)
        .select(AuditRow::as_select())
        .load(db)?;
    Ok(rows.into_iter().map(AuditEvent::from).collect())
}
