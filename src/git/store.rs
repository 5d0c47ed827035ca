//! Directories of repositories on disk: `repos/ab/cd/<storage key>.git`.
//!
//! Invariants
//! * No path contains text that a user chose. So renaming a repository changes a single row, and no
//!   name can refer to a path elsewhere.
//! * A repository is complete when it becomes visible: it is created in `tmp/`, fsynced, and
//!   renamed to its final path.
//! * A deleted repository disappears at once: it is renamed into `trash/`, and removed later.

mod files;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use git2::RepositoryInitOptions;

use files::{
    files_below, folders, is_shard, packed_refs, remove_if_there, remove_locks, remove_old, size_of_tree,
    sync, sync_tree,
};

use crate::core::{owner, private_file};
use crate::domain::node::NodeName;
use crate::domain::repository::StorageKey;

/// Maximum number of entries of `refs/` that a start checks for locks before it is ready; the later
/// sweep in the background checks the rest.
const LOCK_ENTRIES_MAX: usize = 20_000;

/// Disk space of a small file or a folder, in bytes.
const BLOCK_BYTES: u64 = 4096;

/// Lock files that git creates outside of `refs/`.
const LOCKS: [&str; 8] = [
    "HEAD.lock",
    "packed-refs.lock",
    "packed-refs.new",
    "config.lock",
    "shallow.lock",
    "objects/info/commit-graph.lock",
    "objects/info/commit-graphs/commit-graph-chain.lock",
    "objects/pack/multi-pack-index.lock",
];

/// The hook scripts of pushes.
const PRE_RECEIVE: &str = include_str!("pre_receive.sh");
const UPDATE: &str = include_str!("update.sh");

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the repository's directory does not exist")]
    Missing,
    #[error("cannot use the repository's directory: {0}")]
    Io(#[from] io::Error),
    #[error("cannot create the repository: {0}")]
    Git(#[from] git2::Error),
}

/// The file whose lock excludes maintenance. Servers and backups of all versions must exclude
/// each other, so it keeps its name.
const MAINTENANCE_LOCK: &str = "tending.lock";

/// The repository directories of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// The end of the names of `tmp` and `trash`: each node has its own in a folder that nodes
    /// share.
    own: String,
}

