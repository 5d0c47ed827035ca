//! Types of files: images, sound and video, and contents that are none of these.

use super::*;

fn of(bytes: &[u8]) -> Media {
    let head = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
    let tail = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or(bytes);
    media_of(head, tail, u64::try_from(bytes.len()).unwrap())
}

/// A PNG header of 3 x 2 pixels with the end of a PNG.
fn png_bytes() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0....".to_vec();
    bytes.extend(b"\0\0\0\0IEND\xaeB`\x82");
    bytes
}

fn jpeg_bytes() -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0".to_vec();
    bytes.extend(b"\xff\xff\xc2\0\x11\x08\0\x09\0\x10\x03");
    bytes.extend(b"\xff\xd9");
    bytes
}

/// Returns a JPEG whose Exif data has this orientation.
fn turned_jpeg(is_little: bool, orientation: u8) -> Vec<u8> {
    let short = |value: u8| if is_little { [value, 0] } else { [0, value] };
    let mut exif = b"Exif\0\0".to_vec();
    exif.extend(if is_little { b"II*\0\x08\0\0\0" } else { b"MM\0*\0\0\0\x08" });
    exif.extend(short(2));
    exif.extend([0; 12]);
    exif.extend(if is_little { [0x12, 1] } else { [1, 0x12] });
    exif.extend([short(3), [0, 0], short(1), short(orientation), [0, 0]].concat());
    let length = u8::try_from(exif.len() + 2).unwrap();
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1, 0, length];
    bytes.extend(exif);
    bytes.extend(&jpeg_bytes()[2..]);
    bytes
}

/// Regression: photographs that were taken upright had the sides of a lying one.
#[test]
fn sides_of_a_photograph_are_those_after_turning() {
    for is_little in [true, false] {
        for (orientation, pixels) in [(1, (16, 9)), (3, (16, 9)), (6, (9, 16)), (8, (9, 16)), (9, (16, 9))] {
            let bytes = turned_jpeg(is_little, orientation);
            assert_eq!(of(&bytes).pixels, Some(pixels), "{orientation}");
            for end in 0..bytes.len() {
                let _: Media = of(&bytes[..end]);
            }
        }
    }
}

fn webp_bytes(chunk: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WEBP".to_vec();
    bytes.extend(chunk);
    let size = u32::try_from(bytes.len() - 8).unwrap().to_le_bytes();
    bytes[4..8].copy_from_slice(&size);
    bytes
}

#[test]
fn images_are_recognised_with_their_pixels() {
    let gif = b"GIF89a\x05\0\x04\0\0\0\0;";
    let extended = webp_bytes(b"VP8X\x0a\0\0\0\0\0\0\0\x06\0\0\x07\0\0");
    let lossless = webp_bytes(b"VP8L\x0a\0\0\0\x2f\x01\xc0\0\0");
    let lossy = webp_bytes(b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\x09\0\x0a\0");
    for (bytes, media_type, pixels) in [
        (png_bytes(), "image/png", (3, 2)),
        (jpeg_bytes(), "image/jpeg", (16, 9)),
        (gif.to_vec(), "image/gif", (5, 4)),
        (extended, "image/webp", (7, 8)),
        (lossless, "image/webp", (2, 4)),
        (lossy, "image/webp", (9, 10)),
    ] {
        let found = of(&bytes);
        assert_eq!((found.media_type, found.pixels), (media_type, Some(pixels)));
        assert!(is_shown(found.media_type));
        for end in 0..bytes.len() {
            let _: Media = of(&bytes[..end]);
        }
    }
}

#[test]
fn documents_and_polyglots_are_not_shown() {
    let script = b"<script>alert(1)</script>";
    let mut png = png_bytes();
    png.extend(script);
    let mut webp = webp_bytes(b"VP8X\x0a\0\0\0\0\0\0\0\x06\0\0\x07\0\0");
    webp.extend(script);
    for bytes in [
        &b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"[..],
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"GIF89a/*\x01\0\0\0*/=1;alert(1)//",
        b"\xff\xd8\xff<script>alert(1)</script>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"",
        b"\0",
        &png,
        &webp,
    ] {
        assert!(!is_shown(of(bytes).media_type), "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(of(b"hello \xc3\xbc").media_type, "text/plain");
    assert_eq!(of(b"hello \xc3").media_type, UNKNOWN);
}

#[test]
fn sound_and_video_are_recognised_by_their_containers() {
    let mut mp3 = vec![0; 420];
    mp3[..3].copy_from_slice(b"\xff\xfb\x90");
    mp3[417..420].copy_from_slice(b"\xff\xfb\x90");
    for (bytes, media_type) in [
        (&b"\0\0\0\x18ftypisom\0\0\0\0"[..], "video/mp4"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0", "audio/mp4"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82\x84webm", "video/webm"),
        (b"OggS\0\x02", "audio/ogg"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav"),
        (b"fLaC\0", "audio/flac"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (&mp3, "audio/mpeg"),
    ] {
        assert_eq!(of(bytes).media_type, media_type, "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(of(b"\x1a\x45\xdf\xa3\x01\0\0\0matroska").media_type, UNKNOWN);
    assert_eq!(of(b"\xff\xfb\x90\x64").media_type, UNKNOWN, "no second frame follows");
}
