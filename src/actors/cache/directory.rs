//! The directory: who exists and which logins are alive.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::event::Event;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::user::{Credential, User};
use crate::storage::snapshot::Snapshot;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Directory {
    users: HashMap<UserId, Entry>,
    names: HashMap<String, UserId>,
    logins: HashMap<LoginId, UserId>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) user: Arc<User>,
    pub(super) password_hash: Arc<str>,
}

impl Directory {
    pub(super) fn load(snapshot: &mut Snapshot) -> Self {
        let mut directory = Self::default();
        for (user, password_hash) in std::mem::take(&mut snapshot.users) {
            directory.insert(user, password_hash);
        }
        directory.logins = std::mem::take(&mut snapshot.logins).into_iter().collect();
        directory
    }

    fn insert(&mut self, user: Arc<User>, password_hash: Arc<str>) {
        self.names.insert(user.username.clone(), user.id);
        self.users.insert(user.id, Entry { user, password_hash });
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::UserRegistered { user, password_hash } => self.insert(user.clone(), password_hash.clone()),
            Event::UserUpdated { user } => {
                if let Some(entry) = self.users.get_mut(&user.id) {
                    entry.user = user.clone();
                }
            }
            Event::PasswordChanged { user_id, password_hash, token_version } => {
                if let Some(entry) = self.users.get_mut(user_id) {
                    entry.password_hash = password_hash.clone();
                    entry.user = Arc::new(User { token_version: *token_version, ..(*entry.user).clone() });
                }
            }
            Event::LoginStarted { login_id, user_id } => {
                self.logins.insert(*login_id, *user_id);
            }
            Event::LoginEnded { login_id, .. } => {
                self.logins.remove(login_id);
            }
            Event::ChatCreated { .. } | Event::Chat(_) | Event::ReadMarked { .. } => {}
        }
    }

    /// That the login lives, is this user's, and the token is of the current version.
    pub(super) fn authenticate(&self, who: Credential) -> Result<&Arc<User>, Refusal> {
        let alive = self.logins.get(&who.login) == Some(&who.user);
        let user = self
            .user(who.user)
            .filter(|user| alive && user.active && user.token_version == who.token_version);
        user.ok_or(Refusal::Unauthenticated)
    }

    pub(super) fn user(&self, id: UserId) -> Option<&Arc<User>> {
        self.users.get(&id).map(|entry| &entry.user)
    }

    pub(super) fn named(&self, username: &str) -> Option<&Entry> {
        self.users.get(self.names.get(username)?)
    }

    pub(super) fn username(&self, id: UserId) -> &str {
        self.user(id).map_or("", |user| &user.username)
    }
}
