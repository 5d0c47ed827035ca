//! The search: messages in chats that the caller may read, and users.
//!
//! The index proposes messages. Each is read from the database, and compared with the query and
//! the caller's chats before it is shown. The permissions are checked again at the end: a result
//! contains nothing that the caller could not read when the search ended.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::{ServiceError, Services};
use crate::actors::cache::{FoundChats, FoundPlaces, SearchScope, SearchableChats};
use crate::actors::search::{FindMessages, IndexComparison, SearchOutcome};
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::domain::message::Message;
use crate::domain::search::{Candidates, Condition, Excerpt, SearchQuery, chat_term, sender_term};
use crate::protocol::code::Code;
use crate::protocol::found::{Found, FoundMessages, FoundPeople, FoundPerson, MessageHit};
use crate::storage::queries::messages;

/// Up to this number of chats, the index finds only messages in them. With more chats it skips the
/// messages of others.
const CHATS_IN_QUERY_MAX: usize = 64;
/// Candidates that are read together.
const CANDIDATES_MIN: usize = 20;
const CANDIDATES_MAX: usize = 200;
/// Longer texts are not the beginning of a user's name.
const PREFIX_BYTES_MAX: usize = 64;
/// The name of the group of messages.
const MESSAGES: &str = "messages";
/// The name of the group of users.
const PEOPLE: &str = "people";

/// A request to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    query: Arc<SearchQuery>,
    groups: Groups,
    limit: usize,
}

/// The requested groups. Only the search of a single group can continue at a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Groups {
    All,
    /// Messages below this one.
    Messages(MessageId),
    /// Users above this name.
    People(String),
}

impl SearchRequest {
    /// Parses a request. `groups` is a list of groups, separated by commas; `None`: all.
    ///
    /// # Errors
    /// `validation` if the query is invalid, `bad_request` if `groups` or `cursor` is.
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
            (true, false, None) => Groups::Messages(MessageId(i64::MAX)),
            (true, false, Some(cursor)) => {
                let id = cursor.parse().map_err(|_| bad("cursor must be `next` of a page"))?;
                Groups::Messages(MessageId(id))
            }
            (false, _, cursor) => Groups::People(cursor.unwrap_or_default()),
        };
        Ok(Self { query, groups, limit })
    }
}

/// A message that matches, before the last check of permissions.
struct Hit {
    message: Message,
    excerpt: Excerpt,
}

/// The chats and senders of the hits of a search.
#[derive(Debug)]
struct Reach {
    chats: HashSet<ChatId>,
    /// Empty: any sender.
    senders: HashSet<UserId>,
}

impl Reach {
    fn of(scope: &SearchableChats) -> Self {
        Self {
            chats: scope.chats.iter().copied().collect(),
            senders: scope.senders.iter().copied().collect(),
        }
    }

    /// Returns the message if it is a hit now, whatever the index has of it.
    fn check(&self, query: &SearchQuery, message: Message) -> Option<Hit> {
        let is_from = self.senders.is_empty() || self.senders.contains(&message.sender_id);
        if message.deleted || !is_from || !self.chats.contains(&message.chat_id) {
            return None;
        }
        let ranges = query.highlights(&message.content, message.pinned, message.created_at)?;
        let excerpt = Excerpt::of(&message.content, &ranges);
        Some(Hit { message, excerpt })
    }
}

/// The messages found, and whether more may exist that a limit has excluded.
#[derive(Default)]
struct MessagesFound {
    messages: FoundMessages,
    is_incomplete: bool,
}

