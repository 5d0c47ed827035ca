//! Datagrams: those that arrive, and the changes that a connection lacks.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Outgoing, PresenceState};
use crate::actors::presence::batches;
use crate::actors::presence::paths::Claim;
use crate::actors::presence::tickets::AuthenticatedDatagram;
use crate::protocol::datagram::{DropReason, Kind, Pong, sealed_bytes};

/// Number of resends of an unacknowledged update before the server waits for a `Ping`.
const RESENDS_MAX: u32 = 5;
impl PresenceState {
    /// Handles a datagram. Returns the answer, if any.
    pub(in crate::actors::presence) fn receive(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> Result<Option<Outgoing>, DropReason> {
        let version = self.people.version();
        let AuthenticatedDatagram { header, body, newest } =
            self.tickets.receive(from, datagram, version, &self.limits, now)?;
        let id = header.connection_id;
        let Some(connection) = self.tickets.get_mut(id) else { return Err(DropReason::Connection) };
        let (user, device) = (connection.user, connection.device.clone());
        if connection.paths.must_prove(from) {
            self.pending.insert(id);
        }
        self.people.record_datagram(user, &device, now);
        // Without a version the datagram's counter decides: a status that arrives out of order is
        // ignored.
        if let Some(status) = body.status.filter(|_| body.version.is_some() || newest) {
            self.people.set_status(user, &device, status, body.version, now);
        }
        let answer = match header.kind {
            Kind::Ping => self.pong(id, body.known.unwrap_or(0), from, datagram.len(), now),
            Kind::Typing => {
                let chat = body.chat_id.ok_or(DropReason::Malformed)?;
                if !self.type_in(chat, user, now) {
                    return Err(DropReason::NotMember);
                }
                None
            }
            _ if body.status.is_none() => return Err(DropReason::Malformed),
            _ => None,
        };
        self.schedule(now);
        Ok(answer)
    }

    /// Records the version that the client has and returns the answer, which is never larger than
    /// the request.
    fn pong(&mut self, id: u64, known: u64, from: SocketAddr, size: usize, now: Instant) -> Option<Outgoing> {
        let version = self.people.version();
        let connection = self.tickets.get_mut(id)?;
        match connection.paths.claim(known, from, (connection.known, version), now) {
            Claim::Version(known) if known >= connection.known_from => {
                connection.known = connection.known.max(known);
            }
            Claim::Proved(known) => {
                connection.known = known;
                // Updates that did not fit before the proof are sent at once.
                self.flush_at = Some(now);
            }
            Claim::Version(_) | Claim::Unknown => {}
        }
        let status = self.people.status_version(connection.user, &connection.device);
        let pong = Pong { version: status, known: connection.paths.number(version) };
        let fits = sealed_bytes(&pong).is_some_and(|bytes| bytes <= size);
        let pong = if fits { connection.seal_to(from, Kind::Pong, &pong) } else { None };
        if connection.known < version {
            // The client lacks changes or is new: it receives them at the next flush.
            self.pending.insert(id);
        }
        if self.tickets.get_mut(id).is_some_and(|connection| connection.known >= connection.sent) {
            self.tickets.set_resend(id, None);
        }
        pong
    }

    /// Sends a connection the changes that it lacks. An address that must prove itself receives the
    /// challenge, with as many changes as its budget holds.
    pub(super) fn send_to_connection(&mut self, id: u64, now: Instant, out: &mut Vec<Outgoing>) {
        let window = Duration::from_millis(self.limits.udp_push_window_ms);
        let mut tries = self.tickets.tries(id);
        self.tickets.set_resend(id, None);
        let Some(connection) = self.tickets.get_mut(id) else { return };
        let (version, known) = (self.people.version(), connection.known);
        let views = self.people.seen_by(connection.user, known);
        let challenge = batches::challenge(connection, &views, version, window, now);
        let mut acknowledged = challenge.is_none();
        out.extend(challenge);
        if let (Some(newest), Some(address)) = (views.last(), connection.paths.proved(window, now)) {
            if newest.version > connection.sent {
                // A new version resets the retry count.
                tries = 0;
            }
            let datagrams_max = self.limits.udp_batch_datagrams;
            let datagrams = batches::batches(connection, &views, version, datagrams_max);
            out.extend(datagrams.into_iter().map(|datagram| (address, datagram)));
            acknowledged = false;
        }
        if tries < RESENDS_MAX && !acknowledged {
            let wait = Duration::from_millis(self.limits.udp_resend_ms) * 2_u32.pow(tries);
            self.tickets.set_resend(id, Some((now + wait, tries + 1)));
        }
    }
}
