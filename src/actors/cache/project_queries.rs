//! Queries about projects, repositories and notifications.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Bound;
use std::sync::Arc;

use super::projects::ProjectState;
use super::queries::{Query, QueryContext, QueryOutcome, user_of};
use super::token_queries::check_administrator;
use crate::core::shares::{Client, Holder};
use crate::domain::access::{Credential, RequiredScope, Subject};
use crate::domain::ids::{NotificationId, ProjectId, RepositoryId, UserId};
use crate::domain::mention::Mention;
use crate::domain::notification::Notification;
use crate::domain::page::Page;
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::project::{Project, ProjectRole};
use crate::domain::refusal::Refusal;
use crate::domain::repository::Repository;

/// The address of a client that the cache does not know; HTTP knows it.
const ANYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A project as a caller sees it who has the requested permission.
#[derive(Debug, Clone)]
pub struct ProjectView {
    pub project: Arc<Project>,
    /// The user name in its path.
    pub owner: String,
    /// The caller's role.
    pub role: Option<ProjectRole>,
    pub watches: bool,
    pub member_count: usize,
    pub repository_count: usize,
    /// It was requested by a former name.
    pub moved: bool,
}

/// A repository as a caller sees it who has the requested permission.
#[derive(Debug, Clone)]
pub struct RepositoryView {
    pub project: Arc<Project>,
    pub repository: Arc<Repository>,
    pub owner: String,
    pub role: Option<ProjectRole>,
    pub moved: bool,
    /// The holder that places for reading it count for.
    pub holder: Holder,
    /// The address by whose network the places are shared a second time.
    pub address: Option<IpAddr>,
}

impl RepositoryView {
    /// Returns the same for a client at this address: without an account, places are counted for
    /// its network. `is_proxy`: the address is a proxy's, which many clients share.
    pub fn from_address(self, address: IpAddr, is_proxy: bool) -> Self {
        let holder = match self.holder {
            Holder::Network(_) => Holder::network(address),
            known @ (Holder::Account(_) | Holder::Operator) => known,
        };
        Self { holder, address: (!is_proxy).then_some(address), ..self }
    }

    /// Returns the client that reads it.
    pub fn client(&self) -> Client {
        Client::new(self.holder, self.address)
    }

    /// Returns `owner/project/repository`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.owner, self.project.name, self.repository.name)
    }

    pub fn may(&self, act: Act) -> bool {
        permission::check(act, self.project.visibility, self.role, "repository").is_ok()
    }
}

/// The project of this name, for a caller who wants to `act`.
pub struct ProjectNamed {
    pub owner: String,
    pub project: String,
    pub act: Act,
}

impl Query for ProjectNamed {
    type Answer = ProjectView;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<ProjectView> {
        QueryOutcome::Now(find(context, &self.owner, &self.project, "project").and_then(|(state, moved)| {
            let view = view(who, context, state, moved);
            let access = (view.project.visibility, state.role(who.map(|who| who.user)));
            let chosen = |grant| context.read.projects.holds_one_of(state, grant);
            match context.grant.as_ref() {
                Some(grant) => {
                    let subject = Subject::Project { chosen: chosen(grant) };
                    grant.check_act(self.act, access, subject, "project").map(drop)?;
                }
                None => permission::check(self.act, view.project.visibility, None, "project")?,
            }
            Ok(view)
        }))
    }
}

/// The project of this name, for an administrator of the server.
pub struct ProjectToAdminister {
    pub owner: String,
    pub project: String,
}

impl Query for ProjectToAdminister {
    type Answer = ProjectId;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ServerAdmin;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<ProjectId> {
        QueryOutcome::Now(user_of(who).and_then(|user| {
            check_administrator(context, user)?;
            find(context, &self.owner, &self.project, "project").map(|(state, _)| state.project.id)
        }))
    }
}

/// Finds a project by name. Missing and hidden projects must give the same answer: callers check
/// the permission next.
pub(super) fn find<'a>(
    context: &'a QueryContext<'_>,
    owner: &str,
    project: &str,
    noun: &'static str,
) -> Result<(&'a ProjectState, bool), Refusal> {
    let directory = &context.read.directory;
    let now = directory.named(owner).map(|entry| (entry.user.id, false));
    let owner = now.or_else(|| directory.formerly_named(owner).map(|user| (user.id, true)));
    let found = owner.and_then(|(owner, renamed)| {
        let (state, moved) = context.read.projects.named(owner, project)?;
        Some((state, moved || renamed))
    });
    found.ok_or(Refusal::NotFound(noun))
}

