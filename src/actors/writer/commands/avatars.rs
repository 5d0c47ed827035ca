//! Avatars of users, projects and chats.

use std::sync::Arc;

use serde_json::json;

use super::chats::load;
use super::projects::{access, announce};
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::avatar::{Avatar, AvatarOf};
use crate::domain::event::Event;
use crate::domain::ids::UserId;
use crate::domain::permission::chat as permission;
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, avatars};

/// Replaces an avatar, or removes it. Users set their own, owners that of a project, admins that of
/// a chat.
pub struct SetAvatar {
    pub who: Credential,
    pub of: AvatarOf,
    pub avatar: Option<Avatar>,
}

impl Command for SetAvatar {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        match self.of {
            AvatarOf::User(user) => self.of_user(tx, user),
            AvatarOf::Project(project) => {
                let (old, _) = access(tx, self.who, project, None, Act::Manage)?;
                if self.write(tx, old.avatar.as_deref())? {
                    let detail = json!({"avatar": self.version()});
                    tx.audit(self.who, "project.update", ("project", project.0), &detail)?;
                    announce(tx, project)?;
                }
                Ok(())
            }
            AvatarOf::Chat(chat_id) => {
                tx.authenticate(self.who, RequiredScope::ChatWrite)?;
                let (chat, role) = load(tx, chat_id, self.who.user)?;
                permission::manage(&chat, role)?;
                if self.write(tx, chat.avatar.as_deref())? {
                    let avatar = self.version().map(str::to_owned);
                    tx.announce(Event::ChatAvatarSet { chat_id, avatar });
                }
                Ok(())
            }
        }
    }
}

impl SetAvatar {
    fn of_user(&self, tx: &mut Tx<'_>, user: UserId) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::Person)?;
        if user != self.who.user {
            return Err(Refusal::Forbidden("only a user sets the own avatar").into());
        }
        let old = accounts::user(tx.reader(), user)?.ok_or(Refusal::Unauthenticated)?;
        if self.write(tx, old.avatar.as_deref())? {
            let (user, _) = accounts::user(tx.reader(), user)?.ok_or(Refusal::Unauthenticated)?.into_parts();
            tx.announce(Event::UserUpdated { user: Arc::new(user) });
        }
        Ok(())
    }

    fn version(&self) -> Option<&str> {
        self.avatar.as_ref().map(|avatar| avatar.version.as_str())
    }

    /// Writes the rows, unless nothing changes. Returns whether it did.
    fn write(&self, tx: &mut Tx<'_>, old: Option<&str>) -> Execution<bool> {
        if old == self.version() {
            return Ok(false);
        }
        let now = tx.now.0;
        avatars::set_avatar(tx.write(), self.of, self.avatar.as_ref(), now)?;
        Ok(true)
    }
}
