//! Pacing with a clock of the test: which attempt starts when.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::pacing::{LoginDelay, LoginOrigin, Pacing, PacingRules};
use crate::core::auth::password::Standing;

const RULES: PacingRules = PacingRules {
    free: 3,
    delay_max: SECONDS_5,
    delay_known_max: SECONDS_5,
    tracked: 100,
    familiar: 2,
    waiting: 2,
    shared: false,
};
const SECONDS_5: Duration = Duration::from_secs(5);
const WAITS: LoginDelay = LoginDelay::Waits { refused: None };

fn network(n: u8) -> LoginOrigin {
    LoginOrigin { network: IpAddr::from([192, 0, 2, n]), proven: false }
}

/// Returns the time that is `seconds` after the beginning.
fn at(begin: Instant, seconds: u64) -> Instant {
    begin + Duration::from_secs(seconds)
}

/// Makes attempts that fail at once.
fn fail(pacing: &mut Pacing, account: &str, from: u8, times: u64, now: Instant) {
    for id in 1_000..1_000 + times {
        assert_eq!(pacing.ask(id, account, network(from), now), LoginDelay::Now);
        pacing.tried(id, false, now);
    }
}

fn succeed(pacing: &mut Pacing, account: &str, from: u8, now: Instant) {
    assert_eq!(pacing.ask(999, account, network(from), now), LoginDelay::Now);
    pacing.tried(999, true, now);
}

#[test]
fn parallel_tries_run_no_faster_than_sequential_tries() {
    let (mut pacing, begin) = (Pacing::new(RULES), Instant::now());
    // 48 workers from as many networks, each with one attempt at any time; attempts take no time.
    let (mut tried, mut id) = (0, 0);
    for worker in 0..48 {
        id += 1;
        if pacing.ask(id, "alice", network(worker), begin) == LoginDelay::Now {
            tried += 1;
        }
    }
    assert_eq!(tried, 3, "as many as are free, also in parallel");
    for running in 1..=3 {
        pacing.tried(running, false, begin);
    }
    for second in 0..40 {
        for started in pacing.due(at(begin, second)) {
            tried += 1;
            pacing.tried(started, false, at(begin, second));
        }
    }
    // After 1, 2, 4, then every 5 seconds.
    assert_eq!(tried, 3 + 3 + 6);
}

#[test]
fn user_in_a_familiar_network_does_not_wait_for_guesses() {
    let (mut pacing, now) = (Pacing::new(RULES), Instant::now());
    succeed(&mut pacing, "alice", 1, now);
    fail(&mut pacing, "alice", 2, 3, now);
    assert_eq!(pacing.ask(1, "alice", network(2), now), WAITS);
    for _ in 0..100 {
        succeed(&mut pacing, "alice", 1, now);
    }
    assert!(pacing.due(now).is_empty(), "her success does not end the delay of the others");
    // Guesses from the user's own network are delayed too.
    fail(&mut pacing, "alice", 1, 3, now);
    assert_eq!(pacing.ask(2, "alice", network(1), now), WAITS);
}

#[test]
fn user_in_a_new_network_is_served_before_guessers() {
    let (mut pacing, begin) = (Pacing::new(RULES), Instant::now());
    fail(&mut pacing, "alice", 1, 1, begin);
    fail(&mut pacing, "alice", 2, 2, begin);
    for (id, from) in [(1, 1), (2, 2), (3, 1), (4, 2), (5, 3)] {
        assert_eq!(pacing.ask(id, "alice", network(from), begin), WAITS);
    }
    assert!(pacing.due(begin).is_empty());
    assert_eq!(pacing.next_start(), Some(at(begin, 1)));
    assert_eq!(pacing.due(at(begin, 1)), [5], "her network has no failure");
    pacing.tried(5, true, at(begin, 1));
    let due = pacing.due(at(begin, 1));
    assert!(due == [1] || due == [3], "then the network with fewer: {due:?}");
    assert_eq!(pacing.ask(6, "alice", network(3), at(begin, 1)), LoginDelay::Now, "hers is familiar now");
}

