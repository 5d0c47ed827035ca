//! Values as words: dates, short object ids, parts of paths.

use super::frame::href;
use crate::domain::timestamp::Timestamp;
use crate::git::browse::Oid;

/// Shown digits of an object id.
const SHORT_OID: usize = 10;
/// Characters of a date without the time: `2026-11-29`.
const DATE: usize = 10;

/// Returns the date of a time in UTC. The script of the page shows it in the reader's zone.
pub(in crate::web) fn day(at: Timestamp) -> String {
    at.to_string().chars().take(DATE).collect()
}

/// Returns the first digits of an object id.
pub(in crate::web) fn short(oid: Oid) -> String {
    oid.to_string().chars().take(SHORT_OID).collect()
}

/// A folder above a file, or the file itself.
#[derive(Debug)]
pub(in crate::web) struct Step {
    pub(in crate::web) name: String,
    pub(in crate::web) href: String,
}

/// Returns the folders that lead to `path`, and the last name of `path`. `reference` is encoded.
pub(in crate::web) fn steps(base: &str, reference: &str, path: &str) -> (Vec<Step>, String) {
    let mut folders = Vec::new();
    let mut rest = path;
    while let Some((folder, _)) = rest.rsplit_once('/') {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        folders.push(Step { name: name.to_owned(), href: href(base, "tree", reference, folder) });
        rest = folder;
    }
    folders.reverse();
    (folders, path.rsplit('/').next().unwrap_or(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lead_from_the_root_to_the_file() {
        let (folders, name) = steps("/a/b/c", "main", "src/web/x y.rs");
        let shown: Vec<_> = folders.iter().map(|step| (step.name.as_str(), step.href.as_str())).collect();
        assert_eq!(shown, [("src", "/a/b/c/-/tree/main/src"), ("web", "/a/b/c/-/tree/main/src/web")]);
        assert_eq!(name, "x y.rs");
        assert!(steps("/a/b/c", "main", "").0.is_empty());
    }
}
