//! The search: messages in chats that the caller may read, and users.
//!
//! * `messages` finds messages.
//! * `cursor` seals the place at which a search continues.

mod cursor;
mod messages;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use messages::MessagesFound;

use super::{ServiceError, Services};
use crate::actors::search::{IndexComparison, SearchOutcome};
use crate::core::saturate;
use crate::domain::access::Credential;
use crate::domain::ids::MessageId;
use crate::domain::search::SearchQuery;
use crate::protocol::code::Code;
use crate::protocol::found::{Found, FoundPeople, FoundPerson};

/// Longer texts are not the beginning of a user's name.
const PREFIX_BYTES_MAX: usize = 64;
/// The name of the group of messages.
const MESSAGES: &str = "messages";
/// The name of the group of users.
const PEOPLE: &str = "people";

/// A request to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    /// The query as the user wrote it.
    text: String,
    query: Arc<SearchQuery>,
    groups: Groups,
    limit: usize,
}

/// The requested groups. Only the search of a single group can continue at a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Groups {
    All,
    /// Messages from this cursor on.
    Messages(Option<String>),
    /// Users above this name.
    People(String),
}

impl SearchRequest {
    /// Parses a request. `groups` is a list of groups, separated by commas; `None`: all.
    ///
    /// # Errors
    /// `validation` if the query is invalid, `bad_request` if `groups` is.
    pub fn parse(
        text: &str,
        groups: Option<&str>,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<Self, ServiceError> {
        let query = Arc::new(SearchQuery::parse(text)?);
        let bad = |detail: &str| ServiceError::new(Code::BadRequest, detail);
        let names: HashSet<&str> = match groups {
            Some(groups) => groups.split(',').map(str::trim).collect(),
            None => HashSet::from([MESSAGES, PEOPLE]),
        };
        if names.iter().any(|name| ![MESSAGES, PEOPLE].contains(name)) {
            return Err(bad("in must be messages, people, or both, separated by a comma"));
        }
        let groups = match (names.contains(MESSAGES), names.contains(PEOPLE), cursor) {
            (true, true, None) => Groups::All,
            (true, true, Some(_)) => return Err(bad("cursor needs exactly one group in `in`")),
            (true, false, cursor) => Groups::Messages(cursor),
            (false, _, cursor) => Groups::People(cursor.unwrap_or_default()),
        };
        Ok(Self { text: text.to_owned(), query, groups, limit })
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
            Ok(Found { messages: Some(messages), .. }) if messages.hits.is_empty() => SearchOutcome::Empty,
            Ok(_) => SearchOutcome::Found,
            Err(error) if error.code == Code::Internal => SearchOutcome::Failed,
            Err(_) => SearchOutcome::Refused,
        };
        self.searches.searched(outcome, took);
        Ok(Found { took_ms: saturate::millis(took), ..found? })
    }

    async fn search_groups(&self, who: Credential, request: SearchRequest) -> Result<Found, ServiceError> {
        self.rates.search(who.user)?;
        let SearchRequest { text, query, groups, limit } = request;
        let (below, after) = match groups {
            Groups::All => (Some(MessageId(i64::MAX)), Some(String::new())),
            Groups::Messages(None) => (Some(MessageId(i64::MAX)), None),
            Groups::Messages(Some(cursor)) => {
                let at = cursor::open(self.tokens.cursors(), who.user, &text, &cursor);
                let invalid = || ServiceError::new(Code::BadRequest, "cursor must be `next` of a page");
                (Some(at.ok_or_else(invalid)?), None)
            }
            Groups::People(after) => (None, Some(after)),
        };
        // One search of a user runs at a time.
        let permit = self.search.begin(who).await?;
        let mut found = Found::default();
        if let Some(after) = after {
            let is_alone = below.is_none();
            match self.search_people(who, &query, after, limit).await {
                Ok(people) => found.people = Some(people),
                // The rate of lookups does not apply to messages.
                Err(error) if error.code == Code::RateLimited && !is_alone => {
                    found.people = Some(FoundPeople::default());
                    found.incomplete.push(PEOPLE.to_owned());
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(below) = below {
            let MessagesFound { mut messages, next, is_incomplete } =
                self.search_messages(who, &permit, &query, below, limit).await?;
            messages.next = next.and_then(|at| cursor::seal(self.tokens.cursors(), who.user, &text, at));
            found.messages = Some(messages);
            found.incomplete.extend(is_incomplete.then(|| MESSAGES.to_owned()));
        }
        Ok(found)
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

    /// Brings the search index up to date and returns how it differs from the database. The list is
    /// empty if it does not differ, or could not be compared.
    pub async fn compare_search_index(&self) -> Vec<String> {
        match self.search.compare().await {
            Ok(IndexComparison::Differences(differences)) => differences,
            Ok(IndexComparison::Skipped) | Err(_) => Vec::new(),
        }
    }
}
