//! The upkeep of the index: reads the changes of chats, writes them, and removes what was deleted.
//!
//! One step runs at a time. Each ends with a message to the actor itself, so searches that arrived
//! meanwhile come first.

use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::actor::{Comparison, SearchActor, Work};
use super::code_reading::Expected;
use super::feed::{Removal, RemovalScope};
use super::messages::{
    AllRead, ChangesRead, ChatsChanged, CompareHeads, CompareIndex, Continue, IndexComparison, Kept, KeptRead,
};
use crate::actors::cache::{ChatHeads, SearchChanges};
use crate::actors::error::QueryError;
use crate::core::actor::Ask;
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::message::Message;
use crate::domain::search::{MessageTraits, message_terms};
use crate::storage::readers::ReadError;
use crate::storage::search_feed::{self, BatchLimit, ChatChanges, IndexedTo};
use crate::storage::search_index::{ChatUpdate, Document, Mark, SearchIndex};

/// Comparisons that are repeated because messages may have been sent meanwhile.
const COMPARISONS_MAX: usize = 3;
/// Files up to which an orderly stop compares the index with the repositories.
const FILES_COMPARED_MAX: usize = 500;
/// How often the size of the index is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(15);
/// Messages of a trimmed chat that are checked together.
const CHECKED_PER_SLICE: i64 = 128;

fn document(message: &Message) -> Document {
    let traits = MessageTraits { pinned: message.pinned, has_files: !message.files.is_empty() };
    let terms = message_terms(message.chat_id, message.sender_id, &message.content, traits);
    Document { id: message.id, terms }
}

/// Divides texts into terms on a blocking thread: the actor answers searches meanwhile.
async fn prepared<T: Send + 'static, P: Send + 'static>(
    read: Result<T, ReadError>,
    prepare: impl FnOnce(T) -> P + Send + 'static,
) -> Result<P, ReadError> {
    let read = read?;
    Ok(tokio::task::spawn_blocking(move || prepare(read)).await?)
}

fn kept(kept: &[Message], removed: Vec<MessageId>, (trimmed, mark): (Seq, Mark)) -> Kept {
    let last = kept.iter().map(|message| message.id).chain(removed.iter().copied()).max();
    let is_last = kept.iter().any(|message| message.seq > trimmed);
    let changed = kept.iter().filter(|message| message.updated_seq.is_some_and(|seq| seq > mark.seq));
    let (deleted, changed): (Vec<&Message>, Vec<_>) = changed.partition(|message| message.deleted);
    let removed = removed.into_iter().chain(deleted.into_iter().map(|message| message.id)).collect();
    Kept { documents: changed.into_iter().map(document).collect(), removed, last, is_last }
}

impl SearchActor {
    /// Requests the next changes from the cache, or all chats, after a pause.
    pub(super) fn follow(&mut self, all: bool, pause: Duration) {
        self.request += 1;
        let (own, cache, request) = (self.own.clone(), self.sources.cache.clone(), self.request);
        actix::spawn(async move {
            tokio::time::sleep(pause).await;
            let changed = cache.chat_heads(ChatHeads { all }).await;
            own.post(ChatsChanged { request, changed });
        });
    }

    /// Goes on after `limits.search_retry_ms`, and not before.
    pub(super) fn continue_later(&mut self) {
        let (own, generation) = (self.own.clone(), self.generation);
        let pause = self.retry_pause();
        self.paused_until = Some(Instant::now() + pause);
        actix::spawn(async move {
            tokio::time::sleep(pause).await;
            own.post(Continue { generation });
        });
    }

