//! Collects users whose name or avatar changed, and chats whose avatar changed, until the users who
//! see them are notified.
//!
//! The notice has the state at the time when it is sent, so a user who changes often causes one
//! notice for each interval.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::directory::Directory;
use super::projects::Projects;
use super::read_models::ReadModels;
use crate::actors::hub::LaneItem;
use crate::domain::chat::Chat;
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, UserId};
use crate::protocol::answer::ServerPacket;
use crate::protocol::framing;
use crate::protocol::view::UserView;

/// Maximum number of notices that are sent at once. The others follow after the next interval.
const NOTICES_MAX: usize = 500;

/// Bounded by the users and chats: each occurs once.
#[derive(Debug, Default)]
pub(super) struct Faces {
    users: BTreeSet<UserId>,
    chats: BTreeSet<ChatId>,
}

impl Faces {
    /// Notes the users and chats that an event changes. The models do not contain the event yet.
    pub(super) fn note(&mut self, event: &Event, directory: &Directory, projects: &Projects) {
        match event {
            Event::UserUpdated { user } => {
                let known = directory.user(user.id);
                if known.is_some_and(|known| UserView::from(&**known) != UserView::from(&**user)) {
                    self.users.insert(user.id);
                }
            }
            Event::ChatAvatarSet { chat_id, .. } => drop(self.chats.insert(*chat_id)),
            Event::ProjectChanged { project } => {
                let known = projects.get(project.id).map(|state| &state.project.avatar);
                if known.is_some_and(|avatar| *avatar != project.avatar) {
                    self.chats.insert(project.channel_id);
                }
            }
            Event::ProjectDeleted { project_id } => {
                let project = projects.get(*project_id).map(|state| &state.project);
                self.chats.extend(project.filter(|it| it.avatar.is_some()).map(|it| it.channel_id));
            }
            _ => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.chats.is_empty()
    }
}

impl ReadModels {
    /// Takes the notices about changed users and chats, a limited number of them.
    pub(super) fn take_face_notices(&mut self) -> Vec<LaneItem> {
        let mut users = std::mem::take(&mut self.faces.users);
        let mut chats = std::mem::take(&mut self.faces.chats);
        if let Some(next) = users.iter().nth(NOTICES_MAX).copied() {
            self.faces.users = users.split_off(&next);
        }
        if let Some(next) = chats.iter().nth(NOTICES_MAX).copied() {
            self.faces.chats = chats.split_off(&next);
        }
        let users = users.into_iter().filter_map(|user| self.user_notice(user));
        users.chain(chats.into_iter().filter_map(|chat| self.chat_notice(chat))).collect()
    }

    /// Returns the notice for the users who share a chat with `user`, and for the user.
    fn user_notice(&self, user: UserId) -> Option<LaneItem> {
        let people = vec![UserView::from(&**self.directory.user(user)?)];
        let frame = framing::encode(&ServerPacket::Users { request_id: None, people }).ok()?;
        let chats: Arc<[ChatId]> = self.chats.ids_of(user).iter().copied().collect();
        Some(LaneItem::UserChanged { user, chats, frame })
    }

    fn chat_notice(&self, chat_id: ChatId) -> Option<LaneItem> {
        let avatar = self.avatar_of(&self.chats.get(chat_id)?.chat);
        let frame = framing::encode(&ServerPacket::ChatAvatar { chat_id, avatar }).ok()?;
        Some(LaneItem::ChatChanged { chat: chat_id, frame })
    }

    /// Returns the version of the avatar of a chat. The channel of a project has that of the
    /// project.
    pub(super) fn avatar_of<'a>(&'a self, chat: &'a Chat) -> Option<&'a str> {
        match chat.project_id {
            Some(project) => self.projects.get(project)?.project.avatar.as_deref(),
            None => chat.avatar.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;
    use crate::storage::snapshot::Snapshot;

    #[test]
    fn notices_are_sent_in_limited_numbers_and_once() {
        let mut models = ReadModels::load(Snapshot::default(), 10, 1000);
        for chat in 1..=i64::try_from(NOTICES_MAX).unwrap() + 7 {
            let chat = group(chat);
            models.apply(
                models.commit_no + 1,
                &[Event::ChatCreated { chat: Arc::new(chat) }],
                &mut Vec::new(),
            );
        }
        let all: Vec<_> = models.chats.all().map(|chat| chat.id).collect();
        for chat_id in all {
            let event = Event::ChatAvatarSet { chat_id, avatar: Some("v".to_owned()) };
            for _ in 0..2 {
                models.apply(models.commit_no + 1, std::slice::from_ref(&event), &mut Vec::new());
            }
        }
        let mut counts = Vec::new();
        while !models.faces.is_empty() {
            counts.push(models.take_face_notices().len());
        }
        assert_eq!(counts, [NOTICES_MAX, 7]);
    }

    fn group(id: i64) -> Chat {
        Chat {
            id: ChatId(id),
            kind: crate::domain::chat::ChatKind::Group,
            name: None,
            between: None,
            project_id: None,
            audience: crate::domain::chat::Audience::Members,
            last_seq: 0,
            last_ordinal: 0,
            last_message_id: None,
            retention: None,
            trimmed_seq: 0,
            trimmed_ordinal: 0,
            archived: false,
            created_at: Timestamp(0),
            avatar: None,
        }
    }
}
