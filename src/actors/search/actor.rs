//! Routes searches into the index, and the results of reads into its upkeep.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use actix::{Actor, Handler, Supervised};
use tracing::{error, info, warn};

use super::code_upkeep::CodeUpkeep;
use super::feed::{Feed, Removal};
use super::messages::{
    AllRead, ChangesRead, ChatsChanged, CodeCompared, CodeHeadsRead, CodePlanned, CodeStepRead, CompareHeads,
    CompareIndex, Continue, ContinueCode, FindInRepositories, FindMessages, FoundCandidates,
    FoundInRepositories, IndexComparison, KeptRead, RepositorySearch,
};
use super::metrics::SearchMetrics;
use crate::actors::cache::CacheHandle;
use crate::actors::error::QueryError;
use crate::core::actor::{Ask, Ctx, Mailbox};
use crate::core::limits::Limits;
use crate::domain::ids::ChatId;
use crate::domain::node::NodeName;
use crate::git::store::Store;
use crate::storage::readers::Readers;
use crate::storage::search_index::{
    FindEnd, IndexQuery, Rebuild, RepositoryQuery, SearchIndex, SearchIndexError,
};

/// The data sources of the index, and its place.
pub struct SearchSources {
    /// The file of the index.
    pub path: PathBuf,
    /// The epoch of the database.
    pub epoch: i64,
    pub cache: CacheHandle,
    pub readers: Readers,
    /// The directories of repositories.
    pub store: Store,
    /// The name of this node. `None`: the server is the only node.
    pub node: Option<NodeName>,
    pub limits: Limits,
}

/// See the [module](super).
pub struct SearchActor {
    pub(super) sources: SearchSources,
    pub(super) metrics: SearchMetrics,
    pub(super) own: Mailbox<Self>,
    /// `None`: it could not be opened, and is opened again later.
    pub(super) index: Option<SearchIndex>,
    pub(super) feed: Feed,
    pub(super) work: Work,
    pub(super) code: CodeUpkeep,
    /// Reads of an earlier generation are void: the actor was restarted, or the index was opened
    /// again.
    pub(super) generation: u64,
    /// The number of the last request for changes. Answers of earlier ones are void: each request
    /// that replaces another is for all chats.
    pub(super) request: u64,
    /// A comparison that waits until the index is up to date.
    pub(super) comparison: Option<Comparison>,
    /// When an index was last built because of a failure.
    pub(super) failed_at: Option<Instant>,
    pub(super) measured_at: Option<Instant>,
    /// Nothing is read or written before this time, after a failure.
    pub(super) paused_until: Option<Instant>,
    /// The chats of the running read.
    pub(super) reading: Vec<ChatId>,
}

/// The step of the upkeep that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Idle,
    Reading,
    Removing(Removal),
    /// Reads which messages of a slice still exist.
    Checking(Removal),
    Comparing,
}

/// Returns the limits of what the index has of repositories, as a text. With others, it is built
/// again: files and commits that it lacks may have room.
fn code_limits(limits: &Limits) -> String {
    let texts = [limits.search_code_bytes, limits.search_code_dense_bytes, limits.search_code_file_bytes];
    let terms = [limits.search_code_terms, limits.search_code_file_terms];
    let rows = [limits.search_code_files, limits.search_commits];
    let all = texts.iter().chain(&terms).chain(&rows);
    all.map(usize::to_string).collect::<Vec<_>>().join(" ")
}

/// A requested comparison of the index.
pub(super) struct Comparison {
    pub(super) ask: Ask<CompareIndex>,
    /// Whether all changes up to the request are known.
    pub(super) is_current: bool,
    /// Comparisons that found differences: messages may have been sent meanwhile.
    pub(super) tries: usize,
    /// Differences of the messages.
    pub(super) found: Vec<String>,
}

impl SearchActor {
    pub fn new(sources: SearchSources, metrics: SearchMetrics, own: Mailbox<Self>) -> Self {
        Self {
            sources,
            metrics,
            own,
            index: None,
            feed: Feed::default(),
            work: Work::Idle,
            code: CodeUpkeep::default(),
            generation: 0,
            request: 0,
            comparison: None,
            failed_at: None,
            measured_at: None,
            paused_until: None,
            reading: Vec::new(),
        }
    }

