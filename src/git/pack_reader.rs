//! Where a pack ends (gitformat-pack): found by reading it, entry by entry, as it passes.
//!
//! git takes a pack as whole as soon as it has the checksum behind the last entry, whatever follows. So whoever wants to
//! hold a push back must know exactly where that checksum begins: no length is said anywhere, and a client may send more
//! behind it.
//!
//! Invariant: what [`PackReader::feed`] lets through never holds a byte of the checksum. Contents are inflated and thrown
//! away, a buffer at a time; whether they make sense is for git to say.

use bytes::{Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

/// `PACK`, version, number of entries.
const HEADER_BYTES: usize = 12;
/// SHA-1 at the end of a pack, and the name of the base of a delta.
pub(super) const HASH_BYTES: usize = 20;
/// What is inflated at once.
const SCRATCH_BYTES: usize = 64 * 1024;
/// The bytes of a size or offset: 7 bits each, of 64.
const VARINT_BYTES_MAX: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PackError {
    #[error("the pack is malformed")]
    Malformed,
    #[error("there are bytes behind the pack")]
    Trailing,
}

/// Reads a pack that arrives in pieces.
pub(super) struct PackReader {
    stage: Stage,
    entries_left: u32,
    /// Bytes of a header that are not there whole yet.
    partial: BytesMut,
    inflate: Decompress,
    scratch: Vec<u8>,
    checksum: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    /// Type and size of an entry, and the base of a delta.
    Entry,
    Content,
    Checksum,
}

impl PackReader {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Header,
            entries_left: 0,
            partial: BytesMut::new(),
            inflate: Decompress::new(true),
            scratch: vec![0; SCRATCH_BYTES],
            checksum: BytesMut::new(),
        }
    }

    /// Takes in the next bytes; answers those that may go to git now.
    pub(super) fn feed(&mut self, bytes: &Bytes) -> Result<Bytes, PackError> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            at += match self.stage {
                Stage::Header => self.header(rest)?,
                Stage::Entry => self.entry(rest)?,
                Stage::Content => self.content(rest)?,
                Stage::Checksum => {
                    if self.checksum.len() + rest.len() > HASH_BYTES {
                        return Err(PackError::Trailing);
                    }
                    self.checksum.extend_from_slice(rest);
                    return Ok(bytes.slice(..at));
                }
            };
        }
        Ok(bytes.clone())
    }

    /// The checksum, once it is there whole: nothing else is missing then.
    pub(super) fn checksum(&self) -> Option<&[u8]> {
        (self.checksum.len() == HASH_BYTES).then_some(&self.checksum[..])
    }

    /// Collects up to `wanted` bytes of a header; answers how many were taken.
    fn collect(&mut self, rest: &[u8], wanted: usize) -> usize {
        let take = wanted.saturating_sub(self.partial.len()).min(rest.len());
        self.partial.extend_from_slice(rest.get(..take).unwrap_or_default());
        take
    }

    fn header(&mut self, rest: &[u8]) -> Result<usize, PackError> {
        let taken = self.collect(rest, HEADER_BYTES);
        let Some((magic, count)) = self.partial.first_chunk::<HEADER_BYTES>().map(|h| h.split_at(8)) else {
            return Ok(taken);
        };
        // git reads versions 2 and 3.
        if !matches!(magic, b"PACK\0\0\0\x02" | b"PACK\0\0\0\x03") {
            return Err(PackError::Malformed);
        }
        self.entries_left = count.try_into().map(u32::from_be_bytes).map_err(|_| PackError::Malformed)?;
        self.next_entry();
        Ok(taken)
    }

    fn next_entry(&mut self) {
        self.partial.clear();
        self.stage = if self.entries_left == 0 { Stage::Checksum } else { Stage::Entry };
    }

    fn entry(&mut self, rest: &[u8]) -> Result<usize, PackError> {
        // One byte at a time: a header is short, and must not swallow what is behind it.
        let taken = self.collect(rest, self.partial.len() + 1);
        let Some(size_bytes) = varint_bytes(&self.partial)? else { return Ok(taken) };
        let kind = self.partial.first().map_or(0, |first| (first >> 4) & 7);
        let base = self.partial.get(size_bytes..).unwrap_or_default();
        let whole = match kind {
            1..=4 => true,
            6 => varint_bytes(base)?.is_some(),
            7 => base.len() == HASH_BYTES,
            _ => return Err(PackError::Malformed),
        };
        if whole {
            self.inflate.reset(true);
            self.stage = Stage::Content;
        }
        Ok(taken)
    }

    fn content(&mut self, rest: &[u8]) -> Result<usize, PackError> {
        let mut taken = 0;
        loop {
            let input = rest.get(taken..).unwrap_or_default();
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, &mut self.scratch, FlushDecompress::None)
                .map_err(|_| PackError::Malformed)?;
            let used = usize::try_from(self.inflate.total_in() - before_in).unwrap_or(usize::MAX);
            taken += used;
            let idle = used == 0 && self.inflate.total_out() == before_out;
            match status {
                Status::StreamEnd => {
                    self.entries_left = self.entries_left.saturating_sub(1);
                    self.next_entry();
                    return Ok(taken);
                }
                _ if taken >= rest.len() && idle => return Ok(taken),
                _ if idle => return Err(PackError::Malformed),
                _ => {}
            }
        }
    }
}

