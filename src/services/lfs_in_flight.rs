//! Bytes of uploads of Git LFS in progress: they are on disk, or will be, and no row counts them.
//!
//! Owner: one task per [`InFlight`], which alone has the table and ends with the last handle.
//! Invariant: the table holds only repositories and owners with an upload in progress, so its size
//! follows the places of the pool `uploads`.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};

use tokio::sync::{mpsc, oneshot};

use crate::domain::ids::{RepositoryId, UserId};

/// An upload, and the bytes that it counts in quotas.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced {
    pub(super) repository: RepositoryId,
    /// The owner of the repository.
    pub(super) owner: UserId,
    pub(super) charged: u64,
}

/// The bytes of all other uploads of the same repository, and of the same owner.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Others {
    pub(super) of_repository: u64,
    pub(super) of_owner: u64,
}

/// An upload that counts until it is dropped.
#[derive(Debug)]
pub(super) struct InFlightUpload {
    announced: Announced,
    requests: mpsc::UnboundedSender<Request>,
    /// Bytes that all uploads may write before the disk is checked again.
    unwritten: Arc<AtomicU64>,
    own_unwritten: u64,
}

impl InFlightUpload {
    /// Returns the bytes that all uploads may write before the disk is checked again.
    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten.load(Acquire)
    }

    /// Counts bytes as written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        let bytes = bytes.min(self.own_unwritten);
        self.own_unwritten -= bytes;
        self.unwritten.fetch_sub(bytes, AcqRel);
    }
}

impl Drop for InFlightUpload {
    fn drop(&mut self) {
        self.unwritten.fetch_sub(self.own_unwritten, AcqRel);
        // Without the task, its table is gone as well.
        drop(self.requests.send(Request::Leave(self.announced)));
    }
}

#[derive(Debug)]
enum Request {
    Enter { announced: Announced, reply: oneshot::Sender<Others> },
    Leave(Announced),
}

/// The handle. The number of requests is bounded by the places of the pool `uploads`.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    requests: mpsc::UnboundedSender<Request>,
    unwritten: Arc<AtomicU64>,
}

impl InFlight {
    /// Starts the task. Must be called within a runtime.
    pub(super) fn start() -> Self {
        let (requests, arrivals) = mpsc::unbounded_channel();
        tokio::spawn(serve(arrivals));
        Self { requests, unwritten: Arc::default() }
    }

    /// Counts an upload, which may write `bytes` bytes before the disk is checked again. Returns
    /// the others, too. `None` when the runtime ends.
    pub(super) async fn enter(&self, announced: Announced, bytes: u64) -> Option<(InFlightUpload, Others)> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Enter { announced, reply }).ok()?;
        self.unwritten.fetch_add(bytes, AcqRel);
        let (requests, unwritten) = (self.requests.clone(), self.unwritten.clone());
        let upload = InFlightUpload { announced, requests, unwritten, own_unwritten: bytes };
        Some((upload, answer.await.ok()?))
    }
}

async fn serve(mut arrivals: mpsc::UnboundedReceiver<Request>) {
    let (mut repositories, mut owners) = (HashMap::new(), HashMap::new());
    while let Some(request) = arrivals.recv().await {
        match request {
            Request::Enter { announced: Announced { repository, owner, charged }, reply } => {
                let of_repository = add(&mut repositories, repository, charged);
                let of_owner = add(&mut owners, owner, charged);
                drop(reply.send(Others { of_repository, of_owner }));
            }
            Request::Leave(Announced { repository, owner, charged }) => {
                subtract(&mut repositories, repository, charged);
                subtract(&mut owners, owner, charged);
            }
        }
    }
}

/// Adds the bytes. Returns the sum before.
fn add<K: Eq + Hash>(sums: &mut HashMap<K, u64>, key: K, bytes: u64) -> u64 {
    let sum = sums.entry(key).or_default();
    let before = *sum;
    *sum = sum.saturating_add(bytes);
    before
}

fn subtract<K: Eq + Hash>(sums: &mut HashMap<K, u64>, key: K, bytes: u64) {
    if let Some(sum) = sums.get_mut(&key) {
        *sum = sum.saturating_sub(bytes);
        if *sum == 0 {
            sums.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn announced(repository: i64, owner: i64, charged: u64) -> Announced {
        Announced { repository: RepositoryId(repository), owner: UserId(owner), charged }
    }

    #[tokio::test]
    async fn upload_counts_until_it_is_dropped() {
        let in_flight = InFlight::start();
        let enter = async |repository, owner, bytes| {
            in_flight.enter(announced(repository, owner, bytes), bytes).await.unwrap()
        };
        let (mut first, others) = enter(1, 7, 100).await;
        assert_eq!(others, Others { of_repository: 0, of_owner: 0 });
        let (second, others) = enter(2, 7, 20).await;
        assert_eq!(others, Others { of_repository: 0, of_owner: 100 });
        assert_eq!(first.unwritten(), 120);
        first.wrote(70);
        assert_eq!(second.unwritten(), 50);
        first.wrote(70);
        assert_eq!(second.unwritten(), 20, "it has no more bytes than it announced");
        drop(first);
        let (third, others) = enter(1, 7, 1).await;
        assert_eq!(others, Others { of_repository: 0, of_owner: 20 });
        drop((second, third));
        let (_last, others) = enter(2, 7, 0).await;
        assert_eq!(others, Others { of_repository: 0, of_owner: 0 });
    }
}
