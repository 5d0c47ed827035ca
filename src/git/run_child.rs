//! Runs child processes whose output is collected in full: ref advertisements, blame, maintenance.

use std::fs::File;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::child::{Caged, GitCommand};
use super::process::{ChildEnd, Deadlines, TransferProgress, drain, supervise};
use crate::core::saturate;

#[derive(Debug, thiserror::Error)]
pub enum RunChildError {
    #[error("cannot run git: {0}")]
    Io(#[from] io::Error),
    #[error("git exceeded its time limit")]
    TooSlow,
    #[error("git wrote more output than allowed")]
    TooMuch,
    #[error("git exceeded the memory limit of git processes")]
    TooMuchMemory,
    #[error("git failed: {0}")]
    Failed(String),
}

/// Runs the child until it exits; returns at most `bytes_max` bytes of output.
///
/// Dropping the future kills the child.
pub async fn run(command: GitCommand, bytes_max: usize, within: Duration) -> Result<Vec<u8>, RunChildError> {
    run_at(command, bytes_max, within, false).await
}

/// Same as [`run`], at background priority: for work that no request waits for.
pub(super) async fn run_in_background(
    command: GitCommand,
    bytes_max: usize,
    within: Duration,
) -> Result<Vec<u8>, RunChildError> {
    run_at(command, bytes_max, within, true).await
}

/// Runs the child until it exits, with its output redirected to `file`.
pub async fn run_to_file(command: GitCommand, file: File, within: Duration) -> Result<(), RunChildError> {
    let Caged { mut child, group, watched } = command.spawn_into(Stdio::null(), file.into())?;
    let stderr = child.stderr.take().ok_or_else(|| io::Error::other("the child has no pipes"))?;
    let cancel = CancellationToken::new();
    let _cancelled_when_dropped = cancel.clone().drop_guard();
    let deadlines = Deadlines { idle: within, bytes_min: 0, total: within };
    let progress = TransferProgress::without_client();
    let supervisor =
        tokio::spawn(supervise(child, group, watched, cancel.clone(), progress, deadlines, false));
    let errors = drain(stderr).await;
    verdict(supervisor.await, &errors)
}

fn verdict(ended: Result<ChildEnd, JoinError>, errors: &[u8]) -> Result<(), RunChildError> {
    match ended {
        Ok(end) if end.is_success() => Ok(()),
        Ok(ChildEnd::Total) => Err(RunChildError::TooSlow),
        Ok(ChildEnd::Memory) => Err(RunChildError::TooMuchMemory),
        Ok(_) => Err(RunChildError::Failed(String::from_utf8_lossy(errors).trim().to_owned())),
        Err(error) => Err(io::Error::other(error).into()),
    }
}

async fn run_at(
    command: GitCommand,
    bytes_max: usize,
    within: Duration,
    background: bool,
) -> Result<Vec<u8>, RunChildError> {
    let Caged { mut child, group, watched } = command.spawn(Stdio::null())?;
    group.lower_priority(background);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("the child has no pipes").into());
    };
    let cancel = CancellationToken::new();
    let _cancelled_when_dropped = cancel.clone().drop_guard();
    let deadlines = Deadlines { idle: within, bytes_min: 0, total: within };
    let progress = TransferProgress::without_client();
    let supervisor =
        tokio::spawn(supervise(child, group, watched, cancel.clone(), progress, deadlines, false));
    let errors = tokio::spawn(drain(stderr));
    let mut output = Vec::new();
    let limit = saturate::to_u64(bytes_max).saturating_add(1);
    stdout.take(limit).read_to_end(&mut output).await?;
    if output.len() > bytes_max {
        return Err(RunChildError::TooMuch);
    }
    let errors = errors.await.unwrap_or_default();
    verdict(supervisor.await, &errors).map(|()| output)
}
