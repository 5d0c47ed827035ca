//! The files of the pages from a folder instead of the embedded ones (`NETBIT_WEB_DIR`): a change
//! is visible after a reload, without a build.
//!
//! The scripts are not linked: browsers load each module. Only files below the folder are served,
//! also behind symbolic links, and no file may be stored in a cache.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::assets::content_type;
use super::sheets::{STYLE_SHEETS, Selection};
use crate::core::saturate;
use crate::http::error::{HttpResult, no_route};
use crate::services::ServiceError;

/// Where these files are served. No hash of embedded files has this form.
pub(super) const ROOT: &str = "/assets/dev";
/// The part of [`ROOT`] in place of the hash.
pub(super) const HASH: &str = "dev";

/// Maximum size of a file, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Maximum number of style sheets that are joined.
const SHEETS_MAX: usize = 64;

/// The folder `web` of the source code, or `None` for the embedded files.
pub struct LooseFiles(pub Option<PathBuf>);

/// Returns the folder that replaces the embedded files, if the configuration has it.
pub(super) fn folder_of(request: &HttpRequest) -> Option<&Path> {
    request.app_data::<web::Data<LooseFiles>>()?.0.as_deref()
}

/// Returns a file as a response.
pub(super) async fn serve(folder: &Path, name: &str) -> HttpResult {
    let Some(kind) = content_type(name) else { return no_route().await };
    let (folder, name) = (folder.to_owned(), name.to_owned());
    let read = web::block(move || read(&folder, &name)).await.map_err(ServiceError::internal)?;
    let Some(bytes) = read else { return no_route().await };
    let mut response = HttpResponse::Ok();
    Ok(response.content_type(kind).insert_header((header::CACHE_CONTROL, "no-store")).body(bytes))
}

/// Returns the file that pages call `name`.
fn read(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let folder = folder.canonicalize().ok()?;
    if let Some((_, has)) = STYLE_SHEETS.iter().find(|(sheet, _)| *sheet == name) {
        return style_sheet(&folder, has);
    }
    let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let kind = if name.ends_with(".js") { "js" } else { "images" };
    if is_plain { file_below(&folder, &folder.join(kind).join(name)) } else { None }
}

/// Joins the files of a style sheet in the order of their names, as `build.rs` does.
fn style_sheet(folder: &Path, has: &Selection) -> Option<Vec<u8>> {
    let entries = fs::read_dir(folder.join("css")).ok()?.take(SHEETS_MAX);
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let is_part = |path: &&PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(has);
    let sheets = paths.iter().filter(is_part).filter_map(|path| file_below(folder, path));
    Some(sheets.collect::<Vec<_>>().concat())
}

/// Returns a file below a folder, whose path is canonical, if it is not larger than the limit.
fn file_below(folder: &Path, path: &Path) -> Option<Vec<u8>> {
    let path = path.canonicalize().ok().filter(|path| path.starts_with(folder))?;
    // Opening a pipe would wait.
    if !fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    let bytes_max = saturate::to_u64(FILE_BYTES_MAX.saturating_add(1));
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(bytes_max).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= FILE_BYTES_MAX).then_some(bytes)
}
