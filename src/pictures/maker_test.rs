//! Pictures of each format and shape, damaged ones and bombs.

use image::{Rgb, RgbImage, Rgba, RgbaImage};

use super::*;

const ORDER: ThumbnailOrder = ThumbnailOrder {
    shape: Shape::Within(360),
    pixels: 50_000_000,
    memory_bytes: 256 << 20,
    cpu_seconds: 5,
    output_bytes: 2 << 20,
};

fn png(picture: &DynamicImage) -> Vec<u8> {
    written(picture, ImageFormat::Png)
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn made(bytes: &[u8], shape: Shape) -> Result<DynamicImage, MakeError> {
    let small = make(Cursor::new(bytes), &ThumbnailOrder { shape, ..ORDER })?;
    Ok(image::load_from_memory(&small).unwrap())
}

fn plain(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_pixel(width, height, Rgb([200, 30, 90])).into()
}

#[test]
fn picture_fits_into_its_box_and_never_grows() {
    for (from, shape, to) in [
        ((720, 360), Shape::Within(360), (360, 180)),
        ((300, 900), Shape::Within(360), (120, 360)),
        ((10, 20), Shape::Within(360), (10, 20)),
        ((2000, 1), Shape::Within(360), (360, 1)),
        ((361, 361), Shape::Within(360), (360, 360)),
        ((600, 300), Shape::Square(256), (256, 256)),
        ((300, 600), Shape::Square(256), (256, 256)),
        ((40, 1000), Shape::Square(256), (40, 40)),
        ((1, 1), Shape::Square(256), (1, 1)),
    ] {
        let small = made(&png(&plain(from.0, from.1)), shape).unwrap();
        assert_eq!((small.width(), small.height()), to, "{from:?} {shape:?}");
        let [red, green, blue] = small.to_rgb8().get_pixel(0, 0).0;
        assert!(red.abs_diff(200) < 6 && green.abs_diff(30) < 6 && blue.abs_diff(90) < 6);
    }
}

#[test]
fn square_is_cut_from_the_middle() {
    let mut wide = RgbImage::from_pixel(900, 300, Rgb([255, 0, 0]));
    for (x, _, pixel) in wide.enumerate_pixels_mut() {
        if (300..600).contains(&x) {
            *pixel = Rgb([0, 0, 255]);
        }
    }
    let small = made(&png(&wide.into()), Shape::Square(256)).unwrap().to_rgb8();
    for at in [(8, 8), (128, 128), (247, 247)] {
        let [red, _, blue] = small.get_pixel(at.0, at.1).0;
        assert!(red < 20 && blue > 230, "{at:?} {red} {blue}");
    }
}

#[test]
fn every_format_is_read_and_transparency_stays() {
    let mut clear = RgbaImage::from_pixel(500, 400, Rgba([10, 200, 10, 255]));
    clear.put_pixel(0, 0, Rgba([0, 0, 0, 0]));
    let clear = DynamicImage::from(clear);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let small = make(Cursor::new(written(&clear, format)), &ORDER).unwrap();
        assert!(small.starts_with(b"\x89PNG"), "{format:?}");
    }
    for format in FORMATS {
        let small = make(Cursor::new(written(&plain(500, 400), format)), &ORDER).unwrap();
        assert!(small.starts_with(b"\xff\xd8\xff"), "{format:?}");
    }
}

/// The color of a transparent pixel is arbitrary, and must not be seen.
#[test]
fn colors_of_transparent_pixels_do_not_spread() {
    let striped = RgbaImage::from_fn(1600, 1600, |x, _| {
        if x / 3 % 2 == 0 { Rgba([255, 0, 0, 255]) } else { Rgba([0, 255, 0, 0]) }
    });
    let deep: image::ImageBuffer<Rgba<u16>, _> = DynamicImage::from(striped.clone()).into_rgba16();
    for picture in [DynamicImage::from(striped), DynamicImage::from(deep)] {
        for shape in [Shape::Within(360), Shape::Square(256), Shape::Within(1080)] {
            let small = made(&png(&picture), shape).unwrap().to_rgba8();
            let seen = small.pixels().filter(|pixel| pixel.0[3] > 8).count();
            assert!(seen > 10_000, "{shape:?}");
            for pixel in small.pixels().filter(|pixel| pixel.0[3] > 8) {
                let [red, green, ..] = pixel.0;
                assert!(red > 200 && green < 30, "{shape:?} {pixel:?}");
            }
        }
    }
}

