//! Pictures for tests, usual ones and bombs.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Returns a picture of this size, with different pixels.
pub(crate) fn picture(width: u32, height: u32) -> DynamicImage {
    let part = |at: u32, of: u32| u8::try_from(at * 255 / of).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([part(x, width), part(y, height), 120])).into()
}

/// Returns a picture that does not compress.
pub(crate) fn noise(width: u32, height: u32) -> DynamicImage {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()
    };
    RgbImage::from_fn(width, height, |_, _| {
        let [red, green, blue, _] = next();
        Rgb([red, green, blue])
    })
    .into()
}

pub(crate) fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Returns a JPEG with the position of a camera in its EXIF, turned by a quarter, and with text
/// after its end.
pub(crate) fn photograph(width: u32, height: u32) -> Vec<u8> {
    let jpeg = written(&picture(width, height), ImageFormat::Jpeg);
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0GPS 52.5N 13.4E";
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], b"\xff\xe1", &length, exif, &jpeg[2..], b"<script>alert(1)</script>"].concat()
}

/// Returns `count` zeros, compressed.
fn zeros(count: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let piece = vec![0; 1 << 20];
    let mut left = count;
    while left > 0 {
        let part = left.min(piece.len());
        encoder.write_all(&piece[..part]).unwrap();
        left -= part;
    }
    encoder.finish().unwrap()
}

fn chunk(name: &[u8], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(name);
    crc.update(data);
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], name, data, &crc.sum().to_be_bytes()].concat()
}

/// Returns a PNG of this size and these bits for each of the four samples of a pixel.
fn png(side: u32, bits: u8, data: &[u8], more: &[u8]) -> Vec<u8> {
    let sides = side.to_be_bytes();
    let header = [&sides[..], &sides, &[bits, 6, 0, 0, 0]].concat();
    let magic = b"\x89PNG\r\n\x1a\n";
    [&magic[..], &chunk(b"IHDR", &header), more, &chunk(b"IDAT", data), &chunk(b"IEND", b"")].concat()
}

fn gif((width, height): (u16, u16), (frame_width, frame_height): (u16, u16)) -> Vec<u8> {
    let screen = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let frame = [frame_width.to_le_bytes(), frame_height.to_le_bytes()].concat();
    let colors = b"\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0";
    [b"GIF89a", &screen[..], colors, &frame, b"\0\x02\x02\x4c\x01\0\x3b"].concat()
}

/// Returns a JPEG with an empty scan of this size.
fn jpeg(side: u16, is_progressive: bool, scan: usize) -> Vec<u8> {
    let sides = [side.to_be_bytes(), side.to_be_bytes()].concat();
    let frame = if is_progressive { 0xc2 } else { 0xc0 };
    let codes = |class: u8| {
        let mut table = vec![0xff, 0xc4, 0, 20, class, 1];
        table.extend([0; 16]);
        table
    };
    let last = if is_progressive { 0 } else { 63 };
    [
        &b"\xff\xd8\xff\xdb\0\x43\0"[..],
        &[1; 64],
        &[0xff, frame, 0, 17, 8],
        &sides,
        b"\x03\x01\x11\0\x02\x11\0\x03\x11\0",
        &codes(0),
        &codes(0x10),
        b"\xff\xda\0\x0c\x03\x01\0\x02\0\x03\0\0",
        &[last, 0],
        &vec![0; scan],
        b"\xff\xd9",
    ]
    .concat()
}

/// Pictures of a few kilobytes that claim or inflate to gigabytes, by name.
pub(crate) struct Bombs {
    /// None of these has a thumbnail.
    pub(crate) refused: Vec<(&'static str, Vec<u8>)>,
    /// Decoders skip the bomb in these.
    pub(crate) skipped: Vec<(&'static str, Vec<u8>)>,
}

/// Returns bombs. It takes seconds.
pub(crate) fn bombs() -> Bombs {
    let (one, huge) = (zeros(10 * 41), zeros(272 << 20));
    let text = [b"x\0\0".as_slice(), &huge].concat();
    let mut webp = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0".to_vec();
    webp.extend([0xff; 6]);
    webp.extend(b"ANIM\x06\0\0\0\0\0\0\0\0\0");
    let size = u32::try_from(webp.len() - 8).unwrap();
    webp[4..8].copy_from_slice(&size.to_le_bytes());
    let refused = vec![
        ("claims.png", png(100_000, 8, &one, b"")),
        ("deep.png", png(7_000, 16, &huge, b"")),
        ("profile.png", png(10, 8, &one, &chunk(b"iCCP", &text))),
        ("canvas.gif", gif((65_535, 65_535), (1, 1))),
        ("frame.gif", gif((10, 10), (65_535, 65_535))),
        ("claims.jpg", jpeg(65_500, false, 1_000)),
        ("progressive.jpg", jpeg(7_000, true, 600_000)),
        ("claims.webp", webp),
    ];
    let skipped =
        vec![("text.png", png(10, 8, &one, &chunk(b"zTXt", &text))), ("rest.png", png(10, 8, &huge, b""))];
    Bombs { refused, skipped }
}
