//! The doctor's check of objects of Git LFS. A server may remove objects and their bytes meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};

use super::doctor::Checked;
use super::files::FileDigest;
use super::{BackupError, BackupProgress, OwnRepositories, ReportProgress};
use crate::blobs::{BlobStore, DiskBlobs};
use crate::core::database::{Db, QueryError, Source};
use crate::core::plural::plural;
use crate::domain::file::BlobHash;
use crate::domain::ids::{LfsObjectId, RepositoryId};
use crate::domain::lfs::LfsObject;
use crate::domain::node::NodeName;
use crate::domain::repository::Repository;
use crate::storage::queries::lfs;

pub(super) const LFS: &str = "objects of Git LFS have their bytes";
/// Maximum number of damaged objects that are named; the rest is counted.
const NAMED_MAX: usize = 20;
/// Rows that are read with one statement.
const ROWS_PER_READ: i64 = 1_000;

/// Returns the objects of all repositories.
pub(super) fn all(db: &mut Db) -> Result<Vec<LfsObject>, QueryError> {
    let mut all: Vec<LfsObject> = Vec::new();
    loop {
        let above = all.last().map_or(LfsObjectId(0), |object| object.id);
        let mut found = lfs::objects_above(db, above, ROWS_PER_READ)?;
        if found.is_empty() {
            return Ok(all);
        }
        all.append(&mut found);
    }
}

/// Reads the bytes of the objects of these repositories, and compares them with their hashes.
pub(super) fn examine(
    database: &Source,
    (blobs, own): (&dyn BlobStore, &OwnRepositories),
    (active, all): (&[Repository], &[LfsObject]),
    report: ReportProgress<'_>,
) -> Result<Checked, BackupError> {
    report(BackupProgress::Begin("objects of Git LFS", u64::try_from(all.len()).unwrap_or(0)));
    let of_repository: HashMap<RepositoryId, &Repository> =
        active.iter().map(|repository| (repository.id, repository)).collect();
    let mut by_hash: BTreeMap<BlobHash, Vec<&LfsObject>> = BTreeMap::new();
    for object in all {
        by_hash.entry(object.oid).or_default().push(object);
    }
    let (mut elsewhere, mut damaged) = (0, Vec::new());
    for (hash, of_hash) in &by_hash {
        let mut read: BTreeMap<Option<&NodeName>, io::Result<FileDigest>> = BTreeMap::new();
        for object in of_hash {
            report(BackupProgress::Done(1));
            // The objects of a repository that is being deleted are removed next.
            let Some(repository) = of_repository.get(&object.repository_id) else { continue };
            // The objects of one node, or of all nodes on disk, have the same blob.
            let node = repository.storage.as_ref().filter(|_| blobs.is_shared());
            match read.entry(node).or_insert_with(|| digest((blobs, own), repository, hash)) {
                Ok(found) if found.bytes == object.bytes() && found.sha256 == hash.to_string() => {}
                Ok(_) => damaged.push((*object, "the bytes are damaged".to_owned())),
                Err(error) if error.kind() == ErrorKind::NotFound && !own.contains(repository) => {
                    elsewhere += 1;
                }
                Err(error) => damaged.push((*object, error.to_string())),
            }
        }
    }
    let damaged = still_stored(database, damaged)?;
    // A push sends no bytes that are there with their size: damaged ones must go before.
    let there = if blobs.is_shared() { "it there and in the bucket" } else { "it, if it is there," };
    let sentence = |(object, why): &(&LfsObject, String)| {
        let (path, oid) = (DiskBlobs::path_in_data_dir(&object.oid), object.oid);
        format!(
            "object {oid} of repository {}: {why}; restore {} from a backup, or remove {there} and push the object \
             again with git lfs push --all",
            object.repository_id,
            path.display()
        )
    };
    let mut findings: Vec<_> = damaged.iter().take(NAMED_MAX).map(sentence).collect();
    if damaged.len() > NAMED_MAX {
        findings.push(format!("and {} more objects", damaged.len() - NAMED_MAX));
    }
    let mut extent = plural(all.len(), "object", "objects");
    if elsewhere > 0 {
        extent.push_str(&format!(", {elsewhere} on other nodes"));
    }
    Ok(Checked::new(LFS, extent, findings))
}

fn digest(
    (blobs, own): (&dyn BlobStore, &OwnRepositories),
    repository: &Repository,
    oid: &BlobHash,
) -> io::Result<FileDigest> {
    let blob = own.open_object(blobs, repository, oid)?.ok_or(ErrorKind::NotFound)?;
    super::files::digest_blob(blob.as_ref())
}

/// Reads the rows of the damaged objects again, and returns those that still have them. A running
/// server removes rows first, then bytes.
fn still_stored<'a>(
    database: &Source,
    damaged: Vec<(&'a LfsObject, String)>,
) -> Result<Vec<(&'a LfsObject, String)>, BackupError> {
    if damaged.is_empty() {
        return Ok(damaged);
    }
    let (mut db, mut kept) = (database.open_reader()?, Vec::new());
    for (object, why) in damaged {
        let row = lfs::object(&mut db, object.repository_id, &object.oid)?;
        if row.is_some_and(|row| row.id == object.id) {
            kept.push((object, why));
        }
    }
    Ok(kept)
}
