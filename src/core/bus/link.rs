//! The task of the bus: connects, sends and receives, and connects again after a loss.
//!
//! Every transport delivers to a process what the process itself sends. A connection that does not
//! return a message within [`ECHO_MAX`] is replaced: its server may be stopped while the kernel
//! acknowledges everything, or the link may be cut.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::BusMessage;
use super::envelope::{Opened, Opener, SEALED_BYTES_MAX, Sealer, Topic};
use super::metrics::{BusMetrics, Dropped};

/// Maximum time of a connection attempt.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Maximum time for sending a batch.
const SEND_MAX: Duration = Duration::from_secs(5);
/// Maximum time until a sent message returns.
const ECHO_MAX: Duration = Duration::from_secs(5);
/// Pause before the first attempt to connect again. It doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Maximum number of messages sent together.
const BATCH_MAX: usize = 64;

/// Why a connection failed or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(transparent)]
    Postgres(#[from] crate::core::database::postgres::PostgresError),
    #[error("Redis: {0}")]
    Redis(#[from] ::redis::RedisError),
    #[error("NATS: {0}")]
    Nats(Box<dyn std::error::Error + Send + Sync>),
    #[error("the connection has ended")]
    Ended,
    #[error("no answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
}

/// A way to exchange messages with all nodes, this one included.
pub(super) trait Transport {
    type Sender: Sender;
    type Receiver: Receiver;

    /// Connects and subscribes.
    async fn connect(&self) -> Result<(Self::Sender, Self::Receiver), LinkError>;

    /// Returns where the bus is, without secrets.
    fn place(&self) -> String;
}

pub(super) trait Sender {
    /// Sends messages in their order. Returns when the server has them.
    async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError>;
}

pub(super) trait Receiver {
    /// Returns the next message; `None` after the connection was lost. Dropping the future loses no
    /// message.
    async fn next(&mut self) -> Option<Incoming>;
}

#[derive(Debug)]
pub(super) enum Incoming {
    Message(Vec<u8>),
    /// The transport dropped messages because this process was slow.
    Lost,
}

impl Incoming {
    /// Copies a message of the transport. Of a message beyond the maximum size, which is refused
    /// later, at most a byte more than that is copied.
    pub(super) fn copy_of(payload: &[u8]) -> Self {
        let bytes = payload.get(..=SEALED_BYTES_MAX).unwrap_or(payload);
        Self::Message(bytes.to_vec())
    }
}

/// A message in the queue to the bus.
#[derive(Debug)]
pub(super) enum Outgoing {
    Message(Topic, Vec<u8>),
    /// Ends the task after the messages before it.
    Leave(oneshot::Sender<()>),
}

/// The ends of the queues that the task serves.
pub(super) struct Ends {
    pub(super) to_send: mpsc::Receiver<Outgoing>,
    pub(super) received: mpsc::Sender<BusMessage>,
    pub(super) gap: Arc<Notify>,
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
    pub(super) metrics: BusMetrics,
}

/// Why the exchange over a connection ended.
enum End {
    Left,
    Lost(LinkError),
}

/// Runs until the bus is left.
pub(super) async fn run<T: Transport>(transport: T, mut ends: Ends) {
    let mut pause = PAUSE_MIN;
    let mut is_reported = false;
    loop {
        let connected = tokio::select! {
            connected = timeout(CONNECT_MAX, transport.connect()) => connected,
            () = left_while_away(&mut ends) => return,
        };
        let lost = match connected.unwrap_or(Err(LinkError::Timeout(CONNECT_MAX))) {
            Ok((sender, receiver)) => {
                info!(bus = transport.place(), "connected to the bus");
                ends.metrics.set_up(true);
                // The subscription has begun: messages before it are missing.
                ends.gap.notify_one();
                let began = Instant::now();
                let end = exchange(sender, receiver, &mut ends).await;
                ends.metrics.set_up(false);
                if began.elapsed() > PAUSE_MAX {
                    pause = PAUSE_MIN;
                }
                is_reported = false;
                match end {
                    End::Left => return,
                    End::Lost(error) => error,
                }
            }
            Err(error) => error,
        };
        if is_reported {
            debug!(error = %lost, "the bus cannot be reached");
        } else {
            warn!(bus = transport.place(), error = %lost, "the bus is lost; trying again");
            is_reported = true;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = left_while_away(&mut ends) => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Drops messages while the bus is away: hints that come late are of no use, and a gap follows.
/// Returns when the bus is left.
async fn left_while_away(ends: &mut Ends) {
    loop {
        match ends.to_send.recv().await {
            Some(Outgoing::Message(..)) => ends.metrics.dropped(Dropped::QueueFull),
            Some(Outgoing::Leave(done)) => {
                done.send(()).ok();
                return;
            }
            None => return,
        }
    }
}

/// The messages of this process that are on their way back to it.
#[derive(Default)]
struct Echoes {
    sent: Cell<u64>,
    returned: Cell<u64>,
    /// Notifies the check of the first message without an echo.
    waits: Notify,
}

async fn exchange<S: Sender, R: Receiver>(sender: S, receiver: R, ends: &mut Ends) -> End {
    let Ends { to_send, received, gap, sealer, opener, metrics } = ends;
    let echoes = Echoes::default();
    let at_begin = sealer.counter();
    echoes.sent.set(at_begin);
    echoes.returned.set(at_begin);
    let subscriber = Subscriber { received, gap, metrics };
    tokio::select! {
        end = send_all(sender, to_send, sealer, &echoes, metrics) => end,
        () = receive_all(receiver, opener, &subscriber, &echoes) => End::Lost(LinkError::Ended),
        () = check_echoes(&echoes) => End::Lost(LinkError::Timeout(ECHO_MAX)),
    }
}

async fn send_all<S: Sender>(
    mut sender: S,
    to_send: &mut mpsc::Receiver<Outgoing>,
    sealer: &mut Sealer,
    echoes: &Echoes,
    metrics: &BusMetrics,
) -> End {
    loop {
        let mut taken = Vec::new();
        if to_send.recv_many(&mut taken, BATCH_MAX).await == 0 {
            return End::Left;
        }
        let (mut batch, mut leaves) = (Vec::with_capacity(taken.len()), None);
        for outgoing in taken {
            match outgoing {
                Outgoing::Message(topic, body) => batch.push(sealer.seal(topic, &body)),
                Outgoing::Leave(done) => leaves = Some(done),
            }
        }
        if !batch.is_empty() {
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            echoes.sent.set(sealer.counter());
            match timeout(SEND_MAX, sender.send(&batch)).await {
                Ok(Ok(())) => metrics.sent(count),
                Ok(Err(error)) => return End::Lost(error),
                Err(_) => return End::Lost(LinkError::Timeout(SEND_MAX)),
            }
            echoes.waits.notify_one();
        }
        if let Some(done) = leaves {
            done.send(()).ok();
            return End::Left;
        }
    }
}

/// The queue to the subscriber.
struct Subscriber<'a> {
    received: &'a mpsc::Sender<BusMessage>,
    gap: &'a Notify,
    metrics: &'a BusMetrics,
}

impl Subscriber<'_> {
    fn deliver(&self, message: BusMessage) {
        self.metrics.received();
        if self.received.try_send(message).is_err() {
            self.metrics.dropped(Dropped::SubscriberBusy);
            self.gap.notify_one();
        }
    }
}

/// Returns when the connection was lost.
async fn receive_all<R: Receiver>(
    mut receiver: R,
    opener: &mut Opener,
    subscriber: &Subscriber<'_>,
    echoes: &Echoes,
) {
    while let Some(incoming) = receiver.next().await {
        let sealed = match incoming {
            Incoming::Message(sealed) => sealed,
            Incoming::Lost => {
                subscriber.metrics.dropped(Dropped::SubscriberBusy);
                subscriber.gap.notify_one();
                continue;
            }
        };
        match opener.open(&sealed, Instant::now()) {
            Ok(Opened::Message(message)) => subscriber.deliver(message),
            Ok(Opened::Own(counter)) => echoes.returned.set(counter.max(echoes.returned.get())),
            Err(reason) => subscriber.metrics.dropped(reason),
        }
    }
}

/// Returns when a sent message did not return in time.
async fn check_echoes(echoes: &Echoes) {
    loop {
        let sent = echoes.sent.get();
        if echoes.returned.get() >= sent {
            echoes.waits.notified().await;
            continue;
        }
        sleep(ECHO_MAX).await;
        if echoes.returned.get() < sent {
            return;
        }
    }
}
