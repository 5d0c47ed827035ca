//! Ranges of bytes in requests and answers (RFC 9110 section 14).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponseBuilder};

use super::error::HttpError;
use super::validator::knows;
use crate::services::uploads::Part;

/// The part of a file that a client requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// The first and the last byte.
    Range(u64, u64),
    Unsatisfiable,
}

/// Returns the part of a file of `size` bytes that the request is for. `tag` is the entity tag of
/// the file: with another one in `If-Range`, the client gets the whole file. Several ranges get the
/// whole file, too.
fn wanted(request: &HttpRequest, tag: &str, size: u64) -> Wanted {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_current = text(header::IF_RANGE).is_none_or(|known| known.trim() == tag);
    match text(header::RANGE) {
        Some(range) if is_current => range_of(range, size).unwrap_or(Wanted::Whole),
        _ => Wanted::Whole,
    }
}

/// Begins the response to a request for the bytes of a file of `size` bytes. Returns the offset and
/// the number of the bytes to send; `None` if the client has the file already, with the status 304.
///
/// # Errors
/// 416 for a range beyond the end.
pub(crate) fn begin(
    request: &HttpRequest,
    response: &mut HttpResponseBuilder,
    tag: &str,
    size: u64,
) -> Result<Option<(u64, u64)>, HttpError> {
    response.insert_header((header::ACCEPT_RANGES, "bytes")).insert_header((header::ETAG, tag));
    if knows(request, tag) {
        response.status(StatusCode::NOT_MODIFIED);
        return Ok(None);
    }
    match wanted(request, tag, size) {
        Wanted::Whole => Ok(Some((0, size))),
        Wanted::Range(first, last) => {
            response.status(StatusCode::PARTIAL_CONTENT);
            response.insert_header((header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}")));
            Ok(Some((first, last.saturating_sub(first).saturating_add(1))))
        }
        Wanted::Unsatisfiable => Err(HttpError::unsatisfiable(size)),
    }
}

/// Returns `None` for a header that is ignored.
fn range_of(text: &str, size: u64) -> Option<Wanted> {
    let (unit, range) = text.trim().split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let end = size.saturating_sub(1);
    if first.is_empty() {
        let count = number(last)?;
        let satisfiable = count > 0 && size > 0;
        return Some(if satisfiable {
            Wanted::Range(size.saturating_sub(count), end)
        } else {
            Wanted::Unsatisfiable
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { end } else { number(last)? };
    if last < first && first < size {
        return None;
    }
    Some(if first < size { Wanted::Range(first, last.min(end)) } else { Wanted::Unsatisfiable })
}

/// Parses digits. `u64::from_str` also accepts a sign.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A larger number than any size is beyond its end.
    is_plain.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Returns the part that a request with this `Content-Range` sends: `bytes 0-99/200`, or
/// `bytes */200` without bytes. `None` if it is not valid.
pub(crate) fn sent(content_range: &str) -> Option<Part> {
    let (unit, rest) = content_range.trim().split_once(' ')?;
    let (range, size) = rest.trim().split_once('/')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let size = if size == "*" { None } else { Some(number(size)?) };
    if range == "*" {
        return Some(Part { at: None, bytes: Some(0), size });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let bytes = last.checked_sub(first)?.checked_add(1)?;
    Some(Part { at: Some(first), bytes: Some(bytes), size })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn range_is_cut_to_the_file_or_ignored() {
        let of = |range: &'static str, size| {
            let request = TestRequest::get().insert_header((header::RANGE, range)).to_http_request();
            wanted(&request, "\"a\"", size)
        };
        for (range, expected) in [
            ("bytes=0-", Wanted::Range(0, 99)),
            ("bytes=10-19", Wanted::Range(10, 19)),
            ("bytes=90-1000", Wanted::Range(90, 99)),
            ("bytes=-10", Wanted::Range(90, 99)),
            ("bytes=-1000", Wanted::Range(0, 99)),
            ("bytes=99-99", Wanted::Range(99, 99)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=200-100", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=20-10", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(of(range, 100), expected, "{range}");
        }
        assert_eq!(of("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(of("bytes=-5", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn range_of_another_version_is_ignored() {
        let of = |tag: &'static str| {
            let request = TestRequest::get().insert_header((header::RANGE, "bytes=1-2"));
            let request = request.insert_header((header::IF_RANGE, tag)).to_http_request();
            wanted(&request, "\"a\"", 100)
        };
        assert_eq!(of("\"a\""), Wanted::Range(1, 2));
        for other in ["\"b\"", "W/\"a\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(of(other), Wanted::Whole, "{other}");
        }
    }

    #[test]
    fn sent_range_is_parsed_strictly() {
        let part = |at, bytes, size| Some(Part { at, bytes: Some(bytes), size });
        assert_eq!(sent("bytes 0-99/200"), part(Some(0), 100, Some(200)));
        assert_eq!(sent("bytes 100-199/*"), part(Some(100), 100, None));
        assert_eq!(sent("bytes */200"), part(None, 0, Some(200)));
        for text in ["", "bytes", "bytes 5-4/9", "bytes 1-2", "items 0-1/2", "bytes a-b/c", "bytes -1/2"] {
            assert_eq!(sent(text), None, "{text}");
        }
    }
}
