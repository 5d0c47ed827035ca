//! The permit pools of git hosting: selects the pool of a request, and builds the error for a
//! request without a permit.

use std::time::Duration;

use super::ServiceError;
use super::git_resources::stopping;
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::core::shares::{
    Budget, BudgetRules, Cut, Holder, Pool, PoolMetrics, PoolName, PoolRefusal, Reserve, Reserved, Rules,
};
use crate::git::metrics::Work;
use crate::git::program::memory_bytes;
use crate::protocol::code::Code;

/// Quarters of the memory of all git children that large deltas may use together; the rest is for
/// all other work.
const UNPACKING_QUARTERS: u64 = 3;

/// Unpacking this many bytes of large deltas takes some seconds.
const SMALL_WORK_BYTES: u64 = 256 * 1024 * 1024;

/// The permits of transfers, in separate pools so that no kind of request ends another.
pub(super) struct GitPools {
    pub(super) advertisements: Pool,
    pub(super) reads: Pool,
    pub(super) visitors: Pool,
    pub(super) writes: Pool,
    pub(super) archives: Pool,
    pub(super) bulk: Pool,
    pub(super) browses: Pool,
    pub(super) histories: Pool,
    /// Searches that compare files and commits.
    pub(super) searches: Pool,
    /// Bytes of memory for large deltas: of pushes that unpack, and of deltas that arrive.
    pub(super) unpacking: Budget,
    /// The number of objects of all pushes that arrive at the same time.
    pub(super) objects: Budget,
}

impl GitPools {
    pub(super) fn start(limits: &Limits, metrics: &PoolMetrics) -> Self {
        let patience = Duration::from_millis(limits.git_patience_ms);
        let starved = Duration::from_millis(limits.git_starved_ms);
        let pool = |name, size, reserved| {
            let rules = Rules::new(size, limits.git_waiting, patience)
                .with_reserve(limits.git_reserve, reserved)
                .with_cut(starved, Cut::Slow(limits.git_busy_rate));
            Pool::start(rules, metrics.meter(name))
        };
        // One more permit for accounts, so that they never wait for visitors alone.
        let computing = |name, size| {
            let rules = Rules::new(Limits::per_core(size) + 1, limits.git_waiting, patience);
            Pool::start(rules.with_reserve(1, Reserved::ForAccounts), metrics.meter(name))
        };
        let unpacking_wait = Duration::from_millis(limits.git_unpacking_wait_ms);
        let memory = memory_bytes(limits) / 4 * UNPACKING_QUARTERS;
        let unpacking = BudgetRules {
            size: memory,
            reserve: memory / 4,
            reserved: Reserve::Small,
            small_work: SMALL_WORK_BYTES,
            patience: unpacking_wait,
            starved,
            slow_below: limits.git_busy_rate,
        };
        let objects = BudgetRules {
            size: saturate::to_u64(limits.git_pushed_objects),
            // The largest push always continues, and after it the others, one at a time.
            reserve: limits.git_push_objects.into(),
            reserved: Reserve::Lead,
            ..unpacking
        };
        let unpacking = Budget::start(unpacking, metrics.meter(PoolName::Unpacking));
        let objects = Budget::start(objects, metrics.meter(PoolName::PushedObjects));
        Self {
            advertisements: pool(PoolName::GitAdvertisements, limits.git_advertisements, Reserved::ForAll),
            reads: pool(PoolName::GitReads, limits.git_reads, Reserved::ForAll),
            visitors: pool(PoolName::GitVisitors, limits.git_visitors, Reserved::ForAll),
            writes: pool(PoolName::GitWrites, limits.git_writes, Reserved::ForAll),
            archives: pool(PoolName::Archives, limits.git_archives, Reserved::ForAccounts),
            bulk: pool(PoolName::Bulk, limits.git_bulk, Reserved::ForAccounts),
            browses: computing(PoolName::Browses, limits.git_browses),
            histories: computing(PoolName::Histories, limits.git_histories),
            searches: {
                let patience = Duration::from_millis(limits.search_reads_wait_ms);
                let rules = Rules::new(limits.search_reads, limits.searches, patience);
                Pool::start(rules, metrics.meter(PoolName::Searches))
            },
            unpacking,
            objects,
        }
    }

    pub(super) fn of(&self, work: Work, holder: Holder) -> &Pool {
        match (work, holder) {
            (Work::Advertise | Work::Fetch, Holder::Network(_)) => &self.visitors,
            (Work::Advertise, _) => &self.advertisements,
            (Work::Fetch, _) => &self.reads,
            (Work::Push, _) => &self.writes,
            (Work::Archive, _) => &self.archives,
        }
    }

    pub(super) fn close(&self) {
        let Self {
            advertisements,
            reads,
            visitors,
            writes,
            archives,
            bulk,
            unpacking,
            objects,
            browses: _,
            histories: _,
            searches: _,
        } = self;
        [advertisements, reads, visitors, writes, archives, bulk].into_iter().for_each(Pool::close);
        [unpacking, objects].into_iter().for_each(Budget::close);
    }
}

/// Returns the error for a request that got no permit.
pub(super) fn no_permit(patience: Duration, refused: PoolRefusal, why: &str) -> ServiceError {
    // After a full wait the client may retry soon; a client whose queue is full must not.
    let retry_ms = match refused {
        PoolRefusal::Patience => 1_000,
        PoolRefusal::Queue => saturate::millis(patience),
        PoolRefusal::Closed => return stopping(),
    };
    ServiceError::later(Code::Overloaded, why, retry_ms.max(1_000))
}
