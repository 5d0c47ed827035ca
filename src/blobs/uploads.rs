//! Staged uploads: `files/uploads/<file id>-<time of its row>`. The size of a staged file is the
//! offset at which its upload goes on.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::disk::{BESIDE, names, remove_if_there, sync};
use super::examiner::Examiner;
use crate::core::{fail_points, private_file, saturate};
use crate::domain::file::{Contents, UploadKey};

/// Bytes that are hashed at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Uploads {
    folder: PathBuf,
}

impl Uploads {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub fn path(&self, key: UploadKey) -> PathBuf {
        self.folder.join(key.to_string())
    }

    /// Returns the number of bytes that have arrived.
    pub fn size(&self, key: UploadKey) -> io::Result<u64> {
        match fs::metadata(self.path(key)) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Opens an upload that goes on at its offset. With the offset 0 it begins again.
    ///
    /// # Errors
    /// `InvalidInput` if that is not its offset.
    pub fn begin(&self, key: UploadKey, at: u64) -> io::Result<Upload> {
        if at == 0 {
            // A new file: a blob may be a link to the old one.
            self.remove(key)?;
        } else if self.size(key)? != at {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true).mode(private_file::MODE);
        let path = self.path(key);
        let mut file = options.open(&path)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Upload { file, path, end: at })
    }

    /// Removes the bytes of an upload, if there are any.
    pub fn remove(&self, key: UploadKey) -> io::Result<()> {
        let path = self.path(key);
        remove_if_there(&path.with_extension(BESIDE))?;
        remove_if_there(&path)
    }

    /// Returns the uploads that have staged bytes.
    pub fn list(&self) -> io::Result<Vec<UploadKey>> {
        let key = |name: &String| name.split('.').next().and_then(UploadKey::parse);
        Ok(names(&self.folder)?.iter().filter_map(key).collect())
    }

    /// Reads a complete upload, which is durable afterwards. Returns the number of its bytes, too.
    pub fn examine(&self, key: UploadKey) -> io::Result<(Contents, u64)> {
        let examined = examine(&self.path(key))?;
        sync(&self.folder)?;
        Ok(examined)
    }
}

/// An upload that is being written.
#[derive(Debug)]
pub struct Upload {
    file: File,
    path: PathBuf,
    /// The offset after the last byte that was written as a whole.
    end: u64,
}

impl Upload {
    /// # Errors
    /// After an error other than a full disk, the upload begins again.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // A full disk has the bytes of earlier writes. No other error permits that conclusion.
            if !is_full(&error) || self.file.set_len(self.end).is_err() {
                self.discard();
            }
            return Err(error);
        }
        self.end = self.end.saturating_add(saturate::to_u64(bytes.len()));
        fail_points::reach(fail_points::IN_UPLOAD);
        Ok(())
    }

    /// Makes the bytes so far durable, and the name of the staged file.
    ///
    /// # Errors
    /// After an error the upload begins again: a later fsync succeeds, although bytes are lost.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all().inspect_err(|_| self.discard())?;
        self.path.parent().map_or(Ok(()), sync)
    }

    fn discard(&self) {
        if let Err(error) = remove_if_there(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a broken upload cannot be removed");
        }
    }
}

/// Returns whether the error is a full disk, or the quota of the user on it.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Reads the staged bytes back, after they are durable: the hash is of what the file system has.
fn examine(path: &Path) -> io::Result<(Contents, u64)> {
    let mut file = File::open(path)?;
    file.sync_all()?;
    let (mut examiner, mut buffer) = (Examiner::default(), vec![0; BUFFER_BYTES]);
    loop {
        let count = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
        examiner.feed(chunk);
    }
    Ok(examiner.finish())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::blobs::DiskBlobs;
    use crate::domain::file::BlobHash;
    use crate::domain::ids::FileId;
    use crate::domain::timestamp::Timestamp;

    const KEY: UploadKey = UploadKey { id: FileId(7), announced_at: Timestamp(1_000) };

    #[test]
    fn upload_goes_on_at_its_offset() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = DiskBlobs::open(dir.path()).unwrap().uploads();
        assert_eq!(uploads.size(KEY).unwrap(), 0);
        uploads.begin(KEY, 0).unwrap().write(b"hello, w").unwrap();
        assert_eq!(uploads.size(KEY).unwrap(), 8);
        assert!(uploads.begin(KEY, 7).is_err());
        uploads.begin(KEY, 8).unwrap().write(b"orld").unwrap();
        assert_eq!(fs::read(uploads.path(KEY)).unwrap(), b"hello, world");
        assert_eq!(uploads.list().unwrap(), [KEY]);
        let (contents, size) = uploads.examine(KEY).unwrap();
        assert_eq!(size, 12);
        assert_eq!(contents.hash, BlobHash(Sha256::digest(b"hello, world").into()));
        assert_eq!(contents.media_type, "text/plain");
        uploads.remove(KEY).unwrap();
        assert!(uploads.list().unwrap().is_empty() && uploads.examine(KEY).is_err());
    }

    #[test]
    fn upload_begins_again_after_a_failed_write() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = DiskBlobs::open(dir.path()).unwrap().uploads();
        uploads.begin(KEY, 0).unwrap().write(b"hello").unwrap();
        let path = uploads.path(KEY);
        // Opened for reading, so that each write fails.
        let mut broken = Upload { file: File::open(&path).unwrap(), path, end: 5 };
        assert!(broken.write(b", world").is_err());
        assert_eq!(uploads.size(KEY).unwrap(), 0);
        assert!(!is_full(&ErrorKind::Other.into()) && is_full(&io::Error::from_raw_os_error(122)), "EDQUOT");
    }
}
