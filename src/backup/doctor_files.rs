//! The doctor's check of files in chats. A server may remove files and their bytes meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;

use super::doctor::{Checked, FILES};
use super::{BackupError, BackupProgress, OwnRepositories, ReportProgress};
use crate::blobs::{BlobStore, DiskBlobs};
use crate::core::database::Source;
use crate::core::plural::plural;
use crate::domain::file::{BlobHash, StoredFile};
use crate::domain::ids::FileId;
use crate::domain::lfs::LfsObject;
use crate::storage::queries::files;

/// Maximum number of damaged files that are named; the rest is counted.
const NAMED_MAX: usize = 20;
/// Rows that are read again with one statement.
const ROWS_PER_READ: usize = 500;

/// Reads the bytes of all files in chats, and compares them with their hashes. Bytes that belong to
/// none are not a finding: the server removes them.
pub(super) fn examine(
    database: &Source,
    (data_dir, own): (&Path, &OwnRepositories),
    (all, objects): (&[StoredFile], &[LfsObject]),
    report: ReportProgress<'_>,
) -> Result<Checked, BackupError> {
    report(BackupProgress::Begin("files in chats", u64::try_from(all.len()).unwrap_or(0)));
    let mut by_hash: BTreeMap<BlobHash, Vec<&StoredFile>> = BTreeMap::new();
    for file in all {
        if let Some(contents) = &file.contents {
            by_hash.entry(contents.hash).or_default().push(file);
        }
    }
    let (blobs, mut elsewhere, mut damaged) = (DiskBlobs::at(data_dir), 0, Vec::new());
    for (hash, of_hash) in &by_hash {
        of_hash.iter().for_each(|_| report(BackupProgress::Done(1)));
        let found = super::files::digest(&blobs.path(hash));
        for file in of_hash {
            let size = u64::try_from(file.size).unwrap_or(0);
            match &found {
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
    Ok(Checked::new(FILES, extent, findings))
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
        let checked = examine(&source, (dir.path(), &own), (&[removed], &[]), &mut |_| ()).unwrap();
        assert_eq!(checked.findings(), [] as [String; 0]);
    }
}
