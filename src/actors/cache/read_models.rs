//! The read models: directory and chats, moved by events only.

use bytes::Bytes;

use super::chats::{ChatState, Chats};
use super::directory::Directory;
use super::notifications::Notifications;
use super::projects::Projects;
use super::window::NotDense;
use crate::actors::hub::LaneItem;
use crate::domain::event::{Change, ChatEvent, Event};
use crate::domain::ids::{ChatId, UserId};
use crate::protocol::view::{ChatSummary, EventView};
use crate::storage::snapshot::Snapshot;

/// Everything that queries read. A plain struct without threads, clocks or I/O.
pub struct ReadModels {
    pub(super) directory: Directory,
    pub(super) chats: Chats,
    pub(super) projects: Projects,
    pub(super) notifications: Notifications,
    pub(super) commit_no: i64,
    pub(super) epoch: i64,
}

/// What a batch did to the read models.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    Yes,
    /// Known already.
    Old,
    /// Something before it is missing: only a fresh snapshot helps.
    Gap,
}

impl ReadModels {
    pub fn load(mut snapshot: Snapshot, window: usize, window_bytes_max: usize) -> Self {
        Self {
            directory: Directory::load(&mut snapshot),
            projects: Projects::load(&mut snapshot),
            notifications: Notifications::load(&mut snapshot),
            chats: Chats::load(&mut snapshot, window, window_bytes_max),
            commit_no: snapshot.commit_no,
            epoch: snapshot.epoch,
        }
    }

    /// Puts a fresh load in this one's place. Fills of windows that are under way stay void.
    pub(super) fn replace_with(&mut self, fresh: Self) {
        let generation = self.chats.generation();
        *self = fresh;
        self.chats.continue_from(generation);
    }

    /// Applies the events of one commit, and appends to `lane` what connected people must hear of it.
    pub fn apply(&mut self, commit_no: i64, events: &[Event], lane: &mut Vec<LaneItem>) -> Applied {
        if commit_no <= self.commit_no {
            return Applied::Old;
        }
        if commit_no > self.commit_no + 1 {
            return Applied::Gap;
        }
        for event in events {
            self.directory.apply(event);
            self.projects.apply(event);
            self.notifications.apply(event);
            if let Err(NotDense) = self.chats.apply(event) {
                tracing::error!(commit_no, "an event does not follow the one before it");
                return Applied::Gap;
            }
            match event {
                Event::Chat(event) => lane.push(LaneItem::Event {
                    frame: EventView::pushed(event).frame(),
                    joiner: self.joiner(event),
                    event: event.clone(),
                }),
                Event::LoginEnded { login_id, .. } => lane.push(LaneItem::Revoked { login: *login_id }),
                _ => {}
            }
        }
        self.commit_no = commit_no;
        Applied::Yes
    }

    /// The frame for whoever just joined: with the chat that they are now in.
    fn joiner(&self, event: &ChatEvent) -> Option<(UserId, Bytes)> {
        let Change::Join { user_id, .. } = event.change else { return None };
        let summary = self.summary(self.chats.get(event.chat_id)?, user_id);
        Some((user_id, EventView::pushed_to_joiner(event, &summary).frame()))
    }

    /// The chat as it stands in the list of `user`.
    pub(super) fn summary(&self, state: &ChatState, user: UserId) -> ChatSummary {
        let me = state.people.get(&user);
        let peer = state
            .chat
            .between
            .map(|(one, other)| self.directory.username(if one == user { other } else { one }).to_owned());
        ChatSummary {
            id: state.chat.id,
            kind: state.chat.kind,
            name: state.chat.name.clone(),
            peer,
            project_id: state.chat.project_id,
            archived: state.chat.archived,
            last_seq: state.chat.last_seq,
            notify: me.map(|p| p.notify).unwrap_or_default(),
            read_seq: me.map_or(0, |p| p.read_seq),
            unread_count: me.map_or(0, |p| state.chat.last_ordinal - p.read_ordinal),
        }
    }

    /// The first chats of `user` above `after`, and whether there are more.
    pub(super) fn summaries(&self, user: UserId, after: ChatId, limit: usize) -> (Vec<ChatSummary>, bool) {
        let mut list: Vec<_> =
            self.chats.of_user(user, after).take(limit + 1).map(|state| self.summary(state, user)).collect();
        let has_more = list.len() > limit;
        list.truncate(limit);
        (list, has_more)
    }

    /// How these differ from a fresh load: empty when they agree.
    pub fn differences(&self, fresh: &Self) -> Vec<String> {
        let mut found = self.chats.differences(&fresh.chats);
        if self.directory != fresh.directory {
            found.push("the directory differs".to_owned());
        }
        if self.projects != fresh.projects {
            found.push("the projects differ".to_owned());
        }
        if self.notifications != fresh.notifications {
            found.push("the notifications differ".to_owned());
        }
        if self.commit_no != fresh.commit_no {
            found.push(format!("commit {} against {}", self.commit_no, fresh.commit_no));
        }
        found
    }
}
