//! Cache of responses that needed a history walk: last commits of folders, and pages of commits.
//!
//! Owner: [`super::git_resources::GitResources`]. Invariants:
//! - A response is keyed by the repository's storage key and the commit where it begins. It never
//!   changes, so it is removed only for space. A storage key is used once: responses of a deleted
//!   repository are never found again.
//! - Only whole responses are cached: a walk that a limit ended, or that missed an object, may
//!   return more another time.
//! - Access is checked first: a key is made from the view of a caller who may read.
//! - Of equal concurrent queries only one walks. Each caller first waits for a permit of its own
//!   share, so no caller waits in another's queue. A caller that finds an equal walk running
//!   returns its permit.

use std::hash::Hash;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::browsing::Reading;
use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::core::keyed_lock::KeyedLock;
use crate::core::saturate;
use crate::domain::repository::StorageKey;
use crate::git::browse::{BrowseError, Browser, CommitPage, Oid, Tree, TreePart};
use crate::git::metrics::HistoryMetrics;

/// Approximate overhead of an entry in bytes. It bounds the number of entries to about ten
/// thousand.
const KEEPING_BYTES: usize = 1024;

/// The cached responses of one kind, and their walks.
pub(super) struct Answers<Q: Clone, A> {
    kept: Cache<Key<Q>, Arc<A>>,
    /// The running walks.
    locks: KeyedLock<Key<Q>>,
    metrics: HistoryMetrics,
}

/// The inputs that determine a response.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key<Q> {
    repository: StorageKey,
    /// The commit where the history begins.
    commit: Oid,
    question: Q,
}

impl<Q> Key<Q> {
    pub(super) fn new(view: &RepositoryView, commit: Oid, question: Q) -> Self {
        Self { repository: view.repository.storage_key, commit, question }
    }
}

/// A part of a folder with the last commits of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FolderQuestion {
    pub(super) path: String,
    pub(super) part: TreePart,
}

/// A page of a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CommitsQuestion {
    pub(super) path: Option<String>,
    pub(super) after: Option<Oid>,
    pub(super) limit: usize,
}

/// The caches of all kinds.
pub(super) struct Histories {
    pub(super) folders: Answers<FolderQuestion, Tree>,
    pub(super) commits: Answers<CommitsQuestion, CommitPage>,
}

impl Histories {
    /// Must be called within a tokio runtime.
    pub(super) fn start(bytes_max: usize, metrics: &HistoryMetrics) -> Self {
        let each = bytes_max / 2;
        let folder_bytes = |question: &FolderQuestion, tree: &Tree| question.path.len() + tree.memory_bytes();
        let page_bytes = |question: &CommitsQuestion, page: &CommitPage| {
            question.path.as_ref().map_or(0, String::len) + page.memory_bytes()
        };
        Self {
            folders: Answers::start(each, folder_bytes, metrics.clone()),
            commits: Answers::start(each, page_bytes, metrics.clone()),
        }
    }
}

