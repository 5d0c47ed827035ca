//! Pictures that were made, on disk: `thumbnails/a/<sha256>-<chat>-<side>-v2`, by the first digit
//! of the hash of their file. The file `….failed` beside states that there is none, and the limits
//! under which that was found.
//!
//! The modification time is that of the last use, to a day. Each part holds at most its share of
//! the bytes: when a write has exceeded it, the files that were not used for the longest time go.
//! So the cache needs no index, no lock, and nothing after a crash.
//!
//! Callers write only while its blob exists. Several writers of a key at once are harmless: each
//! writes a file of its own, and the last one stays.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use super::MAKER_VERSION;
use crate::core::limits::Limits;
use crate::core::private_file;
use crate::core::saturate;
use crate::domain::file::BlobHash;
use crate::domain::ids::ChatId;

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
/// A file that was being written this long ago is left from a crash.
const ABANDONED: Duration = Duration::from_secs(3600);
/// The end of the name of a file that is being written, and of a failure.
const NEW: &str = "new";
const FAILED: &str = "failed";
/// The bytes of a part before it was listed.
const UNKNOWN: u64 = u64::MAX;

/// The name of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureKey {
    /// The hash of the file that the picture is made from.
    pub hash: BlobHash,
    /// The chat of the file. A user who has the bytes must not learn whether another chat has them.
    pub chat: ChatId,
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

/// A picture of the cache, or a failure.
#[derive(Debug)]
pub enum Cached {
    Picture(File),
    Failed(Failure),
}

/// See the [module](self). Cheap to clone. Its functions block the thread.
#[derive(Debug, Clone)]
pub struct PictureCache {
    data_dir: PathBuf,
    root: PathBuf,
    part_bytes: u64,
    failed_for: Duration,
    /// The limits of the children: a failure under other limits is not known.
    limits: Arc<str>,
    /// The bytes of each part: as last listed, and written since.
    held: Arc<[AtomicU64; PARTS]>,
    /// Numbers the files that are being written. Begins with the time, because of a crash before.
    next: Arc<AtomicU64>,
}

impl PictureCache {
    /// Returns the cache below the data directory. Reads and writes nothing yet.
    pub fn open(data_dir: &Path, limits: &Limits) -> Self {
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let [pixels, memory, cpu] =
            [limits.thumbnail_pixels, limits.thumbnail_memory_bytes, limits.thumbnail_cpu_seconds];
        Self {
            data_dir: data_dir.to_owned(),
            root: data_dir.join(FOLDER),
            part_bytes: limits.thumbnail_cache_bytes / saturate::to_u64(PARTS),
            failed_for: Duration::from_secs(limits.thumbnail_failed_seconds),
            limits: format!("{pixels} pixels, {memory} bytes, {cpu} s").into(),
            held: Arc::new(std::array::from_fn(|_| AtomicU64::new(UNKNOWN))),
            next: Arc::new(AtomicU64::new(saturate::millis(started).saturating_mul(1000))),
        }
    }

    /// Returns a folder of the file system that has the pictures, or will have them.
    pub fn folder(&self) -> &Path {
        if self.root.exists() { &self.root } else { &self.data_dir }
    }

    fn path(&self, key: PictureKey) -> PathBuf {
        let PictureKey { hash, chat, side } = key;
        self.part(part_of(hash)).join(format!("{hash}-{chat}-{side}-v{MAKER_VERSION}"))
    }

    fn part(&self, part: usize) -> PathBuf {
        self.root.join(DIGITS.get(part).copied().unwrap_or("0"))
    }

    fn failure_text(&self, failure: Failure) -> String {
        format!("{}: {}", failure.text(), self.limits)
    }

    /// Returns the picture, or that there is none. `None`: it has to be made.
    pub fn find(&self, key: PictureKey) -> io::Result<Option<Cached>> {
        let path = self.path(key);
        if let Some((file, age)) = open_with_age(&path)? {
            if age > USE_WRITTEN {
                // Without it, the picture only goes earlier.
                drop(file.set_modified(SystemTime::now()));
            }
            return Ok(Some(Cached::Picture(file)));
        }
        let failed = path.with_extension(FAILED);
        match open_with_age(&failed)? {
            Some((_, age)) if age < self.failed_for => {
                let text = fs::read_to_string(&failed)?;
                let known = Failure::ALL.into_iter().find(|failure| self.failure_text(*failure) == text);
                Ok(known.map(Cached::Failed))
            }
            _ => Ok(None),
        }
    }

    /// Stores a picture. A picture that exceeds the share of its part is not stored. The caller
    /// calls [`PictureCache::trim`] afterwards.
    pub fn put(&self, key: PictureKey, bytes: &[u8]) -> io::Result<()> {
        self.write(part_of(key.hash), &self.path(key), bytes)
    }

    /// Remembers a failure, like [`PictureCache::put`].
    pub fn put_failure(&self, key: PictureKey, failure: Failure) -> io::Result<()> {
        let path = self.path(key).with_extension(FAILED);
        self.write(part_of(key.hash), &path, self.failure_text(failure).as_bytes())
    }

