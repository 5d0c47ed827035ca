//! Commands about how many messages a chat keeps.

use std::sync::Arc;

use serde_json::json;

use super::alterations::store;
use super::chats::load;
use super::fan_out::retract;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, Need, Proof};
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, chats, messages};

/// Says how many of its newest messages a chat keeps; `None`: all. What is gone stays gone.
pub struct SetRetention {
    pub who: Credential,
    pub chat: ChatId,
    pub keep: Option<i64>,
}

impl Command for SetRetention {
    type Output = ();
    const NAME: &'static str = "SetRetention";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, Need::ChatWrite)?;
        let (chat, role) = load(tx, self.chat, self.who.user)?;
        let by = if self.who.proof == Proof::Operator {
            accounts::first_admin(tx.look())?.ok_or(Refusal::Conflict("there is no administrator yet"))?
        } else {
            permission::own(&chat, role)?;
            self.who.user.0
        };
        if chat.retention == self.keep {
            return Ok(());
        }
        chats::set_retention(tx.write(), chat.id.0, self.keep, by)?;
        tx.audit(self.who, "chat.retention", ("chat", chat.id.0), &json!({"keep": self.keep}))?;
        tx.announce(Event::RetentionSet { chat_id: chat.id, keep: self.keep });
        Ok(())
    }
}

/// Deletes the oldest messages that a chat does not keep, as its owner who said so would; answers whether there are more.
pub struct TrimChat {
    pub chat: ChatId,
}

impl Command for TrimChat {
    type Output = bool;
    const NAME: &'static str = "TrimChat";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<bool> {
        let Some(chat) = chats::chat(tx.look(), self.chat.0)? else { return Ok(false) };
        let (Some(keep), (Some(by), trimmed)) = (chat.retention, chats::retention_of(tx.look(), chat.id.0)?)
        else {
            return Ok(false);
        };
        let limit = tx.limits.trimmed_per_command;
        let found = messages::to_trim(tx.look(), chat.id.0, trimmed, chat.last_ordinal - keep, limit)?;
        let Some(last) = found.last().map(|message| (message.seq, message.ordinal)) else { return Ok(false) };
        let more = i64::try_from(found.len()).unwrap_or(i64::MAX) >= limit;
        let mut last_seq = chat.last_seq;
        if let Some(first) = found.first() {
            retract(tx, chat.id, (first.seq, last.0))?;
        }
        for old in found.into_iter().filter(|message| !message.deleted) {
            let mut message = old.clone();
            message.take_back();
            message.updated_seq = Some(last_seq + 1);
            store(tx, &old, &message)?;
            tx.announce(Event::MessageChanged { message: Arc::new(message) });
            let change = Change::Delete { message_id: old.id };
            tx.append_event(chat.id, &mut last_seq, UserId(by), change)?;
        }
        chats::set_trimmed(tx.write(), chat.id.0, last.0, last.1)?;
        Ok(more)
    }
}
