//! Commands about notifications, and how others write them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, Need};
use crate::domain::chat::{Chat, ChatKind};
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, NotificationId, UserId};
use crate::domain::mention::{EVERYBODY, names_in};
use crate::domain::message::Message;
use crate::domain::notification::{Cause, Decision, NotificationKind, Standing, decide};
use crate::domain::refusal::Refusal;
use crate::storage::queries::chats::{self, Concerned};
use crate::storage::queries::{accounts, blocks, notifications};
use crate::storage::rows::notification::NewNotificationRow;

/// Writes a notification: two rows at most, for the oldest one gives way.
pub(super) fn notify(tx: &mut Tx<'_>, row: &NewNotificationRow<'_>) -> Execution<()> {
    let keep = tx.limits.notifications_per_user;
    let notification = Arc::new(notifications::insert(tx.write(), row)?);
    let forgotten = notifications::forget_old(tx.write(), row.user_id, keep)?;
    tx.announce(Event::Notified { notification });
    if let Some(newest) = forgotten {
        let (user_id, up_to) = (UserId(row.user_id), NotificationId(newest));
        tx.announce(Event::NotificationsForgotten { user_id, up_to });
    }
    Ok(())
}

/// Notifies those whom a message concerns, in its own transaction. The texts quote nothing: what is deleted later must
/// be nowhere.
pub(super) fn tell_of_message(
    tx: &mut Tx<'_>,
    chat: &Chat,
    message: &Message,
    replied_to: Option<UserId>,
) -> Execution<()> {
    let mut names = BTreeSet::new();
    names_in(&message.content, tx.limits.mentions_per_message, &mut names);
    let direct = chat.kind == ChatKind::Direct;
    if !direct && names.is_empty() && replied_to.is_none() {
        return Ok(());
    }
    let limit = tx.limits.notifications_per_command;
    let all = names.remove(EVERYBODY) && chats::participant_count(tx.look(), chat.id.0)? <= limit;
    let list: Vec<_> = names.iter().cloned().collect();
    let concerned = if direct || all { Concerned::Everybody } else { Concerned::Only(&list, replied_to) };
    let listeners = chats::listeners(tx.look(), chat.id.0, concerned, limit)?;
    let sender = message.sender_id.0;
    let others: Vec<_> =
        listeners.iter().map(|listener| listener.user_id.0).filter(|id| *id != sender).collect();
    let blockers = blocks::blockers(tx.look(), &others, sender)?;
    let mut told = Vec::new();
    for listener in listeners {
        let named = all || names.contains(&listener.username);
        let standing = Standing {
            active: listener.active,
            level: listener.level,
            blocks_actor: blockers.contains(&listener.user_id.0),
            ..Standing::towards_message(listener.user_id, message.sender_id, named, replied_to)
        };
        if let Decision::Notify(kind, _) = decide(Cause::Message { direct }, standing) {
            told.push((listener.user_id, kind));
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    let sender = username(tx, message.sender_id)?;
    let place = chat.name.as_deref().map(|name| format!(" in {name}")).unwrap_or_default();
    for (user, kind) in told {
        let text = match kind {
            NotificationKind::Mention => format!("{sender} mentioned you{place}"),
            NotificationKind::Reply => format!("{sender} replied to you{place}"),
            _ => format!("{sender} wrote to you"),
        };
        let row = NewNotificationRow {
            user_id: user.0,
            kind: kind.as_str(),
            chat_id: Some(chat.id.0),
            message_id: Some(message.id.0),
            actor_id: Some(message.sender_id.0),
            text: &text,
            created_at: tx.now.0,
        };
        notify(tx, &row)?;
    }
    Ok(())
}

/// Notifies somebody who was taken into a chat by somebody else. `name` is the chat's, if it has one.
pub(super) fn tell_of_being_added(
    tx: &mut Tx<'_>,
    chat: ChatId,
    name: Option<&str>,
    actor: UserId,
    user: UserId,
) -> Execution<()> {
    // Whoever joins them is active: that was checked.
    let standing = Standing { is_actor: actor == user, ..Standing::BYSTANDER };
    let Decision::Notify(kind, _) = decide(Cause::Added, standing) else { return Ok(()) };
    let actor_name = username(tx, actor)?;
    let text = match name {
        Some(name) => format!("{actor_name} added you to {name}"),
        None => format!("{actor_name} opened a chat with you"),
    };
    let row = NewNotificationRow {
        user_id: user.0,
        kind: kind.as_str(),
        chat_id: Some(chat.0),
        message_id: None,
        actor_id: Some(actor.0),
        text: &text,
        created_at: tx.now.0,
    };
    notify(tx, &row)
}

fn username(tx: &mut Tx<'_>, user: UserId) -> Execution<String> {
    Ok(accounts::user(tx.look(), user.0)?.map_or_else(|| "somebody".to_owned(), |row| row.username))
}

/// Marks one notification as read, or all.
pub struct MarkNotificationsRead {
    pub who: Credential,
    pub notification: Option<NotificationId>,
}

impl Command for MarkNotificationsRead {
    type Output = ();
    const NAME: &'static str = "MarkNotificationsRead";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, Need::ChatWrite)?;
        let UserId(user) = self.who.user;
        let id = self.notification.map(|id| id.0);
        if let Some(id) = id
            && !notifications::exists(tx.look(), user, id)?
        {
            return Err(Refusal::NotFound("notification").into());
        }
        let read_at = tx.now;
        if notifications::mark_read(tx.write(), user, id, read_at.0)? > 0 {
            tx.announce(Event::NotificationsRead {
                user_id: self.who.user,
                notification_id: self.notification,
                read_at,
            });
        }
        Ok(())
    }
}
