//! Reads repositories for the index, on threads with a low priority.
//!
//! A plan lists the files and commits in which the index differs from the default branch. Steps
//! read their texts, each within limits. A plan needs no earlier commit: after a force push, or
//! without the objects of that commit, all files of the new one are compared with the index.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::core::limits::Limits;
use crate::core::machine;
use crate::domain::repository::Repository;
use crate::domain::search::{CommitText, code_terms, commit_terms};
use crate::domain::timestamp::Timestamp;
use crate::git::browse::{BrowseError, BrowseLimits, Browser, ChangedFile, ChangedFiles, Oid};
use crate::git::store::{Store, StoreError};
use crate::storage::search_index::{IndexedCommit, IndexedFile, IndexedSize, KnownFile, RepositoryMark};

/// A nice(1) value: a thread with it gets about a tenth of the CPU time of a server thread.
const PRIORITY: i32 = 10;
/// Bytes of trees and commits that one plan reads.
const PLAN_BYTES: usize = 1024 * 1024 * 1024;

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
    files: VecDeque<PlannedFile>,
    /// The oldest first.
    commits: VecDeque<Oid>,
    removed_commits: Vec<String>,
    is_cut: bool,
    /// The size of the repository in the index.
    pub(super) size: IndexedSize,
}

/// A file in which the index differs from a commit.
#[derive(Debug)]
struct PlannedFile {
    path: Vec<u8>,
    /// `None`: the file was removed.
    oid: Option<Oid>,
    /// The size of the file that the index has at this path, if it is known.
    replaced: IndexedSize,
}

impl From<ChangedFile> for PlannedFile {
    fn from(ChangedFile { path, oid }: ChangedFile) -> Self {
        Self { path, oid, replaced: IndexedSize::default() }
    }
}

#[derive(Debug)]
pub(super) enum Planned {
    Plan(Plan),
    /// The files in the index are needed.
    NeedsFiles,
}

/// A part of a plan, with the texts.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) files: Vec<IndexedFile>,
    pub(super) removed_files: Vec<Vec<u8>>,
    pub(super) commits: Vec<IndexedCommit>,
    pub(super) removed_commits: Vec<String>,
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

fn open(store: &Store, repository: &Repository, limits: &Limits) -> Result<Browser, RepositoryReadError> {
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
    known: Known,
    limits: &Limits,
) -> Result<Planned, RepositoryReadError> {
    let browser = open(store, repository, limits)?;
    let Some(head) = browser.default_branch_head()? else { return Ok(Planned::Plan(Plan::default())) };
    let indexed = known.mark.oid.as_deref().and_then(Oid::parse).filter(|_| known.mark.is_whole);
    let files_max = limits.search_code_files;
    let IndexedSize { bytes, terms, .. } = known.size;
    // Near a limit, the size of each file that is replaced matters.
    let has_room = bytes <= limits.search_code_bytes / 2 && terms <= limits.search_code_terms / 2;
    let (files, is_cut) = match (&known.files, indexed.filter(|_| !known.mark.is_cut && has_room)) {
        (None, Some(old)) => match browser.searched_changes(Some(old), head, files_max) {
            Ok(changed) if !changed.is_cut && known.size.files + changed.files.len() <= files_max => {
                (changed.files.into_iter().map(PlannedFile::from).collect(), false)
            }
            _ => return Ok(Planned::NeedsFiles),
        },
        (None, None) => return Ok(Planned::NeedsFiles),
        (Some(files), _) => differing(browser.searched_changes(None, head, files_max)?, files),
    };
    let mut plan = Plan { head: Some(head), is_cut, size: known.size, ..Plan::default() };
    let mut files: Vec<PlannedFile> = files;
    // The first path gets the highest id, and is found first.
    files.sort_unstable_by(|one, other| {
        (one.oid.is_some(), &other.path).cmp(&(other.oid.is_some(), &one.path))
    });
    plan.files = files.into();
    plan_commits(&browser, head, indexed, &known.commits, limits.search_commits, &mut plan)?;
    Ok(Planned::Plan(plan))
}

