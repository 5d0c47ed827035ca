//! An upload in parts, while its bytes arrive.
//!
//! Parts are read from the staged file and sent as soon as they are complete there, some at once.
//! So little is left to do after the last byte. A writer waits while too many are on their way.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, PutPayload};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::bucket::{Bucket, Endpoint};
use super::metrics::Operation;
use super::pending::Pending;
use super::problem::{StoreError, is_late};
use crate::core::saturate;
use crate::domain::file::BlobHash;

/// Parts of one upload that are sent at once.
const PARTS_AT_ONCE: usize = 4;
/// Parts of one upload; the protocol permits 10,000.
const PARTS_MAX: u64 = 9_000;

/// Pause between two questions whether an upload is complete.
const COMPLETED_PAUSE: Duration = Duration::from_secs(1);

type SentPart = (usize, object_store::Result<PartId>);

/// See the [module](self). Dropped before its end, it is aborted.
pub(super) struct PartsUpload {
    bucket: Arc<Bucket>,
    key: Path,
    id: MultipartId,
    /// `None` after the end.
    pending: Option<Pending>,
    source: Source,
    size: u64,
    part_bytes: u64,
    read: u64,
    sending: JoinSet<SentPart>,
    /// The parts that are stored, by their number.
    stored: Vec<Option<PartId>>,
}

impl PartsUpload {
    /// Begins the upload of an object of `size` bytes, which arrive in a staged file.
    pub(super) fn begin(
        bucket: &Arc<Bucket>,
        (key, mut pending): (Path, Pending),
        (staged, size): (&FilePath, u64),
    ) -> io::Result<Self> {
        let source = Source::open(staged)?;
        let Endpoint { store, within } = &bucket.puts;
        let begun = bucket.run(Operation::Put, *within, store.create_multipart(&key))?;
        let id = begun.ok_or_else(|| StoreError::plain("it begins no upload", key.to_string()))?;
        let recorded = pending.uploads(&id);
        let upload = Self {
            bucket: bucket.clone(),
            key,
            id,
            pending: Some(pending),
            source,
            size,
            part_bytes: bucket.part_bytes.max(size.div_ceil(PARTS_MAX)),
            read: 0,
            sending: JoinSet::new(),
            stored: Vec::new(),
        };
        recorded?;
        Ok(upload)
    }

    /// Sends the parts that are complete in the staged file, which has `written` bytes. Waits while
    /// [`PARTS_AT_ONCE`] parts are on their way.
    pub(super) fn advance(&mut self, written: u64) -> io::Result<()> {
        while self.is_due(written) {
            self.send_part(self.next_part())?;
        }
        Ok(())
    }

    /// Returns whether the next part is complete.
    pub(super) fn is_due(&self, written: u64) -> bool {
        let part = self.next_part();
        part > 0 && written.saturating_sub(self.read) >= part
    }

    fn next_part(&self) -> u64 {
        self.part_bytes.min(self.size.saturating_sub(self.read))
    }

