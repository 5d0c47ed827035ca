//! Reads the contents of a bare repository in process, for users and programs.
//!
//! A [`Browser`] is opened for one request and dropped after it, so every response uses the refs as
//! they are on disk. It is synchronous; callers run it where blocking is allowed.
//!
//! Invariants:
//! - Nothing outside the repository's directory is read: no upward search, no environment, and no
//!   configuration after [`Browser::open`].
//! - Names and paths are looked up, never interpreted: no revision expressions, no patterns.
//! - Every response is bounded by [`BrowseLimits`], in size and in time. `truncated` is set where a
//!   limit was reached.
//! - Every object is charged to the [`ReadBudget`] of the request before it is read, with all delta
//!   bases to build for it ([`packs`]). A walk keeps only the ids and dates of commits.
//! - Pushed data is not trusted: broken, missing or extreme objects are refused or skipped, and
//!   every loop over them is bounded.
//!
//! Deliberately absent: writing, blame and archives.

mod archive_size;
mod blob;
mod budget;
mod changed_paths;
mod changes;
mod commit;
mod commit_graph;
mod commits;
mod compare;
mod diff;
mod diff_part;
mod diff_walk;
mod error;
mod files;
mod history;
mod ignored_revisions;
mod last_commit;
mod limits;
pub(super) mod object;
mod packs;
mod path;
pub mod path_text;
mod ref_names;
mod ref_path;
mod refs;
mod renames;
mod searched;
pub(super) mod text;
mod tree;
mod tree_places;

#[cfg(test)]
mod diff_test;
#[cfg(test)]
mod history_test;
#[cfg(test)]
mod hostile_test;
#[cfg(test)]
mod packs_test;
#[cfg(test)]
mod refs_test;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tree_test;

use std::cell::{OnceCell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;

use git2::{ErrorCode, ObjectType, Repository, RepositoryOpenFlags};

pub use archive_size::{ArchiveLimits, ArchiveSize};
pub use blob::{Blob, FileSize};
pub use changes::ChangeStatus;
pub use compare::{Comparison, Distance};
pub use diff::{CommitDiff, Diff, FileDiff};
pub use diff_part::{CONTEXT_LINES_MAX, DiffPart};
pub use error::BrowseError;
pub use files::FileList;
pub use history::CommitPage;
pub use limits::BrowseLimits;
pub use object::{CommitSummary, CommitView, Oid, Person};
pub use ref_names::{RefNames, TagName};
pub use ref_path::RefPath;
pub use refs::{Branch, RefKind, RefPage, ResolvedRef, Tag};
pub use searched::{ChangedFile, ChangedFiles, ChangesListing, NewestCommits, SearchedCommit};
pub use tree::{EntryKind, Tree, TreeCursor, TreeEntry, TreePart};

use budget::ReadBudget;
use commit_graph::CommitGraph;
use packs::{Packs, Stored};

/// Maximum number of parents followed per commit. Merges with more parents only occur as an attack
/// on the time of readers.
const PARENTS_MAX: usize = 1_024;

/// Disables the object cache of libgit2, which holds up to 256 MiB for all repositories together.
static WITHOUT_CACHE: Once = Once::new();

/// One bare repository, open for reading.
pub struct Browser {
    repository: Repository,
    default_branch: String,
    limits: BrowseLimits,
    budget: ReadBudget,
    packs: RefCell<Packs>,
    path: PathBuf,
    graph: OnceCell<Option<CommitGraph>>,
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser").field("path", &self.repository.path()).finish_non_exhaustive()
    }
}

impl Browser {
    /// Opens the bare repository in the directory `path`; `default_branch` is a short name such as
    /// `main`.
    ///
    /// The directory must belong to the user that the server runs as; libgit2 refuses others, as
    /// git does. The configurations of the host and the repository are used only for opening. Later
    /// reads must not depend on the machine, so an empty configuration replaces them.
    pub fn open(path: &Path, default_branch: &str, limits: BrowseLimits) -> Result<Self, BrowseError> {
        WITHOUT_CACHE.call_once(|| git2::opts::enable_caching(false));
        Ok(Self {
            repository: open_repository(path)?,
            default_branch: default_branch.to_owned(),
            budget: ReadBudget::new(&limits),
            packs: RefCell::new(Packs::of(path)),
            path: path.to_owned(),
            graph: OnceCell::new(),
            limits,
        })
    }

    /// Returns the commit that the default branch points to; `None` before the first push to it.
    pub fn default_branch_head(&self) -> Result<Option<Oid>, BrowseError> {
        let target = self.ref_target(&format!("refs/heads/{}", self.default_branch))?;
        Ok(target.map(Oid::from))
    }

