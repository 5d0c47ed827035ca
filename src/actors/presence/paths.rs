//! The addresses of a ticket's client, and which of them have proved that they receive datagrams.
//!
//! Address validation follows RFC 9000, section 8. An address that has not proved itself is sent at
//! most three times the bytes that came from it. The proof is a number that the client cannot
//! guess. A `PresenceBatch` to such an address ends with a random `to`, and the client's
//! acknowledgement (`Ping {known}`) repeats it from the same address.
//!
//! Invariants:
//!
//! * State is per ticket and address: a proof of another address or of another ticket does not
//!   count.
//! * Pushes stay with the proved address until the next one has proved itself. A captured datagram
//!   that is replayed from elsewhere therefore redirects nothing.
//! * The numbers by which a client knows versions only grow, and stay below 2^53.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The largest ratio of bytes sent to an unproved address to bytes received from it.
const AMPLIFICATION_MAX: usize = 3;
/// Bytes of a datagram's IPv4 and UDP headers. Counted for sent datagrams only.
const HEADER_BYTES: usize = 28;
/// A challenge is this far above every number that the client may know, plus up to 2^40.
const STEP_MIN: u64 = 1 << 32;
const STEP_RANDOM: u64 = 1 << 40;
/// Numbers stay below this limit, 2^53.
const NUMBER_MAX: u64 = 1 << 53;

/// The addresses of a ticket: at most one of each kind, so a client cannot make this grow.
#[derive(Debug, Default)]
pub(super) struct Paths {
    proved: Option<(SocketAddr, Instant)>,
    candidate: Option<PathCandidate>,
    /// The difference between a version of presence and the number by which this client knows it.
    offset: u64,
    /// The largest number that was drawn or claimed.
    highest: u64,
}

/// An address that sent authentic datagrams and has not proved that it receives any.
#[derive(Debug)]
struct PathCandidate {
    address: SocketAddr,
    received_at: Instant,
    received_bytes: usize,
    sent_bytes: usize,
    challenge: u64,
    /// The version up to which every batch with the challenge carried all changes. `None`: none was
    /// sent.
    covers: Option<u64>,
}

impl PathCandidate {
    fn budget(&self) -> usize {
        let allowed = self.received_bytes.saturating_mul(AMPLIFICATION_MAX);
        allowed.saturating_sub(self.sent_bytes).saturating_sub(HEADER_BYTES)
    }

    /// Takes the bytes of a datagram from the budget. Returns `false` if the budget is too small.
    fn charge(&mut self, bytes: usize) -> bool {
        let allowed = bytes <= self.budget();
        if allowed {
            self.sent_bytes += bytes + HEADER_BYTES;
        }
        allowed
    }
}

/// The meaning of the `known` of a `Ping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The client has all changes up to this version.
    Version(u64),
    /// The address has just proved itself; its client has all changes up to this version.
    Proved(u64),
    /// A number that the server cannot use.
    Unknown,
}

impl Paths {
    /// Records an authentic datagram. `newest`: no datagram with a larger counter came before.
    pub(super) fn record_datagram(
        &mut self,
        from: SocketAddr,
        bytes: usize,
        newest: bool,
        version: u64,
        now: Instant,
    ) {
        if let Some((address, received_at)) = &mut self.proved
            && *address == from
        {
            *received_at = now;
            if newest {
                self.candidate = None;
            }
        } else if let Some(candidate) = self.candidate.as_mut().filter(|known| known.address == from) {
            candidate.received_at = now;
            candidate.received_bytes = candidate.received_bytes.saturating_add(bytes);
        } else if newest && let Some(challenge) = self.draw(version) {
            // A datagram that arrives out of order may come from an address that the client has
            // left.
            self.candidate = Some(PathCandidate {
                address: from,
                received_at: now,
                received_bytes: bytes,
                sent_bytes: 0,
                challenge,
                covers: None,
            });
        }
    }

