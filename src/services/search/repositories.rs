//! The search for files and commits of default branches.
//!
//! The index proposes files and commits of repositories that the caller may read. Each is read from
//! the repository: a file as it is in the default branch now, a commit if the default branch still
//! leads to it. The permissions are checked again at the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::Budget;
use crate::actors::cache::{SearchRepositories, SearchableRepository};
use crate::actors::search::{FindInRepositories, FoundInRepositories, RepositorySearch, SearchPermit};
use crate::core::limits::Limits;
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::ids::RepositoryId;
use crate::domain::repository::Repository;
use crate::domain::search::{Candidates, Condition, repository_term};
use crate::git::browse::{BrowseLimits, Browser, Oid};
use crate::git::store::Store;
use crate::protocol::code::Code;
use crate::services::{ServiceError, Services};

/// Up to this number of repositories, the index finds only rows of them. With more it skips the
/// rows of others.
const REPOSITORIES_IN_QUERY_MAX: usize = 64;
/// Bytes of the hits of a page: a frame of a session holds a page of each group.
const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Commits among which the indexed commit must be if the branch has moved since.
const NEWER_COMMITS_MAX: usize = 256;

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
    /// If the browser may not read more.
    fn check(&self, row: Self::Row, opened: &OpenRepository)
    -> Result<(Option<Self::Hit>, usize), Exhausted>;
    fn repository_of(hit: &Self::Hit) -> RepositoryId;
    /// Returns the size of the texts of a hit in an answer.
    fn text_bytes(hit: &Self::Hit) -> usize;
}

/// The budget of a browser ended.
pub(super) struct Exhausted;

/// A repository that is read for a search.
pub(super) struct OpenRepository {
    pub(super) id: RepositoryId,
    pub(super) browser: Browser,
    /// The commit of the default branch.
    pub(super) head: Oid,
    /// Whether the index has this commit.
    pub(super) is_indexed: bool,
    /// Whether the branch leads to the commit of the index.
    pub(super) leads_to_indexed: bool,
}

/// Rows that were compared with the query.
struct Checked<H> {
    hits: Vec<(i64, H)>,
    bytes: usize,
    took: Duration,
    /// The budget ended after this row.
    cut: Option<i64>,
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
    /// Opens a repository; `None` if it cannot be read, or has no commit.
    fn open(&self, id: RepositoryId, indexed: Option<&str>) -> Option<OpenRepository> {
        let repository = self.repositories.get(&id)?;
        let directory = self.store.existing(repository.storage_key).ok()?;
        let limits = BrowseLimits { read_ms: self.limits.search_plan_ms, ..BrowseLimits::default() };
        let browser = Browser::open(&directory, &repository.default_branch, limits).ok()?;
        let head = browser.default_branch_head().ok()??;
        let indexed = indexed.and_then(Oid::parse);
        let is_indexed = indexed == Some(head);
        let leads_to_indexed = is_indexed
            || indexed.is_some_and(|indexed| browser.is_among_newest(head, indexed, NEWER_COMMITS_MAX));
        Some(OpenRepository { id, browser, head, is_indexed, leads_to_indexed })
    }

    /// Compares rows, those with the highest ids first, until the budget ends. At least one is
    /// compared.
    fn check(
        &self,
        rows: Vec<K::Row>,
        heads: &HashMap<RepositoryId, String>,
        budget: Budget,
    ) -> Checked<K::Hit> {
        let begun = Instant::now();
        let mut checked = Checked { hits: Vec::new(), bytes: 0, took: Duration::ZERO, cut: None };
        let mut opened: HashMap<RepositoryId, Option<OpenRepository>> = HashMap::new();
        let mut last = None;
        for row in rows {
            let is_over = checked.bytes >= budget.bytes || begun.elapsed() >= budget.check_time;
            if last.is_some() && is_over {
                checked.cut = last;
                break;
            }
            let (id, repository) = (row.id(), row.repository());
            last = Some(id);
            let open = || self.open(repository, heads.get(&repository).map(String::as_str));
            let Some(opened) = opened.entry(repository).or_insert_with(open) else { continue };
            match self.kind.check(row, opened) {
                Ok((hit, bytes)) => {
                    checked.bytes += bytes;
                    checked.hits.extend(hit.map(|hit| (id, hit)));
                }
                Err(Exhausted) => {
                    checked.cut = last;
                    break;
                }
            }
        }
        checked.took = begun.elapsed();
        checked
    }
}

impl Services {
    /// Finds rows of a kind below an id, those with the highest ids first. `between` are the ids
    /// above and below which hits are.
    pub(super) async fn search_repositories<K: Kind>(
        &self,
        who: Credential,
        permit: &SearchPermit,
        kind: K,
        names: &[String],
        (above, below): (i64, i64),
        limit: usize,
    ) -> Result<FoundHits<(SearchableRepository, K::Hit)>, ServiceError> {
        let scope = self.cache.ask(who, SearchRepositories { names: names.to_vec(), ids: None }).await?;
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            scope.into_iter().map(|found| found.repository).partition(|found| self.git.stores(found));
        let mut found = FoundHits { is_incomplete: !elsewhere.is_empty(), ..FoundHits::default() };
        if here.is_empty() {
            return Ok(found);
        }
        let ids: HashSet<RepositoryId> = here.iter().map(|repository| repository.id).collect();
        let mut candidates = kind.candidates();
        if ids.len() <= REPOSITORIES_IN_QUERY_MAX {
            candidates.all.push(Condition::AnyOf(ids.iter().map(|id| repository_term(*id)).collect()));
        }
        let (candidates, among) = (Arc::new(candidates), Arc::new(ids));
        let repositories = here.into_iter().map(|repository| (repository.id, repository)).collect();
        let reader = Arc::new(Reader {
            kind: Arc::new(kind),
            store: self.git.store.clone(),
            repositories: Arc::new(repositories),
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
            found.is_incomplete |= !step.is_current;
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

    /// Finds candidates and compares them. The permit of the readers of repositories is held for
    /// the comparison only.
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
            let nothing = Checked { hits: Vec::new(), bytes: 0, took: Duration::ZERO, cut: None };
            return Ok((found, nothing));
        }
        let (reader, heads, left) = (reader.clone(), found.heads.clone(), *budget);
        let client = Holder::Account(who.user).into();
        let checked = self.git.blocking(client, move || reader.check(rows, &heads, left)).await?;
        budget.compared(checked.bytes, checked.took);
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
