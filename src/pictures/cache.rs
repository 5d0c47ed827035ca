//! Pictures that were made, on disk: `thumbnails/a/<sha256>-<side>-v1`, by the first digit of the
//! hash of their file. The file `….failed` beside states that there is none.
//!
//! The modification time is that of the last use, to a day. Each part holds at most its share of
//! the bytes: a write removes the files of its part that were not used for the longest time. So the
//! cache needs no index, no lock, and nothing after a crash.
//!
//! Callers write a key at most once at a time, and only while its blob exists.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use super::MAKER_VERSION;
use crate::core::private_file;
use crate::core::saturate;
use crate::domain::file::BlobHash;

/// The folder below the data directory.
const FOLDER: &str = "thumbnails";
/// Parts of the cache, as many as a hexadecimal digit has values.
const PARTS: usize = 16;
const DIGITS: [&str; PARTS] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
/// Bytes that a file counts with at least: a block of common file systems.
const BLOCK_BYTES: u64 = 4096;
/// The time of a use is written again after this long.
const USE_WRITTEN: Duration = Duration::from_secs(24 * 3600);
/// The end of the name of a file that is being written, and of a failure.
const NEW: &str = "new";
const FAILED: &str = "failed";

/// The name of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureKey {
    /// The hash of the file that the picture is made from.
    pub hash: BlobHash,
    /// The side of its box in pixels.
    pub side: u32,
}

/// The reason why a file has no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is damaged, or not a picture.
    Damaged,
    /// It exceeds a limit.
    TooLarge,
}

impl Failure {
    const ALL: [Self; 2] = [Self::Damaged, Self::TooLarge];

    fn text(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::TooLarge => "too large",
        }
    }
}

/// What the cache has.
#[derive(Debug)]
pub enum Cached {
    Picture(File),
    Failed(Failure),
}

/// See the [module](self). Cheap to clone. Its functions block the thread.
#[derive(Debug, Clone)]
pub struct PictureCache {
    root: PathBuf,
    part_bytes: u64,
    failed_for: Duration,
    /// The bytes of each part, when it was last listed.
    held: Arc<[AtomicU64; PARTS]>,
}

impl PictureCache {
    /// Opens the cache below the data directory. `failed_for`: how long a failure is remembered.
    pub fn open(data_dir: &Path, bytes_max: u64, failed_for: Duration) -> io::Result<Self> {
        let root = data_dir.join(FOLDER);
        for digit in DIGITS {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(root.join(digit))?;
        }
        let part_bytes = bytes_max / saturate::to_u64(PARTS);
        Ok(Self { root, part_bytes, failed_for, held: Arc::default() })
    }

    fn path(&self, key: PictureKey) -> PathBuf {
        let PictureKey { hash, side } = key;
        let digit = DIGITS.get(part_of(hash)).copied().unwrap_or("0");
        self.root.join(digit).join(format!("{hash}-{side}-v{MAKER_VERSION}"))
    }

    /// Returns the picture, or that there is none. `None`: it has to be made.
    pub fn find(&self, key: PictureKey) -> io::Result<Option<Cached>> {
        let path = self.path(key);
        if let Some((file, age)) = open_with_age(&path)? {
            if age > USE_WRITTEN {
                file.set_modified(SystemTime::now())?;
            }
            return Ok(Some(Cached::Picture(file)));
        }
        let failed = path.with_extension(FAILED);
        match open_with_age(&failed)? {
            Some((_, age)) if age < self.failed_for => {
                let text = fs::read_to_string(&failed)?;
                let known = Failure::ALL.into_iter().find(|failure| failure.text() == text);
                Ok(known.map(Cached::Failed))
            }
            _ => Ok(None),
        }
    }

    /// Stores a picture. A picture that exceeds the share of its part is not stored.
    pub fn put(&self, key: PictureKey, bytes: &[u8]) -> io::Result<()> {
        if saturate::to_u64(bytes.len()).max(BLOCK_BYTES) > self.part_bytes {
            return Ok(());
        }
        self.write(&self.path(key), bytes)?;
        self.trim(part_of(key.hash))
    }

    /// Remembers that there is no picture.
    pub fn put_failure(&self, key: PictureKey, failure: Failure) -> io::Result<()> {
        self.write(&self.path(key).with_extension(FAILED), failure.text().as_bytes())?;
        self.trim(part_of(key.hash))
    }

