//! Reads the texts of a plan in steps, each within limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::code_reading::{Plan, PlannedFile, RepositoryReadError, open};
use crate::core::limits::Limits;
use crate::domain::repository::Repository;
use crate::domain::search::{CodeTerms, CommitText, code_terms, commit_terms};
use crate::domain::timestamp::Timestamp;
use crate::git::browse::{BrowseError, Browser, Oid};
use crate::git::store::Store;
use crate::storage::search_index::{IndexedCommit, IndexedFile, IndexedSize, RepositoryMark};

/// A part of a plan, with the texts.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) files: Vec<IndexedFile>,
    pub(super) removed_files: Vec<Vec<u8>>,
    pub(super) commits: Vec<IndexedCommit>,
    pub(super) removed_commits: Vec<String>,
}

impl Step {
    /// Returns whether the step changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.removed_files.is_empty()
            && self.commits.is_empty()
            && self.removed_commits.is_empty()
    }
}

/// A file that was read.
enum ReadFile {
    /// `None`: it is not text, or is too large.
    Text(Option<Vec<u8>>),
    WithoutRoom,
}

/// The repository that a step reads.
struct Source<'a> {
    browser: &'a Browser,
    store: &'a Store,
    repository: &'a Arc<Repository>,
    limits: &'a Limits,
}

impl Plan {
    /// Returns whether all steps are read.
    pub(super) fn is_done(&self) -> bool {
        self.files.is_empty()
            && self.commits.is_empty()
            && self.removed_commits.is_empty()
            && self.without_room.is_empty()
    }

    /// Returns the mark of the index after the steps so far.
    pub(super) fn mark(&self) -> RepositoryMark {
        RepositoryMark {
            oid: self.head.map(|head| head.to_string()),
            is_whole: self.is_done(),
            is_files_cut: self.is_files_cut || !self.without_room.is_empty(),
            is_commits_cut: self.is_commits_cut,
        }
    }

