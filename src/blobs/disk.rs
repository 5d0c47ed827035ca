//! Blobs in the data directory: `files/ab/cd/<sha256>`.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Blob, BlobStore, FoundBlob, FoundCopy, Hold, IncomingUploads, Prepared, Uploads};
use crate::core::{fail_points, owner, private_file};
use crate::domain::file::BlobHash;
use crate::domain::timestamp::Timestamp;

/// The folder below the data directory.
const FOLDER: &str = "files";
/// The folder of uploads that are not complete.
const UPLOADS: &str = "uploads";
/// The folder of uploads that arrive in one request.
const INCOMING: &str = "lfs";
/// The end of the name of a blob among the uploads, before it is renamed.
pub(super) const BESIDE: &str = "blob";
/// The file of [`BlobStore::try_lock`].
const LOCK: &str = "blobs.lock";
/// The file of [`BlobStore::try_turn`].
const TURN: &str = "blobs.turn";
/// The file of [`BlobStore::belongs_since`]: the epoch and the time.
const DATABASE: &str = "database";

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
        make(&store.root.join(INCOMING))?;
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

    /// Returns the folder of uploads that arrive in one request.
    pub fn incoming(&self) -> IncomingUploads {
        IncomingUploads::in_folder(self.root.join(INCOMING))
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

    /// Removes the bytes of a blob, if they are there.
    pub(super) fn forget(&self, hash: &BlobHash) -> io::Result<()> {
        remove_if_there(&self.path(hash))
    }

    fn open_lock(&self, name: &str) -> io::Result<File> {
        let path = self.root.join(name);
        let file = private_file::open_lock(&path)?;
        owner::follow_folder(&path)?;
        Ok(file)
    }

    /// Fsyncs the folders that name a blob. Another upload may have made them a moment ago, and
    /// not have fsynced them yet.
    fn sync_folders(&self, path: &Path) -> io::Result<()> {
        let second = path.parent().unwrap_or(&self.root);
        let first = second.parent().unwrap_or(&self.root);
        [second, first, self.root.as_path()].into_iter().try_for_each(sync)
    }
}

impl BlobStore for DiskBlobs {
    fn try_turn(&self) -> io::Result<Option<File>> {
        locked(self.open_lock(TURN)?, File::try_lock)
    }

    fn try_lock(&self, hold: Hold) -> io::Result<Option<File>> {
        let file = self.open_lock(LOCK)?;
        match hold {
            Hold::Exclusive => locked(file, File::try_lock),
            Hold::Shared => {
                // Not while a removal waits: it would wait forever for puts that overlap.
                let Some(_turn) = locked(self.open_lock(TURN)?, File::try_lock_shared)? else {
                    return Ok(None);
                };
                locked(file, File::try_lock_shared)
            }
        }
    }

