//! What git hosting shares: the store, the `git` program, and the places that transfers and computations take.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::ServiceError;
use super::housekeeping::Bell;
use crate::core::limits::Limits;
use crate::core::turns::{Turn, Turns};
use crate::domain::ids::RepositoryId;
use crate::domain::repository::Repository;
use crate::git::metrics::{TransferMetrics, Turn as TransferTurn, Work};
use crate::git::program::Git;
use crate::git::store::{Store, StoreError};
use crate::git::transfer::Deadlines;
use crate::protocol::code::Code;

/// Held while a push of a repository is in its last steps.
pub(super) type PushTurn = Turn<RepositoryId>;

/// One per application.
pub struct Hosting {
    pub store: Store,
    /// `None`: there is no usable `git`; repositories can be made and read, not cloned or pushed to.
    pub(super) git: Option<Git>,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    browses: Arc<Semaphore>,
    /// Space for answers on disk, in pieces.
    spool: Arc<Semaphore>,
    turns: Turns<RepositoryId>,
    /// One push with large deltas unpacks at a time.
    unpacking: Arc<Semaphore>,
    /// Pushes that inflate at the same time.
    pub(super) inflating: Arc<Semaphore>,
    large_delta_bytes: u64,
    unpacking_wait: Duration,
    /// Pushes that were admitted and are not settled yet.
    admitted: TaskTracker,
    /// How clients reach this server, where that is configured.
    public_url: Option<String>,
    metrics: TransferMetrics,
    pub(super) bell: Bell,
    /// What is older was left by an earlier run.
    pub(super) started_at: SystemTime,
    patience: Duration,
}

impl Hosting {
    pub fn new(
        store: Store,
        git: Option<Git>,
        public_url: Option<String>,
        metrics: TransferMetrics,
        limits: &Limits,
    ) -> Self {
        Self {
            store,
            git,
            reads: Arc::new(Semaphore::new(limits.git_reads)),
            writes: Arc::new(Semaphore::new(limits.git_writes)),
            browses: Arc::new(Semaphore::new(Limits::per_core(limits.git_browses))),
            spool: Arc::new(Semaphore::new(limits.git_spool_pieces())),
            turns: Turns::start(),
            unpacking: Arc::new(Semaphore::new(1)),
            inflating: Arc::new(Semaphore::new(Limits::per_core(0).saturating_sub(1).max(1))),
            large_delta_bytes: limits.git_large_delta_bytes,
            unpacking_wait: Duration::from_millis(limits.git_unpacking_wait_ms),
            admitted: TaskTracker::new(),
            public_url,
            metrics,
            bell: Bell::default(),
            started_at: SystemTime::now(),
            patience: Duration::from_millis(limits.git_patience_ms),
        }
    }

    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    pub(super) fn git(&self) -> Result<&Git, ServiceError> {
        self.git.as_ref().ok_or_else(|| {
            ServiceError::new(
                Code::Overloaded,
                "this server has no git 2.39.4 or newer: its operator must install it",
            )
        })
    }

    /// A place among those who read repositories at length.
    pub(super) async fn read_place(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        self.place(&self.reads, "too many clones and fetches at once").await
    }

    /// A turn for a transfer.
    pub(super) async fn turn_for(&self, work: Work) -> Result<TransferTurn, ServiceError> {
        let place = match work {
            Work::Push => self.place(&self.writes, "too many pushes at once").await,
            Work::Advertise | Work::Fetch | Work::Archive => self.read_place().await,
        };
        match place {
            Ok(place) => Ok(self.metrics.turn(work, place)),
            Err(error) => {
                self.metrics.refused(work);
                Err(error)
            }
        }
    }

    async fn place(
        &self,
        places: &Arc<Semaphore>,
        why: &'static str,
    ) -> Result<OwnedSemaphorePermit, ServiceError> {
        let busy = || {
            let retry_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
            ServiceError::later(Code::Overloaded, why, retry_ms.max(1000))
        };
        let entered = tokio::time::timeout(self.patience, places.clone().acquire_owned()).await;
        entered.map_err(|_| busy())?.map_err(|_| stopping())
    }

