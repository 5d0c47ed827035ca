//! Makes a smaller picture from a file of a user. Runs in the child process only.
//!
//! Invariants
//! * The result is encoded from pixels: no byte of the file is copied, so neither EXIF and GPS nor
//!   foreign bytes remain.
//! * The size in pixels that the header states is checked before pixels are decoded. Decoders read
//!   parts before it, such as a compressed profile, within the memory of the process.
//! * Of an animated picture, the first frame is used.
//!
//! Deliberately absent: profiles of colors. Samples are used as they are, and shown as sRGB.

use std::io::{BufRead, Cursor, ErrorKind, Seek};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType as RowFilter, PngEncoder};
use image::imageops::FilterType;
use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Pixel, Primitive,
};

use super::{Shape, ThumbnailOrder};

/// The formats that are decoded.
const FORMATS: [ImageFormat; 4] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP];
/// The longest side in pixels: the largest that JPEG and GIF can state.
const SIDE_MAX: u32 = 65_535;
/// The qualities of a JPEG, of 100, in the order of the attempts. With the first, text in
/// screenshots stays readable. The others are for pictures that would be too large, such as noise:
/// with the last, 256 x 256 pixels of any color fit into 32 KiB.
const QUALITIES: [u8; 4] = [85, 60, 20, 5];
/// The background of a transparent picture that would be too large as a PNG.
const BACKGROUND: u8 = 255;
/// A picture this many times as long as wide is cut to a square before it is scaled, and not after.
const CUT_FIRST: u32 = 8;

/// Why no picture was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Not a picture that is decoded, or a damaged one.
    #[error("the picture cannot be decoded: {0}")]
    Damaged(String),
    /// The picture exceeds a limit.
    #[error("the picture is too large: {0}")]
    TooLarge(String),
    /// The system could not read the file. The picture may be right.
    #[error("the picture cannot be read: {0}")]
    Io(std::io::Error),
}

impl From<ImageError> for MakeError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => Self::TooLarge(error.to_string()),
            ImageError::IoError(error) => error.into(),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

impl From<std::io::Error> for MakeError {
    fn from(error: std::io::Error) -> Self {
        // A damaged file ends early, or names an impossible offset (EINVAL). Decoders also report
        // its mistakes as errors of this type, without a number of the system.
        let of_file = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidInput);
        if of_file || error.raw_os_error().is_none() {
            return Self::Damaged(error.to_string());
        }
        Self::Io(error)
    }
}

/// Decodes a picture and returns a smaller one: a PNG if it has transparent pixels, else a JPEG.
pub fn make(input: impl BufRead + Seek, order: &ThumbnailOrder) -> Result<Vec<u8>, MakeError> {
    let (picture, orientation) = decode(input, order)?;
    let mut small = scaled(picture, order.shape);
    small.apply_orientation(orientation);
    encode(&small, order.output_bytes)
}

fn decode(
    input: impl BufRead + Seek,
    order: &ThumbnailOrder,
) -> Result<(DynamicImage, image::metadata::Orientation), MakeError> {
    let mut reader = ImageReader::new(input).with_guessed_format()?;
    if !reader.format().is_some_and(|format| FORMATS.contains(&format)) {
        return Err(MakeError::Damaged("it is not a PNG, JPEG, GIF or WebP".to_owned()));
    }
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE_MAX), Some(SIDE_MAX));
    limits.max_alloc = Some(order.memory_bytes);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width).saturating_mul(height.into());
    if pixels == 0 || pixels > order.pixels {
        return Err(MakeError::TooLarge(format!("{width} x {height} pixels")));
    }
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder)?, orientation))
}

/// Returns the picture at most as large as the shape, and never larger than it was.
fn scaled(picture: DynamicImage, shape: Shape) -> DynamicImage {
    let (width, height) = (picture.width().max(1), picture.height().max(1));
    match shape {
        Shape::Within(side) => {
            let side = side.max(1);
            let longest = width.max(height);
            let part = |length: u32| scale(length, side, longest).min(length);
            resized(picture, (part(width), part(height)))
        }
        Shape::Square(side) => {
            let shortest = width.min(height);
            let side = side.clamp(1, shortest);
            // The copy is small beside the picture, which is dropped here.
            let is_long = width.max(height) / shortest >= CUT_FIRST;
            let picture = if is_long { middle(&picture, shortest) } else { picture };
            let part = |length: u32| scale(length, side, shortest).max(side);
            let size = (part(picture.width()), part(picture.height()));
            middle(&resized(picture, size), side)
        }
    }
}

/// Returns a square from the middle.
fn middle(picture: &DynamicImage, side: u32) -> DynamicImage {
    let (left, top) = (picture.width().saturating_sub(side), picture.height().saturating_sub(side));
    picture.crop_imm(left / 2, top / 2, side, side)
}

