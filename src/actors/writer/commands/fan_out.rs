//! Notifications of a message: a few in the transaction of the message, many in later commands.
//!
//! Invariants
//! * The cost of a message in the writer does not depend on the number of users it concerns. At
//!   most `limits.notifications_per_message` are notified with it; else a row of `fan_outs` records
//!   the rest.
//! * That row is processed in slices, one command each, which also record their position. A slice
//!   applies the state at its time: participants, levels, and whether the message still exists.
//! * The database accepts one notification for each cause and user, so a crash causes no
//!   duplicates.
//! * A row that fails does not delay others: it is tried alone, and dropped after some attempts.
//! * A deleted message has no notifications: they are removed with it or in slices, and the rest is
//!   not written.

mod slices;

use std::collections::{HashMap, HashSet};

pub use slices::{CountDeliveryAttempt, DeliverNotifications, Undelivered};

use super::notifications::{notify_all, username};
use crate::actors::writer::command::{Execution, Tx};
use crate::core::database::Db;
use crate::core::saturate;
use crate::domain::chat::{Chat, ChatKind};
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::mention::{Mention, Mentions};
use crate::domain::message::Message;
use crate::domain::notification::{Cause, Decision, NotificationKind, RecipientFacts, decide};
use crate::storage::queries::listeners;
use crate::storage::queries::{fan_outs, notifications, threads};
use crate::storage::rows::fan_out::{FanOutKind, NewFanOutRow};
use crate::storage::rows::listener::{Listener, SentMessage};
use crate::storage::rows::notification::NewNotificationRow;

/// Notifies users of one message. The texts quote no content, because it may be deleted later.
struct MessageNotifier {
    id: MessageId,
    seq: Seq,
    sender: UserId,
    sender_name: String,
    chat: ChatId,
    direct: bool,
    /// The chat, as ` in NAME`; empty if the chat has no name.
    location: String,
    replied_to: Option<UserId>,
}

impl MessageNotifier {
    fn of(
        tx: &mut Tx<'_>,
        chat: &Chat,
        (id, seq, sender): (MessageId, Seq, UserId),
        replied_to: Option<UserId>,
    ) -> Execution<Self> {
        Ok(Self {
            id,
            seq,
            sender,
            sender_name: username(tx, sender)?,
            chat: chat.id,
            direct: chat.kind == ChatKind::Direct,
            location: chat.name.as_deref().map(|name| format!(" in {name}")).unwrap_or_default(),
            replied_to,
        })
    }

    fn sent(&self) -> SentMessage {
        SentMessage { chat: self.chat, sender: self.sender }
    }

    /// Returns the kind of the notification of a member of the chat, if [`decide`] allows it.
    fn kind_for(&self, listener: &Listener, why: Why) -> Option<NotificationKind> {
        let facts = RecipientFacts {
            active: listener.active,
            level: listener.level,
            blocks_actor: listener.blocks_sender,
            follows_thread: why == Why::Follows,
            ..RecipientFacts::towards_message(
                listener.user_id,
                self.sender,
                why == Why::Named,
                self.replied_to,
            )
        };
        match decide(Cause::Message { direct: self.direct }, facts) {
            Decision::Notify(kind, _) => Some(kind),
            Decision::Silent(_) => None,
        }
    }

    fn text(&self, kind: NotificationKind) -> String {
        let (sender, location) = (&self.sender_name, &self.location);
        match kind {
            NotificationKind::Mention => format!("{sender} mentioned you{location}"),
            NotificationKind::Reply => format!("{sender} replied to you{location}"),
            NotificationKind::Thread => format!("{sender} wrote in a thread that you follow{location}"),
            // `decide` returns the last three for other causes only.
            NotificationKind::Direct
            | NotificationKind::Push
            | NotificationKind::Added
            | NotificationKind::Account => format!("{sender} wrote to you"),
        }
    }

    /// Notifies members of the chat, those whom [`decide`] allows. Each is notified once.
    fn notify(&self, tx: &mut Tx<'_>, people: &[(Listener, Why)]) -> Execution<()> {
        let chosen = people.iter().filter_map(|(listener, why)| {
            let kind = self.kind_for(listener, *why)?;
            Some((listener, kind, self.text(kind)))
        });
        let (chosen, now): (Vec<_>, _) = (chosen.collect(), tx.now.0);
        let rows = chosen.iter().map(|(listener, kind, text)| NewNotificationRow {
            user_id: listener.user_id,
            kind: kind.as_str(),
            chat_id: Some(self.chat),
            message_id: Some(self.id),
            actor_id: Some(self.sender),
            text,
            created_at: now,
            // The recipient may have read the message before a slice runs.
            read_at: (listener.read_seq >= self.seq).then_some(now),
            seq: Some(self.seq),
            repository: None,
            reason: None,
        });
        notify_all(tx, &rows.collect::<Vec<_>>())
    }
}

