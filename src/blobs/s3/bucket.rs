//! A bucket: the operations that the store of blobs needs, each bounded and counted.
//!
//! The functions block the thread. Requests run on a runtime of their own, so that they work in the
//! server and in commands alike.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_executor::block_on;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    BackoffConfig, Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::unconstrained;

use super::client::Dialer;
use super::metrics::{Operation, Outcome, StoreMetrics};
use super::problem::{LATE, StoreError};
use crate::core::config::S3;
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::core::trust::Trust;

/// An answer without bytes of blobs, such as a page of a list, is not longer.
const ANSWER_BYTES_MIN: usize = 4 * 1024 * 1024;
/// Keys of a page of a list.
const PAGE_KEYS: usize = 1_000;
/// A page with fewer keys than this, on average, is that of a broken store.
const PAGE_KEYS_MIN: usize = 100;
/// Pages that may be short.
const SHORT_PAGES: usize = 16;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(3);
/// Threads of the runtime beyond those of reads and puts: searches, removals and the test at start.
const FURTHER_THREADS: usize = 8;

/// See the [module](self).
pub(super) struct Bucket {
    reads: Endpoint,
    /// Requests that change the bucket, which are repeated for longer.
    pub(super) puts: Endpoint,
    /// Copies within the bucket, which take long, and for which an operator waits.
    copies: Endpoint,
    prefix: Path,
    /// Parts of uploads in memory.
    pub(super) parts: Arc<Semaphore>,
    pub(super) part_bytes: u64,
    pub(super) read_bytes: u64,
    listed: usize,
    metrics: StoreMetrics,
    runtime: Option<Runtime>,
}

/// The store, with the deadline of an operation and its repetitions.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) store: AmazonS3,
    pub(super) within: Duration,
}

