//! Leaving chats: a single chat, or all to which one user added the caller.

use serde_json::json;

use super::projects::leave_project;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::saturate;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::event::Change;
use crate::domain::ids::UserId;
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, chats, projects};

/// Leaves chats to which `added_by` added the caller: at most `limits.left_per_command`.
pub struct LeaveChats {
    pub who: Credential,
    pub added_by: UserId,
}

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftChats {
    pub left: usize,
    /// More chats are left: send the command again.
    pub more: bool,
}

impl Command for LeaveChats {
    type Output = LeftChats;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<LeftChats> {
        let grant = tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        // Leaving a project's channel also leaves the project, which a token must allow.
        let with_projects = grant.check(RequiredScope::Admin).is_ok();
        let me = self.who.user;
        let slice = tx.limits.left_per_command;
        let limit = saturate::to_i64(slice + 1);
        let found = chats::put_into_by(tx.reader(), me, self.added_by, with_projects, limit)?;
        let more = found.len() > slice;
        let mut left = 0;
        for chat in found.iter().take(slice) {
            let Some(participant) = chats::participant(tx.reader(), chat.id, me)? else { continue };
            self.leave(tx, chat, &participant)?;
            left += 1;
        }
        Ok(LeftChats { left, more })
    }
}

impl LeaveChats {
    /// Leaves a chat, and its project if it has one. Writes at most six rows.
    fn leave(&self, tx: &mut Tx<'_>, chat: &Chat, participant: &Participant) -> Execution<()> {
        let project = match chat.project_id {
            Some(id) if !permission::is_orphaned(chat) => projects::project(tx.reader(), id)?,
            _ => None,
        };
        if let Some(project) = project {
            let detail = json!({"user_id": self.who.user, "role": null});
            tx.audit(self.who, "project.member", ("project", project.id.0), &detail)?;
            leave_project(tx, &project, self.who.user)?;
            let mut last_seq = chat.last_seq;
            return take_out(tx, chat, &mut last_seq, self.who.user, participant);
        }
        leave_chat(tx, chat, participant)
    }
}

/// Removes the user from a chat that does not belong to a project. A last owner who was added by
/// another user hands the chat over; any other last owner must first name a successor. The leave of
/// its last active member archives the chat; housekeeping removes it later.
pub(super) fn leave_chat(tx: &mut Tx<'_>, chat: &Chat, participant: &Participant) -> Execution<()> {
    let (me, mut last_seq) = (participant.user_id, chat.last_seq);
    if !permission::is_orphaned(chat) && !chats::has_company(tx.reader(), chat.id, me)? {
        take_out(tx, chat, &mut last_seq, me, participant)?;
        if chat.archived {
            return Ok(());
        }
        let now = tx.now.0;
        chats::set_archived(tx.write(), chat.id, Some(now))?;
        return tx.append_event(chat.id, &mut last_seq, me, Change::Archive { archived: true });
    }
    if !permission::is_orphaned(chat) && is_last_owner(tx, chat, participant)? {
        let adder = participant.added_by.ok_or(LAST_OWNER)?;
        if let Some(heir) = chats::heir(tx.reader(), chat.id, me, adder)? {
            chats::set_role(tx.write(), chat.id, heir, ChatRole::Owner.as_str())?;
            let change = Change::Role { user_id: heir, role: ChatRole::Owner };
            tx.append_event(chat.id, &mut last_seq, me, change)?;
        }
    }
    take_out(tx, chat, &mut last_seq, me, participant)
}

/// Removes a participant, and appends the event to the chat.
pub(super) fn take_out(
    tx: &mut Tx<'_>,
    chat: &Chat,
    last_seq: &mut i64,
    actor: UserId,
    participant: &Participant,
) -> Execution<()> {
    let user_id = participant.user_id;
    chats::delete_participant(tx.write(), chat.id, user_id)?;
    chats::insert_former(tx.write(), chat.id, user_id, participant.notify)?;
    tx.append_event(chat.id, last_seq, actor, Change::Leave { user_id, role: participant.role })
}

pub(super) const LAST_OWNER: Refusal =
    Refusal::Conflict("the last owner must first make another user an owner");

/// Returns whether the participant is the last active owner. A chat that ever had an owner has an
/// active owner while an active user is in it, unless its last owner is deactivated.
pub(super) fn is_last_owner(tx: &mut Tx<'_>, chat: &Chat, participant: &Participant) -> Execution<bool> {
    let user = participant.user_id;
    if participant.role != ChatRole::Owner || chats::has_other_owner(tx.reader(), chat.id, user)? {
        return Ok(false);
    }
    let is_active = accounts::user(tx.reader(), user)?.is_some_and(|row| row.deactivated_at.is_none());
    Ok(is_active)
}
