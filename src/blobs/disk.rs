//! Blobs in the data directory: `files/ab/cd/<sha256>`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use super::{Blob, BlobStore, Hold, Uploads};
use crate::core::{fail_points, owner, private_file};
use crate::domain::file::BlobHash;

/// The folder below the data directory.
const FOLDER: &str = "files";
/// The folder of uploads that are not complete.
const UPLOADS: &str = "uploads";
/// The end of the name of a blob among the uploads, before it is renamed.
pub(super) const BESIDE: &str = "blob";
/// The file of [`BlobStore::lock`].
const LOCK: &str = "blobs.lock";

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct DiskBlobs {
    root: PathBuf,
}

impl DiskBlobs {
    /// Opens the store below the data directory; creates missing folders.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let store = Self::at(data_dir);
        make(&store.root.join(UPLOADS))?;
        sync(&store.root)?;
        sync(data_dir)?;
        Ok(store)
    }

    /// Returns the store of a data directory that another process may use. Creates nothing.
    pub fn at(data_dir: &Path) -> Self {
        Self { root: data_dir.join(FOLDER) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of staged uploads.
    pub fn uploads(&self) -> Uploads {
        Uploads::in_folder(self.root.join(UPLOADS))
    }

    /// Returns the path of a blob.
    pub fn path(&self, hash: &BlobHash) -> PathBuf {
        self.root.join(Self::path_below_root(hash))
    }

    /// Returns the path of a blob below the data directory.
    pub fn path_in_data_dir(hash: &BlobHash) -> PathBuf {
        Path::new(FOLDER).join(Self::path_below_root(hash))
    }

    fn path_below_root(hash: &BlobHash) -> PathBuf {
        let name = hash.to_string();
        let (first, second) = (name.get(..2).unwrap_or("00"), name.get(2..4).unwrap_or("00"));
        Path::new(first).join(second).join(&name)
    }

    /// Makes the folders of a blob, and fsyncs those that are new.
    fn make_folders(&self, path: &Path) -> io::Result<()> {
        let second = path.parent().unwrap_or(&self.root);
        let first = second.parent().unwrap_or(&self.root);
        for (folder, parent) in [(first, self.root.as_path()), (second, first)] {
            if !folder.is_dir() {
                make(folder)?;
                sync(parent)?;
            }
        }
        Ok(())
    }
}

impl BlobStore for DiskBlobs {
    fn lock(&self, hold: Hold) -> io::Result<File> {
        let path = self.root.join(LOCK);
        let file = private_file::open_lock(&path)?;
        owner::follow_folder(&path)?;
        match hold {
            Hold::Shared => file.lock_shared()?,
            Hold::Exclusive => file.lock()?,
        }
        Ok(file)
    }

    fn put(&self, hash: &BlobHash, staged: &Path) -> io::Result<()> {
        let path = self.path(hash);
        let size = fs::metadata(staged)?.len();
        if fs::metadata(&path).is_ok_and(|found| found.len() == size) {
            // Another upload may have linked it a moment ago: its name must be durable for this
            // file, too.
            return sync(path.parent().unwrap_or(&self.root));
        }
        self.make_folders(&path)?;
        fail_points::reach(fail_points::BEFORE_BLOB);
        // Renamed into place, so that a damaged blob is replaced and no other is missing meanwhile.
        let beside = staged.with_extension(BESIDE);
        remove_if_there(&beside)?;
        if fs::hard_link(staged, &beside).is_err() {
            // A file system without hard links.
            copy(staged, &beside)?;
        }
        fs::rename(&beside, &path)?;
        sync(path.parent().unwrap_or(&self.root))?;
        fail_points::reach(fail_points::AFTER_BLOB);
        Ok(())
    }

    fn open(&self, hash: &BlobHash) -> io::Result<Option<Box<dyn Blob>>> {
        match File::open(self.path(hash)) {
            Ok(file) => Ok(Some(Box::new(DiskBlob(file)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, hash: &BlobHash) -> io::Result<()> {
        remove_if_there(&self.path(hash))
    }

    fn parts(&self) -> io::Result<Vec<u8>> {
        Ok(names(&self.root)?.iter().filter_map(|name| byte_of(name)).collect())
    }

    fn list(&self, part: u8) -> io::Result<Vec<BlobHash>> {
        let folder = self.root.join(format!("{part:02x}"));
        let mut found = Vec::new();
        for second in names(&folder)?.iter().filter(|name| byte_of(name).is_some()) {
            found.extend(names(&folder.join(second))?.iter().filter_map(|name| BlobHash::parse(name)));
        }
        Ok(found)
    }
}

/// Returns the byte that names a folder of blobs.
fn byte_of(name: &str) -> Option<u8> {
    let byte = u8::from_str_radix(name, 16).ok()?;
    (name == format!("{byte:02x}")).then_some(byte)
}

struct DiskBlob(File);

impl Blob for DiskBlob {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        self.0.read_exact_at(&mut read, at)?;
        Ok(read)
    }
}

fn copy(staged: &Path, beside: &Path) -> io::Result<()> {
    let mut target = private_file::create_new(beside)?;
    io::copy(&mut File::open(staged)?, &mut target)?;
    target.sync_all()
}

fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the names in a folder that are text; none if it does not exist.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().into_string());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::domain::ids::FileId;

    fn staged(store: &DiskBlobs, id: i64, bytes: &[u8]) -> (PathBuf, BlobHash) {
        let mut upload = store.uploads().begin(FileId(id), 0).unwrap();
        upload.write(bytes).unwrap();
        upload.sync().unwrap();
        (store.uploads().path(FileId(id)), BlobHash(Sha256::digest(bytes).into()))
    }

    #[test]
    fn blob_is_put_once_and_read_by_range() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let (one, hash) = staged(&store, 1, b"hello");
        let (two, _) = staged(&store, 2, b"hello");
        store.put(&hash, &one).unwrap();
        store.put(&hash, &two).unwrap();
        assert!(one.exists() && two.exists(), "the staged files stay");
        let blob = store.open(&hash).unwrap().unwrap();
        assert_eq!((blob.size().unwrap(), blob.read_at(1, 3).unwrap()), (5, b"ell".to_vec()));
        assert!(blob.read_at(4, 2).is_err(), "beyond the end");
        let part = hash.0[0];
        assert_eq!((store.parts().unwrap(), store.list(part).unwrap()), (vec![part], vec![hash]));
        store.remove(&hash).unwrap();
        store.remove(&hash).unwrap();
        assert!(store.open(&hash).unwrap().is_none() && store.list(part).unwrap().is_empty());
    }

    #[test]
    fn damaged_blob_of_another_size_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let (path, hash) = staged(&store, 1, b"hello");
        store.put(&hash, &path).unwrap();
        fs::remove_file(store.path(&hash)).unwrap();
        fs::write(store.path(&hash), "he").unwrap();
        store.put(&hash, &path).unwrap();
        assert_eq!(fs::read(store.path(&hash)).unwrap(), b"hello");
    }

    #[test]
    fn removal_excludes_puts_and_puts_share_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let first = store.lock(Hold::Shared).unwrap();
        let second = store.lock(Hold::Shared).unwrap();
        let third = private_file::open_lock(&store.root.join(LOCK)).unwrap();
        assert!(third.try_lock().is_err());
        drop((first, second));
        assert!(third.try_lock().is_ok());
    }
}
