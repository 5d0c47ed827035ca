//! The upkeep of the code and the commits in the index: one read or write at a time, beside those
//! of chats.
//!
//! A repository is compared with its ref, planned, and read in steps. The mark is written with each
//! step; it is whole with the last one. Work that a stop or a kill interrupts is planned again.

use std::sync::Arc;
use std::time::Instant;

use tracing::{error, warn};

use super::actor::SearchActor;
use super::code_feed::{CodeFeed, CodeTask};
use super::code_reading::{self as reading, Known, Plan, Planned, RepositoryReadError};
use super::code_steps::Step;
use super::messages::{CodeCompared, CodeHeadsRead, CodePlanned, CodeStepRead, ContinueCode};
use crate::actors::cache::SearchChanges;
use crate::core::telemetry::chain;
use crate::core::{machine, saturate};
use crate::domain::ids::RepositoryId;
use crate::domain::repository::Repository;
use crate::git::browse::Oid;
use crate::storage::search_index::{IndexedSize, RepositoryMark, RepositoryUpdate, SearchIndexError};

/// Repositories whose refs are read together.
const REFS_PER_READ: usize = 64;
/// Steps of one repository that change the index before others have their turn.
const STEPS_PER_TURN: usize = 256;

/// The state of the upkeep of repositories.
#[derive(Default)]
pub(super) struct CodeUpkeep {
    pub(super) feed: CodeFeed,
    work: CodeWork,
    /// Nothing is added before this time: the index or the disk is full.
    full_until: Option<Instant>,
}

#[derive(Default)]
enum CodeWork {
    #[default]
    Idle,
    /// A read is running.
    Reading,
    /// Removes a repository, in slices. `is_empty`: it still exists, without a commit.
    Removing {
        id: RepositoryId,
        is_empty: bool,
    },
    Indexing(Turn),
}

/// The work on one repository.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) repository: Arc<Repository>,
    pub(super) plan: Plan,
    steps: usize,
}

impl CodeUpkeep {
    pub(super) fn new(marks: Vec<(RepositoryId, RepositoryMark)>) -> Self {
        Self { feed: CodeFeed::new(marks), ..Self::default() }
    }

    /// Returns whether nothing is to be done, or can be done now.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.work, CodeWork::Idle) && (self.feed.is_idle() || self.is_full())
    }

    fn is_full(&self) -> bool {
        self.full_until.is_some_and(|until| Instant::now() < until)
    }
}

impl SearchActor {
    /// Notes repositories that may have changed. Those of other nodes are not in the index.
    pub(super) fn repositories_changed(&mut self, changes: SearchChanges, now: Instant) {
        let SearchChanges { is_all, repositories, deleted_repositories, .. } = changes;
        let node = self.sources.node.clone();
        let (stored, others): (Vec<_>, Vec<_>) =
            repositories.into_iter().partition(|repository| repository.is_stored_on(node.as_ref()));
        let feed = &mut self.code.feed;
        if is_all {
            feed.compare(stored, now);
        } else {
            stored.into_iter().for_each(|repository| feed.changed(repository, now));
            others.into_iter().for_each(|repository| feed.deleted(repository.id, now));
            deleted_repositories.into_iter().for_each(|id| feed.deleted(id, now));
        }
        self.go_on_with_code();
    }

    fn continue_code(&self) {
        self.own.post(ContinueCode { generation: self.generation });
    }

    /// Begins the next step of the work on repositories, if none is running.
    pub(super) fn go_on_with_code(&mut self) {
        if self.is_paused() || self.index.is_none() {
            return;
        }
        match std::mem::take(&mut self.code.work) {
            CodeWork::Reading => self.code.work = CodeWork::Reading,
            CodeWork::Removing { id, is_empty } => self.remove_repository(id, is_empty),
            CodeWork::Indexing(turn) if !self.has_room_for_code() => {
                self.code.feed.put_back(turn.repository.id);
                self.continue_code();
            }
            CodeWork::Indexing(turn) => self.read_step(turn),
            CodeWork::Idle if !self.code.feed.is_idle() && !self.has_room_for_code() => {
                if let Some(id) = self.code.feed.take_removal() {
                    self.remove_repository(id, false);
                }
            }
            CodeWork::Idle => match self.code.feed.take(REFS_PER_READ) {
                CodeTask::Nothing => self.code_is_idle(),
                CodeTask::Remove(id) => self.remove_repository(id, false),
                CodeTask::Compare(repositories) => self.read_heads(repositories),
            },
        }
    }

