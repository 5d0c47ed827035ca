//! Messages about lines of a file.

use std::collections::HashMap;

use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::core::saturate;
use crate::domain::code_talk::CodeTalk;
use crate::domain::ids::MessageId;
use crate::domain::page::Page;
use crate::git::browse::Oid;
use crate::storage::queries::code_talks;

/// Maximum number of messages in a page.
const TALKS_PER_PAGE: usize = 200;
/// Maximum number of commits of a page whose file is compared with the shown one.
const COMMITS_COMPARED_MAX: usize = 64;

/// A message about lines of a file.
#[derive(Debug)]
pub struct FoundTalk {
    pub talk: CodeTalk,
    /// Whether the file has the same content at the commit that was asked about, so that the lines
    /// are the same. `None`: no commit was asked about.
    pub is_unchanged: Option<bool>,
}

impl Services {
    /// Returns the messages about a file with ids below `before`, newest first. `shown`: the commit
    /// whose file they are compared with.
    pub async fn talks(
        &self,
        view: &RepositoryView,
        path: String,
        before: Option<MessageId>,
        shown: Option<Oid>,
    ) -> Result<Page<FoundTalk>, ServiceError> {
        let (repository, below) = (view.repository.id, before.unwrap_or(MessageId(i64::MAX)));
        let (file, count) = (path.clone(), saturate::to_i64(TALKS_PER_PAGE + 1));
        let read = self
            .readers
            .read(view.holder, move |db| code_talks::of_path(db, repository, &file, below, count));
        let found = Page::take(read.await?, TALKS_PER_PAGE);
        let Some(shown) = shown else {
            let items = found.items.into_iter().map(|talk| FoundTalk { talk, is_unchanged: None }).collect();
            return Ok(Page { items, has_more: found.has_more });
        };
        let same = self.same_files(view, path, shown, &found.items).await?;
        let compared = |talk: CodeTalk| {
            let is_unchanged = Some(same.get(&talk.oid).copied().unwrap_or(false));
            FoundTalk { talk, is_unchanged }
        };
        Ok(Page { items: found.items.into_iter().map(compared).collect(), has_more: found.has_more })
    }

    /// Returns for the commits of the talks whether they have the same file as `shown`. The newest
    /// commits are compared; the others are left out.
    async fn same_files(
        &self,
        view: &RepositoryView,
        path: String,
        shown: Oid,
        talks: &[CodeTalk],
    ) -> Result<HashMap<String, bool>, ServiceError> {
        let own = shown.to_string();
        let mut others: Vec<Oid> = Vec::new();
        for oid in talks.iter().filter(|talk| talk.oid != own).filter_map(|talk| Oid::parse(&talk.oid)) {
            if others.len() < COMMITS_COMPARED_MAX && !others.contains(&oid) {
                others.push(oid);
            }
        }
        let mut same = HashMap::from([(own, true)]);
        if others.is_empty() {
            return Ok(same);
        }
        let compared = self
            .ask_browser(view, move |browser| {
                let here = browser.file_id(shown, &path);
                let is_same = |oid: &Oid| here.is_some() && browser.file_id(*oid, &path) == here;
                Ok(others.iter().map(|oid| (oid.to_string(), is_same(oid))).collect::<Vec<_>>())
            })
            .await?;
        same.extend(compared);
        Ok(same)
    }
}