    /// Opens the index, and begins to follow the changes of chats.
    pub(super) fn open(&mut self) {
        // Drops an index that is open before its file is opened again.
        self.index = None;
        self.generation += 1;
        self.work = Work::Idle;
        self.feed = Feed::default();
        self.code = CodeUpkeep::default();
        let limits = code_limits(&self.sources.limits);
        let opened = SearchIndex::open(&self.sources.path, self.sources.epoch, &limits)
            .and_then(|(index, rebuild)| Ok(((index.marks()?, index.repository_marks()?), index, rebuild)));
        match opened {
            Ok(((marks, repositories), index, rebuild)) => {
                if let Some(rebuild) = rebuild {
                    self.metrics.rebuilds.inc();
                    if rebuild == Rebuild::Damaged {
                        warn!("the search index was damaged and is built again");
                    } else {
                        info!(reason = rebuild.reason(), "the search index is built");
                    }
                }
                self.feed = Feed::new(marks);
                self.code = CodeUpkeep::new(repositories);
                self.index = Some(index);
                self.paused_until = None;
                self.follow(true, Duration::ZERO);
                self.compare_heads_later();
            }
            Err(failure) => {
                self.metrics.failures.inc();
                error!(error = %failure, "the search index cannot be opened: searches find no messages");
                self.refuse_comparison();
                self.continue_later();
            }
        }
    }

    /// Handles a failure of the index. A damaged file is deleted and built again, at most once in
    /// `limits.search_retry_ms`. Any other failure, such as a full disk, may be temporary.
    pub(super) fn index_failed(&mut self, failure: &SearchIndexError) {
        self.metrics.failures.inc();
        self.index = None;
        let is_again = self.failed_at.is_some_and(|failed| failed.elapsed() < self.retry_pause());
        if !failure.is_damage() || is_again {
            error!(error = %failure, "the search index failed: searches find no messages for now");
            self.generation += 1;
            // The answer to the last request is void.
            self.request += 1;
            self.work = Work::Idle;
            self.code = CodeUpkeep::default();
            self.refuse_comparison();
            return self.continue_later();
        }
        warn!(error = %failure, "the search index is damaged and is built again");
        self.failed_at = Some(Instant::now());
        if let Err(failure) = SearchIndex::remove(&self.sources.path) {
            error!(error = %failure, "the search index could not be deleted");
        }
        self.open();
    }

    pub(super) fn refuse_comparison(&mut self) {
        if let Some(comparison) = self.comparison.take() {
            comparison.ask.answer(Ok(IndexComparison::Skipped));
        }
    }

    fn find(&self, query: &FindMessages) -> Result<FoundCandidates, SearchIndexError> {
        let begun = Instant::now();
        let Some(index) = &self.index else { return Ok(FoundCandidates::default()) };
        let lag = Duration::from_millis(self.sources.limits.search_lag_ms);
        let is_current = self.feed.is_current(begun, lag);
        let found = index.find(&IndexQuery {
            candidates: &query.candidates,
            among: query.among.as_deref(),
            above: query.above,
            below: query.below,
            limit: query.limit,
            rows_max: query.rows,
            until: begun + query.time,
        })?;
        let (next, is_cut) = match found.end {
            FindEnd::Complete => (None, false),
            FindEnd::Limit => (found.ids.last().copied(), false),
            FindEnd::Budget(id) => (Some(id), true),
        };
        let (ids, rows) = (found.ids, found.rows);
        Ok(FoundCandidates { ids, next, is_cut, is_current, rows, took: begun.elapsed() })
    }
}

impl SearchActor {
    fn find_in_repositories(
        &self,
        query: &FindInRepositories,
    ) -> Result<FoundInRepositories, SearchIndexError> {
        let begun = Instant::now();
        let Some(index) = &self.index else { return Ok(FoundInRepositories::default()) };
        let lag = Duration::from_millis(self.sources.limits.search_lag_ms);
        let of_index = RepositoryQuery {
            candidates: &query.candidates,
            among: &query.among,
            above: query.above,
            below: query.below,
            limit: query.limit,
            rows_max: query.rows,
            until: begun + query.time,
        };
        let is_current =
            query.among.iter().all(|id| self.code.feed.is_current(*id, &query.search, begun, lag));
        let mut found = FoundInRepositories { is_current, ..FoundInRepositories::default() };
        match &query.search {
            RepositorySearch::Files(filters) => {
                let rows = index.find_files(&of_index, filters)?;
                (found.next, found.is_cut, found.rows) = (rows.next, rows.is_cut, rows.rows);
                found.lacks_some = rows.lacks_some;
                found.files = rows.found;
            }
            RepositorySearch::Commits => {
                let rows = index.find_commits(&of_index)?;
                (found.next, found.is_cut, found.rows) = (rows.next, rows.is_cut, rows.rows);
                found.lacks_some = rows.lacks_some;
                found.commits = rows.found;
            }
        }
        let files = found.files.iter().map(|file| file.repository);
        for id in files.chain(found.commits.iter().map(|commit| commit.repository)) {
            found.marks.insert(id, self.code.feed.mark(id));
        }
        found.took = begun.elapsed();
        Ok(found)
    }
}