/// Returns the files in which the index differs from all files of a commit, and whether some of
/// those are left out. A file without room has no id in the index, so it differs.
fn differing(all: ChangedFiles, indexed: &[KnownFile]) -> (Vec<PlannedFile>, bool) {
    let mut indexed: BTreeMap<&[u8], &KnownFile> =
        indexed.iter().map(|known| (known.path.as_slice(), known)).collect();
    let mut files: Vec<_> = Vec::new();
    for file in all.files {
        let known = indexed.remove(file.path.as_slice());
        if known.is_none_or(|known| file.oid.is_none_or(|oid| oid.to_string() != known.oid)) {
            let replaced = known.map(|known| known.size).unwrap_or_default();
            files.push(PlannedFile { replaced, ..file.into() });
        }
    }
    let removed =
        |known: &KnownFile| PlannedFile { path: known.path.clone(), oid: None, replaced: known.size };
    files.extend(indexed.into_values().map(removed));
    (files, all.is_cut)
}

fn plan_commits(
    browser: &Browser,
    head: Oid,
    indexed: Option<Oid>,
    known: &HashSet<String>,
    max: usize,
    plan: &mut Plan,
) -> Result<(), RepositoryReadError> {
    let ids: HashSet<Oid> = known.iter().filter_map(|oid| Oid::parse(oid)).collect();
    let mut leads_to_indexed = false;
    if let Some(indexed) = indexed {
        let new = browser.searched_commits(head, &ids, max)?;
        // All that lead to the indexed commit also lead to this one.
        leads_to_indexed = new.met.contains(&indexed);
        let is_complete = !new.is_cut && !new.is_full && ids.len() + new.commits.len() <= max;
        if leads_to_indexed && is_complete {
            plan.commits = new.commits.into_iter().rev().collect();
            return Ok(());
        }
    }
    let all = browser.searched_commits(head, &HashSet::new(), max)?;
    let there: HashSet<Oid> = all.commits.iter().copied().collect();
    plan.is_cut |= all.is_cut;
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

impl Plan {
    /// Returns whether all steps are read.
    pub(super) fn is_done(&self) -> bool {
        self.files.is_empty() && self.commits.is_empty() && self.removed_commits.is_empty()
    }

    /// Returns the mark of the index after the steps so far.
    pub(super) fn mark(&self) -> RepositoryMark {
        RepositoryMark {
            oid: self.head.map(|head| head.to_string()),
            is_whole: self.is_done(),
            is_cut: self.is_cut,
        }
    }

    /// Reads the next step. Reads at least one file or commit.
    pub(super) fn step(
        &mut self,
        store: &Store,
        repository: &Arc<Repository>,
        limits: &Limits,
    ) -> Result<Step, RepositoryReadError> {
        let browser = open(store, repository, limits)?;
        let mut step = Step { removed_commits: std::mem::take(&mut self.removed_commits), ..Step::default() };
        let mut left = StepRoom::new(limits);
        while let Some(PlannedFile { path, oid, replaced }) = self.files.pop_front() {
            self.size.bytes = self.size.bytes.saturating_sub(replaced.bytes);
            self.size.terms = self.size.terms.saturating_sub(replaced.terms);
            match oid {
                None => step.removed_files.push(path),
                Some(oid) => {
                    let file = self.read_file(&browser, store, repository, (path, oid), limits)?;
                    let terms = file.terms.as_ref().map_or(0, Vec::len);
                    left.bytes = left.bytes.saturating_sub(file.bytes);
                    left.terms = left.terms.saturating_sub(terms);
                    step.files.push(file);
                }
            }
            if left.row_ends_step() {
                return Ok(step);
            }
        }
        let now = Timestamp::now();
        while let Some(oid) = self.commits.pop_front() {
            let commit = match browser.searched_commit(oid) {
                Ok(commit) => Some(commit),
                // It is read again with the next step.
                Err(_) if browser.is_exhausted() && !step.is_empty() => {
                    self.commits.push_front(oid);
                    return Ok(step);
                }
                Err(error) if !error.is_lasting() || browser.is_exhausted() => return Err(error.into()),
                // A commit that cannot be read has no words.
                Err(_) => None,
            };
            if let Some(commit) = commit {
                let text = CommitText {
                    message: &commit.message,
                    author: &commit.summary.author.name,
                    email: &commit.summary.author.email,
                    committed_at: commit.committed_at(),
                };
                left.bytes = left.bytes.saturating_sub(commit.message.len());
                let terms = commit_terms(repository.id, &text);
                // A time in the future would keep a commit in front of all later ones.
                let committed_at = commit.committed_at().min(now);
                step.commits.push(IndexedCommit { oid: oid.to_string(), committed_at, terms });
            }
            if left.row_ends_step() {
                break;
            }
        }
        Ok(step)
    }

    /// Reads a file. Without room for its text, the file has no id in the index: it is planned
    /// again.
    fn read_file(
        &mut self,
        browser: &Browser,
        store: &Store,
        repository: &Arc<Repository>,
        (path, oid): (Vec<u8>, Oid),
        limits: &Limits,
    ) -> Result<IndexedFile, RepositoryReadError> {
        let bytes_max = limits.search_code_file_bytes;
        let text = match browser.searched_text(oid, bytes_max) {
            // The repository may have been packed since it was opened.
            Err(BrowseError::NotFound(_)) => {
                match open(store, repository, limits)?.searched_text(oid, bytes_max) {
                    Err(error) if error.is_lasting() => None,
                    text => text?,
                }
            }
            Err(error) if error.is_lasting() && !browser.is_exhausted() => None,
            text => text?,
        };
        let bytes = text.as_ref().map_or(0, Vec::len);
        let terms = text.and_then(|text| code_terms(repository.id, &text, limits.search_code_file_terms));
        let Some(terms) = terms else {
            return Ok(IndexedFile { path, oid: oid.to_string(), bytes: 0, terms: None });
        };
        let size = IndexedSize {
            files: self.size.files,
            bytes: self.size.bytes.saturating_add(bytes),
            terms: self.size.terms.saturating_add(terms.len()),
        };
        if size.bytes > limits.search_code_bytes || size.terms > limits.search_code_terms {
            self.is_cut = true;
            return Ok(IndexedFile { path, oid: String::new(), bytes: 0, terms: None });
        }
        self.size = size;
        Ok(IndexedFile { path, oid: oid.to_string(), bytes, terms: Some(terms) })
    }
}

impl Step {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.removed_files.is_empty() && self.commits.is_empty()
    }
}

