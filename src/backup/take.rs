//! Takes a backup, with or without a running server.

use std::io;
use std::path::{Path, PathBuf};

use super::blobs::{BlobCopier, CopiedBlob, Wanted};
use super::database::copy_to_file;
use super::files::{self, failed};
use super::own::BlobSource;
use super::{
    BackupError, BackupProgress, DATABASE, Manifest, MissingObject, MissingRepository, OwnRepositories,
    ReportProgress,
};
use crate::blobs::BlobStore;
use crate::core::database::postgres::Purpose;
use crate::core::database::{self, DatabaseError, Db, Postgres, Source};
use crate::core::fail_points;
use crate::core::private_file;
use crate::domain::file::{BlobHash, Contents, StoredFile};
use crate::domain::ids::{FileId, LfsObjectId};
use crate::domain::repository::Repository;
use crate::git::store::Store;
use crate::storage::copy::vacuum_into;
use crate::storage::database_copy::Logins;
use crate::storage::metrics::LAST_BACKUP;
use crate::storage::queries::{files as stored_files, lfs, meta, repositories};

const REPOSITORIES: &str = "repos";
/// Folders without which a directory is not a repository for git.
const FOLDERS: [&str; 2] = ["objects", "refs"];
/// Files whose rows are read at once.
const FILES_PER_READ: i64 = 1_000;
/// Objects of Git LFS that are copied together.
const OBJECTS_AT_ONCE: usize = 1_000;

/// A database that can be read.
enum OpenSource<'a> {
    File(&'a Path),
    Server(Box<Postgres>),
}

/// Writes a backup of `data_dir` and its database into `target`, which must be new or empty. It is
/// complete without the `own` repositories whose directories are missing or incomplete: the
/// manifest names them.
pub fn take(
    database: &Source,
    (data_dir, own, blobs): (&Path, &OwnRepositories, &dyn BlobStore),
    target: &Path,
    report: ReportProgress<'_>,
) -> Result<Manifest, BackupError> {
    let source = match database {
        Source::File(path) if !path.exists() => return Err(BackupError::NoDatabase(data_dir.to_owned())),
        Source::File(path) => OpenSource::File(path),
        Source::Server(server) => {
            let db = server.connect(Purpose::Migration).map_err(DatabaseError::Postgres)?;
            OpenSource::Server(Box::new(db))
        }
    };
    files::make_empty(target)?;
    let store = Store::at(data_dir).map_err(failed(data_dir))?;
    report(BackupProgress::Begin("waiting for running maintenance", 0));
    let _nothing_is_removed = store.maintenance_lock(true).map_err(failed(store.root()))?;

    report(BackupProgress::Begin("database", 0));
    let copy = target.join(DATABASE);
    match source {
        OpenSource::File(path) => vacuum_into(path, &copy)?,
        OpenSource::Server(source) => {
            copy_to_file(&mut Db::Postgres(source), &copy, Logins::Backup, report)?;
        }
    }
    let mut db = Db::Sqlite(database::open_reader(&copy)?);
    let epoch = meta::get(&mut db, meta::EPOCH)?.unwrap_or(0);
    let mut manifest = Manifest::new(epoch, meta::get(&mut db, meta::COMMIT_NO)?.unwrap_or(0));
    let all = repositories::in_state(&mut db, repositories::ACTIVE)?;
    manifest.add(Path::new(DATABASE), files::digest(&copy).map_err(failed(&copy))?);

    report(BackupProgress::Begin("repositories", u64::try_from(all.len()).unwrap_or(0)));
    for repository in &all {
        if own.contains(repository) {
            copy_or_name(&store, repository, target, &mut manifest)?;
        } else {
            manifest.elsewhere += 1;
        }
        report(BackupProgress::Done(1));
    }
    report(BackupProgress::Begin("files", 0));
    let mut copier = BlobCopier::new(blobs, data_dir, target);
    copy_files(&mut db, own, &mut copier, (&mut manifest, report))?;
    copy_objects(&mut db, (&all, own), &mut copier, (&mut manifest, report))?;
    drop(db);
    fail_points::reach(fail_points::BEFORE_MANIFEST);
    manifest.write(target)?;
    // The metrics read this time, also of a backup without missing repositories: it has all that is
    // left. The backup is complete without the time.
    if !manifest.has_all_readable() {
        return Ok(manifest);
    }
    if let Err(error) = private_file::create(&data_dir.join(LAST_BACKUP)).and_then(|file| file.set_len(0)) {
        tracing::warn!(%error, "the time of this backup could not be written to the data directory");
    }
    Ok(manifest)
}

/// Copies a repository, or names it if its directory is missing or is not a repository of git: the
/// other repositories need their backup all the more.
fn copy_or_name(
    store: &Store,
    repository: &Repository,
    target: &Path,
    manifest: &mut Manifest,
) -> Result<(), BackupError> {
    let from = store.existing(repository.storage_key);
    let lacks = match &from {
        Ok(from) => FOLDERS.into_iter().find(|folder| !from.join(folder).is_dir()),
        Err(_) => None,
    };
    let (Ok(from), None) = (from, lacks) else {
        let (id, name) = (repository.id, repository.name.clone());
        manifest.missing.push(MissingRepository { id, name, lacks: lacks.map(str::to_owned) });
        return Ok(());
    };
    copy_repository(store, &from, target, manifest)?;
    manifest.repositories += 1;
    Ok(())
}

