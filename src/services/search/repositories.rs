//! The search for files and commits of default branches.
//!
//! The index proposes files and commits of repositories that the caller may read. Each is read from
//! the repository: a file as it is in the default branch now, a commit if the default branch still
//! leads to it. The permissions are checked again at the end.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::Budget;
use crate::actors::cache::{SearchRepositories, SearchableRepository};
use crate::actors::search::{FindInRepositories, FoundInRepositories, RepositorySearch, SearchPermit};
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::ids::RepositoryId;
use crate::domain::repository::Repository;
use crate::domain::search::Candidates;
use crate::git::browse::{BrowseError, BrowseLimits, Browser, Oid};
use crate::git::store::Store;
use crate::protocol::code::Code;
use crate::services::{ServiceError, Services};
use crate::storage::search_index::RepositoryMark;

/// Bytes of the hits of a page: a frame of a session holds a page of each group.
const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Commits among which the indexed commit must be if the branch has moved since.
const NEWER_COMMITS_MAX: usize = 256;
/// Repositories that one comparison has open at once.
const OPEN_MAX: usize = 4;
/// Bytes of objects that are read from a repository until it is opened again.
const OPEN_BYTES: usize = 32 * 1024 * 1024;
/// The least time in which an opened repository is read: a file is compared even at the end of a
/// budget.
const OPEN_MS_MIN: u64 = 100;

/// The hits found, and whether more may exist that a limit has excluded.
pub(super) struct FoundHits<H> {
    pub(super) hits: Vec<H>,
    /// The search continues below this id.
    pub(super) next: Option<i64>,
    pub(super) is_incomplete: bool,
}

impl<H> Default for FoundHits<H> {
    fn default() -> Self {
        Self { hits: Vec::new(), next: None, is_incomplete: false }
    }
}

/// A file or commit that was proposed.
pub(super) trait Row: Send + 'static {
    /// The ids of dense files are negative.
    fn id(&self) -> i64;
    fn repository(&self) -> RepositoryId;
}

/// A kind of rows, and how they are compared with the query.
pub(super) trait Kind: Send + Sync + 'static {
    type Row: Row;
    /// A row that is a hit, before the last check of permissions.
    type Hit: Send + 'static;

    fn search(&self) -> RepositorySearch;
    fn rows(found: &mut FoundInRepositories) -> Vec<Self::Row>;
    fn candidates(&self) -> Candidates;
    /// Reads a row and compares it with the query. Returns the hit, and the bytes that were read.
    ///
    /// # Errors
    /// If the row cannot be read now, so that it may be a hit.
    fn check(
        &self,
        row: Self::Row,
        opened: &OpenRepository,
    ) -> Result<(Option<Self::Hit>, usize), BrowseError>;
    fn repository_of(hit: &Self::Hit) -> RepositoryId;
    /// Returns the size of the texts of a hit in an answer.
    fn text_bytes(hit: &Self::Hit) -> usize;
}

/// A repository that is read for a search.
pub(super) struct OpenRepository {
    pub(super) id: RepositoryId,
    pub(super) browser: Browser,
    /// The commit of the default branch.
    pub(super) head: Oid,
    /// The commit that the index has, also a part of it.
    indexed: Option<Oid>,
    /// Whether the index has all files of `head`.
    pub(super) is_indexed: bool,
    leads_to_indexed: OnceCell<bool>,
}

impl OpenRepository {
    /// Returns whether the branch leads to the commits of the index, also while newer ones are
    /// added.
    pub(super) fn leads_to_indexed(&self) -> bool {
        *self.leads_to_indexed.get_or_init(|| {
            self.indexed.is_some_and(|indexed| {
                indexed == self.head || self.browser.is_among_newest(self.head, indexed, NEWER_COMMITS_MAX)
            })
        })
    }
}

/// Rows that were compared with the query.
struct Checked<H> {
    hits: Vec<(i64, H)>,
    bytes: usize,
    /// The bytes of dense files, which the index cannot exclude. They have a share of their own.
    dense_bytes: usize,
    took: Duration,
    /// The budget ended: rows below this id were not compared.
    cut: Option<i64>,
    /// Whether a row could not be read.
    has_failed: bool,
}

impl<H> Checked<H> {
    fn new() -> Self {
        let (bytes, dense_bytes, took) = (0, 0, Duration::ZERO);
        Self { hits: Vec::new(), bytes, dense_bytes, took, cut: None, has_failed: false }
    }
}

/// The repositories of a search, by id.
type Repositories = HashMap<RepositoryId, Arc<Repository>>;

/// The parts of a check that do not depend on the rows.
struct Reader<K> {
    kind: Arc<K>,
    store: Store,
    repositories: Arc<Repositories>,
    limits: Limits,
}

