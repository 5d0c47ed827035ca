//! `netbit restore`: a data directory from a backup.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::complain;
use super::progress::Bar;
use crate::backup;

#[derive(Args)]
pub(super) struct RestoreArguments {
    /// The backup.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The data directory to make: new or empty.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
}

pub(super) fn run(arguments: &RestoreArguments) -> Result<ExitCode, ExitCode> {
    let mut bar = Bar::new(true);
    let done = backup::restore(&arguments.from, &arguments.data_dir, &mut |progress| bar.show(progress));
    drop(bar);
    let restored = done.map_err(|error| complain(&error.into()))?;
    let (manifest, target) = (restored.manifest, arguments.data_dir.display());
    println!("restored {} files into {target}, as of {}", manifest.file_count(), manifest.created_at);
    println!("{} logins were ended: everybody logs in again", restored.logins_ended);
    println!("start it: netbit serve --data-dir {target}");
    Ok(ExitCode::SUCCESS)
}