fn view(
    who: Option<Credential>,
    context: &QueryContext<'_>,
    state: &ProjectState,
    moved: bool,
) -> ProjectView {
    let user = who.map(|who| who.user);
    ProjectView {
        project: state.project.clone(),
        owner: context.read.directory.username(state.project.owner_id).to_owned(),
        role: context.read.projects.effective_role(state, user, context.grant.as_ref()),
        watches: user.is_some_and(|user| state.watchers.contains(&user)),
        member_count: state.members.len(),
        repository_count: context.read.projects.repository_count(state, context.grant.as_ref()),
        moved,
    }
}

/// The repository of this name, for a caller who wants to `act`.
pub struct RepositoryNamed {
    pub owner: String,
    pub project: String,
    pub repository: String,
    pub act: Act,
}

impl Query for RepositoryNamed {
    type Answer = RepositoryView;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(
        &self,
        who: Option<Credential>,
        context: &mut QueryContext<'_>,
    ) -> QueryOutcome<RepositoryView> {
        const NOUN: &str = "repository";
        QueryOutcome::Now(find(context, &self.owner, &self.project, NOUN).and_then(
            |(state, project_moved)| {
                let (repository, moved) = context
                    .read
                    .projects
                    .repository_named(state, &self.repository)
                    .ok_or(Refusal::NotFound(NOUN))?;
                let role = state.role(who.map(|who| who.user));
                let (visibility, subject) = (state.project.visibility, Subject::Repository(repository.id));
                let role = match context.grant.as_ref() {
                    Some(grant) => grant.check_act(self.act, (visibility, role), subject, NOUN)?,
                    None => permission::check(self.act, visibility, None, NOUN).map(|()| None)?,
                };
                Ok(RepositoryView {
                    project: state.project.clone(),
                    repository: repository.clone(),
                    owner: context.read.directory.username(state.project.owner_id).to_owned(),
                    role,
                    moved: moved || project_moved,
                    holder: Holder::of(who.map(|who| who.user), ANYWHERE),
                    address: None,
                })
            },
        ))
    }
}

/// The repository with this id, for the server itself.
pub struct RepositoryById(pub RepositoryId);

impl Query for RepositoryById {
    type Answer = Arc<Repository>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let found = context.read.projects.repository(self.0).map(|(_, repository)| repository.clone());
        QueryOutcome::Now(found.ok_or(Refusal::NotFound("repository")))
    }
}

/// The paths of those of these repositories that the caller may read.
pub struct RepositoryPaths(pub Vec<RepositoryId>);

impl Query for RepositoryPaths {
    type Answer = Vec<String>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let read = &context.read;
        let path = |id: &RepositoryId| {
            let (state, repository) = read.projects.repository(*id)?;
            let role = state.role(who.map(|who| who.user));
            permission::check(Act::Read, state.project.visibility, role, "repository").ok()?;
            let owner = read.directory.username(state.project.owner_id);
            Some(format!("{owner}/{}/{}", state.project.name, repository.name))
        };
        QueryOutcome::Now(Ok(self.0.iter().filter_map(path).collect()))
    }
}

/// Bytes of all repositories under a user's name, for the server itself.
pub struct AccountBytes(pub UserId);

impl Query for AccountBytes {
    type Answer = u64;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<u64> {
        QueryOutcome::Now(Ok(context.read.projects.bytes_owned_by(self.0)))
    }
}

/// Projects that the caller may read, by id.
pub struct ProjectList {
    pub after: ProjectId,
    pub limit: usize,
    /// Only those that the caller is a member of.
    pub members_only: bool,
}

impl Query for ProjectList {
    type Answer = Page<ProjectView>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let user = who.map(|who| who.user);
        let states = context.read.projects.readable(user, self.after, self.members_only);
        let visible = states.filter(|state| {
            let role = context.read.projects.effective_role(state, user, context.grant.as_ref());
            permission::check(Act::Read, state.project.visibility, role, "project").is_ok()
        });
        let views = visible.map(|state| view(who, context, state, false));
        QueryOutcome::Now(Ok(Page::take(views, self.limit)))
    }
}

/// The projects in the namespace of a user that the caller may read, by id.
pub struct ProjectsOwned {
    pub owner: UserId,
    pub limit: usize,
}

impl Query for ProjectsOwned {
    type Answer = Page<ProjectView>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let user = who.map(|who| who.user);
        // The owner is a member of each project in the namespace.
        let states = context.read.projects.readable(Some(self.owner), ProjectId(0), true);
        let visible = states.filter(|state| {
            let role = context.read.projects.effective_role(state, user, context.grant.as_ref());
            state.project.owner_id == self.owner
                && permission::check(Act::Read, state.project.visibility, role, "project").is_ok()
        });
        let views = visible.map(|state| view(who, context, state, false));
        QueryOutcome::Now(Ok(Page::take(views, self.limit)))
    }
}