    /// Draws a number above all that the client may know. Returns `None` when the ticket has used
    /// up its numbers.
    fn draw(&mut self, version: u64) -> Option<u64> {
        let above = self.highest.max(self.number(version));
        let number = above.checked_add(STEP_MIN + rand::random_range(0..STEP_RANDOM))?;
        (number < NUMBER_MAX).then(|| {
            self.highest = number;
            number
        })
    }

    /// Returns the number by which the client knows a version.
    pub(super) fn number(&self, version: u64) -> u64 {
        version.saturating_add(self.offset)
    }

    /// Interprets the `known` of a `Ping` from `from`. `sent_version` is the version up to which
    /// the client is known to have all changes, `version` the current one.
    pub(super) fn claim(
        &mut self,
        known: u64,
        from: SocketAddr,
        (sent_version, version): (u64, u64),
        now: Instant,
    ) -> Claim {
        let proved =
            self.candidate.take_if(|candidate| candidate.address == from && candidate.challenge == known);
        if let Some(candidate) = proved {
            self.proved = Some((from, now));
            let sent_version = candidate.covers.unwrap_or(0).max(sent_version);
            self.offset = known.saturating_sub(sent_version);
            return Claim::Proved(sent_version);
        }
        if known <= self.number(version) {
            return known.checked_sub(self.offset).map_or(Claim::Unknown, Claim::Version);
        }
        if known < NUMBER_MAX {
            // The acknowledgement of a challenge was lost, or the number is from an earlier ticket.
            // It becomes the number of the version that the client has.
            self.offset = known.saturating_sub(sent_version);
            self.highest = self.highest.max(known);
            if self.candidate.as_ref().is_some_and(|candidate| candidate.challenge <= known) {
                let challenge = self.draw(version);
                self.candidate = self
                    .candidate
                    .take()
                    .zip(challenge)
                    .map(|(candidate, challenge)| PathCandidate { challenge, covers: None, ..candidate });
            }
        }
        Claim::Unknown
    }

    /// Returns the proved address, if a datagram came from it within `window`.
    pub(super) fn proved(&self, window: Duration, now: Instant) -> Option<SocketAddr> {
        self.proved
            .filter(|(_, received_at)| now.duration_since(*received_at) < window)
            .map(|(address, _)| address)
    }

