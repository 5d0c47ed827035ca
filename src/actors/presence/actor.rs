//! Routes the socket, the lane, the sessions and the clock into [`PresenceState`], and its
//! datagrams to the socket.

use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, AsyncContext, Handler, SpawnHandle, Supervised};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::counters::DatagramCounters;
use super::messages::{
    Datagrams, LeaveCluster, NodeEvents, PresenceItems, PresenceQuery, SubmitUpdate, VisitPlace,
};
use super::peers::NodeMessage;
use super::state::{Cluster, Outgoing, PresenceState};
use crate::core::actor::{Ask, Ctx, Mailbox};
use crate::core::bus::{Bus, Topic};
use crate::core::fail_points;
use crate::core::limits::Limits;
use crate::domain::ids::UserId;
use crate::protocol::datagram::DATAGRAM_BYTES_MAX;

/// Maximum number of datagrams read at once.
const READ_MAX: usize = 64;
/// Pause before reading again after a socket error.
const REST: std::time::Duration = std::time::Duration::from_millis(50);

/// Maximum number of users whose chats are requested from the cache at once.
const CHATS_OF_MAX: usize = 200;

/// The means to exchange presence with the other nodes of a cluster.
pub struct ClusterLink {
    pub bus: Bus,
    /// The number of this node.
    pub node: i16,
    /// Requests the chats of users at other nodes; the cache answers on the lane of presence.
    pub chats: mpsc::Sender<Vec<UserId>>,
}

/// See the [module](super).
pub struct PresenceActor {
    state: PresenceState,
    socket: Option<Arc<UdpSocket>>,
    counters: DatagramCounters,
    scheduled: Option<(Instant, SpawnHandle)>,
    cluster: Option<ClusterLink>,
}

impl PresenceActor {
    /// Runs on the actor's own thread. `socket` must be non-blocking.
    pub fn new(
        socket: std::net::UdpSocket,
        counters: DatagramCounters,
        own: Mailbox<Self>,
        limits: Limits,
        cluster: Option<ClusterLink>,
    ) -> Self {
        let socket = match UdpSocket::from_std(socket) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                error!(%error, "presence over UDP is disabled: the socket could not be registered");
                None
            }
        };
        if let Some(socket) = &socket {
            actix::spawn(read(socket.clone(), own));
        }
        let mut state = PresenceState::new(limits.clone());
        if let Some(link) = &cluster {
            state.join_cluster(Cluster::new(link.node, &limits, Instant::now()));
        }
        Self { state, socket, counters, scheduled: None, cluster }
    }

    fn send(&self, datagrams: impl IntoIterator<Item = Outgoing>) {
        let Some(socket) = &self.socket else { return };
        for (address, datagram) in datagrams {
            self.counters.sent(socket.try_send_to(&datagram, address).is_ok());
        }
    }

    /// Publishes what there is for the other nodes, and requests the chats of their users.
    fn publish(&mut self) {
        let Some(link) = &self.cluster else { return };
        for message in self.state.take_messages() {
            publish(&link.bus, &message);
        }
        // A request that finds no room is made with the next event, at the latest with the next
        // beat.
        while let Ok(room) = link.chats.try_reserve() {
            let wanted = self.state.take_wanted(CHATS_OF_MAX);
            if wanted.is_empty() {
                return;
            }
            room.send(wanted);
        }
    }

    /// Schedules the next run for the deadline of the crowd, if it has one.
    fn schedule(&mut self, ctx: &mut Ctx<Self>) {
        self.publish();
        let next = self.state.next_deadline();
        if next == self.scheduled.map(|(at, _)| at) {
            return;
        }
        if let Some((_, handle)) = self.scheduled.take() {
            ctx.cancel_future(handle);
        }
        self.scheduled = next.map(|at| {
            let wait = at.saturating_duration_since(Instant::now());
            let run = ctx.run_later(wait, |actor, ctx| {
                actor.scheduled = None;
                let datagrams = actor.state.run(Instant::now());
                actor.send(datagrams);
                actor.schedule(ctx);
            });
            (at, run)
        });
    }
}

fn publish(bus: &Bus, message: &NodeMessage) {
    match rmp_serde::to_vec(message) {
        Ok(body) => bus.publish(Topic::Presence, body),
        Err(error) => error!(%error, "a message to other nodes could not be encoded"),
    }
}

