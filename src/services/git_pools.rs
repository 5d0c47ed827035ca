//! The places of git hosting: which pool a request takes its place from, and what a request without a place is told.

use std::time::Duration;

use super::ServiceError;
use super::hosting::stopping;
use crate::core::limits::Limits;
use crate::core::shares::{
    Budget, BudgetRules, Cut, Holder, Pool, PoolMetrics, PoolName, Refused, Reserve, Reserved, Rules,
};
use crate::git::metrics::Work;
use crate::protocol::code::Code;

/// The places of transfers, apart so that no kind of request ends another.
pub(super) struct GitPools {
    pub(super) advertisements: Pool,
    pub(super) reads: Pool,
    pub(super) visitors: Pool,
    pub(super) writes: Pool,
    pub(super) archives: Pool,
    pub(super) bulk: Pool,
    pub(super) browses: Pool,
    /// One push with large deltas unpacks at a time.
    pub(super) unpacking: Pool,
    /// The objects of all pushes that arrive at the same time.
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
        // A further place for accounts: they never wait for visitors alone.
        let browses = Rules::new(Limits::per_core(limits.git_browses) + 1, limits.git_waiting, patience)
            .with_reserve(1, Reserved::ForAccounts);
        let browses = Pool::start(browses, metrics.meter(PoolName::Browses));
        let unpacking_wait = Duration::from_millis(limits.git_unpacking_wait_ms);
        let unpacking = Rules::new(1, limits.git_waiting, unpacking_wait);
        let unpacking = Pool::start(unpacking, metrics.meter(PoolName::Unpacking));
        let objects = BudgetRules {
            size: u64::try_from(limits.git_pushed_objects).unwrap_or(u64::MAX),
            // The largest push always goes on, and the others with it, one after the other.
            reserve: limits.git_push_objects.into(),
            reserved: Reserve::Lead,
            patience: unpacking_wait,
            starved,
            slow_below: limits.git_busy_rate,
        };
        let objects = Budget::start(objects, metrics.meter(PoolName::PushedObjects));
        Self {
            advertisements: pool(PoolName::GitAdvertisements, limits.git_advertisements, Reserved::ForAll),
            reads: pool(PoolName::GitReads, limits.git_reads, Reserved::ForAll),
            visitors: pool(PoolName::GitVisitors, limits.git_visitors, Reserved::ForAll),
            writes: pool(PoolName::GitWrites, limits.git_writes, Reserved::ForAll),
            archives: pool(PoolName::Archives, limits.git_archives, Reserved::ForAccounts),
            bulk: pool(PoolName::Bulk, limits.git_bulk, Reserved::ForAccounts),
            browses,
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
        let Self { advertisements, reads, visitors, writes, archives, bulk, unpacking, objects, browses: _ } =
            self;
        objects.close();
        [advertisements, reads, visitors, writes, archives, bulk, unpacking]
            .into_iter()
            .for_each(Pool::close);
    }
}

/// The refusal of a request that found no place.
pub(super) fn no_place(pool: &Pool, refused: Refused, why: &str) -> ServiceError {
    // After a full wait the client may ask again soon; a client whose queue is full must not.
    let retry_ms = match refused {
        Refused::Patience => 1_000,
        Refused::Queue => u64::try_from(pool.patience().as_millis()).unwrap_or(u64::MAX),
        Refused::Closed => return stopping(),
    };
    ServiceError::later(Code::Overloaded, why, retry_ms.max(1_000))
}
