//! Responses with the unchanged contents of a repository: raw files, images, archives.
//!
//! Invariant: pushed content never runs in a browser. Raw files are sent as text or as a download,
//! images with the type that their bytes have, all in a sandbox without scripts.

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::address::percent_encoded;
use super::error::HttpResult;
use super::spooled;
use super::validator::Validator;
use crate::domain::access::Credential;
use crate::domain::media;
use crate::domain::push::plain;
use crate::git::browse::{Oid, ResolvedRef};
use crate::git::program::ArchiveFormat;
use crate::protocol::code::Code;
use crate::services::browsing::RawFile;
use crate::services::{RepositoryView, ServiceError, Services};

/// The policy of a raw file: nothing in it is loaded, run or framed, and it has no origin.
pub(crate) const SANDBOX: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";
/// The policy of an image: its own styles apply, and those of the browser's viewer.
pub(crate) const IMAGE_SANDBOX: &str =
    "default-src 'none'; frame-ancestors 'none'; style-src 'unsafe-inline'; sandbox";
/// The policy of video and sound. The browser's player requests the file again, with the cookie of
/// its origin; scripts stay forbidden.
const PLAYED_SANDBOX: &str = "default-src 'none'; frame-ancestors 'none'; media-src 'self'; \
     style-src 'unsafe-inline'; sandbox allow-same-origin";

/// Returns the policy of a file that a user uploaded, by the type of its content.
pub(crate) fn policy_of(media_type: &str) -> &'static str {
    match (media::is_shown(media_type), media_type.starts_with("image/")) {
        (false, _) => SANDBOX,
        (true, true) => IMAGE_SANDBOX,
        (true, false) => PLAYED_SANDBOX,
    }
}

/// The maximum length of a file name on most file systems.
const FILE_NAME_CHARACTERS_MAX: usize = 255;

/// Returns the bytes of a file: `text/plain` if it is UTF-8, otherwise a download.
pub(crate) async fn raw(
    (services, who): (&Services, Option<Credential>),
    view: &RepositoryView,
    (commit, path): (Oid, String),
    validator: &Validator,
) -> HttpResult {
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let file = services.raw(who, view, commit, path).await?;
    let is_text = match &file {
        RawFile::Small { is_text, .. } => *is_text,
        RawFile::Large(spooled) => spooled.is_text,
    };
    let mut response = HttpResponse::Ok();
    validator.mark(&mut response).insert_header((header::CONTENT_SECURITY_POLICY, SANDBOX));
    if is_text {
        response.content_type("text/plain; charset=utf-8");
    } else {
        response.content_type("application/octet-stream");
        response.insert_header((header::CONTENT_DISPOSITION, attachment(&name)));
    }
    Ok(with_body(&mut response, file))
}

/// Returns a file that is an image. Its content decides about the type, never its name.
///
/// # Errors
/// `not_found` if the file is not an image that browsers show.
pub(crate) async fn image(
    (services, who): (&Services, Option<Credential>),
    view: &RepositoryView,
    (commit, path): (Oid, String),
    validator: &Validator,
) -> HttpResult {
    let image = services.image(who, view, commit, path).await?;
    let image = image.ok_or_else(|| ServiceError::new(Code::NotFound, "the file is not an image"))?;
    let mut response = HttpResponse::Ok();
    validator.mark(&mut response).insert_header((header::CONTENT_SECURITY_POLICY, IMAGE_SANDBOX));
    response.content_type(image.kind.media_type());
    Ok(with_body(&mut response, image.file))
}

fn with_body(response: &mut HttpResponseBuilder, file: RawFile) -> HttpResponse {
    match file {
        RawFile::Small { bytes, .. } => response.body(bytes),
        RawFile::Large(spooled) => spooled::from_disk(response, spooled),
    }
}

/// Streams all files of a commit as an archive. Without the name of the folder in it, the folder is
/// named after the commit.
pub(crate) async fn archive(
    (services, who): (&Services, Option<Credential>),
    view: &RepositoryView,
    (commit, format): (&ResolvedRef, ArchiveFormat),
    folder: Option<String>,
    validator: &Validator,
) -> HttpResult {
    let body = services.archive(who, view, (commit.oid, format), folder).await?;
    let reference = commit.name.replace('/', "-");
    let name = format!("{}-{reference}.{}", view.repository.name, format.suffix());
    let kind = match format {
        ArchiveFormat::TarGz => "application/gzip",
        ArchiveFormat::Zip => "application/zip",
        ArchiveFormat::Tar => "application/x-tar",
    };
    let mut response = HttpResponse::Ok();
    validator.mark(&mut response).insert_header((header::CONTENT_DISPOSITION, attachment(&name)));
    Ok(response.content_type(kind).streaming(body))
}

/// Returns a header that makes a browser save the response under this name (RFC 6266), without
/// characters that disguise the name.
fn attachment(name: &str) -> String {
    disposition(false, name)
}

/// Returns the header of a response that a browser shows or saves, with its name (RFC 6266).
pub(crate) fn disposition(is_shown: bool, name: &str) -> String {
    let kind = if is_shown { "inline" } else { "attachment" };
    let name = plain(name, FILE_NAME_CHARACTERS_MAX);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let safe: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if safe == name {
        return format!("{kind}; filename=\"{safe}\"");
    }
    format!("{kind}; filename=\"{safe}\"; filename*=UTF-8''{}", percent_encoded(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_of_a_file_never_allows_scripts() {
        for media_type in media::SHOWN.into_iter().chain(["text/html", "image/svg+xml", ""]) {
            let policy = policy_of(media_type);
            let (sources, sandbox) = policy.split_once("sandbox").unwrap();
            assert!(sources.starts_with("default-src 'none';"), "{media_type}: {policy}");
            assert!(!sources.contains("script"), "{media_type}: {policy}");
            let permitted = if policy == PLAYED_SANDBOX { " allow-same-origin" } else { "" };
            assert_eq!(sandbox, permitted, "{media_type}: {policy}");
        }
    }

    #[test]
    fn attachment_header_escapes_file_name() {
        assert_eq!(attachment("a-b_1.tar.gz"), "attachment; filename=\"a-b_1.tar.gz\"");
        assert_eq!(
            attachment("a\"; x\r\nü\u{202e}.bin"),
            "attachment; filename=\"a___x_.bin\"; filename*=UTF-8''a%22%3B%20x%C3%BC.bin"
        );
    }
}
