//! `git archive --remote` over HTTP: the request is in pkt-lines, the archive is sent on a side
//! band.

use std::io;
use std::time::Duration;

use actix_web::HttpResponse;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::io::AsyncReadExt;

use super::git::{Call, GitResult, answer, body_of, caller, too_slow, without_suffix};
use super::git_refusal::{Exchange, GitError, answered};
use crate::git::archive_request::Asked;
use crate::git::pkt_line;
use crate::git::program::{ArchiveFormat, Service};
use crate::git::report;
use crate::http::error::HttpError;
use crate::protocol::code::Code;
use crate::services::ServiceError;

/// The name of the service in git.
pub(super) const UPLOAD_ARCHIVE: &str = "git-upload-archive";
/// Maximum bytes of a request; git's arguments take some hundred.
const REQUEST_BYTES_MAX: u64 = 256 * 1024;

/// Streams an archive of a branch, tag or commit, or of a part of it.
pub(super) async fn upload_archive(call: Call) -> HttpResponse {
    answered(Exchange::Archive, archive(call).await)
}

async fn archive((request, peer, path, payload, services): Call) -> GitResult {
    let who = caller(&request, &services, &peer).await?;
    let view = services.git_repository(who, &without_suffix(path.0), Service::UploadPack).await?;
    let view = crate::http::extract::counted(&request, view)?;
    let input = body_of(&request, payload, UPLOAD_ARCHIVE)?;
    let mut asked = Vec::new();
    let patience = Duration::from_millis(services.limits.git_head_ms);
    let mut input = input.take(REQUEST_BYTES_MAX);
    let read = tokio::time::timeout(patience, input.read_to_end(&mut asked)).await.map_err(|_| too_slow())?;
    read.map_err(|error| HttpError::bad_request(format!("the body ended early: {error}")))?;
    let asked = Asked::parse(&asked).map_err(|error| ServiceError::new(Code::Validation, error.to_string()));
    let archive = match asked? {
        Asked::Archive(archive) => archive,
        Asked::Formats => {
            let names: String = ArchiveFormat::NAMES.iter().map(|(name, _)| format!("{name}\n")).collect();
            let body = [begin(), on_band(names.as_bytes()), Bytes::from_static(pkt_line::FLUSH)].concat();
            return Ok(answer(UPLOAD_ARCHIVE, "result").body(body));
        }
    };
    let body = services.remote_archive(who, &view, archive).await.map_err(GitError::in_protocol)?;
    let body = body.map(|piece| match piece {
        Ok(bytes) => on_band(&bytes),
        // The archive is incomplete: the client prints the message, and exits with an error.
        Err(_) => report::error_band("git failed before the archive was complete"),
    });
    let end = stream::iter([Bytes::from_static(pkt_line::FLUSH)]);
    let body = stream::iter([begin()]).chain(body).chain(end).map(Ok::<_, io::Error>);
    Ok(answer(UPLOAD_ARCHIVE, "result").streaming(body))
}

/// Returns the lines before an archive.
fn begin() -> Bytes {
    let mut lines = BytesMut::new();
    pkt_line::put(&mut lines, b"ACK\n");
    lines.extend_from_slice(pkt_line::FLUSH);
    lines.freeze()
}

fn on_band(bytes: &[u8]) -> Bytes {
    let mut lines = BytesMut::with_capacity(bytes.len().saturating_add(16));
    pkt_line::put_band(&mut lines, 1, bytes);
    lines.freeze()
}
