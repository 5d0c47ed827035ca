//! Budgets: an amount of memory or objects that requests share. Each request takes as much as it
//! needs.
//!
//! Owner: one task per [`Budget`], which alone has the [`BudgetTable`]. The task ends with the last
//! handle. A [`BudgetGrant`] returns what it holds when it is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Holder;
use super::budget_table::{BudgetRules, BudgetTable, Starves};
use super::metrics::PoolMeter;
use super::pace::{Pace, Recent};
use super::pool::PoolRefusal;
use crate::core::saturate;

/// An amount that holders share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget {
    keeper: mpsc::UnboundedSender<BudgetMessage>,
    next: Arc<AtomicU64>,
    rules: BudgetRules,
    meter: PoolMeter,
}

/// The part of a budget that a request holds, initially nothing.
#[derive(Debug)]
pub struct BudgetGrant {
    id: u64,
    budget: Budget,
}

/// The client of a request that may be ended for another.
#[derive(Debug)]
pub struct Endable {
    pub pace: Arc<Pace>,
    /// Cancelled to end the request.
    pub cut: CancellationToken,
}

/// A message to the keeper. The channel is unbounded: each request has one message of each kind at
/// a time, and requests have a place in a pool.
#[derive(Debug)]
enum BudgetMessage {
    Open { id: u64, holder: Holder, client: Option<Endable> },
    Raise { id: u64, amount: u64, work: u64, answer: oneshot::Sender<()> },
    Lower { id: u64, amount: u64 },
    Starves(u64, Starves),
    Left(u64),
    Close,
}

impl Budget {
    /// Starts the task that keeps the table, on the current runtime.
    pub fn start(rules: BudgetRules, meter: PoolMeter) -> Self {
        let (keeper, messages) = mpsc::unbounded_channel();
        meter.sized(saturate::to_usize(rules.size));
        tokio::spawn(BudgetKeeper::new(rules, meter.clone()).run(messages));
        Self { keeper, next: Arc::default(), rules, meter }
    }

    /// Opens a grant of nothing. Without a `client` the request is not ended for another.
    pub fn open(&self, holder: Holder, client: Option<Endable>) -> BudgetGrant {
        let id = self.next.fetch_add(1, Relaxed);
        // Without a keeper the first raise is refused.
        drop(self.keeper.send(BudgetMessage::Open { id, holder, client }));
        BudgetGrant { id, budget: self.clone() }
    }

    /// Returns how long a request waits at most.
    pub fn patience(&self) -> Duration {
        self.rules.patience
    }

    /// Refuses every request from now on, also waiting ones. Grants keep what they hold.
    pub fn close(&self) {
        drop(self.keeper.send(BudgetMessage::Close));
    }
}

impl BudgetGrant {
    /// Waits until this holds `amount`, for at most [`BudgetRules::patience`]. `work` orders the
    /// waiting requests: the less work a holder requested lately, the sooner its request is
    /// admitted.
    ///
    /// # Errors
    /// The amount did not become free in time. The grant holds what it held before, and must be
    /// dropped.
    pub async fn raise_to(&mut self, amount: u64, work: u64) -> Result<(), PoolRefusal> {
        let raised = self.raise(amount, work).await;
        if let Err(refused) = raised {
            self.budget.meter.refused(refused);
        }
        raised
    }

    async fn raise(&self, amount: u64, work: u64) -> Result<(), PoolRefusal> {
        let Budget { keeper, rules, meter, .. } = &self.budget;
        let (answer, mut answered) = oneshot::channel();
        keeper
            .send(BudgetMessage::Raise { id: self.id, amount, work, answer })
            .map_err(|_| PoolRefusal::Closed)?;
        let begun = Instant::now();
        loop {
            let left = rules.patience.saturating_sub(begun.elapsed());
            let pause = left.min(rules.starved.max(Duration::from_millis(1)));
            match tokio::time::timeout(pause, &mut answered).await {
                Ok(Ok(())) => {
                    meter.waited(begun.elapsed());
                    return Ok(());
                }
                Ok(Err(_)) => return Err(PoolRefusal::Closed),
                Err(_) if begun.elapsed() >= rules.patience => return Err(PoolRefusal::Patience),
                Err(_) => {
                    let is_long = begun.elapsed() >= rules.patience / 2;
                    let starves = if is_long { Starves::Long } else { Starves::Some };
                    drop(keeper.send(BudgetMessage::Starves(self.id, starves)));
                }
            }
        }
    }

    /// Returns what this holds beyond `amount`.
    pub fn lower_to(&mut self, amount: u64) {
        drop(self.budget.keeper.send(BudgetMessage::Lower { id: self.id, amount }));
    }
}

impl Drop for BudgetGrant {
    fn drop(&mut self) {
        // Without a keeper there is nothing to return.
        drop(self.budget.keeper.send(BudgetMessage::Left(self.id)));
    }
}

/// The owner of the table.
struct BudgetKeeper {
    table: BudgetTable,
    rules: BudgetRules,
    meter: PoolMeter,
    /// Of the waiting requests.
    answers: HashMap<u64, oneshot::Sender<()>>,
    /// Of the requests that may be ended.
    clients: HashMap<u64, (Endable, Recent)>,
    closed: bool,
}

