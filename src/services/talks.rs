//! Messages about lines of a file.

use std::collections::BTreeMap;

use super::{ServiceError, Services};
use crate::actors::cache::{ChatReader, RepositoryView};
use crate::core::saturate;
use crate::domain::access::Credential;
use crate::domain::code_talk::CodeTalk;
use crate::domain::ids::MessageId;
use crate::domain::page::Page;
use crate::git::browse::{BrowseLimits, Browser, Oid};
use crate::storage::queries::code_talks;

/// Maximum number of messages in a page.
const TALKS_PER_PAGE: usize = 200;
/// Maximum number of commits of a page whose file is compared with the shown one.
const COMMITS_COMPARED_MAX: usize = 16;

/// Which commits have the same file as the shown one.
#[derive(Debug, Default)]
pub struct SameFiles {
    /// By commit. A commit that was not compared is absent.
    pub known: BTreeMap<Oid, bool>,
    /// Whether a limit ended the comparison, so that a later answer may have more.
    pub is_cut: bool,
}

impl Services {
    /// Returns the messages about a file with ids below `before`, newest first.
    ///
    /// They state who wrote in the channel, and when. So readers of the repository must also be
    /// allowed to read chats.
    pub async fn talks(
        &self,
        who: Credential,
        view: &RepositoryView,
        path: String,
        before: Option<MessageId>,
    ) -> Result<Page<CodeTalk>, ServiceError> {
        self.cache.ask(who, ChatReader).await?;
        let (repository, below) = (view.repository.id, before.unwrap_or(MessageId(i64::MAX)));
        let count = saturate::to_i64(TALKS_PER_PAGE + 1);
        let read = self
            .readers
            .read(view.holder, move |db| code_talks::of_path(db, repository, &path, below, count));
        Ok(Page::take(read.await?, TALKS_PER_PAGE))
    }

    /// Returns which commits of the talks have the same file as `shown`. The newest commits are
    /// compared, within the limits of a detail.
    pub async fn same_files(
        &self,
        view: &RepositoryView,
        path: String,
        shown: Oid,
        talks: &[CodeTalk],
    ) -> Result<SameFiles, ServiceError> {
        let mut commits: Vec<Oid> = Vec::new();
        for oid in talks.iter().filter_map(|talk| Oid::parse(&talk.oid)) {
            if commits.len() < COMMITS_COMPARED_MAX && !commits.contains(&oid) {
                commits.push(oid);
            }
        }
        if commits.is_empty() {
            return Ok(SameFiles::default());
        }
        let question = move |browser: &Browser| {
            let known = browser.same_files(shown, &path, &commits);
            Ok(SameFiles { is_cut: known.len() < commits.len(), known })
        };
        let work = self.browsing_within(view, BrowseLimits::of_a_detail(), question);
        self.git.walking(view.client(), work).await?
    }
}
