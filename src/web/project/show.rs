//! `/{user}/{project}`: the repositories, members and last messages of a project.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::channel_lines::{ChannelLine, channel_lines};
use super::head::Head;
use super::{crumbs_of, moved, path_of, repository_path_of};
use crate::core::plural::size;
use crate::domain::ids::UserId;
use crate::domain::permission::project::Act;
use crate::http::address::{base_url, percent_encoded};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Path, Query, counted};
use crate::services::access::ProjectPath;
use crate::services::{ProjectView, RepositoryView, Services};
use crate::web::code::documents::{Readme, readme_of_first};
use crate::web::form::Form;
use crate::web::layout::{self, Shell, see_other};
use crate::web::shown::{Face, Moment};
use crate::web::visitor::Visitor;

/// How long the page waits for the README, which is a part of it only. A choice: as long as a
/// reader waits without noticing.
const README_TIME_MAX: Duration = Duration::from_millis(300);
/// Repositories that are tried for the README: those without a commit have none.
const README_REPOSITORIES: usize = 5;
/// Members on the page of a project; the page of the members has all.
const MEMBERS_SHOWN: usize = 10;

struct RepositoryRow {
    href: String,
    name: String,
    description: String,
    default_branch: String,
    size: String,
    created: Moment,
}

impl From<&RepositoryView> for RepositoryRow {
    fn from(view: &RepositoryView) -> Self {
        let repository = &view.repository;
        Self {
            href: repository_path_of(view),
            name: repository.name.clone(),
            description: repository.description.clone(),
            default_branch: repository.default_branch.clone(),
            size: size(u64::try_from(repository.size_bytes).unwrap_or(0)),
            created: Moment::of(repository.created_at),
        }
    }
}

struct MemberFace {
    face: Face,
    role: &'static str,
    is_active: bool,
}

#[derive(Template)]
#[template(path = "project/show.html")]
struct ProjectPage {
    shell: Shell,
    head: Head,
    description: String,
    repositories: Vec<RepositoryRow>,
    is_first: bool,
    next: Option<String>,
    members: Vec<MemberFace>,
    more_members: usize,
    /// The newest messages of the channel, for visitors with an account.
    lines: Vec<ChannelLine>,
    created: Moment,
    /// See [`readme_of`].
    readme: Option<Readme>,
    /// Whether the first push creates a repository.
    creates_by_push: bool,
    /// The address of the server and the visitor's name, for commands.
    base_url: String,
    username: String,
    /// The address of the server with the visitor's name, for the remote of a repository.
    push_base: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct PageQuery {
    /// The name after which the list of repositories continues.
    #[serde(default)]
    cursor: String,
}

/// Returns the page of a project.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    query: Query<PageQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.project(visitor.who(), &at.0, Act::Read).await?;
    if let Some(redirect) = moved(&request, &view) {
        return Ok(redirect);
    }
    let (id, limit) = (view.project.id, services.limits.page_default);
    let is_first = query.0.cursor.is_empty();
    let found = services.repositories(visitor.who(), id, query.0.cursor, limit).await?;
    let next = found
        .next_cursor(|view| format!("?cursor={}", percent_encoded(&view.repository.name.to_lowercase())));
    let (members, lines) = match visitor.who() {
        Some(who) => (
            services.members(who, id, UserId(0), MEMBERS_SHOWN).await?.items,
            channel_lines(&services, who, view.project.channel_id).await,
        ),
        None => Default::default(),
    };
    let readme = match is_first {
        true => readme_of(&request, &services, &view, &found.items).await?,
        false => None,
    };
    let base = base_url(&request, &services);
    let username = visitor.user().map(|user| user.username.clone()).unwrap_or_default();
    let title = format!("{} · {}", view.project.name, view.owner);
    let page = ProjectPage {
        shell: Shell::new(&request, &visitor, title).crumbs(crumbs_of(&view)),
        description: view.project.description.clone(),
        repositories: found.items.iter().map(RepositoryRow::from).collect(),
        is_first,
        next,
        readme,
        creates_by_push: services.git.creates_by_push(),
        more_members: view.member_count.saturating_sub(members.len()),
        members: members
            .iter()
            .map(|member| MemberFace {
                face: Face::new(&member.username, &member.display_name).with_avatar(member.avatar.as_deref()),
                role: member.role.as_str(),
                is_active: member.active,
            })
            .collect(),
        lines,
        created: Moment::of(view.project.created_at),
        push_base: match base.split_once("://") {
            Some((scheme, host)) if !username.is_empty() => {
                format!("{scheme}://{}@{host}", percent_encoded(&username))
            }
            _ => base.clone(),
        },
        base_url: base,
        username,
        head: Head::new(&view, &visitor, "overview"),
    };
    layout::page(&request, &page).await
}

/// Returns the README of the repository that has the name of the project, if it has a commit; else
/// of the first repository that has one.
async fn readme_of(
    request: &HttpRequest,
    services: &Services,
    project: &ProjectView,
    repositories: &[RepositoryView],
) -> Result<Option<Readme>, HttpError> {
    let is_namesake = |view: &&RepositoryView| view.repository.name == project.project.name;
    let namesake = repositories.iter().find(is_namesake);
    let others = repositories.iter().filter(|view| !is_namesake(view));
    let tried = namesake.into_iter().chain(others).take(README_REPOSITORIES);
    let tried: Vec<_> = tried.map(|view| counted(request, view.clone())).collect::<Result<_, _>>()?;
    match tokio::time::timeout(README_TIME_MAX, readme_of_first(services, &tried)).await {
        Ok(Ok(readme)) => Ok(readme),
        Ok(Err(error)) => {
            error.log_causes();
            Ok(None)
        }
        // It takes too long for a part of a page.
        Err(_) => Ok(None),
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct WatchForm {
    watch: bool,
}

/// Watches the project or stops watching it.
pub(in crate::web) async fn watch(
    visitor: Visitor,
    at: Path<ProjectPath>,
    form: Form<WatchForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    services.set_watch(who, &at.0, form.0.watch).await?;
    let view = services.project(Some(who), &at.0, Act::Read).await?;
    Ok(see_other(&path_of(&view)))
}
