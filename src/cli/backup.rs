//! `netbit backup`: a copy of everything, beside a running server or without one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::DataDirFlag;
use super::output::{complain, say};
use super::progress::Bar;
use crate::backup;

#[derive(Args)]
pub(super) struct BackupArguments {
    /// Where the backup goes: a directory that is new or empty.
    #[arg(value_name = "DIR")]
    target: PathBuf,
    #[command(flatten)]
    place: DataDirFlag,
    /// Read a backup that was taken and compare every file with its checksum, instead of taking one.
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(arguments: &BackupArguments) -> Result<ExitCode, ExitCode> {
    let data_dir = arguments.place.path()?;
    let mut bar = Bar::new(arguments.verify);
    let report = &mut |progress: backup::Progress<'_>| bar.show(progress);
    let done = if arguments.verify {
        backup::verify(&arguments.target, report)
    } else {
        backup::take(&data_dir, &arguments.target, report)
    };
    drop(bar);
    let manifest = done.map_err(|error| complain(&error.into()))?;
    let act = if arguments.verify { "verified" } else { "backed up" };
    say!(
        "{act} {} files, {} bytes, {} repositories, up to commit {}: {}",
        manifest.file_count() + 1,
        manifest.bytes,
        manifest.repositories,
        manifest.commit_no,
        arguments.target.display()
    )
    .map_err(|error| complain(&error.into()))?;
    Ok(ExitCode::SUCCESS)
}
