//! The table, alone: each rule by example, and all of them with random requests.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::ids::UserId;

fn rules(size: usize, reserve: usize, waiting: usize) -> Rules {
    Rules::new(size, waiting, Duration::from_secs(1)).with_reserve(reserve, Reserved::ForAll)
}

fn account(id: i64) -> Holder {
    Holder::Account(UserId(id))
}

/// Asks so many times, with ids from `first` on; returns how many are inside at once.
fn ask(table: &mut Table, holder: Holder, first: u64, count: u64) -> usize {
    (first..first + count).filter(|id| table.ask(*id, holder) == Asked::Inside).count()
}

#[test]
fn lone_holder_gets_all_places_except_the_reserve() {
    let mut table = Table::new(rules(16, 2, 100));
    assert_eq!(ask(&mut table, account(1), 0, 30), 14);
    assert_eq!(table.waiting(), 16);
    // Each release admits the next one: all 30 are served.
    for id in 0..30 {
        table.leave(id);
    }
    assert_eq!((table.taken(), table.waiting()), (0, 0));
}

#[test]
fn reserve_admits_holders_with_nothing_inside_only() {
    let mut table = Table::new(rules(4, 2, 10));
    assert_eq!(ask(&mut table, account(1), 0, 4), 2);
    assert_eq!(ask(&mut table, account(2), 10, 2), 1);
    assert_eq!(ask(&mut table, account(3), 20, 1), 1);
    assert_eq!(ask(&mut table, account(4), 30, 1), 0, "all four places are taken");
}

#[test]
fn reserve_for_accounts_is_closed_to_networks() {
    let rules = Rules::new(4, 10, Duration::ZERO).with_reserve(2, Reserved::ForAccounts);
    let mut table = Table::new(rules);
    let visitors = (0..10u8).map(|n| Holder::network(IpAddr::from([192, 0, 2, n])));
    let inside = visitors.enumerate().filter(|(n, holder)| table.ask(*n as u64, *holder) == Asked::Inside);
    assert_eq!(inside.count(), 2);
    assert_eq!(ask(&mut table, account(1), 50, 1), 1);
    // A network that leaves does not admit another network while the reserve is in use.
    assert_eq!(ask(&mut table, account(2), 60, 1), 1);
    assert!(table.leave(0).is_empty());
}

#[test]
fn freed_place_goes_to_the_holder_with_the_fewest() {
    let mut table = Table::new(rules(3, 0, 10));
    ask(&mut table, account(1), 0, 6);
    ask(&mut table, account(2), 10, 2);
    assert_eq!(table.leave(0), [10], "account 2 has nothing inside");
    assert_eq!(table.leave(10), [11], "account 1 still has two");
    assert_eq!(table.leave(11), [3]);
}

#[test]
fn equal_holders_take_turns() {
    let mut table = Table::new(rules(1, 0, 10));
    ask(&mut table, account(1), 0, 4);
    ask(&mut table, account(2), 10, 1);
    ask(&mut table, account(3), 20, 1);
    let order: Vec<_> = [0, 1, 10, 20, 2].into_iter().flat_map(|id| table.leave(id)).collect();
    assert_eq!(order, [1, 10, 20, 2, 3]);
}

#[test]
fn full_queue_refuses_the_newest_of_the_largest_holder() {
    let mut table = Table::new(rules(1, 0, 3));
    ask(&mut table, account(1), 0, 4);
    assert_eq!(table.ask(4, account(1)), Asked::Refused);
    assert_eq!(table.ask(10, account(2)), Asked::Waits { refused: Some(3) });
    assert_eq!(table.ask(11, account(2)), Asked::Waits { refused: Some(2) });
    assert_eq!(table.ask(12, account(2)), Asked::Refused, "now account 2 is the largest");
    assert_eq!(table.waiting(), 3);
}

#[test]
fn starving_request_cuts_the_slowest_of_the_largest() {
    let rules = rules(4, 0, 10).with_cut(Duration::ZERO, Cut::Slow(1000));
    let mut table = Table::new(rules);
    ask(&mut table, account(1), 0, 3);
    ask(&mut table, account(2), 10, 1);
    for id in 20..23 {
        let _ = table.ask(id, account(id as i64));
    }
    let speed = |id: u64| [(0, 900), (1, 100), (2, 5000), (10, 1)].into_iter().find(|(at, _)| *at == id);
    let speed = |id| speed(id).map(|(_, speed)| speed);
    assert_eq!(table.starves(20, speed), Some(1));
    assert_eq!(table.starves(20, speed), None, "one place for a holder");
    assert_eq!(table.starves(21, speed), Some(0), "each is cut once");
    assert_eq!(table.starves(22, |_| None), None, "git computes: its client is not to blame");
    assert_eq!(table.starves(22, speed), Some(10), "also the only place of a holder, if it is slow");
    assert_eq!(table.starves(0, |_| Some(0)), None, "it does not wait");
}

