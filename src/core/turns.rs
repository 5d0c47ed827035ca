//! Turns: at most one holder at a time for each key, others wait in order.
//!
//! Owner: one task per [`Turns`], which alone has the table; it ends with the last handle. Invariant: only keys that have
//! a holder are in the table, so it is as small as the work that goes on.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use tokio::sync::{mpsc, oneshot};

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn<K: Clone> {
    key: K,
    requests: mpsc::UnboundedSender<Request<K>>,
}

impl<K: Clone> Drop for Turn<K> {
    fn drop(&mut self) {
        // Without the task there is no table to leave.
        drop(self.requests.send(Request::Leave(self.key.clone())));
    }
}

#[derive(Debug)]
enum Request<K: Clone> {
    Enter { key: K, waits: bool, reply: oneshot::Sender<Turn<K>> },
    Leave(K),
    Close,
}

/// The handle. The requests are bounded by those who may ask: pushes and walks that have a place,
/// requests that wait for the answer of such a walk or create a repository, and the background.
#[derive(Debug, Clone)]
pub struct Turns<K: Clone> {
    requests: mpsc::UnboundedSender<Request<K>>,
}

impl<K: Clone + Eq + Hash + Send + 'static> Turns<K> {
    /// Starts the task. Only within a runtime.
    pub fn start() -> Self {
        let (requests, arrivals) = mpsc::unbounded_channel();
        tokio::spawn(serve(arrivals, requests.downgrade()));
        Self { requests }
    }

    /// Waits for the turn; `None` when no turns are given any more.
    pub async fn enter(&self, key: K) -> Option<Turn<K>> {
        self.ask(key, true).await
    }

    /// The turn, if it has no holder.
    pub async fn try_enter(&self, key: K) -> Option<Turn<K>> {
        self.ask(key, false).await
    }

    /// Gives no more turns; those that were given last until they are dropped.
    pub fn close(&self) {
        drop(self.requests.send(Request::Close));
    }

    async fn ask(&self, key: K, waits: bool) -> Option<Turn<K>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Enter { key, waits, reply }).ok()?;
        answer.await.ok()
    }
}

async fn serve<K: Clone + Eq + Hash>(
    mut arrivals: mpsc::UnboundedReceiver<Request<K>>,
    requests: mpsc::WeakUnboundedSender<Request<K>>,
) {
    let mut waiting: HashMap<K, VecDeque<oneshot::Sender<Turn<K>>>> = HashMap::new();
    let mut open = true;
    while let Some(request) = arrivals.recv().await {
        match request {
            Request::Close => {
                open = false;
                waiting.values_mut().for_each(VecDeque::clear);
            }
            Request::Enter { key, waits, reply } if open => match waiting.entry(key) {
                Entry::Vacant(entry) => {
                    hand_over(entry.key().clone(), reply, &requests);
                    entry.insert(VecDeque::new());
                }
                Entry::Occupied(mut entry) if waits => entry.get_mut().push_back(reply),
                Entry::Occupied(_) => {}
            },
            Request::Enter { .. } => {}
            Request::Leave(key) => {
                let Entry::Occupied(mut entry) = waiting.entry(key) else { continue };
                match entry.get_mut().pop_front() {
                    Some(reply) => hand_over(entry.key().clone(), reply, &requests),
                    None => drop(entry.remove()),
                }
            }
        }
    }
}

/// A caller that has stopped waiting drops its turn, and the next one gets it.
fn hand_over<K: Clone>(
    key: K,
    reply: oneshot::Sender<Turn<K>>,
    requests: &mpsc::WeakUnboundedSender<Request<K>>,
) {
    if let Some(requests) = requests.upgrade() {
        drop(reply.send(Turn { key, requests }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_turn_is_given_in_order_and_to_one_at_a_time() {
        let turns = Turns::start();
        let first = turns.enter(1).await.unwrap();
        assert!(turns.try_enter(1).await.is_none());
        assert!(turns.try_enter(2).await.is_some(), "another key is free");
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.enter(1).await.is_some() }
        });
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(turns.enter(1).await.is_some());
    }

    #[tokio::test]
    async fn a_caller_that_stopped_waiting_holds_up_no_other() {
        let turns = Turns::start();
        let first = turns.enter(1).await.unwrap();
        let gone = tokio::time::timeout(Duration::from_millis(5), turns.enter(1)).await;
        assert!(gone.is_err());
        drop(first);
        assert!(turns.enter(1).await.is_some());
    }

    #[tokio::test]
    async fn closed_turns_are_not_given_and_waiting_ends() {
        let turns = Turns::start();
        let first = turns.enter(1).await.unwrap();
        let (waiting, ()) = tokio::join!(turns.enter(1), async { turns.close() });
        assert!(waiting.is_none());
        drop(first);
        assert!(turns.enter(2).await.is_none());
    }
}
