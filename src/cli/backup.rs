//! `netbit backup`: copies all data of a server, running or stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::DataDirFlag;
use super::output::{print_line, report_error, warn};
use super::progress::Bar;
use crate::backup::{self, Manifest, MissingObject, MissingRepository, OwnRepositories};
use crate::core::plural::plural;

/// Maximum number of files, and of objects, that are named; the manifest names all.
const NAMED_MAX: usize = 20;

#[derive(Args)]
pub(super) struct BackupArguments {
    /// Target directory, new or empty; with --verify, an existing backup.
    #[arg(value_name = "DIR")]
    target: PathBuf,
    #[command(flatten)]
    place: DataDirFlag,
    /// Compare every file of an existing backup with its checksum instead of creating a backup.
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(arguments: &BackupArguments) -> Result<ExitCode, ExitCode> {
    let manifest = if arguments.verify { verify(arguments) } else { take(arguments) }?;
    if manifest.elsewhere > 0 {
        let elsewhere = plural(manifest.elsewhere, "repository is", "repositories are");
        warn(format_args!("{elsewhere} on other nodes and not in this backup: back up those nodes too"));
    }
    if manifest.files_elsewhere > 0 {
        let elsewhere = plural(manifest.files_elsewhere, "file in chats is", "files in chats are");
        warn(format_args!("{elsewhere} on other nodes and not in this backup: back up those nodes too"));
    }
    if manifest.objects_elsewhere > 0 {
        let elsewhere = plural(manifest.objects_elsewhere, "object of Git LFS is", "objects of Git LFS are");
        warn(format_args!("{elsewhere} on other nodes and not in this backup: back up those nodes too"));
    }
    let act = if arguments.verify { "verified" } else { "backed up" };
    print_line!(
        "{act} {}, {}, {}, up to commit {}: {}",
        plural(manifest.file_count(), "file", "files"),
        plural(manifest.bytes, "byte", "bytes"),
        plural(manifest.repositories, "repository", "repositories"),
        manifest.commit_no,
        arguments.target.display()
    )
    .map_err(|error| report_error(&error.into()))?;
    warn_of_missing(&manifest);
    // The check compares the files that the backup has.
    let is_whole = arguments.verify || manifest.is_whole();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Names the repositories and files whose bytes were missing, and the repositories whose
/// directories were incomplete, when the backup was taken.
pub(super) fn warn_of_missing(manifest: &Manifest) {
    for MissingRepository { id, name, lacks } in &manifest.missing {
        let cause = match lacks {
            None => "had no directory in repos/".to_owned(),
            Some(folder) => format!("had no {folder}/ in its directory"),
        };
        warn(format_args!(
            "repository {id} ({name}) {cause} and is not in this backup: restore it from an earlier backup, or \
             delete the repository"
        ));
    }
    for id in &manifest.missing_files {
        warn(format_args!(
            "the bytes of file {id} in a chat were missing or damaged in files/ and are not in this backup: restore \
             them from an earlier backup, or delete the message"
        ));
    }
    warn_of_unread(manifest);
    for MissingObject { repository, oid } in &manifest.missing_objects {
        warn(format_args!(
            "the bytes of the Git LFS object {oid} of repository {repository} were missing or damaged in files/ and \
             are not in this backup: restore them from an earlier backup, or push them again with git lfs push --all"
        ));
    }
}

/// Warns of the bytes that the store of files failed to return.
fn warn_of_unread(manifest: &Manifest) {
    if manifest.has_all_readable() {
        return;
    }
    let problem = manifest.store_problem.as_deref().unwrap_or("the store of files failed");
    warn(format_args!(
        "INCOMPLETE: the bytes of {} in chats and {} of Git LFS could not be read and are not in this backup \
         ({problem}). Repeat the backup when the store works. A server that is restored from this one has them only \
         with the files.s3 of the backed up server, while the bucket keeps them",
        plural(manifest.unread_files.len(), "file", "files"),
        plural(manifest.unread_objects.len(), "object", "objects"),
    ));
    for id in manifest.unread_files.iter().take(NAMED_MAX) {
        warn(format_args!("not in this backup: the bytes of file {id} in a chat"));
    }
    for MissingObject { repository, oid } in manifest.unread_objects.iter().take(NAMED_MAX) {
        warn(format_args!("not in this backup: the Git LFS object {oid} of repository {repository}"));
    }
    let named = |count: usize| count.min(NAMED_MAX);
    let (files, objects) = (manifest.unread_files.len(), manifest.unread_objects.len());
    let rest = files.saturating_add(objects).saturating_sub(named(files)).saturating_sub(named(objects));
    if rest > 0 {
        warn(format_args!("not in this backup: {rest} more, which manifest.json names"));
    }
}

/// Reads the backup only: the machine may have no settings, and no access to the database.
fn verify(arguments: &BackupArguments) -> Result<Manifest, ExitCode> {
    let mut bar = Bar::new(true);
    let verified = backup::verify(&arguments.target, &mut |progress| bar.show(progress));
    drop(bar);
    verified.map_err(|error| report_error(&error.into()))
}

fn take(arguments: &BackupArguments) -> Result<Manifest, ExitCode> {
    let (config, database) = arguments.place.source()?;
    let own = OwnRepositories::of(&config, &database).map_err(|error| report_error(&error.into()))?;
    OwnRepositories::check_file_place(&config, &database).map_err(|error| report_error(&error.into()))?;
    let blobs = OwnRepositories::blobs(&config, &database).map_err(|error| report_error(&error.into()))?;
    let place = (config.data_dir.0.as_path(), &own, blobs.as_ref());
    let mut bar = Bar::new(false);
    let taken = backup::take(&database, place, &arguments.target, &mut |progress| bar.show(progress));
    drop(bar);
    taken.map_err(|error| report_error(&error.into()))
}
