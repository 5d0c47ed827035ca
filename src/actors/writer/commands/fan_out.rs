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

use std::collections::HashMap;
use std::time::{Duration, Instant};

use diesel::sqlite::SqliteConnection;

use super::notifications::{notify, username};
use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::limits::Limits;
use crate::domain::chat::{Chat, ChatKind};
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::mention::{Mention, Mentions};
use crate::domain::message::Message;
use crate::domain::notification::{Cause, Decision, NotificationKind, RecipientFacts, decide};
use crate::storage::queries::listeners::{self, Listener, Said};
use crate::storage::queries::{chats, fan_outs, messages, notifications, threads};
use crate::storage::rows::fan_out::{FanOut, FanOutKind, NewFanOutRow};
use crate::storage::rows::notification::NewNotificationRow;

/// Names that a statement looks up; each has about 40 candidates.
const NAMES_AT_ONCE: usize = 8;

/// A message that notifies users. The texts quote no content, because it may be deleted later.
struct Telling {
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

impl Telling {
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

    fn said(&self) -> Said {
        Said { chat: self.chat, sender: self.sender }
    }

    /// Notifies a member of the chat, if [`decide`] allows it.
    fn tell(&self, tx: &mut Tx<'_>, listener: &Listener, why: Why) -> Execution<()> {
        let user = listener.user_id;
        let facts = RecipientFacts {
            active: listener.active,
            level: listener.level,
            blocks_actor: listener.blocks_sender,
            follows_thread: why == Why::Follows,
            ..RecipientFacts::towards_message(user, self.sender, why == Why::Named, self.replied_to)
        };
        let cause = Cause::Message { direct: self.direct };
        let Decision::Notify(kind, _) = decide(cause, facts) else { return Ok(()) };
        let (sender, location) = (&self.sender_name, &self.location);
        let text = match kind {
            NotificationKind::Mention => format!("{sender} mentioned you{location}"),
            NotificationKind::Reply => format!("{sender} replied to you{location}"),
            NotificationKind::Thread => format!("{sender} wrote in a thread that you follow{location}"),
            _ => format!("{sender} wrote to you"),
        };
        let row = NewNotificationRow {
            user_id: user,
            kind: kind.as_str(),
            chat_id: Some(self.chat),
            message_id: Some(self.id),
            actor_id: Some(self.sender),
            text: &text,
            created_at: tx.now.0,
            // The recipient may have read the message before a slice runs.
            read_at: (listener.read_seq >= self.seq).then_some(tx.now.0),
            seq: Some(self.seq),
        };
        notify(tx, &row)
    }
}

/// Notifies the users whom a message concerns, or records that they are to be notified. `false`:
/// not all will be, because the sender exceeds the rate of `@all` or has too much left to process.
pub(super) fn tell_of_message(
    tx: &mut Tx<'_>,
    chat: &Chat,
    message: &Message,
    replied_to: Option<UserId>,
) -> Execution<bool> {
    let direct = chat.kind == ChatKind::Direct;
    if let (Some(thread), Some(replied_to)) = (message.thread_id, replied_to) {
        // All users who wrote in a thread follow it: the first reply adds the sender of the first
        // message.
        threads::join(tx.write(), thread, replied_to)?;
        threads::join(tx.write(), thread, message.sender_id)?;
    }
    let mut mentions = if direct { Mentions::default() } else { Mentions::of(&message.content) };
    if !direct && mentions == Mentions::default() && replied_to.is_none() {
        return Ok(true);
    }
    let within_rate = !mentions.everybody || tx.count_mention_of_all(message.sender_id);
    mentions.everybody &= within_rate;
    let telling = Telling::of(tx, chat, (message.id, message.seq, message.sender_id), replied_to)?;
    let (few, said) = (tx.limits.notifications_per_message, telling.said());
    if direct || mentions.everybody {
        // The sender is among them.
        let people = listeners::everybody(tx.reader(), said, UserId(0), few.saturating_add(2))?;
        if count(&people) > few.saturating_add(1) {
            return leave(tx, FanOutKind::Everybody, &telling, &[]);
        }
        let why = if mentions.everybody { Why::Named } else { Why::Present };
        for listener in people {
            telling.tell(tx, &listener, why)?;
        }
        return Ok(within_rate);
    }
    // Named users come before followers of the thread: each user is notified once.
    if count(&mentions.names) > few {
        return Ok(leave(tx, FanOutKind::Named, &telling, &mentions.names)? && within_rate);
    }
    let max = tx.limits.mentions_per_message;
    let named = members_named(tx.reader(), said, &mentions.names, max)?;
    for listener in &named {
        telling.tell(tx, listener, Why::Named)?;
    }
    let Some(thread) = message.thread_id else { return Ok(within_rate) };
    let followers = listeners::followers(tx.reader(), said, thread, UserId(0), few.saturating_add(2))?;
    if followers.scanned_to.is_some() {
        return Ok(leave(tx, FanOutKind::Thread, &telling, &[])? && within_rate);
    }
    for listener in followers.listeners {
        telling.tell(tx, &listener, Why::Follows)?;
    }
    Ok(within_rate)
}

fn count<T>(list: &[T]) -> i64 {
    i64::try_from(list.len()).unwrap_or(i64::MAX)
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
fn leave(tx: &mut Tx<'_>, kind: FanOutKind, telling: &Telling, names: &[Mention]) -> Execution<bool> {
    let max = tx.limits.notifying_messages_per_user;
    if fan_outs::count_of(tx.reader(), telling.sender, max)? >= max {
        return Ok(false);
    }
    let names: Vec<_> = names.iter().map(Mention::as_str).collect();
    let row = NewFanOutRow {
        kind: kind.as_str(),
        chat_id: telling.chat,
        seq: telling.seq,
        message_id: Some(telling.id),
        user_id: Some(telling.sender),
        names: &serde_json::to_string(&names).unwrap_or_else(|_| "[]".to_owned()),
        position: 0,
    };
    fan_outs::insert(tx.write(), &row)?;
    tx.wake_fan_outs();
    Ok(true)
}

/// Removes notifications of deleted messages: a few at once, many after this batch.
pub(super) fn retract(tx: &mut Tx<'_>, chat: ChatId, (from, to): (Seq, Seq)) -> Execution<()> {
    let few = tx.limits.notifications_per_message;
    if notifications::exceed_in(tx.reader(), chat, (from, to), few)? {
        let row = NewFanOutRow {
            kind: FanOutKind::Retract.as_str(),
            chat_id: chat,
            seq: to,
            message_id: None,
            user_id: None,
            names: "[]",
            position: from,
        };
        fan_outs::insert(tx.write(), &row)?;
        tx.wake_fan_outs();
        return Ok(());
    }
    retract_some(tx, chat, (from, to), few).map(drop)
}

/// Removes at most `limit` notifications. Returns the number that it removed.
fn retract_some(tx: &mut Tx<'_>, chat: ChatId, range: (Seq, Seq), limit: i64) -> Execution<i64> {
    let gone = notifications::retract(tx.write(), chat, range, limit)?;
    let count = i64::try_from(gone.len()).unwrap_or(i64::MAX);
    if !gone.is_empty() {
        tx.announce(Event::NotificationsRemoved { gone });
    }
    Ok(count)
}

/// Returns the first `max` members of the chat that these mentions name; ignores other users.
fn members_named(
    db: &mut SqliteConnection,
    said: Said,
    mentions: &[Mention],
    max: usize,
) -> Execution<Vec<Listener>> {
    let names: Vec<_> = mentions.iter().flat_map(Mention::candidates).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let found = listeners::named(db, said, &names)?;
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

/// Writes or removes the next few notifications that are left to process.
pub struct DeliverNotifications {
    /// Only this row of `fan_outs`, which may have failed; else rows that have not failed.
    pub only: Option<i64>,
}

/// The notifications that are left to write or to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    None,
    /// Only those of rows that failed: see [`CountDeliveryAttempt`].
    Failed,
    /// More.
    Some,
}

/// The budget that a slice has left.
struct Slice {
    people: i64,
    until: Instant,
}

impl Slice {
    fn is_over(&self) -> bool {
        self.people <= 0 || Instant::now() >= self.until
    }
}

impl Slice {
    fn of(limits: &Limits) -> Self {
        let now = Instant::now();
        let until = now.checked_add(Duration::from_millis(limits.notifications_slice_ms)).unwrap_or(now);
        Self { people: limits.notifications_per_command, until }
    }
}

impl Command for DeliverNotifications {
    type Output = Undelivered;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Undelivered> {
        let mut slice = Slice::of(tx.limits);
        if let Some(id) = self.only {
            if let Some(fan_out) = fan_outs::by_id(tx.reader(), id)? {
                take_turn(tx, fan_out, &mut slice)?;
            }
            return Ok(Undelivered::Some);
        }
        loop {
            let Some(fan_out) = fan_outs::next(tx.reader())? else {
                let failed = fan_outs::next_to_attempt(tx.reader())?;
                return Ok(failed.map_or(Undelivered::None, |_| Undelivered::Failed));
            };
            take_turn(tx, fan_out, &mut slice)?;
            if slice.is_over() {
                return Ok(Undelivered::Some);
            }
        }
    }
}

fn take_turn(tx: &mut Tx<'_>, mut fan_out: FanOut, slice: &mut Slice) -> Execution<()> {
    if work_off(tx, &mut fan_out, slice)? {
        fan_outs::delete(tx.write(), fan_out.id)?;
    } else {
        fan_outs::set_position(tx.write(), &fan_out)?;
    }
    Ok(())
}

/// Counts an attempt to deliver the notifications of one message alone, before it is made. Returns
/// the row of `fan_outs` to deliver.
///
/// The attempt follows a failed slice. A row that succeeds counts as sound again; a row that fails
/// stays out of the slices, and is dropped after `limits.notifications_attempts` attempts.
pub struct CountDeliveryAttempt;

impl Command for CountDeliveryAttempt {
    type Output = Option<i64>;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Option<i64>> {
        let Some(id) = fan_outs::next_to_attempt(tx.reader())? else { return Ok(None) };
        let attempts = fan_outs::count_attempt(tx.write(), id)?;
        if attempts <= tx.limits.notifications_attempts {
            return Ok(Some(id));
        }
        fan_outs::delete(tx.write(), id)?;
        tracing::error!(
            fan_out.id = id,
            attempts = attempts - 1,
            "the notifications of a message failed too often; the remaining ones are dropped"
        );
        Ok(None)
    }
}

/// Processes a part of the row. Returns whether it is finished.
fn work_off(tx: &mut Tx<'_>, fan_out: &mut FanOut, slice: &mut Slice) -> Execution<bool> {
    if fan_out.kind == FanOutKind::Retract {
        let limit = slice.people;
        let count = retract_some(tx, fan_out.chat_id, (fan_out.position, fan_out.seq), limit)?;
        slice.people -= count.max(1);
        return Ok(count < limit);
    }
    let chat = chats::chat(tx.reader(), fan_out.chat_id)?;
    let message = match fan_out.message_id {
        Some(id) => messages::by_ids(tx.reader(), &[id])?.pop().filter(|message| !message.deleted),
        None => None,
    };
    let (Some(chat), Some(message)) = (chat, message) else { return Ok(true) };
    let about = (message.id, message.seq, message.sender_id);
    let replied_to = match message.reply_to.filter(|_| fan_out.kind == FanOutKind::Thread) {
        Some(id) => messages::thread_of(tx.reader(), chat.id, id)?.map(|(_, sender)| sender),
        None => None,
    };
    let telling = Telling::of(tx, &chat, about, replied_to)?;
    match fan_out.kind {
        FanOutKind::Everybody => tell_by_id(tx, fan_out, &telling, slice, None),
        FanOutKind::Thread => match message.thread_id {
            Some(thread) => tell_by_id(tx, fan_out, &telling, slice, Some(thread)),
            None => Ok(true),
        },
        FanOutKind::Named => {
            let is_done = tell_named(tx, fan_out, &telling, slice)?;
            if is_done && message.thread_id.is_some() {
                (fan_out.kind, fan_out.position) = (FanOutKind::Thread, 0);
                return Ok(false);
            }
            Ok(is_done)
        }
        FanOutKind::Retract => Ok(true),
    }
}

/// Notifies the next users by id: all members of the chat, or the followers of the thread.
fn tell_by_id(
    tx: &mut Tx<'_>,
    fan_out: &mut FanOut,
    telling: &Telling,
    slice: &mut Slice,
    thread: Option<MessageId>,
) -> Execution<bool> {
    let (limit, said, after) = (slice.people, telling.said(), UserId(fan_out.position));
    let (people, scanned_to, why) = match thread {
        Some(thread) => {
            let found = listeners::followers(tx.reader(), said, thread, after, limit)?;
            // Followers who left the chat cost as much as those who are notified.
            slice.people -= found.scanned - count(&found.listeners);
            (found.listeners, found.scanned_to, Why::Follows)
        }
        None => {
            let people = listeners::everybody(tx.reader(), said, after, limit)?;
            let last = people.last().map(|listener| listener.user_id);
            let scanned_to = last.filter(|_| count(&people) >= limit);
            (people, scanned_to, Why::Named)
        }
    };
    let mut left = people.len();
    for listener in &people {
        telling.tell(tx, listener, why)?;
        fan_out.position = listener.user_id.0;
        slice.people -= 1;
        left -= 1;
        if left > 0 && slice.is_over() {
            return Ok(false);
        }
    }
    fan_out.position = scanned_to.map_or(fan_out.position, |user| user.0);
    Ok(scanned_to.is_none())
}

/// Notifies the members that the next mentions name.
fn tell_named(
    tx: &mut Tx<'_>,
    fan_out: &mut FanOut,
    telling: &Telling,
    slice: &mut Slice,
) -> Execution<bool> {
    let max = i64::try_from(tx.limits.mentions_per_message).unwrap_or(i64::MAX);
    loop {
        let from = usize::try_from(fan_out.position).unwrap_or(usize::MAX);
        let names: Vec<_> = fan_out.names.iter().skip(from).take(NAMES_AT_ONCE).cloned().collect();
        let room = usize::try_from(max.saturating_sub(fan_out.members)).unwrap_or(0);
        let members = members_named(tx.reader(), telling.said(), &names, room)?;
        for listener in &members {
            telling.tell(tx, listener, Why::Named)?;
        }
        slice.people -= count(&names).max(1);
        fan_out.position += count(&names);
        fan_out.members += count(&members);
        if fan_out.members >= max || names.len() < NAMES_AT_ONCE {
            return Ok(true);
        }
        if slice.is_over() {
            return Ok(false);
        }
    }
}