    /// Renamed into place when it is complete, also after a power cut.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = path.with_extension(NEW);
        let mut file = private_file::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, path)
    }

    /// Removes all pictures of a file.
    pub fn remove(&self, hash: BlobHash, sides: &[u32]) -> io::Result<()> {
        for side in sides {
            let path = self.path(PictureKey { hash, side: *side });
            for path in [path.with_extension(NEW), path.with_extension(FAILED), path] {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Brings each part within its share, and counts the bytes.
    pub fn trim_all(&self) -> io::Result<()> {
        (0..PARTS).try_for_each(|part| self.trim(part))
    }

    /// Returns the bytes of the pictures, as last counted.
    pub fn bytes(&self) -> u64 {
        self.held.iter().map(|held| held.load(Relaxed)).fold(0, u64::saturating_add)
    }

    fn trim(&self, part: usize) -> io::Result<()> {
        let Some(digit) = DIGITS.get(part) else { return Ok(()) };
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(digit))? {
            let entry = entry?;
            // Removed since it was listed.
            let Ok(about) = entry.metadata() else { continue };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((used, about.len().max(BLOCK_BYTES), entry.file_name()));
        }
        found.sort_unstable();
        let mut held =
            found.iter().map(|(_, bytes, _)| bytes).fold(0_u64, |sum, one| sum.saturating_add(*one));
        for (_, bytes, name) in found {
            if held <= self.part_bytes {
                break;
            }
            remove_if_there(&self.root.join(digit).join(name))?;
            held = held.saturating_sub(bytes);
        }
        if let Some(counter) = self.held.get(part) {
            counter.store(held, Relaxed);
        }
        Ok(())
    }
}

fn part_of(hash: BlobHash) -> usize {
    let [first, ..] = hash.0;
    usize::from(first >> 4)
}

/// Returns an open file and the time since its last use.
fn open_with_age(path: &Path) -> io::Result<Option<(File, Duration)>> {
    match File::open(path) {
        Ok(file) => {
            // A time in the future: the clock was set back.
            let age = file.metadata()?.modified()?.elapsed().unwrap_or_default();
            Ok(Some((file, age)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn key(first: u8, last: u8, side: u32) -> PictureKey {
        let mut hash = [0; 32];
        (hash[0], hash[31]) = (first, last);
        PictureKey { hash: BlobHash(hash), side }
    }

    fn content(cache: &PictureCache, key: PictureKey) -> Option<Vec<u8>> {
        match cache.find(key).unwrap()? {
            Cached::Picture(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                Some(bytes)
            }
            Cached::Failed(_) => None,
        }
    }

    fn set_age(cache: &PictureCache, key: PictureKey, age: Duration) {
        let file = File::options().append(true).open(cache.path(key)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn picture_is_found_until_its_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = PictureCache::open(dir.path(), 16 << 20, DAY).unwrap();
        let (small, large, other) = (key(0xab, 1, 360), key(0xab, 1, 1080), key(0xab, 2, 360));
        for key in [small, large, other] {
            assert_eq!(content(&cache, key), None);
            cache.put(key, format!("{key:?}").as_bytes()).unwrap();
        }
        cache.put_failure(key(0xab, 1, 360), Failure::TooLarge).unwrap();
        assert_eq!(content(&cache, small), Some(format!("{small:?}").into_bytes()));
        assert_eq!(cache.bytes(), 4 * BLOCK_BYTES);
        cache.remove(small.hash, &[360, 1080]).unwrap();
        assert!(cache.find(small).unwrap().is_none() && cache.find(large).unwrap().is_none());
        assert!(content(&cache, other).is_some());
        assert_eq!(fs::read_dir(dir.path().join("thumbnails/a")).unwrap().count(), 1);
    }

    #[test]
    fn failure_is_remembered_for_its_time_and_replaced_by_a_picture() {
        let dir = tempfile::tempdir().unwrap();
        let cache = PictureCache::open(dir.path(), 16 << 20, DAY).unwrap();
        let key = key(7, 7, 360);
        cache.put_failure(key, Failure::Damaged).unwrap();
        assert!(matches!(cache.find(key).unwrap(), Some(Cached::Failed(Failure::Damaged))));
        let later = PictureCache::open(dir.path(), 16 << 20, Duration::ZERO).unwrap();
        assert!(later.find(key).unwrap().is_none());
        cache.put(key, b"x").unwrap();
        assert_eq!(content(&cache, key), Some(b"x".to_vec()));
    }

    #[test]
    fn longest_unused_pictures_go_first_and_the_bound_holds() {
        let dir = tempfile::tempdir().unwrap();
        // Two blocks for each part.
        let cache = PictureCache::open(dir.path(), 16 * 2 * BLOCK_BYTES, DAY).unwrap();
        let (old, used, new, elsewhere) = (key(1, 1, 360), key(1, 2, 360), key(1, 3, 360), key(0x21, 1, 360));
        for (key, age) in [(elsewhere, 9), (old, 3), (used, 4)] {
            cache.put(key, b"x").unwrap();
            set_age(&cache, key, DAY * age);
        }
        // A use renews the time.
        assert!(content(&cache, used).is_some());
        cache.put(new, b"x").unwrap();
        assert!(content(&cache, old).is_none());
        assert!([used, new, elsewhere].iter().all(|key| content(&cache, *key).is_some()));
        assert_eq!(cache.bytes(), 3 * BLOCK_BYTES);
        cache.put(key(1, 4, 360), &[0; 3 * 4096]).unwrap();
        assert!(content(&cache, key(1, 4, 360)).is_none(), "larger than a part");
        let smaller = PictureCache::open(dir.path(), 16 * BLOCK_BYTES, DAY).unwrap();
        smaller.trim_all().unwrap();
        assert_eq!(smaller.bytes(), 2 * BLOCK_BYTES, "the limit was lowered");
    }
}
