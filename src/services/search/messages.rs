//! The search for messages.
//!
//! The index proposes messages. Each is read from the database, and compared with the query and
//! the caller's chats before it is shown. The permissions are checked again at the end: a result
//! contains nothing that the caller could not read when the search ended.
//!
//! All steps of a search share one [`Budget`]. A search that exceeds it ends with the hits so far.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::Budget;
use crate::actors::cache::{FoundChats, FoundPlaces, SearchScope, SearchableChats};
use crate::actors::search::{FindMessages, FoundCandidates, SearchPermit};
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::domain::message::Message;
use crate::domain::search::{
    Candidates, Condition, Excerpt, MessageTraits, SearchQuery, chat_term, sender_term,
};
use crate::domain::timestamp::Timestamp;
use crate::protocol::code::Code;
use crate::protocol::found::{FoundMessages, MessageHit};
use crate::services::{ServiceError, Services};
use crate::storage::queries::messages;
use crate::storage::readers::ReadError;

/// Up to this number of chats, the index finds only messages in them. With more chats it skips the
/// messages of others.
const CHATS_IN_QUERY_MAX: usize = 64;
/// Ids are assumed to rise with the time of sending, except that the clock may have been set back
/// by so much. The exact times are compared with each message.
const CLOCK_MARGIN_MS: i64 = 3_600_000;

/// The messages found, and whether more may exist that a limit has excluded.
#[derive(Default)]
pub(super) struct MessagesFound {
    /// Without `next`.
    pub(super) messages: FoundMessages,
    /// The search continues below this id, which may be that of any message.
    pub(super) next: Option<MessageId>,
    pub(super) is_incomplete: bool,
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
    /// `None`: any sender.
    senders: Option<HashSet<UserId>>,
}

impl Reach {
    fn of(query: &SearchQuery, scope: &SearchableChats) -> Self {
        let senders = || scope.senders.iter().copied().collect();
        Self { chats: scope.chats.iter().copied().collect(), senders: (!query.from.is_empty()).then(senders) }
    }

    /// Returns the message if it is a hit now, whatever the index has of it.
    fn check(&self, query: &SearchQuery, message: Message) -> Option<Hit> {
        let is_from = self.senders.as_ref().is_none_or(|senders| senders.contains(&message.sender_id));
        if message.deleted || !is_from || !self.chats.contains(&message.chat_id) {
            return None;
        }
        let traits = MessageTraits { pinned: message.pinned, has_files: !message.files.is_empty() };
        let ranges = query.highlights(&message.content, traits, message.created_at)?;
        let excerpt = match message.content.is_empty() {
            false => Excerpt::of(&message.content, &ranges),
            // A message without a text is shown by its files.
            true => Excerpt::of(&names_of_files(&message), &[]),
        };
        Some(Hit { message, excerpt })
    }
}

/// Candidates that were compared with the query.
#[derive(Default)]
struct Checked {
    hits: Vec<Hit>,
    bytes: usize,
    took: Duration,
    /// The budget ended after this message.
    cut: Option<MessageId>,
}

/// Compares candidates, the newest first, until the budget ends. At least one is compared.
fn check(query: &SearchQuery, reach: &Reach, mut candidates: Vec<Message>, budget: Budget) -> Checked {
    let begun = Instant::now();
    candidates.sort_unstable_by_key(|message| Reverse(message.id));
    let mut checked = Checked::default();
    let mut last = None;
    for message in candidates {
        let is_over = checked.bytes >= budget.bytes || begun.elapsed() >= budget.check_time;
        if last.is_some() && is_over {
            checked.cut = last;
            break;
        }
        last = Some(message.id);
        checked.bytes += message.content.len();
        checked.hits.extend(reach.check(query, message));
    }
    checked.took = begun.elapsed();
    checked
}