    /// Compares the index with the newest events of all chats after `limits.search_compare_ms`.
    pub(super) fn compare_heads_later(&self) {
        let (own, generation) = (self.own.clone(), self.generation);
        let pause = Duration::from_millis(self.sources.limits.search_compare_ms);
        actix::spawn(async move {
            tokio::time::sleep(pause).await;
            own.post(CompareHeads { generation });
        });
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn retry_pause(&self) -> Duration {
        Duration::from_millis(self.sources.limits.search_retry_ms)
    }

    fn continue_soon(&self) {
        self.own.post(Continue { generation: self.generation });
    }

    pub(super) fn chats_changed(&mut self, changed: Result<SearchChanges, QueryError>) {
        let now = Instant::now();
        match changed {
            Ok(changes) => {
                if changes.is_all {
                    self.feed.compare(&changes.chats, now);
                    if let Some(comparison) = &mut self.comparison {
                        comparison.is_current = true;
                    }
                } else {
                    changes.chats.iter().for_each(|head| self.feed.note(*head, now));
                }
                self.repositories_changed(changes, now);
            }
            // The cache was restarted.
            Err(_) => return self.follow(true, self.retry_pause()),
        }
        self.follow(false, Duration::ZERO);
        if self.work == Work::Idle {
            self.go_on();
        }
    }

    /// Begins the next step, or goes on with the one that is not finished, unless a failure was
    /// less than `limits.search_retry_ms` ago.
    pub(super) fn go_on(&mut self) {
        if self.is_paused() {
            return;
        }
        if self.index.is_none() {
            return self.open();
        }
        match self.work {
            Work::Reading | Work::Checking(_) | Work::Comparing => {}
            Work::Removing(removal) => self.remove_slice(removal),
            Work::Idle => {
                self.measure();
                let chats = self.feed.next();
                if chats.is_empty() { self.compare_if_requested() } else { self.read_changes(chats) }
            }
        }
    }

    fn read_changes(&mut self, chats: Vec<IndexedTo>) {
        self.work = Work::Reading;
        let (own, readers, generation) = (self.own.clone(), self.sources.readers.clone(), self.generation);
        self.reading = chats.iter().map(|indexed| indexed.chat).collect();
        let limits = &self.sources.limits;
        let limit = BatchLimit { rows: limits.search_batch, bytes: limits.search_batch_bytes };
        actix::spawn(async move {
            let read =
                readers.read(Holder::Operator, move |db| search_feed::changes(db, &chats, limit)).await;
            let read = prepared(read, |changes| {
                changes.into_iter().map(|(indexed, changes)| (indexed, changes.map(document))).collect()
            });
            own.post(ChangesRead { generation, read: read.await });
        });
    }

    pub(super) fn changes_read(&mut self, read: Result<Vec<(IndexedTo, ChatChanges<Document>)>, ReadError>) {
        self.work = Work::Idle;
        match read {
            Ok(changes) => self.write_changes(changes),
            Err(error) => self.read_failed(&error),
        }
    }

    fn read_failed(&mut self, error: &ReadError) {
        self.metrics.failures.inc();
        let chats: Vec<ChatId> = std::mem::take(&mut self.reading);
        let is_of_rows = matches!(error, ReadError::Database(_) | ReadError::Task(_)) && !error.is_away();
        let skipped = if is_of_rows && !chats.is_empty() { self.feed.unreadable(&chats) } else { None };
        match skipped {
            Some(chat) => {
                error!(%chat, error = %chain(error), "a chat cannot be read for the search index: its newest messages are not found")
            }
            None => {
                warn!(error = %chain(error), "the changes for the search index could not be read; they are read again")
            }
        }
        self.work = Work::Idle;
        self.refuse_comparison();
        self.continue_later();
    }

    fn write_changes(&mut self, changes: Vec<(IndexedTo, ChatChanges<Document>)>) {
        let Some(index) = &mut self.index else { return };
        let (mut updates, mut heads, mut removal) = (Vec::new(), Vec::new(), None);
        for (indexed, changes) in changes {
            let chat = indexed.chat;
            match changes {
                ChatChanges::Changes { to, head, messages: documents, removed } => {
                    let mark = Mark { seq: to, trimmed: indexed.trimmed };
                    updates.push(ChatUpdate { chat, documents, removed, mark: Some(mark) });
                    heads.push((chat, mark, head));
                }
                // The others of these chats are read again afterwards.
                ChatChanges::Trimmed { trimmed, head } => {
                    let scope = RemovalScope::Trimmed { trimmed, head };
                    removal.get_or_insert(Removal { chat, after: MessageId(0), scope });
                }
                ChatChanges::Gone => {
                    removal.get_or_insert(Removal { chat, after: MessageId(0), scope: RemovalScope::All });
                }
                ChatChanges::Older => {
                    error!(%chat, "the search index is newer than the database and is built again");
                    self.index = None;
                    if let Err(failure) = SearchIndex::remove(&self.sources.path) {
                        error!(error = %failure, "the search index could not be deleted");
                        return self.continue_later();
                    }
                    return self.open();
                }
            }
        }
        if let Err(failure) = index.apply(&updates) {
            return self.index_failed(&failure);
        }
        let documents: usize = updates.iter().map(|update| update.documents.len()).sum();
        self.metrics.indexed.inc_by(saturate::to_u64(documents));
        let now = Instant::now();
        for (chat, mark, head) in heads {
            self.feed.indexed(chat, mark, head, now);
        }
        if let Some(removal) = removal {
            self.work = Work::Removing(removal);
        }
        self.continue_soon();
    }

    /// Removes the next messages of a chat, or reads which of them still exist.
    fn remove_slice(&mut self, removal: Removal) {
        let Some(index) = &mut self.index else { return };
        let limit = match removal.scope {
            RemovalScope::All => saturate::to_i64(self.sources.limits.search_batch),
            RemovalScope::Trimmed { .. } => CHECKED_PER_SLICE,
        };
        let ids = match index.ids_of_chat(removal.chat, removal.after, limit) {
            Ok(ids) => ids,
            Err(failure) => return self.index_failed(&failure),
        };
        let Some(last) = ids.last().copied() else { return self.end_removal(removal) };
        match removal.scope {
            RemovalScope::All => {
                let mark = Some(self.feed.mark(removal.chat));
                let update = ChatUpdate { chat: removal.chat, documents: Vec::new(), removed: ids, mark };
                if let Err(failure) = index.apply(&[update]) {
                    return self.index_failed(&failure);
                }
                self.work = Work::Removing(Removal { after: last, ..removal });
                self.continue_soon();
            }
            RemovalScope::Trimmed { trimmed, .. } => {
                let (own, readers, generation) =
                    (self.own.clone(), self.sources.readers.clone(), self.generation);
                let (chat, marks) = (removal.chat, (trimmed, self.feed.mark(removal.chat)));
                self.work = Work::Checking(removal);
                self.reading = vec![chat];
                actix::spawn(async move {
                    let read =
                        readers.read(Holder::Operator, move |db| search_feed::current(db, chat, &ids)).await;
                    let read = prepared(read, move |(messages, removed)| kept(&messages, removed, marks));
                    own.post(KeptRead { generation, read: read.await });
                });
            }
        }
    }

    /// Removes the messages of a slice that do not exist any more. Messages that were kept may have
    /// changed: the events of that may be trimmed.
    pub(super) fn kept_read(&mut self, read: Result<Kept, ReadError>) {
        let Kept { documents, removed, last, is_last } = match read {
            Ok(read) => read,
            Err(error) => return self.read_failed(&error),
        };
        let (Work::Checking(removal), Some(index)) = (self.work, &mut self.index) else { return };
        let mark = self.feed.mark(removal.chat);
        let update = ChatUpdate { chat: removal.chat, documents, removed, mark: Some(mark) };
        if let Err(failure) = index.apply(&[update]) {
            return self.index_failed(&failure);
        }
        match last.filter(|_| !is_last) {
            Some(after) => {
                self.work = Work::Removing(Removal { after, ..removal });
                self.continue_soon();
            }
            None => self.end_removal(removal),
        }
    }

    fn end_removal(&mut self, removal: Removal) {
        let Some(index) = &mut self.index else { return };
        let chat = removal.chat;
        let mark = match removal.scope {
            RemovalScope::All => None,
            RemovalScope::Trimmed { trimmed, .. } => Some(Mark { trimmed, ..self.feed.mark(chat) }),
        };
        let update = ChatUpdate { chat, documents: Vec::new(), removed: Vec::new(), mark };
        if let Err(failure) = index.apply(&[update]) {
            return self.index_failed(&failure);
        }
        match removal.scope {
            RemovalScope::All => self.feed.gone(chat),
            RemovalScope::Trimmed { trimmed, head } => self.feed.trimmed(chat, trimmed, head),
        }
        self.work = Work::Idle;
        self.continue_soon();
    }

    fn measure(&mut self) {
        self.metrics.behind.set(self.feed.behind());
        self.metrics.skipped.set(i64::try_from(self.feed.skipped()).unwrap_or(i64::MAX));
        let is_due = self.measured_at.is_none_or(|measured| measured.elapsed() >= MEASURE_EVERY);
        let Some(index) = self.index.as_ref().filter(|_| is_due) else { return };
        self.measured_at = Some(Instant::now());
        match index.count() {
            Ok(count) => self.metrics.messages.set(count),
            Err(failure) => return self.index_failed(&failure),
        };
        let repositories = index.file_count().and_then(|files| Ok((files, index.commit_count()?)));
        match repositories {
            Ok((files, commits)) => {
                self.metrics.files.set(files);
                self.metrics.commits.set(commits);
            }
            Err(failure) => return self.index_failed(&failure),
        }
        self.metrics.bytes.set(i64::try_from(index.bytes()).unwrap_or(i64::MAX));
    }
}

/// The comparison of the index with the database.
impl SearchActor {
    /// Compares once the index has the changes up to now.
    pub(super) fn begin_comparison(&mut self, ask: Ask<CompareIndex>) {
        self.comparison = Some(Comparison { ask, is_current: false, tries: 0, found: Vec::new() });
        let max = saturate::to_i64(self.sources.limits.search_compared);
        let count = self.index.as_ref().and_then(|index| index.count().ok());
        if self.is_paused() || count.is_none_or(|count| count > max) {
            return self.refuse_comparison();
        }
        // Answered after every commit that the cache has applied.
        self.follow(true, Duration::ZERO);
    }

