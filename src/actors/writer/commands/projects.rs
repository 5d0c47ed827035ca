//! Commands about projects and their members. They change the channel of the project in the same
//! transaction.

use std::sync::Arc;

use serde_json::json;

use super::adding::{Adder, check_reach};
use super::chats::{check_room_for, join};
use super::leaving::take_out;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::limits::ROWS_PER_STATEMENT_MAX;
use crate::domain::access::{AccessGrant, Credential, RequiredScope, Subject};
use crate::domain::avatar::AvatarOf;
use crate::domain::chat::{Audience, ChatKind};
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ProjectId, RepositoryId, UserId};
use crate::domain::name::{self, Name};
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::project::{Project, ProjectConfig, ProjectRole, Visibility};
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, avatars, chats, projects, pushes, repositories};
use crate::storage::rows::chat::NewChatRow;
use crate::storage::rows::project::NewProjectRow;
use crate::storage::rows::project::Renamed;

/// Returns a project and the role in which the caller acts on it. For a repository, `repository` is
/// the one that a token must be for.
///
/// # Errors
/// A refusal if the caller may not `act` on the project.
pub(super) fn access(
    tx: &mut Tx<'_>,
    who: Credential,
    project: ProjectId,
    repository: Option<RepositoryId>,
    act: Act,
) -> Execution<(Project, Option<ProjectRole>)> {
    let grant = tx.authenticate(who, RequiredScope::Identity)?;
    let noun = if repository.is_some() { "repository" } else { "project" };
    let found = projects::project_and_role(tx.reader(), project, who.user)?;
    let (found, role) = found.ok_or(Refusal::NotFound(noun))?;
    let subject = match repository {
        Some(id) => Subject::Repository(id),
        None => Subject::Project { chosen: holds_one_of(tx, project, &grant)? },
    };
    let role = grant.check_act(act, (found.visibility, role), subject, noun)?;
    Ok((found, role))
}

