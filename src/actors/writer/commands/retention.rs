//! Commands about how many messages a chat keeps.

use serde_json::json;

use super::chats::{keep_name, load};
use super::fan_out::retract;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, Need, Proof};
use crate::domain::chat::Chat;
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
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
            let admin = accounts::first_admin(tx.look())?;
            admin.ok_or(Refusal::Conflict("there is no administrator yet"))?
        } else {
            permission::own(&chat, role)?;
            self.who.user.0
        };
        if chat.retention == self.keep {
            return Ok(());
        }
        chats::set_retention(tx.write(), chat.id.0, self.keep, by)?;
        if chat.trimmed_seq > 0 {
            chats::look_again(tx.write(), chat.id.0, self.keep.map(|_| 0))?;
        }
        keep_name(tx, chat.id, UserId(by))?;
        tx.audit(self.who, "chat.retention", ("chat", chat.id.0), &json!({"keep": self.keep}))?;
        tx.announce(Event::RetentionSet { chat_id: chat.id, keep: self.keep });
        Ok(())
    }
}

/// Removes the oldest messages that a chat does not keep: `limits.trimmed_per_command` of them. Pinned messages and those
/// with replies that stay are kept, and looked at again when that may have changed. When nothing is left to remove, the
/// chat gets one event for all that was removed, by the user who last set its retention. Returns whether there may be
/// more to do.
pub struct TrimChat {
    pub chat: ChatId,
}

impl Command for TrimChat {
    type Output = bool;
    const NAME: &'static str = "TrimChat";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<bool> {
        let Some(chat) = chats::chat(tx.look(), self.chat.0)? else { return Ok(false) };
        let trims = chats::trims(tx.look(), chat.id.0)?;
        if let Some(keep) = chat.retention {
            let ordinal_max = chat.last_ordinal - keep;
            if trim_next(tx, &chat, ordinal_max)? {
                return Ok(true);
            }
            if let Some(above) = trims.again_above {
                trim_again(tx, &chat, above, ordinal_max)?;
                return Ok(true);
            }
        }
        if trims.untold {
            chats::set_told(tx.write(), chat.id.0)?;
            if let Some(by) = trims.by {
                let mut last_seq = chat.last_seq;
                tx.append_event(chat.id, &mut last_seq, by, Change::Trim { to_seq: chat.trimmed_seq })?;
            }
        }
        Ok(false)
    }
}

/// Trims the chat up to a later seq; `false`: there is nothing to trim.
fn trim_next(tx: &mut Tx<'_>, chat: &Chat, ordinal_max: i64) -> Execution<bool> {
    let (id, above, most) = (chat.id.0, chat.trimmed_seq, tx.limits.trimmed_per_command);
    let found = messages::to_trim(tx.look(), id, (above, Seq::MAX), ordinal_max, most)?;
    let Some(&(seq, ordinal)) = found.last() else { return Ok(false) };
    let trim = Trim { chat: id, above, to: seq, trimmed: seq };
    // A reply that goes may be the last one to a message further below.
    if above > 0 && messages::any_reply_goes(tx.look(), trim)? {
        chats::look_again(tx.write(), id, Some(0))?;
    }
    let edited = remove(tx, &found, trim)?.edited;
    messages::remove_events(tx.write(), trim)?;
    chats::set_trimmed(tx.write(), id, seq, ordinal)?;
    chats::set_untold(tx.write(), id)?;
    tx.announce(Event::Trimmed { chat_id: chat.id, seq, ordinal, edited });
    Ok(true)
}

/// Looks again at messages that stayed when the chat was trimmed: they were pinned or had replies.
fn trim_again(tx: &mut Tx<'_>, chat: &Chat, above: Seq, ordinal_max: i64) -> Execution<()> {
    let (id, trimmed, most) = (chat.id.0, chat.trimmed_seq, tx.limits.trimmed_per_command);
    let found = messages::to_trim(tx.look(), id, (above, trimmed), ordinal_max, most)?;
    let Some(&(to, _)) = found.last() else {
        chats::look_again(tx.write(), id, None)?;
        return Ok(());
    };
    let removed = remove(tx, &found, Trim { chat: id, above, to, trimmed })?;
    chats::look_again(tx.write(), id, Some(to))?;
    if removed.count > 0 {
        chats::set_untold(tx.write(), id)?;
        let (seq, ordinal) = (trimmed, chat.trimmed_ordinal);
        tx.announce(Event::Trimmed { chat_id: chat.id, seq, ordinal, edited: removed.edited });
    }
    Ok(())
}

struct Removed {
    count: usize,
    /// Messages that later events showed as edited.
    edited: Vec<MessageId>,
}

/// Removes those of the messages that go, and their notifications.
fn remove(tx: &mut Tx<'_>, found: &[(Seq, i64)], trim: Trim) -> Execution<Removed> {
    let edited = messages::edited_above(tx.look(), trim)?;
    for message in &edited {
        messages::forget_edits(tx.write(), trim, *message)?;
    }
    let count = messages::remove(tx.write(), trim)?;
    let staying = messages::seqs_in(tx.look(), trim)?;
    for range in runs(found, &staying) {
        retract(tx, ChatId(trim.chat), range)?;
    }
    Ok(Removed { count, edited })
}

/// The ranges of seqs, from the first to the last, that hold removed messages and none that stays. Both are in order.
fn runs(found: &[(Seq, i64)], staying: &[Seq]) -> Vec<(Seq, Seq)> {
    let mut runs: Vec<(Seq, Seq)> = Vec::new();
    let mut goes_on = false;
    for (seq, _) in found {
        if staying.binary_search(seq).is_ok() {
            goes_on = false;
            continue;
        }
        match runs.last_mut().filter(|_| goes_on) {
            Some(run) => run.1 = *seq,
            None => runs.push((*seq, *seq)),
        }
        goes_on = true;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_removed_messages_and_none_that_stays() {
        let found: Vec<(Seq, i64)> = [2, 3, 5, 8, 9].into_iter().zip(1..).collect();
        assert_eq!(runs(&found, &[]), [(2, 9)]);
        assert_eq!(runs(&found, &[5]), [(2, 3), (8, 9)]);
        assert_eq!(runs(&found, &[2, 8]), [(3, 5), (9, 9)]);
        assert_eq!(runs(&found, &[2, 3, 5, 8, 9]), []);
    }
}
