//! UDP tickets: their users, keys and addresses.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::paths::Paths;
use super::replay::ReplayWindow;
use crate::core::limits::Limits;
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{LoginId, UserId};
use crate::protocol::datagram::{self, DropReason, Header, Key, Upward};
use crate::protocol::view::TicketView;

/// A UDP ticket as its holder receives it. The keys are secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub connection_id: u64,
    pub key_up: Key,
    pub key_down: Key,
}

impl Ticket {
    /// Creates a ticket with a random id and random keys.
    pub fn fresh() -> Self {
        Self { connection_id: rand::random(), key_up: rand::random(), key_down: rand::random() }
    }

    /// Like [`Self::fresh`]; the upper 8 bits of the id are the number of the node, unless it is 0.
    pub fn fresh_at(node: i16) -> Self {
        let ticket = Self::fresh();
        match u8::try_from(node) {
            Ok(node @ 1..) => {
                Self { connection_id: u64::from(node) << 56 | ticket.connection_id >> 8, ..ticket }
            }
            _ => ticket,
        }
    }

    pub fn view<'a>(&self, expires_in: u64, address: &'a str) -> TicketView<'a> {
        let Self { connection_id, key_up, key_down } = *self;
        TicketView { connection_id, key_up, key_down, expires_in, address }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

/// A ticket in use.
#[derive(Debug)]
pub(super) struct TicketConnection {
    ticket: Ticket,
    pub(super) user: UserId,
    login: Option<LoginId>,
    pub(super) device: DeviceKey,
    expires: Instant,
    window: ReplayWindow,
    /// The counter of the last datagram to the client.
    counter: u64,
    pub(super) paths: Paths,
    /// Rate limit: the number of datagrams accepted at once, as of this instant.
    tokens: (f64, Instant),
    /// The version up to which the client has the changes of others, and the one up to which they
    /// were sent.
    pub(super) known: u64,
    pub(super) sent: u64,
    /// A `known` below this version dates from before the user joined a chat.
    pub(super) known_from: u64,
    /// When to send unacknowledged changes again, and how often that was done.
    resend: Option<(Instant, u32)>,
}

impl TicketConnection {
    /// Seals a datagram to the client.
    pub(super) fn seal(&mut self, kind: datagram::Kind, map: &impl serde::Serialize) -> Option<Vec<u8>> {
        let (connection_id, counter) = (self.ticket.connection_id, self.counter + 1);
        let sealed = datagram::seal(&self.ticket.key_down, Header { kind, connection_id, counter }, map)?;
        self.counter = counter;
        Some(sealed)
    }

    /// Seals a datagram to `address`. Returns `None`, without using up a counter, if the address
    /// may not be sent this many bytes.
    pub(super) fn seal_to(
        &mut self,
        address: SocketAddr,
        kind: datagram::Kind,
        map: &impl serde::Serialize,
    ) -> Option<(SocketAddr, Vec<u8>)> {
        let bytes = datagram::sealed_bytes(map)?;
        if !self.paths.admits(address, bytes) {
            return None;
        }
        Some((address, self.seal(kind, map)?))
    }

    fn within_rate(&mut self, limits: &Limits, now: Instant) -> bool {
        let (tokens, since) = self.tokens;
        let refilled = now.duration_since(since).as_secs_f64() * f64::from(limits.udp_datagrams_per_second);
        let tokens = (tokens + refilled).min(f64::from(limits.udp_datagrams_burst));
        let allowed = tokens >= 1.0;
        self.tokens = (if allowed { tokens - 1.0 } else { tokens }, now);
        allowed
    }
}

/// An authentic datagram.
#[derive(Debug)]
pub(super) struct AuthenticatedDatagram {
    pub(super) header: Header,
    pub(super) body: Upward,
    /// No datagram with a larger counter arrived before.
    pub(super) newest: bool,
}

#[derive(Debug, Default)]
pub(super) struct Tickets {
    connections: HashMap<u64, TicketConnection>,
    of_user: HashMap<UserId, VecDeque<u64>>,
    /// Tickets in the order of their expiry. An entry is removed with its ticket.
    expiries: BTreeSet<(Instant, u64)>,
    /// Users by number of tickets: when the limit is reached, the user with the most tickets loses
    /// the oldest.
    holders: BTreeSet<(usize, UserId)>,
    resends: BTreeSet<(Instant, u64)>,
}

