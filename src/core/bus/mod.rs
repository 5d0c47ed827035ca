//! The bus: short messages between the nodes of a cluster.
//!
//! Messages are hints about soft state: that there is a commit to read, which users are online,
//! failed logins. No durable state depends on them. The bus is PostgreSQL (LISTEN and NOTIFY),
//! Redis or NATS; the transports differ in nothing that a subscriber sees.
//!
//! Invariants
//! * Publishing never waits. A message that finds a full queue is dropped and counted.
//! * A subscriber receives messages of other processes only, each at most once, and only those that
//!   a holder of the cluster's signing key sealed ([`envelope`]).
//! * Messages of one sender arrive in the order in which they were published; some may be missing.
//! * After a connection, and after a loss that the transport notices, the subscriber receives
//!   [`BusEvent::Gap`].
//!
//! Deliberately absent: delivery guarantees, an order over several senders, and secrecy. A reader
//! of the bus learns which users are online and from which networks logins come, so the network of
//! the bus must be private.

mod envelope;
mod link;
#[cfg(test)]
mod link_test;
mod metrics;
mod nats;
mod postgres;
mod redis;
mod target;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

pub use envelope::{BusKey, Origin, Topic};
pub use metrics::BusMetrics;
pub use target::{Target, TargetError};

use self::envelope::{Opener, Sealer};
use self::link::{Outgoing, run};
use self::metrics::Dropped;

/// Maximum size of the body of a message in bytes. In base64, with the envelope, it stays below the
/// 8,000 bytes of a notification of PostgreSQL.
pub const BODY_BYTES_MAX: usize = 5_600;
/// Maximum number of messages that wait to be sent, and that wait for the subscriber.
const QUEUE_MAX: usize = 1_024;
/// Maximum time that [`Bus::leave`] takes.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// An event for the subscriber.
#[derive(Debug)]
pub enum BusEvent {
    Message(BusMessage),
    /// Messages may be missing: the bus was connected, or a queue was full.
    Gap,
}

/// An authentic message of another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusMessage {
    pub from: Origin,
    pub topic: Topic,
    pub body: Vec<u8>,
}

/// Publishes messages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    outgoing: mpsc::Sender<Outgoing>,
    metrics: BusMetrics,
}

/// Receives the messages of other nodes.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<BusMessage>,
    gap: Arc<Notify>,
}

/// Returns the bus, its subscription, and the task that connects them to `target`. The task ends
/// after [`Bus::leave`], or when every [`Bus`] is dropped.
pub fn open(
    target: Target,
    key: &BusKey,
    node: i16,
    metrics: BusMetrics,
) -> (Bus, Subscription, impl Future<Output = ()> + use<>) {
    let (outgoing, to_send) = mpsc::channel(QUEUE_MAX);
    let (received, messages) = mpsc::channel(QUEUE_MAX);
    let gap = Arc::new(Notify::new());
    let origin = Origin::of_this_process(node);
    let ends = link::Ends {
        to_send,
        received,
        gap: gap.clone(),
        sealer: Sealer::new(key.clone(), origin),
        opener: Opener::new(key.clone(), origin),
        metrics: metrics.clone(),
    };
    let channel = key.channel();
    let task = async move {
        match target {
            Target::Postgres(server) => run(postgres::Channel { server }, ends).await,
            Target::Redis(client) => run(redis::Channel { client: *client, name: channel }, ends).await,
            Target::Nats(address) => run(nats::Channel { address: *address, subject: channel }, ends).await,
        }
    };
    (Bus { outgoing, metrics }, Subscription { messages, gap }, task)
}

impl Bus {
    /// Publishes a message to all other nodes. Drops it if the queue is full, or the body larger
    /// than [`BODY_BYTES_MAX`].
    pub fn publish(&self, topic: Topic, body: Vec<u8>) {
        if body.len() > BODY_BYTES_MAX {
            return self.metrics.dropped(Dropped::Size);
        }
        if self.outgoing.try_send(Outgoing::Message(topic, body)).is_err() {
            self.metrics.dropped(Dropped::QueueFull);
        }
    }

    /// Counts a message whose body its receiver did not understand.
    pub fn malformed(&self) {
        self.metrics.dropped(Dropped::Malformed);
    }

    /// Ends the task of the bus once the messages in its queue are sent; waits for that for at most
    /// a second.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        let leaving = async {
            if self.outgoing.send(Outgoing::Leave(done)).await.is_ok() {
                drop(left.await);
            }
        };
        if tokio::time::timeout(LEAVE_MAX, leaving).await.is_err() {
            tracing::debug!("the last messages were not sent on the bus");
        }
    }
}

impl Subscription {
    /// Returns the next event; `None` after the task of the bus has ended.
    pub async fn next(&mut self) -> Option<BusEvent> {
        tokio::select! {
            biased;
            () = self.gap.notified() => Some(BusEvent::Gap),
            message = self.messages.recv() => message.map(BusEvent::Message),
        }
    }

    /// Returns a message that has arrived, without waiting.
    pub fn try_next(&mut self) -> Option<BusMessage> {
        self.messages.try_recv().ok()
    }
}
