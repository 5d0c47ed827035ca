//! State that git hosting shares: the store, the `git` program, and the permits of transfers and
//! computations.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::task::TaskTracker;
use tracing::Span;

use super::ServiceError;
use super::blocking::blocking;
use super::git_pools::{GitPools, no_permit};
use super::graphs::Graphs;
use super::histories::Histories;
use crate::core::keyed_lock::{KeyedLock, KeyedLockGuard};
use crate::core::limits::Limits;
use crate::core::machine;
use crate::core::saturate;
use crate::core::shares::{BudgetGrant, Client, Holder, PoolMetrics, PoolName, Share, Slot, Slots};
use crate::domain::ids::{ProjectId, RepositoryId};
use crate::domain::node::NodeName;
use crate::domain::repository::Repository;
use crate::git::metrics::{HistoryMetrics, TransferMetrics, TransferPermit, Work};
use crate::git::object_count;
use crate::git::pack_limits::PackCost;
use crate::git::program::Git;
use crate::git::store::{Store, StoreError};
use crate::git::transfer::Deadlines;
use crate::protocol::code::Code;

/// A nice(1) value: a thread with it gets about a tenth of the CPU time of a server thread.
const HISTORY_PRIORITY: i32 = 10;

/// When a client may try again after its storage node could not be reached, in milliseconds.
const STORAGE_NODE_RETRY_MS: u64 = 5_000;

/// Lock that a push of a repository holds during its last steps.
pub(super) type PushLock = KeyedLockGuard<RepositoryId>;

/// How this server hosts repositories.
#[derive(Debug, Clone, Default)]
pub struct HostingSettings {
    /// The URL under which clients reach this server, if configured.
    pub public_url: Option<String>,
    pub push_to_create: bool,
    /// The name of this node. `None`: the server is the only node.
    pub node: Option<NodeName>,
}

/// State of git hosting; one per application.
pub struct GitResources {
    pub store: Store,
    /// The name of this node. `None`: the server is the only node.
    pub node: Option<NodeName>,
    /// `None`: no usable `git`. Repositories can be created and browsed, not cloned or pushed to.
    pub(super) program: Option<Git>,
    pub(super) pools: GitPools,
    /// Disk space for responses, in pieces.
    spool: Slots,
    push_locks: KeyedLock<RepositoryId>,
    /// Serializes the creation of repositories in each project.
    creation_locks: KeyedLock<ProjectId>,
    pub(super) push_to_create: bool,
    pub(super) graphs: Graphs,
    pub(super) histories: Histories,
    /// Limits the pushes that inflate at the same time.
    pub(super) inflating: Arc<Semaphore>,
    large_delta_bytes: u64,
    /// Admitted pushes that are not settled yet.
    admitted: TaskTracker,
    public_url: Option<String>,
    metrics: TransferMetrics,
    /// Starts a round of maintenance before its time.
    pub(super) maintenance_due: Notify,
    /// Older files were left by an earlier run.
    pub(super) started_at: SystemTime,
    patience: Duration,
}

impl GitResources {
    pub fn new(
        store: Store,
        program: Option<Git>,
        settings: HostingSettings,
        (metrics, histories, pools): (TransferMetrics, &HistoryMetrics, &PoolMetrics),
        limits: &Limits,
    ) -> Self {
        let HostingSettings { public_url, push_to_create, node } = settings;
        Self {
            store,
            node,
            program,
            pools: GitPools::start(limits, pools),
            spool: Slots::of_space(limits.git_spool_pieces()).measured(pools.meter(PoolName::Spool)),
            push_locks: KeyedLock::start(),
            creation_locks: KeyedLock::start(),
            push_to_create,
            graphs: Graphs::new(),
            histories: Histories::start(limits.git_histories_cache_bytes, histories),
            inflating: Arc::new(Semaphore::new(Limits::per_core(0).saturating_sub(1).max(1))),
            large_delta_bytes: limits.git_large_delta_bytes,
            admitted: TaskTracker::new(),
            public_url,
            metrics,
            maintenance_due: Notify::new(),
            started_at: SystemTime::now(),
            patience: Duration::from_millis(limits.git_patience_ms),
        }
    }

    /// Returns whether this node is the storage node of the repository.
    pub fn stores(&self, repository: &Repository) -> bool {
        repository.is_stored_on(self.node.as_ref())
    }

