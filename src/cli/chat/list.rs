//! `netbit chat list`: lists every chat, for the operator of the server.

use std::collections::HashMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::text::clean_line;
use crate::cli::DataDirFlag;
use crate::cli::control::{Control, Data, with_server};
use crate::cli::output::print_line;

#[derive(Args)]
pub(super) struct ListArguments {
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: DataDirFlag,
}

pub(super) fn run(arguments: &ListArguments) -> Result<ExitCode, ExitCode> {
    with_server(&arguments.place, Data::Exists, async |control| {
        if arguments.json {
            return control.each("/chats", "id", |chat| Ok(print_line!("{chat}")?)).await;
        }
        let names = names(&control).await?;
        print_line!("{:>6}  {:<8}  {:>7}  {:>9}  name", "id", "kind", "people", "messages")?;
        control.each("/chats", "id", |chat| Ok(print_line!("{}", line(chat, &names))?)).await
    })
}

/// Returns user names by id.
async fn names(control: &Control) -> anyhow::Result<HashMap<i64, String>> {
    let mut names = HashMap::new();
    let learn = |user: &Value| {
        let name = user.get("username").and_then(Value::as_str).unwrap_or_default();
        names.insert(number(user, "id"), name.to_owned());
        Ok(())
    };
    control.each("/users", "id", learn).await?;
    Ok(names)
}

fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or_default()
}

fn line(chat: &Value, names: &HashMap<i64, String>) -> String {
    let text = |key: &str| chat.get(key).and_then(Value::as_str).unwrap_or_default();
    let between = chat.get("between").and_then(Value::as_array).into_iter().flatten();
    let pair: Vec<_> = between.filter_map(|id| Some(names.get(&id.as_i64()?)?.as_str())).collect();
    let name = if pair.is_empty() { clean_line(text("name")) } else { pair.join(" and ") };
    let archived = chat.get("archived").and_then(Value::as_bool).unwrap_or(false);
    format!(
        "{:>6}  {:<8}  {:>7}  {:>9}  {name}{}",
        number(chat, "id"),
        text("kind"),
        number(chat, "participants"),
        number(chat, "messages"),
        if archived { " (archived)" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn direct_chat_is_named_by_its_users() {
        let names = HashMap::from([(1, "alice".to_owned()), (2, "bob".to_owned())]);
        let chat = json!({"id": 7, "kind": "direct", "between": [1, 2], "participants": 2, "messages": 12});
        assert_eq!(line(&chat, &names), "     7  direct          2         12  alice and bob");
        let chat =
            json!({"id": 8, "kind": "group", "name": "te\u{202e}am", "participants": 3, "archived": true});
        assert!(line(&chat, &names).ends_with("  team (archived)"), "{}", line(&chat, &names));
    }
}
