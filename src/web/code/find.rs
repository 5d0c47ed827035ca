//! `/{user}/{project}/{repo}/-/find/{ref}`: finds files of a commit by their path.
//!
//! The form works without a script. The script of the page asks the API for all paths, and applies
//! the same rule while the user types (`web/js/page/find.js`).

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::frame::{At, Found, Frame, RefPathAddress, Tab, at_ref};
use crate::domain::search::QUERY_BYTES_MAX;
use crate::http::address::path_encoded;
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::services::Services;
use crate::web::layout::{self, Shell};
use crate::web::visitor::Visitor;

/// Maximum number of listed files.
const LISTED_MAX: usize = 100;
/// Maximum characters of a query that are used.
const QUERY_MAX: usize = 200;

struct FoundFile {
    path: String,
    href: String,
}

#[derive(Template)]
#[template(path = "code/find.html")]
struct FindPage {
    shell: Shell,
    frame: Frame,
    query: String,
    files: Vec<FoundFile>,
    /// The number of all files that match.
    matches: usize,
    is_cut: bool,
    /// The address of the list of all files, for the script.
    list: String,
    /// The start of the addresses of files.
    blobs: String,
    /// The path of the repository, for the search in it.
    searched: String,
    /// The longest text beside the filter for the repository, if it is ASCII.
    words_max: usize,
}

#[derive(Deserialize)]
pub(in crate::web) struct FindQuery {
    #[serde(default)]
    q: String,
}

/// Returns the page with the files that match.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RefPathAddress>,
    query: Query<FindQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    at_ref(&visitor, &request, at.0, &services, async |found| {
        let Found { view, commit, .. } = found;
        let at = At { commit: &commit, view: "find", path: "" };
        let frame = Frame::load(&request, &services, &view, Tab::Code, Some(at)).await?;
        let validator = frame.validator(&request, &visitor, &[&commit]);
        if let Some(answer) = validator.unchanged(&request) {
            return Ok(answer);
        }
        let found = services.files(&view, commit.oid).await?;
        let is_cut = found.answer.truncated || !found.is_whole;
        let text: String = query.0.q.trim().chars().take(QUERY_MAX).collect();
        let (paths, wanted) = (found.answer.paths, text.to_lowercase());
        let (shown, matches) = services.paint(&view, move || best(paths, &wanted)).await?;
        let link = |path: String| FoundFile { href: frame.href("blob", &path), path };
        let files: Vec<_> = shown.into_iter().map(link).collect();
        let names = path_encoded(&view.project.name);
        let owner = path_encoded(&view.owner);
        let repository = path_encoded(&view.repository.name);
        let page = FindPage {
            shell: frame.shell(&request, &visitor, "Find a file"),
            query: text,
            files,
            matches,
            is_cut,
            list: format!("/api/projects/{owner}/{names}/repos/{repository}/files/{}", commit.oid),
            blobs: frame.href("blob", ""),
            words_max: QUERY_BYTES_MAX.saturating_sub(view.path().len() + "repo: ".len()),
            searched: view.path(),
            frame,
        };
        let kept = Some(&validator).filter(|_| !is_cut);
        layout::built(&request, (&services, &view), kept, move || page).await
    })
    .await
}

/// Returns the paths that match best, and the number of all that match. `wanted` is in lower case.
fn best(paths: Vec<String>, wanted: &str) -> (Vec<String>, usize) {
    let ranked = paths.into_iter().filter_map(|path| Some((rank(&path, wanted)?, path)));
    let mut ranked: Vec<_> = ranked.collect();
    let matches = ranked.len();
    ranked.sort_by(|(one, path), (other, path_of_other)| {
        (one, path.len()).cmp(&(other, path_of_other.len())).then_with(|| path.cmp(path_of_other))
    });
    (ranked.into_iter().take(LISTED_MAX).map(|(_, path)| path).collect(), matches)
}

/// Returns how well a path matches, 0 is best: at the start of the file name, in the file name, in
/// the path, or with other characters in between. `None` if it does not match.
fn rank(path: &str, wanted: &str) -> Option<u8> {
    let path = path.to_lowercase();
    let name = path.rsplit('/').next().unwrap_or(&path);
    // An empty text is at the start of every name.
    if name.starts_with(wanted) {
        Some(0)
    } else if name.contains(wanted) {
        Some(1)
    } else if path.contains(wanted) {
        Some(2)
    } else {
        let mut letters = path.chars();
        wanted.chars().filter(|c| !c.is_whitespace()).all(|c| letters.any(|l| l == c)).then_some(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_matches_come_first() {
        let paths =
            ["src/other/main_page.rs", "src/main.rs", "main/x.rs", "m/a/i/n.txt", "src/domain.rs", "README"];
        let (found, matches) = best(paths.map(str::to_owned).to_vec(), "main");
        assert_eq!(
            found,
            ["src/main.rs", "src/other/main_page.rs", "src/domain.rs", "main/x.rs", "m/a/i/n.txt"]
        );
        assert_eq!(matches, 5);
        assert_eq!(rank("src/web/code/find.rs", "web find"), Some(3));
        assert_eq!(rank("a", "b"), None);
    }

    #[test]
    fn list_is_cut_at_its_limit() {
        let paths = (0..LISTED_MAX * 2).map(|number| format!("f{number}")).collect();
        let (found, matches) = best(paths, "");
        assert_eq!((found.len(), matches), (LISTED_MAX, LISTED_MAX * 2));
    }
}
