//! Reads files, as text for JSON or as raw bytes.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::object::Oid;
use super::path::MODE_COMMIT;
use super::{BrowseError, Browser};

/// Number of bytes searched for a NUL to detect a binary file; the same as in git.
const BINARY_SNIFF_BYTES: usize = 8000;

/// A file of a commit. The content of a symbolic link is its target.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Blob {
    pub oid: Oid,
    pub path: String,
    /// Six octal digits, such as `100644`.
    pub mode: String,
    pub size_bytes: usize,
    /// Whether the first 8000 bytes contain a NUL, the test that git uses. Unknown, and therefore
    /// false, when `truncated`.
    pub binary: bool,
    /// The text; absent for binary and `truncated` files.
    pub content: Option<String>,
    /// Whether the text is not valid UTF-8, so that some bytes are replaced in `content`.
    pub lossy: bool,
    /// Whether the file is too large for this response; it can be fetched raw.
    pub truncated: bool,
}

/// The object and size of a file, before its content is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSize {
    pub oid: Oid,
    pub size_bytes: usize,
}

pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(BINARY_SNIFF_BYTES).any(|byte| *byte == 0)
}

impl Browser {
    /// Returns the file at `path` in a commit.
    pub fn blob(&self, commit: Oid, path: &str) -> Result<Blob, BrowseError> {
        let (oid, mode, size_bytes, path) = self.file(commit, path)?;
        let mut blob = Blob {
            oid: oid.into(),
            path,
            mode,
            size_bytes,
            binary: false,
            content: None,
            lossy: false,
            truncated: size_bytes > self.limits.blob_bytes,
        };
        if blob.truncated {
            return Ok(blob);
        }
        let bytes = self.read_blob(oid, self.limits.blob_bytes)?;
        blob.binary = is_binary(&bytes);
        if !blob.binary {
            let text = String::from_utf8_lossy(&bytes);
            // `from_utf8_lossy` borrows valid UTF-8.
            blob.lossy = matches!(text, std::borrow::Cow::Owned(_));
            blob.content = Some(text.into_owned());
        }
        Ok(blob)
    }

    /// Returns the file as raw bytes.
    pub fn raw(&self, commit: Oid, path: &str) -> Result<(Oid, Vec<u8>), BrowseError> {
        let (oid, ..) = self.file(commit, path)?;
        Ok((oid.into(), self.read_blob(oid, self.limits.raw_bytes)?))
    }

    /// Returns the object id and the size of a file.
    pub fn file_size(&self, commit: Oid, path: &str) -> Result<FileSize, BrowseError> {
        let (oid, _, size_bytes, _) = self.file(commit, path)?;
        if size_bytes > self.limits.raw_bytes {
            return Err(BrowseError::TooLarge("the file is too large to be sent raw; clone the repository"));
        }
        let stored = self.stored(oid, "file")?;
        if stored.peak_bytes > self.limits.raw_bytes {
            return Err(BrowseError::TooLarge(
                "the file takes too much memory to be sent raw; clone the repository",
            ));
        }
        Ok(FileSize { oid: oid.into(), size_bytes })
    }

    /// Returns for each commit whether its file at `path` is that of `shown`. A file that `shown`
    /// does not have is the same in no commit. A commit is absent if the budget ends before it, or
    /// if its objects cannot be read.
    pub fn same_files(&self, shown: Oid, path: &str, commits: &[Oid]) -> BTreeMap<Oid, bool> {
        let (mut same, mut of_tree) = (BTreeMap::new(), HashMap::new());
        let Ok(here) = self.file_id(shown, path, &mut of_tree) else { return same };
        for commit in commits {
            if Instant::now() >= self.budget.until() {
                break;
            }
            if let Ok(there) = self.file_id(*commit, path, &mut of_tree) {
                same.insert(*commit, here.is_some() && there == here);
            }
        }
        same
    }

    /// Returns the object id of the file at `path`; `None` if the commit does not exist, or has no
    /// such file. `of_tree` keeps the answers by root tree.
    fn file_id(
        &self,
        commit: Oid,
        path: &str,
        of_tree: &mut HashMap<git2::Oid, Option<git2::Oid>>,
    ) -> Result<Option<git2::Oid>, BrowseError> {
        let commit = match self.find_commit(commit.raw()) {
            Err(BrowseError::NotFound(_)) => return Ok(None),
            found => found?,
        };
        if let Some(known) = of_tree.get(&commit.tree) {
            return Ok(*known);
        }
        let (_, place) = self.find_path(&commit, path)?;
        let file = place.filter(|place| !place.is_tree() && place.mode != MODE_COMMIT);
        let file = file.map(|place| place.oid);
        of_tree.insert(commit.tree, file);
        Ok(file)
    }

    /// Returns the id, mode, size and path of the file at `path`.
    fn file(&self, commit: Oid, path: &str) -> Result<(git2::Oid, String, usize, String), BrowseError> {
        let commit = self.find_commit(commit.raw())?;
        let (path, place) = self.place_in(&commit, path)?;
        if place.is_tree() || place.mode == MODE_COMMIT {
            return Err(BrowseError::BadRequest("the path is not a file"));
        }
        let size_bytes = self.blob_size(place.oid).ok_or(BrowseError::NotFound("file"))?;
        Ok((place.oid, place.octal(), size_bytes, path.text()))
    }
}
