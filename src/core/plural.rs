//! Counts with their noun, for texts that users read.

use std::fmt::Display;

/// Returns the count and the noun that fits it: `1 repository`, `2 repositories`.
pub fn plural(count: impl Display + TryInto<u64>, singular: &str, plural: &str) -> String {
    let text = count.to_string();
    let noun = if count.try_into().is_ok_and(|count| count == 1) { singular } else { plural };
    format!("{text} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noun_is_singular_only_for_one() {
        let texts = [0, 1, 2, -1].map(|count| plural(count, "entry", "entries"));
        assert_eq!(texts, ["0 entries", "1 entry", "2 entries", "-1 entries"]);
    }
}