impl Services {
    pub(super) async fn search_messages(
        &self,
        who: Credential,
        permit: &SearchPermit,
        query: &Arc<SearchQuery>,
        below: MessageId,
        limit: usize,
    ) -> Result<MessagesFound, ServiceError> {
        let names = SearchScope { from: query.from.clone(), chats: query.chats.clone() };
        let scope = self.cache.ask(who, names).await?;
        // Chats that do not exist, and those that the caller may not know.
        if scope.chats.is_empty() {
            return Ok(MessagesFound::default());
        }
        let (candidates, among) = conditions(query, &scope);
        let reach = Arc::new(Reach::of(query, &scope));
        let (above, before) = self.ids_in_time(who, query).await?;
        let start = below.min(before);
        let mut below = start;
        let mut budget = Budget::new(&self.limits);
        let (mut hits, mut is_incomplete) = (Vec::new(), false);
        let next = loop {
            if budget.is_used_up() {
                is_incomplete = true;
                break Some(below);
            }
            let find = FindMessages {
                candidates: candidates.clone(),
                among: among.clone(),
                above,
                below,
                limit: budget.candidates((limit + 1).saturating_sub(hits.len())),
                rows: budget.rows,
                time: budget.time,
            };
            let step = self.search_step(who, permit, query, &reach, find, &mut budget).await;
            let (found, checked) = match step {
                Ok(step) => step,
                // The hits so far are worth more than a refusal.
                Err(error) if error.code == Code::Overloaded && below < start => {
                    is_incomplete = true;
                    break Some(below);
                }
                Err(error) => return Err(error),
            };
            is_incomplete |= !found.is_current;
            hits.extend(checked.hits);
            if hits.len() > limit {
                hits.truncate(limit);
                break hits.last().map(|hit: &Hit| hit.message.id);
            }
            let Some(next) = checked.cut.or(found.next) else { break None };
            below = next;
            if found.is_cut || checked.cut.is_some() {
                is_incomplete = true;
                break Some(next);
            }
        };
        let messages = FoundMessages { hits: self.readable_hits(who, hits).await?, next: None };
        // A cursor at the start would find the same again, without an end.
        Ok(MessagesFound { messages, next: next.filter(|next| *next < start), is_incomplete })
    }

    /// Finds candidates and compares them.
    async fn search_step(
        &self,
        who: Credential,
        permit: &SearchPermit,
        query: &Arc<SearchQuery>,
        reach: &Arc<Reach>,
        find: FindMessages,
        budget: &mut Budget,
    ) -> Result<(FoundCandidates, Checked), ServiceError> {
        let mut found = self.search.find(permit, find).await?;
        budget.found(found.rows, found.took, found.ids.len());
        let ids = std::mem::take(&mut found.ids);
        if ids.is_empty() {
            return Ok((found, Checked::default()));
        }
        let read = self.readers.read(Holder::Account(who.user), move |db| messages::by_ids(db, &ids));
        // The place at the readers is free again: the comparison uses the processor only.
        let candidates = read.await?;
        let (query, reach, left) = (query.clone(), reach.clone(), *budget);
        let checking = tokio::task::spawn_blocking(move || check(&query, &reach, candidates, left));
        let checked = checking.await.map_err(ReadError::from)?;
        budget.compared(checked.bytes, checked.took);
        Ok((found, checked))
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
            let mut first_id = |time: Option<Timestamp>, margin: i64| {
                let at = time.map(|time| Timestamp(time.0.saturating_add(margin)));
                at.map(|at| messages::first_id_at(db, at)).transpose()
            };
            Ok((first_id(after, -CLOCK_MARGIN_MS)?, first_id(before, CLOCK_MARGIN_MS)?))
        });
        let (first, end) = read.await?;
        above = first.map_or(above, |first| MessageId(first.0.saturating_sub(1)));
        below = end.unwrap_or(below);
        Ok((above, below))
    }

    /// Returns the hits that the caller may still read.
    async fn readable_hits(&self, who: Credential, hits: Vec<Hit>) -> Result<Vec<MessageHit>, ServiceError> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let places = hits.iter().map(|hit| (hit.message.chat_id, hit.message.sender_id)).collect();
        let found = self.cache.ask(who, FoundPlaces { places }).await?;
        Ok(hits.into_iter().filter_map(|hit| shown(hit, &found)).collect())
    }
}

/// Returns the conditions for the index, and the chats to select if there are too many for a
/// condition.
fn conditions(
    query: &SearchQuery,
    scope: &SearchableChats,
) -> (Arc<Candidates>, Option<Arc<HashSet<ChatId>>>) {
    let mut candidates = query.candidates();
    if !query.from.is_empty() {
        // Names that do not exist give a condition that is never met.
        candidates.all.push(Condition::AnyOf(scope.senders.iter().map(|id| sender_term(*id)).collect()));
    }
    if scope.chats.len() <= CHATS_IN_QUERY_MAX {
        candidates.all.push(Condition::AnyOf(scope.chats.iter().map(|id| chat_term(*id)).collect()));
        return (Arc::new(candidates), None);
    }
    (Arc::new(candidates), Some(Arc::new(scope.chats.iter().copied().collect())))
}

fn names_of_files(message: &Message) -> String {
    message.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ")
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
