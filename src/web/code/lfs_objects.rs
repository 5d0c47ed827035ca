//! `-/lfs/{ref}/{path}`: the object of Git LFS that a file of a commit points to.
//!
//! Invariant: the bytes of a user never run in a browser of another, as for files in chats.

use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::frame::{Found, RefPathAddress, at_ref};
use crate::domain::lfs::{LfsObject, LfsPointer};
use crate::domain::media;
use crate::http::contents::{disposition, policy_of};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::Path;
use crate::http::ranges;
use crate::protocol::code::Code;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::visitor::Visitor;

/// Images beyond this size are not shown in the page.
const SHOWN_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A file that Git LFS keeps, as its page shows it.
pub(super) struct ShownObject {
    pub(super) size: String,
    /// Why the bytes cannot be sent.
    pub(super) problem: Option<&'static str>,
    pub(super) is_image: bool,
}

impl ShownObject {
    /// Finds the object of a pointer.
    pub(super) async fn find(
        services: &Services,
        view: &RepositoryView,
        pointer: LfsPointer,
    ) -> Result<Self, ServiceError> {
        let size = crate::core::plural::size(pointer.size);
        let (problem, is_image) = match services.lfs_object_and_bytes(view, pointer.oid).await {
            Ok((object, true)) if object.bytes() == pointer.size => (None, is_shown_image(&object)),
            Ok((object, false)) if object.bytes() == pointer.size => {
                let why = "The bytes of the object are missing on the server. \
                           Its author can send them again with git lfs push --all.";
                (Some(why), false)
            }
            Ok(_) => (Some("The stored object has another size than the pointer."), false),
            Err(error) if error.code == Code::NotFound => {
                (Some("The object was not pushed. Its author can send it with git lfs push --all."), false)
            }
            Err(error) => return Err(error),
        };
        Ok(Self { size, problem, is_image })
    }
}

fn is_shown_image(object: &LfsObject) -> bool {
    let is_image = object.media_type.starts_with("image/") && media::is_shown(&object.media_type);
    is_image && object.bytes() <= SHOWN_BYTES_MAX
}

/// Sends the object.
pub(in crate::web) async fn send(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RefPathAddress>,
    services: web::Data<Services>,
) -> HttpResult {
    at_ref(&visitor, &request, at.0, &services, async |found| {
        let Found { view, commit, path } = found;
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let blob = services.blob(&view, commit.oid, path).await?;
        let pointer = blob.content.as_deref().and_then(LfsPointer::parse);
        let pointer = pointer.ok_or_else(|| {
            HttpError::from(ServiceError::new(Code::NotFound, "Git LFS does not keep this file"))
        })?;
        let object = services.lfs_object(&view, pointer.oid).await?;
        let is_shown = media::is_shown(&object.media_type);
        let kind = if is_shown { object.media_type.as_str() } else { "application/octet-stream" };
        let mut response = HttpResponse::Ok();
        response
            .content_type(kind)
            .insert_header((header::CONTENT_DISPOSITION, disposition(is_shown, &name)))
            .insert_header((header::CONTENT_SECURITY_POLICY, policy_of(&object.media_type)))
            // Asked for again each time: access may be lost.
            .insert_header((header::CACHE_CONTROL, "private, no-cache"))
            .insert_header((header::VARY, "cookie"));
        let (tag, size) = (format!("\"{}\"", object.oid), object.bytes());
        let Some((from, bytes)) = ranges::begin(&request, &mut response, &tag, size)? else {
            return Ok(response.finish());
        };
        let open = services.open_lfs_object(visitor.who(), &view, &object).await?;
        Ok(response.body(SizedStream::new(bytes, Box::pin(open.pieces(from, bytes)))))
    })
    .await
}
