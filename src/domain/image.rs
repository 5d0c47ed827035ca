//! Recognises images by their content, never by their name.

/// Maximum number of bytes that [`image_kind`] reads.
pub const PREFIX_BYTES_MAX: usize = 4096;

/// A kind of image that browsers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    Png,
    Jpeg,
    Gif,
    Webp,
    Avif,
    /// A document that may contain scripts: it is only safe in a sandbox.
    Svg,
}

impl ImageKind {
    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// Returns the kind of image that begins with these bytes. Reads at most [`PREFIX_BYTES_MAX`].
pub fn image_kind(bytes: &[u8]) -> Option<ImageKind> {
    let bytes = bytes.get(..PREFIX_BYTES_MAX).unwrap_or(bytes);
    let at = |from: usize, magic: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"\x89PNG\r\n\x1a\n") {
        Some(ImageKind::Png)
    } else if at(0, b"\xff\xd8\xff") {
        Some(ImageKind::Jpeg)
    } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
        Some(ImageKind::Gif)
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        Some(ImageKind::Webp)
    } else if is_avif(bytes) {
        Some(ImageKind::Avif)
    } else if is_svg(bytes) {
        Some(ImageKind::Svg)
    } else {
        None
    }
}

/// Returns whether the first box is a file type box with a brand of AVIF (AV1 Image File Format,
/// section 6).
fn is_avif(bytes: &[u8]) -> bool {
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return false };
    let Some(brands) = rest.strip_prefix(b"ftyp") else { return false };
    let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
    // The brands follow the 8 bytes of the header; the second four bytes are the minor version.
    let brands = brands.get(..size.saturating_sub(8)).unwrap_or(brands);
    brands.chunks_exact(4).enumerate().any(|(at, brand)| at != 1 && matches!(brand, b"avif" | b"avis"))
}

/// Returns whether the root element of an XML document is `svg`. Only a declaration, comments and a
/// document type may precede it, so an HTML page that contains an `<svg>` is not an image.
fn is_svg(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    loop {
        rest = rest.trim_ascii_start();
        let end: &[u8] = if rest.starts_with(b"<?") {
            b"?>"
        } else if rest.starts_with(b"<!--") {
            b"-->"
        } else if rest.starts_with(b"<!DOCTYPE svg") {
            // An internal subset may contain `>`.
            let plain = rest.iter().position(|byte| *byte == b'>');
            let subset = rest.iter().position(|byte| *byte == b'[');
            if subset < plain && subset.is_some() { b"]>" } else { b">" }
        } else {
            break;
        };
        let Some(at) = rest.windows(end.len()).position(|window| window == end) else { return false };
        rest = rest.get(at.saturating_add(end.len())..).unwrap_or_default();
    }
    let after = rest.strip_prefix(b"<svg").and_then(|rest| rest.first());
    after.is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_is_recognised_by_its_first_bytes() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], ImageKind::Png),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", ImageKind::Jpeg),
            (b"GIF87a..", ImageKind::Gif),
            (b"GIF89a..", ImageKind::Gif),
            (b"RIFF\x10\0\0\0WEBPVP8 ", ImageKind::Webp),
            (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", ImageKind::Avif),
            (b"\0\0\0\x18ftypmif1\0\0\0\0miafavif", ImageKind::Avif),
            (b"<svg/>", ImageKind::Svg),
            (b"<svg xmlns='http://www.w3.org/2000/svg'>", ImageKind::Svg),
            (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- <html> -->\n<svg>", ImageKind::Svg),
            (b"<!DOCTYPE svg PUBLIC 'x'>\n<svg>", ImageKind::Svg),
            (b"<!DOCTYPE svg [<!ENTITY a '>'>]>\n<svg\n", ImageKind::Svg),
        ] {
            assert_eq!(image_kind(bytes), Some(kind), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn other_contents_are_not_an_image() {
        let late = [b"<!--".as_slice(), &[b' '; PREFIX_BYTES_MAX], b"--><svg>"].concat();
        let brand = b"\0\0\0\x10ftypisom\0\0\0\0avif";
        for bytes in [
            &b""[..],
            b"\x89PNG",
            b"\xff\xd8",
            b"GIF88a",
            b"RIFF\x10\0\0\0WAVE",
            b"\0\0\0\x18ftypisom\0\0\0\0isommp41",
            b"\0\0\0\x14ftypisomavifisom",
            brand,
            b"%PDF-1.7",
            b"<svgx>",
            b"<svg",
            b"text <svg>",
            b"<html><svg></svg></html>",
            b"<!DOCTYPE html><svg>",
            b"<!DOCTYPE html [<!-- -->]><svg>",
            b"<?xml version='1.0'",
            b"<!-- <svg>",
            &late,
        ] {
            assert_eq!(image_kind(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
