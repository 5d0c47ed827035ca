//! Converts paths between bytes (git) and text (JSON and most clients).
//!
//! Valid UTF-8 is unchanged. Every other byte is written as `%` and two upper-case hex digits,
//! which are 80 to FF. If a name itself contains such a sequence, its `%` is written `%25`. The
//! text of a path is therefore unique:
//!
//! | Bytes | Text |
//! |---|---|
//! | `caf` `e9` | `caf%E9` |
//! | `100%`, `a%41`, `%e9` | the same |
//! | `caf%E9` | `caf%25E9` |
//! | `caf%25E9` | `caf%2525E9` |

use std::borrow::Cow;

const PERCENT: &[u8] = b"25";

/// Returns the text of a path.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some((before, behind)) = rest.split_once('%') {
            text.push_str(before);
            text.push_str(if escape(behind.as_bytes()).is_some() { "%25" } else { "%" });
            rest = behind;
        }
        text.push_str(rest);
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
    }
    text
}

/// Returns the bytes of the text of a path.
pub fn unescaped(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    let (mut found, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let (before, behind) = rest.split_at(at.saturating_add(1));
        match escape(behind) {
            Some((0, byte)) => {
                found.extend_from_slice(before.strip_suffix(b"%").unwrap_or(before));
                found.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            // `%25` stands for `%`; the rest of the sequence is literal text.
            Some((levels, _)) => {
                found.extend_from_slice(before);
                let kept = levels.saturating_sub(1).saturating_mul(PERCENT.len());
                let (kept, end) = (behind.get(PERCENT.len()..), kept.saturating_add(2));
                found.extend_from_slice(kept.and_then(|kept| kept.get(..end)).unwrap_or_default());
                rest = kept.and_then(|kept| kept.get(end..)).unwrap_or_default();
            }
            None => {
                found.extend_from_slice(before);
                rest = behind;
            }
        }
    }
    if found.is_empty() && rest.len() == bytes.len() {
        return Cow::Borrowed(bytes);
    }
    found.extend_from_slice(rest);
    Cow::Owned(found)
}

/// Parses the text after a `%` that begins an escape. Returns the number of `25`s and the byte at
/// the end.
fn escape(mut behind: &[u8]) -> Option<(usize, u8)> {
    let mut levels = 0_usize;
    while let Some(rest) = behind.strip_prefix(PERCENT) {
        (behind, levels) = (rest, levels.saturating_add(1));
    }
    let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
    let is_upper = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| is_upper && *byte >= 0x80)?;
    Some((levels, byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn path_text_escapes_only_bytes_that_are_not_utf_8() {
        for (bytes, text) in [
            (&b"caf\xe9"[..], "caf%E9"),
            ("docs/ü 100%".as_bytes(), "docs/ü 100%"),
            (b"a%41", "a%41"),
            (b"%e9", "%e9"),
            (b"caf%E9", "caf%25E9"),
            (b"caf%25E9.html", "caf%2525E9.html"),
            (b"%25", "%25"),
            (b"%%E9\xff%", "%%25E9%FF%"),
            (b"%\xe9", "%%E9"),
            (b"%25\xe9", "%25%E9"),
        ] {
            assert_eq!(escaped(bytes), text);
            assert_eq!(&*unescaped(text), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn path_text_round_trips_every_path(path in proptest::collection::vec(
            prop_oneof![Just(b'%'), Just(b'2'), Just(b'5'), Just(b'E'), Just(b'9'), any::<u8>()], 0..24,
        )) {
            let text = escaped(&path);
            prop_assert_eq!(&*unescaped(&text), path.as_slice());
        }
    }
}
