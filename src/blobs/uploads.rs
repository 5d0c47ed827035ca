//! Staged uploads: `files/uploads/<file id>`. The size of a staged file is the offset at which its
//! upload goes on.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::disk::{BESIDE, names, remove_if_there, sync};
use crate::core::{fail_points, private_file, saturate};
use crate::domain::file::{BlobHash, Contents};
use crate::domain::ids::FileId;
use crate::domain::media::{HEAD_BYTES, TAIL_BYTES, media_of};

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

    pub fn path(&self, id: FileId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// Returns the number of bytes that have arrived.
    pub fn size(&self, id: FileId) -> io::Result<u64> {
        match fs::metadata(self.path(id)) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Opens an upload that goes on at its offset. With the offset 0 it begins again.
    ///
    /// # Errors
    /// `InvalidInput` if that is not its offset.
    pub fn begin(&self, id: FileId, at: u64) -> io::Result<Upload> {
        if at == 0 {
            // A new file: a blob may be a link to the old one.
            self.remove(id)?;
        } else if self.size(id)? != at {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true).mode(private_file::MODE);
        let mut file = options.open(self.path(id))?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Upload { file })
    }

    /// Removes the bytes of an upload, if there are any.
    pub fn remove(&self, id: FileId) -> io::Result<()> {
        let path = self.path(id);
        remove_if_there(&path.with_extension(BESIDE))?;
        remove_if_there(&path)
    }

    /// Returns the files that have staged bytes.
    pub fn list(&self) -> io::Result<Vec<FileId>> {
        let id = |name: &str| name.split('.').next()?.parse().ok().map(FileId);
        Ok(names(&self.folder)?.iter().filter_map(|name| id(name)).collect())
    }

    /// Reads a complete upload, which is durable afterwards.
    pub fn examine(&self, id: FileId) -> io::Result<Contents> {
        let contents = examine(&self.path(id))?;
        sync(&self.folder)?;
        Ok(contents)
    }
}

/// An upload that is being written.
#[derive(Debug)]
pub struct Upload {
    file: File,
}

impl Upload {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        fail_points::reach(fail_points::IN_UPLOAD);
        Ok(())
    }

    /// Makes the bytes so far durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Reads what is on disk, not what was received: a damaged write gets the hash of the damage.
fn examine(path: &Path) -> io::Result<Contents> {
    let mut file = File::open(path)?;
    file.sync_all()?;
    let (mut hash, mut buffer, mut size) = (Sha256::new(), vec![0; BUFFER_BYTES], 0_u64);
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    loop {
        let count = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
        hash.update(chunk);
        size = size.saturating_add(saturate::to_u64(count));
        let missing = HEAD_BYTES.saturating_sub(head.len()).min(chunk.len());
        head.extend_from_slice(chunk.get(..missing).unwrap_or_default());
        tail.extend_from_slice(chunk.get(chunk.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default());
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }
    let media = media_of(&head, &tail, size);
    Ok(Contents {
        hash: BlobHash(hash.finalize().into()),
        media_type: media.media_type.to_owned(),
        pixels: media.pixels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::DiskBlobs;

    #[test]
    fn upload_goes_on_at_its_offset() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = DiskBlobs::open(dir.path()).unwrap().uploads();
        assert_eq!(uploads.size(FileId(7)).unwrap(), 0);
        uploads.begin(FileId(7), 0).unwrap().write(b"hello, w").unwrap();
        assert_eq!(uploads.size(FileId(7)).unwrap(), 8);
        assert!(uploads.begin(FileId(7), 7).is_err());
        uploads.begin(FileId(7), 8).unwrap().write(b"orld").unwrap();
        assert_eq!(fs::read(uploads.path(FileId(7))).unwrap(), b"hello, world");
        assert_eq!(uploads.list().unwrap(), [FileId(7)]);
        let contents = uploads.examine(FileId(7)).unwrap();
        assert_eq!(contents.hash, BlobHash(Sha256::digest(b"hello, world").into()));
        assert_eq!(contents.media_type, "text/plain");
        uploads.remove(FileId(7)).unwrap();
        assert!(uploads.list().unwrap().is_empty() && uploads.examine(FileId(7)).is_err());
    }
}
