//! placeholder
use std::process::ExitCode;
use clap::Args;
#[derive(Args)]
pub(super) struct ChatArguments {}
pub(super) fn run(_: &ChatArguments) -> Result<ExitCode, ExitCode> { Ok(ExitCode::SUCCESS) }
