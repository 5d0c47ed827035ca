//! `netbit backup`: copies all data of a server, running or stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::DataDirFlag;
use super::output::{print_line, report_error};
use super::progress::Bar;
use crate::backup;
use crate::core::plural::plural;

const NEXT_STEP: &str = "back it up with pg_dump; netbit backup does not copy it yet";

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
    // An existing backup is verified without a database.
    let data_dir = match arguments.verify {
        true => arguments.place.path()?,
        false => arguments.place.path_with_file(NEXT_STEP)?,
    };
    let mut bar = Bar::new(arguments.verify);
    let report = &mut |progress: backup::BackupProgress<'_>| bar.show(progress);
    let done = if arguments.verify {
        backup::verify(&arguments.target, report)
    } else {
        backup::take(&data_dir, &arguments.target, report)
    };
    drop(bar);
    let manifest = done.map_err(|error| report_error(&error.into()))?;
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
    Ok(ExitCode::SUCCESS)
}
