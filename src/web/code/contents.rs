//! `-/raw/{ref}/{path}`, `-/image/{ref}/{path}` and `-/archive/{ref}.zip`: the same contents as the
//! routes of the API, at addresses where the login cookie works.

use actix_web::{HttpRequest, web};

use super::frame::{Found, RefPathAddress, at_ref, in_repository};
use super::missing;
use crate::git::browse::{RefKind, ResolvedRef};
use crate::git::program::ArchiveFormat;
use crate::http::contents;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::Path;
use crate::http::validator::Validator;
use crate::services::{RepositoryView, Services};
use crate::web::visitor::Visitor;

/// The archives that pages offer, by the end of their name.
const ARCHIVES: [(&str, ArchiveFormat); 2] =
    [(".tar.gz", ArchiveFormat::TarGz), (".zip", ArchiveFormat::Zip)];
/// Maximum bytes of the name of the folder in an archive: file systems take 255.
const FOLDER_BYTES_MAX: usize = 200;

/// Returns the bytes of a file.
pub(in crate::web) async fn raw(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RefPathAddress>,
    services: web::Data<Services>,
) -> HttpResult {
    at_ref(&visitor, &request, at.0, &services, async |found| {
        let Found { view, commit, path } = found;
        let validator = Validator::of_view(&request, &[&commit], &visitor.key());
        match validator.unchanged(&request) {
            Some(answer) => Ok(answer),
            None => contents::raw((&services, visitor.who()), &view, (commit.oid, path), &validator).await,
        }
    })
    .await
}

/// Returns an image.
pub(in crate::web) async fn image(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RefPathAddress>,
    services: web::Data<Services>,
) -> HttpResult {
    at_ref(&visitor, &request, at.0, &services, async |found| {
        let Found { view, commit, path } = found;
        let validator = Validator::of_view(&request, &[&commit], &visitor.key());
        match validator.unchanged(&request) {
            Some(answer) => Ok(answer),
            None => contents::image((&services, visitor.who()), &view, (commit.oid, path), &validator).await,
        }
    })
    .await
}

/// Streams all files of a commit.
pub(in crate::web) async fn archive(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RefPathAddress>,
    services: web::Data<Services>,
) -> HttpResult {
    let (at, name) = at.0.split();
    in_repository(&visitor, &request, &at, &services, async |view| {
        let of_format = |(end, format): (&str, _)| Some((name.strip_suffix(end)?.to_owned(), format));
        let Some((reference, format)) = ARCHIVES.into_iter().find_map(of_format) else {
            return Err(HttpError::bad_request("the address of an archive ends in .tar.gz or .zip"));
        };
        let commit = match services.resolve(&view, Some(reference.clone())).await {
            Ok(commit) => commit,
            Err(error) => {
                let here = (&visitor, &request, &**services);
                return missing::of_ref(here, &view, &reference, error).await;
            }
        };
        let validator = Validator::of_view(&request, &[&commit], &visitor.key());
        match validator.unchanged(&request) {
            Some(answer) => Ok(answer),
            None => {
                let (who, folder) = (visitor.who(), folder(&view, &commit));
                contents::archive((&services, who), &view, (&commit, format), folder, &validator).await
            }
        }
    })
    .await
}

/// Returns the name of the folder in the archive of a branch or tag, such as `web-v1.0`. `None` for
/// other commits, and for names that could be hard to unpack.
fn folder(view: &RepositoryView, commit: &ResolvedRef) -> Option<String> {
    if !matches!(commit.kind, RefKind::Branch | RefKind::Tag) {
        return None;
    }
    let folder = format!("{}-{}", view.repository.name, commit.name.replace('/', "-"));
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (folder.len() <= FOLDER_BYTES_MAX && folder.chars().all(is_safe)).then_some(folder)
}
