//! Updates of a message: edits, deletion, reactions, pins.

use std::sync::Arc;

use serde_json::json;

use super::administration::is_administrator;
use super::chats::{keep_name, load};
use super::code_talks;
use super::fan_out::retract;
use super::files;
use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::{Message, MessageUpdate};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{chats, messages};
use crate::storage::rows::message::MessageChanges;

/// Changes a message, and appends an event to the chat. An update that changes nothing makes no
/// event.
pub struct UpdateMessage {
    pub who: Credential,
    pub chat: ChatId,
    pub message: MessageId,
    pub update: MessageUpdate,
    /// Verdict of the rate limiter.
    pub within_rate: Result<(), Refusal>,
}

#[derive(Debug, Clone)]
pub struct UpdatedMessage {
    /// The message after the update.
    pub message: Arc<Message>,
    /// Seq of the event; if nothing changed, of the last event that touched the message.
    pub seq: Seq,
    /// The message was already in this state.
    pub duplicate: bool,
}

impl Command for UpdateMessage {
    type Output = UpdatedMessage;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn bytes(&self) -> usize {
        match &self.update {
            MessageUpdate::Edit { content, metadata } => {
                256 + content.as_str().len() + metadata.as_ref().map_or(0, |m| m.bytes())
            }
            _ => 256,
        }
    }

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<UpdatedMessage> {
        let grant = tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let me = self.who.user;
        let (chat, role) = load(tx, self.chat, me)?;
        let deletes = matches!(self.update, MessageUpdate::Delete);
        let is_administrator = deletes && is_administrator(tx, self.who, &grant)?;
        permission::read(&chat, role).or_else(|refused| permission::moderate(refused, is_administrator))?;
        let found = messages::in_chat(tx.reader(), chat.id, self.message)?;
        let old = found.ok_or(Refusal::NotFound("message"))?;
        let is_sender = old.sender_id == me;
        let mut moderates = false;
        match &self.update {
            MessageUpdate::Edit { content, .. } => {
                permission::edit(&chat, role, is_sender)?;
                if old.files.is_empty() {
                    content.check_is_present()?;
                }
            }
            MessageUpdate::Delete => {
                if let Err(refused) = permission::delete(&chat, role, is_sender) {
                    permission::moderate(refused, is_administrator)?;
                    moderates = true;
                }
            }
            MessageUpdate::React(_) | MessageUpdate::Unreact(_) => permission::react(&chat, role)?,
            MessageUpdate::Pin | MessageUpdate::Unpin => permission::post(&chat, role)?,
        }
        self.within_rate.clone()?;
        let Some((mut message, change)) = self.altered(&old, me, tx)? else {
            let seq = old.updated_seq.unwrap_or(old.seq);
            return Ok(UpdatedMessage { message: old.into(), seq, duplicate: true });
        };
        if moderates {
            let detail = json!({"message_id": old.id, "sender_id": old.sender_id});
            tx.audit(self.who, "message.delete", ("chat", chat.id.0), &detail)?;
            if role.is_none() {
                keep_name(tx, chat.id, me)?;
            }
        }
        let seq = chat.last_seq + 1;
        message.updated_seq = Some(seq);
        store(tx, &old, &message)?;
        code_talks::index_again(tx, &chat, (&old, &message))?;
        let message = Arc::new(message);
        let change = match change {
            Announcement::Edit => Change::Edit(message.clone()),
            Announcement::Other(change) => change,
        };
        tx.announce(Event::MessageChanged { message: message.clone() });
        let mut last_seq = chat.last_seq;
        tx.append_event(chat.id, &mut last_seq, me, change)?;
        let may_go = matches!(self.update, MessageUpdate::Delete | MessageUpdate::Unpin);
        if may_go && chat.retention.is_some() && chat.trimmed_seq > 0 {
            // Retention may have kept the message, or the first one of its thread, only for this
            // reason.
            chats::set_again_above(tx.write(), chat.id, Some(0))?;
        }
        if message.deleted {
            files::release(tx, &old)?;
            retract(tx, chat.id, &[(message.seq, message.seq)])?;
        }
        Ok(UpdatedMessage { message, seq, duplicate: false })
    }
}

/// The change to announce. An edit contains the message, which is not complete yet at this point.
enum Announcement {
    Edit,
    Other(Change),
}

impl UpdateMessage {
    /// Returns the message after the update, or `None` if nothing changes.
    fn altered(&self, old: &Message, me: UserId, tx: &Tx<'_>) -> Execution<Option<(Message, Announcement)>> {
        let mut message = old.clone();
        let (message_id, deleted) = (old.id, old.deleted);
        if deleted && !matches!(self.update, MessageUpdate::Delete) {
            return Err(Refusal::NotFound("message").into());
        }
        let (changed, announcement) = match &self.update {
            MessageUpdate::Edit { content, metadata } => {
                message.content = content.as_str().to_owned();
                if metadata.is_some() {
                    message.metadata.clone_from(metadata);
                }
                let changed = message.content != old.content || message.metadata != old.metadata;
                message.edited_at = Some(tx.now);
                (changed, Announcement::Edit)
            }
            MessageUpdate::Delete => {
                message.redact();
                (!deleted, Announcement::Other(Change::Delete { message_id }))
            }
            MessageUpdate::React(emoji) => {
                let changed = message.react(me, emoji);
                let total: usize = message.reactions.iter().map(|reaction| reaction.user_ids.len()).sum();
                if total > tx.limits.reactions_per_message
                    || message.reactions.len() > tx.limits.emojis_per_message
                {
                    return Err(Refusal::Conflict(
                        "the message has the maximum number of reactions; remove one first",
                    )
                    .into());
                }
                let emoji = emoji.as_str().to_owned();
                (changed, Announcement::Other(Change::React { message_id, emoji }))
            }
            MessageUpdate::Unreact(emoji) => {
                let changed = message.unreact(me, emoji);
                let emoji = emoji.as_str().to_owned();
                (changed, Announcement::Other(Change::Unreact { message_id, emoji }))
            }
            MessageUpdate::Pin => {
                message.pinned = true;
                (!old.pinned, Announcement::Other(Change::Pin { message_id }))
            }
            MessageUpdate::Unpin => {
                message.pinned = false;
                (old.pinned, Announcement::Other(Change::Unpin { message_id }))
            }
        };
        Ok(changed.then_some((message, announcement)))
    }
}

fn store(tx: &mut Tx<'_>, old: &Message, message: &Message) -> Execution<()> {
    let unwritable = |_| Refusal::invalid("metadata", "cannot be written as JSON");
    let metadata = message.metadata.as_ref().map(serde_json::to_string).transpose().map_err(unwritable)?;
    let reactions = (!message.reactions.is_empty()).then(|| serde_json::to_string(&message.reactions));
    let reactions = reactions.transpose().map_err(unwritable)?;
    let now = tx.now.0;
    let changes = MessageChanges {
        content: &message.content,
        metadata: Some(metadata.as_deref()),
        edited_at: message.edited_at.map(|at| at.0),
        deleted_at: (message.deleted && !old.deleted).then_some(now),
        pinned_at: (message.pinned != old.pinned).then(|| message.pinned.then_some(now)),
        reactions: Some(reactions.as_deref()),
        updated_seq: message.updated_seq.unwrap_or(message.seq),
        files: (message.deleted && !old.files.is_empty()).then_some(None),
    };
    Ok(messages::change(tx.write(), message.id, &changes)?)
}
