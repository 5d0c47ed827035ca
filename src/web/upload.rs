//! The picture of a form (`multipart/form-data`, RFC 7578). Browsers send such forms without a
//! script.
//!
//! Invariant: the handler checks the visitor before it calls this module, which reads the body.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, ResponseError, web};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::domain::access::Credential;
use crate::domain::avatar::AvatarOf;
use crate::http::error::HttpError;
use crate::http::extract::{client_of, services};
use crate::http::picture::{read_picture, too_large};
use crate::services::Services;

/// The name of the field with the file.
const FIELD: &str = "picture";
/// Bytes of the form around the file: boundaries, and the headers of its part.
const AROUND_BYTES: usize = 4096;
/// Bytes of a refused form that are read and dropped, and the time for it. A browser that still
/// sends would otherwise show an error of its own in place of the answer. Photographs of phones are
/// smaller.
const DROPPED_BYTES_MAX: usize = 32 * 1024 * 1024;
const DROPPED_TIME_MAX: Duration = Duration::from_secs(30);
/// The same for a form that was refused before it was read: nothing bounds how many there are.
const UNREAD_BYTES_MAX: usize = 4 * 1024 * 1024;
const UNREAD_TIME_MAX: Duration = Duration::from_secs(5);

/// Sets an avatar to the file of the form.
pub(super) async fn set_avatar(
    (services, request): (&Services, &HttpRequest),
    who: Credential,
    of: AvatarOf,
    payload: web::Payload,
) -> Result<(), HttpError> {
    let mut payload = payload.into_inner();
    let client = client_of(request, Some(who.user))?;
    let turn = match services.begin_avatar(who) {
        Ok(turn) => turn,
        Err(error) => {
            drop_rest(&mut payload, UNREAD_BYTES_MAX, UNREAD_TIME_MAX).await;
            return Err(error.into());
        }
    };
    match read(request, &mut payload).await {
        Ok(picture) => Ok(services.set_avatar(who, client, of, (picture, turn)).await?),
        // A client that was late gets its answer now.
        Err(error) if error.status_code() == StatusCode::REQUEST_TIMEOUT => Err(error),
        Err(error) => {
            // The slot of the account is held meanwhile.
            drop_rest(&mut payload, DROPPED_BYTES_MAX, DROPPED_TIME_MAX).await;
            drop(turn);
            Err(error)
        }
    }
}

/// Reads the file of the field `picture`, at most `limits.avatar_bytes`. Empty: the user chose
/// none.
async fn read(request: &HttpRequest, payload: &mut Payload) -> Result<Bytes, HttpError> {
    let body = Bytes::from(read_picture(request, payload, AROUND_BYTES).await?);
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let file = boundary_of(kind.unwrap_or_default()).and_then(|boundary| file_of(&body, boundary));
    let file = file.ok_or_else(|| HttpError::bad_request("the form has no file \"picture\""))?;
    if file.len() > services(request)?.limits.avatar_bytes {
        return Err(too_large(request)?.into());
    }
    Ok(body.slice_ref(file))
}

/// Reads and drops the rest of a body. Bytes beyond the limits are not read, and the connection is
/// closed.
async fn drop_rest(payload: &mut Payload, bytes_max: usize, time_max: Duration) {
    let drop_chunks = async {
        let mut dropped = 0_usize;
        while let Some(Ok(chunk)) = payload.next().await {
            dropped = dropped.saturating_add(chunk.len());
            if dropped > bytes_max {
                break;
            }
        }
    };
    let _late = tokio::time::timeout(time_max, drop_chunks).await;
}

fn boundary_of(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    });
    // RFC 2046: 1 to 70 characters.
    value.map(|value| value.trim_matches('"')).filter(|value| (1..=70).contains(&value.len()))
}

/// Returns the content of the part whose name is [`FIELD`].
fn file_of<'a>(body: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(delimiter.trim_start().as_bytes())?;
    loop {
        rest = rest.strip_prefix(b"\r\n")?;
        let (head, after) = split(rest, b"\r\n\r\n")?;
        let (content, following) = split(after, delimiter.as_bytes())?;
        if is_field(head) {
            return Some(content);
        }
        rest = following;
    }
}

/// Returns whether the headers of a part name the field.
fn is_field(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    head.split("\r\n").any(|line| {
        let Some((name, value)) = line.split_once(':') else { return false };
        let mut parameters = value.split(';').map(str::trim);
        name.eq_ignore_ascii_case("content-disposition")
            && parameters.next() == Some("form-data")
            && parameters.any(|parameter| parameter == format!("name=\"{FIELD}\""))
    })
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = bytes.windows(at.len()).position(|part| part == at)?;
    Some((bytes.get(..found)?, bytes.get(found.checked_add(at.len())?..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(body: &str) -> Option<&str> {
        file_of(body.as_bytes(), "X").map(|bytes| std::str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn file_of_the_field_is_found() {
        let body = "--X\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n--Y\r\n--X\r\n\
            content-disposition: form-data; name=\"picture\"; filename=\"a; b.png\"\r\nContent-Type: image/png\r\n\r\n\
            one\r\n\r\ntwo\r\n--X--\r\n";
        assert_eq!(file(body), Some("one\r\n\r\ntwo"));
        let empty = "--X\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"\"\r\n\r\n\r\n--X--";
        assert_eq!(file(empty), Some(""));
    }

    #[test]
    fn incomplete_forms_have_no_file() {
        let whole = "--X\r\nContent-Disposition: form-data; name=\"picture\"\r\n\r\nbytes\r\n--X--";
        assert_eq!(file(whole), Some("bytes"));
        for cut in 0..whole.len() - 2 {
            assert_eq!(file(&whole[..cut]), None, "{cut}");
        }
        for body in ["", "--X--\r\n", "--Y\r\n", "picture", "--X\r\nname=\"picture\"\r\n\r\nx\r\n--X--"] {
            assert_eq!(file(body), None, "{body:?}");
        }
    }

    #[test]
    fn boundary_is_read_from_the_type() {
        for (kind, boundary) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=abc", None),
            ("application/x-www-form-urlencoded", None),
        ] {
            assert_eq!(boundary_of(kind), boundary, "{kind}");
        }
    }
}
