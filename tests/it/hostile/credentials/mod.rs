//! Attacks with credentials: stolen logins, tokens with too many permissions, fresh servers, weak
//! passwords.

mod matrix;
mod passwords;
mod pushes;
mod setup;
mod tokens;

use serde_json::Value;

use crate::harness::{Person, database};

/// Runs a statement on the database of a stopped server.
fn change_database(directory: &std::path::Path, statement: &str) {
    database::writer(directory).execute(statement);
}

/// Returns the texts of the notifications about the user's own account, newest first.
async fn account_notifications(person: &Person) -> Vec<String> {
    let list = person.get("/api/notifications?limit=100").await.body;
    let items = list["items"].as_array().unwrap().iter();
    items
        .filter(|item| item["kind"] == "account")
        .map(|item| item["text"].as_str().unwrap().to_owned())
        .collect()
}

/// Returns the audit events with this action, newest first.
async fn audited(administrator: &Person, action: &str) -> Vec<Value> {
    let page = administrator.get("/api/admin/audit?limit=100").await.body;
    page["items"].as_array().unwrap().iter().filter(|event| event["action"] == action).cloned().collect()
}
