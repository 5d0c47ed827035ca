//! Computes the cost of reading an object from a pack, including its delta chain (gitformat-pack).
//!
//! libgit2 reports the size of an object, but not of its delta bases: a file of ten bytes may be a
//! delta of a file of a gigabyte, which is built in memory first. This module reads the headers of
//! the whole chain before libgit2 reads the object. Loose objects have no chain and are not
//! examined.

mod pack;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use git2::{ObjectType, Oid};

use pack::Pack;

/// Maximum number of packs of a repository; background maintenance repacks long before.
const PACKS_MAX: usize = 1_000;
/// Maximum number of indexes that stay open during a request.
const OPEN_MAX: usize = 32;
/// Maximum number of listings of the pack folder per request: background maintenance may replace
/// packs meanwhile.
const LISTINGS_MAX: usize = 4;
/// Maximum size of the header of a loose object: its type and size as text.
const LOOSE_HEAD_BYTES: usize = 32;

/// The cost of reading an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) kind: ObjectType,
    pub(super) bytes: usize,
    /// Size of the largest object or delta that is in memory during the read.
    pub(super) peak_bytes: usize,
    /// Total size of all objects and deltas of the chain.
    pub(super) chain_bytes: usize,
    /// The number of the pack, if a delta chain of it must be applied.
    pub(super) deltas_of: Option<usize>,
}

impl Stored {
    pub(super) fn whole(kind: ObjectType, bytes: usize) -> Self {
        Self { kind, bytes, peak_bytes: bytes, chain_bytes: bytes, deltas_of: None }
    }

    /// Returns the cost of reading only the first bytes.
    pub(super) fn first(&self, bytes: usize) -> Self {
        Self::whole(self.kind, self.bytes.min(bytes))
    }
}

/// The packs of a repository, opened on demand.
pub(super) struct Packs {
    objects: PathBuf,
    packs: Vec<Pack>,
    listings: usize,
}

impl Packs {
    pub(super) fn of(repository: &Path) -> Self {
        Self { objects: repository.join("objects"), packs: Vec::new(), listings: 0 }
    }

    /// Returns the most expensive packed form of the object; `None` if no pack contains it.
    pub(super) fn find(&mut self, oid: Oid) -> io::Result<Option<Stored>> {
        if self.listings == 0 {
            self.list()?;
        }
        loop {
            let found = self.find_listed(oid)?;
            if found.is_some() || self.is_loose(oid) || self.listings >= LISTINGS_MAX {
                return Ok(found);
            }
            self.list()?;
        }
    }

    pub(super) fn is_loose(&self, oid: Oid) -> bool {
        let hex = oid.to_string();
        let (folder, name) = hex.split_at(2);
        self.objects.join(folder).join(name).is_file()
    }

    /// Returns the first bytes of an object that is stored whole; `None` for a delta.
    pub(super) fn first_bytes(&mut self, oid: Oid, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        for pack in &mut self.packs {
            if let Some(offset) = pack.find(oid)? {
                return pack.first_bytes(offset, bytes_max);
            }
        }
        let hex = oid.to_string();
        let (folder, name) = hex.split_at(2);
        let file = File::open(self.objects.join(folder).join(name))?;
        let mut bytes = inflated(file, bytes_max.saturating_add(LOOSE_HEAD_BYTES))?;
        let head = bytes.iter().take(LOOSE_HEAD_BYTES).position(|byte| *byte == 0);
        let head = head.ok_or_else(|| malformed("a loose object has no header"))?;
        drop(bytes.drain(..=head));
        bytes.truncate(bytes_max);
        Ok(Some(bytes))
    }

    fn find_listed(&mut self, oid: Oid) -> io::Result<Option<Stored>> {
        let mut found: Option<Stored> = None;
        for (number, pack) in self.packs.iter_mut().enumerate() {
            let Some(offset) = pack.find(oid)? else { continue };
            let stored = pack.stored(offset, number)?;
            if found.is_none_or(|before| before.chain_bytes < stored.chain_bytes) {
                found = Some(stored);
            }
        }
        Ok(found)
    }

    fn list(&mut self) -> io::Result<()> {
        self.listings = self.listings.saturating_add(1);
        let entries = match fs::read_dir(self.objects.join("pack")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let is_new = !self.packs.iter().any(|pack| pack.path == path);
            if path.extension().is_some_and(|extension| extension == "idx") && is_new {
                if self.packs.len() >= PACKS_MAX {
                    return Err(io::Error::other("the repository has too many packs"));
                }
                // A pack that was removed after the listing was replaced by another pack.
                match Pack::open(path, self.packs.len() < OPEN_MAX) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    pack => self.packs.push(pack?),
                }
            }
        }
        Ok(())
    }
}

/// Decompresses the first bytes of a zlib stream.
fn inflated(file: File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(file).take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