/// Scaling first would make millions of pixels that are cut away.
#[test]
fn square_of_a_long_picture_is_cut_first() {
    let mut long = RgbImage::from_pixel(60_000, 600, Rgb([255, 0, 0]));
    for (x, _, pixel) in long.enumerate_pixels_mut() {
        if (29_700..30_300).contains(&x) {
            *pixel = Rgb([0, 0, 255]);
        }
    }
    let small = made(&png(&long.into()), Shape::Square(256)).unwrap().to_rgb8();
    assert_eq!((small.width(), small.height()), (256, 256));
    for at in [(2, 2), (128, 128), (253, 253)] {
        let [red, _, blue] = small.get_pixel(at.0, at.1).0;
        assert!(red < 20 && blue > 230, "{at:?} {red} {blue}");
    }
}

/// A picture on a disk that fails may be right.
#[test]
fn errors_of_the_system_do_not_count_as_damage() {
    struct Failing(i32);
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(self.0))
        }
    }
    impl BufRead for Failing {
        fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
            Err(std::io::Error::from_raw_os_error(self.0))
        }
        fn consume(&mut self, _: usize) {}
    }
    impl Seek for Failing {
        fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
            Ok(0)
        }
    }
    let (input, invalid) = (5, 22);
    assert!(matches!(make(Failing(input), &ORDER), Err(MakeError::Io(_))));
    assert!(matches!(make(Failing(invalid), &ORDER), Err(MakeError::Damaged(_))));
}

/// The orientation of EXIF, as cameras write it: 6 is a quarter turn.
#[test]
fn orientation_is_applied_and_metadata_is_dropped() {
    let mut upright = RgbImage::from_pixel(400, 200, Rgb([0, 0, 255]));
    for (x, _, pixel) in upright.enumerate_pixels_mut() {
        if x < 200 {
            *pixel = Rgb([255, 0, 0]);
        }
    }
    let jpeg = written(&upright.into(), ImageFormat::Jpeg);
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0GPS 52.5 13.4";
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let turned = [&jpeg[..2], b"\xff\xe1", &length, exif, &jpeg[2..], b"<script>appended</script>"].concat();
    let small = make(Cursor::new(&turned), &ORDER).unwrap();
    for foreign in [&b"Exif"[..], b"GPS", b"script"] {
        assert!(!small.windows(foreign.len()).any(|part| part == foreign));
    }
    let small = image::load_from_memory(&small).unwrap().to_rgb8();
    assert_eq!((small.width(), small.height()), (180, 360));
    assert!(small.get_pixel(90, 10).0[0] > 200, "red is above");
    assert!(small.get_pixel(90, 350).0[2] > 200, "blue is below");
}

#[test]
fn transparent_noise_becomes_opaque_to_fit() {
    let mut state = 7_u32;
    let noise = RgbaImage::from_fn(256, 256, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Rgba(state.to_be_bytes())
    });
    let order = ThumbnailOrder { shape: Shape::Square(256), output_bytes: 32 * 1024, ..ORDER };
    let small = make(Cursor::new(png(&noise.into())), &order).unwrap();
    assert!(small.starts_with(b"\xff\xd8\xff") && small.len() <= 32 * 1024, "{}", small.len());
}

/// The most bytes of a JPEG: neighbours differ as much as they can, in each color.
#[test]
fn noise_of_saturated_colors_fits() {
    let mut state = 7_u32;
    let mut bit = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 0 { 0 } else { 255 }
    };
    let noise = RgbaImage::from_fn(256, 256, |_, _| Rgba([bit(), bit(), bit(), 255]));
    let two = RgbaImage::from_fn(256, 256, |x, y| match (x + y) % 2 {
        0 => Rgba([255, 0, 0, 255]),
        _ => Rgba([0, 255, 255, 255]),
    });
    for picture in [noise, two] {
        let order = ThumbnailOrder { shape: Shape::Square(256), output_bytes: 32 * 1024, ..ORDER };
        let small = make(Cursor::new(png(&picture.into())), &order).unwrap();
        assert!(small.len() <= 32 * 1024, "{}", small.len());
    }
}

#[test]
fn bombs_and_damage_are_refused() {
    let large = png_of(100_000, 100_000);
    assert!(matches!(made(&large, Shape::Within(360)), Err(MakeError::TooLarge(_))));
    assert!(matches!(made(&png_of(8_000, 8_000), Shape::Within(360)), Err(MakeError::TooLarge(_))));
    let mut cut = png(&plain(500, 500));
    cut.truncate(100);
    for bytes in [&cut[..], b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"BM000000", b"<svg/>"] {
        assert!(matches!(made(bytes, Shape::Within(360)), Err(MakeError::Damaged(_))), "{bytes:?}");
    }
}

/// Returns the header of a PNG with this size, and an empty rest.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 6, 0, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    let sum = crc.sum().to_be_bytes();
    let magic = b"\x89PNG\r\n\x1a\n\0\0\0\r";
    [&magic[..], &header, &sum, b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xaeB`\x82"].concat()
}
