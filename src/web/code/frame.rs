//! The frame of every page of a repository: its head, its tabs, and the list of its refs.
//!
//! A page calls [`in_repository`] or [`at_ref`], loads the [`Frame`], and its template extends
//! `code/repository.html`, which shows the fields `shell` and `frame`.

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::missing;
use super::refs::RefPicker;
use crate::domain::chat::ChatRole;
use crate::domain::ids::ChatId;
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::project::Visibility;
use crate::git::browse::{RefKind, ResolvedRef};
use crate::http::address::{self, base_url, path_encoded, url_path};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::counted;
use crate::http::validator::Validator;
use crate::services::access::RepositoryPath;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::assets;
use crate::web::layout::{Crumb, Shell};
use crate::web::visitor::Visitor;

/// Index of the first segment after the view in `/{user}/{project}/{repo}/-/tree/{ref}/{path}`.
const REST_SEGMENT: usize = 6;
/// Number of the first segments, which name the repository.
const NAME_SEGMENTS: usize = 3;

/// A tab of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Tab {
    Code,
    Commits,
    Branches,
    Tags,
    Settings,
}

/// The shown commit, and the view (such as `tree`) and path that stay when another ref is chosen.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct At<'a> {
    pub(in crate::web) commit: &'a ResolvedRef,
    pub(in crate::web) view: &'static str,
    pub(in crate::web) path: &'a str,
}

/// The values of the frame.
#[derive(Debug)]
pub(in crate::web) struct Frame {
    pub(in crate::web) owner: String,
    pub(in crate::web) project: String,
    pub(in crate::web) repository: String,
    pub(in crate::web) description: String,
    /// The address of the repository, encoded, without a slash at the end.
    pub(in crate::web) base: String,
    pub(in crate::web) is_private: bool,
    pub(in crate::web) may_maintain: bool,
    pub(in crate::web) clone_url: String,
    /// The channel of the project, if the visitor may write there: for messages about lines.
    pub(in crate::web) channel: Option<ChatId>,
    /// The shown ref as in addresses, encoded; the default branch on pages without a ref.
    pub(in crate::web) reference: String,
    pub(in crate::web) tab: Tab,
    pub(in crate::web) picker: Option<RefPicker>,
}

impl Frame {
    /// Loads the frame. `at` is `None` for pages without a ref.
    pub(in crate::web) async fn load(
        request: &HttpRequest,
        services: &Services,
        view: &RepositoryView,
        tab: Tab,
        at: Option<At<'_>>,
    ) -> Result<Self, ServiceError> {
        let base = base_of(view);
        let reference = match &at {
            Some(at) => path_encoded(name_in_address(at.commit)),
            None => path_encoded(&view.repository.default_branch),
        };
        let picker = match at {
            Some(at) => Some(RefPicker::load(services, view, at, &base).await?),
            None => None,
        };
        Ok(Self {
            owner: view.owner.clone(),
            project: view.project.name.clone(),
            repository: view.repository.name.clone(),
            description: view.repository.description.clone(),
            is_private: view.project.visibility == Visibility::Private,
            may_maintain: view.may(Act::Maintain),
            channel: channel_to_write(view),
            clone_url: format!("{}/{}.git", base_url(request, services), view.path()),
            base,
            reference,
            tab,
            picker,
        })
    }

    /// Returns the frame of the whole page, with the path of the repository in its header.
    pub(in crate::web) fn shell(&self, request: &HttpRequest, visitor: &Visitor, thing: &str) -> Shell {
        let Self { owner, project, repository, .. } = self;
        let project_href = format!("/{}/{}", path_encoded(owner), path_encoded(project));
        let crumbs = [
            Crumb::new(owner, format!("/people/{}", path_encoded(owner))),
            Crumb::new(project, project_href),
            Crumb::new(repository, &self.base),
        ];
        let place = format!("{owner}/{project}/{repository}");
        let title = if thing.is_empty() { place } else { format!("{thing} · {place}") };
        Shell::new(request, visitor, title).crumbs(crumbs)
    }

    /// Returns the address of a view of a path at the shown ref, such as `tree`.
    pub(in crate::web) fn href(&self, view: &str, path: &str) -> String {
        href(&self.base, view, &self.reference, path)
    }

