//! The projects: their names, members and repositories.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::access::{AccessGrant, Subject};
use crate::domain::event::Event;
use crate::domain::ids::{ProjectId, RepositoryId, UserId};
use crate::domain::name;
use crate::domain::project::{Project, ProjectRole, Visibility};
use crate::domain::repository::Repository;
use crate::storage::rows::project::Renamed;
use crate::storage::snapshot::Snapshot;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Projects {
    projects: BTreeMap<ProjectId, ProjectState>,
    /// By owner and name in lower case.
    names: HashMap<(UserId, String), ProjectId>,
    /// Former names of projects. An existing project of the name takes precedence.
    former: HashMap<(UserId, String), ProjectId>,
    of_user: HashMap<UserId, BTreeSet<ProjectId>>,
    public: BTreeSet<ProjectId>,
    repositories: HashMap<RepositoryId, ProjectId>,
}

#[derive(Debug, PartialEq)]
pub(super) struct ProjectState {
    pub(super) project: Arc<Project>,
    pub(super) members: BTreeMap<UserId, ProjectRole>,
    pub(super) watchers: BTreeSet<UserId>,
    /// By name in lower case.
    pub(super) repositories: BTreeMap<String, Arc<Repository>>,
    former_repositories: HashMap<String, RepositoryId>,
}

impl ProjectState {
    pub(super) fn role(&self, user: Option<UserId>) -> Option<ProjectRole> {
        self.members.get(&user?).copied()
    }

    pub(super) fn repository(&self, id: RepositoryId) -> Option<&Arc<Repository>> {
        self.repositories.values().find(|repository| repository.id == id)
    }
}

