//! The feed of repositories: which must be compared with their refs.
//!
//! Notes are hints. A repository is compared with the ref of its default branch on disk, and the
//! mark in the index shows which commit was indexed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::messages::RepositorySearch;
use crate::domain::ids::RepositoryId;
use crate::domain::repository::Repository;
use crate::storage::search_index::RepositoryMark;

/// The repositories that the index has, and those that may have changed since.
#[derive(Debug, Default)]
pub(super) struct CodeFeed {
    marks: HashMap<RepositoryId, RepositoryMark>,
    /// Repositories whose files this node stores.
    repositories: HashMap<RepositoryId, Arc<Repository>>,
    /// Those that may have changed, each with its place in the queue.
    noted: HashMap<RepositoryId, Noted>,
    queue: BTreeMap<u64, RepositoryId>,
    last_place: u64,
    /// Those that are being read, with the time since which the index may lack a change.
    working: HashMap<RepositoryId, Option<Instant>>,
    /// Repositories that the index had completely once. Later changes are searched with a delay.
    complete: HashSet<RepositoryId>,
    /// Repositories that could not be read. They are read again after the next comparison.
    unreadable: BTreeSet<RepositoryId>,
}

#[derive(Debug, Clone, Copy)]
struct Noted {
    place: u64,
    /// `None`: a comparison without a known change.
    since: Option<Instant>,
}

/// The next work on repositories.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CodeTask {
    Nothing,
    /// The index must remove a repository that does not exist here any more.
    Remove(RepositoryId),
    /// These must be compared with their refs.
    Compare(Vec<Arc<Repository>>),
}

impl CodeFeed {
    pub(super) fn new(marks: Vec<(RepositoryId, RepositoryMark)>) -> Self {
        let whole = marks.iter().filter(|(_, mark)| mark.is_whole).map(|(id, _)| *id);
        Self { complete: whole.collect(), marks: marks.into_iter().collect(), ..Self::default() }
    }

    /// Notes all repositories that this node stores, and those of the index that are gone.
    pub(super) fn compare(&mut self, stored: Vec<Arc<Repository>>, now: Instant) {
        let unreadable = std::mem::take(&mut self.unreadable);
        self.repositories = stored.into_iter().map(|repository| (repository.id, repository)).collect();
        let gone = self.marks.keys().filter(|id| !self.repositories.contains_key(id));
        let ids: BTreeSet<_> = self.repositories.keys().chain(gone).copied().collect();
        for id in ids {
            let is_current = self.complete.contains(&id) && !unreadable.contains(&id);
            self.note(id, (!is_current).then_some(now));
        }
    }

    /// Notes a repository that may have changed.
    pub(super) fn changed(&mut self, repository: Arc<Repository>, now: Instant) {
        let id = repository.id;
        self.repositories.insert(id, repository);
        self.note(id, Some(now));
    }

    /// Notes a repository that was deleted, or that another node stores now.
    pub(super) fn deleted(&mut self, id: RepositoryId, now: Instant) {
        self.repositories.remove(&id);
        self.note(id, Some(now));
    }

    fn note(&mut self, id: RepositoryId, since: Option<Instant>) {
        match self.noted.get_mut(&id) {
            Some(noted) => noted.since = noted.since.or(since),
            None => {
                self.last_place += 1;
                self.queue.insert(self.last_place, id);
                self.noted.insert(id, Noted { place: self.last_place, since });
            }
        }
    }

    /// Takes the next work, with at most `max` repositories.
    pub(super) fn take(&mut self, max: usize) -> CodeTask {
        let mut taken = Vec::new();
        while let Some((_, id)) = self.queue.first_key_value() {
            let id = *id;
            let Some(repository) = self.repositories.get(&id).cloned() else {
                if !taken.is_empty() {
                    break;
                }
                self.begin(id);
                return CodeTask::Remove(id);
            };
            if taken.len() >= max.max(1) {
                break;
            }
            self.begin(id);
            taken.push(repository);
        }
        if taken.is_empty() { CodeTask::Nothing } else { CodeTask::Compare(taken) }
    }

    fn begin(&mut self, id: RepositoryId) {
        let noted = self.noted.remove(&id);
        self.queue.remove(&noted.map_or(0, |noted| noted.place));
        self.working.insert(id, noted.and_then(|noted| noted.since));
    }

    /// Takes a repository that does not exist here any more.
    pub(super) fn take_removal(&mut self) -> Option<RepositoryId> {
        let id = self.queue.values().copied().find(|id| !self.repositories.contains_key(id))?;
        self.begin(id);
        Some(id)
    }

    /// Records that those that wait may stay behind: nothing is added to the index.
    pub(super) fn stops(&mut self, now: Instant) {
        for noted in self.noted.values_mut() {
            noted.since.get_or_insert(now);
        }
    }

    /// Records that the index lacks a change of a repository whose work has begun.
    pub(super) fn differs(&mut self, id: RepositoryId, now: Instant) {
        if let Some(since) = self.working.get_mut(&id) {
            since.get_or_insert(now);
        }
    }

