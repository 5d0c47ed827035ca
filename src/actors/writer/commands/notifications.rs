//! Writing notifications, and commands about existing ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::limits::ROWS_PER_STATEMENT_MAX;
use crate::core::saturate;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, NotificationId, Seq, UserId};
use crate::domain::notification::{Cause, Decision, RecipientFacts, WhichRead, decide};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::{accounts, notifications};
use crate::storage::rows::notification::NewNotificationRow;

/// Fraction (1/8) of `limits.notifications_per_user` by which a user may exceed it before older
/// notifications are evicted.
const EVICTED_PART: i64 = 8;
/// Notifications that may be evicted for each that is written; at least an eighth of one user. If
/// more users exceed the limit at once, the others follow with their next notifications.
const EVICTED_PER_WRITTEN: i64 = 2;

/// The events of written notifications, by user. The caller announces them.
pub(super) struct Written(HashMap<UserId, Vec<Event>>);

impl Written {
    /// Announces the notifications of a user, once.
    pub(super) fn announce(&mut self, tx: &mut Tx<'_>, user: UserId) {
        for event in self.0.remove(&user).unwrap_or_default() {
            tx.announce(event);
        }
    }
}

/// Writes notifications, except those whose user was notified of the same cause before.
/// Occasionally evicts older notifications of these users.
pub(super) fn write_all(tx: &mut Tx<'_>, rows: &[NewNotificationRow<'_>]) -> Execution<Written> {
    let mut written: HashMap<UserId, Vec<Event>> = HashMap::new();
    if rows.is_empty() {
        return Ok(Written(written));
    }
    for notification in notifications::insert(tx.write(), rows)? {
        let events = written.entry(notification.user_id).or_default();
        events.push(Event::Notified { notification: Arc::new(notification) });
    }
    let users: Vec<UserId> = written.keys().copied().collect();
    for gone in evict(tx, &users)?.chunk_by(|(one, _), (other, _)| one == other) {
        if let Some(events) = gone.first().and_then(|(user, _)| written.get_mut(user)) {
            events.push(Event::NotificationsRemoved { gone: gone.to_vec() });
        }
    }
    Ok(Written(written))
}

/// Evicts notifications of users who received some and exceed the limit. Usually reads only.
fn evict(tx: &mut Tx<'_>, users: &[UserId]) -> Execution<Vec<(UserId, NotificationId)>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let keep = tx.limits.notifications_per_user;
    let part = keep / EVICTED_PART;
    let mut above = notifications::users_above(tx.reader(), users, keep.saturating_add(part))?;
    if above.is_empty() {
        return Ok(Vec::new());
    }
    // Each of these users has at least this number of notifications too many.
    let excess = part.saturating_add(1);
    let limit = excess.max(saturate::to_i64(users.len()).saturating_mul(EVICTED_PER_WRITTEN));
    above.truncate(usize::try_from(limit.saturating_add(part) / excess).unwrap_or(1));
    Ok(notifications::evict(tx.write(), &above, keep, limit)?)
}

/// Writes notifications, like [`write_all`], and announces them in the order of their users.
pub(super) fn notify_all(tx: &mut Tx<'_>, rows: &[NewNotificationRow<'_>]) -> Execution<()> {
    let mut written = write_all(tx, rows)?;
    for row in rows {
        written.announce(tx, row.user_id);
    }
    Ok(())
}

/// A user who adds others to a chat, with the text for those who are added.
pub(super) struct Addition {
    actor: UserId,
    text: String,
}

impl Addition {
    /// `name` is the name of the chat, if any.
    pub(super) fn of(actor: UserId, actor_name: &str, name: Option<&str>) -> Self {
        let text = match name {
            Some(name) => format!("{actor_name} added you to {name}"),
            None => format!("{actor_name} opened a chat with you"),
        };
        Self { actor, text }
    }

    /// Returns the notification of a user who was added with a `join` of this seq, if [`decide`]
    /// allows it.
    pub(super) fn row(
        &self,
        (chat, seq): (ChatId, Seq),
        user: UserId,
        now: Timestamp,
    ) -> Option<NewNotificationRow<'_>> {
        // The caller has checked that the user is active.
        let facts = RecipientFacts { is_actor: self.actor == user, ..RecipientFacts::BYSTANDER };
        let Decision::Notify(kind, _) = decide(Cause::Added, facts) else { return None };
        Some(NewNotificationRow {
            user_id: user,
            kind: kind.as_str(),
            chat_id: Some(chat),
            message_id: None,
            actor_id: Some(self.actor),
            text: &self.text,
            created_at: now.0,
            read_at: None,
            seq: Some(seq),
            repository: None,
            reason: None,
        })
    }

    /// Notifies a user who was added with a `join` of this seq.
    pub(super) fn notify(&self, tx: &mut Tx<'_>, place: (ChatId, Seq), user: UserId) -> Execution<()> {
        let row = self.row(place, user, tx.now);
        notify_all(tx, row.as_slice())
    }
}

pub(super) fn username(tx: &mut Tx<'_>, user: UserId) -> Execution<String> {
    Ok(accounts::user(tx.reader(), user)?.map_or_else(|| "a user".to_owned(), |row| row.username))
}

/// Marks the notifications as read whose messages the user has read in chats. Returns the event of
/// each chat that has such notifications, for the caller to announce.
pub(super) fn read_in_chats(
    tx: &mut Tx<'_>,
    user: UserId,
    chats: &[(ChatId, Seq)],
) -> Execution<HashMap<ChatId, Event>> {
    let (mut events, read_at) = (HashMap::new(), tx.now);
    for slice in chats.chunks(ROWS_PER_STATEMENT_MAX) {
        let unread: HashSet<_> = notifications::unread_in(tx.reader(), user, slice)?.into_iter().collect();
        let slice: Vec<_> = slice.iter().copied().filter(|(chat, _)| unread.contains(chat)).collect();
        if slice.is_empty() {
            continue;
        }
        notifications::mark_read_in(tx.write(), user, &slice, read_at.0)?;
        events.extend(slice.into_iter().map(|(chat, read_seq)| {
            let which = WhichRead::InChat(chat, read_seq);
            (chat, Event::NotificationsRead { user_id: user, which, read_at })
        }));
    }
    Ok(events)
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
