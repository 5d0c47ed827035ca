//! Commands about notifications, and how others write them.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::sqlite::SqliteConnection;

use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, Need};
use crate::domain::chat::{Chat, ChatKind};
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, NotificationId, UserId};
use crate::domain::mention::{Mention, Mentions};
use crate::domain::message::Message;
use crate::domain::notification::{Cause, Decision, NotificationKind, Standing, decide};
use crate::domain::refusal::Refusal;
use crate::storage::queries::listeners::{self, Listener, Said};
use crate::storage::queries::{accounts, chats, notifications};
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
    let mentions = Mentions::of(&message.content);
    let direct = chat.kind == ChatKind::Direct;
    if !direct && mentions == Mentions::default() && replied_to.is_none() {
        return Ok(());
    }
    let said = Said { chat: chat.id.0, sender: message.sender_id.0 };
    let limit = tx.limits.notifications_per_command;
    let all = mentions.everybody && chats::participant_count(tx.look(), chat.id.0)? <= limit;
    let max = tx.limits.mentions_per_message;
    let named = members_named(tx.look(), said, &mentions.names, max)?;
    let is_named = |user: UserId| all || named.iter().any(|listener| listener.user_id == user);
    let replied = replied_to.filter(|user| !is_named(*user));
    let mut concerned = Vec::new();
    if let Some(user) = replied {
        concerned.extend(listeners::one(tx.look(), said, user.0)?);
    }
    if direct || all {
        concerned = listeners::everybody(tx.look(), said, 0, limit)?;
    }
    let others = if direct || all { &[][..] } else { &named[..] };
    let mut told = Vec::new();
    for listener in concerned.iter().chain(others) {
        let (user, named) = (listener.user_id, is_named(listener.user_id));
        let standing = Standing {
            active: listener.active,
            level: listener.level,
            blocks_actor: listener.blocks_sender,
            ..Standing::towards_message(user, message.sender_id, named, replied_to)
        };
        if let Decision::Notify(kind, _) = decide(Cause::Message { direct }, standing) {
            told.push((user, kind));
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

/// Names that are looked up in one statement.
const NAMES_AT_ONCE: usize = 50;

/// The first `max` people of the chat whom these mentions name. Names that are not of the chat count for nothing.
pub(super) fn members_named(
    db: &mut SqliteConnection,
    said: Said,
    mentions: &[Mention],
    max: usize,
) -> Execution<Vec<Listener>> {
    let mut members: Vec<Listener> = Vec::new();
    for mentions in mentions.chunks(NAMES_AT_ONCE) {
        let names: Vec<_> = mentions.iter().flat_map(Mention::candidates).collect();
        let found = listeners::named(db, said, &names)?;
        let found: HashMap<_, _> =
            found.iter().map(|listener| (listener.username.as_str(), listener)).collect();
        for mention in mentions {
            let Some(listener) = mention.candidates().find_map(|name| found.get(name)) else { continue };
            if members.iter().all(|member| member.user_id != listener.user_id) {
                members.push((*listener).clone());
            }
            if members.len() >= max {
                return Ok(members);
            }
        }
    }
    Ok(members)
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
