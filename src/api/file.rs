//! Files in chats: announcing, uploading, downloading.
//!
//! Invariant: the bytes of a user never run in a browser of another. The type is that of the
//! content; only images, video and sound are shown, all in a sandbox without scripts.

use std::io;

use actix_web::body::SizedStream;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::JsonLine;
use crate::domain::file::StoredFile;
use crate::domain::ids::{ChatId, FileId};
use crate::domain::media;
use crate::http::contents::{disposition, policy_of};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{AuthenticatedUser, Body, Path, Viewer, client_of};
use crate::http::ranges;
use crate::protocol::code::Code;
use crate::services::files::FileRequest;
use crate::services::uploads::{Part, UploadState};
use crate::services::{ServiceError, Services};

/// The number of bytes that have arrived, as in the draft of resumable uploads.
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// The type of files that are saved.
const BINARY: &str = "application/octet-stream";

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileBody {
    /// One line of 1 to 255 characters; not a path.
    name: String,
    /// Bytes of the file.
    size: u64,
}

/// An upload, and how much of it has arrived.
#[derive(Serialize, ToSchema)]
pub(super) struct UploadAnswer {
    id: i64,
    /// The path to which the bytes are sent.
    upload: String,
    /// Bytes that have arrived.
    offset: u64,
    size: u64,
    /// Whether a message may name the file.
    complete: bool,
}

impl UploadAnswer {
    fn new(id: FileId, offset: u64, size: u64, complete: bool) -> Self {
        Self { id: id.0, upload: format!("/api/files/{id}/upload"), offset, size, complete }
    }

    fn of(state: &UploadState) -> Self {
        let size = u64::try_from(state.file.size).unwrap_or(0);
        Self::new(state.file.id, state.offset, size, state.file.contents.is_some())
    }

    fn mark(&self, response: &mut HttpResponseBuilder) {
        response.insert_header((UPLOAD_OFFSET, self.offset)).insert_header((UPLOAD_LENGTH, self.size));
    }
}

/// Announces a file of a chat: 201. Its bytes are sent to `upload`.
#[utoipa::path(post, operation_id = "create_chat_file", path = "/api/chats/{id}/files", params(("id" = i64, Path)),
    request_body = FileBody,
    responses((status = 201, body = UploadAnswer), (status = 401), (status = 403), (status = 404), (status = 409), (status = 413), (status = 422), (status = 429)))]
pub(super) async fn create(
    caller: AuthenticatedUser,
    id: Path<i64>,
    body: Body<FileBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let FileBody { name, size } = body.0;
    let file = services.begin_file(caller.0, ChatId(id.0), FileRequest { name, size }).await?;
    let answer = UploadAnswer::new(file, 0, size, false);
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, answer.upload.as_str()));
    answer.mark(&mut response);
    Ok(response.json_line(answer))
}

/// Returns how much of an upload has arrived.
#[utoipa::path(get, operation_id = "get_chat_file_upload", path = "/api/files/{id}/upload", params(("id" = i64, Path)),
    responses((status = 200, body = UploadAnswer), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn upload_state(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    let answer = UploadAnswer::of(&services.upload_state(caller.0, FileId(id.0)).await?);
    let mut response = HttpResponse::Ok();
    answer.mark(&mut response);
    Ok(response.json_line(answer))
}

/// Receives the bytes of a file, or with `Content-Range` a part of them: 200 when the file is
/// complete, else 202.
///
/// The part begins at the offset of the upload. Without the header, the upload begins again.
#[utoipa::path(put, operation_id = "upload_chat_file", path = "/api/files/{id}/upload", params(("id" = i64, Path), ("Content-Range" = Option<String>, Header)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = UploadAnswer), (status = 202, body = UploadAnswer), (status = 401), (status = 403), (status = 404), (status = 409), (status = 413), (status = 429)))]
pub(super) async fn upload(
    caller: AuthenticatedUser,
    request: HttpRequest,
    id: Path<i64>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> HttpResult {
    let client = client_of(&request, Some(caller.0.user))?;
    let part = part_of(&request)?;
    let (id, who, body) = (FileId(id.0), caller.0, payload.map_err(io::Error::other));
    // A task of its own: the bytes that arrived are written also when the client has left.
    let uploaded = actix_web::rt::spawn(async move { services.upload(who, client, (id, part), body).await });
    let state = uploaded.await.map_err(ServiceError::internal)??;
    let answer = UploadAnswer::of(&state);
    let mut response = if answer.complete { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    answer.mark(&mut response);
    Ok(response.json_line(answer))
}

/// Returns the part that a request sends.
fn part_of(request: &HttpRequest) -> Result<Part, HttpError> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let Some(value) = request.headers().get(header::CONTENT_RANGE) else { return Ok(Part::whole(length)) };
    let part = value.to_str().ok().and_then(ranges::sent);
    let part = part.ok_or_else(|| {
        HttpError::bad_request("Content-Range must be like \"bytes 0-99/200\" or \"bytes */200\"")
    })?;
    if length.is_some_and(|length| part.bytes.is_some_and(|bytes| bytes != length)) {
        return Err(HttpError::bad_request("Content-Range and Content-Length differ"));
    }
    Ok(part)
}

/// Removes a file that no message has had.
#[utoipa::path(delete, operation_id = "delete_chat_file", path = "/api/files/{id}", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    services.drop_file(caller.0, FileId(id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Returns the bytes of a file, or a range of them.
///
/// Images, video and sound are shown, everything else is saved. The `ETag` is the SHA-256 of the
/// bytes. Browsers may use the login cookie.
#[utoipa::path(get, operation_id = "download_chat_file", path = "/api/files/{id}", params(("id" = i64, Path), ("Range" = Option<String>, Header)),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 206, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304), (status = 401), (status = 403), (status = 404), (status = 409), (status = 416)))]
pub(super) async fn get(
    viewer: Viewer,
    request: HttpRequest,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    let file = services.file(viewer.0, FileId(id.0)).await?;
    let tag = file.contents.as_ref().map(|contents| format!("\"{}\"", contents.hash));
    let Some(tag) = tag else {
        let why = "the upload of this file is not complete";
        return Err(ServiceError::new(Code::Conflict, why).into());
    };
    let mut response = HttpResponse::Ok();
    describe(&mut response, &file);
    let size = u64::try_from(file.size).unwrap_or(0);
    let Some((from, bytes)) = ranges::begin(&request, &mut response, &tag, size)? else {
        return Ok(response.finish());
    };
    let open = services.open_file(viewer.0, file).await?;
    Ok(response.body(SizedStream::new(bytes, Box::pin(open.pieces(from, bytes)))))
}

/// Sets the headers of a file.
fn describe(response: &mut HttpResponseBuilder, file: &StoredFile) {
    let media_type = file.contents.as_ref().map_or(BINARY, |contents| contents.media_type.as_str());
    let is_shown = media::is_shown(media_type);
    response
        .content_type(if is_shown { media_type } else { BINARY })
        .insert_header((header::CONTENT_DISPOSITION, disposition(is_shown, &file.name)))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy_of(media_type)))
        // Asked for again each time: access may be lost.
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::VARY, "authorization, cookie"));
}
