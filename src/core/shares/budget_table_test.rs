//! Tests of the table of a budget.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::domain::ids::UserId;

fn table(size: u64, reserve: u64, reserved: Reserve) -> BudgetTable {
    let (patience, starved) = (Duration::from_secs(1), Duration::ZERO);
    let (slow_below, small_work) = (1000, 1000);
    let rules = BudgetRules { size, reserve, reserved, small_work, patience, starved, slow_below };
    BudgetTable::new(rules)
}

fn account(id: i64) -> Holder {
    Holder::Account(UserId(id))
}

fn open(table: &mut BudgetTable, requests: &[(u64, i64)]) {
    requests.iter().for_each(|(id, holder)| table.open(*id, account(*holder), false));
}

#[test]
fn request_holds_exactly_what_it_raised() {
    let mut table = table(300, 150, Reserve::Lead);
    open(&mut table, &[(1, 1), (2, 1), (3, 2)]);
    assert_eq!(table.raise(1, 10, 10), [1]);
    assert_eq!(table.raise(2, 10, 10), [2]);
    assert_eq!(table.raise(3, 120, 120), [3]);
    assert_eq!(table.taken(), 140);
}

#[test]
fn growing_requests_never_all_wait_for_each_other() {
    let mut table = table(300, 150, Reserve::Lead);
    let ids: Vec<u64> = (1..=8).collect();
    open(&mut table, &ids.iter().map(|id| (*id, *id as i64)).collect::<Vec<_>>());
    let mut held: HashMap<u64, u64> = ids.iter().map(|id| (*id, 0)).collect();
    let mut ready = ids;
    let mut ended = 0;
    while let Some(id) = ready.pop() {
        let amount = held.get_mut(&id).unwrap();
        let admitted = if *amount == 140 {
            ended += 1;
            table.leave(id)
        } else {
            *amount += 10;
            table.raise(id, *amount, 10)
        };
        assert!(table.taken() <= 300);
        ready.splice(0..0, admitted);
    }
    assert_eq!((ended, table.taken(), table.waiting()), (8, 0, 0));
}

#[test]
fn holder_with_least_goes_first() {
    let mut table = table(300, 150, Reserve::Lead);
    open(&mut table, &[(1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(table.raise(1, 150, 150), [1]);
    assert_eq!(table.raise(2, 20, 20), [2], "the lead");
    assert!(table.raise(3, 20, 20).is_empty());
    assert!(table.raise(4, 10, 10).is_empty());
    assert_eq!(table.raise(2, 150, 130), [2], "the lead always goes on");
    assert_eq!(table.leave(2), [4], "the one of less work leads now");
    assert_eq!(table.leave(1), [3]);
}

#[test]
fn small_requests_run_in_parallel_with_large_ones() {
    let mut table = table(200, 50, Reserve::Small);
    open(&mut table, &[(1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(table.raise(1, 140, 2000), [1]);
    assert!(table.raise(2, 60, 2000).is_empty());
    assert_eq!(table.raise(3, 40, 30), [3]);
    assert!(
        table.raise(4, 20, 3000).is_empty(),
        "of much work; the reserve is taken, and a large one waits before it"
    );
    table.open(5, account(5), true);
    assert!(table.raise(5, 20, 9).is_empty(), "its client may stall");
    assert_eq!(table.leave(1), [5, 2, 4]);
}

#[test]
fn request_of_little_work_passes_larger_ones_that_wait() {
    let mut table = table(200, 50, Reserve::Small);
    let others: Vec<_> = (1..=7).map(|id| (id, id as i64)).collect();
    open(&mut table, &others);
    table.raise(1, 140, 2000);
    for id in 2..=7 {
        assert!(table.raise(id, 140, 2000).is_empty());
    }
    table.open(8, account(8), false);
    assert!(table.raise(8, 100, 30).is_empty());
    assert_eq!(table.leave(1), [8]);
    // An account that repeatedly sends requests of little work does not pass a large one
    // without end.
    let (mut id, mut rounds) = (8, 0);
    while table.leave(id) == [id + 1] || rounds == 0 {
        (id, rounds) = (id + 1, rounds + 1);
        if id > 200 {
            break;
        }
        table.open(id, account(9), false);
        table.raise(id, 100, 300);
    }
    assert!(rounds < 20, "{rounds}");
}

#[test]
fn stalled_and_surplus_requests_end_for_a_starving_one() {
    let mut table = table(300, 150, Reserve::Lead);
    open(&mut table, &[(1, 1), (2, 1), (3, 2), (4, 3)]);
    table.raise(1, 100, 100);
    table.raise(2, 50, 50);
    table.raise(3, 100, 100);
    assert!(table.raise(4, 20, 20).is_empty());
    let all = |_| true;
    assert_eq!(table.starves(4, Starves::Some, |id| (id == 3).then_some(10), all), Some(3), "slow");
    assert_eq!(table.starves(4, Starves::Some, |_| Some(10), all), None, "enough is on the way");
    assert_eq!(table.leave(3), [4]);
    assert!(table.raise(4, 40, 20).len() == 1, "it leads now");
    table.open(5, account(5), false);
    assert!(table.raise(5, 20, 20).is_empty());
    assert_eq!(table.starves(5, Starves::Some, |_| None, |id| id != 1), Some(2), "one of two");
    assert_eq!(table.leave(2), [5]);
    table.open(6, account(6), false);
    table.raise(6, 40, 40);
    assert_eq!(table.starves(6, Starves::Some, |_| None, all), None, "each has one");
    assert_eq!(table.starves(6, Starves::Long, |_| None, all), Some(1), "the one with much more");
}

proptest! {
    /// Random requests: the sum holds, and released amounts reach the waiting requests.
    #[test]
    fn sum_holds_and_none_waits_without_reason(
        reserved in prop_oneof![Just(Reserve::Lead), Just(Reserve::Small)],
        acts in proptest::collection::vec((0u8..4, 0i64..5, 1u64..200), 1..200),
    ) {
        let mut table = table(200, 60, reserved);
        let mut waiting: HashSet<u64> = HashSet::new();
        let mut alive: Vec<u64> = Vec::new();
        for (n, (act, who, amount)) in acts.into_iter().enumerate() {
            let id = n as u64;
            let chosen = alive.get(n * 7 % alive.len().max(1)).copied();
            let admitted = match (act, chosen) {
                (0, Some(chosen)) => {
                    alive.retain(|other| *other != chosen);
                    waiting.remove(&chosen);
                    table.leave(chosen)
                }
                (1, Some(chosen)) if reserved == Reserve::Lead && !waiting.contains(&chosen) => {
                    waiting.insert(chosen);
                    table.raise(chosen, amount, amount)
                }
                _ => {
                    table.open(id, account(who), false);
                    alive.push(id);
                    waiting.insert(id);
                    table.raise(id, amount, amount)
                }
            };
            for id in admitted {
                prop_assert!(waiting.remove(&id));
            }
            prop_assert_eq!(table.waiting(), waiting.len());
            prop_assert!(table.taken() <= 200);
            prop_assert!(waiting.len() < alive.len() || alive.is_empty(), "all wait");
        }
    }
}