impl<Q, A> Answers<Q, A>
where
    Q: Clone + Eq + Hash + Send + Sync + 'static,
    A: Send + Sync + 'static,
{
    fn start(bytes_max: usize, bytes: fn(&Q, &A) -> usize, metrics: HistoryMetrics) -> Self {
        let weigh = move |key: &Key<Q>, answer: &Arc<A>| {
            u32::try_from(bytes(&key.question, answer).saturating_add(KEEPING_BYTES)).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder()
            .max_capacity(saturate::to_u64(bytes_max))
            .eviction_policy(EvictionPolicy::lru())
            .weigher(weigh)
            .build();
        Self { kept, locks: KeyedLock::start(), metrics }
    }

    fn find(&self, key: &Key<Q>) -> Option<Reading<Arc<A>>> {
        let answer = self.kept.get(key)?;
        self.metrics.hits.inc();
        Some(Reading { answer, is_whole: true })
    }
}

/// Caches a response if it is whole. Evicts at once: the cache itself would defer eviction.
fn keep<Q, A>(kept: &Cache<Key<Q>, Arc<A>>, key: Key<Q>, reading: &Reading<Arc<A>>)
where
    Q: Eq + Hash + Send + Sync + 'static,
    A: Send + Sync + 'static,
{
    if reading.is_whole {
        kept.insert(key, reading.answer.clone());
        kept.run_pending_tasks();
    }
}

impl Services {
    /// Returns the cached response, or runs the walk. A walk continues when its caller has gone,
    /// and its response is cached.
    pub(super) async fn ask_kept<Q, A>(
        &self,
        view: &RepositoryView,
        answers: &Answers<Q, A>,
        key: Key<Q>,
        question: impl FnOnce(&Browser) -> Result<Reading<A>, BrowseError> + Send + 'static,
    ) -> Result<Reading<Arc<A>>, ServiceError>
    where
        Q: Clone + Eq + Hash + Send + Sync + 'static,
        A: Send + Sync + 'static,
    {
        if let Some(found) = answers.find(&key) {
            return Ok(found);
        }
        let mut has_waited = false;
        let (permit, lock) = loop {
            let permit = match self.git.history_permit(view.client()).await {
                Ok(permit) => permit,
                // Another caller may have finished the walk meanwhile.
                Err(refused) => return answers.find(&key).ok_or(refused),
            };
            let lock = answers.locks.try_lock(key.clone()).await;
            if let Some(found) = answers.find(&key) {
                return Ok(found);
            }
            // The walk that this caller waited for left nothing to share; the next walk would not
            // either.
            if lock.is_some() || has_waited {
                break (permit, lock);
            }
            drop(permit);
            drop(answers.locks.lock(key.clone()).await);
            if let Some(found) = answers.find(&key) {
                return Ok(found);
            }
            has_waited = true;
        };
        answers.metrics.misses.inc();
        let (work, kept) = (self.browsing(view, question), answers.kept.clone());
        let walk = move || {
            let _lock = lock;
            let Reading { answer, is_whole } = work()?;
            let reading = Reading { answer: Arc::new(answer), is_whole };
            keep(&kept, key, &reading);
            Ok(reading)
        };
        self.git.walking_with(permit, walk).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(question: usize) -> Key<usize> {
        let commit = Oid::parse(&"1".repeat(40)).unwrap();
        Key {
            repository: StorageKey::parse("00000000-0000-4000-8000-000000000000").unwrap(),
            commit,
            question,
        }
    }

    fn whole(bytes: usize) -> Reading<Arc<Vec<u8>>> {
        Reading { answer: Arc::new(vec![0; bytes]), is_whole: true }
    }

    #[tokio::test]
    async fn cache_stays_below_its_bytes_and_evicts_oldest() {
        let max = 10 * KEEPING_BYTES;
        let metrics = HistoryMetrics::default();
        let answers = Answers::start(max, |_: &usize, bytes: &Vec<u8>| bytes.len(), metrics.clone());
        for number in 0..100 {
            keep(&answers.kept, key(number), &whole(KEEPING_BYTES));
            assert!(answers.kept.weighted_size() <= u64::try_from(max).unwrap());
            assert!(answers.find(&key(0)).is_some() || number > 90, "a used entry stays");
        }
        assert_eq!(answers.kept.entry_count(), 5);
        assert!(answers.find(&key(99)).is_some() && answers.find(&key(1)).is_none());
        keep(&answers.kept, key(100), &whole(max));
        assert!(answers.find(&key(100)).is_none() && answers.find(&key(99)).is_some(), "too large for all");
        keep(&answers.kept, key(101), &Reading { is_whole: false, ..whole(1) });
        assert!(answers.find(&key(101)).is_none(), "partial responses are not cached");
        let empty = Answers::start(0, |_: &usize, bytes: &Vec<u8>| bytes.len(), metrics);
        keep(&empty.kept, key(1), &whole(0));
        assert!(empty.find(&key(1)).is_none());
    }
}
