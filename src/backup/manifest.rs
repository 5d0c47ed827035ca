//! The manifest: what belongs to a backup. Written last, so a backup without one was not finished.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{self, Sum, failed};
use super::{BackupError, Progress, Report};
use crate::core::private_file;
use crate::domain::timestamp::Timestamp;

const NAME: &str = "manifest.json";
/// The layout of a backup. Whoever changes it writes another number.
const FORMAT: u32 = 1;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The version that made it.
    pub netbit: String,
    pub created_at: Timestamp,
    /// How far the database had come.
    pub epoch: i64,
    pub commit_no: i64,
    pub repositories: usize,
    /// Of all files together.
    pub bytes: u64,
    /// Folders that must be there even if no file is in them.
    folders: Vec<String>,
    files: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    path: String,
    bytes: u64,
    sha256: String,
}

impl Manifest {
    pub(super) fn new(epoch: i64, commit_no: i64) -> Self {
        Self {
            format: FORMAT,
            netbit: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: Timestamp::now(),
            epoch,
            commit_no,
            repositories: 0,
            bytes: 0,
            folders: Vec::new(),
            files: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, path: &Path, sum: Sum) {
        self.bytes += sum.bytes;
        self.files.push(Entry { path: path.display().to_string(), bytes: sum.bytes, sha256: sum.sha256 });
    }

    pub(super) fn add_folder(&mut self, path: &Path) {
        self.folders.push(path.display().to_string());
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(Path::new)
    }

    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Makes the backup whole: everything else is on disk before the manifest has its name.
    pub(super) fn write(&self, backup: &Path) -> Result<(), BackupError> {
        files::sync(backup).map_err(failed(backup))?;
        let (path, beside) = (backup.join(NAME), backup.join("manifest.json.new"));
        let write = || {
            let mut file = private_file::create(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(self).unwrap_or_default())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(backup)?.sync_all()
        };
        write().map_err(failed(&path))
    }

    /// The manifest of a finished backup whose paths lead nowhere else.
    pub(super) fn read(backup: &Path) -> Result<Self, BackupError> {
        let refuse = |reason: String| BackupError::NoBackup { path: backup.to_owned(), reason };
        let text = fs::read(backup.join(NAME)).map_err(|error| refuse(format!("{NAME}: {error}")))?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| refuse(format!("{NAME}: {error}")))?;
        if manifest.format != FORMAT {
            return Err(refuse(format!("its format is {}, and this netbit reads {FORMAT}", manifest.format)));
        }
        let outside =
            |path: &&String| !Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let mut paths = manifest.files.iter().map(|entry| &entry.path).chain(&manifest.folders);
        match paths.find(outside) {
            Some(path) => Err(refuse(format!("the path {path:?} leads out of it"))),
            None => Ok(manifest),
        }
    }

    /// Every file that belongs to the backup, with what it must be.
    pub(super) fn files(&self) -> impl Iterator<Item = (PathBuf, Sum)> + '_ {
        self.files.iter().map(|entry| {
            (PathBuf::from(&entry.path), Sum { bytes: entry.bytes, sha256: entry.sha256.clone() })
        })
    }
}

/// Reads a whole backup and compares it with its manifest.
pub fn verify(backup: &Path, report: Report<'_>) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(backup)?;
    report(Progress::Begin("verifying", manifest.bytes));
    for (path, expected) in manifest.files() {
        let path = backup.join(path);
        let found = files::sum(&path).map_err(failed(&path))?;
        if found != expected {
            return Err(BackupError::Damaged(path));
        }
        report(Progress::Done(expected.bytes));
    }
    Ok(manifest)
}