#[test]
fn waiting_attempts_of_a_network_are_bounded() {
    let (mut pacing, now) = (Pacing::new(RULES), Instant::now());
    fail(&mut pacing, "alice", 1, 3, now);
    let turns: Vec<_> = (0..2).map(|id| pacing.ask(id, "alice", network(1), now)).collect();
    assert_eq!(turns, [WAITS, WAITS]);
    let LoginDelay::Waits { refused: Some(refused) } = pacing.ask(2, "alice", network(1), now) else {
        panic!("the newcomer waits, another is refused")
    };
    assert!(refused < 2);
    assert_eq!(pacing.ask(10, "alice", network(2), now), WAITS);
    pacing.gone(2, now);
    assert_eq!(pacing.ask(11, "alice", network(1), now), WAITS);
}

#[test]
fn attempts_queued_before_the_delay_are_bounded_too() {
    let (mut pacing, now) = (Pacing::new(RULES), Instant::now());
    for id in 0..20 {
        pacing.ask(id, "alice", network(1), now);
    }
    assert_eq!(pacing.ask(20, "alice", network(2), now), WAITS);
    let refused: Vec<_> = (0..3).flat_map(|id| pacing.tried(id, false, now)).collect();
    assert_eq!(refused.len(), 15, "two of this network wait on");
    assert_eq!(pacing.due(at(now, 1)), [20]);
}

#[test]
fn right_passwords_in_parallel_are_not_delayed() {
    let (mut pacing, now) = (Pacing::new(RULES), Instant::now());
    succeed(&mut pacing, "ci", 1, now);
    let mut running: Vec<_> =
        (0..30).filter(|id| pacing.ask(*id, "ci", network(1), now) == LoginDelay::Now).collect();
    let mut done = 0;
    while let Some(id) = running.pop() {
        pacing.tried(id, true, now);
        done += 1;
        running.extend(pacing.due(now));
    }
    assert_eq!(done, 30);
}

#[test]
fn failures_expire_after_fifteen_minutes() {
    let (mut pacing, begin) = (Pacing::new(RULES), Instant::now());
    fail(&mut pacing, "alice", 1, 3, begin);
    assert_eq!(pacing.ask(1, "alice", network(1), begin), WAITS);
    pacing.gone(1, begin);
    assert_eq!(pacing.ask(2, "alice", network(1), at(begin, 901)), LoginDelay::Now);
}

#[test]
fn attempts_without_outcome_release_their_slots() {
    let (mut pacing, now) = (Pacing::new(RULES), Instant::now());
    for id in 0..5 {
        pacing.ask(id, "alice", network(1), now);
    }
    (0..3).for_each(|id| pacing.gone(id, now));
    let mut due = pacing.due(now);
    due.sort_unstable();
    assert_eq!(due, [3, 4]);
    (3..5).for_each(|id| pacing.gone(id, now));
    assert_eq!(pacing.sizes().2, 0);
}

#[test]
fn flood_of_names_is_bounded_and_keeps_delays_of_guessers() {
    let (mut pacing, now) = (Pacing::new(RULES), Instant::now());
    fail(&mut pacing, "alice", 1, 3, now);
    for n in 0..1_000 {
        fail(&mut pacing, &format!("u{n}"), 1, 1, now);
        succeed(&mut pacing, &format!("v{n}"), 1, now);
    }
    let (lanes, familiar, tries) = pacing.sizes();
    assert!(lanes <= 100 && familiar <= 100 && tries == 0, "{lanes} {familiar} {tries}");
    assert_eq!(pacing.ask(1, "alice", network(1), now), WAITS);
}

/// The rules of a server with the default configuration.
fn defaults() -> PacingRules {
    PacingRules::of(&crate::core::limits::Limits::default())
}

/// Returns whether the attempt `owner` starts within the patience of 45 s. All other started
/// attempts fail, and `again` runs after each.
fn has_its_turn(
    pacing: &mut Pacing,
    owner: u64,
    begin: Instant,
    mut again: impl FnMut(&mut Pacing, Instant),
) -> bool {
    for second in 0..45 {
        let now = at(begin, second);
        for id in pacing.due(now) {
            if id == owner {
                return true;
            }
            pacing.tried(id, false, now);
            again(pacing, now);
        }
    }
    false
}

