//! Recognises the types of files by their content, never by their name.
//!
//! Only types that browsers show without running anything in them count as media: images without
//! scripts, video and sound. A PNG, GIF or WebP must end where the file ends; of other types, the
//! beginning decides.

use super::image::{ImageKind, image_kind};

/// Number of bytes at the beginning of a file that [`media_of`] reads.
pub const HEAD_BYTES: usize = 128 * 1024;
/// Number of bytes at the end of a file that [`media_of`] reads.
pub const TAIL_BYTES: usize = 12;

/// Entries of Exif data that are read.
const EXIF_ENTRIES_MAX: usize = 64;

/// The type of any other content.
const UNKNOWN: &str = "application/octet-stream";
/// The types that are shown in a page.
pub(crate) const SHOWN: [&str; 12] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "video/mp4",
    "video/webm",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/flac",
    "audio/aac",
];

/// The type of a file, and the size of an image in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media {
    pub media_type: &'static str,
    pub pixels: Option<(i64, i64)>,
}

impl Media {
    fn of(media_type: &'static str) -> Self {
        Self { media_type, pixels: None }
    }
}

/// Returns whether browsers may show files of this type, instead of saving them.
pub fn is_shown(media_type: &str) -> bool {
    SHOWN.contains(&media_type)
}

/// Returns whether thumbnails are made of files of this type.
pub fn is_decoded(media_type: &str) -> bool {
    matches!(media_type, "image/png" | "image/jpeg" | "image/gif" | "image/webp")
}

/// Returns the type of a file of `size` bytes with this beginning and end.
pub fn media_of(head: &[u8], tail: &[u8], size: u64) -> Media {
    if let Some(image) = image_of(head, tail, size) {
        return image;
    }
    let at = |from: usize, magic: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(magic));
    let named = if at(4, b"ftyp") {
        iso_media(head)
    } else if at(0, b"\x1a\x45\xdf\xa3") {
        // Matroska has the same beginning; its document type follows within the header.
        let header = head.get(..64).unwrap_or(head);
        header.windows(4).any(|window| window == b"webm").then_some("video/webm")
    } else if at(0, b"OggS") {
        Some("audio/ogg")
    } else if at(0, b"RIFF") && at(8, b"WAVE") {
        Some("audio/wav")
    } else if at(0, b"fLaC") {
        Some("audio/flac")
    } else if at(0, b"ID3") {
        Some("audio/mpeg")
    } else {
        frames_of_sound(head)
    };
    let named = named.or_else(|| if at(0, b"%PDF-") { Some("application/pdf") } else { None });
    let named = named.or_else(|| if at(0, b"PK\x03\x04") { Some("application/zip") } else { None });
    Media::of(named.unwrap_or_else(|| if is_text(head) { "text/plain" } else { UNKNOWN }))
}

/// Returns the image whose header is complete, and which ends where the file ends.
fn image_of(head: &[u8], tail: &[u8], size: u64) -> Option<Media> {
    let kind = image_kind(head)?;
    let pixels = match kind {
        ImageKind::Png => png(head).filter(|_| tail.ends_with(b"IEND\xaeB`\x82")),
        ImageKind::Gif => gif(head).filter(|_| tail.ends_with(b"\x3b")),
        ImageKind::Webp => webp(head, size),
        // Cameras append data of their own to their photographs.
        ImageKind::Jpeg => jpeg(head),
        ImageKind::Avif | ImageKind::Svg => None,
    };
    let pixels = pixels.filter(|(width, height)| *width > 0 && *height > 0)?;
    Some(Media { media_type: kind.media_type(), pixels: Some(pixels) })
}

fn be16(bytes: &[u8], at: usize) -> Option<i64> {
    let bytes = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*bytes).into())
}

fn le16(bytes: &[u8], at: usize) -> Option<i64> {
    let bytes = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*bytes).into())
}

fn le24(bytes: &[u8], at: usize) -> Option<i64> {
    let [low, middle, high] = *bytes.get(at..)?.first_chunk::<3>()?;
    Some(u32::from_le_bytes([low, middle, high, 0]).into())
}

fn be32(bytes: &[u8], at: usize) -> Option<i64> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes).into())
}

/// The first chunk is `IHDR` (PNG, section 11.2.2).
fn png(head: &[u8]) -> Option<(i64, i64)> {
    let is_header = head.get(8..16)? == b"\0\0\0\rIHDR";
    Some((be32(head, 16)?, be32(head, 20)?)).filter(|_| is_header)
}

fn gif(head: &[u8]) -> Option<(i64, i64)> {
    Some((le16(head, 6)?, le16(head, 8)?))
}

