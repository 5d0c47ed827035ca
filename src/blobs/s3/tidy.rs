//! The search for what no blob needs: uploads in parts that a crash has left, and objects that
//! newer ones have replaced.

use std::collections::HashMap;
use std::io;
use std::time::SystemTime;

use object_store::multipart::MultipartStore;

use super::S3Blobs;
use super::bucket::{Endpoint, stored_at};
use super::metrics::Operation;
use super::object::{BlobObject, hash_in, newest};
use super::pending::GivenUp;
use crate::blobs::disk::byte_of;
use crate::domain::file::BlobHash;

/// Failures after which a search ends.
const FAILURES_MAX: u32 = 3;

impl S3Blobs {
    /// Aborts uploads in parts that a crash has left.
    pub(super) fn abort_given_up(&self) -> io::Result<()> {
        for put in self.puts.given_up()? {
            if let Err(error) = self.abort(&put) {
                tracing::warn!(name = %put.name, %error, "an interrupted upload to the bucket cannot be aborted");
                continue;
            }
            put.forget();
        }
        Ok(())
    }

    fn abort(&self, put: &GivenUp) -> io::Result<()> {
        let (Some(id), Some(hash)) = (&put.upload, hash_in(&put.name)) else { return Ok(()) };
        let key = self.own_folder(&hash).join(put.name.as_str());
        let Endpoint { store, within } = &self.bucket.puts;
        self.bucket.run(Operation::Remove, *within, store.abort_multipart(&key, id)).map(drop)
    }

    /// Removes the objects of a part that newer ones have replaced. Returns how many.
    fn remove_replaced(&self, part: u8) -> io::Result<usize> {
        let folder = self.own(&format!("{part:02x}"));
        let listed = self.bucket.list(&format!("{folder}/"), |found| {
            let name = found.location.filename()?.to_owned();
            let hash = hash_in(&name)?;
            let (key, stored_at) = (found.location.clone(), stored_at(found));
            Some((hash, BlobObject { key, name, size: found.size, stored_at }))
        })?;
        let mut of_hash = HashMap::<BlobHash, Vec<BlobObject>>::new();
        for (hash, object) in listed {
            // An object that is being put may be incomplete.
            if !self.puts.contains(&object.name)? {
                of_hash.entry(hash).or_default().push(object);
            }
        }
        let (mut removed, now) = (0, SystemTime::now());
        for objects in of_hash.into_values().filter(|objects| objects.len() > 1) {
            let Some(kept) = newest(objects.clone()) else { continue };
            let age = now.duration_since(kept.stored_at).unwrap_or_default();
            if age < self.replaced {
                continue;
            }
            for object in objects.iter().filter(|object| object.key != kept.key) {
                self.bucket.remove(&object.key)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes the objects that newer ones have replaced. Returns how many.
    pub(super) fn remove_all_replaced(&self) -> io::Result<usize> {
        let (mut removed, mut failures) = (0, 0);
        for part in self.bucket.folders(&self.own_root(), byte_of)? {
            match self.remove_replaced(part) {
                Ok(count) => removed += count,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(part, %error, "objects that newer ones have replaced cannot be removed");
                    if failures >= FAILURES_MAX {
                        return Err(error);
                    }
                }
            }
        }
        Ok(removed)
    }
}
