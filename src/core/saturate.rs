//! Conversions of sizes, counts and times that return the maximum instead of failing.

use std::time::Duration;

/// Returns a count or a size as `i64`, the integer type of SQLite.
#[inline]
pub fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns a count or a size in memory as `u64`.
#[inline]
pub fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Returns a size or an offset in a file as `usize`.
#[inline]
pub fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Returns the whole milliseconds of a duration.
#[inline]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