    /// Reads the next step. Reads at least one file or commit.
    pub(super) fn step(
        &mut self,
        store: &Store,
        repository: &Arc<Repository>,
        limits: &Limits,
    ) -> Result<Step, RepositoryReadError> {
        let browser = &open(store, repository, limits)?;
        let source = Source { browser, store, repository, limits };
        let mut step = Step { removed_commits: std::mem::take(&mut self.removed_commits), ..Step::default() };
        let mut left = StepRoom::new(limits);
        while let Some(file) = self.files.pop_front() {
            if let Err(file) = self.add_file(&source, file, &mut step, &mut left)? {
                self.files.push_front(file);
                return Ok(step);
            }
            if left.is_used_up() {
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
            left.take_row();
            if left.is_used_up() {
                return Ok(step);
            }
        }
        while let Some(file) = self.without_room.pop_front() {
            if let Err(file) = self.add_file(&source, file, &mut step, &mut left)? {
                self.without_room.push_front(file);
                return Ok(step);
            }
            if left.is_used_up() {
                return Ok(step);
            }
        }
        Ok(step)
    }

    /// Reads a file into the step. Returns the file if the browser is exhausted: it is read again
    /// with the next step.
    fn add_file(
        &mut self,
        source: &Source<'_>,
        file: PlannedFile,
        step: &mut Step,
        left: &mut StepRoom,
    ) -> Result<Result<(), PlannedFile>, RepositoryReadError> {
        let before = self.size;
        self.size = self.size.without(file.replaced);
        let Some(oid) = file.oid else {
            step.removed_files.push(file.path);
            left.take_row();
            return Ok(Ok(()));
        };
        let read = match self.read_file(source, &file, oid) {
            Err(_) if source.browser.is_exhausted() && !step.is_empty() => {
                self.size = before;
                return Ok(Err(file));
            }
            read => read?,
        };
        match self.indexed(source, &file, oid, read) {
            Some(indexed) => {
                let terms = indexed.terms.as_ref().map_or(0, |found| found.terms.len());
                left.bytes = left.bytes.saturating_sub(indexed.bytes);
                left.terms = left.terms.saturating_sub(terms);
                left.take_row();
                step.files.push(indexed);
            }
            // The index shows already that this file has no room.
            None => self.size = before,
        }
        Ok(Ok(()))
    }

    /// Reads a file, unless its size shows that it has no room.
    fn read_file(
        &self,
        source: &Source<'_>,
        file: &PlannedFile,
        oid: Oid,
    ) -> Result<ReadFile, RepositoryReadError> {
        let Source { browser, store, repository, limits } = source;
        let bytes_max = limits.search_code_file_bytes;
        let read = |browser: &Browser| -> Result<ReadFile, BrowseError> {
            let bytes = browser.searched_bytes(oid)?;
            // A text has no more different trigrams than bytes, and the term of its repository. A
            // dense one has no trigrams, and a term that shows so.
            let terms = if file.is_dense { 2 } else { bytes.min(limits.search_code_file_terms) + 1 };
            let has_room = bytes > bytes_max || self.with_file(bytes, terms, file.is_dense, limits).is_some();
            if !has_room && file.had_no_room {
                return Ok(ReadFile::WithoutRoom);
            }
            let text = browser.searched_text(oid, bytes_max)?;
            // A binary file needs no room.
            Ok(if has_room || text.is_none() { ReadFile::Text(text) } else { ReadFile::WithoutRoom })
        };
        Ok(match read(browser) {
            // The repository may have been packed since it was opened.
            Err(BrowseError::NotFound(_)) => match read(&open(store, repository, limits)?) {
                Err(error) if error.is_lasting() => ReadFile::Text(None),
                found => found?,
            },
            Err(error) if error.is_lasting() && !browser.is_exhausted() => ReadFile::Text(None),
            found => found?,
        })
    }

    /// Returns the row of a file, and takes its room; `None` if the index has this row. Without
    /// room for its text, the row has another id than the file, so that the file is planned again.
    fn indexed(
        &mut self,
        source: &Source<'_>,
        file: &PlannedFile,
        oid: Oid,
        read: ReadFile,
    ) -> Option<IndexedFile> {
        let row = |oid: String, bytes, terms| IndexedFile { path: file.path.clone(), oid, bytes, terms };
        let limits = source.limits;
        let text = match read {
            ReadFile::Text(Some(text)) => text,
            ReadFile::Text(None) => return Some(row(oid.to_string(), 0, None)),
            ReadFile::WithoutRoom => {
                self.is_files_cut = true;
                return (!file.had_no_room).then(|| row(String::new(), 0, None));
            }
        };
        let terms = code_terms(source.repository.id, &text, limits.search_code_file_terms);
        let CodeTerms { terms: found, is_dense } = &terms;
        let Some(size) = self.with_file(text.len(), found.len(), *is_dense, limits) else {
            self.is_files_cut = true;
            // The next plan knows that a dense file has no room, without reading it.
            let oid =
                if *is_dense { IndexedFile::dense_without_room(&oid.to_string()) } else { String::new() };
            // A file that had no room before has this row, unless it was not known to be dense.
            let is_known = file.had_no_room && *is_dense == file.is_dense;
            return (!is_known).then(|| row(oid, 0, None));
        };
        self.size = size;
        Some(row(oid.to_string(), text.len(), Some(terms)))
    }

    /// Returns the size of the repository with another text; `None` if it has no room.
    fn with_file(&self, bytes: usize, terms: usize, is_dense: bool, limits: &Limits) -> Option<IndexedSize> {
        let size = IndexedSize {
            files: self.size.files,
            bytes: self.size.bytes.saturating_add(bytes),
            terms: self.size.terms.saturating_add(terms),
            dense: self.size.dense.saturating_add(if is_dense { bytes } else { 0 }),
        };
        let has_room = size.bytes <= limits.search_code_bytes
            && size.terms <= limits.search_code_terms
            && size.dense <= limits.search_code_dense_bytes;
        has_room.then_some(size)
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

    fn take_row(&mut self) {
        self.rows = self.rows.saturating_sub(1);
    }

    /// Returns whether the step ends.
    fn is_used_up(&self) -> bool {
        [self.rows, self.bytes, self.terms].contains(&0) || Instant::now() >= self.until
    }
}
