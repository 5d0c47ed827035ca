//! The list in which a visitor chooses another branch or tag.

use std::collections::HashSet;

use super::frame::{At, href, name_in_address};
use crate::git::browse::RefKind;
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
        let branches = services.branches(view, None, LISTED_MAX).await?;
        let tags = services.tags(view, None, LISTED_MAX).await?;
        let has_more = branches.next.is_some() || tags.next.is_some();
        let link = |reference: &str, name: &str, kind: RefKind| RefLink {
            href: href(base, at.view, &path_encoded(reference), at.path),
            is_current: at.commit.kind == kind && at.commit.name == name,
            is_protected: kind == RefKind::Branch && view.project.config.rule_for(name).is_some(),
            name: name.to_owned(),
        };
        // A name of both kinds means the branch.
        let taken: HashSet<&str> = branches.items.iter().map(|branch| branch.name.as_str()).collect();
        let tag_link = |name: &str| {
            let is_taken = taken.contains(name);
            let reference = if is_taken { format!("refs/tags/{name}") } else { name.to_owned() };
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
            tags: tags.items.iter().map(|tag| tag_link(&tag.name)).collect(),
            branches: branches
                .items
                .iter()
                .map(|branch| link(&branch.name, &branch.name, RefKind::Branch))
                .collect(),
            has_more,
            view: at.view,
            path: at.path.to_owned(),
        })
    }
}
