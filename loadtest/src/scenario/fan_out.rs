//! One chat with many members: every message is delivered to all of them.
//!
//! A received frame is compared, byte by byte, with the first received frame of the same event:
//! decoding each of a million deliveries would measure the reader. The fastest member is at most
//! [`BACKLOG`] messages ahead of the slowest, so that this program does not cause an outbox to
//! overflow.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::idle::connect_users;
use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup};
use crate::wire::{ClientIdKind, Cursor, MessageTemplate, PacketView, TcpConnection, is_presence};

/// Messages that may be sent and not yet received by all members.
const BACKLOG: usize = 256;
/// Unacknowledged messages of a sender.
const IN_FLIGHT: u64 = 32;
/// Time limit for the last deliveries, far longer than they take.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);
/// The server announces new sessions to all members within half a second. Measuring begins later.
const SETTLE: Duration = Duration::from_secs(1);
/// Senders at full speed, in addition to the members.
const SENDERS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As fast as all members can receive.
    Blast,
    /// A fixed number of messages a second, whether earlier ones have arrived or not.
    PerSecond(u32),
}

#[derive(Debug)]
pub(crate) struct FanOut {
    pub(crate) members: usize,
    pub(crate) pace: Pace,
}

impl Scenario for FanOut {
    fn name(&self) -> String {
        let pace = if self.pace == Pace::Blast { "blast" } else { "paced" };
        format!("fan_out/{}/{pace}", self.members)
    }

    fn plan(&self) -> Plan {
        let compared = if self.pace == Pace::Blast { Compared::Rate } else { Compared::Tail };
        Plan::new(Setup { users: self.members + SENDERS, shared_chats: 1, ..Setup::default() }, compared)
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let chat = server.first_chat()?;
        let mut connecting = Outcome::new()?;
        let connections = connect_users(server, self.members, 1, &mut connecting).await?;
        tokio::time::sleep(SETTLE).await;
        let senders = if self.pace == Pace::Blast { SENDERS } else { 1 };
        let tracker = Rc::new(DeliveryTracker::new(self.members)?);
        let mut receiving = JoinSet::new();
        for connection in connections {
            receiving.spawn_local(receive(connection, tracker.clone()));
        }
        tracker.outcome.borrow_mut().begin();
        let (end, mut sending) = (Instant::now() + time, JoinSet::new());
        for n in 0..senders {
            let sender = ChatSender {
                connection: server.open(self.members + n).await?,
                template: MessageTemplate::new(u64::try_from(n)?, chat, ClientIdKind::Ordered)?,
                tracker: tracker.clone(),
            };
            match self.pace {
                Pace::Blast => sending.spawn_local(sender.blast(end)),
                Pace::PerSecond(count) => sending.spawn_local(sender.pace(end, count)),
            };
        }
        let delivered = async {
            while let Some(done) = sending.join_next().await {
                done??;
            }
            tracker.all_delivered().await
        };
        let delivered = tokio::time::timeout(time + DELIVERED_WITHIN, delivered).await;
        while let Some(ended) = receiving.try_join_next() {
            ended??;
        }
        receiving.shutdown().await;
        let mut outcome = tracker.outcome.replace(Outcome::new()?);
        match delivered {
            Ok(done) => {
                done?;
                let more = tracker.backlog.available_permits();
                outcome.check(more == 0, || format!("{more} events without a message"));
            }
            Err(_) => {
                let missing = tracker.events.borrow().1.len();
                outcome.wrong(|| format!("lost: at least {missing} events did not reach all members"));
            }
        }
        Ok(outcome)
    }
}

/// Shared by all members: events in delivery, and the result of the round.
pub(crate) struct DeliveryTracker {
    members: usize,
    pub(crate) outcome: RefCell<Outcome>,
    /// The seq of the oldest event that some member lacks, and the events from there on.
    events: RefCell<(i64, VecDeque<TrackedEvent>)>,
    pub(crate) backlog: Semaphore,
    /// The due times of messages that no member has received, in the order of sending.
    due: RefCell<VecDeque<Instant>>,
}

struct TrackedEvent {
    frame: Vec<u8>,
    due: Option<Instant>,
    received_by: usize,
}

impl DeliveryTracker {
    pub(crate) fn new(members: usize) -> anyhow::Result<Self> {
        Ok(Self {
            members,
            outcome: RefCell::new(Outcome::new()?),
            events: RefCell::default(),
            backlog: Semaphore::new(BACKLOG),
            due: RefCell::default(),
        })
    }

    /// Waits until all permits of the backlog are free, which means that every message is
    /// delivered.
    ///
    /// The permits are not returned: those that appear later belong to events without a message.
    pub(crate) async fn all_delivered(&self) -> anyhow::Result<()> {
        self.backlog.acquire_many(u32::try_from(BACKLOG)?).await?.forget();
        Ok(())
    }