    /// Checks that this node is the storage node of the repository. No other node may read or write
    /// its directory.
    ///
    /// # Errors
    /// [`Code::Overloaded`] on another node, where the request arrives only if the storage node
    /// cannot be reached (`cluster::proxy`).
    pub(super) fn check_stored_here(&self, repository: &Repository) -> Result<(), ServiceError> {
        if self.stores(repository) {
            return Ok(());
        }
        let why = match &repository.storage {
            Some(node) => format!("the node {node}, which stores this repository, cannot be reached"),
            None => "no node has the files of this repository; ask the operator".to_owned(),
        };
        Err(ServiceError::later(Code::Overloaded, why, STORAGE_NODE_RETRY_MS))
    }

    /// Returns whether the first push of an owner creates a repository (`git.push_to_create`).
    pub fn creates_by_push(&self) -> bool {
        self.push_to_create
    }

    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    pub(super) fn program(&self) -> Result<&Git, ServiceError> {
        self.program.as_ref().ok_or_else(|| {
            ServiceError::new(
                Code::Overloaded,
                "this server has no git 2.39.4 or newer; ask its operator to install it",
            )
        })
    }

    /// Returns a permit for a large raw file.
    pub(super) async fn bulk_permit(&self, client: Client) -> Result<Share, ServiceError> {
        let pool = &self.pools.bulk;
        let entered = pool.enter(client).await;
        entered.map_err(|refused| {
            no_permit(pool.patience(), refused, "too many large files are being read at once")
        })
    }

    /// Returns a permit for a transfer of the client.
    pub(super) async fn acquire(&self, work: Work, client: Client) -> Result<TransferPermit, ServiceError> {
        let pool = self.pools.of(work, client.holder);
        match pool.enter(client).await {
            Ok(share) => Ok(self.metrics.permit(work, share)),
            Err(refused) => {
                self.metrics.refused(work);
                let why = match work {
                    Work::Push => "too many pushes at once",
                    Work::Archive => "too many archives at once",
                    Work::Advertise | Work::Fetch => "too many clones and fetches at once",
                };
                Err(no_permit(pool.patience(), refused, why))
            }
        }
    }

    /// Returns memory to unpack a push with large deltas, or `None` if the push needs none.
    pub(super) async fn unpacking_permit(
        &self,
        holder: Holder,
        cost: PackCost,
    ) -> Result<Option<BudgetGrant>, ServiceError> {
        if cost.largest_delta_bytes <= self.large_delta_bytes {
            return Ok(None);
        }
        let budget = &self.pools.unpacking;
        // A push that unpacks is not evicted for another.
        let mut grant = budget.open(holder, None);
        let raised = grant.raise_to(cost.delta_memory_bytes, cost.large_unpacked_bytes).await;
        let why = "other pushes with large files are being unpacked; push again later";
        raised.map(|()| Some(grant)).map_err(|refused| no_permit(budget.patience(), refused, why))
    }

    /// Checks whether the repository may take `objects` more. The caller holds the push lock: a
    /// concurrent push may have added some.
    pub(super) async fn check_objects(
        &self,
        repository: &Repository,
        objects: u32,
        limits: &Limits,
    ) -> Result<(), ServiceError> {
        if objects == 0 {
            return Ok(());
        }
        let path = self.store.path(repository.storage_key);
        let checked = object_count::check(&path, objects, limits).await;
        checked.map_err(|error| ServiceError::new(Code::TooLarge, error.to_string()))
    }

    /// Returns disk space for a response, in pieces.
    pub(super) fn spool_permit(&self, holder: Holder, pieces: usize) -> Result<Slot, ServiceError> {
        let full = "too many large responses wait for their clients; try again later";
        let permit = self.spool.enter_many(holder, pieces);
        permit.ok_or_else(|| ServiceError::later(Code::Overloaded, full, 1_000))
    }

    /// Returns a permit for a request that reads repositories.
    pub(super) async fn browse_permit(&self, client: impl Into<Client>) -> Result<Share, ServiceError> {
        let pool = &self.pools.browses;
        let why = "too many repositories are being read at once";
        pool.enter(client).await.map_err(|refused| no_permit(pool.patience(), refused, why))
    }

    /// Returns a permit for a request that walks histories.
    pub(super) async fn history_permit(&self, client: Client) -> Result<Share, ServiceError> {
        let pool = &self.pools.histories;
        let why = "too many histories are being read at once";
        pool.enter(client).await.map_err(|refused| no_permit(pool.patience(), refused, why))
    }

    /// Acquires the repository's push lock: one push at a time runs its last steps.
    pub(super) async fn push_lock(&self, id: RepositoryId) -> Result<PushLock, ServiceError> {
        self.wait(self.push_locks.lock(id), "another push to this repository is under way").await
    }

    /// Acquires the project's lock to create a repository: a name that is taken then belongs to a
    /// usable repository.
    pub(super) async fn creation_lock(
        &self,
        id: ProjectId,
    ) -> Result<KeyedLockGuard<ProjectId>, ServiceError> {
        self.wait(self.creation_locks.lock(id), "other repositories of this project are being created").await
    }

