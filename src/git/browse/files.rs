//! Lists the paths of all files of a commit, for a search by name.

use std::collections::VecDeque;
use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::budget::json_bytes;
use super::history::deadline;
use super::path::{DEPTH_MAX, MODE_COMMIT, PATH_BYTES_MAX, PathEntry};
use super::{BrowseError, Browser, Oid, path_text};

/// The files of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FileList {
    pub commit_oid: Oid,
    /// Files and links, sorted bytewise. Submodules are left out.
    pub paths: Vec<String>,
    /// Whether there are more files: more than 20,000 files or folders, more than 2 MiB of paths,
    /// or the server stopped reading. Files of folders that are nested less deep are listed first.
    pub truncated: bool,
}

/// A folder that is read later.
struct WaitingFolder {
    oid: git2::Oid,
    path: Vec<u8>,
    depth: usize,
}

impl Browser {
    /// Returns the paths of the files of a commit, up to the limits. Reads folders level by level.
    pub fn files(&self, commit: Oid) -> Result<FileList, BrowseError> {
        let root = self.find_commit(commit.raw())?.tree;
        let limits = &self.limits;
        let until = deadline(limits.time());
        let mut waiting = VecDeque::from([WaitingFolder { oid: root, path: Vec::new(), depth: 0 }]);
        let (mut paths, mut truncated) = (Vec::new(), false);
        let (mut folders_left, mut bytes_left) = (limits.listed_files, limits.listed_files_bytes);
        while let Some(folder) = waiting.pop_front() {
            // The root must be readable. A folder below it is skipped.
            let tree = match self.find_tree(folder.oid) {
                Err(error) if folder.depth == 0 => return Err(error),
                Err(_) => {
                    truncated = true;
                    continue;
                }
                Ok(tree) => tree,
            };
            for entry in &tree {
                let place = PathEntry::of(&entry);
                if place.mode == MODE_COMMIT {
                    continue;
                }
                let name = entry.name_bytes();
                let path =
                    if folder.path.is_empty() { name.to_vec() } else { [&folder.path, name].join(&b'/') };
                let text = path_text::escaped(&path);
                let Some(left) = bytes_left.checked_sub(json_bytes(text.as_bytes())) else {
                    truncated = true;
                    break;
                };
                let is_too_deep = folder.depth >= DEPTH_MAX || path.len() >= PATH_BYTES_MAX;
                if !place.is_tree() && paths.len() < limits.listed_files {
                    bytes_left = left;
                    paths.push(text);
                } else if place.is_tree() && folders_left > 0 && !is_too_deep {
                    bytes_left = left;
                    folders_left = folders_left.saturating_sub(1);
                    waiting.push_back(WaitingFolder {
                        oid: place.oid,
                        path,
                        depth: folder.depth.saturating_add(1),
                    });
                } else {
                    truncated = true;
                }
            }
            let is_full = bytes_left == 0 || paths.len() >= limits.listed_files;
            if (is_full || self.budget.is_spent() || Instant::now() >= until) && !waiting.is_empty() {
                truncated = true;
                break;
            }
        }
        paths.sort_unstable();
        Ok(FileList { commit_oid: commit, paths, truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{FILE, Files, LINK, SUBMODULE, SampleRepository, files};
    use super::*;

    #[test]
    fn file_list_equals_git_ls_tree() {
        let sample = SampleRepository::new();
        let mut all =
            files(&[("a", ""), ("a.b", ""), ("a/x", ""), ("b/c/d/e", ""), ("b/c.txt", ""), ("z", "")]);
        all.remove("a");
        all.insert("link".to_owned(), (LINK, b"z".to_vec()));
        all.insert("%E9".to_owned(), (FILE, Vec::new()));
        let wanted: Vec<_> = all.keys().map(|path| path_text::escaped(path.as_bytes())).collect();
        all.insert("module".to_owned(), (SUBMODULE, "1".repeat(40).into_bytes()));
        let head = sample.commit(&[], &all);
        let found = sample.browser().files(head).unwrap();
        assert_eq!((found.paths.clone(), found.truncated), (wanted, false));
        let mut listed = sample.git(&["ls-tree", "-r", "--name-only", &head.to_string()]);
        listed.retain(|path| path != "module");
        listed.sort_unstable();
        assert_eq!(found.paths.len(), listed.len());
        let empty = sample.commit(&[], &Files::new());
        assert_eq!(sample.browser().files(empty).unwrap().paths, Vec::<String>::new());
    }

    #[test]
    fn file_list_is_cut_at_its_limits() {
        let sample = SampleRepository::new();
        let names: Vec<_> = (0..9).map(|number| format!("d/e/{number}")).collect();
        let mut listed: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        listed.extend([("top", ""), ("u", "")]);
        let head = sample.commit(&[], &files(&listed));
        let whole = |browser: Browser| {
            let found = browser.files(head).unwrap();
            (found.paths.len(), found.truncated)
        };
        assert_eq!(whole(sample.limited(|limits| limits.listed_files = 11)), (11, false));
        assert_eq!(whole(sample.limited(|limits| limits.listed_files = 10)), (10, true));
        assert_eq!(whole(sample.limited(|limits| limits.listed_files_bytes = 20)), (4, true));
        assert_eq!(whole(sample.limited(|limits| limits.time_ms = 0)), (2, true));
        let cut = sample.limited(|limits| limits.listed_files = 2).files(head).unwrap();
        assert_eq!(cut.paths, ["top", "u"], "the upper folders first");
    }

    /// A few hundred bytes of trees that hold each other many times name any number of files.
    #[test]
    fn file_list_of_a_tree_bomb_ends() {
        let sample = SampleRepository::new();
        let mut oid = sample.tree(&files(&[("x", "")]));
        for _ in 0..12 {
            let mut builder = sample.repository.treebuilder(None).unwrap();
            for name in 0..10 {
                builder.insert(format!("{name}"), oid, 0o040_000).unwrap();
            }
            oid = builder.write().unwrap();
        }
        let head = sample.commit_tree(1_700_000_000, &[], oid, "bomb");
        let found = sample.browser().files(head).unwrap();
        assert!(found.truncated && found.paths.is_empty());
    }

    #[test]
    fn folder_that_cannot_be_read_is_left_out() {
        let sample = SampleRepository::new();
        let head = sample.commit(&[], &files(&[("d/x", ""), ("e/y", "1")]));
        sample.lose(sample.tree(&files(&[("x", "")])));
        let found = sample.browser().files(head).unwrap();
        assert_eq!((found.paths.as_slice(), found.truncated), (["e/y".to_owned()].as_slice(), true));
    }
}
