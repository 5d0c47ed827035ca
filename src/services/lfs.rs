//! Git LFS: which objects a repository has, and sending them.
//!
//! Invariant: a repository has an object only by its row, which follows an upload of all bytes. So
//! a hash that a caller knows opens nothing, and an upload is never skipped because another
//! repository has the bytes.

use std::collections::{HashMap, HashSet};
use std::io;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::{OptionFuture, try_join_all};
use prometheus_client::metrics::counter::Counter;

use super::blob_stream::{BlobStream, unreadable};
use super::entitlement::Entitlement;
use super::lfs_in_flight::Others;
use super::lfs_metrics::ObjectOutcome;
use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::blobs::is_away;
use crate::core::saturate;
use crate::domain::access::Credential;
use crate::domain::file::{BlobHash, charged_bytes};
use crate::domain::lfs::LfsObject;
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::protocol::code::Code;
use crate::storage::queries::lfs;

pub use super::lfs_links::{LFS_LINK_PREFIX, LfsLink};
pub use super::lfs_metrics::LfsMetrics;
pub use super::lfs_uploads::ObjectUpload;

/// Objects of a batch about which a store beyond the network is asked at once.
const ASKED_AT_ONCE: usize = 16;

/// The direction of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LfsOperation {
    Download,
    Upload,
}

impl LfsOperation {
    /// Returns the access that it needs.
    pub fn act(self) -> Act {
        match self {
            Self::Download => Act::Read,
            Self::Upload => Act::Push,
        }
    }
}

/// The answer about an object of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchedObject {
    /// The client sends or requests the bytes.
    Transfer(BlobHash),
    /// An upload is not needed: the repository has the object.
    Present,
    Refused {
        status: u16,
        why: String,
    },
}

impl BatchedObject {
    fn refused(status: u16, why: impl Into<String>) -> Self {
        Self::Refused { status, why: why.into() }
    }
}

/// Bytes that a batch may add.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchRoom {
    repository: u64,
    account: u64,
}

impl BatchRoom {
    /// Returns what other uploads leave of it.
    pub(super) fn without(self, others: Others) -> Self {
        Self {
            repository: self.repository.saturating_sub(others.of_repository),
            account: self.account.saturating_sub(others.of_owner),
        }
    }
}

impl Services {
    /// Answers about each object of a batch, in the same order.
    pub async fn lfs_batch(
        &self,
        view: &RepositoryView,
        operation: LfsOperation,
        objects: &[(String, i64)],
    ) -> Result<Vec<BatchedObject>, ServiceError> {
        self.git.check_stored_here(&view.repository)?;
        let most = self.limits.lfs_batch_objects;
        if objects.len() > most {
            let why = format!("a batch may name {most} objects (limits.lfs_batch_objects)");
            return Err(ServiceError::new(Code::TooLarge, why));
        }
        if operation == LfsOperation::Upload {
            self.files.check_lfs_uploads()?;
        }
        self.files.metrics.lfs.batched.inc_by(saturate::to_u64(objects.len()));
        let wanted: HashSet<BlobHash> = objects.iter().filter_map(|(oid, _)| BlobHash::parse(oid)).collect();
        let known = self.lfs_objects_among(view, wanted.into_iter().collect()).await?;
        let mut room = match operation {
            LfsOperation::Download => BatchRoom { repository: 0, account: 0 },
            LfsOperation::Upload => self.lfs_room(view).await?,
        };
        let (mut answers, mut added) = (Vec::with_capacity(objects.len()), 0_u64);
        let mut charged = HashSet::new();
        for (oid, size) in objects {
            let (Some(hash), Ok(bytes)) = (BlobHash::parse(oid), u64::try_from(*size)) else {
                let why = "an object needs an oid of 64 hexadecimal digits in lower case, and a size";
                answers.push(BatchedObject::refused(422, why));
                continue;
            };
            let found = known.get(&hash);
            answers.push(match (operation, found) {
                (_, Some((object, _))) if object.bytes() != bytes => {
                    BatchedObject::refused(422, format!("the object has {} bytes", object.size))
                }
                (LfsOperation::Download, None) => {
                    BatchedObject::refused(404, "the repository does not have this object")
                }
                (LfsOperation::Download, Some((_, false))) => BatchedObject::refused(404, MISSING),
                (LfsOperation::Download, Some(_)) => BatchedObject::Transfer(hash),
                (LfsOperation::Upload, Some((_, true))) => BatchedObject::Present,
                (LfsOperation::Upload, Some((_, false))) => BatchedObject::Transfer(hash),
                // A batch may name an object twice.
                (LfsOperation::Upload, None) if charged.contains(&hash) => BatchedObject::Transfer(hash),
                (LfsOperation::Upload, None) => match self.take_room(&mut room, bytes) {
                    Err(refused) => refused,
                    Ok(()) => {
                        added = added.saturating_add(bytes);
                        charged.insert(hash);
                        BatchedObject::Transfer(hash)
                    }
                },
            });
        }
        if added > 0 {
            self.check_file_room(added).await.inspect_err(|_| {
                self.files.metrics.lfs.uploaded(ObjectOutcome::Refused);
            })?;
        }
        if operation == LfsOperation::Upload {
            let refused = answers.iter().filter(|answer| matches!(answer, BatchedObject::Refused { .. }));
            refused.for_each(|_| self.files.metrics.lfs.uploaded(ObjectOutcome::Refused));
        }
        Ok(answers)
    }

