//! The Bloom filters of a commit-graph: whether a commit may have changed a path compared with its
//! first parent (gitformat-commit-graph, "Bloom Filter Data"; Documentation/technical/commit-graph
//! of git).
//!
//! A filter contains every changed path and every folder above it. It returns "no" or "maybe";
//! after "maybe" the trees are compared.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::commit_graph::{Chunk, CommitGraph, big_endian};
use crate::core::saturate;

/// Size of the chunk header: version, number of hashes per path, bits per path.
const HEAD_BYTES: u64 = 12;
/// Version 1 hashes bytes above 0x7f with the signedness of `char` on the writer's machine.
const SIGNED_VERSION: u32 = 1;
const VERSIONS: [u32; 2] = [SIGNED_VERSION, 2];
/// git uses 7.
const HASHES_MAX: u32 = 64;
/// Maximum size of a filter. git writes at most 512 paths and their folders, at 10 bits each.
const FILTER_BYTES_MAX: u64 = 64 * 1024;
const SEEDS: [u32; 2] = [0x293a_e76f, 0x7e64_6e2c];

/// The filters of a commit-graph.
pub(super) struct Filters {
    /// The end offset of each commit's filter.
    ends: Chunk,
    filters: Chunk,
    version: u32,
    hashes: u32,
}

/// The hashes of a path and of the folders above it.
pub(super) struct PathKey {
    /// The hash of the whole path is first: it rules out the most commits.
    hashes: Vec<[u32; 2]>,
    is_ascii: bool,
}

impl PathKey {
    pub(super) fn new(path: &[u8]) -> Self {
        let ends = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let prefixes = std::iter::once(path.len()).chain(ends);
        let hash = |end: usize| path.get(..end).map(|path| SEEDS.map(|seed| murmur3(seed, path)));
        Self { hashes: prefixes.filter_map(hash).collect(), is_ascii: path.is_ascii() }
    }
}

impl Filters {
    /// Opens the filters; `None` if their version is unknown.
    pub(super) fn open(file: &File, ends: Chunk, filters: Chunk) -> io::Result<Option<Self>> {
        if filters.bytes() < HEAD_BYTES {
            return Ok(None);
        }
        let mut head = [0; 12];
        file.read_exact_at(&mut head, filters.at())?;
        let mut words = head.chunks_exact(4).map(big_endian);
        let (version, hashes) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let known = VERSIONS.contains(&version) && (1..=HASHES_MAX).contains(&hashes);
        Ok(known.then_some(Self { ends, filters, version, hashes }))
    }

    pub(super) fn may_contain(&self, graph: &CommitGraph, position: u32, path: &PathKey) -> io::Result<bool> {
        if self.version == SIGNED_VERSION && !path.is_ascii {
            return Ok(true);
        }
        let end = |position: u32| {
            self.ends.read(graph, u64::from(position).saturating_mul(4), 4, big_endian).map(u64::from)
        };
        let begin = position.checked_sub(1).map_or(Ok(0), end)?;
        let bytes = end(position)?.saturating_sub(begin);
        // The commit has no filter, or git did not write it.
        if bytes == 0 || bytes > FILTER_BYTES_MAX {
            return Ok(true);
        }
        let contains = |filter: &[u8]| path.hashes.iter().all(|hashes| self.contains(filter, *hashes));
        self.filters.read(graph, HEAD_BYTES.saturating_add(begin), bytes, contains)
    }

    fn contains(&self, filter: &[u8], [first, step]: [u32; 2]) -> bool {
        let bits = saturate::to_u64(filter.len()).saturating_mul(8);
        (0..self.hashes).all(|number| {
            let hash = first.wrapping_add(number.wrapping_mul(step));
            let bit = u64::from(hash).checked_rem(bits).unwrap_or_default();
            let byte = usize::try_from(bit >> 3).ok().and_then(|at| filter.get(at)).copied();
            byte.is_none_or(|byte| byte >> (bit & 7) & 1 == 1)
        })
    }
}

/// Computes the 32-bit MurmurHash3, as git does.
fn murmur3(seed: u32, bytes: &[u8]) -> u32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let little_endian = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    let words = bytes.chunks_exact(4);
    let rest = words.remainder();
    let mut hash = words.fold(seed, |hash, word| {
        let hash = (hash ^ mix(little_endian(word))).rotate_left(13);
        hash.wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    if !rest.is_empty() {
        hash ^= mix(little_endian(rest));
    }
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of git's own test (t/t0095-bloom.sh).
    #[test]
    fn hash_equals_that_of_git() {
        assert_eq!(murmur3(0, b""), 0);
        assert_eq!(murmur3(0, b"Hello world!"), 0x627b_0c2c);
        assert_eq!(murmur3(0, b"The quick brown fox jumps over the lazy dog"), 0x2e4f_f723);
    }

    #[test]
    fn path_key_hashes_path_and_its_parent_folders() {
        let key = PathKey::new(b"a/b/c");
        let wanted = [&b"a/b/c"[..], b"a/b", b"a"].map(|path| SEEDS.map(|seed| murmur3(seed, path)));
        assert_eq!(key.hashes, wanted);
        assert!(key.is_ascii && !PathKey::new("ü".as_bytes()).is_ascii);
    }
}