/// The length of a number in groups of 7 bits, the last without the high bit; `None` when it is not there whole.
fn varint_bytes(bytes: &[u8]) -> Result<Option<usize>, PackError> {
    match bytes.iter().position(|byte| byte & 0x80 == 0) {
        Some(last) if last < VARINT_BYTES_MAX => Ok(Some(last + 1)),
        None if bytes.len() < VARINT_BYTES_MAX => Ok(None),
        _ => Err(PackError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    /// A pack that real git made, with deltas, a large blob and an empty one.
    fn real_pack() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command
                .current_dir(dir.path())
                .args(["-c", "user.name=x", "-c", "user.email=x@y"])
                .args(arguments);
            command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
            command
        };
        assert!(git(&["init", "-q"]).status().unwrap().success());
        for n in 0..6 {
            let lines: String =
                (0..3000).map(|line| format!("line {line} of {n} {}\n", line * 7919)).collect();
            std::fs::write(dir.path().join("large"), lines).unwrap();
            std::fs::write(dir.path().join(format!("empty{n}")), "").unwrap();
            assert!(git(&["add", "."]).status().unwrap().success());
            assert!(git(&["commit", "-q", "-m", "x"]).status().unwrap().success());
        }
        let child = git(&["pack-objects", "--all", "--stdout", "-q", "--delta-base-offset"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(child.stdout.len() > 10_000);
        child.stdout
    }

    /// What goes through when the pack comes in pieces of this size, and the checksum.
    fn through(pack: &[u8], piece: usize) -> Result<(Vec<u8>, Option<Vec<u8>>), PackError> {
        let mut reader = PackReader::new();
        let mut passed = Vec::new();
        for chunk in pack.chunks(piece) {
            passed.extend_from_slice(&reader.feed(&Bytes::copy_from_slice(chunk))?);
        }
        Ok((passed, reader.checksum().map(<[u8]>::to_vec)))
    }

    #[test]
    fn everything_but_the_checksum_goes_through_however_it_is_cut() {
        let pack = real_pack();
        let (entries, checksum) = pack.split_at(pack.len() - HASH_BYTES);
        for piece in [1, 7, 4096, 65_536, pack.len()] {
            assert_eq!(through(&pack, piece), Ok((entries.to_vec(), Some(checksum.to_vec()))), "{piece}");
        }
        let (passed, checksum) = through(&pack[..pack.len() - 1], 1000).unwrap();
        assert_eq!((passed.len(), checksum), (entries.len(), None));
    }

    #[test]
    fn whatever_stands_behind_a_pack_is_refused_and_its_checksum_never_went_through() {
        let pack = real_pack();
        for more in [1, 33, 65_536] {
            for piece in [1, 4096, 1 << 20] {
                let long = [&pack[..], &vec![0; more]].concat();
                assert_eq!(through(&long, piece), Err(PackError::Trailing), "{more} {piece}");
            }
        }
    }

    #[test]
    fn a_pack_of_nothing_is_its_header_and_a_checksum() {
        let pack = [&b"PACK\0\0\0\x02\0\0\0\0"[..], &[7; 20]].concat();
        assert_eq!(through(&pack, 5), Ok((pack[..12].to_vec(), Some(vec![7; 20]))));
    }

    #[test]
    fn what_is_no_pack_is_malformed() {
        for bad in [
            &b"PUCK\0\0\0\x02\0\0\0\x01"[..],
            b"PACK\0\0\0\x04\0\0\0\x01",
            b"PACK\0\0\0\x02\0\0\0\x01\x00",
            b"PACK\0\0\0\x02\0\0\0\x01\x50",
            b"PACK\0\0\0\x02\0\0\0\x01\x30not deflated",
            b"PACK\0\0\0\x02\0\0\0\x01\xb0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(through(bad, 3), Err(PackError::Malformed), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_never_a_panic(
            data in proptest::collection::vec(any::<u8>(), 0..400), piece in 1..50usize
        ) {
            let pack = [&b"PACK\0\0\0\x02\0\0\0\x02"[..], &data].concat();
            if let Ok((passed, _)) = through(&pack, piece) {
                prop_assert!(passed.len() <= pack.len());
            }
        }
    }
}