/// The limits that remain for a step.
struct StepRoom {
    rows: usize,
    bytes: usize,
    terms: usize,
    until: Instant,
}

impl StepRoom {
    fn new(limits: &Limits) -> Self {
        Self {
            rows: limits.search_step_rows,
            bytes: limits.search_step_bytes,
            terms: limits.search_step_terms,
            until: Instant::now() + Duration::from_millis(limits.search_step_ms),
        }
    }

    /// Takes a row. Returns whether the step ends after it.
    fn row_ends_step(&mut self) -> bool {
        self.rows = self.rows.saturating_sub(1);
        [self.rows, self.bytes, self.terms].contains(&0) || Instant::now() >= self.until
    }
}

/// The files and commits that the index should have of a repository.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) repository: Arc<Repository>,
    pub(super) mark: RepositoryMark,
    pub(super) files: BTreeMap<Vec<u8>, IndexedFile>,
    pub(super) commits: HashSet<String>,
}

/// Reads all that the index should have of a repository; `None`: the default branch has moved, or
/// there are too many files.
pub(super) fn expected(
    store: &Store,
    repository: &Arc<Repository>,
    mark: RepositoryMark,
    limits: &Limits,
) -> Result<Option<Expected>, RepositoryReadError> {
    let known = Known { files: Some(Vec::new()), ..Known::default() };
    let Planned::Plan(mut plan) = plan(store, repository, known, limits)? else { return Ok(None) };
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
    Ok(Some(Expected { repository: repository.clone(), mark, files, commits }))
}