/// The members of a project, by user id.
pub struct Members {
    pub project: ProjectId,
    pub after: UserId,
    pub limit: usize,
}

/// A member of a project with its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    pub user_id: UserId,
    pub username: String,
    pub display_name: String,
    pub role: ProjectRole,
    pub active: bool,
    /// The version of the avatar.
    pub avatar: Option<String>,
}

impl Query for Members {
    type Answer = Page<MemberView>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(user_of(who).and_then(|user| {
            let state = context.read.projects.get(self.project).ok_or(Refusal::NotFound("project"))?;
            let role = context.read.projects.effective_role(state, Some(user), context.grant.as_ref());
            permission::check(Act::Read, state.project.visibility, role, "project")?;
            let above = state.members.range((Bound::Excluded(self.after), Bound::Unbounded));
            let display_name = |id| {
                let user = context.read.directory.user(id);
                user.map(|user| user.display_name.clone()).unwrap_or_default()
            };
            let avatar = |id| context.read.directory.user(id)?.shown_avatar().map(str::to_owned);
            let members = above.map(|(id, role)| MemberView {
                user_id: *id,
                username: context.read.directory.username(*id).to_owned(),
                display_name: display_name(*id),
                role: *role,
                active: context.read.directory.user(*id).is_some_and(|user| user.active),
                avatar: avatar(*id),
            });
            Ok(Page::take(members, self.limit))
        }))
    }
}

/// Those of some users who are active members of a project.
pub struct MembersAmong {
    pub project: ProjectId,
    pub users: Vec<UserId>,
}

impl Query for MembersAmong {
    type Answer = Vec<UserId>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Vec<UserId>> {
        let state = context.read.projects.get(self.project);
        let is_active = |id: UserId| context.read.directory.user(id).is_some_and(|user| user.active);
        let is_member =
            |id: &&UserId| state.is_some_and(|state| state.members.contains_key(*id)) && is_active(**id);
        QueryOutcome::Now(Ok(self.users.iter().filter(is_member).copied().collect()))
    }
}

/// The repositories of a project, by name in lower case.
pub struct Repositories {
    pub project: ProjectId,
    pub after: String,
    pub limit: usize,
}

impl Query for Repositories {
    type Answer = Page<RepositoryView>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let user = who.map(|who| who.user);
        let Some(state) = context.read.projects.get(self.project) else {
            return QueryOutcome::Now(Err(Refusal::NotFound("project")));
        };
        let owner = context.read.directory.username(state.project.owner_id);
        let above =
            state.repositories.range::<str, _>((Bound::Excluded(self.after.as_str()), Bound::Unbounded));
        let visible = above.filter_map(|(_, repository)| {
            let grant = context.grant.as_ref();
            let role =
                grant.and_then(|grant| grant.cap(state.role(user), Subject::Repository(repository.id)));
            permission::check(Act::Read, state.project.visibility, role, "repository").ok()?;
            Some(RepositoryView {
                project: state.project.clone(),
                repository: repository.clone(),
                owner: owner.to_owned(),
                role,
                moved: false,
                holder: Holder::of(user, ANYWHERE),
                address: None,
            })
        });
        QueryOutcome::Now(Ok(Page::take(visible, self.limit)))
    }
}

/// The first `limit` mentioned users who may read the project.
pub struct ReadersNamed {
    pub project: ProjectId,
    pub named: Vec<Mention>,
    pub limit: usize,
}

impl Query for ReadersNamed {
    type Answer = Vec<UserId>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Vec<UserId>> {
        let Some(state) = context.read.projects.get(self.project) else {
            return QueryOutcome::Now(Ok(Vec::new()));
        };
        let (visibility, directory) = (state.project.visibility, &context.read.directory);
        let reader = |name: &str| {
            let user = directory.named(name)?.user.id;
            permission::check(Act::Read, visibility, state.role(Some(user)), "project").ok()?;
            Some(user)
        };
        let mut readers = Vec::new();
        for user in self.named.iter().filter_map(|mention| mention.candidates().find_map(reader)) {
            if readers.len() < self.limit && !readers.contains(&user) {
                readers.push(user);
            }
        }
        QueryOutcome::Now(Ok(readers))
    }
}

/// The caller's notifications, newest first.
pub struct NotificationList {
    pub before: Option<NotificationId>,
    pub unread: bool,
    pub limit: usize,
}

impl Query for NotificationList {
    /// `None`: the page needs older notifications than those in memory.
    type Answer = Option<Vec<Arc<Notification>>>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let own = &context.read.notifications;
        QueryOutcome::Now(user_of(who).map(|user| own.page(user, self.before, self.unread, self.limit)))
    }
}