#[test]
fn starving_holder_gets_a_place_of_a_fast_surplus() {
    let mut table = Table::new(rules(8, 0, 50).with_cut(Duration::ZERO, Cut::Slow(1000)));
    ask(&mut table, account(1), 0, 6);
    ask(&mut table, account(2), 10, 1);
    ask(&mut table, account(3), 20, 1);
    ask(&mut table, account(4), 30, 5);
    let speed = |id: u64| if id == 2 { Some(30_000) } else { Some(40_000) };
    assert_eq!(table.starves(30, speed), Some(2), "the slowest of the largest, also a fast one");
    assert_eq!(table.starves(31, speed), None, "its place is on the way");
    assert_eq!(table.leave(2), [30]);
    assert_eq!(table.starves(31, speed), None, "it has a place, and no place is slow");
    for (holder, place) in [(5, 5), (6, 4), (7, 3), (8, 1)] {
        table.ask(100 + holder, account(holder as i64));
        assert_eq!(table.starves(100 + holder, |_| None), Some(place), "git computes: the newest");
        table.leave(place);
    }
    table.ask(200, account(9));
    assert_eq!(table.starves(200, speed), None, "all have one fast place");
    assert_eq!(table.starves(200, Some), Some(0), "all have one: only a slow place");
}

#[test]
fn networks_end_only_slow_transfers_of_accounts() {
    let mut table = Table::new(rules(4, 0, 50).with_cut(Duration::ZERO, Cut::Slow(1000)));
    let network = |n| Holder::network(IpAddr::from([192, 0, 2, n]));
    ask(&mut table, account(1), 0, 2);
    ask(&mut table, network(1), 10, 2);
    table.ask(20, network(2));
    table.ask(30, network(3));
    assert_eq!(table.starves(20, |_| Some(5000)), Some(11));
    assert_eq!(table.starves(30, |_| Some(5000)), None);
    assert_eq!(table.starves(30, |_| Some(10)), Some(1));
}

#[test]
fn surplus_is_cut_until_holders_are_equal() {
    let mut table = Table::new(rules(4, 0, 10).with_cut(Duration::ZERO, Cut::Surplus));
    ask(&mut table, account(1), 0, 4);
    table.ask(10, account(2));
    assert_eq!(table.starves(10, |_| None), Some(3));
    assert_eq!(table.leave(3), [10]);
    table.ask(11, account(2));
    assert_eq!(table.starves(11, |_| None), Some(2));
    assert_eq!(table.leave(2), [11]);
    table.ask(12, account(2));
    assert_eq!(table.starves(12, |_| None), None, "two each");
}

#[test]
fn cap_of_a_holder_leaves_places_empty() {
    let mut table = Table::new(Rules { per_holder: 2, ..rules(8, 0, 10) });
    assert_eq!(ask(&mut table, account(1), 0, 5), 2);
    assert_eq!(table.starves(2, |_| Some(0)), None);
    assert_eq!(ask(&mut table, account(2), 10, 1), 1);
    assert_eq!(table.leave(0), [2]);
}

proptest! {
    /// Random requests and releases: the bounds hold, and no waiting request could be inside.
    #[test]
    fn bounds_hold_and_no_place_stays_idle(
        size in 1usize..6, reserve in 0usize..3, queue in 0usize..6, per_holder in 1usize..6,
        acts in proptest::collection::vec((any::<bool>(), 0i64..5, 0usize..40), 1..200),
    ) {
        let rules = Rules { per_holder, ..rules(size, reserve, queue) };
        let mut table = Table::new(rules);
        let mut alive: Vec<(u64, i64, bool)> = Vec::new();
        for (n, (asks, who, at)) in acts.into_iter().enumerate() {
            let id = n as u64;
            if asks || alive.is_empty() {
                match table.ask(id, account(who)) {
                    Asked::Inside => alive.push((id, who, true)),
                    Asked::Waits { refused } => {
                        alive.retain(|(other, ..)| Some(*other) != refused);
                        alive.push((id, who, false));
                    }
                    Asked::Refused => prop_assert_eq!(table.waiting(), queue),
                }
            } else {
                let (gone, ..) = alive.remove(at % alive.len());
                for entered in table.leave(gone) {
                    alive.iter_mut().filter(|(id, ..)| *id == entered).for_each(|entry| entry.2 = true);
                }
            }
            let inside = alive.iter().filter(|(_, _, inside)| *inside).count();
            prop_assert_eq!((table.taken(), table.waiting()), (inside, alive.len() - inside));
            prop_assert!(inside <= size && alive.len() - inside <= queue);
            for (_, who, _) in alive.iter().filter(|(_, _, inside)| !inside) {
                let own = alive.iter().filter(|(_, other, inside)| other == who && *inside).count();
                let free = size - inside;
                let idle = own < per_holder && (free > rules.reserve || free > 0 && own == 0);
                prop_assert!(!idle, "a place is free for {}", who);
            }
        }
        for (id, ..) in alive {
            table.leave(id);
        }
        prop_assert_eq!((table.taken(), table.waiting()), (0, 0));
    }
}