/// Reads the three forms of the first chunk (RFC 9649).
fn webp(head: &[u8], size: u64) -> Option<(i64, i64)> {
    let riff = u32::from_le_bytes(*head.get(4..)?.first_chunk::<4>()?);
    if u64::from(riff).checked_add(8)? != size {
        return None;
    }
    match head.get(12..16)? {
        b"VP8X" => Some((le24(head, 24)? + 1, le24(head, 27)? + 1)),
        b"VP8 " => {
            let is_key = head.get(23..26)? == b"\x9d\x01\x2a";
            Some((le16(head, 26)? & 0x3fff, le16(head, 28)? & 0x3fff)).filter(|_| is_key)
        }
        b"VP8L" => {
            let bits = u32::from_le_bytes(*head.get(21..)?.first_chunk::<4>()?);
            let pixels = ((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1);
            Some((pixels.0.into(), pixels.1.into())).filter(|_| head.get(20) == Some(&0x2f))
        }
        _ => None,
    }
}

/// Follows the segments up to the frame header (ITU T.81, annex B). Browsers turn a photograph as
/// its camera was turned: then width and height are exchanged.
fn jpeg(head: &[u8]) -> Option<(i64, i64)> {
    let mut at = 2_usize;
    let mut is_turned = false;
    loop {
        let [0xff, marker] = *head.get(at..)?.first_chunk::<2>()? else { return None };
        match marker {
            // Fill bytes.
            0xff => at = at.checked_add(1)?,
            0x01 | 0xd0..=0xd7 => at = at.checked_add(2)?,
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let (width, height) = (be16(head, at.checked_add(7)?)?, be16(head, at.checked_add(5)?)?);
                return Some(if is_turned { (height, width) } else { (width, height) });
            }
            0xd9 | 0xda => return None,
            _ => {
                let length = usize::try_from(be16(head, at.checked_add(2)?)?).ok()?;
                let segment = at.checked_add(4)?;
                at = at.checked_add(2)?.checked_add(length.max(2))?;
                if marker == 0xe1 {
                    is_turned |= head.get(segment..at).and_then(is_turned_by).unwrap_or(false);
                }
            }
        }
    }
}

/// Returns whether the orientation in Exif data exchanges width and height (Exif 2.3, section
/// 4.6.4).
fn is_turned_by(segment: &[u8]) -> Option<bool> {
    let tiff = segment.strip_prefix(b"Exif\0\0")?;
    let is_little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| if is_little { le16(tiff, at) } else { be16(tiff, at) };
    let first = *tiff.get(4..)?.first_chunk::<4>()?;
    let first = if is_little { u32::from_le_bytes(first) } else { u32::from_be_bytes(first) };
    let first = usize::try_from(first).ok()?;
    let entries = usize::try_from(short(first)?).ok()?.min(EXIF_ENTRIES_MAX);
    let mut places = (0..entries).filter_map(|entry| first.checked_add(2)?.checked_add(entry * 12));
    let orientation = places.find(|at| short(*at) == Some(0x0112))?;
    Some((5..=8).contains(&short(orientation.checked_add(8)?)?))
}

/// Returns the type of an ISO media file by its main brand.
fn iso_media(head: &[u8]) -> Option<&'static str> {
    match head.get(8..12)? {
        b"M4A " | b"M4B " => Some("audio/mp4"),
        b"isom" | b"iso2" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"M4V " | b"dash"
        | b"MSNV" => Some("video/mp4"),
        _ => None,
    }
}

/// The bit rates of MPEG audio version 1, layer III, in kbit/s, and its sample rates.
const RATES: [usize; 16] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0];
const SAMPLES: [usize; 4] = [44_100, 48_000, 32_000, 0];

/// Returns the type of sound without a container: two frames of MPEG audio that follow each other,
/// or a header of AAC.
fn frames_of_sound(head: &[u8]) -> Option<&'static str> {
    let [first, second, third, ..] = *head else { return None };
    if first != 0xff {
        return None;
    }
    if second & 0xf6 == 0xf0 {
        return Some("audio/aac");
    }
    if second & 0xfe != 0xfa {
        return None;
    }
    let rate = RATES.get(usize::from(third >> 4)).copied().filter(|rate| *rate > 0)?;
    let samples = SAMPLES.get(usize::from((third >> 2) & 3)).copied().filter(|rate| *rate > 0)?;
    let length = 144_000 * rate / samples + usize::from((third >> 1) & 1);
    let next = head.get(length..)?.first_chunk::<2>()?;
    (next.first() == Some(&0xff) && next.get(1).is_some_and(|byte| byte & 0xfe == 0xfa))
        .then_some("audio/mpeg")
}

/// Returns whether the beginning is UTF-8 without NUL. Its last character may be incomplete.
fn is_text(head: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && head.len() >= HEAD_BYTES,
    };
    is_utf8 && !head.contains(&0)
}

#[cfg(test)]
#[path = "media_test.rs"]
mod tests;
