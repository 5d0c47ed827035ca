//! Reads the commit-graph file of git: parents, dates and trees of commits without the commit
//! objects (gitformat-commit-graph).
//!
//! A walk through 80,000 commits reads three megabytes of the file. Without the file, reading the
//! objects takes seconds. libgit2 reads the file too, but neither exposes its commits nor supports
//! its filters of changed paths ([`changed_paths`]).
//!
//! Invariants:
//! - The file was written by this server's own git. Every position and length is checked
//!   nevertheless. Malformed content is an error, after which the objects are read as if the file
//!   did not exist.
//! - The file contains all parents of its commits and is never modified: git replaces it. An open
//!   file stays valid.
//! - The bytes that a request loads of the file are bounded ([`super::BrowseLimits::graph_bytes`]);
//!   the rest is read in pieces.
//!
//! Deliberately absent: files in several layers, which this server never writes.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use git2::Oid;

use super::changed_paths::{Filters, PathKey};
use crate::core::saturate;

const MAGIC: [u8; 4] = *b"CGPH";
/// Version 1, SHA-1.
const VERSIONS: [u8; 2] = [1, 1];
const HEAD_BYTES: usize = 8;
const TABLE_ENTRY_BYTES: usize = 12;
const CHUNKS_MAX: usize = 64;
const OID_BYTES: u64 = 20;
const DATA_BYTES: u64 = 36;
const FANOUT_BYTES: u64 = 1024;
const NO_PARENT: u32 = 0x7000_0000;
/// In the second parent: the value is an index into the edges. In an edge: it is the last edge.
const FLAG: u32 = 0x8000_0000;
/// Bits of the date; the other bits hold the generation.
const DATE_BITS: u64 = 34;
/// Number of reads of a chunk before the whole chunk is loaded.
const READS_BEFORE_LOAD: u32 = 400;

/// The commit-graph of a repository.
pub(super) struct CommitGraph {
    file: File,
    /// Number of commits.
    count: u32,
    fanout: Vec<u32>,
    names: Chunk,
    data: Chunk,
    /// Parents after the second.
    edges: Option<Chunk>,
    filters: Option<Filters>,
    /// Number of bytes that may still be loaded.
    room: Cell<usize>,
}

/// The entry of a commit in the graph; parents are positions in the graph.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GraphCommit {
    pub(super) tree: Oid,
    pub(super) seconds: i64,
    pub(super) parents: Vec<u32>,
    /// Whether there are more parents than requested.
    pub(super) has_more_parents: bool,
}

/// A chunk of the file.
pub(super) struct Chunk {
    at: u64,
    bytes: u64,
    reads: Cell<u32>,
    loaded: OnceCell<Vec<u8>>,
}

impl CommitGraph {
    /// Opens the graph of the repository; `None` if it has none of a supported version.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is malformed.
    pub(super) fn open(repository: &Path, room: usize) -> io::Result<Option<Self>> {
        let file = match File::open(repository.join("objects/info/commit-graph")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = file.metadata()?.len();
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0)?;
        let [m0, m1, m2, m3, version, hash, chunks, bases] = head;
        if [m0, m1, m2, m3] != MAGIC || [version, hash] != VERSIONS || bases != 0 {
            return Ok(None);
        }
        let chunks = Chunk::table(&file, usize::from(chunks), length)?;
        let chunk = |id: &[u8; 4]| {
            let found = chunks.iter().find(|(found, ..)| found == id);
            found.map(|(_, at, bytes)| Chunk::new(*at, *bytes))
        };
        let (Some(fanout), Some(names), Some(data)) = (chunk(b"OIDF"), chunk(b"OIDL"), chunk(b"CDAT")) else {
            return Err(malformed("a chunk is missing"));
        };
        if fanout.bytes != FANOUT_BYTES {
            return Err(malformed("the fanout table has the wrong size"));
        }
        let mut bytes = [0; 1024];
        file.read_exact_at(&mut bytes, fanout.at)?;
        let fanout: Vec<_> = bytes.chunks_exact(4).map(big_endian).collect();
        let count = fanout.last().copied().unwrap_or_default();
        let sorted = fanout.iter().zip(fanout.iter().skip(1)).all(|(before, after)| before <= after);
        let fits = |chunk: &Chunk, each: u64| chunk.bytes == u64::from(count).saturating_mul(each);
        if !sorted || count >= NO_PARENT || !fits(&names, OID_BYTES) || !fits(&data, DATA_BYTES) {
            return Err(malformed("the sizes of the chunks are inconsistent"));
        }
        let filters = match (chunk(b"BIDX"), chunk(b"BDAT")) {
            (Some(ends), Some(filters)) if fits(&ends, 4) => Filters::open(&file, ends, filters)?,
            _ => None,
        };
        let (edges, room) = (chunk(b"EDGE"), Cell::new(room));
        Ok(Some(Self { file, count, fanout, names, data, edges, filters, room }))
    }

    pub(super) fn len(&self) -> u32 {
        self.count
    }