impl Store {
    /// Opens the repository directories under the data directory; creates missing directories and
    /// hooks.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        Self::open_with(data_dir, String::new())
    }

    /// Opens the repository directories that several nodes share, for one of them. The name
    /// consists of letters, digits, `-` and `_`.
    pub fn open_shared(data_dir: &Path, node: &NodeName) -> io::Result<Self> {
        Self::open_with(data_dir, format!(".{node}"))
    }

    fn open_with(data_dir: &Path, own: String) -> io::Result<Self> {
        let store = Self { own, ..Self::at(data_dir)? };
        for folder in [store.root.clone(), store.tmp(), store.trash(), store.hooks(), store.home()] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        store.install_hook(&store.push_hooks(), "pre-receive", PRE_RECEIVE)?;
        store.install_hook(&store.push_hooks_by_ref(), "pre-receive", PRE_RECEIVE)?;
        store.install_hook(&store.push_hooks_by_ref(), "update", UPDATE)?;
        sync(data_dir)?;
        sync(&store.root)?;
        Ok(store)
    }

    /// Writes a hook script, unless the file already has this content.
    fn install_hook(&self, folder: &Path, name: &str, script: &str) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|found| found == script.as_bytes()) {
            return Ok(());
        }
        let beside = self.tmp().join(name);
        remove_if_there(&beside)?;
        let mut file = File::options().create_new(true).write(true).mode(0o700).open(&beside)?;
        file.write_all(script.as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, &path)
    }

    /// Opens the repository directories of a data directory that another server may be using:
    /// creates nothing.
    pub fn at(data_dir: &Path) -> io::Result<Self> {
        Ok(Self { root: data_dir.canonicalize()?.join("repos"), own: String::new() })
    }

    /// Acquires the exclusive lock for pruning, repacking and removing; a backup holds it to
    /// prevent these.
    ///
    /// A single holder at a time, across all processes; the lock is released when the file is
    /// dropped. Returns `None` if another holder has the lock and `wait` is false.
    pub fn maintenance_lock(&self, wait: bool) -> io::Result<Option<File>> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
        let path = self.root.join(MAINTENANCE_LOCK);
        let file = private_file::open_lock(&path)?;
        // A backup taken by root must not prevent the server from taking the lock later.
        owner::follow_folder(&path)?;
        if wait {
            file.lock()?;
            return Ok(Some(file));
        }
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Returns the storage keys of the repository directories on disk.
    pub fn names_on_disk(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for first in folders(&self.root)?.into_iter().filter(|path| is_shard(path)) {
            for second in folders(&first)?.into_iter().filter(|path| is_shard(path)) {
                let names = folders(&second)?.into_iter();
                found.extend(names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())));
            }
        }
        Ok(found)
    }

    fn tmp(&self) -> PathBuf {
        self.root.join(format!("tmp{}", self.own))
    }

    fn trash(&self) -> PathBuf {
        self.root.join(format!("trash{}", self.own))
    }

    /// Returns the folder with the hook that git runs while a push is in quarantine.
    pub fn push_hooks(&self) -> PathBuf {
        self.root.join("push-hooks")
    }

    /// Returns the folder with the hooks for pushes whose branches have different rewrite rules.
    pub fn push_hooks_by_ref(&self) -> PathBuf {
        self.root.join("push-hooks-by-ref")
    }

    /// Returns whether the file system permits executing the hook. git silently skips a hook that
    /// is not executable.
    ///
    /// # Errors
    /// The properties of the file system cannot be read.
    pub fn hooks_can_run(&self) -> io::Result<bool> {
        let disk = rustix::fs::statvfs(&self.root)?;
        Ok(!disk.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
    }

    /// Returns an empty folder: the hooks of every other command.
    pub fn hooks(&self) -> PathBuf {
        self.root.join("no-hooks")
    }

    /// Returns an empty folder: the home directory of every child.
    pub fn home(&self) -> PathBuf {
        self.root.join("no-home")
    }

    /// Returns the path that marks the child processes of this server: another node may run on the
    /// same machine with the same folder.
    pub(super) fn mark(&self) -> PathBuf {
        if self.own.is_empty() { self.root.clone() } else { self.tmp() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path(&self, key: StorageKey) -> PathBuf {
        let name = key.to_string();
        let (first, second) = (name.get(..2).unwrap_or("00"), name.get(2..4).unwrap_or("00"));
        self.root.join(first).join(second).join(format!("{name}.git"))
    }

    /// Returns the path of an existing repository.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it does not exist.
    pub fn existing(&self, key: StorageKey) -> Result<PathBuf, StoreError> {
        let path = self.path(key);
        if path.join("HEAD").is_file() { Ok(path) } else { Err(StoreError::Missing) }
    }

    /// Creates a bare repository, durably and atomically: it is visible either complete or not at
    /// all.
    pub fn create(&self, key: StorageKey, default_branch: &str) -> Result<(), StoreError> {
        let beside = self.tmp().join(key.to_string());
        remove_if_there(&beside)?;
        init_bare(&beside, default_branch)?;
        sync_tree(&beside, 0)?;
        let path = self.path(key);
        let second = path.parent().unwrap_or(&self.root);
        let first = second.parent().unwrap_or(&self.root);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(second)?;
        fs::rename(&beside, &path)?;
        for folder in [second, first, self.root.as_path(), &self.tmp()] {
            sync(folder)?;
        }
        Ok(())
    }

    /// Returns a repository without refs. Its advertisement serves for every repository that does
    /// not exist yet.
    ///
    /// It belongs to no row, nothing is ever written to it, and the next start removes it.
    ///
    /// # Errors
    /// The repository cannot be created.
    pub fn empty(&self) -> Result<PathBuf, StoreError> {
        let path = self.tmp().join("empty");
        if path.join("HEAD").is_file() {
            return Ok(path);
        }
        let beside = self.tmp().join(StorageKey::fresh().to_string());
        let made = init_bare(&beside, "main").and_then(|()| Ok(fs::rename(&beside, &path)?));
        if made.is_err() {
            remove_if_there(&beside)?;
        }
        // Another advertisement may have created it at the same time.
        if path.join("HEAD").is_file() { Ok(path) } else { made.map(|()| path) }
    }

    /// Moves a repository to the trash; does nothing if it does not exist.
    pub fn discard(&self, key: StorageKey) -> Result<(), StoreError> {
        let (path, trash) = (self.path(key), self.trash());
        match fs::rename(&path, trash.join(key.to_string())) {
            Ok(()) => {
                sync(path.parent().unwrap_or(&self.root))?;
                Ok(sync(&trash)?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // It was discarded before, and created again: both are removed.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                Ok(fs::remove_dir_all(&path)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the discarded repositories.
    pub fn empty_trash(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.trash())? {
            remove_if_there(&entry?.path())?;
        }
        Ok(())
    }

    /// Removes the remains of interrupted creations. Only at start, when no creation is running.
    pub fn empty_tmp(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.tmp())? {
            remove_if_there(&entry?.path())?;
        }
        Ok(())
    }

    /// Creates an unnamed temporary file, which is deleted when it is closed.
    pub fn scratch_file(&self) -> io::Result<File> {
        let path = self.tmp().join(format!("{}.scratch", StorageKey::fresh()));
        let file = File::options().create_new(true).read(true).write(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    /// Points `HEAD` to the default branch, unless it already does.
    pub fn ensure_head(&self, key: StorageKey, default_branch: &str) -> Result<PathBuf, StoreError> {
        let path = self.existing(key)?;
        let wanted = format!("ref: refs/heads/{default_branch}\n");
        let head = path.join("HEAD");
        if fs::read_to_string(&head)? != wanted {
            // Concurrent callers write the same content, each to its own temporary file.
            let beside = self.tmp().join(format!("{key}.{}.head", StorageKey::fresh()));
            let mut file = private_file::create_new(&beside)?;
            file.write_all(wanted.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &head)?;
            sync(&path)?;
        }
        Ok(path)
    }

    /// Returns the disk usage of the repository in bytes: objects, and refs with at least a disk
    /// block each.
    pub fn size_bytes(&self, key: StorageKey) -> Result<u64, StoreError> {
        let path = self.existing(key)?;
        let objects = size_of_tree(&path.join("objects"), 0, 0)?;
        let refs = size_of_tree(&path.join("refs"), 0, BLOCK_BYTES)?;
        let packed = fs::metadata(path.join("packed-refs")).map_or(0, |file| file.len());
        Ok(objects.saturating_add(refs).saturating_add(packed))
    }

    /// Returns an upper bound of the number of refs: a packed ref that was changed since counts
    /// twice.
    pub fn ref_count(&self, key: StorageKey) -> Result<usize, StoreError> {
        let path = self.existing(key)?;
        let packed = match File::open(path.join("packed-refs")) {
            Ok(file) => packed_refs(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(packed.saturating_add(files_below(&path.join("refs"), 0)?))
    }

    /// Flushes written refs to disk that git left to the operating system.
    pub fn sync_refs(&self, key: StorageKey) -> Result<(), StoreError> {
        let folder = File::open(self.existing(key)?)?;
        Ok(rustix::fs::syncfs(&folder).map_err(io::Error::from)?)
    }

    /// Removes quarantines and locks of killed pushes that were last modified before `before`, so
    /// that nothing can be using them.
    pub fn sweep(&self, key: StorageKey, before: SystemTime) -> Result<(), StoreError> {
        for entry in fs::read_dir(self.existing(key)?.join("objects"))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("tmp_objdir-") {
                remove_old(&entry.path(), before)?;
            }
        }
        let path = self.path(key);
        for entry in fs::read_dir(path.join("objects").join("pack")).into_iter().flatten() {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("tmp_") {
                remove_old(&entry.path(), before)?;
            }
        }
        for lock in LOCKS {
            remove_old(&path.join(lock), before)?;
        }
        let mut entries = usize::MAX;
        Ok(remove_locks(&path.join("refs"), Some(before), (0, &mut entries))?)
    }

    /// Removes the locks of killed processes, which would block pushes, and empty refs: a power
    /// failure leaves names of files whose content was not on disk yet.
    ///
    /// Must only be called while nothing works on the repository. Checks [`LOCK_ENTRIES_MAX`] refs
    /// and folders. The rest, and quarantines, are left to [`Store::sweep`].
    pub fn remove_locks(&self, key: StorageKey) -> Result<(), StoreError> {
        let path = self.existing(key)?;
        for lock in LOCKS {
            remove_if_there(&path.join(lock))?;
        }
        let mut entries = LOCK_ENTRIES_MAX;
        Ok(remove_locks(&path.join("refs"), None, (0, &mut entries))?)
    }
}

fn init_bare(folder: &Path, default_branch: &str) -> Result<(), StoreError> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).initial_head(default_branch).external_template(false);
    drop(git2::Repository::init_opts(folder, &options)?);
    // libgit2 creates these for manual editing, which does not happen here.
    for extra in ["hooks", "description", "info"] {
        remove_if_there(&folder.join(extra))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "store_test.rs"]
mod tests;
