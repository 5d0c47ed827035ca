//! Admission of connections over all transports.
//!
//! * Before its `Hello` a connection counts for the network of its client: in the [`Slots`]s of all
//!   connections, of connections over WebSocket, of all unauthenticated connections, and of HTTP
//!   connections if it is a WebSocket.
//! * From the `Hello` on it counts for its account: in the [`Pool`]s of all sessions and of those
//!   over WebSocket. These pools are smaller than the crowds, so there is always room for a client
//!   before its `Hello`.
//! * When authenticated users hold all slots, the newest session of the user with the most sessions
//!   ends in favor of a user with fewer.

use std::net::IpAddr;
use std::time::Duration;

use super::metrics::{ConnectionMeter, Transport};
use crate::core::limits::Limits;
use crate::core::metrics::GaugeGuard;
use crate::core::shares::{
    Cut, Holder, HolderSlot, Pool, PoolMetrics, PoolName, PoolRefusal, Reserved, Rules, Share, Slot, Slots,
};
use crate::domain::ids::UserId;

/// Admission shared by all transports. The slots that it returns are released when dropped.
#[derive(Debug)]
pub(super) struct Admission {
    connections: Slots,
    websockets: Slots,
    unauthenticated: Slots,
    sessions: Pool,
    web_sessions: Pool,
}

/// Slot of a connection, held until its socket is closed.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    _connection: Slot,
    _websocket: Option<Slot>,
    _counted: GaugeGuard,
}

/// Slot of a connection before its `Hello`; released with the `Welcome`.
#[derive(Debug)]
pub(super) struct PreAuthSlot {
    _pre_auth: Slot,
    _own: (HolderSlot, Option<HolderSlot>),
    /// Slot of the HTTP connection below a WebSocket.
    _http: Option<HolderSlot>,
}

/// Slots of the session of an authenticated user.
#[derive(Debug)]
pub(super) struct SessionSlot {
    session: Share,
    web_session: Option<Share>,
}

impl Admission {
    pub(super) fn start(limits: &Limits, metrics: &PoolMetrics) -> Self {
        let pool = |name, connections: usize, reserve: usize| {
            let size = connections.saturating_sub(limits.connections_reserve.min(connections / 4)).max(1);
            let patience = Duration::from_millis(limits.sessions_patience_ms);
            let rules = Rules::new(size, size, patience)
                .with_reserve(reserve.min(size / 8), Reserved::ForAll)
                .with_cut(patience / 4, Cut::Surplus);
            Pool::start(rules, metrics.meter(name))
        };
        let per_network = limits.strangers_per_address;
        Self {
            connections: Slots::new(limits.connections, per_network),
            websockets: Slots::new(limits.websockets(), per_network),
            unauthenticated: Slots::new(limits.strangers, per_network),
            sessions: pool(PoolName::Sessions, limits.connections, limits.sessions_reserve),
            web_sessions: pool(PoolName::WebSockets, limits.websockets(), limits.sessions_reserve),
        }
    }

    /// Takes the slots of a connection before its `Hello`.
    pub(super) fn admit(
        &self,
        transport: Transport,
        address: IpAddr,
        meter: &ConnectionMeter,
    ) -> Option<(ConnectionSlot, PreAuthSlot)> {
        let network = Holder::network(address);
        let pre_auth = self.unauthenticated.enter(network)?;
        let mut connection = self.connections.enter(network)?;
        let mut websocket = match transport {
            Transport::Tcp => None,
            Transport::WebSocket => Some(self.websockets.enter(network)?),
        };
        let own = (connection.split(), websocket.as_mut().map(Slot::split));
        let slot =
            ConnectionSlot { _connection: connection, _websocket: websocket, _counted: meter.connected() };
        Some((slot, PreAuthSlot { _pre_auth: pre_auth, _own: own, _http: None }))
    }

    /// Takes the slots of a session of the user.
    pub(super) async fn welcome(
        &self,
        transport: Transport,
        user: UserId,
    ) -> Result<SessionSlot, PoolRefusal> {
        let holder = Holder::Account(user);
        let web_session = match transport {
            Transport::Tcp => None,
            Transport::WebSocket => Some(self.web_sessions.enter(holder).await?),
        };
        let session = self.sessions.enter(holder).await?;
        Ok(SessionSlot { session, web_session })
    }

    /// Returns the number of connections.
    pub(super) fn connections(&self) -> usize {
        self.connections.taken()
    }
}