    /// Renamed into place when it is complete, also after a power cut.
    fn write(&self, part: usize, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let held = saturate::to_u64(bytes.len()).max(BLOCK_BYTES);
        if held > self.part_bytes {
            return Ok(());
        }
        let folder = self.part(part);
        if !folder.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.{NEW}", self.next.fetch_add(1, Relaxed)));
        let new = PathBuf::from(name);
        let mut file = private_file::create_new(&new)?;
        let written =
            file.write_all(bytes).and_then(|()| file.sync_data()).and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            drop(remove_if_there(&new));
        } else if let Some(counter) = self.held.get(part) {
            let more = |now: u64| (now != UNKNOWN).then(|| now.saturating_add(held));
            let _before = counter.fetch_update(Relaxed, Relaxed, more);
        }
        written
    }

    /// Removes all pictures of files. Lists the names of each of their parts once, without the
    /// sizes: the bytes of the part stay as they were counted until [`PictureCache::tidy`].
    pub fn remove(&self, hashes: &[BlobHash]) -> io::Result<()> {
        for part in Self::parts() {
            let of_part = hashes.iter().copied().filter(|hash| part_of(*hash) == part);
            let of_part: HashSet<_> = of_part.collect();
            if !of_part.is_empty() {
                self.remove_of_part(part, &of_part)?;
            }
        }
        Ok(())
    }

    fn remove_of_part(&self, part: usize, hashes: &HashSet<BlobHash>) -> io::Result<()> {
        for entry in entries(&self.part(part))? {
            let entry = entry?;
            // Pictures of an earlier maker go as well.
            let name = entry.file_name();
            let hash = name.to_str().and_then(|name| BlobHash::parse(name.split('-').next()?));
            if hash.is_some_and(|hash| hashes.contains(&hash)) {
                remove_if_there(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Brings the part of a hash to 7/8 of its share, if it may have exceeded it. The next writes
    /// then list nothing.
    pub fn trim(&self, hash: BlobHash) -> io::Result<()> {
        let part = part_of(hash);
        let held = self.held.get(part).map_or(UNKNOWN, |held| held.load(Relaxed));
        if held <= self.part_bytes {
            return Ok(());
        }
        self.tidy_to(part, |_| true, self.part_bytes - self.part_bytes / 8)
    }

    /// Returns the numbers of the parts.
    pub fn parts() -> std::ops::Range<usize> {
        0..PARTS
    }

    /// Returns the bytes of the pictures, as last counted.
    pub fn bytes(&self) -> u64 {
        let known = self.held.iter().map(|held| held.load(Relaxed)).filter(|held| *held != UNKNOWN);
        known.fold(0, u64::saturating_add)
    }

    /// Removes the pictures of a part whose blob is not `kept`, and those of other versions, brings
    /// the part within its share, and counts its bytes.
    pub fn tidy(&self, part: usize, kept: impl Fn(BlobHash) -> bool) -> io::Result<()> {
        self.tidy_to(part, kept, self.part_bytes)
    }

    /// Like [`PictureCache::tidy`]. A part above its share is brought to `target` bytes.
    fn tidy_to(&self, part: usize, kept: impl Fn(BlobHash) -> bool, target: u64) -> io::Result<()> {
        let folder = self.part(part);
        let mut found = Vec::new();
        let mut held = 0_u64;
        for entry in entries(&folder)? {
            let entry = entry?;
            // Removed since it was listed.
            let Ok(about) = entry.metadata() else { continue };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let name = entry.file_name();
            let goes = match Name::parse(name.to_str().unwrap_or_default()) {
                Some(Name::InPlace(hash)) => !kept(hash),
                Some(Name::New(hash)) => !kept(hash) || used.elapsed().unwrap_or_default() > ABANDONED,
                None => true,
            };
            if goes {
                remove_if_there(&entry.path())?;
                continue;
            }
            let bytes = about.len().max(BLOCK_BYTES);
            held = held.saturating_add(bytes);
            found.push((used, bytes, name));
        }
        found.sort_unstable();
        let target = if held > self.part_bytes { target } else { held };
        for (_, bytes, name) in found {
            if held <= target {
                break;
            }
            remove_if_there(&folder.join(name))?;
            held = held.saturating_sub(bytes);
        }
        if let Some(counter) = self.held.get(part) {
            counter.store(held, Relaxed);
        }
        Ok(())
    }
}

/// The name of a file of the cache, of this version.
enum Name {
    /// A picture or a failure.
    InPlace(BlobHash),
    /// A file that is being written.
    New(BlobHash),
}

impl Name {
    fn parse(name: &str) -> Option<Self> {
        let (stem, end) = name.split_once('.').map_or((name, None), |(stem, end)| (stem, Some(end)));
        let (hash, rest) = stem.split_once('-')?;
        let hash = BlobHash::parse(hash)?;
        let version = rest.rsplit_once("-v")?.1;
        if version.parse() != Ok(MAKER_VERSION) {
            return None;
        }
        match end {
            None => Some(Self::InPlace(hash)),
            Some(end) if end == FAILED => Some(Self::InPlace(hash)),
            Some(end) => end.ends_with(NEW).then_some(Self::New(hash)),
        }
    }
}

/// Lists a folder, which may not exist yet.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(entries.into_iter().flatten())
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
#[path = "cache_test.rs"]
mod tests;
