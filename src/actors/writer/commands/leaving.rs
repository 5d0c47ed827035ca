//! Leaving chats: a single chat, or all to which one user added the caller.

use serde_json::json;

use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::saturate;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ProjectId, UserId};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, chats, projects};
use crate::storage::rows::chat::LeftChat;

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
        let mut leaving = chats::put_into_by(tx.reader(), me, self.added_by, with_projects, limit)?;
        let more = leaving.len() > slice;
        leaving.truncate(slice);
        let owned = leaving.iter().filter(|(chat, _)| !permission::is_orphaned(chat));
        let owned: Vec<_> = owned.filter_map(|(chat, _)| chat.project_id).collect();
        let projects = projects::existing(tx.reader(), &owned)?;
        if !projects.is_empty() {
            let targets: Vec<_> = projects.iter().map(|project| ("project", project.0)).collect();
            tx.audit_all(self.who, "project.member", &targets, &json!({"user_id": me, "role": null}))?;
            projects::delete_memberships(tx.write(), &projects, me)?;
        }
        leave_all(tx, me, &leaving, &projects)?;
        Ok(LeftChats { left: leaving.len(), more })
    }
}

/// Removes the user from a chat that does not belong to a project.
pub(super) fn leave_chat(tx: &mut Tx<'_>, chat: Chat, participant: Participant) -> Execution<()> {
    let user = participant.user_id;
    leave_all(tx, user, &[(chat, participant)], &[])
}

/// Removes a user from chats. The memberships of `projects` have ended; their channels are among
/// the chats. Of other chats, a last owner who was added by another user hands the chat over; any
/// other last owner must first name a successor. The leave of its last active member archives such
/// a chat; housekeeping removes it later.
fn leave_all(
    tx: &mut Tx<'_>,
    me: UserId,
    leaving: &[(Chat, Participant)],
    projects: &[ProjectId],
) -> Execution<()> {
    let project_of = |chat: &Chat| chat.project_id.filter(|project| projects.contains(project));
    let alone =
        leaving.iter().filter(|(chat, _)| project_of(chat).is_none() && !permission::is_orphaned(chat));
    let alone = alone.map(|(chat, person)| LeftChat {
        id: chat.id,
        owns: person.role == ChatRole::Owner,
        preferred: person.added_by,
    });
    let company = chats::company_of(tx.reader(), me, &alone.collect::<Vec<_>>())?;
    let is_active = is_active(tx, me)?;
    let (mut heirs, mut archived) = (Vec::new(), Vec::new());
    let (mut stored, mut announced) = (Vec::new(), Vec::new());
    for (chat, person) in leaving {
        if let Some(project_id) = project_of(chat) {
            announced.push(Event::MemberChanged { project_id, user_id: me, role: None });
            announced.push(Event::WatchChanged { project_id, user_id: me, watches: false });
        }
        let (company, mut last_seq) = (company.get(&chat.id), chat.last_seq);
        let mut changes = Vec::new();
        if let Some(company) = company
            && company.is_any
            && person.role == ChatRole::Owner
            && !company.has_owner
            && is_active
        {
            person.added_by.ok_or(LAST_OWNER)?;
            if let Some(heir) = company.heir {
                heirs.push((chat.id, heir));
                changes.push(Change::Role { user_id: heir, role: ChatRole::Owner });
            }
        }
        changes.push(Change::Leave { user_id: me, role: person.role });
        if company.is_some_and(|company| !company.is_any) && !chat.archived {
            archived.push(chat.id);
            changes.push(Change::Archive { archived: true });
        }
        for change in changes {
            let event = tx.next_event(chat.id, &mut last_seq, me, change);
            stored.push(event.clone());
            announced.push(Event::Chat(event.into()));
        }
    }
    let now = tx.now.0;
    if !heirs.is_empty() {
        chats::set_owners(tx.write(), &heirs)?;
    }
    let left: Vec<_> = leaving.iter().map(|(chat, person)| (chat.id, person.notify)).collect();
    if !left.is_empty() {
        chats::move_to_former(tx.write(), me, &left)?;
    }
    if !archived.is_empty() {
        chats::set_all_archived(tx.write(), &archived, now)?;
    }
    tx.store_events(&stored)?;
    for event in announced {
        tx.announce(event);
    }
    Ok(())
}

fn is_active(tx: &mut Tx<'_>, user: UserId) -> Execution<bool> {
    Ok(accounts::user(tx.reader(), user)?.is_some_and(|row| row.deactivated_at.is_none()))
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
    is_active(tx, user)
}