impl Services {
    /// Searches the requested groups.
    ///
    /// # Errors
    /// `rate_limited`, and those of the queries.
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
        let SearchRequest { query, groups, limit } = request;
        let (below, after) = match groups {
            Groups::All => (Some(MessageId(i64::MAX)), Some(String::new())),
            Groups::Messages(below) => (Some(below), None),
            Groups::People(after) => (None, Some(after)),
        };
        let mut found = Found::default();
        if let Some(after) = after {
            found.people = Some(self.search_people(who, &query, after, limit).await?);
        }
        if let Some(below) = below {
            let MessagesFound { messages, is_incomplete } =
                self.search_messages(who, &query, below, limit).await?;
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

    async fn search_messages(
        &self,
        who: Credential,
        query: &Arc<SearchQuery>,
        below: MessageId,
        limit: usize,
    ) -> Result<MessagesFound, ServiceError> {
        let names = SearchScope { from: query.from.clone(), chats: query.chats.clone() };
        let scope = self.cache.ask(who, names).await?;
        // Names that do not exist find nothing, as names that the caller may not know.
        if scope.chats.is_empty() || (scope.senders.is_empty() && !query.from.is_empty()) {
            return Ok(MessagesFound::default());
        }
        let (candidates, among) = conditions(query, &scope);
        let reach = Arc::new(Reach::of(&scope));
        let (above, before) = self.ids_in_time(who, query).await?;
        let mut below = below.min(before);
        let checked_max = self.limits.search_checked;
        let (mut hits, mut checked, mut is_incomplete) = (Vec::new(), 0, false);
        let next = loop {
            let wanted = (limit + 1).saturating_sub(hits.len()).clamp(CANDIDATES_MIN, CANDIDATES_MAX);
            let find = FindMessages {
                candidates: candidates.clone(),
                among: among.clone(),
                above,
                below,
                limit: wanted.min(checked_max - checked).max(1),
            };
            let found = self.search.find(who, find).await?;
            is_incomplete |= !found.is_built;
            checked += found.ids.len();
            hits.append(&mut self.check_candidates(who, query, &reach, found.ids).await?);
            if hits.len() > limit {
                hits.truncate(limit);
                break hits.last().map(|hit: &Hit| hit.message.id);
            }
            let Some(next) = found.next else { break None };
            below = next;
            if found.is_cut || checked >= checked_max {
                is_incomplete = true;
                break Some(next);
            }
        };
        let hits = self.readable(who, hits).await?;
        let messages = FoundMessages { hits, next: next.map(|id| id.to_string()) };
        Ok(MessagesFound { messages, is_incomplete })
    }

    /// Returns the ids above and below which messages were sent in the time of the query.
    async fn ids_in_time(
        &self,
        who: Credential,
        query: &SearchQuery,
    ) -> Result<(MessageId, MessageId), ServiceError> {
        let (after, before) = (query.after, query.before);
        let (mut above, mut below) = (MessageId(0), MessageId(i64::MAX));
        if after.is_none() && before.is_none() {
            return Ok((above, below));
        }
        let read = self.readers.read(Holder::Account(who.user), move |db| {
            let after = after.map(|after| messages::first_id_at(db, after)).transpose()?;
            Ok((after, before.map(|before| messages::first_id_at(db, before)).transpose()?))
        });
        let (first, end) = read.await?;
        above = first.map_or(above, |first| MessageId(first.0.saturating_sub(1)));
        below = end.unwrap_or(below);
        Ok((above, below))
    }

    /// Reads candidates, and returns the hits among them, the newest first.
    async fn check_candidates(
        &self,
        who: Credential,
        query: &Arc<SearchQuery>,
        reach: &Arc<Reach>,
        ids: Vec<MessageId>,
    ) -> Result<Vec<Hit>, ServiceError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (query, reach) = (query.clone(), reach.clone());
        let read = self.readers.read(Holder::Account(who.user), move |db| {
            let mut found = messages::by_ids(db, &ids)?;
            found.sort_unstable_by_key(|message| Reverse(message.id));
            Ok(found.into_iter().filter_map(|message| reach.check(&query, message)).collect())
        });
        Ok(read.await?)
    }

    /// Returns the hits that the caller may still read.
    async fn readable(&self, who: Credential, hits: Vec<Hit>) -> Result<Vec<MessageHit>, ServiceError> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let places = hits.iter().map(|hit| (hit.message.chat_id, hit.message.sender_id)).collect();
        let found = self.cache.ask(who, FoundPlaces { places }).await?;
        Ok(hits.into_iter().filter_map(|hit| shown(hit, &found)).collect())
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

/// Returns the conditions for the index, and the chats to select if there are too many for a
/// condition.
fn conditions(
    query: &SearchQuery,
    scope: &SearchableChats,
) -> (Arc<Candidates>, Option<Arc<HashSet<ChatId>>>) {
    let mut candidates = query.candidates();
    if !scope.senders.is_empty() {
        candidates.all.push(Condition::AnyOf(scope.senders.iter().map(|id| sender_term(*id)).collect()));
    }
    if scope.chats.len() <= CHATS_IN_QUERY_MAX || candidates.all.is_empty() {
        candidates.all.push(Condition::AnyOf(scope.chats.iter().map(|id| chat_term(*id)).collect()));
        return (Arc::new(candidates), None);
    }
    (Arc::new(candidates), Some(Arc::new(scope.chats.iter().copied().collect())))
}

fn shown(hit: Hit, found: &FoundChats) -> Option<MessageHit> {
    let Hit { message, excerpt } = hit;
    let sender = found.senders.get(&message.sender_id)?;
    Some(MessageHit {
        chat: found.chats.get(&message.chat_id)?.clone(),
        message_id: message.id,
        seq: message.seq,
        sender_id: message.sender_id,
        sender: sender.username.clone(),
        created_at: message.created_at,
        edited_at: message.edited_at,
        thread_id: message.thread_id,
        pinned: message.pinned,
        excerpt: excerpt.text,
        highlights: excerpt.highlights.into_iter().map(|range| [range.start, range.end]).collect(),
    })
}