impl Actor for SearchActor {
    type Context = Ctx<Self>;

    fn started(&mut self, _: &mut Ctx<Self>) {
        self.open();
    }
}

impl Supervised for SearchActor {
    /// A batch that a panic interrupted is not in the index: it is read again.
    fn restarting(&mut self, _: &mut Ctx<Self>) {
        self.index = None;
        self.comparison = None;
    }
}

impl Handler<Ask<FindMessages>> for SearchActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindMessages>, _: &mut Ctx<Self>) {
        match self.find(&ask.request) {
            Ok(found) => ask.answer(Ok(found)),
            Err(failure) => {
                ask.answer(Err(QueryError::Internal));
                self.index_failed(&failure);
            }
        }
    }
}

impl Handler<Ask<FindInRepositories>> for SearchActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<FindInRepositories>, _: &mut Ctx<Self>) {
        match self.find_in_repositories(&ask.request) {
            Ok(found) => ask.answer(Ok(found)),
            Err(failure) => {
                ask.answer(Err(QueryError::Internal));
                self.index_failed(&failure);
            }
        }
    }
}

impl Handler<Ask<CompareIndex>> for SearchActor {
    type Result = ();
    fn handle(&mut self, ask: Ask<CompareIndex>, _: &mut Ctx<Self>) {
        self.begin_comparison(ask);
    }
}

impl Handler<ChatsChanged> for SearchActor {
    type Result = ();
    fn handle(&mut self, ChatsChanged { request, changed }: ChatsChanged, _: &mut Ctx<Self>) {
        if request == self.request {
            self.chats_changed(changed);
        }
    }
}

impl Handler<ChangesRead> for SearchActor {
    type Result = ();
    fn handle(&mut self, ChangesRead { generation, read }: ChangesRead, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.changes_read(read);
        }
    }
}

impl Handler<KeptRead> for SearchActor {
    type Result = ();
    fn handle(&mut self, KeptRead { generation, read }: KeptRead, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.kept_read(read);
        }
    }
}

impl Handler<AllRead> for SearchActor {
    type Result = ();
    fn handle(&mut self, AllRead { generation, read }: AllRead, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.all_read(read);
        }
    }
}

impl Handler<Continue> for SearchActor {
    type Result = ();
    fn handle(&mut self, Continue { generation }: Continue, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.go_on();
            self.go_on_with_code();
        }
    }
}

impl Handler<CompareHeads> for SearchActor {
    type Result = ();
    fn handle(&mut self, CompareHeads { generation }: CompareHeads, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.follow(true, Duration::ZERO);
            self.compare_heads_later();
        }
    }
}

impl Handler<CodeHeadsRead> for SearchActor {
    type Result = ();
    fn handle(&mut self, CodeHeadsRead { generation, heads }: CodeHeadsRead, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.code_heads_read(heads);
        }
    }
}

impl Handler<CodePlanned> for SearchActor {
    type Result = ();
    fn handle(&mut self, CodePlanned { generation, repository, plan }: CodePlanned, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.code_planned(repository, plan);
        }
    }
}

impl Handler<CodeStepRead> for SearchActor {
    type Result = ();
    fn handle(&mut self, CodeStepRead { generation, id, read }: CodeStepRead, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.code_step_read(id, read);
        }
    }
}

impl Handler<CodeCompared> for SearchActor {
    type Result = ();
    fn handle(&mut self, CodeCompared { generation, expected }: CodeCompared, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.code_compared(expected);
        }
    }
}

impl Handler<ContinueCode> for SearchActor {
    type Result = ();
    fn handle(&mut self, ContinueCode { generation }: ContinueCode, _: &mut Ctx<Self>) {
        if generation == self.generation {
            self.go_on_with_code();
        }
    }
}