    /// Puts a repository back whose work did not end.
    pub(super) fn put_back(&mut self, id: RepositoryId) {
        let since = self.working.remove(&id).flatten();
        self.note(id, since);
    }

    /// Records the mark that the index has now.
    pub(super) fn marked(&mut self, id: RepositoryId, mark: RepositoryMark) {
        if mark.is_whole {
            self.complete.insert(id);
        }
        self.marks.insert(id, mark);
    }

    /// Records that the work on a repository ended.
    pub(super) fn finished(&mut self, id: RepositoryId) {
        self.working.remove(&id);
    }

    /// Records that a repository could not be read.
    pub(super) fn failed(&mut self, id: RepositoryId) {
        self.working.remove(&id);
        self.unreadable.insert(id);
    }

    /// Records that the index has nothing of a repository.
    pub(super) fn removed(&mut self, id: RepositoryId) {
        self.marks.remove(&id);
        self.complete.remove(&id);
    }

    pub(super) fn mark(&self, id: RepositoryId) -> RepositoryMark {
        self.marks.get(&id).cloned().unwrap_or_default()
    }

    /// Returns the repositories that the index has completely.
    pub(super) fn whole(&self) -> Vec<(Arc<Repository>, RepositoryMark)> {
        let is_whole = |mark: &RepositoryMark| mark.is_whole && !mark.is_files_cut && !mark.is_commits_cut;
        let whole = self.marks.iter().filter(|(_, mark)| is_whole(mark));
        whole.filter_map(|(id, mark)| Some((self.repositories.get(id)?.clone(), mark.clone()))).collect()
    }

    /// Returns whether searches find all files or commits of a repository, except changes of the
    /// last `lag`.
    pub(super) fn is_current(
        &self,
        id: RepositoryId,
        search: &RepositorySearch,
        now: Instant,
        lag: Duration,
    ) -> bool {
        let is_cut = |mark: &RepositoryMark| match search {
            RepositorySearch::Files(_) => mark.is_files_cut,
            RepositorySearch::Commits => mark.is_commits_cut,
        };
        let waiting = self.noted.get(&id).and_then(|noted| noted.since);
        let since = self.working.get(&id).copied().flatten().or(waiting);
        self.complete.contains(&id)
            && !self.marks.get(&id).is_some_and(is_cut)
            && !self.unreadable.contains(&id)
            && since.is_none_or(|since| now.duration_since(since) <= lag)
    }

    /// Returns whether no repository waits or is being read.
    pub(super) fn is_idle(&self) -> bool {
        self.noted.is_empty() && self.working.is_empty()
    }

    /// Returns the number of repositories that wait or are being read.
    pub(super) fn behind(&self) -> usize {
        self.noted.len() + self.working.len()
    }

    /// Returns the number of repositories that could not be read.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::search::SearchQuery;

    const COMMITS: RepositorySearch = RepositorySearch::Commits;

    fn whole(oid: &str) -> RepositoryMark {
        RepositoryMark { oid: Some(oid.to_owned()), is_whole: true, ..RepositoryMark::default() }
    }

    /// After a start, the index may lack a push that came while another process served it.
    #[test]
    fn repository_with_another_head_is_not_current_while_it_waits() {
        let (id, lag) = (RepositoryId(1), Duration::from_secs(5));
        let mut feed = CodeFeed::new(vec![(id, whole("old"))]);
        let (begun, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        feed.note(id, None);
        assert!(feed.is_current(id, &COMMITS, later, lag), "no change is known");
        feed.begin(id);
        feed.differs(id, begun);
        assert!(!feed.is_current(id, &COMMITS, later, lag));
        feed.put_back(id);
        assert!(!feed.is_current(id, &COMMITS, later, lag));
        feed.begin(id);
        feed.marked(id, whole("new"));
        feed.finished(id);
        assert!(feed.is_current(id, &COMMITS, later, lag));
        feed.failed(id);
        assert!(!feed.is_current(id, &COMMITS, later, lag));
        feed.compare(Vec::new(), begun);
        assert!(!feed.is_current(id, &COMMITS, later, lag), "it could not be read, and waits");
    }

    #[test]
    fn commits_are_complete_without_some_files() {
        let (id, now, lag) = (RepositoryId(1), Instant::now(), Duration::from_secs(5));
        let files = RepositorySearch::Files(Arc::new(SearchQuery::parse("word").unwrap()));
        for (is_files_cut, is_commits_cut) in [(true, false), (false, true)] {
            let mark = RepositoryMark { is_files_cut, is_commits_cut, ..whole("head") };
            let feed = CodeFeed::new(vec![(id, mark)]);
            assert_eq!(feed.is_current(id, &files, now, lag), !is_files_cut);
            assert_eq!(feed.is_current(id, &COMMITS, now, lag), !is_commits_cut);
        }
    }
}