    fn compare_if_requested(&mut self) {
        if !self.comparison.as_ref().is_some_and(|comparison| comparison.is_current) {
            return;
        }
        // The work on few files ends soon.
        if !self.code.is_idle() && self.may_compare_code() {
            return;
        }
        let max = self.sources.limits.search_compared;
        self.work = Work::Comparing;
        self.reading = Vec::new();
        let (own, readers, generation) = (self.own.clone(), self.sources.readers.clone(), self.generation);
        actix::spawn(async move {
            let read = readers.read(Holder::Operator, move |db| search_feed::all_messages(db, max)).await;
            let read = prepared(read, |all| all.map(|all| all.iter().map(document).collect()));
            own.post(AllRead { generation, read: read.await });
        });
    }

    pub(super) fn all_read(&mut self, read: Result<Option<Vec<Document>>, ReadError>) {
        self.work = Work::Idle;
        match read {
            Ok(Some(documents)) => self.compare_with(documents),
            Ok(None) => self.refuse_comparison(),
            Err(error) => return self.read_failed(&error),
        }
        if self.work == Work::Idle {
            self.continue_soon();
        }
    }

    fn compare_with(&mut self, documents: Vec<Document>) {
        let (Some(mut comparison), Some(index)) = (self.comparison.take(), &self.index) else { return };
        match index.differences(documents) {
            Ok(differences) if !differences.is_empty() && comparison.tries < COMPARISONS_MAX => {
                self.compare_again(comparison);
            }
            Ok(differences) => {
                comparison.found = differences;
                let with_code = self.may_compare_code();
                self.comparison = Some(comparison);
                self.work = Work::Comparing;
                self.read_expected_code(with_code);
            }
            Err(failure) => {
                comparison.ask.answer(Ok(IndexComparison::Skipped));
                self.index_failed(&failure);
            }
        }
    }

    fn compare_again(&mut self, mut comparison: Comparison) {
        comparison.tries += 1;
        comparison.is_current = false;
        self.comparison = Some(comparison);
        self.follow(true, Duration::ZERO);
    }

    /// Returns whether the index has few files, so that all can be read again.
    fn may_compare_code(&self) -> bool {
        let max = saturate::to_i64(self.sources.limits.search_compared.min(FILES_COMPARED_MAX));
        self.index.as_ref().and_then(|index| index.file_count().ok()).is_some_and(|count| count <= max)
    }

    pub(super) fn code_compared(&mut self, expected: Vec<Expected>) {
        self.work = Work::Idle;
        let Some(mut comparison) = self.comparison.take() else { return self.continue_soon() };
        match self.code_differences(expected) {
            Ok(differences) if !differences.is_empty() && comparison.tries < COMPARISONS_MAX => {
                self.compare_again(comparison);
            }
            Ok(differences) => {
                comparison.found.extend(differences);
                comparison.ask.answer(Ok(IndexComparison::Differences(comparison.found)));
            }
            Err(failure) => {
                comparison.ask.answer(Ok(IndexComparison::Skipped));
                return self.index_failed(&failure);
            }
        }
        self.continue_soon();
    }
}