    /// Returns whether `address` still has to prove itself.
    pub(super) fn must_prove(&self, address: SocketAddr) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| candidate.address == address)
    }

    /// Returns the address that must prove itself, its challenge, and the largest size of the
    /// datagram that carries it.
    pub(super) fn challenge(&self, window: Duration, now: Instant) -> Option<(SocketAddr, u64, usize)> {
        let candidate = self.candidate.as_ref()?;
        let recent = now.duration_since(candidate.received_at) < window;
        recent.then(|| (candidate.address, candidate.challenge, candidate.budget()))
    }

    /// Records that a batch with the challenge was sent, which carries all changes up to `covers`.
    pub(super) fn challenged(&mut self, bytes: usize, covers: u64) {
        if let Some(candidate) = &mut self.candidate
            && candidate.charge(bytes)
        {
            candidate.covers = Some(candidate.covers.map_or(covers, |before| before.min(covers)));
        }
    }

    /// Resets the version that the challenge covers, because the user joined a chat: all changes
    /// are sent again.
    pub(super) fn start_over(&mut self) {
        if let Some(candidate) = &mut self.candidate {
            candidate.covers = candidate.covers.map(|_| 0);
        }
    }

    /// Returns whether a datagram of `bytes` bytes may be sent to `address`. An address that is
    /// neither proved nor a candidate only receives answers smaller than its requests.
    pub(super) fn admits(&mut self, address: SocketAddr, bytes: usize) -> bool {
        match &mut self.candidate {
            Some(candidate) if candidate.address == address => candidate.charge(bytes),
            _ => true,
        }
    }

    /// Returns the address for a datagram that is sent only once: the proved address, or else the
    /// candidate.
    pub(super) fn reachable(&self, window: Duration, now: Instant) -> Option<SocketAddr> {
        self.proved(window, now).or_else(|| self.challenge(window, now).map(|(address, ..)| address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// Returns paths on which `port` has proved itself.
    fn proved(port: u16, now: Instant) -> Paths {
        let mut paths = Paths::default();
        paths.record_datagram(address(port), 60, true, 7, now);
        let (_, number, _) = paths.challenge(WINDOW, now).unwrap();
        paths.challenged(60, 7);
        assert_eq!(paths.claim(number, address(port), (0, 7), now), Claim::Proved(7));
        paths
    }

    #[test]
    fn unproved_address_receives_at_most_three_times_its_bytes() {
        let (mut paths, now, here) = (Paths::default(), Instant::now(), address(1));
        paths.record_datagram(here, 100, true, 0, now);
        let mut sent = 0;
        while paths.admits(here, 40) {
            sent += 40;
        }
        assert!((100..=300).contains(&sent), "{sent}");
        paths.record_datagram(here, 100, true, 0, now);
        assert!(paths.admits(here, 200) && !paths.admits(here, 200));
        // Another address in between does not refill the budget.
        paths.record_datagram(address(2), 10, true, 0, now);
        paths.record_datagram(here, 10, true, 0, now);
        assert!(!paths.admits(here, 40));
    }

    #[test]
    fn address_is_proved_only_by_the_number_sent_to_it() {
        let now = Instant::now();
        let guesses: [fn(u64) -> u64; 5] = [|_| 0, |_| 7, |n| n - 1, |n| n + 1, |_| NUMBER_MAX - 1];
        for guess in guesses {
            let mut paths = Paths::default();
            paths.record_datagram(address(1), 100, true, 7, now);
            let (_, number, _) = paths.challenge(WINDOW, now).unwrap();
            paths.challenged(60, 7);
            let claim = paths.claim(guess(number), address(1), (0, 7), now);
            assert!(!matches!(claim, Claim::Proved(_)), "{claim:?}");
            let elsewhere = paths.claim(number, address(2), (0, 7), now);
            assert!(!matches!(elsewhere, Claim::Proved(_)), "{elsewhere:?}");
            assert_eq!(paths.proved(WINDOW, now), None);
        }
    }

    #[test]
    fn pushes_stay_until_the_next_address_is_proved() {
        let now = Instant::now();
        let mut paths = proved(1, now);
        paths.record_datagram(address(2), 60, true, 7, now);
        assert_eq!(paths.proved(WINDOW, now), Some(address(1)));
        let (to, number, budget) = paths.challenge(WINDOW, now).unwrap();
        assert_eq!(to, address(2));
        assert!(budget <= 180);
        assert_eq!(paths.claim(number, address(2), (7, 9), now), Claim::Proved(7));
        assert_eq!(paths.proved(WINDOW, now), Some(address(2)));
        // The client continues counting from the number that proved the address.
        assert_eq!(paths.number(7), number);
        assert_eq!(paths.claim(number + 2, address(2), (7, 9), now), Claim::Version(9));
        assert_eq!(paths.proved(WINDOW, now + WINDOW), None, "no address after the window");
    }

    #[test]
    fn client_that_knows_larger_numbers_keeps_them() {
        let (mut paths, now, here) = (Paths::default(), Instant::now(), address(1));
        paths.record_datagram(here, 100, true, 7, now);
        assert_eq!(paths.claim(1 << 50, here, (0, 7), now), Claim::Unknown);
        let (_, number, _) = paths.challenge(WINDOW, now).unwrap();
        assert!(number > 1 << 50 && number < NUMBER_MAX);
        assert_eq!(paths.claim(number, here, (0, 7), now), Claim::Proved(0));
        assert_eq!(paths.claim(NUMBER_MAX, here, (0, 7), now), Claim::Unknown);
        assert!(paths.number(7) < NUMBER_MAX);
    }
}
