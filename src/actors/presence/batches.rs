//! The `PresenceBatch` datagrams of one connection.

use std::time::{Duration, Instant};

use super::state::Outgoing;
use super::tickets::TicketConnection;
use crate::protocol::datagram::{Kind, PresenceBatch, sealed_bytes};
use crate::protocol::view::PresenceView;

/// This many users fit into a datagram, whatever their ids are.
const USERS_PER_DATAGRAM: usize = 20;

/// Seals the changes that the client lacks, in the order of their versions. Each datagram continues
/// the one before it; there are at most `datagrams_max`.
pub(super) fn batches(
    connection: &mut TicketConnection,
    views: &[PresenceView],
    version: u64,
    datagrams_max: usize,
) -> Vec<Vec<u8>> {
    let (mut from, mut sealed) = (connection.known, Vec::new());
    let mut chunks = views.chunks(USERS_PER_DATAGRAM).take(datagrams_max).peekable();
    let whole = views.len() <= USERS_PER_DATAGRAM * datagrams_max;
    while let Some(chunk) = chunks.next() {
        let last = chunk.last().map_or(from, |view| view.version);
        let to = if chunks.peek().is_none() && whole { version } else { last };
        let numbers = (connection.paths.number(from), connection.paths.number(to));
        sealed.extend(connection.seal(Kind::PresenceBatch, &batch(numbers, chunk)));
        (from, connection.sent) = (to, to);
    }
    sealed
}

/// Seals a batch for an address that must prove itself: as many users as its budget holds, and the
/// challenge as `to`. Returns `None` if no address must prove itself or if the budget is used up.
pub(super) fn challenge(
    connection: &mut TicketConnection,
    views: &[PresenceView],
    version: u64,
    window: Duration,
    now: Instant,
) -> Option<Outgoing> {
    let (address, number, budget) = connection.paths.challenge(window, now)?;
    let mut shown = views.get(..USERS_PER_DATAGRAM).unwrap_or(views);
    loop {
        let batch = batch((0, number), shown);
        let bytes = sealed_bytes(&batch)?;
        if bytes <= budget {
            let covers = if shown.len() == views.len() {
                version
            } else {
                shown.last().map_or(connection.known, |view| view.version)
            };
            connection.paths.challenged(bytes, covers);
            return Some((address, connection.seal(Kind::PresenceBatch, &batch)?));
        }
        if shown.is_empty() {
            return None;
        }
        shown = shown.get(..shown.len() / 2).unwrap_or_default();
    }
}

fn batch((from, to): (u64, u64), views: &[PresenceView]) -> PresenceBatch {
    let users = views.iter().map(|view| (view.user_id, view.status.code(), view.version)).collect();
    PresenceBatch { from, to, users }
}