impl Tickets {
    /// Adds a ticket. Returns the tickets that were evicted for it.
    pub(super) fn add(
        &mut self,
        who: Credential,
        device: DeviceKey,
        ticket: Ticket,
        limits: &Limits,
        now: Instant,
    ) -> Vec<TicketConnection> {
        let id = ticket.connection_id;
        let connection = TicketConnection {
            ticket,
            user: who.user,
            login: who.auth_method.login(),
            device,
            expires: now + Duration::from_secs(limits.udp_ticket_seconds),
            window: ReplayWindow::default(),
            counter: 0,
            paths: Paths::default(),
            tokens: (f64::from(limits.udp_datagrams_burst), now),
            known: 0,
            sent: 0,
            known_from: 0,
            resend: None,
        };
        let mut gone: Vec<_> = self.remove(id).into_iter().collect();
        self.expiries.insert((connection.expires, id));
        self.connections.insert(id, connection);
        let own = self.of_user.entry(who.user).or_default();
        own.push_back(id);
        let count = own.len();
        self.count(who.user, count - 1, count);
        while self.held_by(who.user) > limits.udp_tickets_per_user {
            gone.extend(self.remove_oldest_of(who.user));
        }
        while self.connections.len() > limits.udp_tickets
            && let Some((_, largest)) = self.holders.last().copied()
        {
            gone.extend(self.remove_oldest_of(largest));
        }
        gone
    }

    fn held_by(&self, user: UserId) -> usize {
        self.of_user.get(&user).map_or(0, VecDeque::len)
    }

    fn remove_oldest_of(&mut self, user: UserId) -> Option<TicketConnection> {
        let oldest = self.of_user.get(&user)?.front().copied()?;
        self.remove(oldest)
    }