/// Returns `length * to / from`, rounded, and at least 1.
fn scale(length: u32, to: u32, from: u32) -> u32 {
    let from = u64::from(from.max(1));
    let scaled = (u64::from(length) * u64::from(to) + from / 2) / from;
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

/// Scales down in two steps: averages to twice the size, which needs little memory, then a filter,
/// which needs 16 bytes for each pixel. Each step drops the picture before it.
fn resized(mut picture: DynamicImage, (width, height): (u32, u32)) -> DynamicImage {
    if (picture.width(), picture.height()) == (width, height) {
        return picture;
    }
    // Otherwise the color of transparent pixels would reach their neighbors.
    with_alpha(&mut picture, |color, alpha, full| (color * alpha + full / 2) / full);
    let (twice_wide, twice_high) = (width.saturating_mul(2), height.saturating_mul(2));
    if picture.width() > twice_wide && picture.height() > twice_high {
        picture = picture.thumbnail_exact(twice_wide, twice_high);
    }
    picture = picture.resize_exact(width, height, FilterType::CatmullRom);
    with_alpha(&mut picture, |color, alpha, full| {
        (color * full + alpha / 2).checked_div(alpha).unwrap_or(0).min(full)
    });
    picture
}

/// Replaces each color by a value of it, its alpha and the largest value. A picture without alpha
/// stays.
fn with_alpha(picture: &mut DynamicImage, change: impl Fn(u64, u64, u64) -> u64) {
    match picture {
        DynamicImage::ImageLumaA8(pixels) => change_colors(pixels, change),
        DynamicImage::ImageRgba8(pixels) => change_colors(pixels, change),
        DynamicImage::ImageLumaA16(pixels) => change_colors(pixels, change),
        DynamicImage::ImageRgba16(pixels) => change_colors(pixels, change),
        // The formats have no others with alpha.
        _ => {}
    }
}

/// In place: a copy of a large picture would exceed the memory.
fn change_colors<P: Pixel>(
    pixels: &mut ImageBuffer<P, Vec<P::Subpixel>>,
    change: impl Fn(u64, u64, u64) -> u64,
) where
    P::Subpixel: Into<u64> + TryFrom<u64>,
{
    let full = P::Subpixel::DEFAULT_MAX_VALUE;
    for pixel in pixels.pixels_mut() {
        let Some((alpha, colors)) = pixel.channels_mut().split_last_mut() else { continue };
        if *alpha == full {
            continue;
        }
        for color in colors {
            *color = change((*color).into(), (*alpha).into(), full.into()).try_into().unwrap_or(full);
        }
    }
}

fn encode(picture: &DynamicImage, bytes_max: u64) -> Result<Vec<u8>, MakeError> {
    if picture.color().has_alpha() {
        let pixels = picture.to_rgba8();
        if pixels.pixels().any(|pixel| pixel.0[3] != u8::MAX) {
            let mut encoded = Cursor::new(Vec::new());
            let encoder =
                PngEncoder::new_with_quality(&mut encoded, CompressionType::Default, RowFilter::Adaptive);
            pixels.write_with_encoder(encoder)?;
            let encoded = encoded.into_inner();
            if u64::try_from(encoded.len()).is_ok_and(|bytes| bytes <= bytes_max) {
                return Ok(encoded);
            }
        }
        let mut opaque = image::RgbImage::new(pixels.width(), pixels.height());
        for (to, from) in opaque.pixels_mut().zip(pixels.pixels()) {
            let [red, green, blue, alpha] = from.0;
            to.0 = [red, green, blue].map(|color| blended(color, alpha));
        }
        return jpeg(&opaque.into(), bytes_max);
    }
    let has_color = picture.color().has_color();
    let plain = if has_color { picture.to_rgb8().into() } else { picture.to_luma8().into() };
    jpeg(&plain, bytes_max)
}

/// Returns the color of a pixel on the background.
fn blended(color: u8, alpha: u8) -> u8 {
    let (color, alpha) = (u32::from(color), u32::from(alpha));
    let full = u32::from(u8::MAX);
    let sum = color * alpha + u32::from(BACKGROUND) * (full - alpha);
    u8::try_from((sum + full / 2) / full).unwrap_or(u8::MAX)
}

fn jpeg(picture: &DynamicImage, bytes_max: u64) -> Result<Vec<u8>, MakeError> {
    let mut encoded = Vec::new();
    for quality in QUALITIES {
        encoded.clear();
        JpegEncoder::new_with_quality(&mut encoded, quality).encode_image(picture)?;
        if u64::try_from(encoded.len()).is_ok_and(|bytes| bytes <= bytes_max) {
            return Ok(encoded);
        }
    }
    Err(MakeError::TooLarge(format!("{} bytes in the smaller size", encoded.len())))
}

#[cfg(test)]
#[path = "maker_test.rs"]
mod tests;
