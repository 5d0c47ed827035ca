//! Writing notifications, and commands about existing ones.

use std::sync::Arc;

use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, NotificationId, Seq, UserId};
use crate::domain::notification::{Cause, Decision, RecipientFacts, WhichRead, decide};
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, notifications};
use crate::storage::rows::notification::NewNotificationRow;

/// Fraction (1/8) of `limits.notifications_per_user` by which a user may exceed it before older
/// notifications are evicted.
const EVICTED_PART: i64 = 8;

/// Writes a notification, unless its user was notified of the same cause before. Usually writes at
/// most two rows; occasionally evicts older notifications.
pub(super) fn notify(tx: &mut Tx<'_>, row: &NewNotificationRow<'_>) -> Execution<()> {
    let Some(notification) = notifications::insert(tx.write(), row)? else { return Ok(()) };
    tx.announce(Event::Notified { notification: Arc::new(notification) });
    let keep = tx.limits.notifications_per_user;
    if notifications::exceed(tx.reader(), row.user_id, keep.saturating_add(keep / EVICTED_PART))? {
        let gone = notifications::evict(tx.write(), row.user_id, keep)?;
        tx.announce(Event::NotificationsRemoved {
            gone: gone.into_iter().map(|id| (row.user_id, id)).collect(),
        });
    }
    Ok(())
}

/// Notifies a user who was added to a chat by another user, with a `join` of this seq. `name` is
/// the name of the chat, if any.
pub(super) fn notify_of_being_added(
    tx: &mut Tx<'_>,
    (chat, seq): (ChatId, Seq),
    name: Option<&str>,
    actor: UserId,
    user: UserId,
) -> Execution<()> {
    // The caller has checked that the user is active.
    let facts = RecipientFacts { is_actor: actor == user, ..RecipientFacts::BYSTANDER };
    let Decision::Notify(kind, _) = decide(Cause::Added, facts) else { return Ok(()) };
    let actor_name = username(tx, actor)?;
    let text = match name {
        Some(name) => format!("{actor_name} added you to {name}"),
        None => format!("{actor_name} opened a chat with you"),
    };
    let row = NewNotificationRow {
        user_id: user,
        kind: kind.as_str(),
        chat_id: Some(chat),
        message_id: None,
        actor_id: Some(actor),
        text: &text,
        created_at: tx.now.0,
        read_at: None,
        seq: Some(seq),
        repository: None,
        reason: None,
    };
    notify(tx, &row)
}

pub(super) fn username(tx: &mut Tx<'_>, user: UserId) -> Execution<String> {
    Ok(accounts::user(tx.reader(), user)?.map_or_else(|| "a user".to_owned(), |row| row.username))
}

/// Marks the notifications as read whose messages the user has read in a chat.
pub(super) fn read_in_chat(tx: &mut Tx<'_>, user: UserId, chat: ChatId, read_seq: Seq) -> Execution<()> {
    let read_at = tx.now;
    if !notifications::any_unread_in(tx.reader(), user, chat, read_seq)? {
        return Ok(());
    }
    notifications::mark_read_in(tx.write(), user, chat, read_seq, read_at.0)?;
    let which = WhichRead::InChat(chat, read_seq);
    tx.announce(Event::NotificationsRead { user_id: user, which, read_at });
    Ok(())
}

/// Marks one notification as read, or all.
pub struct MarkNotificationsRead {
    pub who: Credential,
    pub notification: Option<NotificationId>,
}

impl Command for MarkNotificationsRead {
    type Output = ();
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let (user, id) = (self.who.user, self.notification);
        if let Some(id) = id
            && !notifications::exists(tx.reader(), user, id)?
        {
            return Err(Refusal::NotFound("notification").into());
        }
        let read_at = tx.now;
        if notifications::mark_read(tx.write(), user, id, read_at.0)? > 0 {
            let which = self.notification.map_or(WhichRead::All, WhichRead::One);
            tx.announce(Event::NotificationsRead { user_id: self.who.user, which, read_at });
        }
        Ok(())
    }
}