    /// Returns whether the repository has no branch, tag or note.
    pub fn is_empty(&self) -> Result<bool, BrowseError> {
        for prefix in refs::VISIBLE {
            if !self.ref_names(prefix, None, 1)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the current target of each full ref name, not peeled; `None` for a ref that does not
    /// exist. Includes hidden refs: the server itself uses this to settle pushes.
    pub fn ref_targets(path: &Path, names: &[&str]) -> Result<Vec<Option<Oid>>, BrowseError> {
        let repository = open_repository(path)?;
        let target = |name: &&str| match repository.refname_to_id(name) {
            Ok(oid) => Ok(Some(Oid::from(oid))),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
            Err(error) => Err(error.into()),
        };
        names.iter().map(target).collect()
    }

    /// Returns whether every object that a response needed was read. Otherwise a later response may
    /// contain more. Objects too large for any response do not count: they are never read.
    pub fn has_read_all(&self) -> bool {
        !self.budget.has_missed()
    }

    /// Records a failed read of an object, after which a response may lack the object.
    fn noted<T>(&self, read: Result<T, BrowseError>) -> Result<T, BrowseError> {
        read.inspect_err(|_| self.budget.note_missed())
    }

    /// Returns how an object is stored and how much reading it would cost.
    fn stored(&self, oid: git2::Oid, noun: &'static str) -> Result<Stored, BrowseError> {
        self.noted(self.look_up(oid, noun))
    }

    fn look_up(&self, oid: git2::Oid, noun: &'static str) -> Result<Stored, BrowseError> {
        let (packed, is_loose) = {
            let mut packs = self.packs.borrow_mut();
            let packed = packs.find(oid).map_err(|error| match error.kind() {
                io::ErrorKind::FileTooLarge => {
                    BrowseError::TooLarge("the delta chain of the object is too long; clone the repository")
                }
                _ => unreadable(error),
            })?;
            (packed, packed.is_none() && packs.is_loose(oid))
        };
        match packed {
            Some(stored) => Ok(stored),
            None if is_loose => {
                let (bytes, kind) =
                    self.repository.odb()?.read_header(oid).map_err(BrowseError::missing(noun))?;
                Ok(Stored::whole(kind, bytes))
            }
            None => Err(BrowseError::NotFound(noun)),
        }
    }

    /// Returns the commit-graph, if the repository has a readable one.
    fn graph(&self) -> Option<&CommitGraph> {
        let open = || {
            CommitGraph::open(&self.path, self.limits.graph_bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "a commit-graph cannot be read; commit objects are read instead");
                None
            })
        };
        self.graph.get_or_init(open).as_ref()
    }

    /// Returns the bytes of an object that was charged before.
    fn load(&self, oid: git2::Oid, noun: &'static str) -> Result<Vec<u8>, BrowseError> {
        let odb = self.repository.odb()?;
        let object = self.noted(odb.read(oid).map_err(BrowseError::missing(noun)))?;
        Ok(object.data().to_vec())
    }

    /// Returns the first bytes of a commit that is too large to be loaded.
    fn first_bytes(&self, oid: git2::Oid, bytes_max: usize) -> Result<Vec<u8>, BrowseError> {
        let found = self.packs.borrow_mut().first_bytes(oid, bytes_max).map_err(unreadable);
        let too_large = BrowseError::TooLarge("the commit is too large to be shown");
        self.noted(found.and_then(|found| found.ok_or(too_large)))
    }

    fn find_tag(&self, oid: git2::Oid) -> Result<git2::Tag<'_>, BrowseError> {
        self.check_size(oid, ObjectType::Tag, self.limits.commit_bytes)?;
        self.repository.find_tag(oid).map_err(BrowseError::missing("tag"))
    }

    fn find_tree(&self, oid: git2::Oid) -> Result<git2::Tree<'_>, BrowseError> {
        self.check_size(oid, ObjectType::Tree, self.limits.tree_bytes)?;
        self.noted(self.repository.find_tree(oid).map_err(BrowseError::missing("tree")))
    }

    /// Checks the type and size of an object before it is read. Objects are loaded whole, and a few
    /// kilobytes can unpack to gigabytes.
    fn check_size(&self, oid: git2::Oid, kind: ObjectType, bytes_max: usize) -> Result<Stored, BrowseError> {
        let stored = self.stored(oid, kind.str())?;
        if stored.kind != kind {
            return Err(BrowseError::NotFound(kind.str()));
        }
        if stored.bytes > bytes_max {
            return Err(BrowseError::TooLarge("the object is too large to be shown"));
        }
        self.charge(&stored)?;
        Ok(stored)
    }

    /// Charges an object before it is read.
    fn charge(&self, object: &Stored) -> Result<(), BrowseError> {
        self.noted(self.budget.charge(object, &self.limits))
    }

    /// Returns the contents of a file of at most `bytes_max` bytes.
    fn read_blob(&self, oid: git2::Oid, bytes_max: usize) -> Result<Vec<u8>, BrowseError> {
        self.check_size(oid, ObjectType::Blob, bytes_max)?;
        self.load(oid, "file")
    }
}

fn unreadable(error: io::Error) -> BrowseError {
    git2::Error::new(ErrorCode::GenericError, git2::ErrorClass::Odb, error.to_string()).into()
}

pub(super) fn open_repository(path: &Path) -> Result<Repository, BrowseError> {
    let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT | RepositoryOpenFlags::BARE;
    let no_ceilings: [&Path; 0] = [];
    let repository =
        Repository::open_ext(path, flags, no_ceilings).map_err(BrowseError::missing("repository"))?;
    repository.set_config(&git2::Config::new()?)?;
    Ok(repository)
}
