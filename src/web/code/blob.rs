//! `/{user}/{project}/{repo}/-/blob/{ref}/{path}`: a file with its lines, or as a document or
//! image.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::documents::{self, PageLinks};
use super::frame::{At, Found, Frame, RefPathAddress, Tab, at_ref, href};
use super::lfs_objects::ShownObject;
use super::lines::{CodeLines, LINES_MAX};
use super::missing;
use super::words::{Step, steps};
use crate::core::plural::{plural, size};
use crate::core::saturate;
use crate::domain::lfs::LfsPointer;
use crate::git::browse::{Blob, ResolvedRef, TreePart};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Path, Query};
use crate::protocol::code::Code;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::layout::{self, Shell, found_at};
use crate::web::paint::document::{DOCUMENT_BYTES_MAX, Document, is_markdown};
use crate::web::visitor::Visitor;

/// Ends of names of images that browsers show. The route of the image checks the content.
const IMAGE_ENDS: [&str; 7] = [".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg"];
/// The mode of a symbolic link.
const LINK_MODE: &str = "120000";

#[derive(Template)]
#[template(path = "code/blob.html")]
struct BlobPage {
    shell: Shell,
    frame: Frame,
    folders: Vec<Step>,
    name: String,
    /// Lines, size and language in words.
    facts: Vec<String>,
    body: Body,
    /// Whether the file has a rendered form beside its source.
    has_forms: bool,
    is_plain: bool,
    /// Whether `lines` can be blamed.
    is_text: bool,
    is_lossy: bool,
    /// The view with the bytes of the file.
    raw_view: &'static str,
    path: String,
    permalink: String,
}

/// The part of the page that depends on the kind of the file.
enum Body {
    Lines(CodeLines),
    Document(Document),
    /// The address of the image.
    Image(String),
    Empty,
    /// The target of a symbolic link.
    Link(String),
    /// Git LFS keeps the file.
    Lfs(ShownObject),
    Binary,
    TooLarge,
}

#[derive(Deserialize)]
pub(in crate::web) struct BlobQuery {
    /// `1`: the source of a file that is shown as a document or image.
    #[serde(default)]
    plain: String,
}

/// Returns the page of a file. The address of a folder leads to the page of the folder.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RefPathAddress>,
    query: Query<BlobQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    at_ref(&visitor, &request, at.0, &services, async |found| {
        page(&visitor, &request, &services, found, query.0.plain == "1").await
    })
    .await
}

async fn page(
    visitor: &Visitor,
    request: &HttpRequest,
    services: &Services,
    found: Found,
    is_plain: bool,
) -> HttpResult {
    let Found { view, commit, path } = found;
    let at = At { commit: &commit, view: "blob", path: &path };
    let frame = Frame::load(request, services, &view, Tab::Code, Some(at)).await?;
    let validator = frame.validator(request, visitor, &[&commit]);
    if let Some(answer) = validator.unchanged(request) {
        return Ok(answer);
    }
    let blob = match services.blob(&view, commit.oid, path.clone()).await {
        Err(error) if error.code == Code::BadRequest => {
            return folder_instead(services, &view, &commit, &path, &frame, error).await;
        }
        Err(error) => {
            let here = (visitor, request);
            return missing::of_path(here, &view, frame, ("file", &path), error).await;
        }
        Ok(blob) => blob,
    };
    let (folders, name) = steps(&frame.base, &frame.reference, &path);
    let has_forms = has_forms(&blob);
    let mut facts = vec![size(saturate::to_u64(blob.size_bytes))];
    let (is_lossy, is_text) = (blob.lossy, blob.content.is_some());
    let body = body(services, &view, blob, &frame, is_plain || !has_forms).await?;
    let is_cut = match &body {
        Body::Lines(lines) => {
            facts.insert(0, plural(lines.count, "line", "lines"));
            facts.extend(lines.language.map(str::to_owned));
            lines.highlighted_to.is_some()
        }
        _ => false,
    };
    let is_lfs = matches!(body, Body::Lfs(_));
    let page = BlobPage {
        raw_view: if is_lfs { "lfs" } else { "raw" },
        shell: frame.shell(request, visitor, &path).wide(),
        folders,
        name,
        facts,
        body,
        has_forms,
        is_plain,
        is_text,
        is_lossy,
        permalink: href(&frame.base, "blob", &commit.oid.to_string(), &path),
        path,
        frame,
    };
    // How far the highlighting comes in its time differs, and objects of Git LFS arrive later.
    let kept = Some(&validator).filter(|_| !is_cut && !is_lfs);
    layout::built(request, (services, &view), kept, move || page).await
}

/// Returns whether the file is a document or an image.
fn has_forms(blob: &Blob) -> bool {
    let is_document = is_markdown(&blob.path) && blob.size_bytes <= DOCUMENT_BYTES_MAX;
    blob.content.is_some() && blob.mode != LINK_MODE && (is_document || is_image(&blob.path))
}

fn is_image(path: &str) -> bool {
    let lower = path.to_lowercase();
    IMAGE_ENDS.iter().any(|end| lower.ends_with(end))
}

async fn body(
    services: &Services,
    view: &RepositoryView,
    blob: Blob,
    frame: &Frame,
    is_source: bool,
) -> Result<Body, ServiceError> {
    let Blob { path, mode, content, binary, truncated, .. } = blob;
    let text = match content {
        Some(text) => text,
        None if is_image(&path) => return Ok(Body::Image(frame.href("image", &path))),
        None if truncated => return Ok(Body::TooLarge),
        None if binary => return Ok(Body::Binary),
        None => return Ok(Body::Empty),
    };
    if text.is_empty() {
        return Ok(Body::Empty);
    }
    if mode == LINK_MODE {
        return Ok(Body::Link(text));
    }
    if let Some(pointer) = LfsPointer::parse(&text) {
        return Ok(Body::Lfs(ShownObject::find(services, view, pointer).await?));
    }
    if is_source {
        let paint = move || CodeLines::paint(&path, &text, LINES_MAX);
        return Ok(Body::Lines(services.paint(view, paint).await?));
    }
    if is_markdown(&path) {
        return Ok(Body::Document(
            documents::painted(services, view, path, text, PageLinks::of(frame)).await?,
        ));
    }
    Ok(Body::Image(frame.href("image", &path)))
}

/// Leads to the page of a folder, if the path is one.
async fn folder_instead(
    services: &Services,
    view: &RepositoryView,
    commit: &ResolvedRef,
    path: &str,
    frame: &Frame,
    error: ServiceError,
) -> HttpResult {
    let part = TreePart { limit: Some(1), cursor: None };
    match services.tree(view, commit.oid, path.to_owned(), false, part).await {
        Ok(_) => Ok(found_at(&frame.href("tree", path))),
        Err(_) => Err(HttpError::from(error)),
    }
}