    /// Records that a member received `frame` as event `seq`.
    pub(crate) fn received(&self, seq: i64, frame: &[u8]) {
        let (mut events, mut outcome) = (self.events.borrow_mut(), self.outcome.borrow_mut());
        let (first, queue) = &mut *events;
        if queue.is_empty() {
            *first = seq;
        }
        let index = usize::try_from(seq - *first).unwrap_or(usize::MAX);
        if index == queue.len() {
            let due = self.due.borrow_mut().pop_front();
            queue.push_back(TrackedEvent { frame: frame.to_vec(), due, received_by: 0 });
        }
        let Some(event) = queue.get_mut(index) else {
            return outcome.wrong(|| format!("event {seq} is out of order"));
        };
        outcome.check(event.frame == frame, || format!("event {seq} differs between members"));
        if let Some(due) = event.due {
            outcome.took(due.elapsed());
        }
        outcome.done(1);
        event.received_by += 1;
        while queue.front().is_some_and(|event| event.received_by >= self.members) {
            queue.pop_front();
            *first += 1;
            self.backlog.add_permits(1);
        }
    }
}

async fn receive(mut connection: TcpConnection, tracker: Rc<DeliveryTracker>) -> anyhow::Result<()> {
    let mut cursor: Option<Cursor> = None;
    loop {
        if let Err(error) = connection.fill().await {
            tracker.outcome.borrow_mut().wrong(|| format!("a member cannot read: {error:#}"));
            return Ok(());
        }
        while let Some(frame) = connection.next()? {
            // A frame that equals the next known event needs no decoding.
            let next = cursor.map(|cursor| cursor.0 + 1);
            let known = next.filter(|seq| {
                let events = tracker.events.borrow();
                let index = usize::try_from(seq - events.0).ok();
                index.and_then(|index| events.1.get(index)).is_some_and(|event| event.frame == frame)
            });
            let seq = match known {
                Some(seq) => seq,
                // Other sessions connect and disconnect.
                None if is_presence(frame) => continue,
                None => {
                    let view = PacketView::of(frame)?;
                    match (view.packet_type, view.seq) {
                        ("Event", Some(seq)) if view.message.is_some() => seq,
                        _ => {
                            tracker.outcome.borrow_mut().wrong(|| format!("a member received {view:?}"));
                            continue;
                        }
                    }
                }
            };
            let cursor = cursor.get_or_insert(Cursor(seq - 1));
            if let Err(reason) = cursor.take(seq) {
                tracker.outcome.borrow_mut().wrong(|| format!("a member received: {reason}"));
                continue;
            }
            tracker.received(seq, frame);
        }
    }
}

struct ChatSender {
    connection: TcpConnection,
    template: MessageTemplate,
    tracker: Rc<DeliveryTracker>,
}

impl ChatSender {
    async fn blast(mut self, end: Instant) -> anyhow::Result<()> {
        let (mut sent, mut answered, mut out) = (0, 0, Vec::new());
        loop {
            while Instant::now() < end
                && sent - answered < IN_FLIGHT
                && let Ok(permit) = self.tracker.backlog.try_acquire()
            {
                permit.forget();
                sent += 1;
                self.template.append(sent, &mut out);
            }
            self.connection.send(&out).await?;
            out.clear();
            if sent > answered {
                answered += self.answers().await?;
            } else if Instant::now() < end {
                self.tracker.backlog.acquire().await?.forget();
                sent += 1;
                self.template.append(sent, &mut out);
            } else {
                return Ok(());
            }
        }
    }

    async fn pace(mut self, end: Instant, per_second: u32) -> anyhow::Result<()> {
        let (mut due, every, mut out) = (Instant::now(), Duration::from_secs(1) / per_second, Vec::new());
        let mut number = 0;
        while due < end {
            tokio::time::sleep_until(due.into()).await;
            self.tracker.backlog.acquire().await?.forget();
            self.tracker.due.borrow_mut().push_back(due);
            number += 1;
            out.clear();
            self.template.append(number, &mut out);
            self.connection.send(&out).await?;
            self.answers().await?;
            due += every;
        }
        Ok(())
    }

    /// Waits for at least one acknowledgement; returns how many arrived.
    async fn answers(&mut self) -> anyhow::Result<u64> {
        let mut count = 0;
        while count == 0 {
            self.connection.fill().await?;
            while let Some(frame) = self.connection.next()? {
                let view = PacketView::of(frame)?;
                if view.packet_type != "Ack" {
                    continue;
                }
                count += 1;
                self.tracker
                    .outcome
                    .borrow_mut()
                    .check(view.is_fresh_ack(), || format!("a message was answered by {view:?}"));
            }
        }
        Ok(count)
    }
}
