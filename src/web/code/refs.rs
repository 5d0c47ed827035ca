//! The list in which a visitor chooses another branch or tag.

use super::frame::{At, href, name_in_address};
use crate::git::browse::{RefKind, TagName};
use crate::http::address::path_encoded;
use crate::services::{RepositoryView, ServiceError, Services};

/// Maximum number of branches, and of tags, in the list. The form beside it takes any name.
const LISTED_MAX: usize = 50;
/// Shown digits of an object id.
const SHORT_OID: usize = 10;

/// A ref and the address of the same view at it.
#[derive(Debug)]
pub(in crate::web) struct RefLink {
    pub(in crate::web) name: String,
    pub(in crate::web) href: String,
    pub(in crate::web) is_current: bool,
    /// Whether it is a branch to which a rule of the project applies.
    pub(in crate::web) is_protected: bool,
}

/// The values of the list.
#[derive(Debug)]
pub(in crate::web) struct RefPicker {
    /// `Branch`, `Tag`, `Ref` or `Commit`.
    pub(in crate::web) kind: &'static str,
    /// The shown name: ids are cut.
    pub(in crate::web) name: String,
    pub(in crate::web) branches: Vec<RefLink>,
    pub(in crate::web) tags: Vec<RefLink>,
    pub(in crate::web) has_more: bool,
    /// The view and the path that the form keeps.
    pub(in crate::web) view: &'static str,
    pub(in crate::web) path: String,
}

impl RefPicker {
    pub(super) async fn load(
        services: &Services,
        view: &RepositoryView,
        at: At<'_>,
        base: &str,
    ) -> Result<Self, ServiceError> {
        let names = services.ref_names(view, LISTED_MAX).await?;
        let link = |reference: &str, name: &str, kind: RefKind| RefLink {
            href: href(base, at.view, &path_encoded(reference), at.path),
            is_current: at.commit.kind == kind && at.commit.name == name,
            is_protected: kind == RefKind::Branch && view.project.config.rule_for(name).is_some(),
            name: name.to_owned(),
        };
        let tag_link = |TagName { name, is_branch_too }: &TagName| {
            let reference = if *is_branch_too { format!("refs/tags/{name}") } else { name.clone() };
            link(&reference, name, RefKind::Tag)
        };
        let name = name_in_address(at.commit);
        let (kind, name) = match at.commit.kind {
            RefKind::Branch => ("Branch", name),
            RefKind::Tag => ("Tag", name),
            RefKind::Ref => ("Ref", name),
            RefKind::Commit | RefKind::ShortCommit => ("Commit", name.get(..SHORT_OID).unwrap_or(name)),
        };
        Ok(Self {
            kind,
            name: name.to_owned(),
            tags: names.tags.iter().map(tag_link).collect(),
            branches: names.branches.iter().map(|name| link(name, name, RefKind::Branch)).collect(),
            has_more: names.has_more,
            view: at.view,
            path: at.path.to_owned(),
        })
    }
}