impl PreAuthSlot {
    /// Adds the part of an HTTP connection's slot that counts for its network.
    pub(super) fn with_http(self, own: Option<HolderSlot>) -> Self {
        Self { _http: own, ..self }
    }
}

impl SessionSlot {
    /// Completes when another user needs the slot.
    pub(super) fn displaced(&self) -> impl Future<Output = ()> + 'static {
        let session = self.session.cut().clone();
        let web_session = self.web_session.as_ref().map(|share| share.cut().clone());
        async move {
            match web_session {
                None => session.cancelled().await,
                Some(web_session) => tokio::select! {
                    () = session.cancelled() => {}
                    () = web_session.cancelled() => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::ConnectionMetrics;
    use super::*;

    fn admission(limits: &Limits) -> Admission {
        Admission::start(limits, &PoolMetrics::default())
    }

    #[actix_web::test]
    async fn unauthenticated_connections_are_capped_per_address() {
        let limits = Limits { strangers_per_address: 2, strangers: 3, connections: 4, ..Limits::default() };
        let (admission, metrics) = (admission(&limits), ConnectionMetrics::default());
        let admit = |from| admission.admit(Transport::Tcp, from, metrics.meter(Transport::Tcp));
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mut places = vec![admit(here).unwrap(), admit(here).unwrap()];
        assert!(admit(here).is_none(), "two unauthenticated connections of one address");
        places.push(admit(there).unwrap());
        assert!(admit(there).is_none(), "three unauthenticated connections in total");
        let mut slots: Vec<_> = places.into_iter().map(|(slot, _pre_auth)| slot).collect();
        slots.push(admit(here).unwrap().0);
        assert!(admit(there).is_none(), "four connections in total");
        drop(slots);
        assert!(admit(here).is_some());
    }

    /// Four addresses with 1,024 connections each blocked all new sessions.
    #[actix_web::test]
    async fn silent_connections_of_20_addresses_leave_room_for_others() {
        let (admission, metrics) = (admission(&Limits::default()), ConnectionMetrics::default());
        let admit = |n| {
            let address = IpAddr::from([192, 0, 2, n]);
            admission.admit(Transport::Tcp, address, metrics.meter(Transport::Tcp))
        };
        let mut held: Vec<_> = (0..1_000).filter_map(|_| admit(1)).collect();
        assert_eq!(held.len(), 1_000, "a thousand connections of one address at once");
        for n in 1..=20 {
            held.extend(std::iter::from_fn(|| admit(n)));
        }
        let newcomer: Vec<_> = std::iter::from_fn(|| admit(100)).collect();
        assert!(newcomer.len() >= 8, "{}", newcomer.len());
        drop((held, newcomer));
    }

    #[actix_web::test]
    async fn websockets_leave_the_reserve_of_http_and_tcp_free() {
        let limits = Limits { http_connections: 20, http_reserve: 10, ..Limits::default() };
        let (admission, metrics) = (admission(&limits), ConnectionMetrics::default());
        let address = |n| IpAddr::from([127, 0, 0, n]);
        let admit = |transport, n| admission.admit(transport, address(n), metrics.meter(transport));
        let open: Vec<_> = (0..200).filter_map(|n| admit(Transport::WebSocket, n)).collect();
        assert_eq!(open.len(), 10);
        assert!(admit(Transport::Tcp, 1).is_some());
    }

    #[actix_web::test]
    async fn user_with_fewer_sessions_displaces_user_with_most() {
        let limits = Limits { http_connections: 20, http_reserve: 10, ..Limits::default() };
        let admission = admission(&Limits { sessions_patience_ms: 200, ..limits });
        let mut eve = Vec::new();
        while let Ok(slot) = admission.welcome(Transport::WebSocket, UserId(1)).await {
            eve.push(slot);
        }
        let mallory = admission.welcome(Transport::WebSocket, UserId(2)).await.unwrap();
        let newest = eve.pop().unwrap();
        let releases_slot = async {
            newest.displaced().await;
            drop(newest);
        };
        let (bob, ()) =
            futures_util::join!(admission.welcome(Transport::WebSocket, UserId(3)), releases_slot);
        assert!(bob.is_ok());
        assert!(
            admission.welcome(Transport::WebSocket, UserId(1)).await.is_err(),
            "eve has the most sessions"
        );
        drop(mallory);
    }
}
