//! The asynchronous part of a pool: a task that owns the [`Table`], the requests that reach it as
//! messages, and the share that returns its place when it is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Client;
use super::metrics::PoolMeter;
use super::pace::{Pace, Recent};
use super::table::{Admission, Cut, Rules, Table};

/// The reason why a request got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolRefusal {
    #[error("too many requests wait already")]
    Queue,
    #[error("no place became free in time")]
    Patience,
    #[error("the server is stopping")]
    Closed,
}

/// A number of places that holders share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool {
    keeper: mpsc::UnboundedSender<PoolMessage>,
    next: Arc<AtomicU64>,
    rules: Rules,
    meter: PoolMeter,
}

/// A place in a pool, or the wait for it. Dropping it releases both.
#[derive(Debug)]
pub struct Share {
    id: u64,
    keeper: mpsc::UnboundedSender<PoolMessage>,
    pace: Arc<Pace>,
    cut: CancellationToken,
}

/// A message to the keeper. The channel is unbounded: each request has one message of each kind at
/// a time.
#[derive(Debug)]
enum PoolMessage {
    Ask {
        id: u64,
        client: Client,
        pace: Arc<Pace>,
        cut: CancellationToken,
        answer: oneshot::Sender<Result<(), PoolRefusal>>,
    },
    Starves(u64),
    Left(u64),
    Close,
}

impl Pool {
    /// Starts the task that keeps the table, on the current runtime.
    pub fn start(rules: Rules, meter: PoolMeter) -> Self {
        let (keeper, messages) = mpsc::unbounded_channel();
        meter.sized(rules.size);
        tokio::spawn(PoolKeeper::new(rules, meter.clone()).run(messages));
        Self { keeper, next: Arc::default(), rules, meter }
    }

    /// Takes a place for the client, after a wait of at most [`Rules::patience`].
    pub async fn enter(&self, client: impl Into<Client>) -> Result<Share, PoolRefusal> {
        let entered = self.enter_or_wait(client.into()).await;
        if let Err(refused) = entered {
            self.meter.refused(refused);
        }
        entered
    }

    async fn enter_or_wait(&self, client: Client) -> Result<Share, PoolRefusal> {
        let id = self.next.fetch_add(1, Relaxed);
        let (pace, cut) = (Arc::new(Pace::default()), CancellationToken::new());
        let share = Share { id, keeper: self.keeper.clone(), pace: pace.clone(), cut: cut.clone() };
        let (answer, mut answered) = oneshot::channel();
        let ask = PoolMessage::Ask { id, client, pace, cut, answer };
        self.keeper.send(ask).map_err(|_| PoolRefusal::Closed)?;
        let begun = Instant::now();
        loop {
            let left = self.rules.patience.saturating_sub(begun.elapsed());
            let pause = left.min(self.rules.starved.max(Duration::from_millis(1)));
            match tokio::time::timeout(pause, &mut answered).await {
                Ok(Ok(Ok(()))) => {
                    self.meter.waited(begun.elapsed());
                    return Ok(share);
                }
                Ok(Ok(Err(refused))) => return Err(refused),
                Ok(Err(_)) => return Err(PoolRefusal::Closed),
                Err(_) if begun.elapsed() >= self.rules.patience => return Err(PoolRefusal::Patience),
                // Without a keeper the answer is closed, which ends the wait.
                Err(_) => drop(self.keeper.send(PoolMessage::Starves(id))),
            }
        }
    }

    /// Returns how long a request waits at most.
    pub fn patience(&self) -> Duration {
        self.rules.patience
    }

    /// Refuses every request from now on, also waiting ones. Places that are taken stay taken.
    pub fn close(&self) {
        drop(self.keeper.send(PoolMessage::Close));
    }
}

impl Share {
    /// Returns the meter of this place's client.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Returns the token that is cancelled when another holder needs the place more.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Without a keeper no place has to be returned.
        drop(self.keeper.send(PoolMessage::Left(self.id)));
    }
}

/// The owner of the table.
struct PoolKeeper {
    table: Table,
    rules: Rules,
    meter: PoolMeter,
    /// Of the waiting requests.
    answers: HashMap<u64, oneshot::Sender<Result<(), PoolRefusal>>>,
    /// Of all requests.
    requests: HashMap<u64, RequestState>,
    closed: bool,
}

struct RequestState {
    pace: Arc<Pace>,
    recent: Recent,
    cut: CancellationToken,
}

