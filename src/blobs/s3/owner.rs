//! The server that a key of the bucket belongs to, and the database of its files.
//!
//! Two servers with the same key would remove the bytes of each other. So the first one claims the
//! key: the object `owner` has the id of its data directory (`files/owner`). Another one reads
//! bytes, and stores and removes none until its operator claims the key for it.

use std::fs;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::S3Blobs;
use super::problem::StoreError;
use crate::blobs::disk::replace;
use crate::domain::timestamp::Timestamp;

/// The object of the claim, and the file with the id of the data directory.
const OWNER: &str = "owner";
/// The object of [`BlobStore::belongs_since`](crate::blobs::BlobStore): the epoch and the time.
const DATABASE: &str = "database";

impl S3Blobs {
    /// Claims the key of this node for this data directory. The server that had it before removes
    /// no bytes any more.
    ///
    /// # Errors
    /// If the disk or the bucket fails.
    pub fn claim(&self) -> io::Result<()> {
        let id = self.own_id()?;
        self.bucket.put_text(&self.own(OWNER), format!("{id}\n"))
    }

    /// Checks that the key belonged to this server `within` this time. Claims it if it belongs to
    /// none.
    pub(super) fn own_key(&self, within: Duration) -> io::Result<()> {
        if self.owned_at.load().as_ref().is_some_and(|at| at.elapsed() < within) {
            return Ok(());
        }
        let begun = Instant::now();
        if self.owner()?.is_none() {
            self.claim()?;
        }
        // Read again: another server may have claimed it at the same time.
        self.compare_owner()?;
        self.owned_at.store(Some(Arc::new(begun)));
        Ok(())
    }

    /// Checks that the key does not belong to another server.
    pub(super) fn compare_owner(&self) -> io::Result<()> {
        match self.owner()? {
            Some(owner) if self.known_id()?.as_deref() != Some(&*owner) => {
                let why = "another server has claimed this key of the bucket, so no bytes are stored or removed; give \
                           one of the two another files.s3.prefix, or run `netbit files claim` if this one replaces it";
                Err(StoreError::plain(why, self.own(OWNER).to_string()).into())
            }
            _ => Ok(()),
        }
    }

    fn owner(&self) -> io::Result<Option<String>> {
        let found = self.bucket.get_text(&self.own(OWNER))?;
        Ok(found.map(|found| found.trim().to_owned()).filter(|found| !found.is_empty()))
    }

    /// Returns the id of the data directory. The first claim makes one.
    fn own_id(&self) -> io::Result<String> {
        if let Some(id) = self.known_id()? {
            return Ok(id);
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        replace(&self.disk.root().join(OWNER), &format!("{id}\n"))?;
        Ok(id)
    }

    fn known_id(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.disk.root().join(OWNER)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => Ok(Some(text?.trim().to_owned()).filter(|id| !id.is_empty())),
        }
    }

    /// Returns the time since when the key has belonged to the database with this epoch.
    pub(super) fn database_since(&self, epoch: i64, now: Timestamp) -> io::Result<Timestamp> {
        let key = self.own(DATABASE);
        let text = self.bucket.get_text(&key)?.unwrap_or_default();
        let mut words = text.split_whitespace().map(str::parse);
        match (words.next(), words.next(), words.next()) {
            (Some(Ok(known)), Some(Ok(since)), None) if known == epoch && since <= now.0 => {
                Ok(Timestamp(since))
            }
            (known, ..) => {
                if known.is_some() {
                    tracing::warn!(%key, "this key of the bucket belonged to another database");
                }
                self.bucket.put_text(&key, format!("{epoch} {}\n", now.0))?;
                Ok(now)
            }
        }
    }
}
