//! Pace: how fast the client of a transfer reads or sends bytes, while the server waits for that
//! client.
//!
//! The clock of a direction runs only inside [`Pace::wait`]. The time that git computes counts for
//! neither direction.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::core::saturate;

/// Bytes that the channel, the socket's buffers and the client's kernel may accept while the client
/// does not read. They do not count towards the client's speed.
const HIDDEN_BYTES: u64 = 1024 * 1024;

/// The direction in which bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// Shared by the pumps of a transfer, which write it, and its supervisor and its pool, which read
/// it.
#[derive(Debug)]
pub struct Pace {
    begun: Instant,
    incoming: Side,
    outgoing: Side,
}

#[derive(Debug, Default)]
struct Side {
    /// When the current wait began, in milliseconds from `begun` plus one. 0: the server does not
    /// wait for the client.
    since_ms: AtomicU64,
    /// The sum of all earlier waits.
    waited_ms: AtomicU64,
    moved: AtomicU64,
}

/// Milliseconds waited and bytes moved so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sample {
    waited_ms: u64,
    moved: u64,
}

/// Ends the wait when it is dropped.
struct Waiting<'a>(&'a Pace, Direction);

impl Default for Pace {
    fn default() -> Self {
        Self { begun: Instant::now(), incoming: Side::default(), outgoing: Side::default() }
    }
}

impl Pace {
    /// Runs `work` with the client's clock running. At most one wait per direction at a time.
    pub async fn wait<T>(&self, direction: Direction, work: impl Future<Output = T>) -> T {
        self.side(direction).since_ms.store(self.now_ms().saturating_add(1), Relaxed);
        let _waiting = Waiting(self, direction);
        work.await
    }

    pub fn moved(&self, direction: Direction, bytes: usize) {
        self.side(direction).moved.fetch_add(saturate::to_u64(bytes), Relaxed);
    }

