//! `netbit config`: the effective configuration.

use std::process::ExitCode;

use super::ServerFlags;
use super::output::{print_line, report_error, warn};

pub(super) fn run(flags: &ServerFlags) -> Result<ExitCode, ExitCode> {
    let loaded = flags.load()?;
    for name in &loaded.unknown_variables {
        warn(format_args!("warning: environment variable {name} is not a setting and is ignored"));
    }
    for renamed in &loaded.renamed_keys {
        warn(format_args!("warning: {renamed}"));
    }
    let text = loaded.config.to_toml().map_err(|error| report_error(&error.into()))?;
    print_line!("{}", text.trim_end()).map_err(|error| report_error(&error.into()))?;
    Ok(ExitCode::SUCCESS)
}
