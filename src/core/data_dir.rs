//! The data directory: one process at a time, private to its owner.
//!
//! * `netbit.db`: the database, unless it is on PostgreSQL
//! * `secret.key`: the secret that signs tokens
//! * `lock`: held while a process serves
//! * `high_water.json`: the last known position of the database (see [`HighWater`])
//! * `repos/`: the repositories
//! * `search.db`: the index of the search, which can be built again at any time

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::check_strength;
use super::private_file;

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(transparent)]
    InUse(InUse),
    #[error("{}: {}", .path.display(), .source)]
    Io { path: PathBuf, source: io::Error },
    #[error("a restore into {} did not finish; remove that directory and restore again", .0.display())]
    RestoreUnfinished(PathBuf),
    #[error(
        "a copy of a database into {} did not finish; repeat netbit database copy, or remove copy.unfinished to begin \
         with an empty database",
        .0.display()
    )]
    CopyUnfinished(PathBuf),
    #[error("{} exists; copy into another data directory, or move netbit.db* away", .0.display())]
    HasDatabase(PathBuf),
    #[error("{}: {reason}", .path.display())]
    BadSecret { path: PathBuf, reason: &'static str },
    #[error("auth.secret: {0}")]
    BadConfiguredSecret(&'static str),
}

/// Another process holds the lock.
#[derive(Debug, thiserror::Error)]
#[error("another netbit already uses {}{}; stop it first, or choose another --data-dir", .path.display(), in_brackets(*.pid))]
pub struct InUse {
    path: PathBuf,
    /// `None` if that process has not written its pid yet.
    pid: Option<u32>,
}

fn in_brackets(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// An exclusively locked data directory. The lock is released with the value, or with the process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// A file that exists while a restore has not finished.
const RESTORE_MARK: &str = "restore.unfinished";
/// A file that exists while a copy of a database into the directory has not finished.
const COPY_MARK: &str = "copy.unfinished";
/// The file of the key that signs access tokens.
const SECRET: &str = "secret.key";
/// The file of the name that a node without `cluster.name` has made.
const NODE_NAME: &str = "node.name";
/// The file of the [`HighWater`] mark. Every start writes it.
const HIGH_WATER: &str = "high_water.json";

/// A data directory that is being filled, by a restore or by a copy of a database.
#[derive(Debug)]
pub struct FillInProgress {
    path: PathBuf,
    /// The file that exists until the directory is complete.
    mark: &'static str,
    _lock: File,
}

impl FillInProgress {
    /// Writes the key that signs access tokens (0600).
    pub fn write_secret(&self, text: &str) -> Result<(), DataDirError> {
        write_atomically(&self.path, SECRET, text.as_bytes())
    }

    /// Records that everything is in place and on disk. `position`: that of a database in the
    /// directory.
    pub fn finish(self, position: Option<HighWater>) -> Result<(), DataDirError> {
        if let Some(position) = position {
            write_atomically(&self.path, HIGH_WATER, &serde_json::to_vec(&position).unwrap_or_default())?;
        }
        let file = self.path.join(self.mark);
        let removed = fs::remove_file(&file).and_then(|()| File::open(&self.path)?.sync_all());
        removed.map_err(|source| DataDirError::Io { path: file, source })
    }
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let file = path.join("lock");
    let failed = |source| DataDirError::Io { path: file.clone(), source };
    let lock = private_file::open_lock(&file).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {
            // The pid is for users; the lock itself is what counts.
            lock.set_len(0).and_then(|()| writeln!(&lock, "{}", std::process::id())).map_err(failed)?;
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
            Err(DataDirError::InUse(InUse { path: path.to_owned(), pid }))
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Writes a file completely or not at all, even if power fails: writes a temporary file, fsyncs it,
/// renames it, fsyncs the directory.
fn write_atomically(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), DataDirError> {
    let (target, beside) = (directory.join(name), directory.join(format!("{name}.new")));
    let write = || {
        let mut file = private_file::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &target)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|source| DataDirError::Io { path: target.clone(), source })
}

/// The position of the database at the time of writing. A database with a lower position is an
/// older copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWater {
    pub epoch: i64,
    pub commit_no: i64,
    /// Whether the server found, while it ran, that the database lacks commits. The position does
    /// not show that if another node has written since.
    #[serde(default)]
    pub lost: bool,
}

impl DataDir {
    /// Makes the directory (0700) if it does not exist, and locks it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        let fresh = !path.is_dir();
        if fresh {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        }
        let lock = lock(path)?;
        if path.join(RESTORE_MARK).exists() {
            return Err(DataDirError::RestoreUnfinished(path.to_owned()));
        }
        if path.join(COPY_MARK).exists() {
            return Err(DataDirError::CopyUnfinished(path.to_owned()));
        }
        let this = Self { path: path.to_owned(), _lock: lock };
        if fresh {
            // The directory's own name must survive a power failure too.
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed(parent))?;
        }
        Ok(this)
    }

    /// Locks a directory that is being restored. It cannot be opened before
    /// [`FillInProgress::finish`], not even after a crash.
    pub fn begin_restore(path: &Path) -> Result<FillInProgress, DataDirError> {
        Self::begin_fill(path, RESTORE_MARK, lock(path)?)
    }

    /// Locks a directory into which a database is copied. Makes the directory if it does not exist.
    /// It cannot be opened before [`FillInProgress::finish`], not even after a crash.
    ///
    /// # Errors
    /// [`DataDirError::HasDatabase`] if it has a database, unless an interrupted copy has left it:
    /// then it is removed.
    pub fn begin_copy(path: &Path) -> Result<FillInProgress, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = lock(path)?;
        // The log of a database that was moved away would be applied to the copy.
        let files = ["netbit.db", "netbit.db-wal"].map(|name| path.join(name));
        for file in files.into_iter().filter(|file| file.exists()) {
            if !path.join(COPY_MARK).exists() {
                return Err(DataDirError::HasDatabase(file));
            }
            fs::remove_file(&file).map_err(failed)?;
        }
        Self::begin_fill(path, COPY_MARK, lock)
    }

    fn begin_fill(path: &Path, mark: &'static str, lock: File) -> Result<FillInProgress, DataDirError> {
        let file = path.join(mark);
        let made = private_file::create(&file).and_then(|_| File::open(path)?.sync_all());
        made.map_err(|source| DataDirError::Io { path: file, source })?;
        Ok(FillInProgress { path: path.to_owned(), mark, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self) -> PathBuf {
        Self::database_in(&self.path)
    }

    /// Returns the path of the database in a directory that another process may have open.
    pub fn database_in(path: &Path) -> PathBuf {
        path.join("netbit.db")
    }

    /// Returns the path of the index of the search.
    pub fn search_index(&self) -> PathBuf {
        self.path.join("search.db")
    }

    /// Returns whether a server has used this directory, on any engine.
    pub fn was_used(path: &Path) -> bool {
        path.join(HIGH_WATER).exists()
    }

    /// Makes the database readable by its owner only, even in a directory with wider permissions.
    /// Creates an empty file, which is an empty database. Called before SQLite opens the file.
    pub fn make_database_private(&self) -> Result<(), DataDirError> {
        self.restrict_database().map_err(|source| DataDirError::Io { path: self.database(), source })
    }

    /// SQLite gives its other files the database's mode.
    fn restrict_database(&self) -> io::Result<()> {
        let database = self.database();
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&database)?;
        for name in ["netbit.db", "netbit.db-wal", "netbit.db-shm"] {
            let file = self.path.join(name);
            if file.exists() {
                fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            }
        }
        Ok(())
    }

    /// Fsyncs the database's files, whichever process has them open.
    pub fn sync_database(&self) -> Result<(), DataDirError> {
        for name in ["netbit.db", "netbit.db-wal"] {
            let path = self.path.join(name);
            if path.exists() {
                let synced = File::open(&path).and_then(|file| file.sync_all());
                synced.map_err(|source| DataDirError::Io { path, source })?;
            }
        }
        Ok(())
    }

    /// Returns the secret: `configured`, or the one in `secret.key`, made (256 bits, mode 0600) if
    /// it does not exist.
    pub fn secret(&self, configured: Option<&str>) -> Result<Vec<u8>, DataDirError> {
        let path = self.path.join(SECRET);
        if let Some(text) = configured {
            check_strength(text).map_err(DataDirError::BadConfiguredSecret)?;
            return Ok(text.as_bytes().to_vec());
        }
        match fs::read_to_string(&path) {
            Ok(text) => {
                let text = text.trim();
                check_strength(text).map_err(|reason| DataDirError::BadSecret { path, reason })?;
                Ok(text.as_bytes().to_vec())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes: [u8; 32] = rand::random();
                let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                write_atomically(&self.path, SECRET, text.as_bytes())?;
                Ok(text.into_bytes())
            }
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }

    /// Returns the name of this node: `configured`, or the one in `node.name`, which is made if it
    /// does not exist.
    pub fn node_name(&self, configured: &str) -> Result<String, DataDirError> {
        if let Some(name) = Self::node_name_in(&self.path, configured)? {
            return Ok(name);
        }
        let name = format!("node-{:08x}", rand::random::<u32>());
        write_atomically(&self.path, NODE_NAME, name.as_bytes())?;
        Ok(name)
    }

    /// Returns the name of the node of a directory, which another process may have open: that of
    /// `node_name`, or `None` if it was not made yet.
    pub fn node_name_in(path: &Path, configured: &str) -> Result<Option<String>, DataDirError> {
        if !configured.is_empty() {
            return Ok(Some(configured.to_owned()));
        }
        let path = path.join(NODE_NAME);
        match fs::read_to_string(&path) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }

    pub fn high_water(&self) -> Option<HighWater> {
        serde_json::from_slice(&fs::read(self.path.join(HIGH_WATER)).ok()?).ok()
    }

    pub fn write_high_water(&self, mark: HighWater) -> Result<(), DataDirError> {
        let text = serde_json::to_vec(&mark).unwrap_or_default();
        write_atomically(&self.path, HIGH_WATER, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secret_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let secret = data.secret(None).unwrap();
        assert_eq!(secret, data.secret(None).unwrap());
        let mode = fs::metadata(dir.path().join("secret.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn database_is_private_in_a_public_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        data.make_database_private().unwrap();
        let mode = fs::metadata(data.database()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn second_process_is_refused_while_directory_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::InUse(_))));
        drop(first);
        assert!(DataDir::open(dir.path()).is_ok());
    }

    /// `netbit` as root emptied the file that the link leads to, and wrote its pid into it.
    #[test]
    fn lock_that_is_a_link_is_refused() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        fs::write(outside.path(), "kept").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("lock")).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::Io { .. })));
        assert_eq!(fs::read(outside.path()).unwrap(), b"kept");
    }

    #[test]
    fn high_water_mark_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.high_water(), None);
        let mark = HighWater { epoch: 7, commit_no: 9, lost: true };
        data.write_high_water(mark).unwrap();
        assert_eq!(data.high_water(), Some(mark));
    }
}
