//! Bytes that arrive in one request, such as an object of Git LFS: `files/lfs/<random>`.
//!
//! They are hashed as they are written, so that the answer follows the last byte at once, however
//! large the object is. An interrupted upload begins again; its bytes are removed.
//!
//! Invariant: an open upload has a lock on its file (`flock`), which ends with its process. So the
//! search for bytes of a crash skips uploads that run.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use uuid::Uuid;

use super::disk::{BESIDE, locked, names, remove_if_there};
use super::examiner::Examiner;
use crate::core::{fail_points, private_file, saturate};
use crate::domain::file::Contents;

/// Written bytes are made durable in steps, so that the last step is short: clients wait for it.
const SYNCED_BYTES: u64 = 128 * 1024 * 1024;

/// The folder of such uploads.
#[derive(Debug, Clone)]
pub struct IncomingUploads {
    folder: PathBuf,
}

/// An upload that is being received. Its bytes are removed when it is dropped.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    staged: StagedBytes,
    examiner: Examiner,
    unsynced: u64,
}

/// The bytes of an upload on disk. They are removed when it is dropped.
#[derive(Debug)]
struct StagedBytes(PathBuf);

/// A complete upload, which is durable. Its bytes are removed when it is dropped.
#[derive(Debug)]
pub struct Arrived {
    staged: StagedBytes,
    pub contents: Contents,
    pub size: u64,
    /// Its lock keeps the staged bytes.
    _file: File,
}

impl IncomingUploads {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub fn begin(&self) -> io::Result<Incoming> {
        let path = self.folder.join(Uuid::new_v4().simple().to_string());
        let file = private_file::create_new(&path)?;
        let staged = StagedBytes(path);
        let file = locked(file, File::try_lock)?.ok_or(ErrorKind::ResourceBusy)?;
        Ok(Incoming { file, staged, examiner: Examiner::default(), unsynced: 0 })
    }

    /// Returns an empty file without a name, for a copy of bytes.
    pub(super) fn unnamed(&self) -> io::Result<File> {
        let path = self.folder.join(Uuid::new_v4().simple().to_string());
        let written = private_file::create_new(&path)?;
        // A crash in between leaves an empty file, which is removed with the others.
        let file = File::options().read(true).write(true).open(&path);
        drop(written);
        fs::remove_file(&path)?;
        file
    }

    /// Removes bytes that were last written longer ago than `age` and that no upload has open: a
    /// crash has left them. Returns the number of files that were removed, and of those that stay.
    pub fn remove_older(&self, age: Duration) -> io::Result<(usize, usize)> {
        let (mut removed, mut kept) = (0, 0);
        for name in names(&self.folder)? {
            let path = self.folder.join(name);
            let written = match fs::metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                found => found?.modified()?,
            };
            // A time in the future is that of a clock that was set back.
            let is_old = SystemTime::now().duration_since(written).is_ok_and(|passed| passed >= age);
            let remove = || -> io::Result<bool> {
                let goes = is_old && is_given_up(&path)?;
                if goes {
                    remove_if_there(&path)?;
                }
                Ok(goes)
            };
            match remove() {
                Ok(true) => removed += 1,
                Ok(false) => kept += 1,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "the bytes of an upload cannot be removed");
                    kept += 1;
                }
            }
        }
        Ok((removed, kept))
    }
}

impl Incoming {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.examiner.feed(bytes);
        self.unsynced = self.unsynced.saturating_add(saturate::to_u64(bytes.len()));
        if self.unsynced >= SYNCED_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        fail_points::reach(fail_points::IN_UPLOAD);
        Ok(())
    }

    /// Returns the path of the bytes so far.
    pub fn path(&self) -> &Path {
        &self.staged.0
    }

    /// Makes all bytes durable.
    pub fn finish(self) -> io::Result<Arrived> {
        self.file.sync_all()?;
        let (contents, size) = self.examiner.finish();
        Ok(Arrived { staged: self.staged, contents, size, _file: self.file })
    }
}

impl Arrived {
    /// Returns the path of the bytes.
    pub fn path(&self) -> &Path {
        &self.staged.0
    }

    /// Removes the bytes before it returns. Blocks the thread.
    pub fn remove(mut self) {
        remove(&std::mem::take(&mut self.staged.0));
    }
}

/// Gigabytes take some time: the drop of an asynchronous task removes them on another thread.
impl Drop for StagedBytes {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        if path.as_os_str().is_empty() {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&path))),
            Err(_) => remove(&path),
        }
    }
}

fn remove(staged: &Path) {
    for path in [staged.with_extension(BESIDE), staged.to_owned()] {
        if let Err(error) = remove_if_there(&path) {
            tracing::warn!(path = %path.display(), %error, "the bytes of an upload cannot be removed");
        }
    }
}

/// Returns whether no upload has the file open.
fn is_given_up(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        // Shared: a network file system may refuse an exclusive lock of a file that is read only.
        file => Ok(locked(file?, File::try_lock_shared)?.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::blobs::{BlobStore, DiskBlobs};
    use crate::domain::file::BlobHash;

    #[test]
    fn arrived_bytes_become_a_blob_and_the_rest_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let mut incoming = store.incoming().begin().unwrap();
        incoming.write(b"hello, ").unwrap();
        incoming.write(b"world").unwrap();
        let arrived = incoming.finish().unwrap();
        assert_eq!((arrived.size, arrived.contents.media_type.as_str()), (12, "text/plain"));
        assert_eq!(arrived.contents.hash, BlobHash(Sha256::digest(b"hello, world").into()));
        store.put_now(&arrived.contents.hash, arrived.path()).unwrap();
        let (hash, path) = (arrived.contents.hash, arrived.path().to_owned());
        arrived.remove();
        assert!(!path.exists() && store.open(&hash).unwrap().is_some());
    }

    #[test]
    fn bytes_of_a_crash_are_removed_after_their_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let mut incoming = store.incoming().begin().unwrap();
        incoming.write(b"half").unwrap();
        let path = incoming.staged.0.clone();
        assert_eq!(store.incoming().remove_older(Duration::ZERO).unwrap(), (0, 1), "it is open");
        // The end of a process closes its files and removes nothing.
        let Incoming { file, staged, .. } = incoming;
        std::mem::forget(staged);
        drop(file);
        assert_eq!(store.incoming().remove_older(Duration::from_secs(60)).unwrap(), (0, 1));
        assert!(path.exists());
        assert_eq!(store.incoming().remove_older(Duration::ZERO).unwrap(), (1, 0));
        assert!(!path.exists());
        let dropped = store.incoming().begin().unwrap();
        let path = dropped.staged.0.clone();
        drop(dropped);
        assert!(!path.exists(), "an upload that ends early leaves nothing");
    }
}
