//! The search: messages in chats that the caller may read, files and commits of repositories that
//! the caller may read, and users.
//!
//! * `messages` finds messages.
//! * `repositories` finds rows of repositories: `code` files, `commits` commits.
//! * `budget` limits a search, `cursor` seals the place at which it continues.

mod budget;
mod code;
mod commits;
mod cursor;
mod messages;
mod repositories;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use messages::MessagesFound;
use repositories::FoundHits;

use super::{ServiceError, Services};
use crate::actors::search::{IndexComparison, SearchOutcome, SearchPermit};
use crate::core::saturate;
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::ids::MessageId;
use crate::domain::refusal::Refusal;
use crate::domain::search::{SearchGroup, SearchQuery};
use crate::protocol::code::Code;
use crate::protocol::found::{Found, FoundCode, FoundCommits, FoundPeople, FoundPerson};

/// Longer texts are not the beginning of a user's name.
const PREFIX_BYTES_MAX: usize = 64;

/// A request to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    /// The query as the user wrote it.
    text: String,
    query: Arc<SearchQuery>,
    /// Groups that can answer the query.
    groups: BTreeSet<SearchGroup>,
    /// Only with a single group.
    cursor: Option<String>,
    limit: usize,
}

impl SearchRequest {
    /// Parses a request. `groups` is a list of groups, separated by commas; `None`: all. Of several
    /// groups, those that cannot answer the query are left out.
    ///
    /// # Errors
    /// `validation` if the query is invalid, or if no requested group can answer it; `bad_request`
    /// if `groups` is invalid.
    pub fn parse(
        text: &str,
        groups: Option<&str>,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<Self, ServiceError> {
        let query = Arc::new(SearchQuery::parse(text)?);
        let bad = |detail: &str| ServiceError::new(Code::BadRequest, detail);
        let named = |name: &str| {
            let unknown =
                "in must be messages, code, commits, people, or several of them, separated by commas";
            SearchGroup::named(name.trim()).ok_or_else(|| bad(unknown))
        };
        let requested: BTreeSet<SearchGroup> = match groups {
            Some(groups) => groups.split(',').map(named).collect::<Result<_, _>>()?,
            None => SearchGroup::ALL.into_iter().collect(),
        };
        if requested.len() > 1 && cursor.is_some() {
            return Err(bad("cursor needs exactly one group in `in`"));
        }
        let refused = requested.iter().filter_map(|group| Some((*group, query.refusal(*group)?)));
        let refused: Vec<_> = refused.collect();
        let mut groups = requested.clone();
        groups.retain(|group| refused.iter().all(|(other, _)| other != group));
        // A search for users has no filters: it alone would hide that the others were refused.
        if let Some((_, reason)) = refused.first()
            && groups.iter().all(|group| *group == SearchGroup::People)
        {
            return Err(Refusal::invalid("q", reason).into());
        }
        Ok(Self { text: text.to_owned(), query, groups, cursor, limit })
    }

    fn has(&self, group: SearchGroup) -> bool {
        self.groups.contains(&group)
    }

    fn is_only(&self, group: SearchGroup) -> bool {
        self.groups.len() == 1 && self.has(group)
    }
}

impl Services {
    /// Searches the requested groups.
    ///
    /// # Errors
    /// `rate_limited`, `bad_request` if the cursor is not one of this search, and those of the
    /// queries.
    pub async fn search(&self, who: Credential, request: SearchRequest) -> Result<Found, ServiceError> {
        let begun = Instant::now();
        let found = self.search_groups(who, request).await;
        let took = begun.elapsed();
        let outcome = match &found {
            Ok(found) if !found.incomplete.is_empty() => SearchOutcome::Incomplete,
            Ok(found) if found.is_empty() => SearchOutcome::Empty,
            Ok(_) => SearchOutcome::Found,
            Err(error) if error.code == Code::Internal => SearchOutcome::Failed,
            Err(_) => SearchOutcome::Refused,
        };
        self.searches.searched(outcome, took);
        Ok(Found { took_ms: saturate::millis(took), ..found? })
    }

