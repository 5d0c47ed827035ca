//! Documents of a repository: READMEs, and Markdown files.

use super::frame::{Frame, base_of, href, name_in_address};
use crate::git::browse::{EntryKind, Oid, Tree, TreePart};
use crate::http::address::path_encoded;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::paint::document::{
    DOCUMENT_BYTES_MAX, Document, Links, document, is_markdown, plain_document,
};

/// Names of a README in the order of preference, without the extension of Markdown; in lower case.
const README_NAMES: [&str; 3] = ["readme", "readme.txt", "readme.rst"];

/// The addresses of files of the shown commit.
#[derive(Debug, Clone)]
pub(super) struct PageLinks {
    base: String,
    /// Encoded.
    reference: String,
}

impl PageLinks {
    pub(super) fn of(frame: &Frame) -> Self {
        Self { base: frame.base.clone(), reference: frame.reference.clone() }
    }
}

impl Links for PageLinks {
    /// The page of a file leads on to a folder.
    fn page(&self, path: &str) -> Option<String> {
        let view = if path.is_empty() { "tree" } else { "blob" };
        Some(href(&self.base, view, &self.reference, path))
    }

    fn image(&self, path: &str) -> Option<String> {
        Some(href(&self.base, "image", &self.reference, path))
    }
}

/// A README as HTML.
#[derive(Debug)]
pub(in crate::web) struct Readme {
    pub(in crate::web) name: String,
    pub(in crate::web) href: String,
    pub(in crate::web) document: Document,
}

/// Returns the README of a folder, if it has one.
pub(super) async fn readme(
    services: &Services,
    view: &RepositoryView,
    commit: Oid,
    tree: &Tree,
    links: PageLinks,
) -> Result<Option<Readme>, ServiceError> {
    let rank = |name: &str| {
        let lower = name.to_lowercase();
        if lower.starts_with("readme.") && is_markdown(&lower) {
            return Some(0);
        }
        README_NAMES.iter().position(|known| *known == lower).map(|at| at.saturating_add(1))
    };
    let files = tree.entries.iter().filter(|entry| {
        entry.kind == EntryKind::Blob && entry.size_bytes.is_some_and(|size| size <= DOCUMENT_BYTES_MAX)
    });
    let ranked = files.filter_map(|entry| rank(&entry.name).map(|rank| (rank, entry)));
    let Some((_, entry)) = ranked.min_by_key(|(rank, _)| *rank) else { return Ok(None) };
    let blob = services.blob(view, commit, entry.path.clone()).await?;
    let Some(text) = blob.content else { return Ok(None) };
    let href = href(&links.base, "blob", &links.reference, &entry.path);
    let document = painted(services, view, entry.path.clone(), text, links).await?;
    Ok(Some(Readme { name: entry.name.clone(), href, document }))
}

/// Returns the README of the first of the repositories that has a commit, at its default branch,
/// for the page of a project.
///
/// # Errors
/// If a repository cannot be read now. The page of the project does not depend on it.
pub(in crate::web) async fn readme_of_first(
    services: &Services,
    views: &[RepositoryView],
) -> Result<Option<Readme>, ServiceError> {
    for view in views {
        let Some(commit) = services.default_head(view).await? else { continue };
        let reference = path_encoded(name_in_address(&commit));
        let links = PageLinks { base: base_of(view), reference };
        let tree = services.tree(view, commit.oid, String::new(), false, TreePart::default()).await?;
        return readme(services, view, commit.oid, &tree.answer, links).await;
    }
    Ok(None)
}

/// Turns a text into a document.
pub(super) async fn painted(
    services: &Services,
    view: &RepositoryView,
    path: String,
    text: String,
    links: PageLinks,
) -> Result<Document, ServiceError> {
    let work = move || {
        if is_markdown(&path) { document(&path, &text, &links) } else { plain_document(&text) }
    };
    services.paint(view, work).await
}
