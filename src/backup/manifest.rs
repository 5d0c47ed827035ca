//! The manifest: the list of the files of a backup. It is written last, so a backup without a
//! manifest is incomplete.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{self, FileDigest, failed};
use super::{BackupError, BackupProgress, ReportProgress};
use crate::core::private_file;
use crate::domain::ids::{FileId, RepositoryId};
use crate::domain::timestamp::Timestamp;

const NAME: &str = "manifest.json";
/// Version of the layout of a backup. Every change of the layout needs a new number.
const FORMAT: u32 = 1;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The NetBit version that wrote the backup.
    pub netbit: String,
    pub created_at: Timestamp,
    /// Epoch and last commit number of the copied database.
    pub epoch: i64,
    pub commit_no: i64,
    pub repositories: usize,
    /// Number of repositories that other nodes of the database have. They are not in the backup.
    #[serde(default)]
    pub elsewhere: usize,
    /// Repositories whose directories were missing or incomplete. They are not in the backup.
    #[serde(default)]
    pub missing: Vec<MissingRepository>,
    /// Blobs of files in chats and of objects of Git LFS.
    #[serde(default)]
    pub blobs: usize,
    /// Files in chats whose bytes were missing or damaged. Their bytes are not in the backup.
    #[serde(default)]
    pub missing_files: Vec<FileId>,
    /// Number of files in chats whose bytes other nodes have. They are not in the backup.
    #[serde(default)]
    pub files_elsewhere: usize,
    /// Objects of Git LFS whose bytes were missing or damaged. They are not in the backup.
    #[serde(default)]
    pub missing_objects: Vec<MissingObject>,
    /// Number of objects of Git LFS of repositories that other nodes have. They are not in the
    /// backup.
    #[serde(default)]
    pub objects_elsewhere: usize,
    /// Files in chats whose bytes the store failed to return. Their bytes are not in the backup.
    /// The store may have them.
    #[serde(default)]
    pub unread_files: Vec<FileId>,
    /// Objects of Git LFS whose bytes the store failed to return, in the same way.
    #[serde(default)]
    pub unread_objects: Vec<MissingObject>,
    /// The last failure of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_problem: Option<String>,
    /// Total size of all files.
    pub bytes: u64,
    /// Folders to create even if they are empty.
    folders: Vec<String>,
    files: Vec<Entry>,
}

/// A repository without a directory, or with an incomplete one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingRepository {
    pub id: RepositoryId,
    pub name: String,
    /// The folder that the directory lacked. `None`: the directory was missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
}

/// An object of Git LFS without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingObject {
    pub repository: RepositoryId,
    pub oid: String,
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
            elsewhere: 0,
            missing: Vec::new(),
            blobs: 0,
            missing_files: Vec::new(),
            files_elsewhere: 0,
            missing_objects: Vec::new(),
            objects_elsewhere: 0,
            unread_files: Vec::new(),
            unread_objects: Vec::new(),
            store_problem: None,
            bytes: 0,
            folders: Vec::new(),
            files: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, path: &Path, digest: FileDigest) {
        self.bytes += digest.bytes;
        self.files.push(Entry {
            path: path.display().to_string(),
            bytes: digest.bytes,
            sha256: digest.sha256,
        });
    }

    pub(super) fn add_folder(&mut self, path: &Path) {
        self.folders.push(path.display().to_string());
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(Path::new)
    }

    /// Returns whether everything that the database names was there.
    pub fn is_whole(&self) -> bool {
        let has_rest = self.missing_files.is_empty() && self.missing_objects.is_empty();
        self.missing.is_empty() && has_rest && self.has_all_readable()
    }

    /// Returns whether the store of files failed for none of the files and objects: the backup has
    /// all that is left.
    pub fn has_all_readable(&self) -> bool {
        self.unread_files.is_empty() && self.unread_objects.is_empty()
    }

    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Completes the backup: everything else is durable before the manifest gets its final name.
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

    /// Reads the manifest of a complete backup. Refuses paths that lead out of the backup.
    pub(super) fn read(backup: &Path) -> Result<Self, BackupError> {
        let refuse = |reason: String| BackupError::NoBackup { path: backup.to_owned(), reason };
        let text = fs::read(backup.join(NAME)).map_err(|error| refuse(format!("{NAME}: {error}")))?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| refuse(format!("{NAME}: {error}")))?;
        if manifest.format != FORMAT {
            return Err(refuse(format!("its format is {}; this netbit reads {FORMAT}", manifest.format)));
        }
        let outside =
            |path: &&String| !Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let mut paths = manifest.files.iter().map(|entry| &entry.path).chain(&manifest.folders);
        match paths.find(outside) {
            Some(path) => Err(refuse(format!("the path {path:?} leads out of the backup"))),
            None => Ok(manifest),
        }
    }

    /// Removes a file from the list.
    pub(super) fn without(mut self, path: &str) -> Self {
        self.files.retain(|entry| entry.path != path);
        self.bytes = self.files.iter().map(|entry| entry.bytes).sum();
        self
    }

    /// Returns every file of the backup with its expected size and checksum.
    pub(super) fn files(&self) -> impl Iterator<Item = (PathBuf, FileDigest)> + '_ {
        self.files.iter().map(|entry| {
            (PathBuf::from(&entry.path), FileDigest { bytes: entry.bytes, sha256: entry.sha256.clone() })
        })
    }
}

/// Reads a whole backup and compares every file with the manifest.
pub fn verify(backup: &Path, report: ReportProgress<'_>) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(backup)?;
    report(BackupProgress::Begin("verifying", manifest.bytes));
    for (path, expected) in manifest.files() {
        let path = backup.join(path);
        let found = files::digest(&path).map_err(failed(&path))?;
        if found != expected {
            return Err(BackupError::Damaged(path));
        }
        report(BackupProgress::Done(expected.bytes));
    }
    Ok(manifest)
}
