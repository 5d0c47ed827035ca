//! The search in the commits of default branches.

use std::sync::Arc;

use super::repositories::{FoundHits, Kind, OpenRepository, RepositoryScope, Row};
use crate::actors::cache::{Me, SearchableRepository};
use crate::actors::search::{FoundInRepositories, RepositorySearch, SearchPermit};
use crate::domain::access::Credential;
use crate::domain::ids::RepositoryId;
use crate::domain::search::{Candidates, CommitAuthor, CommitText, Excerpt, SearchQuery};
use crate::git::browse::{BrowseError, Oid, SearchedCommit};
use crate::protocol::found::CommitHit;
use crate::services::{ServiceError, Services};
use crate::storage::search_index::{CommitRow, commit_ids_between};

/// Commits that are compared with a query.
struct Commits {
    query: Arc<SearchQuery>,
    /// The author in the query.
    author: Option<CommitAuthor>,
}

/// A commit that matches, before the last check of permissions.
struct Hit {
    repository: RepositoryId,
    commit: SearchedCommit,
    excerpt: Excerpt,
}

impl Row for CommitRow {
    fn id(&self) -> i64 {
        self.id
    }

    fn repository(&self) -> RepositoryId {
        self.repository
    }
}

impl Kind for Commits {
    type Row = CommitRow;
    type Hit = Hit;

    fn search(&self) -> RepositorySearch {
        RepositorySearch::Commits
    }

    fn rows(found: &mut FoundInRepositories) -> Vec<CommitRow> {
        std::mem::take(&mut found.commits)
    }

    fn candidates(&self) -> Candidates {
        let mut candidates = self.query.commit_candidates();
        candidates.all.extend(self.author.iter().flat_map(CommitAuthor::conditions));
        candidates
    }

    fn check(&self, row: CommitRow, opened: &OpenRepository) -> Result<(Option<Hit>, usize), BrowseError> {
        // After a force push the branch may not lead to the commit any more, and the index may lack
        // those to which it leads now.
        let oid = Oid::parse(&row.oid).filter(|_| opened.leads_to_indexed());
        let oid = oid.ok_or(BrowseError::NotFound("commit on the default branch"))?;
        let commit = opened.browser.searched_commit(oid)?;
        let text = CommitText {
            message: &commit.message,
            author: &commit.summary.author.name,
            email: &commit.summary.author.email,
            committed_at: commit.committed_at(),
        };
        let bytes = commit.message.len();
        let Some(ranges) = self.query.commit_highlights(&text, self.author.as_ref()) else {
            return Ok((None, bytes));
        };
        let excerpt = Excerpt::of(&commit.message, &ranges);
        Ok((Some(Hit { repository: opened.id, commit, excerpt }), bytes))
    }

    fn repository_of(hit: &Hit) -> RepositoryId {
        hit.repository
    }

    fn text_bytes(hit: &Hit) -> usize {
        let summary = &hit.commit.summary;
        summary.summary.len() + summary.author.name.len() + hit.excerpt.text_bytes()
    }
}

impl Services {
    pub(super) async fn search_commits(
        &self,
        who: Credential,
        permit: &SearchPermit,
        query: &Arc<SearchQuery>,
        scope: &RepositoryScope,
        below: i64,
        limit: usize,
    ) -> Result<FoundHits<CommitHit>, ServiceError> {
        let author = self.author_of(who, query).await?;
        let (above, before) = commit_ids_between(query.after, query.before);
        let commits = Commits { query: query.clone(), author };
        let between = (above, below.min(before));
        let found = self.search_repositories(who, permit, commits, scope, between, limit).await?;
        let hits = found.hits.into_iter().map(shown).collect();
        Ok(FoundHits { hits, next: found.next, is_incomplete: found.is_incomplete })
    }

    /// Returns the author in a query. `from:me` is the user name and the name of the caller.
    async fn author_of(
        &self,
        who: Credential,
        query: &SearchQuery,
    ) -> Result<Option<CommitAuthor>, ServiceError> {
        let mut names: Vec<String> = Vec::new();
        let mut is_named = false;
        for name in query.author_names() {
            is_named = true;
            match name {
                Some(name) => names.push(name.to_owned()),
                None => {
                    let (me, _) = self.cache.ask(who, Me).await?;
                    names.extend([me.username.clone(), me.display_name.clone()]);
                }
            }
        }
        Ok(is_named.then(|| CommitAuthor::of(names.iter().map(String::as_str))))
    }
}

fn shown((found, hit): (SearchableRepository, Hit)) -> CommitHit {
    let Hit { repository, commit, excerpt } = hit;
    CommitHit {
        repository_id: repository,
        repository: found.path,
        oid: commit.summary.oid.to_string(),
        committed_at: commit.summary.committed_at,
        subject: commit.summary.summary,
        author: commit.summary.author.name,
        excerpt: excerpt.text,
        highlights: excerpt.highlights.into_iter().map(|range| [range.start, range.end]).collect(),
    }
}
