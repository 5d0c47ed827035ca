//! Hash and type of bytes that pass one after the other.

use sha2::{Digest, Sha256};

use crate::core::saturate;
use crate::domain::file::{BlobHash, Contents};
use crate::domain::media::{HEAD_BYTES, TAIL_BYTES, media_of};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Examiner {
    hash: Sha256,
    size: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Examiner {
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        let Self { hash, size, head, tail } = self;
        hash.update(chunk);
        *size = size.saturating_add(saturate::to_u64(chunk.len()));
        let missing = HEAD_BYTES.saturating_sub(head.len()).min(chunk.len());
        head.extend_from_slice(chunk.get(..missing).unwrap_or_default());
        tail.extend_from_slice(chunk.get(chunk.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default());
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }

    /// Returns the contents, and the number of bytes.
    pub(super) fn finish(self) -> (Contents, u64) {
        let media = media_of(&self.head, &self.tail, self.size);
        let contents = Contents {
            hash: BlobHash(self.hash.finalize().into()),
            media_type: media.media_type.to_owned(),
            pixels: media.pixels,
        };
        (contents, self.size)
    }
}