/// The client has the secret key.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // A runtime that is dropped within another one panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Bucket {
    pub(super) fn new(settings: &S3, limits: &Limits, metrics: StoreMetrics) -> io::Result<Self> {
        let (read_ms, put_ms) = (limits.files_s3_request_ms, limits.files_s3_put_ms);
        let threads = limits.files_s3_requests.saturating_add(limits.files_s3_puts);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(threads.saturating_add(FURTHER_THREADS))
            .thread_name("netbit-s3")
            .enable_all()
            .build()?;
        Ok(Self {
            reads: Endpoint::new(settings, limits, (read_ms, limits.files_s3_retry_ms))?,
            puts: Endpoint::new(settings, limits, (put_ms, limits.files_s3_put_retry_ms))?,
            copies: Endpoint::new(settings, limits, (put_ms, limits.files_s3_retry_ms))?,
            prefix: Path::from(settings.prefix.as_str()),
            parts: Arc::new(Semaphore::new(limits.files_s3_parts)),
            part_bytes: limits.files_s3_part_bytes,
            read_bytes: limits.files_s3_read_bytes,
            listed: limits.files_s3_listed,
            metrics,
            runtime: Some(runtime),
        })
    }

    /// Returns the runtime of the requests.
    pub(super) fn runtime(&self) -> io::Result<&Handle> {
        self.runtime.as_ref().map(Runtime::handle).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Returns the key with these parts below the prefix.
    pub(super) fn key(&self, parts: &[&str]) -> Path {
        parts.iter().fold(self.prefix.clone(), |path, part| path.join(*part))
    }

    /// Runs an operation. Returns `None` if the object does not exist.
    ///
    /// # Errors
    /// [`StoreError`] for everything else.
    pub(super) fn run<T>(
        &self,
        operation: Operation,
        within: Duration,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> io::Result<Option<T>> {
        let begun = Instant::now();
        let ended = self.wait(async {
            match tokio::time::timeout(within, work).await {
                Ok(Ok(done)) => Ok(Some(done)),
                // Also of a bucket that does not exist, if the answer has a body.
                Ok(Err(error @ Error::NotFound { .. })) => match error.to_string() {
                    words if words.contains("NoSuchBucket") => Err(StoreError::of(&error)),
                    _ => Ok(None),
                },
                Ok(Err(error)) => Err(StoreError::of(&error)),
                Err(_) => Err(StoreError::plain(LATE, "limits.files_s3_retry_ms")),
            }
        })?;
        let outcome = match &ended {
            Ok(Some(_)) => Outcome::Done,
            Ok(None) => Outcome::Missing,
            Err(_) => Outcome::Failed,
        };
        self.metrics.note(operation, outcome, begun.elapsed());
        Ok(ended?)
    }

    /// Waits for a future of the runtime.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        // `block_on` of the runtime panics in a command that has a runtime of its own. Without the
        // budget of its task: only that runtime continues a future that has used it up.
        let _entered = self.runtime()?.enter();
        Ok(block_on(unconstrained(work)))
    }

    /// Reads exactly the bytes of a range. `None` if the object does not exist.
    pub(super) fn get(&self, key: &Path, from: u64, bytes: u64) -> io::Result<Option<Bytes>> {
        let range = Some(GetRange::Bounded(from..from.saturating_add(bytes)));
        let read = self.read(key, GetOptions { range, ..GetOptions::default() })?;
        match read {
            Some(read) if saturate::to_u64(read.len()) != bytes => {
                let cause = format!("{} bytes in place of {bytes}", read.len());
                Err(StoreError::plain("it sent another number of bytes than it was asked for", cause).into())
            }
            found => Ok(found),
        }
    }

    /// Reads a small object. `None` if it does not exist.
    pub(super) fn get_text(&self, key: &Path) -> io::Result<Option<String>> {
        let found = self.read(key, GetOptions::default())?;
        Ok(found.map(|found| String::from_utf8_lossy(&found).into_owned()))
    }

    fn read(&self, key: &Path, options: GetOptions) -> io::Result<Option<Bytes>> {
        let Endpoint { store, within } = &self.reads;
        let read = async { store.get_opts(key, options).await?.bytes().await };
        self.run(Operation::Get, *within, read)
    }

    /// Writes an object with one request, which is signed with the SHA-256 of the bytes.
    pub(super) fn put_bytes(&self, key: &Path, bytes: Bytes) -> io::Result<()> {
        let Endpoint { store, within } = &self.puts;
        let put = self.run(Operation::Put, *within, store.put(key, PutPayload::from_bytes(bytes)))?;
        let missing = || StoreError::plain("it does not take an object", key.to_string()).into();
        put.map(drop).ok_or_else(missing)
    }

    /// Writes a small object other than blobs. A user waits, so it is not repeated for long.
    pub(super) fn put_text(&self, key: &Path, text: impl Into<Bytes>) -> io::Result<()> {
        let Endpoint { store, within } = &self.reads;
        let put = store.put(key, PutPayload::from_bytes(text.into()));
        let missing = || StoreError::plain("it does not take an object", key.to_string()).into();
        self.run(Operation::Put, *within, put)?.map(drop).ok_or_else(missing)
    }

    /// Removes an object, if it exists.
    pub(super) fn remove(&self, key: &Path) -> io::Result<()> {
        self.remove_at(&self.puts, key)
    }

    /// Removes an object like [`Self::put_text`].
    pub(super) fn remove_text(&self, key: &Path) -> io::Result<()> {
        self.remove_at(&self.reads, key)
    }

    fn remove_at(&self, Endpoint { store, within }: &Endpoint, key: &Path) -> io::Result<()> {
        self.run(Operation::Remove, *within, store.delete(key)).map(drop)
    }

    /// Copies an object within the bucket. Returns whether it exists.
    pub(super) fn copy(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let Endpoint { store, within } = &self.copies;
        self.run(Operation::Copy, *within, store.copy(from, to)).map(|copied| copied.is_some())
    }

    /// Returns what `take` makes of the objects whose keys begin with `prefix`, by pages. A bucket
    /// that does not exist is an error.
    ///
    /// # Errors
    /// If there are more than `limits.files_s3_listed`, or the store does not come to an end.
    pub(super) fn list<T>(
        &self,
        prefix: &str,
        take: impl Fn(&ObjectMeta) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        self.pages(prefix, None, |objects, _| found.extend(objects.iter().filter_map(&take)))?;
        Ok(found)
    }

    /// Returns the names of the folders below a key, like [`Bucket::list`].
    pub(super) fn folders<T>(&self, below: &Path, take: impl Fn(&str) -> Option<T>) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        self.pages(&format!("{below}/"), Some("/".into()), |_, folders| {
            found.extend(folders.iter().filter_map(Path::filename).filter_map(&take));
        })?;
        Ok(found)
    }

    fn pages(
        &self,
        prefix: &str,
        delimiter: Option<Cow<'static, str>>,
        mut take: impl FnMut(&[ObjectMeta], &[Path]),
    ) -> io::Result<()> {
        let Endpoint { store, within } = &self.reads;
        let (mut keys, mut token) = (0_usize, None);
        for _ in 0..self.listed.div_ceil(PAGE_KEYS_MIN).saturating_add(SHORT_PAGES) {
            let options = PaginatedListOptions {
                max_keys: Some(PAGE_KEYS),
                page_token: token,
                delimiter: delimiter.clone(),
                ..PaginatedListOptions::default()
            };
            let page = store.list_paginated(Some(prefix), options);
            let Some(page) = self.run(Operation::List, *within, page)? else {
                return Err(StoreError::plain("it does not list the bucket", prefix).into());
            };
            let (objects, folders) = (&page.result.objects, &page.result.common_prefixes);
            keys = keys.saturating_add(objects.len()).saturating_add(folders.len());
            if keys > self.listed {
                break;
            }
            take(objects, folders);
            token = page.page_token;
            if token.is_none() {
                return Ok(());
            }
        }
        let why = "its list has no end, or more objects than limits.files_s3_listed";
        Err(StoreError::plain(why, prefix).into())
    }
}