    /// Returns whether files and commits may be added. If the index or the disk is full, this is
    /// checked again after `limits.search_retry_ms`.
    fn has_room_for_code(&mut self) -> bool {
        if self.code.is_full() {
            return false;
        }
        let limits = &self.sources.limits;
        let used = self.index.as_ref().and_then(|index| index.used_bytes().ok()).unwrap_or_default();
        // Without a known size, a failure of the write shows that the disk is full.
        let free = machine::space(&self.sources.path)
            .map_or(u64::MAX, |space| space.above_reserve(limits.disk_reserve_bytes));
        if used < limits.search_index_bytes && free > 0 {
            self.code.full_until = None;
            return true;
        }
        if self.code.full_until.is_none() {
            warn!(
                index.used_bytes = used,
                disk.free_bytes = free,
                "the search index or the disk is full: pushes are not searched; free space, or raise limits.search_index_bytes"
            );
        }
        self.code.feed.stops(Instant::now());
        let pause = self.retry_pause();
        self.code.full_until = Some(Instant::now() + pause);
        self.measure_code();
        let (own, generation) = (self.own.clone(), self.generation);
        actix::spawn(async move {
            tokio::time::sleep(pause).await;
            own.post(ContinueCode { generation });
        });
        false
    }

    fn remove_repository(&mut self, id: RepositoryId, is_empty: bool) {
        let limit = self.sources.limits.search_step_rows;
        let Some(index) = &mut self.index else { return };
        match index.remove_repository(id, limit) {
            Err(failure) => return self.index_failed(&failure),
            Ok(false) => self.code.work = CodeWork::Removing { id, is_empty },
            Ok(true) => {
                self.code.feed.removed(id);
                if is_empty && let Err(failure) = self.write_step(id, Step::default(), &Plan::default()) {
                    return self.index_failed(&failure);
                }
                self.code.feed.finished(id);
            }
        }
        self.continue_code();
    }

    fn read_heads(&mut self, repositories: Vec<Arc<Repository>>) {
        self.code.work = CodeWork::Reading;
        let (own, generation) = (self.own.clone(), self.generation);
        let (store, limits) = (self.sources.store.clone(), self.sources.limits.clone());
        let unread = repositories.clone();
        actix::spawn(async move {
            let read = reading::in_background(move || {
                let head = |repository: Arc<Repository>| {
                    let head = reading::head(&store, &repository, &limits);
                    (repository, head)
                };
                Ok(repositories.into_iter().map(head).collect::<Vec<_>>())
            });
            let heads = read.await.unwrap_or_else(|_| {
                let failed = |repository| (repository, Err(RepositoryReadError::Thread));
                unread.into_iter().map(failed).collect()
            });
            own.post(CodeHeadsRead { generation, heads });
        });
    }

    #[allow(clippy::type_complexity, reason = "each repository has its own outcome")]
    pub(super) fn code_heads_read(
        &mut self,
        heads: Vec<(Arc<Repository>, Result<Option<Oid>, RepositoryReadError>)>,
    ) {
        self.code.work = CodeWork::Idle;
        self.measure_code();
        let (mut changed, now) = (None, Instant::now());
        for (repository, head) in heads {
            let id = repository.id;
            match head {
                Err(failure) => self.repository_failed(id, &failure),
                Ok(head) => {
                    let mark = self.code.feed.mark(id);
                    let head = head.map(|head| head.to_string());
                    if mark.is_whole && mark.oid == head {
                        self.code.feed.finished(id);
                        continue;
                    }
                    self.code.feed.differs(id, now);
                    if changed.is_none() {
                        changed = Some((repository, head.is_none()));
                    } else {
                        self.code.feed.put_back(id);
                    }
                }
            }
        }
        match changed {
            None => self.continue_code(),
            Some((repository, true)) => self.remove_repository(repository.id, true),
            Some((repository, false)) => self.read_plan(repository, false),
        }
    }

    fn repository_failed(&mut self, id: RepositoryId, failure: &RepositoryReadError) {
        self.metrics.failures.inc();
        warn!(repository.id = %id, error = %chain(failure), "a repository cannot be read for the search index; it is read again later");
        self.code.feed.failed(id);
    }

    fn read_plan(&mut self, repository: Arc<Repository>, with_files: bool) {
        let known = match self.known(repository.id, with_files) {
            Ok(Some(known)) => known,
            Ok(None) => return,
            Err(failure) => return self.index_failed(&failure),
        };
        self.code.work = CodeWork::Reading;
        let (own, generation) = (self.own.clone(), self.generation);
        let (store, limits) = (self.sources.store.clone(), self.sources.limits.clone());
        let planned = repository.clone();
        actix::spawn(async move {
            let plan = reading::in_background(move || reading::plan(&store, &planned, &known, &limits)).await;
            own.post(CodePlanned { generation, repository, plan });
        });
    }

    fn known(&self, id: RepositoryId, with_files: bool) -> Result<Option<Known>, SearchIndexError> {
        let Some(index) = &self.index else { return Ok(None) };
        Ok(Some(Known {
            mark: self.code.feed.mark(id),
            files: with_files.then(|| index.files_of(id)).transpose()?,
            commits: index.commits_of(id)?,
            size: index.size_of(id)?,
        }))
    }

