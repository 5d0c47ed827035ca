//! Locks by key: at most one holder at a time for each key; others wait in order.
//!
//! Owner: one task per [`KeyedLock`], which alone has the table and ends with the last handle.
//! Invariant: the table holds only keys that have a holder, so its size follows the work in
//! progress.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use tokio::sync::{mpsc, oneshot};

/// The lock of a key, held until the guard is dropped.
#[derive(Debug)]
pub struct KeyedLockGuard<K: Clone> {
    key: K,
    requests: mpsc::UnboundedSender<Request<K>>,
}

impl<K: Clone> Drop for KeyedLockGuard<K> {
    fn drop(&mut self) {
        // Without the task, its table is gone as well.
        drop(self.requests.send(Request::Unlock(self.key.clone())));
    }
}

#[derive(Debug)]
enum Request<K: Clone> {
    Lock { key: K, waits: bool, reply: oneshot::Sender<KeyedLockGuard<K>> },
    Unlock(K),
    Close,
}

/// The handle. The number of requests is bounded by their senders: pushes and walks that have a
/// place, requests that wait for the answer of such a walk or create a repository, and the
/// background tasks.
#[derive(Debug, Clone)]
pub struct KeyedLock<K: Clone> {
    requests: mpsc::UnboundedSender<Request<K>>,
}

impl<K: Clone + Eq + Hash + Send + 'static> KeyedLock<K> {
    /// Starts the task. Must be called within a runtime.
    pub fn start() -> Self {
        let (requests, arrivals) = mpsc::unbounded_channel();
        tokio::spawn(serve(arrivals, requests.downgrade()));
        Self { requests }
    }

    /// Waits for the lock of `key`. Returns `None` once the locks are closed.
    pub async fn lock(&self, key: K) -> Option<KeyedLockGuard<K>> {
        self.ask(key, true).await
    }

    /// Takes the lock of `key`, if it has no holder.
    pub async fn try_lock(&self, key: K) -> Option<KeyedLockGuard<K>> {
        self.ask(key, false).await
    }

    /// Grants no more locks. Guards that exist keep their locks until they are dropped.
    pub fn close(&self) {
        drop(self.requests.send(Request::Close));
    }

    async fn ask(&self, key: K, waits: bool) -> Option<KeyedLockGuard<K>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Lock { key, waits, reply }).ok()?;
        answer.await.ok()
    }
}

async fn serve<K: Clone + Eq + Hash>(
    mut arrivals: mpsc::UnboundedReceiver<Request<K>>,
    requests: mpsc::WeakUnboundedSender<Request<K>>,
) {
    let mut waiting: HashMap<K, VecDeque<oneshot::Sender<KeyedLockGuard<K>>>> = HashMap::new();
    let mut open = true;
    while let Some(request) = arrivals.recv().await {
        match request {
            Request::Close => {
                open = false;
                waiting.values_mut().for_each(VecDeque::clear);
            }
            Request::Lock { key, waits, reply } if open => match waiting.entry(key) {
                Entry::Vacant(entry) => {
                    grant(entry.key().clone(), reply, &requests);
                    entry.insert(VecDeque::new());
                }
                Entry::Occupied(mut entry) if waits => entry.get_mut().push_back(reply),
                Entry::Occupied(_) => {}
            },
            Request::Lock { .. } => {}
            Request::Unlock(key) => {
                let Entry::Occupied(mut entry) = waiting.entry(key) else { continue };
                match entry.get_mut().pop_front() {
                    Some(reply) => grant(entry.key().clone(), reply, &requests),
                    None => drop(entry.remove()),
                }
            }
        }
    }
}

/// A caller that has stopped waiting drops its guard, and the next caller gets the lock.
fn grant<K: Clone>(
    key: K,
    reply: oneshot::Sender<KeyedLockGuard<K>>,
    requests: &mpsc::WeakUnboundedSender<Request<K>>,
) {
    if let Some(requests) = requests.upgrade() {
        drop(reply.send(KeyedLockGuard { key, requests }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn lock_has_one_holder_and_passes_in_order() {
        let locks = KeyedLock::start();
        let first = locks.lock(1).await.unwrap();
        assert!(locks.try_lock(1).await.is_none());
        assert!(locks.try_lock(2).await.is_some(), "another key is free");
        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { locks.lock(1).await.is_some() }
        });
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(locks.lock(1).await.is_some());
    }

    #[tokio::test]
    async fn abandoned_wait_does_not_block_the_next_caller() {
        let locks = KeyedLock::start();
        let first = locks.lock(1).await.unwrap();
        let gone = tokio::time::timeout(Duration::from_millis(5), locks.lock(1)).await;
        assert!(gone.is_err());
        drop(first);
        assert!(locks.lock(1).await.is_some());
    }

    #[tokio::test]
    async fn closed_locks_are_refused_and_waiting_ends() {
        let locks = KeyedLock::start();
        let first = locks.lock(1).await.unwrap();
        let (waiting, ()) = tokio::join!(locks.lock(1), async { locks.close() });
        assert!(waiting.is_none());
        drop(first);
        assert!(locks.lock(2).await.is_none());
    }
}
