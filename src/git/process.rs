//! Child processes: each leads its own process group, which is ended and reaped as a whole.
//!
//! Invariants
//! * No child outlives its [`Group`]: dropping the group kills it, also when the runtime is shut
//!   down.
//! * After [`supervise`] has returned, no process of the group remains, not even as a zombie.
//! * A receive-pack is first asked to end by closing its stdin, so that it removes its quarantine
//!   itself. Killing it would leave a whole pack on disk.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr};
use tokio_util::sync::CancellationToken;

use super::memory::Watched;
use crate::core::shares::{Pace, Share, Window};

/// How long to wait for a child that was asked to end.
const GRACE: Duration = Duration::from_secs(2);
/// Number and length of the steps in which orphans of a killed group are reaped.
const REAP_STEPS: u32 = 200;
const REAP_STEP: Duration = Duration::from_millis(10);
/// The `nice` value of git children: chat has priority.
const PRIORITY: i32 = 5;
/// The `nice` value of background work that no request waits for.
const BACKGROUND_PRIORITY: i32 = 10;
/// Maximum number of stderr bytes kept per child.
const STDERR_BYTES: usize = 16 * 1024;

/// The reason why a child ended.
#[derive(Debug)]
pub enum ChildEnd {
    Exit(ExitStatus),
    /// The client disconnected, and the child exited after its stdin was closed.
    Aborted,
    /// The client disconnected, and the child was killed.
    Cancelled,
    /// The client received or sent too few bytes for too long.
    Slow,
    /// The transfer was slow or above its share and another holder needed the permit, or its user
    /// lost access.
    Displaced,
    /// The total deadline passed.
    Total,
    /// All children together exceeded the memory limit, and this child was the largest of the
    /// largest group.
    Memory,
}

impl ChildEnd {
    /// Returns the sentence for the client if the server ended the transfer; `None` if the client
    /// disconnected or git exited.
    pub(super) fn sentence(&self) -> Option<&'static str> {
        match self {
            Self::Exit(_) | Self::Aborted | Self::Cancelled => None,
            Self::Slow => Some("the transfer moved too few bytes for too long and was ended"),
            Self::Displaced => Some(
                "the transfer was ended because it was slow or above its share and another user needed the capacity, \
                 or because its own user lost access; try again later",
            ),
            Self::Total => Some("the transfer took longer than the server allows and was ended"),
            Self::Memory => Some(
                "git needed more memory than the server has left for it; try again later, or in smaller parts",
            ),
        }
    }

    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exit(status) if status.success())
    }
}

/// The deadlines of a transfer.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// The window in which `bytes_min` must be transferred. Only time spent waiting for the client
    /// counts.
    pub idle: Duration,
    pub bytes_min: u64,
    pub total: Duration,
}

/// A process group that is killed when this value is dropped.
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }

    /// Returns the leader of the group, while it may run.
    pub(super) fn leader(&self) -> Option<Pid> {
        self.0
    }

    /// Lowers the scheduling priority of the group below the server's; `background` work gets the
    /// lowest.
    pub(super) fn lower_priority(&self, background: bool) {
        let nice = if background { BACKGROUND_PRIORITY } else { PRIORITY };
        if let Err(error) = rustix::process::setpriority_pgrp(self.0, nice) {
            tracing::debug!(%error, "cannot lower the priority of a git child");
        }
    }

    fn send(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::trace!(%error, "cannot signal the process group; it has probably exited");
        }
    }

    /// Kills and reaps the remaining processes of the group.
    async fn finish(mut self) {
        self.send(Signal::KILL);
        for _ in 0..REAP_STEPS {
            match self.0.map(|group| waitpgid(group, WaitOptions::NOHANG)) {
                Some(Ok(Some(_))) => {}
                Some(Ok(None)) => tokio::time::sleep(REAP_STEP).await,
                Some(Err(_)) | None => break,
            }
        }
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::KILL);
    }
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum TransferState {
    /// The input is still arriving.
    Arriving,
    /// All input has arrived: the child must be allowed to finish.
    Arrived,
    /// The push was refused, and the server sends the reason itself: further output of git is
    /// dropped.
    Refused,
    /// The server is ending the child of a push, and sends the reason itself: further output of git
    /// is dropped.
    GivenUp,
}

/// State of a transfer that both pumps and the supervisor share.
#[derive(Debug)]
pub(super) struct TransferProgress {
    pub(super) pace: Arc<Pace>,
    /// Cancelled when another holder needs the permit of the transfer.
    pub(super) displaced: CancellationToken,
    /// A [`TransferState`].
    state: AtomicU8,
}

impl TransferProgress {
    /// Returns the progress of a transfer with a permit.
    pub(super) fn of(share: &Share) -> Arc<Self> {
        Self::new(share.pace().clone(), share.cut().clone())
    }

    /// Returns the progress of a child that does not wait for a client.
    pub(super) fn without_client() -> Arc<Self> {
        Self::new(Arc::default(), CancellationToken::new())
    }

