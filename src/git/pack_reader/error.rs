//! The reasons why a pack is refused.

use crate::git::pack_entries::PackEntryKind;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    #[error("the pack is malformed")]
    Malformed,
    #[error("there are extra bytes after the pack")]
    Trailing,
    #[error(
        "the push has {count} objects; this server takes at most {max} at once: push the history in parts"
    )]
    TooManyEntries { count: u32, max: u32 },
    #[error("{} of {bytes} bytes is too large: at most {max} bytes are accepted", .kind.with_article())]
    TooLarge { kind: PackEntryKind, bytes: u64, max: u64 },
    #[error(
        "a delta with a result of {bytes} bytes is too large: at most {max} bytes are accepted; run git -c core.bigFileThreshold=32m repack -a -d -F, then push again"
    )]
    DeltaTooLarge { bytes: u64, max: u64 },
    #[error(
        "a delta with a result of {bytes} bytes refers to its base by object id: at most {max} bytes \
         are accepted; push with the git command line client"
    )]
    UnknownBase { bytes: u64, max: u64 },
    #[error(
        "a chain of {depth} deltas is too long: at most {max} are accepted; run git repack -a -d -F, then push again"
    )]
    ChainTooLong { depth: u32, max: u32 },
    #[error(
        "the deltas of one object add up to {bytes} bytes, more than this server unpacks for one object; run git repack -a -d -F, then push again"
    )]
    ChainTooCostly { bytes: u64 },
    #[error(
        "a delta of {bytes} bytes with a result of {result} bytes is not accepted; run git repack -a -d -F, then push again"
    )]
    DeltaLargerThanResult { bytes: u64, result: u64 },
    #[error(
        "the large files that the push has as deltas unpack to more than {max} bytes: push the history in parts"
    )]
    TooMuchLarge { max: u64 },
    #[error("the objects of the push unpack to more than {max} bytes: push the history in parts")]
    TooMuch { max: u64 },
}
