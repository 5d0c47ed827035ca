//! Guesses at several nodes that share their outcomes, with a clock of the test.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::pacing::{Among, LoginDelay, LoginOrigin, Pacing, PacingRules, RemoteAttempt, RemoteOutcome};

const DELAY_MAX: Duration = Duration::from_secs(30);
/// The time of a message between nodes, and of a password hash.
const LATENCY: Duration = Duration::from_millis(5);
const HASH: Duration = Duration::from_millis(100);
const STEP: Duration = Duration::from_millis(5);

fn rules(shared: bool) -> PacingRules {
    PacingRules {
        free: 3,
        delay_max: DELAY_MAX,
        delay_known_max: DELAY_MAX,
        tracked: 100,
        familiar: 2,
        waiting: 2,
        shared,
    }
}

fn origin() -> LoginOrigin {
    LoginOrigin { network: IpAddr::from([192, 0, 2, 1]), proven: false }
}

/// Nodes at which a guesser always waits for the next attempt. Returns the attempts within `time`.
fn guesses(nodes: usize, shares: bool, time: Duration) -> usize {
    let mut now = Instant::now();
    let end = now + time;
    let mut pacings: Vec<_> = (0..nodes).map(|_| Pacing::new(rules(shares))).collect();
    // The attempts that run, with their ends, and the messages, with their arrivals.
    let mut running: Vec<(Instant, usize, u64)> = Vec::new();
    let mut wire: Vec<(Instant, usize, RemoteAttempt)> = Vec::new();
    let (mut waiting, mut next_id, mut count) = (vec![0; nodes], 0, 0);
    while now < end {
        let mut started = Vec::new();
        for (at, pacing) in pacings.iter_mut().enumerate() {
            for (_, _, attempt) in wire.extract_if(.., |(arrives, to, _)| *to == at && *arrives <= now) {
                let refused = pacing.record_remote(attempt, now);
                waiting[at] -= refused.len();
            }
            let done = running.extract_if(.., |(ends, of, _)| *of == at && *ends <= now);
            for (_, _, id) in done.collect::<Vec<_>>() {
                started.push((at, pacing.remote_of(id, RemoteOutcome::Wrong)));
                waiting[at] -= pacing.tried(id, false, now).len();
            }
            for id in pacing.due(now) {
                waiting[at] -= 1;
                started.push((at, pacing.remote_of(id, RemoteOutcome::Started)));
                running.push((now + HASH, at, id));
                count += 1;
            }
            while waiting[at] < 1 && running.iter().filter(|(_, of, _)| *of == at).count() < 1 {
                next_id += 1;
                match pacing.ask(next_id, "alice", origin(), now) {
                    LoginDelay::Now => {
                        started.push((at, pacing.remote_of(next_id, RemoteOutcome::Started)));
                        running.push((now + HASH, at, next_id));
                        count += 1;
                    }
                    LoginDelay::Waits { .. } => waiting[at] += 1,
                }
            }
        }
        for (from, attempt) in started.into_iter().filter_map(|(from, attempt)| Some((from, attempt?))) {
            let others = (0..nodes).filter(|to| *to != from && shares);
            wire.extend(others.map(|to| (now + LATENCY, to, attempt.clone())));
        }
        now += STEP;
    }
    count
}

#[test]
fn guesses_at_three_nodes_are_as_slow_as_at_a_single_node() {
    let time = DELAY_MAX * 100;
    let single = guesses(1, false, time);
    assert!((100..=120).contains(&single), "{single} at a single node");
    let alone = guesses(3, false, time);
    assert!(alone >= single * 5 / 2, "{alone} at three nodes that share nothing");
    let shared = guesses(3, true, time);
    // Few attempts start at two nodes within the time of a message.
    assert!(shared <= single * 13 / 10, "{shared} at three nodes, {single} at a single node");
}

#[test]
fn network_that_is_familiar_at_another_node_is_familiar_here() {
    let (mut here, mut there, now) = (Pacing::new(rules(true)), Pacing::new(rules(true)), Instant::now());
    assert_eq!(there.ask(1, "alice", origin(), now), LoginDelay::Now);
    let right = there.remote_of(1, RemoteOutcome::Right).unwrap();
    there.tried(1, true, now);
    here.record_remote(right, now);
    // Guesses from another network delay that lane only.
    for id in 10..13 {
        let guesser = LoginOrigin { network: IpAddr::from([192, 0, 2, 9]), proven: false };
        assert_eq!(there.ask(id, "alice", guesser, now), LoginDelay::Now);
        let wrong = there.remote_of(id, RemoteOutcome::Wrong).unwrap();
        there.tried(id, false, now);
        here.record_remote(wrong, now);
    }
    let guesser = LoginOrigin { network: IpAddr::from([192, 0, 2, 10]), proven: false };
    assert_eq!(here.ask(1, "alice", guesser, now), LoginDelay::Waits { refused: None });
    assert_eq!(here.ask(2, "alice", origin(), now), LoginDelay::Now);
    assert_eq!(here.ask(3, "bob", guesser, now), LoginDelay::Now);
}

/// Returns a node at which three guesses from the network have failed, as at another node.
fn delayed(guesser: IpAddr, now: Instant) -> Pacing {
    let mut pacing = Pacing::new(rules(true));
    for _ in 0..3 {
        pacing.record_remote(remote(guesser, RemoteOutcome::Wrong), now);
    }
    pacing
}

fn remote(network: IpAddr, outcome: RemoteOutcome) -> RemoteAttempt {
    RemoteAttempt { account: "alice".to_owned(), network, among: Among::Others, outcome }
}

/// A guesser kept the lane of another node closed: each start there began the delay again.
#[test]
fn starts_elsewhere_do_not_delay_a_network_with_fewer_failures() {
    let (guesser, mut now) = (IpAddr::from([192, 0, 2, 9]), Instant::now());
    let mut here = delayed(guesser, now);
    assert_eq!(here.ask(1, "alice", origin(), now), LoginDelay::Waits { refused: None });
    let end = now + 3 * Duration::from_secs(1);
    while now < end && here.due(now).is_empty() {
        now += STEP;
        here.record_remote(remote(guesser, RemoteOutcome::Started), now);
    }
    assert!(now < end, "the attempt waits for ever");
    // An attempt of the guesser here waits for the start elsewhere.
    let mut here = delayed(guesser, now);
    let waiter = LoginOrigin { network: guesser, proven: false };
    assert_eq!(here.ask(1, "alice", waiter, now), LoginDelay::Waits { refused: None });
    now += Duration::from_millis(900);
    here.record_remote(remote(guesser, RemoteOutcome::Started), now);
    assert!(here.due(now + Duration::from_millis(900)).is_empty());
}

/// A client that disconnects during an attempt paid nothing for a start that delayed other nodes.
#[test]
fn attempt_without_an_outcome_costs_its_lane_the_delay() {
    let (guesser, now) = (IpAddr::from([192, 0, 2, 9]), Instant::now());
    let mut pacing = delayed(guesser, now);
    let from = LoginOrigin { network: guesser, proven: false };
    for id in 1..=2 {
        assert_eq!(pacing.ask(id, "alice", from, now), LoginDelay::Waits { refused: None });
    }
    let later = now + Duration::from_secs(2);
    let started = pacing.due(later);
    assert_eq!(started.len(), 1);
    pacing.gone(started[0], later);
    assert!(pacing.due(later + Duration::from_millis(900)).is_empty());
    assert_eq!(pacing.due(later + Duration::from_secs(2)).len(), 1);
}