/// Reads the datagrams that have arrived, posts them to the actor, and waits until they are
/// handled. Datagrams that arrive faster stay in the kernel's buffer.
async fn read(socket: Arc<UdpSocket>, actor: Mailbox<PresenceActor>) {
    // One byte above the limit, so that datagrams that are too long can be detected.
    let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
    loop {
        if let Err(error) = socket.readable().await {
            warn!(%error, "reading datagrams failed");
            tokio::time::sleep(REST).await;
        }
        let mut datagrams = Vec::new();
        while datagrams.len() < READ_MAX
            && let Ok((size, from)) = socket.try_recv_from(&mut buffer)
        {
            datagrams.push((from, buffer.get(..size).unwrap_or_default().to_vec()));
        }
        if datagrams.is_empty() {
            continue;
        }
        let (handled, done) = oneshot::channel();
        actor.post(Datagrams { datagrams, handled });
        // After a panic the sender is dropped: reading continues with the next datagrams.
        drop(done.await);
    }
}

impl Actor for PresenceActor {
    type Context = Ctx<Self>;
}

impl Supervised for PresenceActor {
    fn restarting(&mut self, _: &mut Ctx<Self>) {
        self.scheduled = None;
        self.state.end_all(Instant::now());
    }
}

impl Handler<PresenceItems> for PresenceActor {
    type Result = ();
    fn handle(&mut self, PresenceItems(items): PresenceItems, ctx: &mut Ctx<Self>) {
        let now = Instant::now();
        items.into_iter().for_each(|item| self.state.take(item, now));
        self.schedule(ctx);
    }
}

impl Handler<SubmitUpdate> for PresenceActor {
    type Result = ();
    fn handle(&mut self, submitted: SubmitUpdate, ctx: &mut Ctx<Self>) {
        fail_points::reach(fail_points::IN_PRESENCE);
        self.state.update(submitted.session, submitted.request_id, &submitted.update, Instant::now());
        self.schedule(ctx);
    }
}

impl Handler<Ask<PresenceQuery>> for PresenceActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<PresenceQuery>, _: &mut Ctx<Self>) {
        let presence = self.state.query(ask.request.watcher, &ask.request.users);
        ask.answer(Ok(presence));
    }
}

impl Handler<Ask<VisitPlace>> for PresenceActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<VisitPlace>, ctx: &mut Ctx<Self>) {
        let VisitPlace { user, place, stays } = ask.request;
        let others = self.state.visit(user, place, stays, Instant::now());
        ask.answer(Ok(others));
        self.schedule(ctx);
    }
}

impl Handler<NodeEvents> for PresenceActor {
    type Result = ();
    fn handle(&mut self, NodeEvents { events, handled }: NodeEvents, ctx: &mut Ctx<Self>) {
        let now = Instant::now();
        for event in events {
            if self.state.receive_event(event, now).is_err()
                && let Some(link) = &self.cluster
            {
                link.bus.malformed();
            }
        }
        self.schedule(ctx);
        if handled.send(()).is_err() {
            tracing::debug!("the task that reads the bus has ended");
        }
    }
}

impl Handler<LeaveCluster> for PresenceActor {
    type Result = ();
    fn handle(&mut self, LeaveCluster(left): LeaveCluster, ctx: &mut Ctx<Self>) {
        self.schedule(ctx);
        if let (Some(link), Some(last)) = (self.cluster.take(), self.state.leave_cluster()) {
            publish(&link.bus, &last);
        }
        left.send(()).ok();
    }
}

impl Handler<Datagrams> for PresenceActor {
    type Result = ();
    fn handle(&mut self, Datagrams { datagrams, handled }: Datagrams, ctx: &mut Ctx<Self>) {
        let now = Instant::now();
        for (from, datagram) in datagrams {
            self.counters.received();
            match self.state.receive(from, &datagram, now) {
                Ok(answer) => self.send(answer),
                Err(reason) => self.counters.dropped(reason),
            }
        }
        self.schedule(ctx);
        if handled.send(()).is_err() {
            tracing::debug!("the task that reads datagrams has ended");
        }
    }
}