    fn waits(&self, direction: Direction) -> bool {
        self.side(direction).since_ms.load(Relaxed) != 0
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::In => &self.incoming,
            Direction::Out => &self.outgoing,
        }
    }

    fn now_ms(&self) -> u64 {
        saturate::millis(self.begun.elapsed())
    }

    fn sample(&self, direction: Direction) -> Sample {
        let side = self.side(direction);
        let present = match side.since_ms.load(Relaxed) {
            0 => 0,
            since => self.now_ms().saturating_sub(since - 1),
        };
        let waited_ms = side.waited_ms.load(Relaxed).saturating_add(present);
        Sample { waited_ms, moved: side.moved.load(Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Self(pace, direction) = self;
        let side = pace.side(*direction);
        let since = side.since_ms.swap(0, Relaxed).saturating_sub(1);
        side.waited_ms.fetch_add(pace.now_ms().saturating_sub(since), Relaxed);
    }
}

/// Compares a client with a minimum rate, in windows of waiting time. Bytes that move before the
/// first wait are not counted: buffers take them.
#[derive(Debug, Default)]
pub struct Window {
    starts: [Option<Sample>; 2],
}

impl Window {
    /// Returns whether a direction of `pace` moved fewer than `bytes_min` bytes in a window of
    /// `length` that has just ended.
    pub fn is_too_slow(&mut self, pace: &Pace, length: Duration, bytes_min: u64) -> bool {
        let length = saturate::millis(length).max(1);
        let mut too_slow = false;
        for (start, direction) in self.starts.iter_mut().zip([Direction::In, Direction::Out]) {
            let now = pace.sample(direction);
            if now.waited_ms == 0 {
                continue;
            }
            let begin = *start.get_or_insert(now);
            if now.waited_ms.saturating_sub(begin.waited_ms) >= length {
                too_slow |= now.moved.saturating_sub(begin.moved) < bytes_min;
                *start = Some(now);
            }
        }
        too_slow
    }
}

/// The speed of a client over the last one or two [`Recent::INTERVAL`]s. Earlier bytes do not
/// count.
#[derive(Debug, Default)]
pub struct Recent {
    /// Incoming and outgoing, at the last mark but one.
    begin: [Sample; 2],
    last: [Sample; 2],
}

impl Recent {
    /// The time between two marks.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    /// Called once in each interval.
    pub fn mark(&mut self, pace: &Pace) {
        self.begin = self.last;
        self.last = [pace.sample(Direction::In), pace.sample(Direction::Out)];
    }

    /// Returns the bytes per second of the slower direction in which the server waits for the
    /// client now. A direction counts once the server has waited for `at_least` (at most half an
    /// interval).
    pub fn speed(&self, pace: &Pace, at_least: Duration) -> Option<u64> {
        let at_least = saturate::millis(at_least.min(Self::INTERVAL / 2)).max(1);
        let [begin_in, begin_out] = self.begin;
        let speed = |direction, begin: Sample, hidden: u64| {
            if !pace.waits(direction) {
                return None;
            }
            let now = pace.sample(direction);
            let waited_ms = now.waited_ms.saturating_sub(begin.waited_ms);
            let moved = now.moved.saturating_sub(begin.moved.max(hidden)).saturating_mul(1000);
            (waited_ms >= at_least).then(|| moved / waited_ms.max(1))
        };
        let (incoming, outgoing) =
            (speed(Direction::In, begin_in, 0), speed(Direction::Out, begin_out, HIDDEN_BYTES));
        incoming.into_iter().chain(outgoing).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(waited_ms: u64, moved: u64) -> Pace {
        let pace = Pace::default();
        pace.outgoing.waited_ms.store(waited_ms, Relaxed);
        pace.outgoing.moved.store(moved, Relaxed);
        pace.outgoing.since_ms.store(u64::from(waited_ms > 0), Relaxed);
        pace
    }

    fn advance(pace: &Pace, waited_ms: u64, moved: u64) {
        pace.outgoing.waited_ms.fetch_add(waited_ms, Relaxed);
        pace.outgoing.moved.fetch_add(moved, Relaxed);
    }

    const LENGTH: Duration = Duration::from_secs(180);
    const BYTES_MIN: u64 = 180 * 1024;

    #[test]
    fn dripping_client_is_too_slow_and_a_modem_is_not() {
        for (bytes_per_second, expected) in [(1, true), (1000, true), (1100, false), (8000, false)] {
            let (pace, mut window) = (pace(1, 4_000_000), Window::default());
            let mut cut = false;
            for _ in 0..400 {
                advance(&pace, 1000, bytes_per_second);
                cut |= window.is_too_slow(&pace, LENGTH, BYTES_MIN);
            }
            assert_eq!(cut, expected, "{bytes_per_second} bytes per second");
        }
    }

    #[test]
    fn modem_behind_large_buffers_is_not_too_slow() {
        // The socket accepts 1 MB at once and then nothing for 131 s.
        let (pace, mut window) = (pace(1, 4_000_000), Window::default());
        for second in 0..2000 {
            advance(&pace, 1000, if second % 131 == 0 { 1_048_576 } else { 0 });
            assert!(!window.is_too_slow(&pace, LENGTH, BYTES_MIN), "{second}");
        }
    }

    #[test]
    fn computing_time_of_git_does_not_count_for_the_client() {
        let (pace, mut window) = (pace(0, 0), Window::default());
        for _ in 0..1000 {
            assert!(!window.is_too_slow(&pace, Duration::from_millis(1), u64::MAX));
        }
        assert_eq!(Recent::default().speed(&pace, Duration::ZERO), None);
    }

    #[test]
    fn speed_excludes_buffered_bytes() {
        let speed = |pace: Pace| Recent::default().speed(&pace, Duration::from_secs(5));
        assert_eq!(speed(pace(10_000, HIDDEN_BYTES + 50_000)), Some(5_000));
        assert_eq!(speed(pace(10_000, HIDDEN_BYTES / 2)), Some(0));
        assert_eq!(speed(pace(4_000, 0)), None, "the server has not waited long enough");
    }

    #[test]
    fn fast_start_does_not_excuse_later_idling() {
        let (pace, mut recent) = (pace(1_000, 1_000_000_000), Recent::default());
        let speed = |recent: &Recent, pace: &Pace| recent.speed(pace, Duration::from_secs(5)).unwrap();
        for _ in 0..2 {
            advance(&pace, 10_000, 0);
            assert!(speed(&recent, &pace) > 1_000_000);
            recent.mark(&pace);
        }
        advance(&pace, 5_000, 0);
        assert_eq!(speed(&recent, &pace), 0);
        advance(&pace, 5_000, 400_000);
        assert_eq!(speed(&recent, &pace), 20_000, "over the last twenty seconds");
    }

    #[actix_web::test]
    async fn clock_runs_only_while_the_server_waits_for_the_client() {
        let pace = Pace::default();
        pace.wait(Direction::In, tokio::time::sleep(Duration::from_millis(30))).await;
        let waited = pace.sample(Direction::In).waited_ms;
        assert!(waited >= 29, "{waited}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(pace.sample(Direction::In).waited_ms, waited);
    }
}
