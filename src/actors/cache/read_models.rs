//! The read models: all models of the cache, changed by events only.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::chats::{ChatState, Chats};
use super::directory::Directory;
use super::faces::Faces;
use super::notifications::Notifications;
use super::projects::Projects;
use super::receipts::Receipts;
use super::window::NotDense;
use crate::actors::hub::LaneItem;
use crate::actors::presence::PresenceItem;
use crate::domain::event::{Change, ChatEvent, Event};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::page::Page;
use crate::protocol::answer::ServerPacket;
use crate::protocol::framing;
use crate::protocol::view::{ChatSummary, EventView};
use crate::storage::snapshot::Snapshot;

/// All data that queries read. A plain struct without threads, clocks or I/O.
pub struct ReadModels {
    pub(super) directory: Directory,
    pub(super) chats: Chats,
    pub(super) projects: Projects,
    pub(super) notifications: Notifications,
    /// Users whose cursors moved since the last receipts were sent. Not a read model: lost with a
    /// reload.
    pub(super) receipts: Receipts,
    /// Users and chats whose name or avatar changed since the last notices. Lost with a reload,
    /// like all sessions.
    pub(super) faces: Faces,
    pub(super) commit_no: i64,
    pub(super) epoch: i64,
}

/// The effect of a batch on the read models.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    Yes,
    /// Already applied.
    Old,
    /// An earlier batch is missing; a fresh snapshot must be loaded.
    Gap,
}

impl ReadModels {
    pub fn load(mut snapshot: Snapshot, window: usize, window_bytes_max: usize) -> Self {
        Self {
            directory: Directory::load(&mut snapshot),
            projects: Projects::load(&mut snapshot),
            notifications: Notifications::load(&mut snapshot),
            receipts: Receipts::default(),
            faces: Faces::default(),
            chats: Chats::load(&mut snapshot, window, window_bytes_max),
            commit_no: snapshot.commit_no,
            epoch: snapshot.epoch,
        }
    }

    /// Replaces the models by a fresh load. Pending fills of windows stay void.
    pub(super) fn replace_with(&mut self, fresh: Self) {
        let generation = self.chats.generation();
        *self = fresh;
        self.chats.continue_from(generation);
    }

