//! Projects and their members.

use std::sync::Arc;

use super::access::ProjectPath;
use super::accounts::Fields;
use super::{ServiceError, Services};
use crate::actors::cache::{
    Destination, MemberView, Members, ProjectList, ProjectNamed, ProjectView, ProjectsOwned,
};
use crate::actors::writer::commands::{
    CreateProject, DeleteProject, SetMember, SetProjectConfig, SetWatch, UpdateProject,
};
use crate::domain::access::Credential;
use crate::domain::ids::{ProjectId, UserId};
use crate::domain::name::Name;
use crate::domain::page::Page;
use crate::domain::permission::project::Act;
use crate::domain::project::{ProjectConfig, ProjectRole, Visibility, parse_description};
use crate::domain::refusal::Refusal;
use crate::protocol::code::Code;

/// Name of the project that legacy routes put repositories into.
pub const PERSONAL: &str = "personal";

/// A requested change; `None` leaves a field unchanged.
#[derive(Debug, Default)]
pub struct ProjectChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub visibility: Option<Visibility>,
}

impl Services {
    pub async fn create_project(
        &self,
        who: Credential,
        name: &str,
        description: &str,
        visibility: Visibility,
    ) -> Result<ProjectView, ServiceError> {
        let mut fields = Fields::default();
        let name = fields.check("name", Name::parse(name));
        let description = fields.check("description", parse_description(description));
        fields.done()?;
        let (Some(name), Some(description)) = (name, description) else {
            return Err(Refusal::invalid("name", "is missing").into());
        };
        self.rates.change(who.user, 1)?;
        let command = CreateProject { who, name, description, visibility };
        let project = self.writer.execute(who, command).await?;
        self.project_of(who, &project.name).await
    }

    /// Returns the caller's own project of this name.
    async fn project_of(&self, who: Credential, project: &str) -> Result<ProjectView, ServiceError> {
        let owner = self.username(who).await?;
        Ok(self.cache.ask(who, ProjectNamed { owner, project: project.to_owned(), act: Act::Read }).await?)
    }

    pub(super) async fn username(&self, who: Credential) -> Result<String, ServiceError> {
        Ok(self.me(who).await?.username.clone())
    }

    /// Returns the caller's project for legacy routes. Creates it on first use.
    pub async fn personal_project(&self, who: Credential) -> Result<ProjectView, ServiceError> {
        match self.project_of(who, PERSONAL).await {
            Err(ServiceError { code: Code::NotFound, .. }) => {}
            found => return found,
        }
        match self.create_project(who, PERSONAL, "", Visibility::Private).await {
            // Another request was faster, or the user has too many projects.
            Err(conflict) if conflict.code == Code::Conflict => {
                self.project_of(who, PERSONAL).await.map_err(|_| conflict)
            }
            made => made,
        }
    }

    /// Returns projects that the caller may read, or only those the caller is a member of, with ids
    /// above `after`.
    pub async fn projects(
        &self,
        who: Option<Credential>,
        after: ProjectId,
        limit: usize,
        members_only: bool,
    ) -> Result<Page<ProjectView>, ServiceError> {
        self.ask_as_anyone(who, ProjectList { after, limit, members_only }).await
    }

    /// Returns projects in the namespace of a user that the caller may read, the oldest first.
    pub async fn projects_owned_by(
        &self,
        who: Option<Credential>,
        owner: UserId,
        limit: usize,
    ) -> Result<Page<ProjectView>, ServiceError> {
        self.ask_as_anyone(who, ProjectsOwned { owner, limit }).await
    }

    pub async fn update_project(
        &self,
        who: Credential,
        at: &ProjectPath,
        change: ProjectChange,
    ) -> Result<ProjectView, ServiceError> {
        let view = self.project(Some(who), at, Act::Manage).await?;
        let mut fields = Fields::default();
        let name = change.name.map(|name| fields.check("name", Name::parse(&name)));
        let description =
            change.description.map(|text| fields.check("description", parse_description(&text)));
        fields.done()?;
        self.rates.change(who.user, 1)?;
        let command = UpdateProject {
            who,
            project: view.project.id,
            name: name.flatten(),
            description: description.flatten(),
            visibility: change.visibility,
        };
        let project = self.writer.execute(who, command).await?;
        let query = ProjectNamed { owner: view.owner, project: project.name.clone(), act: Act::Read };
        Ok(self.cache.ask(who, query).await?)
    }

    pub async fn delete_project(&self, who: Credential, at: &ProjectPath) -> Result<(), ServiceError> {
        let project = self.project(Some(who), at, Act::Manage).await?.project.id;
        self.rates.change(who.user, 1)?;
        self.writer.execute(who, DeleteProject { who, project }).await?;
        self.git.maintain_soon();
        Ok(())
    }

    pub async fn set_project_config(
        &self,
        who: Credential,
        at: &ProjectPath,
        config: ProjectConfig,
    ) -> Result<ProjectConfig, ServiceError> {
        let project = self.project(Some(who), at, Act::Manage).await?.project.id;
        let config = config.check()?;
        self.rates.change(who.user, 1)?;
        let command = SetProjectConfig { who, project, config };
        let project = self.writer.execute(who, command).await?;
        Ok(Arc::unwrap_or_clone(project).config)
    }

    pub async fn members(
        &self,
        who: Credential,
        project: ProjectId,
        after: UserId,
        limit: usize,
    ) -> Result<Page<MemberView>, ServiceError> {
        Ok(self.cache.ask(who, Members { project, after, limit }).await?)
    }

    /// Adds a member or changes a role; `None` removes the member. Returns whether the user was a
    /// member before.
    pub async fn set_member(
        &self,
        who: Credential,
        at: &ProjectPath,
        username: String,
        role: Option<ProjectRole>,
    ) -> Result<bool, ServiceError> {
        let project = self.project(Some(who), at, Act::Read).await?.project.id;
        let user = self.person_to_add(who, username, Destination::Project(project)).await?;
        if user != who.user || role.is_some() {
            self.rates.change(who.user, 1)?;
        }
        let command = SetMember { who, project, user, role };
        Ok(self.writer.execute(who, command).await?)
    }

    pub async fn set_watch(
        &self,
        who: Credential,
        at: &ProjectPath,
        watches: bool,
    ) -> Result<(), ServiceError> {
        let project = self.project(Some(who), at, Act::Read).await?.project.id;
        self.rates.change(who.user, 1)?;
        Ok(self.writer.execute(who, SetWatch { who, project, watches }).await?)
    }
}