impl<K: Kind> Reader<K> {
    /// Opens a repository; `None` if it has no commit.
    fn open(
        &self,
        id: RepositoryId,
        mark: Option<&RepositoryMark>,
        time: Duration,
    ) -> Result<Option<OpenRepository>, BrowseError> {
        let missing = || BrowseError::NotFound("repository");
        let repository = self.repositories.get(&id).ok_or_else(missing)?;
        let directory = self.store.existing(repository.storage_key).map_err(|_| missing())?;
        let read_ms = saturate::millis(time).clamp(OPEN_MS_MIN, self.limits.search_plan_ms.max(OPEN_MS_MIN));
        let limits = BrowseLimits { read_ms, read_bytes: OPEN_BYTES, ..BrowseLimits::default() };
        let browser = Browser::open(&directory, &repository.default_branch, limits)?;
        let Some(head) = browser.default_branch_head()? else { return Ok(None) };
        let indexed = mark.and_then(|mark| mark.oid.as_deref()).and_then(Oid::parse);
        let is_indexed = indexed == Some(head) && mark.is_some_and(|mark| mark.is_whole);
        let leads_to_indexed = OnceCell::new();
        Ok(Some(OpenRepository { id, browser, head, indexed, is_indexed, leads_to_indexed }))
    }

    /// Compares rows, those with the highest ids first, until the budget ends. At least one is
    /// compared.
    fn check(
        &self,
        rows: Vec<K::Row>,
        marks: &HashMap<RepositoryId, RepositoryMark>,
        budget: Budget,
    ) -> Checked<K::Hit> {
        let begun = Instant::now();
        let mut checked = Checked::new();
        // The last used is the last. `None`: it has no commit.
        let mut opened: VecDeque<(RepositoryId, Option<OpenRepository>)> = VecDeque::new();
        let mut last = None;
        for row in rows {
            let is_dense = row.id() < 0;
            let is_read = match is_dense {
                true => checked.dense_bytes >= budget.dense_bytes,
                false => checked.bytes >= budget.bytes,
            };
            let is_over = is_read || begun.elapsed() >= budget.check_time;
            if last.is_some() && is_over {
                checked.cut = last;
                break;
            }
            let (id, repository) = (row.id(), row.repository());
            let at = opened.iter().position(|(open, _)| *open == repository);
            // A repository that has read its bytes is opened again.
            let known = at.and_then(|at| opened.remove(at));
            let known =
                known.filter(|(_, open)| !open.as_ref().is_some_and(|open| open.browser.is_exhausted()));
            let open = || {
                let time = budget.check_time.saturating_sub(begun.elapsed());
                Ok((repository, self.open(repository, marks.get(&repository), time)?))
            };
            let entry: Result<_, BrowseError> = known.map_or_else(open, Ok);
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    checked.failed(repository, &error);
                    last = Some(id);
                    continue;
                }
            };
            let found =
                entry.1.as_ref().map(|opened| (self.kind.check(row, opened), opened.browser.is_exhausted()));
            if opened.len() >= OPEN_MAX {
                opened.pop_front();
            }
            opened.push_back(entry);
            match found {
                Some((Ok((hit, bytes)), _)) => {
                    *(if is_dense { &mut checked.dense_bytes } else { &mut checked.bytes }) += bytes;
                    checked.hits.extend(hit.map(|hit| (id, hit)));
                }
                // The row is compared in the next step, unless it alone exceeds the limits.
                Some((Err(_), true)) if last.is_some() => {
                    checked.cut = Some(id.saturating_add(1));
                    break;
                }
                Some((Err(error), _)) => checked.failed(repository, &error),
                None => {}
            }
            last = Some(id);
        }
        checked.took = begun.elapsed();
        checked
    }
}

impl<H> Checked<H> {
    fn failed(&mut self, repository: RepositoryId, error: &BrowseError) {
        tracing::debug!(repository.id = %repository, error = %chain(error), "a search could not read a repository");
        self.has_failed = true;
    }
}

/// The repositories that a search covers.
pub(super) struct RepositoryScope {
    here: Arc<Repositories>,
    ids: Arc<HashSet<RepositoryId>>,
    /// Whether it leaves out repositories: those of other nodes, and those beyond the limit.
    is_cut: bool,
}

impl Services {
    /// Returns the repositories with one of these names that the caller may read; all without a
    /// name.
    pub(super) async fn repository_scope(
        &self,
        who: Credential,
        names: &[String],
    ) -> Result<RepositoryScope, ServiceError> {
        let found = self.cache.ask(who, SearchRepositories { names: names.to_vec(), ids: None }).await?;
        let (mut here, elsewhere): (Vec<_>, Vec<_>) =
            found.into_iter().map(|found| found.repository).partition(|found| self.git.stores(found));
        let max = self.limits.search_repositories;
        let is_cut = !elsewhere.is_empty() || here.len() > max;
        here.sort_unstable_by_key(|repository| repository.id);
        here.truncate(max);
        let ids = here.iter().map(|repository| repository.id).collect();
        let here = here.into_iter().map(|repository| (repository.id, repository)).collect();
        Ok(RepositoryScope { here: Arc::new(here), ids: Arc::new(ids), is_cut })
    }

