//! `netbit completions` and `netbit man`: files for packages, generated from the definitions of
//! `--help`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::output::report_error;

#[derive(Args)]
pub(super) struct CompletionsArguments {
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManArguments {
    /// Write one page per command into this directory instead of printing the main page.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run_completions(
    arguments: &CompletionsArguments,
    mut command: Command,
) -> Result<ExitCode, ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "netbit", &mut script);
    print(&script)
}

pub(super) fn run_man(arguments: &ManArguments, command: Command) -> Result<ExitCode, ExitCode> {
    if let Some(folder) = &arguments.out {
        let made = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
        let made = made.with_context(|| folder.display().to_string());
        return made.map(|()| ExitCode::SUCCESS).map_err(|error| report_error(&error));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|error| report_error(&error.into()))?;
    print(&page)
}

fn print(bytes: &[u8]) -> Result<ExitCode, ExitCode> {
    io::stdout().write_all(bytes).map_err(|error| report_error(&error.into()))?;
    Ok(ExitCode::SUCCESS)
}
