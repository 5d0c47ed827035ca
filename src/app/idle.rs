//! Closes idle HTTP connections of the network that has the most, when a connection of another
//! network is refused.
//!
//! A task owns the table of connections. Opened, closed and refused connections reach it as
//! messages. Two atomics hold whether a connection is idle; its worker writes them. The HTTP
//! library has no call that closes a connection from outside. The task therefore keeps a second
//! descriptor of each socket and shuts the socket down.
//!
//! Invariants
//! * A connection with a request or a response in progress, and therefore every WebSocket, is never
//!   closed. A response is in progress until the connection's buffer has accepted all of it. Bytes
//!   that the kernel and that buffer still hold do not count.
//! * A network loses idle connections only to a network that has fewer than half as many idle
//!   connections.
//! * Refusals cost one pass over the connections, at most every [`PAUSE`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::debug;

use crate::core::shares::{PoolMeter, network_of};
use crate::http::activity::Activity;

/// A connection without a request for this long is idle. Longer than a browser needs for its first
/// request.
const IDLE: Duration = Duration::from_secs(1);
/// Maximum number of connections closed for one refusal.
const BATCH: usize = 32;
/// Minimum number of idle connections of a network that loses some.
const LARGE: usize = 16;
/// Minimum time between two passes for refusals.
const PAUSE: Duration = Duration::from_millis(20);

/// Handle of the task. Cheap to clone.
#[derive(Clone)]
pub(super) struct IdleConnections(mpsc::UnboundedSender<IdleMessage>);

/// The channel is unbounded: each connection sends two messages, and each refused connection sends
/// one.
enum IdleMessage {
    Opened { id: u64, network: IpAddr, connection: IdleConnection },
    Closed { id: u64, network: IpAddr },
    Refused(IpAddr),
}

struct IdleConnection {
    socket: OwnedFd,
    activity: Arc<Activity>,
}

/// Registration of a connection; dropping it removes the connection from the table.
pub(super) struct Registered {
    id: u64,
    network: IpAddr,
    keeper: mpsc::UnboundedSender<IdleMessage>,
    activity: Arc<Activity>,
}

impl IdleConnections {
    /// Starts the task on the current runtime.
    pub(super) fn start(meter: PoolMeter) -> Self {
        let (keeper, messages) = mpsc::unbounded_channel();
        tokio::spawn(run(messages, meter));
        Self(keeper)
    }

    /// Registers a connection until the returned [`Registered`] is dropped.
    pub(super) fn register(&self, id: u64, address: IpAddr, socket: OwnedFd) -> Registered {
        let (network, activity) = (network_of(address), Arc::new(Activity::new()));
        let connection = IdleConnection { socket, activity: activity.clone() };
        // If the task has ended, no connection is closed.
        drop(self.0.send(IdleMessage::Opened { id, network, connection }));
        Registered { id, network, keeper: self.0.clone(), activity }
    }

    /// Reports that a connection from this address was refused.
    pub(super) fn refused(&self, address: IpAddr) {
        drop(self.0.send(IdleMessage::Refused(network_of(address))));
    }
}

impl Registered {
    /// Returns the connection's activity, which its worker updates.
    pub(super) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let Self { id, network, .. } = *self;
        drop(self.keeper.send(IdleMessage::Closed { id, network }));
    }
}

async fn run(mut messages: mpsc::UnboundedReceiver<IdleMessage>, meter: PoolMeter) {
    let mut networks: HashMap<IpAddr, HashMap<u64, IdleConnection>> = HashMap::new();
    let mut passed: Option<Instant> = None;
    while let Some(message) = messages.recv().await {
        match message {
            IdleMessage::Opened { id, network, connection } => {
                networks.entry(network).or_default().insert(id, connection);
            }
            IdleMessage::Closed { id, network } => {
                if let Some(connections) = networks.get_mut(&network) {
                    connections.remove(&id);
                    if connections.is_empty() {
                        networks.remove(&network);
                    }
                }
            }
            IdleMessage::Refused(network) if passed.is_none_or(|passed| passed.elapsed() >= PAUSE) => {
                passed = Some(Instant::now());
                close_for(&mut networks, network, &meter);
            }
            IdleMessage::Refused(_) => {}
        }
    }
}

/// Closes connections of the network with the most idle connections, longest idle first.
fn close_for(
    networks: &mut HashMap<IpAddr, HashMap<u64, IdleConnection>>,
    refused: IpAddr,
    meter: &PoolMeter,
) {
    let own = networks.get(&refused).map_or(0, |connections| idle_of(connections).count());
    let counts = networks.iter().map(|(network, connections)| (idle_of(connections).count(), *network));
    let Some((count, network)) = counts.max() else { return };
    if network == refused || count < LARGE || own.saturating_mul(2) >= count {
        return;
    }
    let Some(connections) = networks.get_mut(&network) else { return };
    let mut idle: Vec<_> = idle_of(connections).collect();
    idle.sort_unstable_by(|a, b| b.cmp(a));
    idle.truncate(BATCH.min(count.saturating_sub(own) / 2));
    debug!(%network, count, closed = idle.len(), "idle connections closed in favour of another network");
    for (_, id) in idle {
        // The worker reads the end of the input and drops the connection.
        let Some(IdleConnection { socket, .. }) = connections.remove(&id) else { continue };
        match rustix::net::shutdown(&socket, rustix::net::Shutdown::Both) {
            Ok(()) => meter.cut(),
            Err(error) => debug!(%error, "an idle connection was already closed"),
        }
    }
}

/// Returns the idle connections with their idle times.
fn idle_of(connections: &HashMap<u64, IdleConnection>) -> impl Iterator<Item = (Duration, u64)> {
    connections.iter().filter_map(|(id, connection)| {
        Some((connection.activity.idle_for().filter(|idle| *idle >= IDLE)?, *id))
    })
}