    /// Records that a user holds `now` tickets instead of `before`.
    fn count(&mut self, user: UserId, before: usize, now: usize) {
        self.holders.remove(&(before, user));
        if now > 0 {
            self.holders.insert((now, user));
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<TicketConnection> {
        let connection = self.connections.remove(&id)?;
        if let Some((at, _)) = connection.resend {
            self.resends.remove(&(at, id));
        }
        self.expiries.remove(&(connection.expires, id));
        if let Some(own) = self.of_user.get_mut(&connection.user) {
            let before = own.len();
            own.retain(|other| *other != id);
            let left = own.len();
            if left == 0 {
                self.of_user.remove(&connection.user);
            }
            self.count(connection.user, before, left);
        }
        Some(connection)
    }

    /// Removes the tickets for which `which` holds, and returns them.
    pub(super) fn remove_where(
        &mut self,
        which: impl Fn(&TicketConnection) -> bool,
    ) -> Vec<TicketConnection> {
        let ids: Vec<_> =
            self.connections.iter().filter(|(_, connection)| which(connection)).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    pub(super) fn remove_login(&mut self, login: LoginId) -> Vec<TicketConnection> {
        self.remove_where(|connection| connection.login == Some(login))
    }

    pub(super) fn remove_expired(&mut self, now: Instant) -> Vec<TicketConnection> {
        let mut gone = Vec::new();
        while let Some(first) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.expiries.remove(&first);
            gone.extend(self.remove(first.1));
        }
        gone
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Sets when the changes sent to a connection must be sent again; `None`: the client has them.
    pub(super) fn set_resend(&mut self, id: u64, resend: Option<(Instant, u32)>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some((old, _)) = connection.resend {
            self.resends.remove(&(old, id));
        }
        self.resends.extend(resend.map(|(at, _)| (at, id)));
        connection.resend = resend;
    }

    /// Returns how often changes were sent to a connection again.
    pub(super) fn tries(&self, id: u64) -> u32 {
        self.connections.get(&id).and_then(|connection| connection.resend).map_or(0, |(_, tries)| tries)
    }

    /// Returns the connections whose resend is due.
    pub(super) fn due(&self, now: Instant) -> Vec<u64> {
        self.resends.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    pub(super) fn next_resend(&self) -> Option<Instant> {
        self.resends.first().map(|(at, _)| *at)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut TicketConnection> {
        self.connections.get_mut(&id)
    }

    pub(super) fn of_user(&self, user: UserId) -> impl Iterator<Item = u64> + '_ {
        self.of_user.get(&user).into_iter().flatten().copied()
    }

    /// Checks a datagram, the cheapest checks first. A datagram that fails is dropped without an
    /// answer. An authentic one updates the address of its sender. `version` is the current version
    /// of presence.
    pub(super) fn receive(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        version: u64,
        limits: &Limits,
        now: Instant,
    ) -> Result<AuthenticatedDatagram, DropReason> {
        let header = Header::of_client(datagram)?;
        let connection = self.connections.get_mut(&header.connection_id).ok_or(DropReason::Connection)?;
        if connection.expires <= now {
            return Err(DropReason::Expired);
        }
        if !connection.window.may_be_new(header.counter) {
            return Err(DropReason::Replayed);
        }
        let body = datagram::open(&connection.ticket.key_up, header, datagram)?;
        let newest = connection.window.is_newest(header.counter);
        connection.window.mark(header.counter);
        if !connection.within_rate(limits, now) {
            return Err(DropReason::Rate);
        }
        connection.paths.record_datagram(from, datagram.len(), newest, version, now);
        Ok(AuthenticatedDatagram { header, body, newest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::datagram::Kind;

    const HERE: ([u8; 4], u16) = ([127, 0, 0, 1], 1000);

    fn tickets(limits: &Limits) -> (Tickets, Ticket, Instant) {
        let (mut tickets, ticket, now) = (Tickets::default(), Ticket::fresh(), Instant::now());
        let who = Credential::login(UserId(1), LoginId(10), 1);
        assert!(tickets.add(who, DeviceKey::Ticket(1), ticket, limits, now).is_empty());
        (tickets, ticket, now)
    }

    fn ping(ticket: &Ticket, counter: u64) -> Vec<u8> {
        let header = Header { kind: Kind::Ping, connection_id: ticket.connection_id, counter };
        datagram::seal(&ticket.key_up, header, &Upward::default()).unwrap()
    }

    #[test]
    fn invalid_datagram_is_dropped_with_its_reason() {
        let limits = Limits::default();
        let (mut tickets, ticket, now) = tickets(&limits);
        let mut receive = |datagram: &[u8], at| {
            tickets.receive(HERE.into(), datagram, 0, &limits, at).map(|datagram| datagram.header.counter)
        };
        let first = ping(&ticket, 1);
        assert_eq!(receive(&first, now), Ok(1));
        assert_eq!(receive(&first, now), Err(DropReason::Replayed));
        let mut altered = ping(&ticket, 2);
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(receive(&altered, now), Err(DropReason::Forged));
        assert_eq!(receive(&ping(&ticket, 2), now), Ok(2), "a forged datagram does not use up a counter");
        assert_eq!(receive(&ping(&Ticket::fresh(), 3), now), Err(DropReason::Connection));
        let foreign = Ticket { connection_id: ticket.connection_id, ..Ticket::fresh() };
        assert_eq!(receive(&ping(&foreign, 3), now), Err(DropReason::Forged));
        assert_eq!(receive(&ping(&ticket, 3), now + Duration::from_secs(600)), Err(DropReason::Expired));
        assert_eq!(receive(&[0x4E; 600], now), Err(DropReason::Size));
    }

    #[test]
    fn ticket_of_a_node_has_its_number_in_the_upper_bits() {
        for node in [1, 77, 255] {
            let id = Ticket::fresh_at(node).connection_id;
            assert_eq!(id >> 56, u64::try_from(node).unwrap());
            assert_ne!(id, Ticket::fresh_at(node).connection_id);
        }
        // Without a cluster all bits are random: 64 ids in a row do not begin with the same byte.
        let first = Ticket::fresh_at(0).connection_id >> 56;
        assert!((0..64).any(|_| Ticket::fresh_at(0).connection_id >> 56 != first));
    }

    #[test]
    fn datagrams_above_the_rate_are_dropped() {
        let limits = Limits { udp_datagrams_burst: 5, udp_datagrams_per_second: 1, ..Limits::default() };
        let (mut tickets, ticket, now) = tickets(&limits);
        let mut allowed = |from: u64, at| {
            let flood = from..from + 20;
            flood.filter(|n| tickets.receive(HERE.into(), &ping(&ticket, *n), 0, &limits, at).is_ok()).count()
        };
        assert_eq!(allowed(1, now), 5);
        assert_eq!(allowed(100, now + Duration::from_secs(2)), 2);
    }

    #[test]
    fn candidate_is_the_address_of_the_newest_datagram() {
        let limits = Limits::default();
        let (mut tickets, ticket, now) = tickets(&limits);
        let there = ([127, 0, 0, 1], 2000);
        tickets.receive(HERE.into(), &ping(&ticket, 1), 0, &limits, now).unwrap();
        tickets.receive(there.into(), &ping(&ticket, 3), 0, &limits, now).unwrap();
        tickets.receive(HERE.into(), &ping(&ticket, 2), 0, &limits, now).unwrap();
        let connection = tickets.get_mut(ticket.connection_id).unwrap();
        let window = Duration::from_secs(60);
        assert_eq!(connection.paths.reachable(window, now), Some(there.into()));
        assert_eq!(connection.paths.reachable(window, now + window), None, "no address after the window");
    }

    /// Superseded tickets stayed in the list of expiries for ten minutes: one account grew it by
    /// 193 MiB in 90 s.
    #[test]
    fn removed_ticket_leaves_no_entries() {
        let limits = Limits { udp_tickets_per_user: 2, ..Limits::default() };
        let (mut tickets, _, now) = tickets(&limits);
        for n in 0..1_000 {
            let who = Credential::login(UserId(1), LoginId(n % 2), 1);
            tickets.add(who, DeviceKey::Ticket(2), Ticket::fresh(), &limits, now);
            assert!(tickets.connections.len() <= 2 && tickets.expiries.len() <= 2);
        }
        tickets.remove_login(LoginId(0));
        assert_eq!((tickets.connections.len(), tickets.expiries.len()), (1, 1));
        assert_eq!(tickets.remove_expired(now + Duration::from_secs(600)).len(), 1);
        assert!(tickets.expiries.is_empty() && tickets.of_user.is_empty() && tickets.holders.is_empty());
    }

    #[test]
    fn largest_holder_loses_a_ticket_when_limit_is_reached() {
        let limits = Limits { udp_tickets: 5, ..Limits::default() };
        let (mut tickets, first, now) = tickets(&limits);
        let who = |user| Credential::login(UserId(user), LoginId(user), 1);
        for _ in 0..3 {
            assert!(tickets.add(who(2), DeviceKey::Ticket(2), Ticket::fresh(), &limits, now).is_empty());
        }
        for user in 3..=5 {
            let gone = tickets.add(who(user), DeviceKey::Ticket(3), Ticket::fresh(), &limits, now);
            assert!(gone.iter().all(|connection| connection.user == UserId(2)), "{user}");
        }
        assert!(tickets.connections.contains_key(&first.connection_id));
        assert_eq!((tickets.connections.len(), tickets.held_by(UserId(2))), (5, 1));
    }

    #[test]
    fn oldest_ticket_is_evicted_and_revoked_login_removes_all() {
        let limits = Limits { udp_tickets_per_user: 2, ..Limits::default() };
        let (mut tickets, first, now) = tickets(&limits);
        let who = Credential::login(UserId(1), LoginId(11), 1);
        assert!(tickets.add(who, DeviceKey::Ticket(2), Ticket::fresh(), &limits, now).is_empty());
        let gone = tickets.add(who, DeviceKey::Ticket(3), Ticket::fresh(), &limits, now);
        assert_eq!(gone.iter().map(|connection| connection.ticket).collect::<Vec<_>>(), [first]);
        assert_eq!(tickets.remove_login(LoginId(11)).len(), 2);
        assert!(tickets.connections.is_empty() && tickets.of_user.is_empty());
    }
}
