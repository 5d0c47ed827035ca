//! Slices of a fan-out: the notifications that are written or removed later.

use std::time::{Duration, Instant};

use super::{MessageNotifier, Why, all_for, count, members_named, retract_some};
use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::domain::ids::{MessageId, UserId};
use crate::storage::queries::{chats, fan_outs, listeners, messages};
use crate::storage::rows::fan_out::{FanOut, FanOutKind};

/// Names that a statement looks up; each has about 40 candidates.
const NAMES_AT_ONCE: usize = 8;
/// Users whose notifications a statement inserts. Then the slice checks its time.
const USERS_AT_ONCE: usize = 10;

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
    let notifier = MessageNotifier::of(tx, &chat, about, replied_to)?;
    match fan_out.kind {
        FanOutKind::AllMembers => notify_by_id(tx, fan_out, &notifier, slice, None),
        FanOutKind::Thread => match message.thread_id {
            Some(thread) => notify_by_id(tx, fan_out, &notifier, slice, Some(thread)),
            None => Ok(true),
        },
        FanOutKind::Named => {
            let is_done = notify_named(tx, fan_out, &notifier, slice)?;
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
fn notify_by_id(
    tx: &mut Tx<'_>,
    fan_out: &mut FanOut,
    notifier: &MessageNotifier,
    slice: &mut Slice,
    thread: Option<MessageId>,
) -> Execution<bool> {
    let (limit, sent, after) = (slice.people, notifier.sent(), UserId(fan_out.position));
    let (people, scanned_to, why) = match thread {
        Some(thread) => {
            let found = listeners::followers(tx.reader(), sent, thread, after, limit)?;
            // Followers who left the chat cost as much as those who are notified.
            slice.people -= found.scanned - count(&found.listeners);
            (found.listeners, found.scanned_to, Why::Follows)
        }
        None => {
            let people = listeners::all_members(tx.reader(), sent, after, limit)?;
            let last = people.last().map(|listener| listener.user_id);
            let scanned_to = last.filter(|_| count(&people) >= limit);
            (people, scanned_to, Why::Named)
        }
    };
    let people = all_for(people, why);
    let mut chunks = people.chunks(USERS_AT_ONCE).peekable();
    while let Some(chunk) = chunks.next() {
        notifier.notify(tx, chunk)?;
        if let Some((last, _)) = chunk.last() {
            fan_out.position = last.user_id.0;
        }
        slice.people -= count(chunk);
        if chunks.peek().is_some() && slice.is_over() {
            return Ok(false);
        }
    }
    fan_out.position = scanned_to.map_or(fan_out.position, |user| user.0);
    Ok(scanned_to.is_none())
}

/// Notifies the members that the next mentions name.
fn notify_named(
    tx: &mut Tx<'_>,
    fan_out: &mut FanOut,
    notifier: &MessageNotifier,
    slice: &mut Slice,
) -> Execution<bool> {
    let max = saturate::to_i64(tx.limits.mentions_per_message);
    loop {
        let from = usize::try_from(fan_out.position).unwrap_or(usize::MAX);
        let names: Vec<_> = fan_out.names.iter().skip(from).take(NAMES_AT_ONCE).cloned().collect();
        let room = usize::try_from(max.saturating_sub(fan_out.members)).unwrap_or(0);
        let members = members_named(tx.reader(), notifier.sent(), &names, room)?;
        slice.people -= count(&names).max(1);
        fan_out.position += count(&names);
        fan_out.members += count(&members);
        notifier.notify(tx, &all_for(members, Why::Named))?;
        if fan_out.members >= max || names.len() < NAMES_AT_ONCE {
            return Ok(true);
        }
        if slice.is_over() {
            return Ok(false);
        }
    }
}
