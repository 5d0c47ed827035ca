//! `netbit doctor`: is everything there, does it fit together? Reads only; 0 if nothing was found, 1 if something was.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::complain;
use super::progress::Bar;
use crate::backup;

#[derive(Args)]
pub(super) struct DoctorArguments {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
}

pub(super) fn run(arguments: &DoctorArguments) -> Result<ExitCode, ExitCode> {
    let mut bar = Bar::new(false);
    let system = actix_web::rt::System::new();
    let mut report = |progress: backup::Progress<'_>| bar.show(progress);
    let examined = system.block_on(backup::examine(&arguments.data_dir, &mut report));
    drop(bar);
    let checked = examined.map_err(|error| complain(&error.into()))?;
    let mut findings = 0;
    for check in &checked {
        findings += check.findings.len();
        let verdict = if check.findings.is_empty() { "ok  " } else { "BAD " };
        let extent = if check.extent.is_empty() { String::new() } else { format!(" ({})", check.extent) };
        println!("{verdict}{}{extent}", check.what);
        for finding in &check.findings {
            println!("      {finding}");
        }
    }
    println!("{findings} findings");
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
