//! Commands about how many messages a chat keeps.

use serde_json::json;

use super::chats::load;
use super::fan_out::retract;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, Need, Proof};
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::messages::Trim;
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

/// Removes the oldest messages that a chat does not keep: `limits.trimmed_per_command` of them. Pinned messages and those
/// with replies that stay are kept. The last command of a round tells the chat, as its owner who said so would. Returns
/// whether there are more.
pub struct TrimChat {
    pub chat: ChatId,
}

impl Command for TrimChat {
    type Output = bool;
    const NAME: &'static str = "TrimChat";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<bool> {
        let Some(chat) = chats::chat(tx.look(), self.chat.0)? else { return Ok(false) };
        let (Some(keep), Some(by)) = (chat.retention, chats::retention_by(tx.look(), chat.id.0)?) else {
            return Ok(false);
        };
        let (above, most) = (chat.trimmed_seq, tx.limits.trimmed_per_command);
        let newest = chat.last_ordinal - keep;
        let found = messages::to_trim(tx.look(), chat.id.0, above, newest, most.saturating_add(1))?;
        let more = i64::try_from(found.len()).unwrap_or(i64::MAX) > most;
        let slice = usize::try_from(most).unwrap_or(usize::MAX);
        let Some((seq, ordinal)) = found.into_iter().take(slice).next_back() else { return Ok(false) };
        let trim = Trim { chat: chat.id.0, above, to: seq };
        let edited = messages::edited_above(tx.look(), trim)?;
        for message in &edited {
            messages::forget_edits(tx.write(), trim, *message)?;
        }
        messages::remove(tx.write(), trim)?;
        retract(tx, chat.id, (above + 1, seq))?;
        chats::set_trimmed(tx.write(), chat.id.0, seq, ordinal)?;
        tx.announce(Event::Trimmed { chat_id: chat.id, seq, ordinal, edited });
        if !more {
            let mut last_seq = chat.last_seq;
            tx.append_event(chat.id, &mut last_seq, UserId(by), Change::Trim { to_seq: seq })?;
        }
        Ok(more)
    }
}
