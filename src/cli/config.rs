//! `netbit config`: the effective configuration.

use std::process::ExitCode;

use super::{ServerFlags, complain};

pub(super) fn run(flags: &ServerFlags) -> Result<ExitCode, ExitCode> {
    let loaded = flags.load()?;
    for name in &loaded.unknown_variables {
        eprintln!("netbit: warning: the variable {name} is no setting and is ignored");
    }
    let text = loaded.config.to_toml().map_err(|error| complain(&error.into()))?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}
