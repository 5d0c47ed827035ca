//! Runs futures with bounded concurrency.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

/// Runs `work` for 0 to `count`, at most `at_once` at a time. Returns the results in order.
///
/// # Errors
/// The first error of `work`.
pub(crate) async fn run_bounded<T: 'static, F: Future<Output = anyhow::Result<T>> + 'static>(
    count: usize,
    at_once: usize,
    work: impl Fn(usize) -> F,
) -> anyhow::Result<Vec<T>> {
    let (mut running, mut done) = (JoinSet::new(), BTreeMap::new());
    let mut waiting = 0..count;
    loop {
        while running.len() < at_once.max(1) {
            let Some(n) = waiting.next() else { break };
            let work = work(n);
            running.spawn_local(async move { (n, work.await) });
        }
        let Some(joined) = running.join_next().await else { return Ok(done.into_values().collect()) };
        let (n, result) = joined?;
        done.insert(n, result?);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn run_bounded_returns_results_in_order_within_its_bound() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let work = |n: usize| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                for _ in 0..10 - n {
                    tokio::task::yield_now().await;
                }
                now.set(now.get() - 1);
                anyhow::ensure!(n < 9, "nine");
                Ok(n)
            }
        };
        let local = tokio::task::LocalSet::new();
        assert_eq!(local.block_on(&runtime, run_bounded(9, 3, work)).unwrap(), (0..9).collect::<Vec<_>>());
        assert_eq!(most.get(), 3);
        assert!(local.block_on(&runtime, run_bounded(10, 3, work)).is_err());
    }
}
