//! Changed chats and repositories, for the search index.
//!
//! The index requests the next changes when it has received the last ones. Changes in between are
//! collected by chat and by repository, so they are bounded by the number of these, however slow
//! the index is. They are hints: the index reads the database and the refs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::chats::Chats;
use super::projects::Projects;
use crate::core::actor::Ask;
use crate::domain::chat::Chat;
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, RepositoryId, Seq};
use crate::domain::repository::Repository;

/// Requests the chats and repositories that have changed since the last answer, as soon as there
/// are any.
pub struct ChatHeads {
    /// Requests all chats and repositories, at once.
    pub all: bool,
}

/// A chat with its newest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatHead {
    pub chat: ChatId,
    /// 0: the chat does not exist any more.
    pub head: Seq,
    pub trimmed: Seq,
}

impl From<&Chat> for ChatHead {
    fn from(chat: &Chat) -> Self {
        Self { chat: chat.id, head: chat.last_seq, trimmed: chat.trimmed_seq }
    }
}

/// Chats and repositories that may have changed.
#[derive(Debug, Default)]
pub struct SearchChanges {
    /// Whether these are all that exist.
    pub is_all: bool,
    pub chats: Vec<ChatHead>,
    pub repositories: Vec<Arc<Repository>>,
    /// Repositories that do not exist any more.
    pub deleted_repositories: Vec<RepositoryId>,
}

#[derive(Default)]
pub(super) struct Changes {
    chats: BTreeSet<ChatId>,
    repositories: BTreeSet<RepositoryId>,
    /// Any chat and repository may have changed.
    all: bool,
    waiting: Option<Ask<ChatHeads>>,
    /// Whether an answer is scheduled.
    scheduled: bool,
}

impl Changes {
    /// Notes the chats and repositories of events.
    pub(super) fn note(&mut self, events: &[Event]) {
        let chat = |event: &Event| match event {
            Event::Chat(event) => Some(event.chat_id),
            Event::Trimmed { chat_id, .. } | Event::ChatDeleted { chat_id } => Some(*chat_id),
            _ => None,
        };
        let repository = |event: &Event| match event {
            Event::RepositoryChanged { repository } => Some(repository.id),
            Event::RepositoryDeleted { repository_id } => Some(*repository_id),
            Event::Chat(event) => match &event.change {
                Change::Push(push) => Some(push.repository_id),
                _ => None,
            },
            _ => None,
        };
        self.repositories.extend(events.iter().filter_map(repository));
        self.chats.extend(events.iter().filter_map(chat));
        // The repositories of the project are not known any more.
        if events.iter().any(|event| matches!(event, Event::ProjectDeleted { .. })) {
            self.note_all();
        }
    }

    /// Notes that any chat and repository may have changed.
    pub(super) fn note_all(&mut self) {
        self.all = true;
        self.chats.clear();
        self.repositories.clear();
    }

    /// Keeps a request until there are changes. A request for all is answered at once.
    pub(super) fn wait(&mut self, ask: Ask<ChatHeads>, models: (&Chats, &Projects)) {
        if ask.request.all {
            self.note_all();
            self.waiting = Some(ask);
            return self.send(models);
        }
        self.waiting = Some(ask);
    }

    /// Returns whether an answer must be scheduled.
    pub(super) fn begin_answer(&mut self) -> bool {
        let is_due = self.waiting.is_some() && self.has_any();
        is_due && !std::mem::replace(&mut self.scheduled, true)
    }

    /// Sends the scheduled answer.
    pub(super) fn answer(&mut self, models: (&Chats, &Projects)) {
        self.scheduled = false;
        if self.has_any() {
            self.send(models);
        }
    }

    fn has_any(&self) -> bool {
        self.all || !self.chats.is_empty() || !self.repositories.is_empty()
    }

    fn send(&mut self, (chats, projects): (&Chats, &Projects)) {
        let Some(ask) = self.waiting.take() else { return };
        let changed = std::mem::take(&mut self.chats);
        let repositories = std::mem::take(&mut self.repositories);
        if std::mem::take(&mut self.all) {
            return ask.answer(Ok(SearchChanges {
                is_all: true,
                chats: chats.all().map(ChatHead::from).collect(),
                repositories: projects.all_repositories().cloned().collect(),
                deleted_repositories: Vec::new(),
            }));
        }
        let head = |chat: ChatId| match chats.get(chat) {
            Some(state) => ChatHead::from(&state.chat),
            None => ChatHead { chat, head: 0, trimmed: 0 },
        };
        let mut changes =
            SearchChanges { chats: changed.into_iter().map(head).collect(), ..SearchChanges::default() };
        for id in repositories {
            match projects.repository(id) {
                Some((_, repository)) => changes.repositories.push(repository.clone()),
                None => changes.deleted_repositories.push(id),
            }
        }
        ask.answer(Ok(changes));
    }
}