    pub(super) fn code_planned(
        &mut self,
        repository: Arc<Repository>,
        plan: Result<Planned, RepositoryReadError>,
    ) {
        self.code.work = CodeWork::Idle;
        match plan {
            Err(failure) => {
                self.repository_failed(repository.id, &failure);
                self.continue_code();
            }
            Ok(Planned::NeedsFiles) => self.read_plan(repository, true),
            Ok(Planned::Plan(plan)) if plan.head.is_none() => self.remove_repository(repository.id, true),
            Ok(Planned::Plan(plan)) => self.read_step(Turn { repository, plan, steps: 0 }),
        }
    }

    fn read_step(&mut self, mut turn: Turn) {
        self.code.work = CodeWork::Reading;
        let (own, generation) = (self.own.clone(), self.generation);
        let (store, limits) = (self.sources.store.clone(), self.sources.limits.clone());
        let id = turn.repository.id;
        actix::spawn(async move {
            let read = reading::in_background(move || {
                let step = turn.plan.step(&store, &turn.repository, &limits)?;
                Ok((turn, step))
            });
            own.post(CodeStepRead { generation, id, read: read.await });
        });
    }

    pub(super) fn code_step_read(
        &mut self,
        id: RepositoryId,
        read: Result<(Turn, Step), RepositoryReadError>,
    ) {
        self.code.work = CodeWork::Idle;
        match read {
            Err(failure) => self.repository_failed(id, &failure),
            Ok((mut turn, step)) => {
                let files = step.files.len();
                // Files that still have no room change nothing, and cost no turn.
                if !step.is_empty() || turn.plan.is_done() {
                    turn.steps += 1;
                    match self.write_step(id, step, &turn.plan) {
                        Ok(size) => turn.plan.size = size,
                        Err(failure) => return self.index_failed(&failure),
                    }
                }
                self.metrics.indexed_files.inc_by(saturate::to_u64(files));
                if turn.plan.is_done() {
                    self.code.feed.finished(id);
                } else if turn.steps >= STEPS_PER_TURN {
                    self.code.feed.put_back(id);
                } else {
                    self.code.work = CodeWork::Indexing(turn);
                }
            }
        }
        self.continue_code();
        // Too many files end the wait of a comparison.
        if self.comparison.is_some() {
            self.go_on();
        }
    }

    fn write_step(
        &mut self,
        id: RepositoryId,
        step: Step,
        plan: &Plan,
    ) -> Result<IndexedSize, SearchIndexError> {
        let Some(index) = &mut self.index else { return Ok(IndexedSize::default()) };
        let Step { files, removed_files, commits, removed_commits } = step;
        let mark = plan.mark();
        let update = RepositoryUpdate {
            repository: id,
            files,
            removed_files,
            commits,
            removed_commits,
            mark: mark.clone(),
        };
        let size = index.apply_repository(&update)?;
        self.code.feed.marked(id, mark);
        Ok(size)
    }

    /// Everything is indexed: a comparison may wait for this.
    fn code_is_idle(&mut self) {
        self.measure_code();
        if self.comparison.is_some() {
            self.go_on();
        }
    }

    fn measure_code(&self) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.behind_repositories.set(count(self.code.feed.behind()));
        self.metrics.skipped_repositories.set(count(self.code.feed.unreadable()));
    }

    /// Reads what the index should have of all repositories, for a comparison; of none if code is
    /// not compared.
    pub(super) fn read_expected_code(&mut self, is_compared: bool) {
        let (own, generation) = (self.own.clone(), self.generation);
        let (store, limits) = (self.sources.store.clone(), self.sources.limits.clone());
        let whole = if is_compared { self.code.feed.whole() } else { Vec::new() };
        actix::spawn(async move {
            let read = reading::in_background(move || {
                let mut expected = Vec::new();
                for (repository, mark) in whole {
                    // A repository that cannot be read now is not compared.
                    expected.extend(reading::expected(&store, &repository, mark, &limits).ok().flatten());
                }
                Ok(expected)
            });
            let expected = read.await.unwrap_or_else(|failure| {
                error!(error = %chain(&failure), "the search index was not compared with the repositories");
                Vec::new()
            });
            own.post(CodeCompared { generation, expected });
        });
    }

    /// Returns how the index differs from what it should have.
    pub(super) fn code_differences(
        &self,
        expected: Vec<reading::Expected>,
    ) -> Result<Vec<String>, SearchIndexError> {
        let Some(index) = &self.index else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for reading::Expected { repository, mark, files, commits } in expected {
            if self.code.feed.mark(repository.id) != mark {
                continue;
            }
            let differences = index.repository_differences(repository.id, files, &commits)?;
            found.extend(differences.into_iter().map(|text| format!("repository {}: {text}", repository.id)));
        }
        Ok(found)
    }
}
