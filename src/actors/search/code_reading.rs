//! Reads repositories for the index, on threads with a low priority.
//!
//! A plan lists the files and commits in which the index differs from the default branch. Steps
//! (`code_steps`) read their texts, each within limits. A plan needs no earlier commit: after a
//! force push, or without the objects of that commit, all files of the new one are compared with
//! the index.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::core::limits::Limits;
use crate::core::machine;
use crate::domain::repository::Repository;
use crate::git::browse::{
    BrowseError, BrowseLimits, Browser, ChangedFile, ChangedFiles, ChangesListing, NewestCommits, Oid,
};
use crate::git::store::{Store, StoreError};
use crate::storage::search_index::{IndexedFile, IndexedSize, KnownFile, RepositoryMark};

/// A nice(1) value: a thread with it gets about a tenth of the CPU time of a server thread.
const PRIORITY: i32 = 10;
/// Bytes of trees and commits that one browser of a plan reads.
const PLAN_BYTES: usize = 1024 * 1024 * 1024;
/// Browsers that list the files of one plan, one after another, each within its own limits, and the
/// time after which no further one begins.
const LISTING_BROWSERS_MAX: usize = 16;
const LISTING_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub(super) enum RepositoryReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Browse(#[from] BrowseError),
    #[error("the thread that read the repository ended")]
    Thread,
}

/// The part of the index that a plan is compared with.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) mark: RepositoryMark,
    /// All files; `None`: the mark shows them.
    pub(super) files: Option<Vec<KnownFile>>,
    pub(super) commits: HashSet<String>,
    pub(super) size: IndexedSize,
}

/// The changes that lead from the index to a commit.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// `None`: the repository has no commit on its default branch.
    pub(super) head: Option<Oid>,
    /// Removed files first: they make room.
    pub(super) files: VecDeque<PlannedFile>,
    /// The oldest first.
    pub(super) commits: VecDeque<Oid>,
    pub(super) removed_commits: Vec<String>,
    /// Files that had no room. They come last: a repository of which most files have no room is
    /// planned again and again until all others are read.
    pub(super) without_room: VecDeque<PlannedFile>,
    pub(super) is_files_cut: bool,
    pub(super) is_commits_cut: bool,
    /// The size of the repository in the index.
    pub(super) size: IndexedSize,
}

/// A file in which the index differs from a commit.
#[derive(Debug)]
pub(super) struct PlannedFile {
    pub(super) path: Vec<u8>,
    /// `None`: the file was removed.
    pub(super) oid: Option<Oid>,
    /// The size of the file that the index has at this path, if it is known.
    pub(super) replaced: IndexedSize,
    /// Whether the index has a row that shows that a file at this path had no room.
    pub(super) had_no_room: bool,
    /// Whether the text is known to be dense.
    pub(super) is_dense: bool,
}

impl From<ChangedFile> for PlannedFile {
    fn from(ChangedFile { path, oid }: ChangedFile) -> Self {
        Self { path, oid, replaced: IndexedSize::default(), had_no_room: false, is_dense: false }
    }
}

#[derive(Debug)]
pub(super) enum Planned {
    Plan(Plan),
    /// The files in the index are needed.
    NeedsFiles,
}

/// Runs a read on a thread of its own, with a low priority.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RepositoryReadError> + Send + 'static,
) -> Result<T, RepositoryReadError> {
    let (answer, answered) = oneshot::channel();
    let started = std::thread::Builder::new().name("search".to_owned()).spawn(move || {
        machine::lower_thread_priority(PRIORITY);
        drop(answer.send(work()));
    });
    match started {
        Ok(_) => answered.await.unwrap_or(Err(RepositoryReadError::Thread)),
        Err(error) => Err(StoreError::Io(error).into()),
    }
}

pub(super) fn open(
    store: &Store,
    repository: &Repository,
    limits: &Limits,
) -> Result<Browser, RepositoryReadError> {
    let directory = store.existing(repository.storage_key)?;
    let limits =
        BrowseLimits { read_bytes: PLAN_BYTES, read_ms: limits.search_plan_ms, ..BrowseLimits::default() };
    Ok(Browser::open(&directory, &repository.default_branch, limits)?)
}

/// Returns the commit of the default branch.
pub(super) fn head(
    store: &Store,
    repository: &Repository,
    limits: &Limits,
) -> Result<Option<Oid>, RepositoryReadError> {
    Ok(open(store, repository, limits)?.default_branch_head()?)
}

