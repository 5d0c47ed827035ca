//! Copies files durably (fsynced) and computes their checksums.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BackupError;
use crate::blobs::Blob;
use crate::core::private_file;

/// Size of one read.
const BUFFER_BYTES: usize = 256 * 1024;
/// Maximum depth of directories in a repository.
const DEPTH_MAX: usize = 64;

pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

/// Size and SHA-256 of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileDigest {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Creates a private directory and its parents. An existing directory must be empty.
pub(super) fn make_empty(path: &Path) -> Result<(), BackupError> {
    make(path).map_err(failed(path))?;
    let mut entries = fs::read_dir(path).map_err(failed(path))?;
    if entries.next().is_some() { Err(BackupError::NotEmpty(path.to_owned())) } else { Ok(()) }
}

/// Copies one file. The copy is private and fsynced; the caller must [`sync`] its directory.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<FileDigest> {
    let mut source = File::open(from)?;
    if let Some(parent) = to.parent() {
        make(parent)?;
    }
    let mut target = private_file::create_new(to)?;
    let digest = pump(&mut source, &mut target)?;
    target.sync_all()?;
    Ok(digest)
}

/// Reads a blob piece by piece.
struct BlobReader<'a> {
    blob: &'a dyn Blob,
    at: u64,
    size: u64,
}

impl<'a> BlobReader<'a> {
    fn new(blob: &'a dyn Blob) -> io::Result<Self> {
        Ok(Self { blob, at: 0, size: blob.size()? })
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let piece = self.blob.read_at(self.at, count)?;
        if let Some(target) = buffer.get_mut(..count) {
            target.copy_from_slice(&piece);
        }
        self.at = self.at.saturating_add(u64::try_from(count).unwrap_or(0));
        Ok(count)
    }
}

/// The failure of a copy of a blob.
#[derive(Debug)]
pub(super) enum BlobCopyError {
    /// The blob cannot be read. A part of the copy exists.
    Read(io::Error),
    Write(io::Error),
}

/// Copies a blob. The copy is private and fsynced; the caller must [`sync`] its directory.
pub(super) fn copy_blob(blob: &dyn Blob, to: &Path) -> Result<FileDigest, BlobCopyError> {
    if let Some(parent) = to.parent() {
        make(parent).map_err(BlobCopyError::Write)?;
    }
    let mut target = private_file::create_new(to).map_err(BlobCopyError::Write)?;
    let mut source = BlobReader::new(blob).map_err(BlobCopyError::Read)?;
    let digest = pump_from(&mut source, &mut target)?;
    target.sync_all().map_err(BlobCopyError::Write)?;
    Ok(digest)
}

pub(super) fn digest_blob(blob: &dyn Blob) -> io::Result<FileDigest> {
    pump(&mut BlobReader::new(blob)?, &mut io::sink())
}

pub(super) fn digest(path: &Path) -> io::Result<FileDigest> {
    pump(&mut File::open(path)?, &mut io::sink())
}

fn pump(from: &mut impl Read, to: &mut impl Write) -> io::Result<FileDigest> {
    pump_from(from, to).map_err(|error| match error {
        BlobCopyError::Read(error) | BlobCopyError::Write(error) => error,
    })
}

fn pump_from(from: &mut impl Read, to: &mut impl Write) -> Result<FileDigest, BlobCopyError> {
    let (mut buffer, mut hash, mut bytes) = (vec![0; BUFFER_BYTES], Sha256::new(), 0);
    loop {
        let count = from.read(&mut buffer).map_err(BlobCopyError::Read)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
        hash.update(chunk);
        to.write_all(chunk).map_err(BlobCopyError::Write)?;
        bytes += u64::try_from(count).unwrap_or(0);
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileDigest { bytes, sha256 })
}

/// Fsyncs a directory and all directories below it, so that the file names are durable.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    sync_below(directory, 0)
}

fn sync_below(directory: &Path, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && depth < DEPTH_MAX {
            sync_below(&entry.path(), depth + 1)?;
        }
    }
    File::open(directory)?.sync_all()
}

/// The contents of a directory tree: paths relative to its root, sorted.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Regular files.
    pub(super) files: Vec<PathBuf>,
    /// Folders, including empty ones: git requires `refs/` even without refs.
    pub(super) folders: Vec<PathBuf>,
}

/// Lists a directory tree. Skips directories that are removed meanwhile.
pub(super) fn list(directory: &Path) -> io::Result<Listing> {
    let mut found = Listing::default();
    collect(directory, Path::new(""), 0, &mut found)?;
    found.files.sort();
    found.folders.sort();
    Ok(found)
}

/// Creates a private folder and its parents.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn collect(directory: &Path, prefix: &Path, depth: usize, found: &mut Listing) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, prefix.join(entry.file_name()));
        if kind.is_dir() && depth < DEPTH_MAX {
            collect(&entry.path(), &name, depth + 1, found)?;
            found.folders.push(name);
        } else if kind.is_file() {
            found.files.push(name);
        }
    }
    Ok(())
}