impl PoolKeeper {
    fn new(rules: Rules, meter: PoolMeter) -> Self {
        let (answers, requests) = (HashMap::new(), HashMap::new());
        Self { table: Table::new(rules), rules, meter, answers, requests, closed: false }
    }

    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<PoolMessage>) {
        let mut marks = tokio::time::interval(Recent::INTERVAL);
        marks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let measures = matches!(self.rules.cut, Cut::Slow(_));
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let Some(message) = message else { return };
                    self.receive(message);
                    self.meter.counted(self.table.taken(), self.table.waiting());
                }
                _ = marks.tick(), if measures && !self.requests.is_empty() => {
                    self.requests.values_mut().for_each(|request| request.recent.mark(&request.pace));
                }
            }
        }
    }

    fn receive(&mut self, message: PoolMessage) {
        match message {
            PoolMessage::Ask { answer, .. } if self.closed => Self::answer(answer, Err(PoolRefusal::Closed)),
            PoolMessage::Ask { id, client, pace, cut, answer } => {
                self.requests.insert(id, RequestState { pace, recent: Recent::default(), cut });
                match self.table.ask(id, client) {
                    Admission::Inside => Self::answer(answer, Ok(())),
                    Admission::Waits { refused } => {
                        self.answers.insert(id, answer);
                        if let Some(refused) = refused {
                            self.settle(refused, Err(PoolRefusal::Queue));
                        }
                    }
                    Admission::Refused => Self::answer(answer, Err(PoolRefusal::Queue)),
                }
            }
            PoolMessage::Starves(id) => self.starves(id),
            PoolMessage::Left(id) => {
                self.answers.remove(&id);
                self.requests.remove(&id);
                for entered in self.table.leave(id) {
                    self.settle(entered, Ok(()));
                }
            }
            PoolMessage::Close => {
                self.closed = true;
                // The waiting requests leave when they receive this.
                for (_, answer) in self.answers.drain() {
                    Self::answer(answer, Err(PoolRefusal::Closed));
                }
            }
        }
    }

    fn starves(&mut self, id: u64) {
        let (requests, at_least) = (&self.requests, self.rules.starved);
        let speed = |request| {
            requests.get(&request).and_then(|request| request.recent.speed(&request.pace, at_least))
        };
        let Some(request) = self.table.starves(id, speed) else { return };
        if let Some(request) = self.requests.get(&request) {
            self.meter.cut();
            request.cut.cancel();
        }
    }

    fn settle(&mut self, id: u64, outcome: Result<(), PoolRefusal>) {
        if let Some(answer) = self.answers.remove(&id) {
            Self::answer(answer, outcome);
        }
    }

    /// A client that left does not read the answer; dropping its share returns the place.
    fn answer(answer: oneshot::Sender<Result<(), PoolRefusal>>, outcome: Result<(), PoolRefusal>) {
        answer.send(outcome).ok();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::core::shares::{Direction, Holder, PoolMetrics, PoolName};
    use crate::domain::ids::UserId;

    fn pool(rules: Rules) -> Pool {
        Pool::start(rules, PoolMetrics::default().meter(PoolName::GitReads))
    }

    fn account(id: i64) -> Holder {
        Holder::Account(UserId(id))
    }

    #[actix_web::test]
    async fn requests_wait_for_places_and_all_are_served() {
        let pool = pool(Rules::new(2, 100, Duration::from_secs(20)));
        let work = async |n: i64| {
            let _share = pool.enter(account(n % 3)).await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, PoolRefusal>(())
        };
        let done = join_all((0..50).map(work)).await;
        assert!(done.iter().all(Result::is_ok));
    }

    #[actix_web::test]
    async fn requests_are_refused_after_patience_or_by_a_full_queue() {
        let pool = pool(Rules::new(1, 1, Duration::from_millis(50)));
        let inside = pool.enter(account(1)).await.unwrap();
        let outcomes = join_all((0..2).map(|_| pool.enter(account(1)))).await;
        let refusals: Vec<_> = outcomes.into_iter().map(Result::unwrap_err).collect();
        assert_eq!(refusals, [PoolRefusal::Patience, PoolRefusal::Queue]);
        drop(inside);
        assert!(pool.enter(account(1)).await.is_ok());
    }

    #[actix_web::test]
    async fn abandoned_wait_holds_no_place() {
        let pool = pool(Rules::new(1, 5, Duration::from_secs(20)));
        let inside = pool.enter(account(1)).await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(5), pool.enter(account(2))).await;
        assert!(waits.is_err());
        drop(inside);
        assert!(pool.enter(account(3)).await.is_ok());
    }

    #[actix_web::test]
    async fn closed_pool_refuses_waiting_requests_too() {
        let pool = pool(Rules::new(1, 5, Duration::from_secs(20)));
        let inside = pool.enter(account(1)).await.unwrap();
        let (waited, ()) = futures_util::join!(pool.enter(account(2)), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            pool.close();
        });
        assert_eq!(waited.unwrap_err(), PoolRefusal::Closed);
        drop(inside);
        assert_eq!(pool.enter(account(2)).await.unwrap_err(), PoolRefusal::Closed);
    }

    #[actix_web::test]
    async fn slow_client_is_cut_for_a_starving_request() {
        let rules = Rules::new(1, 5, Duration::from_secs(20));
        let pool = pool(rules.with_cut(Duration::from_millis(10), Cut::Slow(1_000)));
        let slow = pool.enter(account(1)).await.unwrap();
        let (pace, cut) = (slow.pace().clone(), slow.cut().clone());
        let drips = async move {
            pace.wait(Direction::Out, cut.cancelled()).await;
            drop(slow);
        };
        let (entered, ()) = futures_util::join!(pool.enter(account(2)), drips);
        assert!(entered.is_ok());
    }

    /// Three accounts with 6, 1 and 1 places, all of them faster than the slow rate, made all
    /// pushes of others fail.
    #[actix_web::test]
    async fn fast_surplus_is_cut_for_a_starving_request() {
        let rules = Rules::new(8, 50, Duration::from_secs(1));
        let pool = pool(rules.with_cut(Duration::from_millis(10), Cut::Slow(1)));
        let mut held = Vec::new();
        for holder in [1, 1, 1, 1, 1, 1, 2, 3] {
            let share = pool.enter(account(holder)).await.unwrap();
            held.push(tokio::spawn(async move {
                share.cut().cancelled().await;
                drop(share);
                holder
            }));
        }
        let entered = join_all((0..4).map(|_| pool.enter(account(4)))).await;
        drop(entered.into_iter().next().unwrap().unwrap());
        let alone = held.iter().skip(6).all(|task| !task.is_finished());
        assert!(alone, "the only place of an account stays");
    }
}
