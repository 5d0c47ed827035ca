//! Deletion of chats: by an owner, or because a chat has no participants any more.

use serde_json::json;

use super::chats::load;
use super::fan_out::retract;
use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::avatar::AvatarOf;
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, Seq};
use crate::domain::permission::chat as permission;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::{avatars, chats};

/// Deletes a chat. It disappears for all users at once; [`PurgeChat`] removes its rows later.
pub struct DeleteChat {
    pub who: Credential,
    pub chat: ChatId,
}

impl Command for DeleteChat {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let (chat, role) = load(tx, self.chat, self.who.user)?;
        permission::delete_chat(&chat, role)?;
        tx.audit(self.who, "chat.delete", ("chat", chat.id.0), &json!({"name": chat.name}))?;
        remove(tx, chat.id)
    }
}

/// Deletes an archived chat that has had no participants since `before` or longer.
pub struct DeleteEmptyChat {
    pub chat: ChatId,
    pub before: Timestamp,
}

impl Command for DeleteEmptyChat {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        if chats::is_empty_since(tx.reader(), self.chat, self.before.0)? {
            remove(tx, self.chat)?;
        }
        Ok(())
    }
}

fn remove(tx: &mut Tx<'_>, chat: ChatId) -> Execution<()> {
    let now = tx.now.0;
    avatars::set_avatar(tx.write(), AvatarOf::Chat(chat), None, now)?;
    chats::set_deleted(tx.write(), chat, now)?;
    tx.announce(Event::ChatDeleted { chat_id: chat });
    retract(tx, chat, &[(0, Seq::MAX)])
}

/// Removes up to `limits.purged_per_command` rows of a deleted chat. Returns whether more may be
/// left.
pub struct PurgeChat {
    pub chat: ChatId,
}

impl Command for PurgeChat {
    type Output = bool;
    /// The deletion of the chat already emptied the writer cache.
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<bool> {
        if chats::chat(tx.reader(), self.chat)?.is_some() {
            return Ok(false);
        }
        let (limit, now) = (tx.limits.purged_per_command, tx.now.0);
        let more = chats::purge_some(tx.write(), self.chat, limit)?;
        if !more {
            chats::set_purged(tx.write(), self.chat, now)?;
        }
        Ok(more)
    }
}
