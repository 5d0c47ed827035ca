//! Events that are not messages, as sentences. For both front ends.

use crate::domain::ids::UserId;
use crate::domain::message::Message;
use crate::protocol::view::EventData;

/// Describes the event as a sentence that is not cleaned yet. Kinds that this client does not know,
/// and messages, return `None`.
pub(super) fn sentence(event: &EventData, name: impl Fn(UserId) -> String) -> Option<String> {
    let of = |user: Option<UserId>| user.map_or_else(|| "a user".to_owned(), &name);
    let (actor, person) = (of(event.actor_id), of(event.user_id));
    let is_own = event.user_id == event.actor_id;
    let emoji = event.emoji.as_deref().unwrap_or_default();
    Some(match event.kind.as_str() {
        "join" if is_own => format!("{person} joined"),
        "join" => format!("{actor} added {person}"),
        "leave" if is_own => format!("{person} left"),
        "leave" => format!("{actor} removed {person}"),
        "role" => {
            format!("{actor} made {person} {}", event.role.map_or("something else", |role| role.as_str()))
        }
        "rename" => format!("{actor} renamed the chat to \"{}\"", event.name.as_deref().unwrap_or_default()),
        "edit" => format!("{actor} edited: {}", event.message.as_ref().map_or("", content)),
        "delete" => format!("{actor} deleted a message"),
        "react" => format!("{actor} reacted with {emoji}"),
        "unreact" => format!("{actor} removed the reaction {emoji}"),
        "pin" => format!("{actor} pinned a message"),
        "unpin" => format!("{actor} unpinned a message"),
        "archive" if event.archived == Some(false) => format!("{actor} reopened the chat"),
        "archive" => format!("{actor} archived the chat"),
        _ => return None,
    })
}

/// Returns the content of a message, or a note that it was deleted.
pub(super) fn content(message: &Message) -> &str {
    if message.deleted { "(deleted)" } else { &message.content }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_described_with_their_users() {
        for (fields, text) in [
            (json!({"kind": "join", "actor_id": 2, "user_id": 2}), Some("u2 joined")),
            (json!({"kind": "join", "actor_id": 2, "user_id": 3}), Some("u2 added u3")),
            (json!({"kind": "leave", "actor_id": 2, "user_id": 3}), Some("u2 removed u3")),
            (json!({"kind": "rename", "actor_id": 2, "name": "x"}), Some("u2 renamed the chat to \"x\"")),
            (json!({"kind": "archive", "actor_id": 2, "archived": false}), Some("u2 reopened the chat")),
            (json!({"kind": "react", "actor_id": 2, "emoji": "+1"}), Some("u2 reacted with +1")),
            (json!({"kind": "pin"}), Some("a user pinned a message")),
            (json!({"kind": "of the future"}), None),
        ] {
            let mut value = json!({"chat_id": 1, "seq": 1});
            value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let event: EventData = serde_json::from_value(value).unwrap();
            assert_eq!(sentence(&event, |user| format!("u{user}")).as_deref(), text);
        }
    }
}