    fn belongs_since(&self, epoch: i64, now: Timestamp) -> io::Result<Timestamp> {
        let path = self.root.join(DATABASE);
        let text = match fs::read_to_string(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
                String::new()
            }
            read => read?,
        };
        let mut words = text.split_whitespace().map(str::parse);
        if let (Some(Ok(known)), Some(Ok(since)), None) = (words.next(), words.next(), words.next())
            && known == epoch
            && since <= now.0
        {
            return Ok(Timestamp(since));
        }
        replace(&path, &format!("{epoch} {}\n", now.0))?;
        Ok(now)
    }

    fn prepare(&self, hash: &BlobHash, _: &Path) -> io::Result<Prepared> {
        Ok(Prepared { existed: self.stored_at(hash)?.is_some(), pending: None })
    }

    fn put(&self, hash: &BlobHash, staged: &Path, _: &Prepared) -> io::Result<()> {
        let path = self.path(hash);
        make(path.parent().unwrap_or(&self.root))?;
        fail_points::reach(fail_points::BEFORE_BLOB);
        // Renamed into place, also over a blob that exists: it may be damaged, and the bytes that
        // were just hashed are not. The blob is not missing meanwhile.
        let beside = staged.with_extension(BESIDE);
        remove_if_there(&beside)?;
        if fs::hard_link(staged, &beside).is_err() {
            // A file system without hard links.
            copy(staged, &beside)?;
        }
        let put = File::options().write(true).open(&beside)?;
        put.set_modified(SystemTime::now())?;
        put.sync_all()?;
        fs::rename(&beside, &path)?;
        // Still there if the blob was a link to the same staged file.
        remove_if_there(&beside)?;
        self.sync_folders(&path)?;
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

    fn stored_at(&self, hash: &BlobHash) -> io::Result<Option<SystemTime>> {
        metadata(&self.path(hash))?.map(|found| found.modified()).transpose()
    }

    fn size(&self, hash: &BlobHash) -> io::Result<Option<u64>> {
        Ok(metadata(&self.path(hash))?.map(|found| found.len()))
    }

    fn find(&self, hash: &BlobHash) -> io::Result<FoundBlob> {
        let copy = metadata(&self.path(hash))?.map(|found| -> io::Result<_> {
            Ok(FoundCopy { object: None, size: found.len(), stored_at: found.modified()? })
        });
        Ok(FoundBlob { hash: *hash, copies: copy.transpose()?.into_iter().collect() })
    }

    fn remove(&self, found: &FoundBlob) -> io::Result<()> {
        let Some(copy) = found.copies.iter().find(|copy| copy.object.is_none()) else { return Ok(()) };
        // Bytes that were put since then stay for their time.
        if self.stored_at(&found.hash)? == Some(copy.stored_at) {
            self.forget(&found.hash)?;
        }
        Ok(())
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

/// Returns the file with a lock, if no holder excludes it.
pub(super) fn locked(file: File, lock: fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<File>> {
    match lock(&file) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn metadata(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the byte that names a folder of blobs.
pub(super) fn byte_of(name: &str) -> Option<u8> {
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

    fn file(&self) -> io::Result<File> {
        // The copy shares the position, which reads at offsets do not move.
        self.0.try_clone()
    }
}

fn copy(staged: &Path, beside: &Path) -> io::Result<()> {
    let mut target = private_file::create_new(beside)?;
    io::copy(&mut File::open(staged)?, &mut target)?;
    target.sync_all()
}

pub(super) fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a small file, durably and at once.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private_file::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync)
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
    use crate::domain::file::UploadKey;
    use crate::domain::ids::FileId;

    fn staged(store: &DiskBlobs, id: i64, bytes: &[u8]) -> (PathBuf, BlobHash) {
        let key = UploadKey { id: FileId(id), announced_at: Timestamp(1) };
        let mut upload = store.uploads().begin(key, 0).unwrap();
        upload.write(bytes).unwrap();
        upload.sync().unwrap();
        (store.uploads().path(key), BlobHash(Sha256::digest(bytes).into()))
    }

    #[test]
    fn blob_is_put_once_and_read_by_range() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let (one, hash) = staged(&store, 1, b"hello");
        let (two, _) = staged(&store, 2, b"hello");
        store.put_now(&hash, &one).unwrap();
        store.put_now(&hash, &two).unwrap();
        assert!(one.exists() && two.exists(), "the staged files stay");
        let blob = store.open(&hash).unwrap().unwrap();
        assert_eq!((blob.size().unwrap(), blob.read_at(1, 3).unwrap()), (5, b"ell".to_vec()));
        assert!(blob.read_at(4, 2).is_err(), "beyond the end");
        let part = hash.0[0];
        assert_eq!((store.parts().unwrap(), store.list(part).unwrap()), (vec![part], vec![hash]));
        store.remove(&store.find(&hash).unwrap()).unwrap();
        store.remove(&store.find(&hash).unwrap()).unwrap();
        assert!(store.open(&hash).unwrap().is_none() && store.list(part).unwrap().is_empty());
    }

    #[test]
    fn damaged_blob_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let (path, hash) = staged(&store, 1, b"hello");
        store.put_now(&hash, &path).unwrap();
        for damaged in ["he", "HELLO", "hello, world"] {
            fs::remove_file(store.path(&hash)).unwrap();
            fs::write(store.path(&hash), damaged).unwrap();
            assert_eq!(store.size(&hash).unwrap(), Some(damaged.len() as u64));
            store.put_now(&hash, &path).unwrap();
            assert_eq!(fs::read(store.path(&hash)).unwrap(), b"hello", "{damaged}");
        }
    }

    /// Puts that overlapped kept the shared lock taken, and no blob could be removed.
    #[test]
    fn removal_that_waits_goes_before_further_puts() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let put = store.try_lock(Hold::Shared).unwrap();
        let turn = store.try_turn().unwrap();
        assert!(put.is_some() && turn.is_some());
        assert!(store.try_turn().unwrap().is_none(), "a single removal waits");
        assert!(store.try_lock(Hold::Exclusive).unwrap().is_none(), "a put holds the lock");
        assert!(store.try_lock(Hold::Shared).unwrap().is_none(), "a further put waits");
        drop(put);
        assert!(store.try_lock(Hold::Exclusive).unwrap().is_some());
        drop(turn);
        assert!(store.try_lock(Hold::Shared).unwrap().is_some());
    }

    #[test]
    fn removal_excludes_puts_and_puts_share_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let lock = |hold| store.try_lock(hold).unwrap();
        let (first, second) = (lock(Hold::Shared), lock(Hold::Shared));
        assert!(first.is_some() && second.is_some() && lock(Hold::Exclusive).is_none());
        drop((first, second));
        let alone = lock(Hold::Exclusive);
        assert!(alone.is_some() && lock(Hold::Shared).is_none());
    }

    #[test]
    fn another_database_begins_the_time_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let since = |epoch, now| store.belongs_since(epoch, Timestamp(now)).unwrap().0;
        assert_eq!((since(5, 100), since(5, 200)), (100, 100));
        assert_eq!((since(6, 300), since(6, 400)), (300, 300));
        assert_eq!(since(5, 500), 500, "it is back");
        assert_eq!(since(5, 50), 50, "the clock was set back");
        for text in ["", "5", "5 x", "5 50 1"] {
            fs::write(store.root.join(DATABASE), text).unwrap();
            assert_eq!(since(5, 700), 700, "{text:?}");
        }
    }

    #[test]
    fn put_of_a_blob_that_exists_renews_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskBlobs::open(dir.path()).unwrap();
        let (path, hash) = staged(&store, 1, b"hello");
        assert_eq!(store.stored_at(&hash).unwrap(), None);
        store.put_now(&hash, &path).unwrap();
        File::open(store.path(&hash)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(store.stored_at(&hash).unwrap(), Some(SystemTime::UNIX_EPOCH));
        store.put_now(&hash, &path).unwrap();
        assert!(!path.with_extension(BESIDE).exists());
        let age = store.stored_at(&hash).unwrap().unwrap().elapsed().unwrap_or_default();
        assert!(age.as_secs() < 3600, "{age:?}");
    }
}
