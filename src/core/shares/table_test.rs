//! Tests the table alone: each rule by example, and all of them with random requests.

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

/// Adds this many requests, with ids from `first` on; returns how many are inside at once.
fn ask(table: &mut Table, holder: Holder, first: u64, count: u64) -> usize {
    (first..first + count).filter(|id| table.ask(*id, holder) == Admission::Inside).count()
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
    let inside =
        visitors.enumerate().filter(|(n, holder)| table.ask(*n as u64, *holder) == Admission::Inside);
    assert_eq!(inside.count(), 2);
    assert_eq!(ask(&mut table, account(1), 50, 1), 1);
    // A network that leaves does not admit another network while the reserve is in use.
    assert_eq!(ask(&mut table, account(2), 60, 1), 1);
    assert!(table.leave(0).is_empty());
}

#[test]
fn freed_place_goes_to_the_holder_with_the_fewest_places() {
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
    assert_eq!(table.ask(4, account(1)), Admission::Refused);
    assert_eq!(table.ask(10, account(2)), Admission::Waits { refused: Some(3) });
    assert_eq!(table.ask(11, account(2)), Admission::Waits { refused: Some(2) });
    assert_eq!(table.ask(12, account(2)), Admission::Refused, "now account 2 is the largest");
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
    assert_eq!(table.starves(22, |_| None), None, "git computes: its client is not slow");
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
    for (holder, permit) in [(5, 5), (6, 4), (7, 3), (8, 1)] {
        table.ask(100 + holder, account(holder as i64));
        assert_eq!(table.starves(100 + holder, |_| None), Some(permit), "git computes: the newest");
        table.leave(permit);
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

/// Returns a request of this account from this network.
fn client(account: i64, network: u8) -> Client {
    Client::new(Holder::Account(UserId(account)), Some(IpAddr::from([192, 0, 2, network])))
}

/// Adds requests of separate accounts in this network, with ids as account numbers. Returns how
/// many are inside at once.
fn ask_from(table: &mut Table, network: u8, ids: std::ops::Range<u64>) -> usize {
    ids.filter(|id| table.ask(*id, client(*id as i64, network)) == Admission::Inside).count()
}

fn networks(size: usize) -> Table {
    Table::new(rules(size, 0, 1000).with_cut(Duration::ZERO, Cut::Slow(1000)))
}

fn fast(_: u64) -> Option<u64> {
    Some(48_000)
}

#[test]
fn freed_place_goes_to_the_network_with_the_fewest() {
    let mut table = networks(4);
    assert_eq!(ask_from(&mut table, 1, 0..10), 4);
    ask_from(&mut table, 2, 20..21);
    assert_eq!(table.leave(0), [20], "behind six accounts, but from a network with nothing inside");
    ask_from(&mut table, 2, 21..23);
    assert_eq!(table.leave(1), [21], "one place against two");
    assert_eq!(table.leave(2), [4], "one place against two, the other way");
    assert_eq!(table.leave(20), [22], "one place against two");
}

/// Eight new accounts of one address, each of them faster than a slow client, made all pushes of
/// others fail.
#[test]
fn account_takes_a_place_of_the_largest_network() {
    let mut table = networks(8);
    assert_eq!(ask_from(&mut table, 1, 0..8), 8);
    ask_from(&mut table, 1, 8..9);
    assert_eq!(table.starves(8, fast), None, "its own network has the most");
    ask_from(&mut table, 2, 20..22);
    let speed = |id: u64| match id {
        0 => None,
        2 => Some(46_000),
        _ => fast(id),
    };
    assert_eq!(table.starves(20, speed), Some(2), "the slowest");
    assert_eq!(table.starves(21, |id| (id == 0).then_some(90_000)), Some(0), "a client that is waited for");
    assert_eq!((table.leave(2), table.leave(0)), (vec![20], vec![21]));
    assert_eq!(table.starves(8, fast), None);
    // Without its address a request counts for its account alone.
    table.ask(30, account(30));
    assert_eq!(table.starves(30, |_| None), Some(7), "git computes everywhere: the newest");
}

#[test]
fn surplus_of_a_holder_is_taken_before_that_of_a_network() {
    let mut table = networks(8);
    assert_eq!(ask_from(&mut table, 1, 0..5), 5);
    for id in 10..13 {
        table.ask(id, client(10, 2));
    }
    ask_from(&mut table, 3, 20..23);
    assert_eq!(table.starves(20, fast), Some(12), "one account has three");
    assert_eq!(table.starves(21, fast), Some(4), "its network has one more than that of the request");
    assert_eq!(table.starves(22, fast), Some(3), "two places against four");
    ask_from(&mut table, 3, 23..24);
    assert_eq!(table.starves(23, fast), None, "three places against three");
}

#[test]
fn network_with_as_many_places_takes_none() {
    let mut table = networks(8);
    for id in 0..4 {
        table.ask(id, client(1, 1));
    }
    ask_from(&mut table, 2, 10..14);
    assert_eq!(table.taken(), 8);
    ask_from(&mut table, 2, 14..20);
    assert_eq!(table.starves(14, fast), None, "fresh accounts take nothing of an account with four");
    table.leave(10);
    table.leave(11);
    assert_eq!(table.starves(16, fast), None, "others of their network came after those that left");
}

/// Two networks with more accounts than places end up with half each. Then neither loses a place.
#[test]
fn two_large_networks_stop_cutting_each_other() {
    for size in [7, 8, 16] {
        let mut table = networks(size);
        ask_from(&mut table, 1, 0..50);
        ask_from(&mut table, 2, 100..150);
        let mut cuts = 0;
        for _ in 0..20 {
            let starving = (0..50).zip(100..150).flat_map(|(a, b)| [a, b]);
            // Some places are taken back while others are not free yet.
            let taken: Vec<_> = starving.filter_map(|id| table.starves(id, fast)).collect();
            cuts += taken.len();
            taken.into_iter().for_each(|permit| drop(table.leave(permit)));
        }
        assert_eq!(cuts, size / 2, "of {size}");
    }
}

/// An office with one address has the whole pool while it is alone, and each newcomer gets a place
/// of it.
#[test]
fn office_alone_loses_nothing_and_a_newcomer_gets_a_place() {
    let mut table = networks(16);
    assert_eq!(ask_from(&mut table, 1, 0..200), 16);
    assert!((0..200).all(|id| table.starves(id, fast).is_none()));
    ask_from(&mut table, 2, 300..301);
    let permit = table.starves(300, fast).unwrap();
    assert_eq!(table.leave(permit), [300]);
    assert_eq!(table.leave(300), [16], "the office has all again");
}

#[test]
fn visitors_take_no_place_of_an_accounts_network() {
    let mut table = networks(4);
    ask_from(&mut table, 1, 0..4);
    table.ask(10, Holder::network(IpAddr::from([192, 0, 2, 9])));
    assert_eq!(table.starves(10, fast), None);
}

#[test]
fn full_queue_refuses_the_network_with_the_most() {
    let mut table = Table::new(rules(1, 0, 20));
    ask_from(&mut table, 1, 0..21);
    ask_from(&mut table, 2, 50..51);
    for id in 51..70u8 {
        let asked = table.ask(id.into(), client(id.into(), id));
        let Admission::Waits { refused: Some(refused) } = asked else {
            panic!("{id} is refused");
        };
        assert!(refused < 21, "{refused}");
    }
}

proptest! {
    /// Random requests and releases: the bounds hold, and no waiting request could be inside.
    #[test]
    fn bounds_hold_and_no_place_stays_idle(
        size in 1usize..6, reserve in 0usize..3, queue in 0usize..6, per_holder in 1usize..6,
        acts in proptest::collection::vec((any::<bool>(), 0i64..5, 0u8..3, 0usize..40), 1..200),
    ) {
        let rules = Rules { per_holder, ..rules(size, reserve, queue) };
        let mut table = Table::new(rules);
        let mut alive: Vec<(u64, i64, bool)> = Vec::new();
        for (n, (asks, who, network, at)) in acts.into_iter().enumerate() {
            let id = n as u64;
            if asks || alive.is_empty() {
                match table.ask(id, client(who, network)) {
                    Admission::Inside => alive.push((id, who, true)),
                    Admission::Waits { refused } => {
                        alive.retain(|(other, ..)| Some(*other) != refused);
                        alive.push((id, who, false));
                    }
                    Admission::Refused => prop_assert_eq!(table.waiting(), queue),
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