    /// Returns the validator of a page that shows this frame: it also depends on the visitor.
    pub(in crate::web) fn validator(
        &self,
        request: &HttpRequest,
        visitor: &Visitor,
        commits: &[&ResolvedRef],
    ) -> Validator {
        self.validator_with(request, visitor, commits, "")
    }

    /// Like [`Frame::validator`], for a page that depends on something more.
    pub(in crate::web) fn validator_with(
        &self,
        request: &HttpRequest,
        visitor: &Visitor,
        commits: &[&ResolvedRef],
        more: &str,
    ) -> Validator {
        let user = visitor.user().map(|user| (user.id, user.is_admin));
        let shown = format!("{} {} {user:?} {self:?} {more}", assets::root_of(request), visitor.theme);
        Validator::of_view(request, commits, &shown)
    }
}

/// Returns the channel of a project in whose repository the visitor may write messages. Channels of
/// projects are never archived.
fn channel_to_write(view: &RepositoryView) -> Option<ChatId> {
    let may_write = |role| permission::channel_role(role) >= ChatRole::Member;
    view.role.is_some_and(may_write).then_some(view.project.channel_id)
}

/// Returns the address of a view of a path; `reference` is encoded already.
pub(in crate::web) fn href(base: &str, view: &str, reference: &str, path: &str) -> String {
    if path.is_empty() {
        format!("{base}/-/{view}/{reference}")
    } else {
        format!("{base}/-/{view}/{reference}/{}", path_encoded(path))
    }
}

/// Returns the address of a repository.
pub(in crate::web) fn base_of(view: &RepositoryView) -> String {
    format!("/{}", path_encoded(&view.path()))
}

/// Returns the name with which an address names this commit.
pub(in crate::web) fn name_in_address(commit: &ResolvedRef) -> &str {
    match commit.kind {
        RefKind::Branch | RefKind::Tag => &commit.name,
        RefKind::Ref | RefKind::Commit | RefKind::ShortCommit => &commit.canonical,
    }
}

/// Finds a repository that the visitor may read. A former name leads to the present one.
pub(in crate::web) async fn in_repository(
    visitor: &Visitor,
    request: &HttpRequest,
    at: &RepositoryPath,
    services: &Services,
    answer: impl AsyncFnOnce(RepositoryView) -> HttpResult,
) -> HttpResult {
    let view = services.repository(visitor.who(), at, Act::Read).await?;
    let view = counted(request, view)?;
    match moved(request, &view) {
        Some(answer) => Ok(answer),
        None => answer(view).await,
    }
}

fn moved(request: &HttpRequest, view: &RepositoryView) -> Option<HttpResponse> {
    view.moved.then(|| address::moved(request, NAME_SEGMENTS, &base_of(view)))
}

/// The path of a page with a ref and a path: `rest` is `{ref}/{path}`.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct RefPathAddress {
    user: String,
    project: String,
    repo: String,
    rest: String,
}

impl RefPathAddress {
    /// Returns the repository and the rest.
    pub(super) fn split(self) -> (RepositoryPath, String) {
        let Self { user, project, repo, rest } = self;
        (RepositoryPath { user, project, repo }, rest)
    }
}

/// A repository, and the commit and path that a page shows.
pub(in crate::web) struct Found {
    pub(in crate::web) view: RepositoryView,
    pub(in crate::web) commit: ResolvedRef,
    pub(in crate::web) path: String,
}

/// Finds the repository and the commit of a page. A ref that does not exist has a page of its own.
pub(in crate::web) async fn at_ref(
    visitor: &Visitor,
    request: &HttpRequest,
    at: RefPathAddress,
    services: &Services,
    answer: impl AsyncFnOnce(Found) -> HttpResult,
) -> HttpResult {
    let (at, rest) = at.split();
    in_repository(visitor, request, &at, services, async |view| {
        let text = url_path(request, REST_SEGMENT, rest);
        if text.is_empty() {
            return Err(HttpError::bad_request("the address must name a branch, a tag or a commit"));
        }
        let found = match services.resolve_ref_path(&view, text.clone()).await {
            Ok(found) => found,
            Err(error) => return missing::of_ref((visitor, request, services), &view, &text, error).await,
        };
        answer(Found { view, commit: found.commit, path: found.path }).await
    })
    .await
}
