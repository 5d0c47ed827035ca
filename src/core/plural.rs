//! Counts with their noun and sizes with their unit, for texts that users read.

use std::fmt::Display;

/// Returns the count and the noun that fits it: `1 repository`, `2 repositories`.
pub fn plural(count: impl Display + TryInto<u64>, singular: &str, plural: &str) -> String {
    let text = count.to_string();
    let noun = if count.try_into().is_ok_and(|count| count == 1) { singular } else { plural };
    format!("{text} {noun}")
}

const KIB: u64 = 1024;
const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// Returns a size with a unit: `812 bytes`, `4.5 KiB`.
pub fn size(bytes: u64) -> String {
    if bytes < KIB {
        return plural(bytes, "byte", "bytes");
    }
    let (mut unit_bytes, mut unit) = (KIB, "KiB");
    for larger in UNITS.into_iter().skip(1) {
        if bytes / unit_bytes < KIB {
            break;
        }
        (unit_bytes, unit) = (unit_bytes.saturating_mul(KIB), larger);
    }
    let tenths = u128::from(bytes).saturating_mul(10).saturating_add(u128::from(unit_bytes / 2))
        / u128::from(unit_bytes);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noun_is_singular_only_for_one() {
        let texts = [0, 1, 2, -1].map(|count| plural(count, "entry", "entries"));
        assert_eq!(texts, ["0 entries", "1 entry", "2 entries", "-1 entries"]);
    }

    #[test]
    fn size_has_the_unit_that_fits() {
        let sizes = [0, 1, 1023, 1024, 1536, 1 << 20, 5 << 29];
        let shown: Vec<_> = sizes.into_iter().map(size).collect();
        let expected = ["0 bytes", "1 byte", "1023 bytes", "1.0 KiB", "1.5 KiB", "1.0 MiB", "2.5 GiB"];
        assert_eq!(shown, expected);
        assert!(size(u64::MAX).ends_with("PiB"));
    }
}
