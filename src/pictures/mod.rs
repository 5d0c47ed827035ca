//! Smaller pictures of files of users: thumbnails and avatars.
//!
//! A decoder that reads bytes of strangers is the most exposed code of the server. It runs in a
//! child process, `netbit thumbnail`, which can open no file and no socket, has no environment, and
//! little memory and time ([`confine`]). The server takes its output as bytes of a bounded length
//! and a known type.
//!
//! Invariants
//! * The server never decodes a picture itself: only the command uses [`maker`].
//! * A child reads one open file, its standard input, and writes to its standard output. It ends
//!   when its deadline passes, its future is dropped, or the server ends ([`child`]).
//! * The cache ([`cache`]) holds what can be made again. It is bounded in bytes, is not in backups,
//!   and loses the pictures of a blob with the blob, at the latest at its hourly search.
//! * A picture of a chat is not used for another chat: whether it exists reveals nothing there.
//!
//! Deliberately absent: rights, names and rows of files. The room knows hashes, ids of chats and
//! bytes only.

pub mod cache;
pub mod child;
pub mod confine;
pub mod escape;
pub mod maker;

/// The version of the pictures that [`maker`] makes. Another one makes all cached pictures again.
pub const MAKER_VERSION: u32 = 2;

/// The form of a smaller picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Within a square of this side in pixels, with all of its content.
    Within(u32),
    /// A square of at most this side in pixels, cut from the middle.
    Square(u32),
}

/// The picture that a child makes, and its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThumbnailOrder {
    pub shape: Shape,
    /// The largest picture that is decoded, in pixels.
    pub pixels: u64,
    /// Bytes of memory beyond those of the program.
    pub memory_bytes: u64,
    pub cpu_seconds: u64,
    /// Bytes of the result.
    pub output_bytes: u64,
}

impl ThumbnailOrder {
    /// Returns the arguments of the command.
    fn arguments(&self) -> [String; 5] {
        let shape = match self.shape {
            Shape::Within(side) => format!("--within={side}"),
            Shape::Square(side) => format!("--square={side}"),
        };
        [
            shape,
            format!("--pixels={}", self.pixels),
            format!("--memory-bytes={}", self.memory_bytes),
            format!("--cpu-seconds={}", self.cpu_seconds),
            format!("--output-bytes={}", self.output_bytes),
        ]
    }
}

/// The types of pictures that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureType {
    Jpeg,
    Png,
}

impl PictureType {
    /// Returns the type of bytes that begin like a picture.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else {
            None
        }
    }

    /// Returns the end of the name of such a file.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}