    /// Waits for a lock at most as long as git requests wait.
    async fn wait<T>(
        &self,
        lock: impl Future<Output = Option<T>>,
        why: &'static str,
    ) -> Result<T, ServiceError> {
        let entered = tokio::time::timeout(self.patience, lock).await;
        let busy = |_| {
            let retry_ms = saturate::millis(self.patience).max(1000);
            ServiceError::later(Code::Overloaded, why, retry_ms)
        };
        entered.map_err(busy)?.ok_or_else(stopping)
    }

    /// Returns the push lock if no push holds it.
    pub(super) async fn try_push_lock(&self, id: RepositoryId) -> Option<PushLock> {
        self.push_locks.try_lock(id).await
    }

    /// Returns a token that an admitted push holds until it is settled.
    pub(super) fn admit(&self) -> tokio_util::task::task_tracker::TaskTrackerToken {
        self.admitted.token()
    }

    /// Starts maintenance now instead of at its next interval: there is something to remove or to
    /// pack.
    pub(super) fn maintain_soon(&self) {
        self.maintenance_due.notify_one();
    }

    /// Rejects new work; admitted pushes continue.
    pub fn close(&self) {
        self.pools.close();
        self.push_locks.close();
        self.creation_locks.close();
        self.graphs.close();
        self.admitted.close();
    }

    /// Resolves when every admitted push is settled. Call it only after [`GitResources::close`].
    pub async fn pushes_settled(&self) {
        self.admitted.wait().await;
    }

    /// Runs a repository read on a blocking thread, once the client has a permit for it.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        client: Client,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let permit = self.browse_permit(client).await?;
        blocking(move || {
            let _permit = permit;
            work()
        })
        .await
    }

    /// Runs the comparison of a search on a blocking thread. It waits for other searches only, and
    /// not for long.
    pub(super) async fn searching<T: Send + 'static>(
        &self,
        client: Client,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let pool = &self.pools.searches;
        let why = "too many searches read repositories at once";
        let entered = pool.enter(client).await;
        let permit = entered.map_err(|refused| no_permit(pool.patience(), refused, why))?;
        blocking(move || {
            let _permit = permit;
            work()
        })
        .await
    }

    /// Runs a history walk on its own thread with a lower priority than the server. Folder listings
    /// stay fast however many histories are being read.
    pub(super) async fn walking<T: Send + 'static>(
        &self,
        client: Client,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let permit = self.history_permit(client).await?;
        self.walking_with(permit, work).await
    }

    /// Runs a walk that already has a permit. The walk continues when its caller has gone.
    pub(super) async fn walking_with<T: Send + 'static>(
        &self,
        permit: Share,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (answer, answered) = oneshot::channel();
        let span = Span::current();
        let thread = std::thread::Builder::new().name("history".to_owned());
        let started = thread.spawn(move || {
            let _permit = permit;
            machine::lower_thread_priority(HISTORY_PRIORITY);
            drop(answer.send(span.in_scope(work)));
        });
        started.map_err(ServiceError::internal)?;
        // Without an answer, the read panicked.
        answered.await.map_err(ServiceError::internal)
    }

    /// Returns the directory of a repository without refs.
    pub(super) async fn empty_directory(&self) -> Result<PathBuf, ServiceError> {
        let store = self.store.clone();
        Ok(blocking(move || store.empty()).await??)
    }

    /// Returns the repository's directory; its `HEAD` names the default branch.
    pub(super) async fn directory(&self, repository: &Repository) -> Result<PathBuf, ServiceError> {
        self.check_stored_here(repository)?;
        let (store, key) = (self.store.clone(), repository.storage_key);
        let branch = repository.default_branch.clone();
        Ok(blocking(move || store.ensure_head(key, &branch)).await??)
    }

    pub(super) fn deadlines(limits: &Limits) -> Deadlines {
        Deadlines {
            idle: Duration::from_millis(limits.git_idle_ms),
            bytes_min: (limits.git_rate.saturating_mul(limits.git_idle_ms) / 1000).max(1),
            total: Duration::from_millis(limits.git_total_ms),
        }
    }
}

pub(super) fn stopping() -> ServiceError {
    ServiceError::later(Code::Overloaded, "the server is stopping; try again", 5_000)
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => {
                tracing::error!("the directory of a repository is missing");
                Self::new(
                    Code::Overloaded,
                    "the repository's files are missing; ask the operator to restore them",
                )
            }
            StoreError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Self::later(Code::ReadOnly, "the server is out of disk space", 1000)
            }
            other => Self::new(Code::Internal, "the repository's files cannot be used").because(other),
        }
    }
}