/// Returns whether the project contains a repository that the token is for.
fn holds_one_of(tx: &mut Tx<'_>, project: ProjectId, grant: &AccessGrant) -> Execution<bool> {
    for ids in grant.repositories().unwrap_or_default().chunks(ROWS_PER_STATEMENT_MAX) {
        if repositories::any_of_project(tx.reader(), ids, project)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Announces the current state of the project.
pub(super) fn announce(tx: &mut Tx<'_>, id: ProjectId) -> Execution<Arc<Project>> {
    let project = projects::project(tx.reader(), id)?.ok_or(Refusal::NotFound("project"))?;
    let project = Arc::new(project);
    tx.announce(Event::ProjectChanged { project: project.clone() });
    Ok(project)
}

pub(super) fn username(tx: &mut Tx<'_>, user: UserId) -> Execution<String> {
    Ok(accounts::user(tx.reader(), user)?.map(|row| row.username).unwrap_or_default())
}

/// Creates a project below the caller's name, and its channel.
pub struct CreateProject {
    pub who: Credential,
    pub name: Name,
    pub description: String,
    pub visibility: Visibility,
}

impl Command for CreateProject {
    type Output = Arc<Project>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<Project>> {
        let me = self.who.user;
        tx.authenticate(self.who, RequiredScope::Identity)?.check_create_project()?;
        let name_key = self.name.key();
        if projects::project_named(tx.reader(), me, &name_key)?.is_some() {
            return Err(Refusal::Taken {
                field: "name",
                sentence: "you have a project with this name; choose another name",
            }
            .into());
        }
        if projects::project_count_of(tx.reader(), me)? >= tx.limits.projects_per_user {
            return Err(Refusal::Conflict("you have too many projects; delete a project first").into());
        }
        check_room_for(tx, me)?;
        let channel_name = format!("{}/{}", username(tx, me)?, self.name);
        let now = tx.now.0;
        let channel = NewChatRow {
            kind: ChatKind::Channel.as_str(),
            name: Some(&channel_name),
            direct_key: None,
            channel_key: None,
            audience: permission::channel_audience(self.visibility).as_str(),
            created_at: now,
        };
        let mut chat = chats::insert_chat(tx.write(), &channel)?;
        let row = NewProjectRow {
            owner_id: me,
            name: self.name.as_str(),
            name_key: &name_key,
            description: &self.description,
            visibility: self.visibility.as_str(),
            channel_id: chat.id,
            created_at: now,
        };
        let id = projects::insert_project(tx.write(), &row)?;
        projects::bind_channel(tx.write(), chat.id, id)?;
        chat.project_id = Some(id);
        let (channel, mut last_seq) = (chat.id, chat.last_seq);
        tx.announce(Event::ChatCreated { chat: chat.into() });
        let project = announce(tx, id)?;
        enter(tx, id, me, ProjectRole::Owner)?;
        join(tx, channel, (&mut last_seq, 0), me, me, permission::channel_role(ProjectRole::Owner))?;
        Ok(project)
    }
}

/// Makes a user a member, who is notified of pushes from now on.
fn enter(tx: &mut Tx<'_>, project: ProjectId, user: UserId, role: ProjectRole) -> Execution<()> {
    projects::set_member(tx.write(), project, user, role.as_str())?;
    projects::set_watch(tx.write(), project, user, true)?;
    tx.announce(Event::MemberChanged { project_id: project, user_id: user, role: Some(role) });
    tx.announce(Event::WatchChanged { project_id: project, user_id: user, watches: true });
    Ok(())
}

/// Changes the name, description or visibility of a project. `None` leaves a field as it is.
pub struct UpdateProject {
    pub who: Credential,
    pub project: ProjectId,
    pub name: Option<Name>,
    pub description: Option<String>,
    pub visibility: Option<Visibility>,
}

impl Command for UpdateProject {
    type Output = Arc<Project>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<Project>> {
        let (old, _) = access(tx, self.who, self.project, None, Act::Manage)?;
        let name = self.name.as_ref().map_or(old.name.as_str(), Name::as_str);
        let description = self.description.as_ref().unwrap_or(&old.description);
        let visibility = self.visibility.unwrap_or(old.visibility);
        let unchanged = name == old.name && *description == old.description && visibility == old.visibility;
        if unchanged {
            return Ok(Arc::new(old));
        }
        let (old_key, new_key) = (name::key(&old.name), name::key(name));
        let owner = old.owner_id;
        if new_key != old_key && projects::project_named(tx.reader(), owner, &new_key)?.is_some() {
            return Err(Refusal::Taken {
                field: "name",
                sentence: "a project with this name exists; choose another name",
            }
            .into());
        }
        if new_key != old_key {
            check_room_for_name(tx, Renamed::Project { owner, project: old.id })?;
        }
        let chat = chats::chat(tx.reader(), old.channel_id)?.ok_or(Refusal::NotFound("chat"))?;
        projects::set_project(tx.write(), old.id, name, &new_key, description, visibility.as_str())?;
        let detail = json!({"name": name, "description": description, "visibility": visibility});
        tx.audit(self.who, "project.update", ("project", old.id.0), &detail)?;
        if new_key != old_key {
            let renamed = Renamed::Project { owner, project: old.id };
            projects::leave_name(tx.write(), renamed, &old_key)?;
            tx.announce(Event::ProjectNameLeft { owner_id: owner, name_key: old_key, project_id: old.id });
        }
        let project = announce(tx, old.id)?;
        if visibility != old.visibility {
            set_audience(tx, &old, permission::channel_audience(visibility))?;
        }
        if name != old.name {
            let channel_name = format!("{}/{name}", username(tx, owner)?);
            chats::set_name(tx.write(), chat.id, &channel_name, None)?;
            let mut last_seq = chat.last_seq;
            let change = Change::Rename { name: channel_name };
            tx.append_event(chat.id, &mut last_seq, self.who.user, change)?;
        }
        Ok(project)
    }
}

/// Limits the former names of an owner or a project: they stay in memory.
pub(super) fn check_room_for_name(tx: &mut Tx<'_>, renamed: Renamed) -> Execution<()> {
    if projects::former_name_count(tx.reader(), renamed)? >= tx.limits.former_names {
        return Err(Refusal::Conflict("too many former names; the current name must stay").into());
    }
    Ok(())
}

fn set_audience(tx: &mut Tx<'_>, project: &Project, audience: Audience) -> Execution<()> {
    projects::set_audience(tx.write(), project.channel_id, audience.as_str())?;
    tx.announce(Event::AudienceChanged { chat_id: project.channel_id, audience });
    Ok(())
}

/// Deletes a project and its repositories. The channel stays, archived, with its participants.
pub struct DeleteProject {
    pub who: Credential,
    pub project: ProjectId,
}

impl Command for DeleteProject {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        let (project, _) = access(tx, self.who, self.project, None, Act::Manage)?;
        let held = repositories::of_project(tx.reader(), project.id)?;
        if pushes::any_unsettled_of(tx.reader(), &held)? {
            return Err(Refusal::Conflict("a push is under way; try again").into());
        }
        let chat = chats::chat(tx.reader(), project.channel_id)?.ok_or(Refusal::NotFound("chat"))?;
        let now = tx.now.0;
        repositories::set_states(tx.write(), &held, repositories::DELETING)?;
        for repository in held {
            tx.announce(Event::RepositoryDeleted { repository_id: repository });
        }
        if project.avatar.is_some() {
            avatars::set_avatar(tx.write(), AvatarOf::Project(project.id), None, now)?;
        }
        projects::set_project_deleted(tx.write(), project.id, now)?;
        tx.audit(self.who, "project.delete", ("project", project.id.0), &json!({"name": project.name}))?;
        tx.announce(Event::ProjectDeleted { project_id: project.id });
        projects::close_channel(tx.write(), chat.id, Audience::Members.as_str(), now)?;
        tx.announce(Event::AudienceChanged { chat_id: chat.id, audience: Audience::Members });
        let mut last_seq = chat.last_seq;
        tx.append_event(chat.id, &mut last_seq, self.who.user, Change::Archive { archived: true })
    }
}

/// Stores the settings of a project.
pub struct SetProjectConfig {
    pub who: Credential,
    pub project: ProjectId,
    pub config: ProjectConfig,
}

impl Command for SetProjectConfig {
    type Output = Arc<Project>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<Project>> {
        let (old, _) = access(tx, self.who, self.project, None, Act::Manage)?;
        if old.config == self.config {
            return Ok(Arc::new(old));
        }
        let text = serde_json::to_string(&self.config)
            .map_err(|_| Refusal::invalid("config", "cannot be written as JSON"))?;
        let now = tx.now.0;
        projects::set_config(tx.write(), old.id, &text, now)?;
        tx.audit(self.who, "project.config", ("project", old.id.0), &self.config)?;
        announce(tx, old.id)
    }
}

/// Gives a user a role in a project, or (`None`) removes the user.
pub struct SetMember {
    pub who: Credential,
    pub project: ProjectId,
    pub user: UserId,
    pub role: Option<ProjectRole>,
}

impl Command for SetMember {
    /// Whether the user was a member before.
    type Output = bool;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<bool> {
        let me = self.who.user;
        // Leaving requires no particular role, so the scope of a token is checked here.
        tx.authenticate(self.who, RequiredScope::Admin)?;
        let (project, role) = access(tx, self.who, self.project, None, Act::Read)?;
        let current = projects::member_role(tx.reader(), project.id, self.user)?;
        if current.is_none() && me != self.user {
            check_reach(tx, self.who, &[self.user])?;
        }
        permission::set_member(role, me == self.user, project.owner_id == self.user, self.role)?;
        if current == self.role {
            return if self.role.is_some() { Ok(true) } else { Err(Refusal::NotFound("member").into()) };
        }
        let count = projects::member_count(tx.reader(), project.id)?;
        let full = usize::try_from(count).unwrap_or(usize::MAX) >= tx.limits.participants_per_chat;
        if current.is_none() && full {
            return Err(Refusal::Conflict("the project is full").into());
        }
        let adder =
            if current.is_none() && me != self.user { Some(Adder::load(tx, self.who)?) } else { None };
        if let Some(adder) = &adder {
            adder.count(tx, &[self.user], role == Some(ProjectRole::Owner))?;
        }
        let detail = json!({"user_id": self.user, "role": self.role});
        tx.audit(self.who, "project.member", ("project", project.id.0), &detail)?;
        let Some(role) = self.role else {
            leave_project(tx, &project, self.user)?;
            let chat = chats::chat(tx.reader(), project.channel_id)?.ok_or(Refusal::NotFound("chat"))?;
            let mut last_seq = chat.last_seq;
            if let Some(left) = chats::participant(tx.reader(), chat.id, self.user)? {
                take_out(tx, &chat, &mut last_seq, me, &left)?;
            }
            return Ok(true);
        };
        give_role(tx, &project, (self.who, adder), self.user, role, current.is_some())?;
        Ok(current.is_some())
    }
}

/// Gives a user a role in a project and its channel. The second part of `actor` is read if absent.
pub(super) fn give_role(
    tx: &mut Tx<'_>,
    project: &Project,
    (who, adder): (Credential, Option<Adder>),
    user_id: UserId,
    role: ProjectRole,
    is_member: bool,
) -> Execution<()> {
    let chat = chats::chat(tx.reader(), project.channel_id)?.ok_or(Refusal::NotFound("chat"))?;
    let (chat_role, mut last_seq, actor) = (permission::channel_role(role), chat.last_seq, who.user);
    if is_member {
        projects::set_member(tx.write(), project.id, user_id, role.as_str())?;
        tx.announce(Event::MemberChanged { project_id: project.id, user_id, role: Some(role) });
        chats::set_role(tx.write(), chat.id, user_id, chat_role.as_str())?;
        return tx.append_event(chat.id, &mut last_seq, actor, Change::Role { user_id, role: chat_role });
    }
    enter(tx, project.id, user_id, role)?;
    join(tx, chat.id, (&mut last_seq, chat.last_ordinal), actor, user_id, chat_role)?;
    let adder = match adder {
        Some(adder) => adder,
        None => Adder::load(tx, who)?,
    };
    adder.addition(chat.name.as_deref()).notify(tx, (chat.id, last_seq), user_id)
}

/// Ends a membership and its watch. The caller updates the channel.
pub(super) fn leave_project(tx: &mut Tx<'_>, project: &Project, user: UserId) -> Execution<()> {
    projects::delete_member(tx.write(), project.id, user)?;
    projects::set_watch(tx.write(), project.id, user, false)?;
    tx.announce(Event::MemberChanged { project_id: project.id, user_id: user, role: None });
    tx.announce(Event::WatchChanged { project_id: project.id, user_id: user, watches: false });
    Ok(())
}

/// Starts or stops notifications of pushes for the caller.
pub struct SetWatch {
    pub who: Credential,
    pub project: ProjectId,
    pub watches: bool,
}

impl Command for SetWatch {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let (project, _) = access(tx, self.who, self.project, None, Act::Read)?;
        let user = self.who.user;
        if projects::watches(tx.reader(), project.id, user)? != self.watches {
            projects::set_watch(tx.write(), project.id, user, self.watches)?;
            tx.announce(Event::WatchChanged { project_id: project.id, user_id: user, watches: self.watches });
        }
        Ok(())
    }
}