impl Endpoint {
    fn new(settings: &S3, limits: &Limits, (request_ms, retry_ms): (u64, u64)) -> io::Result<Self> {
        let (within, patience) = (Duration::from_millis(request_ms), Duration::from_millis(retry_ms));
        let trust = match (settings.endpoint.starts_with("http://"), settings.certificates.as_os_str()) {
            (true, _) => None,
            (false, file) if file.is_empty() => Some(Trust::of_platform().map_err(io::Error::other)?),
            (false, file) => Some(Trust::of_file(FilePath::new(file)).map_err(io::Error::other)?),
        };
        let answer_bytes = saturate::to_usize(limits.files_s3_read_bytes).max(ANSWER_BYTES_MIN);
        let dialer = Dialer { trust, within, answer_bytes, idle: limits.files_s3_requests };
        let backoff = BackoffConfig { init_backoff: FIRST_BACKOFF, max_backoff: LONGEST_BACKOFF, base: 2.0 };
        let retry = RetryConfig { backoff, max_retries: limits.files_s3_retries, retry_timeout: patience };
        let secret = settings.secret_access_key.as_ref().map_or("", |secret| secret.expose());
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(&settings.access_key_id)
            .with_secret_access_key(secret)
            .with_allow_http(settings.allow_http)
            .with_virtual_hosted_style_request(!settings.path_style)
            .with_retry(retry)
            .with_disable_bulk_delete(true)
            .with_http_connector(dialer);
        if !settings.endpoint.is_empty() {
            builder = builder.with_endpoint(settings.endpoint_of_bucket());
        }
        let store = builder.build().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { store, within: patience.saturating_add(within) })
    }
}

/// Returns when the object was stored.
pub(super) fn stored_at(object: &ObjectMeta) -> SystemTime {
    let seconds = u64::try_from(object.last_modified.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
