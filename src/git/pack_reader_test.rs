//! Tests the pack reader with packs of real git, handmade packs and arbitrary bytes.

use super::*;
use crate::git::handmade_pack::{BLOB, COMMIT, Handmade, OFFSET_DELTA, TREE, back, size};
use crate::git::pack_limits::PackLimits;
use std::process::{Command, Stdio};

use proptest::prelude::*;

/// Returns a pack made by real git, with deltas, a large blob and an empty blob.
fn real_pack() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(dir.path()).args(["-c", "user.name=x", "-c", "user.email=x@y"]).args(arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command
    };
    assert!(git(&["init", "-q"]).status().unwrap().success());
    for n in 0..6 {
        let lines: String = (0..3000).map(|line| format!("line {line} of {n} {}\n", line * 7919)).collect();
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

/// Returns the forwarded bytes and the checksum when the pack arrives in pieces of `piece` bytes.
fn through(pack: &[u8], piece: usize) -> Result<(Vec<u8>, Option<Vec<u8>>), PackError> {
    read(pack, piece, PackLimits { tree_bytes: 1 << 20, delta_bytes: 1 << 20, ..PackLimits::SMALL })
}

/// Same as [`through`], with the given limits.
fn read(pack: &[u8], piece: usize, limits: PackLimits) -> Result<(Vec<u8>, Option<Vec<u8>>), PackError> {
    let mut reader = PackReader::new(limits, Box::new(|_| None));
    let mut passed = Vec::new();
    for chunk in pack.chunks(piece) {
        passed.extend_from_slice(&reader.feed(&Bytes::copy_from_slice(chunk))?);
    }
    Ok((passed, reader.checksum().map(<[u8]>::to_vec)))
}

#[test]
fn pack_reader_forwards_all_but_checksum_for_any_piece_size() {
    let pack = real_pack();
    let (entries, checksum) = pack.split_at(pack.len() - HASH_BYTES);
    for piece in [1, 7, 4096, 65_536, pack.len()] {
        assert_eq!(through(&pack, piece), Ok((entries.to_vec(), Some(checksum.to_vec()))), "{piece}");
    }
    let (passed, checksum) = through(&pack[..pack.len() - 1], 1000).unwrap();
    assert_eq!((passed.len(), checksum), (entries.len(), None));
}

#[test]
fn pack_reader_rejects_trailing_bytes_and_holds_checksum_back() {
    let pack = real_pack();
    for more in [1, 33, 65_536] {
        for piece in [1, 4096, 1 << 20] {
            let long = [&pack[..], &vec![0; more]].concat();
            assert_eq!(through(&long, piece), Err(PackError::Trailing), "{more} {piece}");
        }
    }
}

#[test]
fn pack_reader_accepts_empty_pack() {
    let pack = [&b"PACK\0\0\0\x02\0\0\0\0"[..], &[7; 20]].concat();
    assert_eq!(through(&pack, 5), Ok((pack[..12].to_vec(), Some(vec![7; 20]))));
}

#[test]
fn pack_reader_rejects_input_that_is_not_a_pack() {
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

/// Reads a handmade pack as a whole and byte by byte; both must have the same result.
fn check(pack: Handmade) -> Result<(), PackError> {
    let whole = [&pack.bytes[..], &[0; HASH_BYTES]].concat();
    let in_one = read(&whole, whole.len(), PackLimits::SMALL).map(drop);
    assert_eq!(read(&whole, 1, PackLimits::SMALL).map(drop), in_one, "whatever the piece size");
    in_one
}

#[test]
fn pack_reader_limits_objects_by_declared_size() {
    let declares = |code, size| check(Handmade::new(1).entry(code, size, &[], b""));
    for (code, kind, max) in [
        (COMMIT, PackEntryKind::Commit, 1000),
        (4, PackEntryKind::Tag, 1000),
        (TREE, PackEntryKind::Tree, 8000),
        (BLOB, PackEntryKind::Blob, 1 << 30),
    ] {
        let bytes = max + 1;
        assert_eq!(declares(code, bytes), Err(PackError::TooLarge { kind, bytes, max }));
    }
    assert_eq!(check(Handmade::new(1).object(COMMIT, &[b'x'; 1000])), Ok(()));
    assert_eq!(check(Handmade::new(1).object(TREE, &[b'x'; 8000])), Ok(()));
    let too_many = Err(PackError::TooManyEntries { count: 1001, max: 1000 });
    assert_eq!(check(Handmade::new(1001)), too_many);
}

#[test]
fn pack_reader_rejects_objects_with_wrong_declared_size() {
    for (size, content) in [(10, &b"12345678901"[..]), (10, b"123456789"), (0, b"x"), (1, b"")] {
        let read = check(Handmade::new(1).entry(COMMIT, size, &[], content));
        assert_eq!(read, Err(PackError::Malformed), "{size}");
    }
    // More than one buffer of content with a small declared size: refused before all of it is
    // inflated.
    let bomb = Handmade::new(1).entry(BLOB, 100, &[], &vec![0; 3_000_000]);
    assert_eq!(check(bomb), Err(PackError::Malformed));
}

#[test]
fn pack_reader_limits_deltas_by_result_size_and_kind() {
    let on = |code, result| check(Handmade::new(2).object(code, b"base").delta(0, 4, result));
    let too_large = |kind, bytes, max| Err(PackError::TooLarge { kind, bytes, max });
    assert_eq!(on(COMMIT, 1001), too_large(PackEntryKind::Commit, 1001, 1000));
    assert_eq!(on(TREE, 8001), too_large(PackEntryKind::Tree, 8001, 8000));
    assert_eq!(on(BLOB, 128_001), Err(PackError::DeltaTooLarge { bytes: 128_001, max: 128_000 }));
    assert_eq!(on(COMMIT, u64::MAX), too_large(PackEntryKind::Commit, u64::MAX, 1000));
    for (code, result) in [(COMMIT, 1000), (TREE, 8000), (BLOB, 128_000)] {
        assert_eq!(on(code, result), Ok(()));
    }
    // The result of a delta on a delta on a commit is a commit.
    let chain = Handmade::new(3).object(COMMIT, b"base").delta(0, 4, 900).delta(1, 900, 1001);
    assert_eq!(check(chain), too_large(PackEntryKind::Commit, 1001, 1000));
    // A base that is declared large takes that much of git's memory.
    let base = Handmade::new(2).object(BLOB, b"base").delta(0, 128_001, 1);
    assert_eq!(check(base), Err(PackError::DeltaTooLarge { bytes: 128_001, max: 128_000 }));
}

/// Regression: a delta of 114 MiB with a result of 15 MiB took 114 MiB of git's memory while it
/// arrived, but counted as 15 MiB.
#[test]
fn pack_reader_limits_deltas_larger_than_their_result() {
    let delta = |bytes: usize| {
        let content = [size(4), size(4), vec![0; bytes - 2]].concat();
        let pack = Handmade::new(2).object(BLOB, b"base");
        let distance = pack.bytes.len() as u64 - 12;
        pack.entry(OFFSET_DELTA, bytes as u64, &back(distance), &content)
    };
    let (most, result) = (64 * 1024 + 4, 4);
    let bytes = most as u64 + 1;
    assert_eq!(check(delta(most + 1)), Err(PackError::DeltaLargerThanResult { bytes, result }));
    assert_eq!(check(delta(most)), Ok(()));
    let mut reader = PackReader::new(PackLimits::SMALL, Box::new(|_| None));
    let bytes = Bytes::from(delta(most).bytes);
    let (begin, rest) = (bytes.slice(..30), bytes.slice(30..));
    assert_eq!((reader.feed(&begin).map(drop), reader.delta_passing_bytes()), (Ok(()), most as u64));
    assert_eq!((reader.feed(&rest).map(drop), reader.delta_passing_bytes()), (Ok(()), most as u64));
    assert_eq!((reader.feed(&Bytes::new()).map(drop), reader.delta_passing_bytes()), (Ok(()), 0));
    assert_eq!(reader.cost().largest_delta_bytes, most as u64);
    assert_eq!(reader.cost().delta_memory_bytes, most as u64 + 8);
}

/// Regression: 8 MB with 112 deltas of 75 MB each made git hash 8 GB.
#[test]
fn pack_reader_limits_sum_of_large_deltas_separately() {
    let limits = PackLimits {
        delta_bytes: 1 << 40,
        unpacked_bytes: 1 << 50,
        large_unpacked_bytes: 50 << 20,
        ..PackLimits::SMALL
    };
    let pack = |(from, result): (u64, u64), count| {
        let mut pack = Handmade::new(1000).object(BLOB, b"base");
        for _ in 0..count {
            pack = pack.delta(0, from, result);
        }
        read(&pack.bytes, 100, limits).map(drop)
    };
    let too_much = Err(PackError::TooMuchLarge { max: 50 << 20 });
    assert_eq!((pack((4, 5 << 20), 10), pack((4, 5 << 20), 11)), (Ok(()), too_much.clone()));
    assert_eq!((pack((5 << 20, 4), 10), pack((5 << 20, 4), 11)), (Ok(()), too_much));
    assert_eq!(pack((1 << 20, 4 << 20), 500), Ok(()), "small deltas count toward the total only");
}

#[test]
fn pack_reader_limits_deltas_on_named_bases_by_possible_kind() {
    let named = |result| check(Handmade::new(1).named_delta(4, result));
    assert_eq!(named(8000), Ok(()));
    assert_eq!(named(8001), Err(PackError::UnknownBase { bytes: 8001, max: 8000 }));
    // The repository holds the base and returns its kind.
    let read = |kind, result| {
        let pack = Handmade::new(1).named_delta(4, result).bytes;
        let mut reader = PackReader::new(PackLimits::SMALL, Box::new(move |_| Some(kind)));
        reader.feed(&Bytes::from(pack)).map(drop)
    };
    assert_eq!(read(PackEntryKind::Blob, 128_000), Ok(()));
    let too_large = PackError::TooLarge { kind: PackEntryKind::Commit, bytes: 1001, max: 1000 };
    assert_eq!(read(PackEntryKind::Commit, 1001), Err(too_large));
}

#[test]
fn pack_reader_limits_length_and_cost_of_delta_chains() {
    let mut pack = Handmade::new(62).object(BLOB, b"base");
    for base in 0..61 {
        pack = pack.delta(base, 4, 4);
    }
    assert_eq!(check(pack), Err(PackError::ChainTooLong { depth: 61, max: 60 }));
    let limits = PackLimits { delta_bytes: 1 << 40, unpacked_bytes: 1 << 50, ..PackLimits::SMALL };
    let pack = Handmade::new(3).object(BLOB, b"base").delta(0, 4, 5 << 30).delta(1, 5 << 30, 4);
    let read = read(&pack.bytes, 100, limits);
    assert_eq!(read, Err(PackError::ChainTooCostly { bytes: (5 << 30) + 8 }));
}

#[test]
fn unpacked_size_limit_grows_with_received_bytes() {
    let mut pack = Handmade::new(1000).object(BLOB, b"base");
    for base in 0..60 {
        pack = pack.delta(base, 4, 128_000);
    }
    assert!(matches!(check(pack), Err(PackError::TooMuch { max }) if max >= 4 << 20));
}

#[test]
fn delta_base_must_be_an_earlier_entry() {
    let pack = Handmade::new(2).object(BLOB, b"base");
    let content = [size(4), size(4), vec![0x90, 4]].concat();
    for distance in [1, pack.bytes.len() as u64 - 13, pack.bytes.len() as u64, 1 << 40] {
        let odd = pack.clone().entry(OFFSET_DELTA, content.len() as u64, &back(distance), &content);
        assert_eq!(check(odd), Err(PackError::Malformed), "{distance}");
    }
    let short = Handmade::new(2).object(BLOB, b"base").entry(OFFSET_DELTA, 1, &back(21), &[4]);
    assert_eq!(check(short), Err(PackError::Malformed), "a delta without a result");
}

proptest! {
    #[test]
    fn pack_reader_never_panics_on_arbitrary_bytes(
        data in proptest::collection::vec(any::<u8>(), 0..400), piece in 1..50usize
    ) {
        let pack = [&b"PACK\0\0\0\x02\0\0\0\x02"[..], &data].concat();
        if let Ok((passed, _)) = through(&pack, piece) {
            prop_assert!(passed.len() <= pack.len());
        }
    }
}
