//! Thumbnails of pictures in chats.

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde::Deserialize;

use crate::domain::ids::FileId;
use crate::http::contents::{IMAGE_SANDBOX, disposition};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Path, Query, Viewer, client_of};
use crate::http::validator::knows;
use crate::pictures::{MAKER_VERSION, PictureType};
use crate::protocol::code::Code;
use crate::services::Services;
use crate::services::thumbnails::{SIDES, Thumbnail};

/// Ends of names of pictures, which the end for the type of a thumbnail replaces.
const ENDS: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThumbnailKeys {
    size: Option<u32>,
}

/// Returns a smaller picture of a file that is a PNG, JPEG, GIF or WebP, as a JPEG or PNG.
///
/// It fits into a square of `size` pixels, 360 or 1080, and is never larger than the file. It has
/// no metadata, and of an animated picture it is the first frame. The access is that of the file.
/// 415: the file has no thumbnail; `detail` has the reason.
#[utoipa::path(get, operation_id = "get_chat_file_thumbnail", path = "/api/files/{id}/thumbnail",
    params(("id" = i64, Path), ("size" = u32, Query, description = "360 or 1080")),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 304), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409), (status = 415)))]
pub(super) async fn get(
    viewer: Viewer,
    request: HttpRequest,
    id: Path<i64>,
    keys: Query<ThumbnailKeys>,
    services: web::Data<Services>,
) -> HttpResult {
    let file = services.file(viewer.0, FileId(id.0)).await?;
    // After the access: a token without the scope gets 403.
    let Some(side) = keys.0.size.filter(|side| SIDES.contains(side)) else {
        return Err(HttpError::bad_request("size must be 360 or 1080"));
    };
    let tag = file.contents.as_ref().map(|contents| format!("\"{}-{side}-{MAKER_VERSION}\"", contents.hash));
    if let Some(tag) = tag.as_deref().filter(|tag| knows(&request, tag)) {
        let mut response = HttpResponse::Ok();
        describe(&mut response, tag);
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let client = client_of(&request, Some(viewer.0.user))?;
    match services.thumbnail(viewer.0, client, file.clone(), side).await? {
        Thumbnail::Made { open, bytes, picture_type } => {
            let mut response = HttpResponse::Ok();
            describe(&mut response, tag.as_deref().unwrap_or_default());
            let name = name_of(file.name.as_str(), picture_type);
            response
                .insert_header((header::CONTENT_DISPOSITION, disposition(true, &name)))
                .content_type(picture_type.media_type());
            Ok(response.body(SizedStream::new(bytes, Box::pin(open.pieces(0, bytes)))))
        }
        Thumbnail::None(why) => {
            Err(HttpError::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, why))
        }
    }
}

/// Returns the name of a file with the end for the type of its thumbnail.
fn name_of(name: &str, picture_type: PictureType) -> String {
    let stem = name
        .rsplit_once('.')
        .filter(|(stem, end)| !stem.is_empty() && ENDS.iter().any(|known| known.eq_ignore_ascii_case(end)));
    format!("{}.{}", stem.map_or(name, |(stem, _)| stem), picture_type.extension())
}

/// Sets the headers that a thumbnail has also if it is unchanged.
fn describe(response: &mut HttpResponseBuilder, tag: &str) {
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, IMAGE_SANDBOX))
        .insert_header((header::ETAG, tag))
        // Asked for again each time: access may be lost.
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::VARY, "authorization, cookie"));
}