/// Regression: four threads in the user's own office, whose address is familiar, guess without a
/// pause. Two threads used to lock the user out permanently.
#[test]
fn right_password_is_served_despite_guesses_of_its_network() {
    let served = (0..200).filter(|_| {
        let (mut pacing, begin) = (Pacing::new(defaults()), Instant::now());
        succeed(&mut pacing, "alice", 1, begin);
        fail(&mut pacing, "alice", 1, 10, begin);
        let mut next = 10_000;
        let mut guess = |pacing: &mut Pacing, now: Instant| {
            next += 1;
            assert_eq!(pacing.ask(next, "alice", network(1), now), WAITS);
        };
        (0..4).for_each(|_| guess(&mut pacing, begin));
        // The delay is longest when the user arrives.
        has_its_turn(&mut pacing, 0, begin, &mut guess);
        let now = at(begin, 45);
        assert_eq!(pacing.ask(1, "alice", network(1), now), WAITS);
        has_its_turn(&mut pacing, 1, now, guess)
    });
    let served = served.count();
    assert!(served > 140, "{served} of 200; 87 % are expected");
}

/// Regression: a hundred networks guess. Only 64 were counted, and the others ranked before the
/// user.
#[test]
fn owner_in_a_new_network_passes_a_hundred_guessing_networks() {
    let (mut pacing, begin) = (Pacing::new(defaults()), Instant::now());
    fail(&mut pacing, "alice", 200, 10, begin);
    for round in 0..2 {
        for n in 0..100 {
            let id = 2_000 + u64::from(n);
            // Their clients time out, and return.
            let now = at(begin, 45 * round);
            pacing.gone(id, now);
            assert_eq!(pacing.ask(id, "alice", network(n), now), WAITS);
        }
    }
    let now = at(begin, 46);
    assert_eq!(pacing.ask(1, "alice", network(201), now), WAITS);
    assert_eq!(pacing.due(now), [1]);
}

#[test]
fn equal_networks_are_served_at_random() {
    let last_is_first = (0..200).filter(|_| {
        let (mut pacing, begin) = (Pacing::new(defaults()), Instant::now());
        fail(&mut pacing, "alice", 200, 10, begin);
        for n in 0..4 {
            assert_eq!(pacing.ask(u64::from(n), "alice", network(n), begin), WAITS);
        }
        pacing.due(at(begin, 30)) == [3]
    });
    let count = last_is_first.count();
    assert!((20..=90).contains(&count), "{count}");
}

#[test]
fn user_who_is_logged_in_does_not_wait_for_guesses() {
    let (mut pacing, now) = (Pacing::new(RULES), Instant::now());
    succeed(&mut pacing, "alice", 1, now);
    fail(&mut pacing, "alice", 1, 3, now);
    assert_eq!(pacing.ask(1, "alice", network(1), now), WAITS);
    let proven = LoginOrigin { proven: true, ..network(1) };
    for id in 2..5 {
        assert_eq!(pacing.ask(id, "alice", proven, now), LoginDelay::Now);
        pacing.tried(id, false, now);
    }
    assert_eq!(pacing.ask(5, "alice", proven, now), WAITS, "a stolen login does not guess faster");
}

#[test]
fn standing_follows_familiarity_and_failures() {
    let (mut pacing, now) = (Pacing::new(RULES), Instant::now());
    succeed(&mut pacing, "alice", 1, now);
    for (n, name) in ["bob", "carol", "dave", "erin"].into_iter().enumerate() {
        fail(&mut pacing, name, 1, 1, at(now, n as u64));
    }
    for (id, name, from) in [(1, "alice", 1), (2, "nemo", 1), (3, "nemo", 2)] {
        assert_eq!(pacing.ask(id, name, network(from), now), LoginDelay::Now);
    }
    let standings = [1, 2, 3].map(|id| pacing.standing(id, at(now, 5)));
    assert_eq!(standings, [Standing::Known, Standing::Suspect, Standing::New]);
}
