//! The doctor's check of files in chats. A server may remove files and their bytes meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, ErrorKind};

use super::doctor::{CheckOutcome, Checked, FILES, NO_STORE, STORE};
use super::files::FileDigest;
use super::{BackupError, BackupProgress, OwnRepositories, ReportProgress};
use crate::blobs::BlobStore;
use crate::core::database::Source;
use crate::core::plural::plural;
use crate::domain::file::{BlobHash, StoredFile};
use crate::domain::ids::FileId;
use crate::domain::lfs::LfsObject;
use crate::domain::node::NodeName;
use crate::storage::queries::files;

/// Maximum number of damaged files that are named; the rest is counted.
const NAMED_MAX: usize = 20;
/// Rows that are read again with one statement.
const ROWS_PER_READ: usize = 500;

/// Reads the bytes of all files in chats, and compares them with their hashes. Bytes that belong to
/// none are not a finding: the server removes them.
pub(super) fn examine(
    database: &Source,
    (blobs, own): (&dyn BlobStore, &OwnRepositories),
    (all, objects): (&[StoredFile], &[LfsObject]),
    report: ReportProgress<'_>,
) -> Result<Vec<Checked>, BackupError> {
    let probed = blobs.probe().map(|probed| {
        let findings = probed.err().map(|error| error.to_string()).into_iter().collect();
        Checked::new(STORE, String::new(), findings)
    });
    let mut checked: Vec<_> = probed.into_iter().collect();
    if checked.iter().any(|probe| !probe.findings().is_empty()) {
        let outcome = CheckOutcome::NotPossible(NO_STORE);
        checked.push(Checked { what: FILES, outcome });
        return Ok(checked);
    }
    report(BackupProgress::Begin("files in chats", u64::try_from(all.len()).unwrap_or(0)));
    let mut by_hash: BTreeMap<BlobHash, Vec<&StoredFile>> = BTreeMap::new();
    for file in all {
        if let Some(contents) = &file.contents {
            by_hash.entry(contents.hash).or_default().push(file);
        }
    }
    let (mut elsewhere, mut damaged) = (0, Vec::new());
    for (hash, of_hash) in &by_hash {
        of_hash.iter().for_each(|_| report(BackupProgress::Done(1)));
        let mut read: BTreeMap<Option<&NodeName>, io::Result<FileDigest>> = BTreeMap::new();
        for file in of_hash {
            let size = u64::try_from(file.size).unwrap_or(0);
            // The files of one node, or of all nodes on disk, have the same blob.
            let node = file.node.as_ref().filter(|_| blobs.is_shared());
            match read.entry(node).or_insert_with(|| digest(blobs, node, hash)) {
                Ok(found) if found.bytes == size && found.sha256 == hash.to_string() => {}
                Ok(_) => damaged.push((*file, "the bytes are damaged".to_owned())),
                Err(error) if error.kind() == ErrorKind::NotFound && !own.has_file(file) => elsewhere += 1,
                Err(error) => damaged.push((*file, error.to_string())),
            }
        }
    }
    let damaged = still_stored(database, damaged)?;
    let named = damaged.iter().take(NAMED_MAX);
    let mut findings: Vec<_> =
        named.map(|(id, why)| format!("file {id}: {why}; restore it from a backup")).collect();
    if damaged.len() > NAMED_MAX {
        findings.push(format!("and {} more files", damaged.len() - NAMED_MAX));
    }
    let mut extent = plural(all.len(), "file", "files");
    let parts = blobs.parts().unwrap_or_default();
    let stored = parts.into_iter().flat_map(|part| blobs.list(part).unwrap_or_default());
    let of_objects: HashSet<_> = objects.iter().map(|object| object.oid).collect();
    let unused = stored.filter(|hash| !by_hash.contains_key(hash) && !of_objects.contains(hash)).count();
    if unused > 0 {
        extent.push_str(&format!(", {unused} unused that the server removes"));
    }
    if elsewhere > 0 {
        extent.push_str(&format!(", {elsewhere} on other nodes"));
    }
    checked.push(Checked::new(FILES, extent, findings));
    Ok(checked)
}

fn digest(blobs: &dyn BlobStore, node: Option<&NodeName>, hash: &BlobHash) -> io::Result<FileDigest> {
    let blob = blobs.open_of(node, hash)?.ok_or(ErrorKind::NotFound)?;
    super::files::digest_blob(blob.as_ref())
}

/// Reads the rows of the damaged files again, and returns those that still have them. A running
/// server removes rows first, then bytes.
fn still_stored(
    database: &Source,
    damaged: Vec<(&StoredFile, String)>,
) -> Result<Vec<(FileId, String)>, BackupError> {
    if damaged.is_empty() {
        return Ok(Vec::new());
    }
    let (mut db, mut kept) = (database.open_reader()?, Vec::new());
    for some in damaged.chunks(ROWS_PER_READ) {
        let ids: Vec<FileId> = some.iter().map(|(file, _)| file.id).collect();
        let rows: HashMap<_, _> =
            files::by_ids(&mut db, &ids)?.into_iter().map(|file| (file.upload_key(), file)).collect();
        let is_stored =
            |file: &StoredFile| rows.get(&file.upload_key()).is_some_and(|row| row.contents == file.contents);
        kept.extend(
            some.iter().filter(|(file, _)| is_stored(file)).map(|(file, why)| (file.id, why.clone())),
        );
    }
    kept.sort();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Synchronous;
    use crate::core::database;
    use crate::domain::file::Contents;
    use crate::domain::ids::{ChatId, UserId};
    use crate::domain::timestamp::Timestamp;

    /// The doctor has read the row, then the server removed the row and the bytes.
    #[test]
    fn file_that_was_removed_meanwhile_is_not_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
        database::migrate(&mut db, &path).unwrap();
        let contents =
            Contents { hash: BlobHash([7; 32]), media_type: "text/plain".to_owned(), pixels: None };
        let removed = StoredFile {
            id: FileId(1),
            chat_id: ChatId(1),
            uploader_id: UserId(1),
            message_id: None,
            name: "x".to_owned(),
            size: 1,
            contents: Some(contents),
            node: None,
            created_at: Timestamp(1),
            was_bound: true,
        };
        let source = Source::File(path);
        let own = OwnRepositories::All;
        let blobs = crate::blobs::DiskBlobs::at(dir.path());
        let checked = examine(&source, (&blobs, &own), (&[removed], &[]), &mut |_| ()).unwrap();
        assert!(checked.iter().all(|check| check.findings().is_empty()), "{checked:?}");
        assert_eq!(checked.len(), 1);
    }
}