    async fn search_groups(&self, who: Credential, request: SearchRequest) -> Result<Found, ServiceError> {
        self.rates.search(who.user)?;
        let below = self.place_of(who, &request)?;
        // One search of a user runs at a time.
        let permit = self.search.begin(who).await?;
        let mut found = Found::default();
        if request.has(SearchGroup::People) {
            let is_alone = request.is_only(SearchGroup::People);
            let after = request.cursor.clone().filter(|_| is_alone).unwrap_or_default();
            match self.search_people(who, &request.query, after, request.limit).await {
                Ok(people) => found.people = Some(people),
                // The rate of lookups does not apply to the other groups.
                Err(error) if error.code == Code::RateLimited && !is_alone => {
                    found.people = Some(FoundPeople::default());
                    found.incomplete.push(SearchGroup::People.name().to_owned());
                }
                Err(error) => return Err(error),
            }
        }
        if request.has(SearchGroup::Messages) {
            let MessagesFound { mut messages, next, is_incomplete } =
                self.search_messages(who, &permit, &request.query, MessageId(below), request.limit).await?;
            messages.next = next.and_then(|at| self.seal(who, SearchGroup::Messages, &request.text, at.0));
            found.messages = Some(messages);
            found.incomplete.extend(is_incomplete.then(|| SearchGroup::Messages.name().to_owned()));
        }
        self.search_in_repositories(who, &permit, &request, below, &mut found).await?;
        Ok(found)
    }

    async fn search_in_repositories(
        &self,
        who: Credential,
        permit: &SearchPermit,
        request: &SearchRequest,
        below: i64,
        found: &mut Found,
    ) -> Result<(), ServiceError> {
        let SearchRequest { text, query, limit, .. } = request;
        if !request.has(SearchGroup::Code) && !request.has(SearchGroup::Commits) {
            return Ok(());
        }
        let scope = self.repository_scope(who, &query.repositories).await;
        if request.has(SearchGroup::Code) {
            let search = async {
                let scope = scope.as_ref().map_err(Clone::clone)?;
                self.search_code(who, permit, query, scope, below, *limit).await
            };
            let search = search.await;
            let FoundHits { hits, next, is_incomplete } = or_nothing(search, request, SearchGroup::Code)?;
            let next = next.and_then(|at| self.seal(who, SearchGroup::Code, text, at));
            found.code = Some(FoundCode { hits, next });
            found.incomplete.extend(is_incomplete.then(|| SearchGroup::Code.name().to_owned()));
        }
        if request.has(SearchGroup::Commits) {
            let search = async {
                let scope = scope.as_ref().map_err(Clone::clone)?;
                self.search_commits(who, permit, query, scope, below, *limit).await
            };
            let search = search.await;
            let FoundHits { hits, next, is_incomplete } = or_nothing(search, request, SearchGroup::Commits)?;
            let next = next.and_then(|at| self.seal(who, SearchGroup::Commits, text, at));
            found.commits = Some(FoundCommits { hits, next });
            found.incomplete.extend(is_incomplete.then(|| SearchGroup::Commits.name().to_owned()));
        }
        Ok(())
    }

    /// Returns the id below which the search begins or continues.
    fn place_of(&self, who: Credential, request: &SearchRequest) -> Result<i64, ServiceError> {
        let group = request.groups.first().filter(|group| **group != SearchGroup::People);
        let (Some(group), Some(cursor)) = (group, &request.cursor) else { return Ok(i64::MAX) };
        let place = cursor::open(self.tokens.cursors(), who.user, *group, &request.text, cursor);
        place.ok_or_else(|| ServiceError::new(Code::BadRequest, "cursor must be `next` of a page"))
    }

    fn seal(&self, who: Credential, group: SearchGroup, text: &str, at: i64) -> Option<String> {
        cursor::seal(self.tokens.cursors(), who.user, group, text, at)
    }

    /// Returns users whose names begin with the query, if it has plain words only.
    async fn search_people(
        &self,
        who: Credential,
        query: &SearchQuery,
        after: String,
        limit: usize,
    ) -> Result<FoundPeople, ServiceError> {
        let prefix = query.plain.as_deref().map(|plain| plain.trim_start_matches('@').to_lowercase());
        let Some(prefix) = prefix.filter(|prefix| (1..=PREFIX_BYTES_MAX).contains(&prefix.len())) else {
            return Ok(FoundPeople::default());
        };
        let found = self.users_by_prefix(who, prefix, after, limit).await?;
        let hits = found.users.iter().map(|user| FoundPerson::from(&**user)).collect();
        Ok(FoundPeople { hits, next: found.next })
    }

    /// Brings the search index up to date and returns how it differs from the database.
    pub async fn compare_search_index(&self) -> IndexComparison {
        self.search.compare().await.unwrap_or(IndexComparison::Skipped)
    }
}

/// Returns an incomplete group for one that could not be searched now, beside others.
fn or_nothing<H>(
    found: Result<FoundHits<H>, ServiceError>,
    request: &SearchRequest,
    group: SearchGroup,
) -> Result<FoundHits<H>, ServiceError> {
    match found {
        Err(error) if matches!(error.code, Code::Overloaded | Code::Internal) && !request.is_only(group) => {
            if error.code == Code::Internal {
                tracing::error!(group = group.name(), error = %chain(&error), "a group could not be searched");
            }
            Ok(FoundHits { is_incomplete: true, ..FoundHits::default() })
        }
        found => found,
    }
}
