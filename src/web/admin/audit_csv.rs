//! `/admin/audit.csv`: the audit log as a file for a spreadsheet (RFC 4180).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::audit::AuditQuery;
use super::audit_names::AuditNames;
use crate::core::saturate;
use crate::domain::access::Credential;
use crate::domain::audit::AuditEvent;
use crate::http::error::HttpResult;
use crate::http::extract::Query;
use crate::services::{ServiceError, Services};
use crate::web::layout;
use crate::web::visitor::Visitor;

/// Maximum entries of a file.
pub(super) const ENTRIES_MAX: usize = 5_000;
/// A file ends with the entry that makes it this long, or longer.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries that are read at a time.
const ENTRIES_READ: usize = 500;
const COLUMNS: &str = "id,time,actor_id,actor,action,target,target_name,detail,request_id\r\n";

/// A file.
struct Part {
    text: String,
    /// The oldest entry of the file, if older ones follow.
    cut_at: Option<i64>,
}

/// Returns the newest entries, or those before `cursor`. If older entries follow, the name of the
/// file ends with the id of its last entry: the `cursor` of the next file.
pub(in crate::web) async fn file(
    visitor: Visitor,
    request: HttpRequest,
    query: Query<AuditQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let part = part(&services, who, query.0.cursor.unwrap_or(i64::MAX)).await?;
    let disposition = format!("attachment; filename=\"{}\"", file_name(part.cut_at));
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/csv; charset=utf-8; header=present")
        .insert_header((header::CONTENT_DISPOSITION, disposition))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    layout::answer(&request, &mut response, part.text.into_bytes())
}

fn file_name(cut_at: Option<i64>) -> String {
    cut_at.map_or_else(|| "netbit-audit.csv".to_owned(), |id| format!("netbit-audit-cut-at-{id}.csv"))
}

async fn part(services: &Services, who: Credential, cursor: i64) -> Result<Part, ServiceError> {
    let (mut text, mut below, mut count) = (COLUMNS.to_owned(), cursor, 0);
    while count < ENTRIES_MAX && text.len() < BYTES_MAX {
        let wanted = ENTRIES_READ.min(ENTRIES_MAX.saturating_sub(count));
        let events = services.audit(Some(who), below, saturate::to_i64(wanted)).await?;
        let names = AuditNames::load(services, who, &events).await?;
        for event in &events {
            if text.len() >= BYTES_MAX {
                break;
            }
            put_row(&mut text, event, &names);
            below = event.id;
        }
        count = count.saturating_add(events.len());
        if events.len() < wanted {
            break;
        }
    }
    let has_older = !services.audit(Some(who), below, 1).await?.is_empty();
    Ok(Part { text, cut_at: has_older.then_some(below) })
}

fn put_row(text: &mut String, event: &AuditEvent, names: &AuditNames) {
    let actor_id = event.actor_id.map(|id| id.to_string()).unwrap_or_default();
    let actor = event.actor_id.map_or_else(|| "operator".to_owned(), |id| names.user(id));
    let cells = [
        &event.id.to_string(),
        &event.created_at.to_string(),
        &actor_id,
        &actor,
        &event.action,
        &event.target,
        &names.target(event).name,
        &event.detail,
        event.request_id.as_ref().unwrap_or(&String::new()),
    ]
    .map(|cell| quoted(cell));
    text.push_str(&cells.join(","));
    text.push_str("\r\n");
}

/// Quotes a cell. A text that a spreadsheet would read as a formula begins with an apostrophe.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let mark = if is_formula { "'" } else { "" };
    format!("\"{mark}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_shows_that_entries_are_missing() {
        assert_eq!(file_name(None), "netbit-audit.csv");
        assert_eq!(file_name(Some(812)), "netbit-audit-cut-at-812.csv");
    }

    #[test]
    fn cell_is_quoted_and_never_a_formula() {
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(quoted(formula), format!("\"'{formula}\""));
        }
        assert_eq!(quoted(""), "\"\"");
    }
}
