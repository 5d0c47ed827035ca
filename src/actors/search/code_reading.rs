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
use crate::git::browse::{BrowseError, BrowseLimits, Browser, ChangedFile, ChangedFiles, Oid};
use crate::git::store::{Store, StoreError};
use crate::storage::search_index::{IndexedCommit, IndexedFile, IndexedSize, RepositoryMark};

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
    pub(super) files: Option<Vec<(Vec<u8>, String)>>,
    pub(super) commits: HashSet<String>,
    pub(super) size: IndexedSize,
}

/// The changes that lead from the index to a commit.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// `None`: the repository has no commit on its default branch.
    pub(super) head: Option<Oid>,
    files: VecDeque<ChangedFile>,
    /// The oldest first.
    commits: VecDeque<Oid>,
    removed_commits: Vec<String>,
    is_cut: bool,
    bytes: usize,
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
    let files = match (&known.files, indexed.filter(|_| !known.mark.is_cut)) {
        (None, Some(old)) => match browser.searched_changes(Some(old), head, files_max) {
            Ok(changed) if !changed.is_cut && known.size.files + changed.files.len() <= files_max => changed,
            _ => return Ok(Planned::NeedsFiles),
        },
        (None, None) => return Ok(Planned::NeedsFiles),
        (Some(files), _) => differing(browser.searched_changes(None, head, files_max)?, files),
    };
    let mut plan =
        Plan { head: Some(head), is_cut: files.is_cut, bytes: known.size.bytes, ..Plan::default() };
    let mut files = files.files;
    // The first path gets the highest id, and is found first.
    files.sort_unstable_by(|one, other| other.path.cmp(&one.path));
    plan.files = files.into();
    plan_commits(&browser, head, indexed, &known.commits, limits.search_commits, &mut plan)?;
    Ok(Planned::Plan(plan))
}

/// Returns the files in which the index differs from all files of a commit.
fn differing(all: ChangedFiles, indexed: &[(Vec<u8>, String)]) -> ChangedFiles {
    let mut indexed: BTreeMap<&[u8], &str> =
        indexed.iter().map(|(path, oid)| (path.as_slice(), oid.as_str())).collect();
    let mut files: Vec<_> = Vec::new();
    for file in all.files {
        let known = indexed.remove(file.path.as_slice());
        if known.is_none_or(|known| file.oid.is_none_or(|oid| oid.to_string() != known)) {
            files.push(file);
        }
    }
    files.extend(indexed.into_keys().map(|path| ChangedFile { path: path.to_vec(), oid: None }));
    ChangedFiles { files, is_cut: all.is_cut }
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
    if let Some(indexed) = indexed {
        let new = browser.searched_commits(head, &ids, max)?;
        // All that lead to the indexed commit also lead to this one.
        if new.met.contains(&indexed) && !new.is_cut {
            plan.commits = new.commits.into_iter().rev().collect();
            return Ok(());
        }
    }
    let all = browser.searched_commits(head, &HashSet::new(), max)?;
    let there: HashSet<Oid> = all.commits.iter().copied().collect();
    plan.removed_commits = ids.difference(&there).map(Oid::to_string).collect();
    plan.commits = all.commits.into_iter().rev().filter(|oid| !ids.contains(oid)).collect();
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
        let until = Instant::now() + Duration::from_millis(limits.search_step_ms);
        let mut step = Step { removed_commits: std::mem::take(&mut self.removed_commits), ..Step::default() };
        let (mut rows_left, mut bytes_left) = (limits.search_step_rows, limits.search_step_bytes);
        while let Some(ChangedFile { path, oid }) = self.files.pop_front() {
            match oid {
                None => step.removed_files.push(path),
                Some(oid) => {
                    let text = browser.searched_text(oid, limits.search_code_file_bytes)?;
                    let bytes = text.as_ref().map_or(0, Vec::len);
                    let has_room = self.bytes.saturating_add(bytes) <= limits.search_code_bytes;
                    self.is_cut |= !has_room;
                    let text = text.filter(|_| has_room);
                    let bytes = text.as_ref().map_or(0, Vec::len);
                    self.bytes = self.bytes.saturating_add(bytes);
                    bytes_left = bytes_left.saturating_sub(bytes);
                    let terms = text.map(|text| code_terms(repository.id, &text));
                    step.files.push(IndexedFile { path, oid: oid.to_string(), bytes, terms });
                }
            }
            rows_left = rows_left.saturating_sub(1);
            if rows_left == 0 || bytes_left == 0 || Instant::now() >= until {
                return Ok(step);
            }
        }
        while let Some(oid) = self.commits.pop_front() {
            // A commit that cannot be read has no words.
            if let Ok(commit) = browser.searched_commit(oid) {
                let text = CommitText {
                    message: &commit.message,
                    author: &commit.summary.author.name,
                    email: &commit.summary.author.email,
                    committed_at: commit.committed_at(),
                };
                bytes_left = bytes_left.saturating_sub(commit.message.len());
                let terms = commit_terms(repository.id, &text);
                let committed_at = commit.committed_at();
                step.commits.push(IndexedCommit { oid: oid.to_string(), committed_at, terms });
            }
            rows_left = rows_left.saturating_sub(1);
            if rows_left == 0 || bytes_left == 0 || Instant::now() >= until {
                break;
            }
        }
        Ok(step)
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