    fn new(pace: Arc<Pace>, displaced: CancellationToken) -> Arc<Self> {
        Arc::new(Self { pace, displaced, state: AtomicU8::new(TransferState::Arriving as u8) })
    }

    pub(super) fn state(&self) -> TransferState {
        const ALL: [TransferState; 4] =
            [TransferState::Arriving, TransferState::Arrived, TransferState::Refused, TransferState::GivenUp];
        let state = self.state.load(Relaxed);
        ALL.into_iter().find(|known| *known as u8 == state).unwrap_or(TransferState::Arriving)
    }

    /// Marks the input as arrived, or the push as refused.
    pub(super) fn set(&self, state: TransferState) {
        self.state.store(state as u8, Relaxed);
    }

    /// Marks the input as arrived, unless the transfer was given up. Returns whether it may go on.
    pub(super) fn arrive(&self) -> bool {
        let (from, to) = (TransferState::Arriving as u8, TransferState::Arrived as u8);
        self.state.compare_exchange(from, to, Relaxed, Relaxed).is_ok()
    }

    /// Gives the transfer up, unless all input has arrived. Returns whether the child must end.
    fn give_up(&self) -> bool {
        let (from, to) = (TransferState::Arriving as u8, TransferState::GivenUp as u8);
        match self.state.compare_exchange(from, to, Relaxed, Relaxed) {
            Ok(_) => true,
            Err(state) => state != TransferState::Arrived as u8,
        }
    }
}

/// Waits until the child ends, or ends it when `cancel` is cancelled or a deadline passes.
///
/// If `gentle`, its stdin is closed first (by the holder of stdin, on `cancel`), and a push that
/// has arrived completely may finish. After all input has arrived only the total deadline applies:
/// the child may compute without output.
pub(super) async fn supervise(
    mut child: Child,
    group: Group,
    watched: Watched,
    cancel: CancellationToken,
    progress: Arc<TransferProgress>,
    deadlines: Deadlines,
    gentle: bool,
) -> ChildEnd {
    let total = tokio::time::sleep(deadlines.total);
    tokio::pin!(total);
    let mut tick = tokio::time::interval((deadlines.idle / 8).max(Duration::from_millis(1)));
    let mut window = Window::default();
    let (mut left, mut aborted) = (false, false);
    // The reason why a gentle child was asked to end, unless its client disconnected.
    let mut cause = None;
    let evicted = watched.evicted();
    let end = loop {
        tokio::select! {
            biased;
            waited = child.wait() => break match waited {
                Ok(_) if aborted => ChildEnd::Aborted,
                Ok(status) => ChildEnd::Exit(status),
                Err(_) => ChildEnd::Cancelled,
            },
            () = evicted.cancelled() => {
                // Killed immediately: its memory may be growing.
                group.send(Signal::KILL);
                break ChildEnd::Memory;
            }
            () = cancel.cancelled(), if !left => {
                if !gentle {
                    break ChildEnd::Cancelled;
                }
                left = true;
                if progress.state() != TransferState::Arrived {
                    aborted = true;
                    total.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
            },
            () = &mut total => break if aborted { ChildEnd::Cancelled } else { ChildEnd::Total },
            () = progress.displaced.cancelled(), if !left => {
                if !gentle {
                    break ChildEnd::Displaced;
                }
                if progress.give_up() {
                    cause.get_or_insert(ChildEnd::Displaced);
                    cancel.cancel();
                } else {
                    // The child finishes by itself: it no longer waits for the client.
                    left = true;
                }
            },
            _ = tick.tick(), if !left => {
                let slow = window.is_too_slow(&progress.pace, deadlines.idle, deadlines.bytes_min);
                if slow && !gentle {
                    break ChildEnd::Slow;
                }
                if slow && progress.give_up() {
                    cause.get_or_insert(ChildEnd::Slow);
                    cancel.cancel();
                }
            },
        }
    };
    if !matches!(end, ChildEnd::Exit(_) | ChildEnd::Aborted) {
        group.send(Signal::TERM);
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            group.send(Signal::KILL);
        }
        if let Err(error) = child.wait().await {
            tracing::warn!(%error, "cannot reap a git child");
        }
    }
    group.finish().await;
    match (end, cause) {
        (ChildEnd::Aborted | ChildEnd::Cancelled, Some(cause)) => cause,
        (end, _) => end,
    }
}

/// Reads the stderr of a child to its end; returns the first [`STDERR_BYTES`].
pub(super) async fn drain(mut errors: ChildStderr) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read) = errors.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        let room = STDERR_BYTES - kept.len();
        kept.extend_from_slice(buffer.get(..read.min(room)).unwrap_or_default());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_is_either_given_up_or_arrives() {
        let given_up = TransferProgress::without_client();
        assert!(given_up.give_up() && !given_up.arrive());
        assert_eq!(given_up.state(), TransferState::GivenUp);
        let arrived = TransferProgress::without_client();
        assert!(arrived.arrive() && !arrived.give_up());
        assert_eq!(arrived.state(), TransferState::Arrived);
    }
}