    /// Makes the parts an object. Returns the record of the put.
    ///
    /// # Errors
    /// `InvalidData` if the bytes of the file have another hash.
    pub(super) fn finish(mut self, hash: &BlobHash) -> io::Result<Pending> {
        self.advance(self.size)?;
        self.source.check(hash)?;
        while !self.sending.is_empty() {
            self.take_sent()?;
        }
        let missing = || StoreError::plain("it did not keep a part", self.key.to_string());
        let parts: Option<Vec<_>> = std::mem::take(&mut self.stored).into_iter().collect();
        let parts = parts.ok_or_else(missing)?;
        let Endpoint { store, within } = &self.bucket.puts;
        let complete = store.complete_multipart(&self.key, &self.id, parts);
        let completed = self.bucket.run(Operation::Put, *within, complete);
        // A repetition does not find the upload that the first request has completed, or completes.
        // The caller compares the size of the object.
        let is_unclear = match completed {
            Ok(done) => done.is_none(),
            Err(error) if is_late(&error) => true,
            Err(error) => return Err(error),
        };
        if is_unclear {
            self.wait_for_object()?;
        }
        self.pending.take().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Waits until the store has the object, as long as for a request with its repetitions.
    fn wait_for_object(&self) -> io::Result<()> {
        let begun = Instant::now();
        while self.bucket.list(self.key.as_ref(), |_| Some(()))?.is_empty() {
            if begun.elapsed() >= self.bucket.puts.within {
                return Err(StoreError::plain("it does not complete an upload", self.key.to_string()).into());
            }
            self.bucket.wait(async { tokio::time::sleep(COMPLETED_PAUSE).await })?;
        }
        Ok(())
    }

    fn send_part(&mut self, bytes: u64) -> io::Result<()> {
        while self.sending.len() >= PARTS_AT_ONCE {
            self.take_sent()?;
        }
        let place = place(&self.bucket)?;
        let (number, part) = (self.stored.len(), self.source.next(bytes)?);
        self.read = self.read.saturating_add(bytes);
        self.stored.push(None);
        let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
        let send = async move {
            let _place = place;
            (number, bucket.puts.store.put_part(&key, &id, number, PutPayload::from_bytes(part)).await)
        };
        self.sending.spawn_on(send, self.bucket.runtime()?);
        Ok(())
    }

    /// Waits for the end of a part.
    fn take_sent(&mut self) -> io::Result<()> {
        let within = self.bucket.puts.within;
        let bucket = self.bucket.clone();
        let next = async {
            match self.sending.join_next().await {
                Some(Ok((number, Ok(part)))) => Ok((number, part)),
                Some(Ok((_, Err(error)))) => Err(error),
                Some(Err(ended)) => Err(object_store::Error::JoinError { source: ended }),
                None => Err(object_store::Error::NotFound {
                    path: self.key.to_string(),
                    source: "no part".into(),
                }),
            }
        };
        let sent = bucket.run(Operation::Put, within, next)?;
        let (number, part) = sent.ok_or_else(|| StoreError::plain("it has lost an upload", &*self.id))?;
        if let Some(place) = self.stored.get_mut(number) {
            *place = Some(part);
        }
        Ok(())
    }
}

/// Waits for a place among the parts in memory, not longer than for a request.
pub(super) fn place(bucket: &Bucket) -> io::Result<OwnedSemaphorePermit> {
    let busy = || StoreError::plain("it is busy", "limits.files_s3_parts");
    let place = bucket.wait(async {
        // Within the runtime, whose clock it needs.
        tokio::time::timeout(bucket.puts.within, bucket.parts.clone().acquire_owned()).await
    })?;
    Ok(place.map_err(|_| busy())?.map_err(|_| busy())?)
}

impl Drop for PartsUpload {
    fn drop(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        self.sending.abort_all();
        let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
        let Ok(runtime) = self.bucket.runtime() else { return pending.leave() };
        runtime.spawn(async move {
            let Endpoint { store, within } = &bucket.puts;
            match tokio::time::timeout(*within, store.abort_multipart(&key, &id)).await {
                Ok(Ok(()) | Err(object_store::Error::NotFound { .. })) => drop(pending),
                // The hourly search aborts it.
                _ => pending.leave(),
            }
        });
    }
}

/// A file that is read part by part, and hashed.
pub(super) struct Source {
    file: File,
    read: Sha256,
}

impl Source {
    pub(super) fn open(path: &FilePath) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, read: Sha256::new() })
    }

    /// Returns exactly the next bytes.
    pub(super) fn next(&mut self, bytes: u64) -> io::Result<Bytes> {
        let mut part = Vec::with_capacity(saturate::to_usize(bytes));
        (&mut self.file).take(bytes).read_to_end(&mut part)?;
        if saturate::to_u64(part.len()) != bytes {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.read.update(&part);
        Ok(part.into())
    }

    /// # Errors
    /// `InvalidData` if the bytes so far have another hash.
    pub(super) fn check(&mut self, hash: &BlobHash) -> io::Result<()> {
        if BlobHash(std::mem::take(&mut self.read).finalize().into()) == *hash {
            return Ok(());
        }
        Err(io::Error::new(ErrorKind::InvalidData, "the bytes of an upload have changed on disk"))
    }
}