    /// Applies the events of one commit, and appends to `lane` the items for connected users.
    pub fn apply(&mut self, commit_no: i64, events: &[Event], lane: &mut Vec<LaneItem>) -> Applied {
        if commit_no <= self.commit_no {
            return Applied::Old;
        }
        if commit_no > self.commit_no + 1 {
            return Applied::Gap;
        }
        for event in events {
            self.faces.note(event, &self.directory, &self.projects);
            self.directory.apply(event);
            self.projects.apply(event);
            self.notifications.apply(event);
            if let Event::ChatDeleted { chat_id } = event {
                lane.extend(self.removed(*chat_id));
            }
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
                Event::CursorsMoved { chat_id, participant } => {
                    lane.extend(self.own_marks(*chat_id, participant.user_id));
                    self.receipts.note(*chat_id, participant.user_id);
                }
                Event::CursorsMovedBack { chat_id, participant } => {
                    lane.extend(self.own_marks(*chat_id, participant.user_id));
                }
                Event::HiddenSet { chat_id, user_id, .. } => lane.extend(self.own_marks(*chat_id, *user_id)),
                // A notification that was read before it was written is not pushed; it is only in
                // the list.
                Event::Notified { notification } if notification.read_at.is_none() => {
                    let packet = ServerPacket::Notification { notification: (&**notification).into() };
                    lane.extend(personal(notification.user_id, &packet, false));
                }
                Event::NotificationsRead { user_id, which, read_at } => {
                    lane.extend(personal(
                        *user_id,
                        &ServerPacket::notifications_read(*which, *read_at),
                        false,
                    ));
                }
                Event::LoginEnded { login_id, .. } => lane.push(LaneItem::Revoked { login: *login_id }),
                _ => {}
            }
        }
        self.commit_no = commit_no;
        Applied::Yes
    }

    /// Returns the item that removes a deleted chat at its participants.
    fn removed(&self, chat: ChatId) -> Option<LaneItem> {
        let head = self.chats.get(chat)?.chat.last_seq;
        let packet = ServerPacket::Reset { chat_id: Some(chat), head: None, epoch: None };
        Some(LaneItem::Removed { chat, head, frame: framing::encode(&packet).ok()? })
    }

    /// Returns the item for the other devices of `user`: the cursors and the number of unread
    /// messages.
    fn own_marks(&self, chat_id: ChatId, user: UserId) -> Option<LaneItem> {
        let state = self.chats.get(chat_id)?;
        let marks = vec![state.people.get(&user)?.into()];
        let hidden = state.is_hidden(user).then_some(true);
        let packet = ServerPacket::Marks { chat_id, marks, unread_count: Some(state.unread(user)), hidden };
        personal(user, &packet, true)
    }

    /// Takes the receipts since the last call, for chats with at most `participants_max`
    /// participants.
    pub(super) fn take_receipts(&mut self, participants_max: usize) -> Vec<PresenceItem> {
        let noted = self.receipts.take();
        let item = |(chat, users): (ChatId, BTreeSet<UserId>)| {
            let people = &self.chats.get(chat)?.people;
            if people.len() > participants_max {
                return None;
            }
            let marks = users.iter().filter_map(|user| people.get(user)).map(Into::into).collect();
            Some(PresenceItem::Receipts { chat, marks })
        };
        noted.into_iter().filter_map(item).collect()
    }

    /// Returns the frame for a user who just joined, with a summary of the chat.
    fn joiner(&self, event: &ChatEvent) -> Option<(UserId, Bytes)> {
        let Change::Join { user_id, .. } = event.change else { return None };
        let summary = self.summary(self.chats.get(event.chat_id)?, user_id);
        Some((user_id, EventView::pushed_to_joiner(event, &summary).frame()))
    }

    /// Returns the chat as shown in the list of `user`.
    pub(super) fn summary(&self, state: &ChatState, user: UserId) -> ChatSummary {
        let me = state.people.get(&user);
        let peer = state.chat.peer_of(user).and_then(|peer| self.directory.user(peer));
        ChatSummary {
            id: state.chat.id,
            kind: state.chat.kind,
            name: state.chat.name.clone(),
            peer: peer.map(|peer| peer.username.clone()),
            active: peer.is_none_or(|peer| peer.active),
            project_id: state.chat.project_id,
            archived: state.chat.archived,
            last_seq: state.chat.last_seq,
            notify: me.map(|p| p.notify).unwrap_or_default(),
            read_seq: me.map_or(0, |p| p.read_seq),
            unread_count: state.unread(user),
            hidden: state.is_hidden(user),
            avatar: self.avatar_of(&state.chat).map(str::to_owned),
        }
    }

    /// Returns the first chats of `user` above `after`.
    pub(super) fn summaries(&self, user: UserId, after: ChatId, limit: usize) -> Page<ChatSummary> {
        Page::take(self.chats.of_user(user, after).map(|state| self.summary(state, user)), limit)
    }

    /// Returns how these differ from a fresh load; empty when they agree.
    pub fn differences(&self, fresh: &Self) -> Vec<String> {
        let mut found = self.chats.differences(&fresh.chats);
        if self.directory != fresh.directory {
            found.push("the directory differs".to_owned());
        }
        if self.projects != fresh.projects {
            found.push("the projects differ".to_owned());
        }
        if !self.notifications.agrees(&fresh.notifications) {
            found.push("the notifications differ".to_owned());
        }
        if self.commit_no != fresh.commit_no {
            found.push(format!("commit {} against {}", self.commit_no, fresh.commit_no));
        }
        found
    }
}

fn personal(user: UserId, packet: &ServerPacket<'_>, soft: bool) -> Option<LaneItem> {
    Some(LaneItem::Personal { user, frame: framing::encode(packet).ok()?, soft })
}