    /// Returns those of the objects that the repository has, each with whether all its bytes are
    /// on disk.
    async fn lfs_objects_among(
        &self,
        view: &RepositoryView,
        oids: Vec<BlobHash>,
    ) -> Result<HashMap<BlobHash, (LfsObject, bool)>, ServiceError> {
        if oids.is_empty() {
            return Ok(HashMap::new());
        }
        let repository = view.repository.id;
        let read = move |db: &mut _| lfs::objects_among(db, repository, &oids);
        let found = self.readers.read(view.holder, read).await?;
        let found = self.with_bytes(found).await?;
        Ok(found.into_iter().map(|(object, is_stored)| (object.oid, (object, is_stored))).collect())
    }

    /// Returns the objects, each with whether this node has all its bytes. Their hash is not
    /// checked.
    pub(super) async fn with_bytes(
        &self,
        objects: Vec<LfsObject>,
    ) -> Result<Vec<(LfsObject, bool)>, ServiceError> {
        let store = &self.files.blobs;
        // A client waits for the answers of a store beyond the network.
        let is_shared = store.is_shared();
        let at_once = if is_shared { ASKED_AT_ONCE } else { 1 };
        let some = objects.chunks(objects.len().div_ceil(at_once).max(1)).map(|some| {
            let (store, some) = (store.clone(), some.to_vec());
            let is_stored = move |object: LfsObject| match store.size(&object.oid) {
                // Bytes that may be there are not sent again.
                Err(error) if is_away(&error) => Err(error),
                size => Ok((size.ok().flatten() == Some(object.bytes()), object)),
            };
            let ask = move || some.into_iter().map(is_stored).collect::<io::Result<Vec<_>>>();
            async move {
                let asked = is_shared.then(|| self.files.lfs_asked.acquire());
                let _place = OptionFuture::from(asked).await.transpose().map_err(ServiceError::internal)?;
                self.files.store.read(ask).await?.map_err(unreadable)
            }
        });
        let asked = try_join_all(some).await?;
        Ok(asked.into_iter().flatten().map(|(is_stored, object)| (object, is_stored)).collect())
    }

    pub(super) async fn lfs_room(&self, view: &RepositoryView) -> Result<BatchRoom, ServiceError> {
        let (repository, owner) = (view.repository.id, view.project.owner_id);
        let read = move |db: &mut _| Ok((lfs::usage_of(db, repository)?, lfs::usage_of_owner(db, owner)?));
        let (of_repository, of_owner) = self.readers.read(view.holder, read).await?;
        let left = |max: u64, used: i64| max.saturating_sub(u64::try_from(used).unwrap_or(0));
        Ok(BatchRoom {
            repository: left(self.limits.lfs_repository_bytes, of_repository),
            account: left(self.limits.lfs_account_bytes, of_owner),
        })
    }

    /// Returns the room of a repository and an owner without objects.
    pub(super) fn empty_lfs_room(&self) -> BatchRoom {
        BatchRoom { repository: self.limits.lfs_repository_bytes, account: self.limits.lfs_account_bytes }
    }