    /// Returns the position of a commit.
    pub(super) fn find(&self, oid: Oid) -> io::Result<Option<u32>> {
        let first = usize::from(oid.as_bytes().first().copied().unwrap_or_default());
        let count = |at: usize| self.fanout.get(at).copied().unwrap_or_default();
        let (mut low, mut high) = (first.checked_sub(1).map_or(0, count), count(first));
        while low < high {
            let middle = low.midpoint(high);
            match self.oid(middle)?.cmp(&oid) {
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Less => low = middle.saturating_add(1),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    pub(super) fn oid(&self, position: u32) -> io::Result<Oid> {
        let at = u64::from(position).saturating_mul(OID_BYTES);
        self.names.read(self, at, OID_BYTES, |name| Oid::from_bytes(name).map_err(io::Error::other))?
    }

    /// Returns a commit with its first `parents_max` parents.
    pub(super) fn commit(&self, position: u32, parents_max: usize) -> io::Result<GraphCommit> {
        let at = u64::from(position).saturating_mul(DATA_BYTES);
        let read = |entry: &[u8]| -> io::Result<_> {
            let (tree, rest) =
                entry.split_at_checked(20).ok_or_else(|| malformed("an entry is truncated"))?;
            let mut words = rest.chunks_exact(4).map(big_endian);
            let mut word = || words.next().unwrap_or_default();
            let (first, second, high, low) = (word(), word(), word(), word());
            let seconds = (u64::from(high) << 32 | u64::from(low)) & ((1 << DATE_BITS) - 1);
            Ok((Oid::from_bytes(tree).map_err(io::Error::other)?, first, second, seconds))
        };
        let (tree, first, second, seconds) = self.data.read(self, at, DATA_BYTES, read)??;
        let mut commit = GraphCommit {
            tree,
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            parents: Vec::new(),
            has_more_parents: false,
        };
        for parent in [first, second] {
            if parent == NO_PARENT || parent & FLAG != 0 {
                break;
            }
            self.add_parent(&mut commit, parent)?;
        }
        if second & FLAG != 0 {
            let mut edge = second & !FLAG;
            loop {
                if commit.parents.len() >= parents_max {
                    commit.has_more_parents = true;
                    break;
                }
                let edges = self.edges.as_ref().ok_or_else(|| malformed("the edges are missing"))?;
                let parent = edges.read(self, u64::from(edge).saturating_mul(4), 4, big_endian)?;
                self.add_parent(&mut commit, parent & !FLAG)?;
                if parent & FLAG != 0 {
                    break;
                }
                edge = edge.saturating_add(1);
            }
        }
        Ok(commit)
    }

    fn add_parent(&self, commit: &mut GraphCommit, parent: u32) -> io::Result<()> {
        if parent >= self.count {
            return Err(malformed("a parent is out of range"));
        }
        commit.parents.push(parent);
        Ok(())
    }

    /// Returns whether the commit may have changed the path compared with its first parent; false
    /// only if it has not.
    pub(super) fn may_change(&self, position: u32, path: &PathKey) -> bool {
        let Some(filters) = &self.filters else { return true };
        filters.may_contain(self, position, path).unwrap_or(true)
    }
}

impl Chunk {
    fn new(at: u64, bytes: u64) -> Self {
        Self { at, bytes, reads: Cell::new(0), loaded: OnceCell::new() }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Reads the id, offset and length of each chunk.
    fn table(file: &File, count: usize, length: u64) -> io::Result<Vec<([u8; 4], u64, u64)>> {
        if count > CHUNKS_MAX {
            return Err(malformed("too many chunks"));
        }
        let mut table = vec![0; count.saturating_add(1).saturating_mul(TABLE_ENTRY_BYTES)];
        file.read_exact_at(&mut table, HEAD_BYTES as u64)?;
        let entry = |entry: &[u8]| {
            let mut words = entry.chunks_exact(4).map(big_endian);
            let mut word = || words.next().unwrap_or_default();
            (word().to_be_bytes(), u64::from(word()) << 32 | u64::from(word()))
        };
        let entries: Vec<_> = table.chunks_exact(TABLE_ENTRY_BYTES).map(entry).collect();
        let both = entries.iter().zip(entries.iter().skip(1));
        both.map(|((id, at), (_, next))| match next.checked_sub(*at) {
            Some(bytes) if *next <= length => Ok((*id, *at, bytes)),
            _ => Err(malformed("a chunk is outside of the file")),
        })
        .collect()
    }

    /// Calls `use_them` with `bytes` bytes from offset `at`. Loads the whole chunk after many
    /// reads, if the limit of the request permits.
    pub(super) fn read<T>(
        &self,
        graph: &CommitGraph,
        at: u64,
        bytes: u64,
        use_them: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        let end = at.checked_add(bytes).filter(|end| *end <= self.bytes);
        let end = end.ok_or_else(|| malformed("a position is outside of its chunk"))?;
        if self.loaded.get().is_none() {
            self.reads.set(self.reads.get().saturating_add(1));
            let whole = saturate::to_usize(self.bytes);
            if self.reads.get() >= READS_BEFORE_LOAD
                && let Some(left) = graph.room.get().checked_sub(whole)
            {
                graph.room.set(left);
                let mut content = vec![0; whole];
                graph.file.read_exact_at(&mut content, self.at)?;
                // `loaded` is empty: only this line sets it.
                drop(self.loaded.set(content));
            }
        }
        if let Some(content) = self.loaded.get() {
            let piece = content.get(saturate::to_usize(at)..saturate::to_usize(end));
            return piece.map(use_them).ok_or_else(|| malformed("a position is outside of its chunk"));
        }
        let mut piece = vec![0; saturate::to_usize(bytes)];
        graph.file.read_exact_at(&mut piece, self.at.saturating_add(at))?;
        Ok(use_them(&piece))
    }
}

pub(super) fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

pub(super) fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
