//! placeholder
use clap::Args;
use std::process::ExitCode;
#[derive(Args)]
pub(super) struct ChatArguments {}
pub(super) fn run(_: &ChatArguments) -> Result<ExitCode, ExitCode> {
    Ok(ExitCode::SUCCESS)
}