impl Projects {
    pub(super) fn load(snapshot: &mut Snapshot) -> Self {
        let mut this = Self::default();
        for project in std::mem::take(&mut snapshot.projects) {
            this.put(project);
        }
        for (project, user, role) in std::mem::take(&mut snapshot.members) {
            this.set_member(project, user, Some(role));
        }
        for (project, user) in std::mem::take(&mut snapshot.watchers) {
            this.set_watch(project, user, true);
        }
        for repository in std::mem::take(&mut snapshot.repositories) {
            this.put_repository(repository);
        }
        for (renamed, name) in std::mem::take(&mut snapshot.former_names) {
            match renamed {
                Renamed::Project { owner, project } => {
                    this.former.insert((owner, name), project);
                }
                Renamed::Repository { project, repository } => {
                    this.leave_repository_name(project, &name, repository);
                }
            }
        }
        this
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::ProjectChanged { project } => self.put(project.clone()),
            Event::ProjectDeleted { project_id } => self.remove(*project_id),
            Event::MemberChanged { project_id, user_id, role } => {
                self.set_member(*project_id, *user_id, *role);
            }
            Event::WatchChanged { project_id, user_id, watches } => {
                self.set_watch(*project_id, *user_id, *watches);
            }
            Event::RepositoryChanged { repository } => self.put_repository(repository.clone()),
            Event::RepositoryDeleted { repository_id } => self.remove_repository(*repository_id),
            Event::ProjectNameLeft { owner_id, name_key, project_id } => {
                self.former.insert((*owner_id, name_key.clone()), *project_id);
            }
            Event::RepositoryNameLeft { project_id, name_key, repository_id } => {
                self.leave_repository_name(*project_id, name_key, *repository_id);
            }
            _ => {}
        }
    }

    fn put(&mut self, project: Arc<Project>) {
        let id = project.id;
        if let Some(known) = self.projects.get(&id) {
            self.names.remove(&(known.project.owner_id, name::key(&known.project.name)));
        }
        self.names.insert((project.owner_id, name::key(&project.name)), id);
        if project.visibility == Visibility::Public {
            self.public.insert(id);
        } else {
            self.public.remove(&id);
        }
        match self.projects.get_mut(&id) {
            Some(state) => state.project = project,
            None => {
                let state = ProjectState {
                    project,
                    members: BTreeMap::new(),
                    watchers: BTreeSet::new(),
                    repositories: BTreeMap::new(),
                    former_repositories: HashMap::new(),
                };
                self.projects.insert(id, state);
            }
        }
    }

    fn remove(&mut self, id: ProjectId) {
        let Some(state) = self.projects.remove(&id) else { return };
        self.names.remove(&(state.project.owner_id, name::key(&state.project.name)));
        self.public.remove(&id);
        for user in state.members.keys() {
            self.remove_membership(*user, id);
        }
        for repository in state.repositories.values() {
            self.repositories.remove(&repository.id);
        }
    }

    fn set_member(&mut self, project: ProjectId, user: UserId, role: Option<ProjectRole>) {
        let Some(state) = self.projects.get_mut(&project) else { return };
        match role {
            Some(role) => {
                state.members.insert(user, role);
                self.of_user.entry(user).or_default().insert(project);
            }
            None => {
                state.members.remove(&user);
                self.remove_membership(user, project);
            }
        }
    }

    fn remove_membership(&mut self, user: UserId, project: ProjectId) {
        if let Some(own) = self.of_user.get_mut(&user) {
            own.remove(&project);
            if own.is_empty() {
                self.of_user.remove(&user);
            }
        }
    }

    fn set_watch(&mut self, project: ProjectId, user: UserId, watches: bool) {
        if let Some(state) = self.projects.get_mut(&project) {
            if watches {
                state.watchers.insert(user);
            } else {
                state.watchers.remove(&user);
            }
        }
    }

    fn put_repository(&mut self, repository: Arc<Repository>) {
        let Some(state) = self.projects.get_mut(&repository.project_id) else { return };
        state.repositories.retain(|_, known| known.id != repository.id);
        self.repositories.insert(repository.id, repository.project_id);
        state.repositories.insert(name::key(&repository.name), repository);
    }

    fn remove_repository(&mut self, id: RepositoryId) {
        let project = self.repositories.remove(&id);
        if let Some(state) = project.and_then(|project| self.projects.get_mut(&project)) {
            state.repositories.retain(|_, known| known.id != id);
        }
    }

    fn leave_repository_name(&mut self, project: ProjectId, name_key: &str, target: RepositoryId) {
        if let Some(state) = self.projects.get_mut(&project) {
            state.former_repositories.insert(name_key.to_owned(), target);
        }
    }

    /// Returns the bytes of all repositories in the projects under a user's name: the owner is
    /// always a member.
    pub(super) fn bytes_owned_by(&self, user: UserId) -> u64 {
        let own = self.of_user.get(&user).into_iter().flatten().filter_map(|id| self.projects.get(id));
        own.filter(|state| state.project.owner_id == user)
            .flat_map(|state| state.repositories.values())
            .map(|repository| u64::try_from(repository.size_bytes).unwrap_or(0))
            .sum()
    }

    /// Returns the role of a user on the project as a whole, limited by the presented grant.
    pub(super) fn effective_role(
        &self,
        state: &ProjectState,
        user: Option<UserId>,
        grant: Option<&AccessGrant>,
    ) -> Option<ProjectRole> {
        let grant = grant?;
        let chosen = self.holds_one_of(state, grant);
        grant.cap(state.role(user), Subject::Project { chosen })
    }

    /// Returns whether the project has a repository that a token is restricted to.
    pub(super) fn holds_one_of(&self, state: &ProjectState, grant: &AccessGrant) -> bool {
        self.chosen(state, grant) > 0
    }

    /// Returns how many of the repositories that a token is restricted to are in the project.
    fn chosen(&self, state: &ProjectState, grant: &AccessGrant) -> usize {
        let here = |id: &&RepositoryId| self.repositories.get(id) == Some(&state.project.id);
        grant.repositories().unwrap_or_default().iter().filter(here).count()
    }

    /// Returns how many repositories of a project the caller may see.
    pub(super) fn repository_count(&self, state: &ProjectState, grant: Option<&AccessGrant>) -> usize {
        match grant {
            Some(grant)
                if grant.repositories().is_some() && state.project.visibility == Visibility::Private =>
            {
                self.chosen(state, grant)
            }
            _ => state.repositories.len(),
        }
    }

    pub(super) fn get(&self, id: ProjectId) -> Option<&ProjectState> {
        self.projects.get(&id)
    }

    /// Returns the project of this name, current or former. `true`: it has another name now.
    pub(super) fn named(&self, owner: UserId, project: &str) -> Option<(&ProjectState, bool)> {
        let key = (owner, name::key(project));
        let (id, moved) = match self.names.get(&key) {
            Some(id) => (id, false),
            None => (self.former.get(&key)?, true),
        };
        Some((self.projects.get(id)?, moved))
    }

    /// Returns the repository of this name in a project, current or former.
    pub(super) fn repository_named<'a>(
        &self,
        state: &'a ProjectState,
        repository: &str,
    ) -> Option<(&'a Arc<Repository>, bool)> {
        let key = name::key(repository);
        if let Some(found) = state.repositories.get(&key) {
            return Some((found, false));
        }
        let former = state.former_repositories.get(&key)?;
        Some((state.repository(*former)?, true))
    }

    pub(super) fn repository(&self, id: RepositoryId) -> Option<(&ProjectState, &Arc<Repository>)> {
        let state = self.projects.get(self.repositories.get(&id)?)?;
        Some((state, state.repository(id)?))
    }

    /// Returns all repositories.
    pub(super) fn all_repositories(&self) -> impl Iterator<Item = &Arc<Repository>> {
        self.projects.values().flat_map(|state| state.repositories.values())
    }

    /// Returns the projects that a user is a member of, or may at least read, by id above `after`.
    pub(super) fn readable(
        &self,
        user: Option<UserId>,
        after: ProjectId,
        members_only: bool,
    ) -> impl Iterator<Item = &ProjectState> {
        let above = ProjectId(after.0.saturating_add(1))..;
        let own = user.and_then(|user| self.of_user.get(&user));
        let mut own = own.map(|ids| ids.range(above.clone())).into_iter().flatten().copied().peekable();
        let public = (!members_only).then(|| self.public.range(above));
        let mut public = public.into_iter().flatten().copied().peekable();
        // Merges two ascending lists; an id in both occurs once.
        let merged = std::iter::from_fn(move || match (own.peek(), public.peek()) {
            (Some(one), Some(other)) if one == other => {
                public.next();
                own.next()
            }
            (Some(one), Some(other)) if other < one => public.next(),
            (Some(_), _) => own.next(),
            (None, _) => public.next(),
        });
        merged.filter_map(|id| self.projects.get(&id))
    }
}