/// Returns how the index differs from the default branch.
pub(super) fn plan(
    store: &Store,
    repository: &Repository,
    known: &Known,
    limits: &Limits,
) -> Result<Planned, RepositoryReadError> {
    let source = PlanSource { store, repository, limits };
    match source.plan(known) {
        // The repository may have been packed since it was opened.
        Err(RepositoryReadError::Browse(BrowseError::NotFound(_))) => source.plan(known),
        planned => planned,
    }
}

/// The repository that a plan reads.
struct PlanSource<'a> {
    store: &'a Store,
    repository: &'a Repository,
    limits: &'a Limits,
}

impl PlanSource<'_> {
    fn open(&self) -> Result<Browser, RepositoryReadError> {
        open(self.store, self.repository, self.limits)
    }

    fn plan(&self, known: &Known) -> Result<Planned, RepositoryReadError> {
        let limits = self.limits;
        let Some(head) = self.open()?.default_branch_head()? else {
            return Ok(Planned::Plan(Plan::default()));
        };
        let indexed = known.mark.oid.as_deref().and_then(Oid::parse).filter(|_| known.mark.is_whole);
        let files_max = limits.search_code_files;
        let IndexedSize { bytes, terms, dense, .. } = known.size;
        // Near a limit, the size of each file that is replaced matters.
        let has_room = bytes <= limits.search_code_bytes / 2
            && terms <= limits.search_code_terms / 2
            && dense <= limits.search_code_dense_bytes / 2;
        let old = indexed.filter(|_| !known.mark.is_files_cut && has_room);
        let (mut files, is_cut) = match (&known.files, old) {
            (None, Some(old)) => match self.changes(Some(old), head) {
                Ok(changed) if !changed.is_cut && known.size.files + changed.files.len() <= files_max => {
                    (changed.files.into_iter().map(PlannedFile::from).collect(), false)
                }
                _ => return Ok(Planned::NeedsFiles),
            },
            (None, None) => return Ok(Planned::NeedsFiles),
            (Some(files), _) => differing(self.changes(None, head)?, files),
        };
        let mut plan = Plan { head: Some(head), is_files_cut: is_cut, size: known.size, ..Plan::default() };
        // The first path gets the highest id, and is found first.
        files.sort_unstable_by(|one, other| {
            (one.oid.is_some(), &other.path).cmp(&(other.oid.is_some(), &one.path))
        });
        (plan.without_room, plan.files) =
            files.into_iter().partition(|file| file.had_no_room && file.oid.is_some());
        self.plan_commits(head, indexed, known, &mut plan)?;
        Ok(Planned::Plan(plan))
    }

    /// Returns the files in which `new` differs from `old`, or all files of `new`. A browser that
    /// is exhausted is replaced: at most [`LISTING_BROWSERS_MAX`] read the list.
    fn changes(&self, old: Option<Oid>, new: Oid) -> Result<ChangedFiles, RepositoryReadError> {
        let (mut listing, begun) =
            (ChangesListing::new(old, new, self.limits.search_code_files), Instant::now());
        for _ in 1..LISTING_BROWSERS_MAX {
            let (browser, before) = (self.open()?, listing.folders_read);
            match browser.list_changes(&mut listing) {
                Ok(()) => return Ok(listing.changed),
                Err(_)
                    if browser.is_exhausted()
                        && listing.folders_read > before
                        && begun.elapsed() < LISTING_TIME_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.open()?.list_changes(&mut listing)?;
        Ok(listing.changed)
    }

    /// Returns the newest commits, by a browser that has read nothing else.
    fn newest(&self, head: Oid, known: &HashSet<Oid>) -> Result<NewestCommits, RepositoryReadError> {
        let (browser, max) = (self.open()?, self.limits.search_commits);
        let newest = browser.searched_commits(head, known, max)?;
        if !newest.is_cut || browser.is_exhausted() {
            return Ok(newest);
        }
        // A commit may have been packed since the repository was opened.
        let again = self.open()?.searched_commits(head, known, max)?;
        Ok(if again.commits.len() < newest.commits.len() { newest } else { again })
    }

    /// Plans the changes of commits. `indexed`: the commit of the index.
    fn plan_commits(
        &self,
        head: Oid,
        indexed: Option<Oid>,
        known: &Known,
        plan: &mut Plan,
    ) -> Result<(), RepositoryReadError> {
        let max = self.limits.search_commits;
        let ids: HashSet<Oid> = known.commits.iter().filter_map(|oid| Oid::parse(oid)).collect();
        let mut leads_to_indexed = false;
        if let Some(indexed) = indexed {
            let new = self.newest(head, &ids)?;
            // All that lead to the indexed commit also lead to this one.
            leads_to_indexed = new.met.contains(&indexed);
            // Commits that are missing are read again at each push.
            let is_complete = !known.mark.is_commits_cut
                && !new.is_cut
                && !new.is_full
                && ids.len() + new.commits.len() <= max;
            if leads_to_indexed && is_complete {
                plan.commits = new.commits.into_iter().rev().collect();
                return Ok(());
            }
        }
        let all = self.newest(head, &HashSet::new())?;
        let there: HashSet<Oid> = all.commits.iter().copied().collect();
        plan.is_commits_cut = all.is_cut;
        // After a walk that was cut, commits are removed only if the branch may not lead to them.
        if !all.is_cut || !leads_to_indexed {
            plan.removed_commits = ids.difference(&there).map(Oid::to_string).collect();
        }
        let kept = ids.len().saturating_sub(plan.removed_commits.len());
        let new = all.commits.into_iter().filter(|oid| !ids.contains(oid));
        // Of walks that are cut each time, the index has a bounded number of commits, too.
        let mut new: Vec<Oid> = new.take(max.saturating_mul(2).saturating_sub(kept)).collect();
        new.reverse();
        plan.commits = new.into();
        Ok(())
    }
}

/// Returns the files in which the index differs from all files of a commit, and whether some of
/// those are left out. A file without room has another id in the index, so it differs.
fn differing(all: ChangedFiles, indexed: &[KnownFile]) -> (Vec<PlannedFile>, bool) {
    let mut indexed: BTreeMap<&[u8], &KnownFile> =
        indexed.iter().map(|known| (known.path.as_slice(), known)).collect();
    let mut files: Vec<_> = Vec::new();
    for file in all.files {
        let known = indexed.remove(file.path.as_slice());
        let oid = file.oid.map(|oid| oid.to_string());
        if known.is_some_and(|known| oid.as_deref() == Some(&known.oid)) {
            continue;
        }
        let mut planned = PlannedFile::from(file);
        if let Some(known) = known {
            planned.replaced = known.size;
            planned.had_no_room = known.is_without_room();
            planned.is_dense = oid.is_some() && oid.as_deref() == known.dense_oid();
        }
        files.push(planned);
    }
    let removed = |known: &KnownFile| {
        let file = ChangedFile { path: known.path.clone(), oid: None };
        PlannedFile { replaced: known.size, ..file.into() }
    };
    files.extend(indexed.into_values().map(removed));
    (files, all.is_cut)
}

/// The files and commits that the index should have of a repository.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) repository: Arc<Repository>,
    pub(super) mark: RepositoryMark,
    pub(super) files: BTreeMap<Vec<u8>, IndexedFile>,
    pub(super) commits: HashSet<String>,
}

/// Reads all that the index should have of a repository; `None`: the default branch has moved,
/// there are too many files, or not all have room.
pub(super) fn expected(
    store: &Store,
    repository: &Arc<Repository>,
    mark: RepositoryMark,
    limits: &Limits,
) -> Result<Option<Expected>, RepositoryReadError> {
    let known = Known { files: Some(Vec::new()), ..Known::default() };
    let Planned::Plan(mut plan) = plan(store, repository, &known, limits)? else { return Ok(None) };
    let head = plan.head.map(|head| head.to_string());
    if head != mark.oid || plan.files.len() > limits.search_compared {
        return Ok(None);
    }
    let (mut files, mut commits) = (BTreeMap::new(), HashSet::new());
    while !plan.is_done() {
        let step = plan.step(store, repository, limits)?;
        files.extend(step.files.into_iter().map(|file| (file.path.clone(), file)));
        commits.extend(step.commits.into_iter().map(|commit| commit.oid));
    }
    // Which files have room depends on the order in which they came.
    let is_cut = plan.is_files_cut || plan.is_commits_cut;
    Ok((!is_cut).then(|| Expected { repository: repository.clone(), mark, files, commits }))
}
