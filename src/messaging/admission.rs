//! Admission of connections, over all transports together.
//!
//! * Before its `Hello` a connection counts for the network of its client: [`Crowd`]s of all connections and of those over
//!   WebSocket, of all strangers, and of HTTP connections if it is a WebSocket.
//! * From the `Hello` on it counts for its account: [`Pool`]s of sessions, of all and of those over WebSocket. They are
//!   smaller than the crowds, so there is always room for a client before its `Hello`.
//! * When known users hold all, the newest session of the user with the most ends for a user with fewer.

use std::net::IpAddr;
use std::time::Duration;

use super::metrics::{ConnectionMeter, Present, Transport};
use crate::core::limits::Limits;
use crate::core::shares::{
    Crowd, Cut, Holder, OwnSpot, Pool, PoolMetrics, PoolName, Refused, Reserved, Rules, Share, Spot,
};
use crate::domain::ids::UserId;

/// One for all transports; what it hands out gives itself back.
#[derive(Debug)]
pub(super) struct Admission {
    connections: Crowd,
    websockets: Crowd,
    strangers: Crowd,
    sessions: Pool,
    web_sessions: Pool,
}

/// The place of a connection: kept until its socket is closed.
#[derive(Debug)]
pub(super) struct Seat {
    _connection: Spot,
    _websocket: Option<Spot>,
    _present: Present,
}

/// A place among the clients before their `Hello`: given up with the `Welcome`.
#[derive(Debug)]
pub(super) struct StrangerSeat {
    _stranger: Spot,
    _own: (OwnSpot, Option<OwnSpot>),
    /// Of the HTTP connection below a WebSocket.
    _http: Option<OwnSpot>,
}

/// The places of a session of a known user.
#[derive(Debug)]
pub(super) struct MemberSeat {
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
            connections: Crowd::new(limits.connections, per_network),
            websockets: Crowd::new(limits.websockets(), per_network),
            strangers: Crowd::new(limits.strangers, per_network),
            sessions: pool(PoolName::Sessions, limits.connections, limits.sessions_reserve),
            web_sessions: pool(PoolName::WebSockets, limits.websockets(), limits.sessions_reserve),
        }
    }

    /// A seat for a connection before its `Hello`.
    pub(super) fn admit(
        &self,
        transport: Transport,
        address: IpAddr,
        meter: &ConnectionMeter,
    ) -> Option<(Seat, StrangerSeat)> {
        let network = Holder::network(address);
        let stranger = self.strangers.enter(network)?;
        let mut connection = self.connections.enter(network)?;
        let mut websocket = match transport {
            Transport::Tcp => None,
            Transport::WebSocket => Some(self.websockets.enter(network)?),
        };
        let own = (connection.split(), websocket.as_mut().map(Spot::split));
        let seat = Seat { _connection: connection, _websocket: websocket, _present: meter.connected() };
        Some((seat, StrangerSeat { _stranger: stranger, _own: own, _http: None }))
    }

    /// The places of a session of the user.
    pub(super) async fn welcome(&self, transport: Transport, user: UserId) -> Result<MemberSeat, Refused> {
        let holder = Holder::Account(user);
        let web_session = match transport {
            Transport::Tcp => None,
            Transport::WebSocket => Some(self.web_sessions.enter(holder).await?),
        };
        let session = self.sessions.enter(holder).await?;
        Ok(MemberSeat { session, web_session })
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        self.connections.taken()
    }
}

impl StrangerSeat {
    /// Includes the part of the place of an HTTP connection that counts for its network.
    pub(super) fn with_http(self, own: Option<OwnSpot>) -> Self {
        Self { _http: own, ..self }
    }
}

impl MemberSeat {
    /// Returns when another user needs the place.
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
    async fn strangers_are_capped_per_address_until_they_are_known() {
        let limits = Limits { strangers_per_address: 2, strangers: 3, connections: 4, ..Limits::default() };
        let (admission, metrics) = (admission(&limits), ConnectionMetrics::default());
        let admit = |from| admission.admit(Transport::Tcp, from, metrics.meter(Transport::Tcp));
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mut places = vec![admit(here).unwrap(), admit(here).unwrap()];
        assert!(admit(here).is_none(), "two strangers from one address");
        places.push(admit(there).unwrap());
        assert!(admit(there).is_none(), "three strangers in all");
        let mut seats: Vec<_> = places.into_iter().map(|(seat, _stranger)| seat).collect();
        seats.push(admit(here).unwrap().0);
        assert!(admit(there).is_none(), "four connections in all");
        drop(seats);
        assert!(admit(here).is_some());
    }

    /// Four addresses with 1,024 connections each ended all new sessions.
    #[actix_web::test]
    async fn silent_strangers_of_twenty_addresses_leave_room_for_others() {
        let (admission, metrics) = (admission(&Limits::default()), ConnectionMetrics::default());
        let admit = |n| {
            let address = IpAddr::from([192, 0, 2, n]);
            admission.admit(Transport::Tcp, address, metrics.meter(Transport::Tcp))
        };
        let mut held: Vec<_> = (0..1_000).filter_map(|_| admit(1)).collect();
        assert_eq!(held.len(), 1_000, "a thousand of one address at once");
        for n in 1..=20 {
            held.extend(std::iter::from_fn(|| admit(n)));
        }
        let newcomer: Vec<_> = std::iter::from_fn(|| admit(100)).collect();
        assert!(newcomer.len() >= 8, "{}", newcomer.len());
        drop((held, newcomer));
    }

    #[actix_web::test]
    async fn websockets_leave_http_and_tcp_their_places() {
        let limits = Limits { http_connections: 20, http_reserve: 10, ..Limits::default() };
        let (admission, metrics) = (admission(&limits), ConnectionMetrics::default());
        let address = |n| IpAddr::from([127, 0, 0, n]);
        let admit = |transport, n| admission.admit(transport, address(n), metrics.meter(transport));
        let open: Vec<_> = (0..200).filter_map(|n| admit(Transport::WebSocket, n)).collect();
        assert_eq!(open.len(), 10);
        assert!(admit(Transport::Tcp, 1).is_some());
    }

    #[actix_web::test]
    async fn user_with_fewer_sessions_displaces_the_user_with_most() {
        let limits = Limits { http_connections: 20, http_reserve: 10, ..Limits::default() };
        let admission = admission(&Limits { sessions_patience_ms: 200, ..limits });
        let mut eve = Vec::new();
        while let Ok(seat) = admission.welcome(Transport::WebSocket, UserId(1)).await {
            eve.push(seat);
        }
        let mallory = admission.welcome(Transport::WebSocket, UserId(2)).await.unwrap();
        let newest = eve.pop().unwrap();
        let gives_way = async {
            newest.displaced().await;
            drop(newest);
        };
        let (bob, ()) = futures_util::join!(admission.welcome(Transport::WebSocket, UserId(3)), gives_way);
        assert!(bob.is_ok());
        assert!(admission.welcome(Transport::WebSocket, UserId(1)).await.is_err(), "eve has the most");
        drop(mallory);
    }
}