/// Copies the refs of a repository first, then its objects. A push adds objects before it updates a
/// ref, so the objects of every copied ref exist when objects are copied.
fn copy_repository(
    store: &Store,
    from: &Path,
    target: &Path,
    manifest: &mut Manifest,
) -> Result<(), BackupError> {
    let inside = from.strip_prefix(store.root()).unwrap_or(from);
    let to = Path::new(REPOSITORIES).join(inside);
    let all = files::list(from).map_err(failed(from))?;
    let is_object = |path: &Path| path.starts_with("objects");
    // git rewrites packed refs when a ref is deleted, and a loose ref when it is updated. Loose
    // refs are copied first, so that none is missed.
    for folder in all.folders.iter().filter(|path| !is_passing(path)) {
        let folder = to.join(folder);
        files::make(&target.join(&folder)).map_err(failed(target))?;
        manifest.add_folder(&folder);
    }
    let refs = all.files.iter().filter(|path| !is_object(path) && *path != Path::new("packed-refs"));
    let packed = all.files.iter().filter(|path| *path == Path::new("packed-refs"));
    for path in refs.chain(packed).filter(|path| !is_passing(path)) {
        copy_file(from, &to, path, target, manifest, true)?;
    }
    // The objects are listed again: those of the refs just copied all exist by now.
    let objects = from.join("objects");
    let found = files::list(&objects).map_err(failed(&objects))?;
    for path in found.files.iter().filter(|path| !is_passing(path)) {
        copy_file(from, &to, &Path::new("objects").join(path), target, manifest, false)?;
    }
    Ok(())
}

/// Copies the bytes of the files in chats that the copied database names.
fn copy_files(
    db: &mut Db,
    own: &OwnRepositories,
    copier: &mut BlobCopier<'_>,
    (manifest, report): (&mut Manifest, ReportProgress<'_>),
) -> Result<(), BackupError> {
    let mut above = FileId(0);
    loop {
        let found = stored_files::complete_above(db, above, FILES_PER_READ)?;
        let Some(last) = found.last() else { return Ok(()) };
        above = last.id;
        let complete: Vec<_> =
            found.iter().filter_map(|file| Some((file, file.contents.as_ref()?))).collect();
        let wanted = |(file, contents): &(&StoredFile, &Contents)| Wanted {
            hash: contents.hash,
            sources: vec![BlobSource::Of(file.node.clone())],
        };
        let outcomes = copier.copy(complete.iter().map(wanted).collect(), manifest)?;
        for (file, contents) in complete {
            match outcomes.get(&contents.hash) {
                Some(CopiedBlob::Whole) => {}
                Some(CopiedBlob::Unread) => manifest.unread_files.push(file.id),
                Some(CopiedBlob::Missing) | None if !own.has_file(file) => manifest.files_elsewhere += 1,
                Some(CopiedBlob::Damaged | CopiedBlob::Missing) | None => {
                    manifest.missing_files.push(file.id);
                }
            }
        }
        report(BackupProgress::Done(u64::try_from(found.len()).unwrap_or(0)));
    }
}

/// Copies the bytes of the objects of Git LFS of usable repositories.
fn copy_objects(
    db: &mut Db,
    (all, own): (&[Repository], &OwnRepositories),
    copier: &mut BlobCopier<'_>,
    (manifest, report): (&mut Manifest, ReportProgress<'_>),
) -> Result<(), BackupError> {
    let mut waiting = Vec::new();
    for repository in all {
        let mut above = LfsObjectId(0);
        loop {
            let found = lfs::objects_of(db, repository.id, above, FILES_PER_READ)?;
            let Some(last) = found.last() else { break };
            above = last.id;
            waiting.extend(found.iter().map(|object| (repository, object.oid)));
            // Many repositories have few objects.
            if waiting.len() >= OBJECTS_AT_ONCE {
                copy_some_objects(&waiting, own, copier, manifest)?;
                report(BackupProgress::Done(u64::try_from(waiting.len()).unwrap_or(0)));
                waiting.clear();
            }
        }
    }
    copy_some_objects(&waiting, own, copier, manifest)
}

fn copy_some_objects(
    some: &[(&Repository, BlobHash)],
    own: &OwnRepositories,
    copier: &mut BlobCopier<'_>,
    manifest: &mut Manifest,
) -> Result<(), BackupError> {
    let wanted =
        some.iter().map(|(repository, hash)| Wanted { hash: *hash, sources: own.sources_of(repository) });
    let outcomes = copier.copy(wanted.collect(), manifest)?;
    for (repository, hash) in some {
        let object = || MissingObject { repository: repository.id, oid: hash.to_string() };
        match outcomes.get(hash) {
            Some(CopiedBlob::Whole) => {}
            Some(CopiedBlob::Unread) => manifest.unread_objects.push(object()),
            Some(CopiedBlob::Missing) | None if !own.contains(repository) => manifest.objects_elsewhere += 1,
            Some(CopiedBlob::Damaged | CopiedBlob::Missing) | None => {
                manifest.missing_objects.push(object());
            }
        }
    }
    Ok(())
}

/// Returns whether a path is temporary (a lock, a quarantine or a file being written). A backup
/// does not need these.
fn is_passing(path: &Path) -> bool {
    path.iter().any(|part| {
        let name = part.to_string_lossy();
        name.starts_with("tmp_") || name.ends_with(".lock")
    })
}

fn copy_file(
    from: &Path,
    to: &Path,
    path: &Path,
    target: &Path,
    manifest: &mut Manifest,
    may_be_gone: bool,
) -> Result<(), BackupError> {
    let (source, name): (PathBuf, PathBuf) = (from.join(path), to.join(path));
    match files::copy(&source, &target.join(&name)) {
        Ok(digest) => {
            manifest.add(&name, digest);
            Ok(())
        }
        // The ref was deleted after it was listed.
        Err(error) if may_be_gone && error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(&source)(error)),
    }
}