    /// The right to unpack a push with deltas of up to so many bytes; `None`: every push may.
    pub(super) async fn unpacking_place(
        &self,
        largest_delta_bytes: u64,
    ) -> Result<Option<OwnedSemaphorePermit>, ServiceError> {
        if largest_delta_bytes <= self.large_delta_bytes {
            return Ok(None);
        }
        let entered = tokio::time::timeout(self.unpacking_wait, self.unpacking.clone().acquire_owned()).await;
        let busy = || {
            let why = "other pushes with large files are being unpacked; push again later";
            ServiceError::later(Code::Overloaded, why, 10_000)
        };
        entered.map_err(|_| busy())?.map_err(|_| stopping()).map(Some)
    }

    /// Space on disk for an answer.
    pub(super) fn spool_place(&self, pieces: u32) -> Result<OwnedSemaphorePermit, ServiceError> {
        let full = "too many large answers wait for their clients";
        let place = self.spool.clone().try_acquire_many_owned(pieces);
        place.map_err(|_| ServiceError::later(Code::Overloaded, full, 1_000))
    }

    /// A place among those who compute over repositories.
    pub(super) async fn browse_place(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        self.place(&self.browses, "too many repositories are being read at once").await
    }

    /// The repository's push turn: one push at a time goes through its last steps.
    pub(super) async fn push_turn(&self, id: RepositoryId) -> Result<PushTurn, ServiceError> {
        let entered = tokio::time::timeout(self.patience, self.turns.enter(id)).await;
        let busy = |_| {
            let retry_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX).max(1000);
            ServiceError::later(Code::Overloaded, "another push to this repository is under way", retry_ms)
        };
        entered.map_err(busy)?.ok_or_else(stopping)
    }

    /// The turn, if no push has it.
    pub(super) async fn try_push_turn(&self, id: RepositoryId) -> Option<PushTurn> {
        self.turns.try_enter(id).await
    }

    /// Held by an admitted push until it is settled.
    pub(super) fn admit(&self) -> tokio_util::task::task_tracker::TaskTrackerToken {
        self.admitted.token()
    }

    /// Something was deleted: the background need not wait for its time.
    pub(super) fn tend_soon(&self) {
        self.bell.ring();
    }

    /// Takes nothing new; what was admitted goes on.
    pub fn close(&self) {
        self.reads.close();
        self.writes.close();
        self.turns.close();
        self.unpacking.close();
        self.admitted.close();
    }

    /// Returns when every admitted push is settled. Only after [`Hosting::close`].
    pub async fn pushes_settled(&self) {
        self.admitted.wait().await;
    }

    /// Runs what reads a repository on a thread that may block; so many at once.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let place = self.browse_place().await?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.map_err(|error| ServiceError::new(Code::Internal, error.to_string()))
    }

    /// The repository's directory; its `HEAD` names the default branch.
    pub(super) async fn directory(&self, repository: &Repository) -> Result<PathBuf, ServiceError> {
        let (store, key) = (self.store.clone(), repository.storage_key);
        let branch = repository.default_branch.clone();
        let found = tokio::task::spawn_blocking(move || store.ensure_head(key, &branch)).await;
        Ok(found.map_err(|error| ServiceError::new(Code::Internal, error.to_string()))??)
    }

    pub(super) fn deadlines(limits: &Limits) -> Deadlines {
        Deadlines {
            idle: Duration::from_millis(limits.git_idle_ms),
            total: Duration::from_millis(limits.git_total_ms),
        }
    }
}

fn stopping() -> ServiceError {
    ServiceError::later(Code::Overloaded, "the server is stopping; try again", 5_000)
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => {
                tracing::error!("a repository's directory is missing");
                Self::new(Code::Overloaded, "the repository's files are not there; tell the operator")
            }
            StoreError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Self::later(Code::ReadOnly, "the server is out of disk space", 1000)
            }
            other => {
                tracing::error!(error = %other, "a repository's directory cannot be used");
                Self::new(Code::Internal, "the repository's files cannot be used")
            }
        }
    }
}
