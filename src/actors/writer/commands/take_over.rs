//! Take-over: an administrator of the server gives a chat or project without an active owner a new
//! one.

use serde_json::json;

use super::adding::Adder;
use super::administration::check_administrator;
use super::chats::{join, keep_name};
use super::projects::give_role;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::Credential;
use crate::domain::chat::ChatRole;
use crate::domain::event::Change;
use crate::domain::ids::{ChatId, ProjectId, UserId};
use crate::domain::permission::{chat as chat_permission, project as project_permission};
use crate::domain::project::ProjectRole;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, chats, projects};

/// Makes an active user an owner of a chat that has no active owner. The chat gets an event: a join
/// or a role.
pub struct TakeOverChat {
    pub who: Credential,
    pub chat: ChatId,
    pub owner: UserId,
}

impl Command for TakeOverChat {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        check_administrator(tx, self.who)?;
        let chat = chats::chat(tx.reader(), self.chat)?.ok_or(Refusal::NotFound("chat"))?;
        let has_owner = chats::has_other_owner(tx.reader(), chat.id, UserId(0))?;
        chat_permission::take_over(&chat, has_owner)?;
        check_active(tx, self.owner)?;
        tx.audit(self.who, "chat.take_over", ("chat", chat.id.0), &json!({"owner_id": self.owner}))?;
        let (actor, mut last_seq) = (self.who.user, chat.last_seq);
        keep_name(tx, chat.id, actor)?;
        if chats::participant(tx.reader(), chat.id, self.owner)?.is_none() {
            let position = (&mut last_seq, chat.last_ordinal);
            join(tx, chat.id, position, actor, self.owner, ChatRole::Owner)?;
            let addition = Adder::load(tx, self.who)?.addition(chat.name.as_deref());
            return addition.notify(tx, (chat.id, last_seq), self.owner);
        }
        chats::set_role(tx.write(), chat.id, self.owner, ChatRole::Owner.as_str())?;
        let change = Change::Role { user_id: self.owner, role: ChatRole::Owner };
        tx.append_event(chat.id, &mut last_seq, actor, change)
    }
}

/// Makes an active user an owner of a project that has no active owner. Its channel gets an event.
pub struct TakeOverProject {
    pub who: Credential,
    pub project: ProjectId,
    pub owner: UserId,
}

impl Command for TakeOverProject {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        check_administrator(tx, self.who)?;
        let project = projects::project(tx.reader(), self.project)?.ok_or(Refusal::NotFound("project"))?;
        project_permission::take_over(projects::has_active_owner(tx.reader(), project.id)?)?;
        check_active(tx, self.owner)?;
        let current = projects::member_role(tx.reader(), project.id, self.owner)?;
        let detail = json!({"owner_id": self.owner});
        tx.audit(self.who, "project.take_over", ("project", project.id.0), &detail)?;
        keep_name(tx, project.channel_id, self.who.user)?;
        give_role(tx, &project, (self.who, None), self.owner, ProjectRole::Owner, current.is_some())
    }
}

fn check_active(tx: &mut Tx<'_>, user: UserId) -> Execution<()> {
    let found = accounts::user(tx.reader(), user)?.filter(|row| row.deactivated_at.is_none());
    found.map(drop).ok_or(Refusal::NotFound("user").into())
}