/// Notifies the users whom a message concerns, or records that they are to be notified. `false`:
/// not all will be, because the sender exceeds the rate of `@all` or has too much left to process.
pub(super) fn notify_of_message(
    tx: &mut Tx<'_>,
    chat: &Chat,
    message: &Message,
    replied_to: Option<UserId>,
) -> Execution<bool> {
    let direct = chat.kind == ChatKind::Direct;
    if let (Some(thread), Some(replied_to)) = (message.thread_id, replied_to) {
        // All users who wrote in a thread follow it: the first reply adds the sender of the first
        // message.
        threads::join(tx.write(), thread, &[replied_to, message.sender_id])?;
    }
    let mut mentions = if direct { Mentions::default() } else { Mentions::of(&message.content) };
    if !direct && mentions == Mentions::default() && replied_to.is_none() {
        return Ok(true);
    }
    let within_rate = !mentions.all || tx.count_mention_of_all(message.sender_id);
    mentions.all &= within_rate;
    let notifier = MessageNotifier::of(tx, chat, (message.id, message.seq, message.sender_id), replied_to)?;
    let (few, sent) = (tx.limits.notifications_per_message, notifier.sent());
    if direct || mentions.all {
        // The sender is among them.
        let people = listeners::all_members(tx.reader(), sent, UserId(0), few.saturating_add(2))?;
        if count(&people) > few.saturating_add(1) {
            return leave(tx, FanOutKind::AllMembers, &notifier, &[]);
        }
        let why = if mentions.all { Why::Named } else { Why::Present };
        notifier.notify(tx, &all_for(people, why))?;
        return Ok(within_rate);
    }
    // Named users come before followers of the thread: each user is notified once.
    if count(&mentions.names) > few {
        return Ok(leave(tx, FanOutKind::Named, &notifier, &mentions.names)? && within_rate);
    }
    let max = tx.limits.mentions_per_message;
    let mut people = all_for(members_named(tx.reader(), sent, &mentions.names, max)?, Why::Named);
    let mut is_left = true;
    if let Some(thread) = message.thread_id {
        let followers = listeners::followers(tx.reader(), sent, thread, UserId(0), few.saturating_add(2))?;
        if followers.scanned_to.is_some() {
            is_left = leave(tx, FanOutKind::Thread, &notifier, &[])?;
        } else {
            people.extend(all_for(followers.listeners, Why::Follows));
        }
    }
    notifier.notify(tx, &people)?;
    Ok(is_left && within_rate)
}

fn all_for(people: Vec<Listener>, why: Why) -> Vec<(Listener, Why)> {
    people.into_iter().map(|listener| (listener, why)).collect()
}

fn count<T>(list: &[T]) -> i64 {
    saturate::to_i64(list.len())
}

/// The reason why a member is considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The message names them, or all.
    Named,
    /// They follow its thread, as do the senders of the messages that it replies to.
    Follows,
    /// They are in the chat.
    Present,
}

/// Records that users are to be notified after this batch; `false` if too much is left already.
fn leave(
    tx: &mut Tx<'_>,
    kind: FanOutKind,
    notifier: &MessageNotifier,
    names: &[Mention],
) -> Execution<bool> {
    let max = tx.limits.notifying_messages_per_user;
    if fan_outs::count_of(tx.reader(), notifier.sender, max)? >= max {
        return Ok(false);
    }
    let names: Vec<_> = names.iter().map(Mention::as_str).collect();
    let row = NewFanOutRow {
        kind: kind.as_str(),
        chat_id: notifier.chat,
        seq: notifier.seq,
        message_id: Some(notifier.id),
        user_id: Some(notifier.sender),
        names: &serde_json::to_string(&names).unwrap_or_else(|_| "[]".to_owned()),
        position: 0,
    };
    fan_outs::insert(tx.write(), &[row])?;
    tx.notify_fan_outs();
    Ok(true)
}

/// Removes notifications of deleted messages in ranges of seqs: a few of each range at once, many
/// after this batch.
pub(super) fn retract(tx: &mut Tx<'_>, chat: ChatId, ranges: &[(Seq, Seq)]) -> Execution<()> {
    if ranges.is_empty() {
        return Ok(());
    }
    let few = tx.limits.notifications_per_message;
    let above: HashSet<_> =
        notifications::ranges_above(tx.reader(), chat, ranges, few)?.into_iter().collect();
    let (many, ranges): (Vec<_>, Vec<_>) = ranges.iter().copied().partition(|range| above.contains(range));
    let row = |(from, to): &(Seq, Seq)| NewFanOutRow {
        kind: FanOutKind::Retract.as_str(),
        chat_id: chat,
        seq: *to,
        message_id: None,
        user_id: None,
        names: "[]",
        position: *from,
    };
    let rows: Vec<_> = many.iter().map(row).collect();
    if !rows.is_empty() {
        fan_outs::insert(tx.write(), &rows)?;
        tx.notify_fan_outs();
    }
    if ranges.is_empty() {
        return Ok(());
    }
    let gone = notifications::retract_ranges(tx.write(), chat, &ranges)?;
    for (from, to) in ranges {
        let gone = gone.iter().filter(|(seq, ..)| (from..=to).contains(seq));
        let gone: Vec<_> = gone.map(|(_, user, id)| (*user, *id)).collect();
        if !gone.is_empty() {
            tx.announce(Event::NotificationsRemoved { gone });
        }
    }
    Ok(())
}

/// Removes at most `limit` notifications. Returns the number that it removed.
fn retract_some(tx: &mut Tx<'_>, chat: ChatId, range: (Seq, Seq), limit: i64) -> Execution<i64> {
    let gone = notifications::retract(tx.write(), chat, range, limit)?;
    let count = saturate::to_i64(gone.len());
    if !gone.is_empty() {
        tx.announce(Event::NotificationsRemoved { gone });
    }
    Ok(count)
}

/// Returns the first `max` members of the chat that these mentions name; ignores other users.
fn members_named(
    db: &mut Db,
    sent: SentMessage,
    mentions: &[Mention],
    max: usize,
) -> Execution<Vec<Listener>> {
    let names: Vec<_> = mentions.iter().flat_map(Mention::candidates).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let found = listeners::named(db, sent, &names)?;
    let found: HashMap<_, _> = found.iter().map(|listener| (listener.username.as_str(), listener)).collect();
    let mut members: Vec<Listener> = Vec::new();
    for mention in mentions {
        let Some(listener) = mention.candidates().find_map(|name| found.get(name)) else { continue };
        if members.len() < max && members.iter().all(|member| member.user_id != listener.user_id) {
            members.push((*listener).clone());
        }
    }
    Ok(members)
}