    /// Counts a new object, or refuses it.
    pub(super) fn take_room(&self, room: &mut BatchRoom, bytes: u64) -> Result<(), BatchedObject> {
        let limits = &self.limits;
        if bytes > limits.lfs_object_bytes {
            let most = limits.lfs_object_bytes;
            let why = format!("an object may have {most} bytes; ask the operator (limits.lfs_object_bytes)");
            return Err(BatchedObject::refused(422, why));
        }
        let charged = u64::try_from(charged_bytes(i64::try_from(bytes).unwrap_or(i64::MAX))).unwrap_or(0);
        let full = |what: &str, max: u64, key: &str| {
            let why = format!("the Git LFS objects of {what} may have {max} bytes; ask the operator ({key})");
            BatchedObject::refused(507, why)
        };
        let Some(repository) = room.repository.checked_sub(charged) else {
            return Err(full("a repository", limits.lfs_repository_bytes, "limits.lfs_repository_bytes"));
        };
        let Some(account) = room.account.checked_sub(charged) else {
            return Err(full(
                "all repositories of an owner",
                limits.lfs_account_bytes,
                "limits.lfs_account_bytes",
            ));
        };
        *room = BatchRoom { repository, account };
        Ok(())
    }

    /// Returns an object of a repository that the caller may read.
    pub async fn lfs_object(&self, view: &RepositoryView, oid: BlobHash) -> Result<LfsObject, ServiceError> {
        self.git.check_stored_here(&view.repository)?;
        let repository = view.repository.id;
        let found = self.readers.read(view.holder, move |db| lfs::object(db, repository, &oid)).await?;
        Ok(found.ok_or(Refusal::NotFound("object"))?)
    }

    /// Returns an object like [`Self::lfs_object`], and whether all its bytes are on disk.
    pub async fn lfs_object_and_bytes(
        &self,
        view: &RepositoryView,
        oid: BlobHash,
    ) -> Result<(LfsObject, bool), ServiceError> {
        self.git.check_stored_here(&view.repository)?;
        let found = self.lfs_objects_among(view, vec![oid]).await?.remove(&oid);
        Ok(found.ok_or(Refusal::NotFound("object"))?)
    }

    /// Checks that a repository has an object of this size, and its bytes.
    pub async fn verify_lfs_object(
        &self,
        view: &RepositoryView,
        oid: BlobHash,
        size: u64,
    ) -> Result<(), ServiceError> {
        self.git.check_stored_here(&view.repository)?;
        let known = self.lfs_objects_among(view, vec![oid]).await?;
        match known.get(&oid) {
            None => Err(Refusal::NotFound("object").into()),
            Some((_, false)) => Err(ServiceError::new(Code::NotFound, MISSING)),
            Some((object, true)) if object.bytes() == size => Ok(()),
            Some((object, true)) => {
                let why = format!("the object has {} bytes", object.size);
                Err(ServiceError::new(Code::Validation, why))
            }
        }
    }

    /// Opens the bytes of an object for a caller who may read the repository.
    pub async fn open_lfs_object(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        object: &LfsObject,
    ) -> Result<OpenObject, ServiceError> {
        let Some(blob) = self.open_blob(view.holder, object.oid, object.bytes()).await? else {
            tracing::error!(repository.id = %view.repository.id, oid = %object.oid, "the bytes of an object of Git LFS are missing or cut short");
            return Err(ServiceError::new(Code::NotFound, MISSING));
        };
        let entitlement = self.entitlement(who, view, Act::Read);
        Ok(OpenObject { blob, entitlement, counter: self.files.metrics.lfs.bytes_out.clone() })
    }
}

const MISSING: &str =
    "the bytes of this object are missing on the server; send them again with git lfs push --all";

/// The open bytes of an object.
pub struct OpenObject {
    blob: BlobStream,
    entitlement: Entitlement,
    counter: Counter,
}

impl OpenObject {
    /// Returns a part in chunks, while the client may read the repository.
    pub fn pieces(self, from: u64, bytes: u64) -> impl Stream<Item = io::Result<Bytes>> + 'static {
        self.blob.pieces(from, bytes, self.entitlement.lost(), self.counter)
    }
}
