//! Decodes untrusted texts and truncates them for display.

use encoding_rs::{Encoding, ISO_2022_JP, REPLACEMENT, UTF_8};

/// Maximum size of a commit message or a tag message; longer messages are truncated.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Maximum size of one line of text: a summary, a name, an address.
const LINE_BYTES_MAX: usize = 1024;

/// Returns the encoding of a commit's `encoding` header; `None` for UTF-8 and for unknown names.
pub(in crate::git) fn encoding(label: &[u8]) -> Option<&'static Encoding> {
    let found = Encoding::for_label(label)?;
    // `REPLACEMENT` stands for encodings that must not be decoded.
    // Lines and headers are split before they are decoded.
    let is_divided = found.is_ascii_compatible() || found == ISO_2022_JP;
    (found != UTF_8 && found != REPLACEMENT && is_divided).then_some(found)
}

/// Decodes a message. Returns it and whether it was truncated.
pub(super) fn message(bytes: &[u8], encoding: Option<&'static Encoding>) -> (String, bool) {
    cut(bytes, MESSAGE_BYTES_MAX, encoding)
}

/// Decodes one line of untrusted text.
pub(in crate::git) fn line(bytes: &[u8], encoding: Option<&'static Encoding>) -> String {
    cut(bytes, LINE_BYTES_MAX, encoding).0
}

/// Returns the first paragraph as one line, truncated to the displayed length.
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

/// Decodes the first `max` bytes, without splitting a character. Returns the text and whether it
/// was truncated.
pub(in crate::git) fn cut(bytes: &[u8], max: usize, encoding: Option<&'static Encoding>) -> (String, bool) {
    let Some(encoding) = encoding else { return cut_utf8(bytes, max) };
    let is_cut = bytes.len() > max;
    let head = if is_cut { bytes.get(..max).unwrap_or(bytes) } else { bytes };
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length(head.len()).unwrap_or(head.len()));
    // The capacity is sufficient. A character that continues after the cut is omitted.
    let _ = decoder.decode_to_string(head, &mut text, !is_cut);
    let (shown, grown) = cut_utf8(text.as_bytes(), max);
    (shown, is_cut || grown)
}

fn cut_utf8(bytes: &[u8], max: usize) -> (String, bool) {
    let Some(mut head) = bytes.get(..max).filter(|_| bytes.len() > max) else {
        return (String::from_utf8_lossy(bytes).into_owned(), false);
    };
    // At most three bytes of an incomplete character can remain at the end.
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

/// The first lines of tag signatures (gitformat-signature).
const SIGNATURES: [&[u8]; 4] = [
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
];

/// Splits a tag into its message and the signature that follows. As in git, the signature begins at
/// the last line that starts one.
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
    fn signature_is_split_from_tag_message() {
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
    fn cut_never_splits_a_character() {
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
    fn paragraph_joins_lines_up_to_an_empty_line() {
        assert_eq!(paragraph(b"\n\n One \r\n  line\n \nBody"), b"One line");
        assert_eq!(paragraph(b""), b"");
        assert!(paragraph(&[b'x'; 5000]).len() <= LINE_BYTES_MAX + 1);
    }
}
