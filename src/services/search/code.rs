//! The search in the files of default branches.

use std::sync::Arc;

use super::repositories::{FoundHits, Kind, OpenRepository, RepositoryScope, Row};
use crate::actors::cache::SearchableRepository;
use crate::actors::search::{FoundInRepositories, RepositorySearch, SearchPermit};
use crate::domain::access::Credential;
use crate::domain::ids::RepositoryId;
use crate::domain::search::{Candidates, FileMatch, MatchedLine, SearchQuery};
use crate::git::browse::{BrowseError, Oid, path_text};
use crate::protocol::found::{CodeHit, CodeLine};
use crate::services::{ServiceError, Services};
use crate::storage::search_index::FileRow;

/// Files that are compared with a query.
struct Files {
    query: Arc<SearchQuery>,
    file_bytes: usize,
    lines_max: usize,
}

/// A file that matches, before the last check of permissions.
struct Hit {
    repository: RepositoryId,
    head: Oid,
    path: Vec<u8>,
    found: FileMatch,
}

impl Row for FileRow {
    fn id(&self) -> i64 {
        self.id
    }

    fn repository(&self) -> RepositoryId {
        self.repository
    }
}

impl Kind for Files {
    type Row = FileRow;
    type Hit = Hit;

    fn search(&self) -> RepositorySearch {
        RepositorySearch::Files(self.query.clone())
    }

    fn rows(found: &mut FoundInRepositories) -> Vec<FileRow> {
        std::mem::take(&mut found.files)
    }

    fn candidates(&self) -> Candidates {
        self.query.code_candidates()
    }

    fn check(&self, row: FileRow, opened: &OpenRepository) -> Result<(Option<Hit>, usize), BrowseError> {
        let FileRow { path, oid, .. } = row;
        // The branch may have moved since: then the file is read as it is now.
        let oid = match opened.is_indexed {
            true => Oid::parse(&oid),
            false => opened.browser.searched_file(opened.head, &path)?,
        };
        let Some(oid) = oid else { return Ok((None, 0)) };
        let text = opened.browser.searched_text(oid, self.file_bytes)?;
        let Some(text) = text else { return Ok((None, 0)) };
        let found = self.query.file_match(&text, self.lines_max);
        let hit = found.map(|found| Hit { repository: opened.id, head: opened.head, path, found });
        Ok((hit, text.len()))
    }

    fn repository_of(hit: &Hit) -> RepositoryId {
        hit.repository
    }

    fn text_bytes(hit: &Hit) -> usize {
        let lines = hit.found.lines.iter().map(|line| line.excerpt.text_bytes());
        // A byte of a path that is not UTF-8 takes three.
        hit.path.len() * 3 + lines.sum::<usize>()
    }
}

impl Services {
    pub(super) async fn search_code(
        &self,
        who: Credential,
        permit: &SearchPermit,
        query: &Arc<SearchQuery>,
        scope: &RepositoryScope,
        below: i64,
        limit: usize,
    ) -> Result<FoundHits<CodeHit>, ServiceError> {
        let files = Files {
            query: query.clone(),
            file_bytes: self.limits.search_code_file_bytes,
            lines_max: self.limits.search_code_lines,
        };
        // The ids of dense files are negative.
        let between = (i64::MIN, below);
        let found = self.search_repositories(who, permit, files, scope, between, limit).await?;
        let hits = found.hits.into_iter().map(shown).collect();
        Ok(FoundHits { hits, next: found.next, is_incomplete: found.is_incomplete })
    }
}

fn shown((found, hit): (SearchableRepository, Hit)) -> CodeHit {
    let line = |MatchedLine { number, excerpt }: MatchedLine| CodeLine {
        number,
        text: excerpt.text,
        highlights: excerpt.highlights.into_iter().map(|range| [range.start, range.end]).collect(),
    };
    CodeHit {
        repository_id: hit.repository,
        repository: found.path,
        path: path_text::escaped(&hit.path),
        branch: found.repository.default_branch.clone(),
        commit_oid: hit.head.to_string(),
        lines: hit.found.lines.into_iter().map(line).collect(),
        line_count: hit.found.line_count,
    }
}