impl BudgetKeeper {
    fn new(rules: BudgetRules, meter: PoolMeter) -> Self {
        let (answers, clients) = (HashMap::new(), HashMap::new());
        Self { table: BudgetTable::new(rules), rules, meter, answers, clients, closed: false }
    }

    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<BudgetMessage>) {
        let mut marks = tokio::time::interval(Recent::INTERVAL);
        marks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let Some(message) = message else { return };
                    self.receive(message);
                    self.meter.counted(saturate::to_usize(self.table.taken()), self.table.waiting());
                }
                _ = marks.tick(), if !self.clients.is_empty() => {
                    self.clients.values_mut().for_each(|(client, recent)| recent.mark(&client.pace));
                }
            }
        }
    }

    fn receive(&mut self, message: BudgetMessage) {
        let admitted = match message {
            BudgetMessage::Open { id, holder, client } => {
                self.table.open(id, holder, client.is_some());
                self.clients.extend(client.map(|client| (id, (client, Recent::default()))));
                return;
            }
            // Dropping the answer refuses the request.
            BudgetMessage::Raise { .. } if self.closed => return,
            BudgetMessage::Raise { id, amount, work, answer } => {
                self.answers.insert(id, answer);
                self.table.raise(id, amount, work)
            }
            BudgetMessage::Lower { id, amount } => {
                self.answers.remove(&id);
                self.table.lower(id, amount)
            }
            BudgetMessage::Starves(id, starves) => return self.starves(id, starves),
            BudgetMessage::Left(id) => {
                self.answers.remove(&id);
                self.clients.remove(&id);
                self.table.leave(id)
            }
            BudgetMessage::Close => {
                self.closed = true;
                self.answers.clear();
                return;
            }
        };
        for answer in admitted.iter().filter_map(|id| self.answers.remove(id)) {
            // A client that left does not read the answer; its grant returns what it holds.
            answer.send(()).ok();
        }
    }

    fn starves(&mut self, id: u64, starves: Starves) {
        let (clients, at_least) = (&self.clients, self.rules.starved);
        let speed = |id| clients.get(&id).and_then(|(client, recent)| recent.speed(&client.pace, at_least));
        let Some(candidate) = self.table.starves(id, starves, speed, |id| clients.contains_key(&id)) else {
            return;
        };
        if let Some((client, _)) = self.clients.get(&candidate) {
            self.meter.cut();
            client.cut.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::core::shares::{Direction, PoolMetrics, PoolName, Reserve};
    use crate::domain::ids::UserId;

    fn budget(reserved: Reserve, patience: Duration) -> Budget {
        let starved = Duration::from_millis(10);
        let reserve = if reserved == Reserve::Lead { 150 } else { 100 };
        let (slow_below, small_work) = (1000, 1000);
        let rules = BudgetRules { size: 300, reserve, reserved, small_work, patience, starved, slow_below };
        Budget::start(rules, PoolMetrics::default().meter(PoolName::PushedObjects))
    }

    fn account(id: i64) -> Holder {
        Holder::Account(UserId(id))
    }

    #[actix_web::test]
    async fn growing_requests_all_get_what_they_need() {
        let budget = budget(Reserve::Lead, Duration::from_secs(20));
        let grows = async |n: i64| {
            let mut grant = budget.open(account(n), None);
            for amount in 1..=14 {
                grant.raise_to(10 * amount, 10).await?;
                tokio::task::yield_now().await;
            }
            Ok::<_, PoolRefusal>(())
        };
        let done = join_all((0..8).map(grows)).await;
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    #[actix_web::test]
    async fn stalled_request_is_ended_for_one_that_starves() {
        let budget = budget(Reserve::Lead, Duration::from_secs(20));
        let (pace, cut) = (Arc::new(Pace::default()), CancellationToken::new());
        let client = Endable { pace: pace.clone(), cut: cut.clone() };
        let mut stalled = budget.open(account(1), Some(client));
        stalled.raise_to(150, 150).await.unwrap();
        let mut leads = budget.open(account(2), None);
        leads.raise_to(100, 100).await.unwrap();
        let mut other = budget.open(account(3), None);
        let stalls = async move {
            pace.wait(Direction::In, cut.cancelled()).await;
            drop(stalled);
        };
        let (raised, ()) = futures_util::join!(other.raise_to(20, 20), stalls);
        assert_eq!(raised, Ok(()));
    }

    #[actix_web::test]
    async fn raise_is_refused_after_patience_or_close() {
        let budget = budget(Reserve::Small, Duration::from_millis(50));
        let mut first = budget.open(account(1), None);
        first.raise_to(1_000, 1).await.unwrap();
        let mut second = budget.open(account(2), None);
        assert_eq!(second.raise_to(1_000, 1).await, Err(PoolRefusal::Patience));
        first.lower_to(0);
        let mut third = budget.open(account(3), None);
        drop(second);
        assert_eq!(third.raise_to(200, 1).await, Ok(()));
        budget.close();
        let mut late = budget.open(account(4), None);
        assert_eq!(late.raise_to(1, 1).await, Err(PoolRefusal::Closed));
    }
}