    /// Finds rows of a kind below an id, those with the highest ids first. `between` are the ids
    /// above and below which hits are.
    pub(super) async fn search_repositories<K: Kind>(
        &self,
        who: Credential,
        permit: &SearchPermit,
        kind: K,
        scope: &RepositoryScope,
        (above, below): (i64, i64),
        limit: usize,
    ) -> Result<FoundHits<(SearchableRepository, K::Hit)>, ServiceError> {
        let mut found = FoundHits { is_incomplete: scope.is_cut, ..FoundHits::default() };
        if scope.ids.is_empty() {
            return Ok(found);
        }
        let (candidates, among) = (Arc::new(kind.candidates()), scope.ids.clone());
        let reader = Arc::new(Reader {
            kind: Arc::new(kind),
            store: self.git.store.clone(),
            repositories: scope.here.clone(),
            limits: self.limits.clone(),
        });
        let (start, mut below) = (below, below);
        let mut budget = Budget::of_repositories(&self.limits);
        let mut hits = Vec::new();
        let next = loop {
            if budget.is_used_up() {
                found.is_incomplete = true;
                break Some(below);
            }
            let find = FindInRepositories {
                search: reader.kind.search(),
                candidates: candidates.clone(),
                among: among.clone(),
                above,
                below,
                limit: budget.candidates((limit + 1).saturating_sub(hits.len())),
                rows: budget.rows,
                time: budget.time,
            };
            let step = self.repository_step(who, permit, &reader, find, &mut budget).await;
            let (step, checked) = match step {
                Ok(step) => step,
                // The hits so far are worth more than a refusal.
                Err(error) if error.code == Code::Overloaded && below < start => {
                    found.is_incomplete = true;
                    break Some(below);
                }
                Err(error) => return Err(error),
            };
            found.is_incomplete |= !step.is_current || step.lacks_some || checked.has_failed;
            // Rows of some repositories are missing. The next page has a whole budget for them; the
            // first step of a page has no better one.
            if step.lacks_some && below < start {
                break Some(below);
            }
            hits.extend(checked.hits);
            let limit = limit.min(fitting::<K>(&hits));
            if hits.len() > limit {
                hits.truncate(limit);
                break hits.last().map(|(id, _)| *id);
            }
            let Some(next) = checked.cut.or(step.next) else { break None };
            below = next;
            if step.is_cut || checked.cut.is_some() {
                found.is_incomplete = true;
                break Some(next);
            }
        };
        let hits = hits.into_iter().map(|(_, hit)| hit).collect();
        found.hits = self.readable_repositories::<K>(who, hits).await?;
        // A cursor at the start would find the same again, without an end.
        found.next = next.filter(|next| *next < start);
        Ok(found)
    }

    /// Finds candidates and compares them. A place among the searches that read repositories is
    /// held for the comparison only.
    async fn repository_step<K: Kind>(
        &self,
        who: Credential,
        permit: &SearchPermit,
        reader: &Arc<Reader<K>>,
        find: FindInRepositories,
        budget: &mut Budget,
    ) -> Result<(FoundInRepositories, Checked<K::Hit>), ServiceError> {
        let mut found = self.search.find_in_repositories(permit, find).await?;
        let rows = K::rows(&mut found);
        budget.found(found.rows, found.took, rows.len());
        if rows.is_empty() {
            return Ok((found, Checked::new()));
        }
        let (reader, marks, left) = (reader.clone(), std::mem::take(&mut found.marks), *budget);
        let client = Holder::Account(who.user).into();
        let checked = self.git.searching(client, move || reader.check(rows, &marks, left)).await?;
        budget.compared(checked.bytes, checked.took);
        budget.dense_bytes = budget.dense_bytes.saturating_sub(checked.dense_bytes);
        Ok((found, checked))
    }

    /// Returns the hits that the caller may still read, with their repositories.
    async fn readable_repositories<K: Kind>(
        &self,
        who: Credential,
        hits: Vec<K::Hit>,
    ) -> Result<Vec<(SearchableRepository, K::Hit)>, ServiceError> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let ids = hits.iter().map(K::repository_of).collect();
        let readable = self.cache.ask(who, SearchRepositories { names: Vec::new(), ids: Some(ids) }).await?;
        let readable: HashMap<_, _> =
            readable.into_iter().map(|found| (found.repository.id, found)).collect();
        let with_repository = |hit: K::Hit| Some((readable.get(&K::repository_of(&hit))?.clone(), hit));
        Ok(hits.into_iter().filter_map(with_repository).collect())
    }
}

/// Returns how many of the first hits fit into a page: at least one, so that paging advances.
fn fitting<K: Kind>(hits: &[(i64, K::Hit)]) -> usize {
    let mut bytes = 0_usize;
    let fits = hits.iter().take_while(|(_, hit)| {
        bytes = bytes.saturating_add(K::text_bytes(hit));
        bytes <= PAGE_BYTES_MAX
    });
    match fits.count() {
        // More hits may fit.
        count if count == hits.len() => usize::MAX,
        count => count.max(1),
    }
}
