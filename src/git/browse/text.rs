//! Strangers' texts, made readable: decoded, and cut to what is shown.

use encoding_rs::{Encoding, ISO_2022_JP, REPLACEMENT, UTF_8};

/// A commit message or a tag message beyond this is cut.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// One line of text: a summary, a name, an address.
const LINE_BYTES_MAX: usize = 1024;

/// The encoding of a commit's `encoding` header; `None` for UTF-8, and for a name that is not known.
pub(in crate::git) fn encoding(label: &[u8]) -> Option<&'static Encoding> {
    let found = Encoding::for_label(label)?;
    // The replacement encoding stands for those that must not be decoded.
    // Lines and headers are divided before they are decoded.
    let is_divided = found.is_ascii_compatible() || found == ISO_2022_JP;
    (found != UTF_8 && found != REPLACEMENT && is_divided).then_some(found)
}

/// A message and whether it was cut.
pub(super) fn message(bytes: &[u8], encoding: Option<&'static Encoding>) -> (String, bool) {
    cut(bytes, MESSAGE_BYTES_MAX, encoding)
}

/// One line of a stranger's text.
pub(in crate::git) fn line(bytes: &[u8], encoding: Option<&'static Encoding>) -> String {
    cut(bytes, LINE_BYTES_MAX, encoding).0
}

/// The first paragraph in one line, as far as it can be shown.
pub(in crate::git) fn paragraph(message: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let lines = message.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()) {
        if !found.is_empty() {
            found.push(b' ');
        }
        found.extend_from_slice(line.get(..=LINE_BYTES_MAX).unwrap_or(line));
        if found.len() > LINE_BYTES_MAX {
            break;
        }
    }
    found
}

/// The first `max` bytes as text, not ending within a character.
pub(in crate::git) fn cut(bytes: &[u8], max: usize, encoding: Option<&'static Encoding>) -> (String, bool) {
    let Some(encoding) = encoding else { return cut_utf8(bytes, max) };
    let is_cut = bytes.len() > max;
    let head = if is_cut { bytes.get(..max).unwrap_or(bytes) } else { bytes };
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length(head.len()).unwrap_or(head.len()));
    // There is room for all of it. A character that goes on behind the cut is left out.
    let _ = decoder.decode_to_string(head, &mut text, !is_cut);
    let (shown, grown) = cut_utf8(text.as_bytes(), max);
    (shown, is_cut || grown)
}

fn cut_utf8(bytes: &[u8], max: usize) -> (String, bool) {
    let Some(mut head) = bytes.get(..max).filter(|_| bytes.len() > max) else {
        return (String::from_utf8_lossy(bytes).into_owned(), false);
    };
    // At most three bytes of a character can be left over at the end.
    for back in 1..=3 {
        if let Some((before, rest)) = head.len().checked_sub(back).and_then(|at| head.split_at_checked(at))
            && std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none())
        {
            head = before;
            break;
        }
    }
    (String::from_utf8_lossy(head).into_owned(), true)
}

/// How signatures of tags begin (gitformat-signature).
const SIGNATURES: [&[u8]; 4] = [
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
];

/// What a tag says, and the signature behind it. As git has it, the last line that begins a signature counts.
pub(super) fn without_signature(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut at, mut found) = (0_usize, None);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if SIGNATURES.iter().any(|signature| line.starts_with(signature)) {
            found = Some(at);
        }
        at = at.saturating_add(line.len());
    }
    match found.and_then(|at| bytes.split_at_checked(at)) {
        Some((message, signature)) => (message, Some(signature)),
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_told_from_what_a_tag_says() {
        for kind in ["PGP SIGNATURE", "PGP MESSAGE", "SIGNED MESSAGE", "SSH SIGNATURE"] {
            let signature = format!("-----BEGIN {kind}-----\nabc\n-----END {kind}-----\n");
            let tag = format!("v1\n\nnews\n{signature}");
            let found = without_signature(tag.as_bytes());
            assert_eq!(found, (&b"v1\n\nnews\n"[..], Some(signature.as_bytes())));
            let quoted = format!("> -----BEGIN {kind}-----\nabc\n");
            assert_eq!(without_signature(quoted.as_bytes()), (quoted.as_bytes(), None));
        }
        assert_eq!(without_signature(b""), (&b""[..], None));
    }

    #[test]
    fn a_cut_does_not_fall_into_a_character() {
        let cut = |bytes: &[u8], max| super::cut(bytes, max, None);
        assert_eq!(cut("abc".as_bytes(), 3), ("abc".to_owned(), false));
        assert_eq!(cut("aé€😀x".as_bytes(), 2), ("a".to_owned(), true));
        assert_eq!(cut("aé€😀x".as_bytes(), 5), ("aé".to_owned(), true));
        assert_eq!(cut("aé€😀x".as_bytes(), 9), ("aé€".to_owned(), true));
        assert_eq!(cut("aé€😀x".as_bytes(), 10), ("aé€😀".to_owned(), true));
        assert_eq!(cut(b"\xff\xff\xff\xff", 2).0, "\u{fffd}\u{fffd}");
        let japanese = encoding(b"euc-jp");
        assert_eq!(super::cut(b"\xc6\xfc\xcb\xdc", 3, japanese), ("日".to_owned(), true));
        assert_eq!(super::cut(b"\xc6\xfc\xcb\xdc", 4, japanese), ("日".to_owned(), true));
        assert_eq!(super::cut(b"\xc6\xfc\xcb\xdc", 6, japanese), ("日本".to_owned(), false));
    }

    #[test]
    fn paragraph_is_one_line_up_to_an_empty_one() {
        assert_eq!(paragraph(b"\n\n One \r\n  line\n \nBody"), b"One line");
        assert_eq!(paragraph(b""), b"");
        assert!(paragraph(&[b'x'; 5000]).len() <= LINE_BYTES_MAX + 1);
    }
}
