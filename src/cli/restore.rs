//! `netbit restore`: creates a data directory from a backup.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::DataDirFlag;
use super::output::{print_line, report_error};
use super::progress::Bar;
use crate::backup;
use crate::core::plural::plural;

const NEXT_STEP: &str = "restore it with pg_restore; netbit restore does not fill it yet";

#[derive(Args)]
pub(super) struct RestoreArguments {
    /// Directory of the backup.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    place: DataDirFlag,
}

pub(super) fn run(arguments: &RestoreArguments) -> Result<ExitCode, ExitCode> {
    let data_dir = arguments.place.path_with_file(NEXT_STEP)?;
    let mut bar = Bar::new(true);
    let done = backup::restore(&arguments.from, &data_dir, &mut |progress| bar.show(progress));
    drop(bar);
    let restored = done.map_err(|error| report_error(&error.into()))?;
    let (manifest, target) = (restored.manifest, data_dir.display());
    print_line!(
        "restored {} into {target}, as of {}\n{} ended: all users must log in again\nstart the server: netbit serve --data-dir {target}",
        plural(manifest.file_count(), "file", "files"),
        manifest.created_at,
        plural(restored.logins_ended, "login", "logins")
    )
    .map_err(|error| report_error(&error.into()))?;
    Ok(ExitCode::SUCCESS)
}
