//! `/admin/audit`: actions of administrators and owners, the newest first.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::audit_csv::ENTRIES_MAX;
use super::audit_names::{AuditNames, NamedTarget, href_of, user_of, values_of};
use super::shell;
use crate::core::saturate;
use crate::domain::page::Page;
use crate::http::error::HttpResult;
use crate::http::extract::Query;
use crate::services::Services;
use crate::web::layout::{self, Shell};
use crate::web::shown::Moment;
use crate::web::visitor::Visitor;

struct AuditRow {
    at: Moment,
    /// Empty: the operator of the machine.
    actor: String,
    action: String,
    /// The action as words; empty for one that this page does not know.
    words: &'static str,
    /// The name of the object that the action is about, or its kind and id.
    target: String,
    /// The address of its page; empty if it has none.
    target_href: String,
    details: Vec<(String, String)>,
    request_id: String,
}

#[derive(Template)]
#[template(path = "admin/audit.html")]
struct AuditPage {
    shell: Shell,
    events: Vec<AuditRow>,
    is_first: bool,
    next: Option<String>,
    /// Entries of the file for spreadsheets.
    entries_max: usize,
}

impl AuditPage {
    fn href(username: &str) -> String {
        href_of(username)
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct AuditQuery {
    /// Only entries before this one.
    pub(super) cursor: Option<i64>,
}

/// Actions as words.
const ACTIONS: [(&str, &str); 26] = [
    ("chat.archive", "Chat archived or reopened"),
    ("chat.delete", "Chat deleted"),
    ("chat.remove", "Member of a chat removed"),
    ("chat.rename", "Chat renamed"),
    ("chat.retention", "Retention of a chat changed"),
    ("chat.role", "Role in a chat changed"),
    ("chat.take_over", "Chat taken over"),
    ("message.delete", "Message of another user deleted"),
    ("project.config", "Branches of a project configured"),
    ("project.delete", "Project deleted"),
    ("project.member", "Member of a project changed"),
    ("project.take_over", "Project taken over"),
    ("project.update", "Project changed"),
    ("repository.delete", "Repository deleted"),
    ("repository.update", "Repository changed"),
    ("token.create", "Access token created"),
    ("token.revoke", "Access token revoked"),
    ("token.revoke_all", "All access tokens revoked"),
    ("user.activate", "User reactivated"),
    ("user.add", "User added"),
    ("user.deactivate", "User deactivated"),
    ("user.password", "Password of a user set"),
    ("user.demote", "Made an ordinary user"),
    ("user.promote", "Made an administrator"),
    ("user.rename", "User renamed"),
    ("user.setup", "First administrator set up"),
];

/// Returns an action as words.
fn in_words(action: &str) -> &'static str {
    ACTIONS.iter().find(|(known, _)| *known == action).map_or("", |(_, words)| words)
}

/// Returns a value as text.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name} {}", text_of(value)));
            fields.collect::<Vec<_>>().join(" ")
        }
        Value::Number(_) | Value::Null => value.to_string(),
    }
}

/// Returns a page of the log.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    query: Query<AuditQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let (below, limit) = (query.0.cursor.unwrap_or(i64::MAX), services.limits.page_default);
    let wanted = saturate::to_i64(limit).saturating_add(1);
    let found = Page::take(services.audit(Some(who), below, wanted).await?, limit);
    let names = AuditNames::load(&services, who, &found.items).await?;
    let detail_of = |(name, value): (&String, &Value)| match user_of(name, value) {
        Some(id) => (name.trim_end_matches("_id").to_owned(), names.user(id)),
        None => (name.replace('_', " "), text_of(value)),
    };
    let rows = found.items.iter().map(|event| {
        let NamedTarget { name, href } = names.target(event);
        AuditRow {
            at: Moment::of(event.created_at),
            actor: event.actor_id.map(|id| names.user(id)).unwrap_or_default(),
            words: in_words(&event.action),
            action: event.action.clone(),
            target: name,
            target_href: href,
            details: values_of(event).iter().filter(|(_, value)| !value.is_null()).map(detail_of).collect(),
            request_id: event.request_id.clone().unwrap_or_default(),
        }
    });
    let page = AuditPage {
        shell: shell(&request, &visitor, "Audit log"),
        events: rows.collect(),
        entries_max: ENTRIES_MAX,
        is_first: query.0.cursor.is_none(),
        next: found.next_cursor(|event| format!("/admin/audit?cursor={}", event.id)),
    };
    layout::page(&request, &page).await
}
