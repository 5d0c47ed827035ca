//! Children: each leads a process group of its own, which is ended and reaped as a whole.
//!
//! Invariants
//! * No child outlives its [`Group`]: dropping it, also when the runtime is torn down, kills the group.
//! * After [`supervise`] returns nothing of the group is left, not as a zombie either.
//! * A receive-pack is first asked to end by closing its input: then it removes its quarantine itself. Killing it would
//!   leave a whole pack behind.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr};
use tokio_util::sync::CancellationToken;

use super::memory::Watched;
use crate::core::shares::{Pace, Share, Window};

/// How long a child that was told to end is waited for.
const GRACE: Duration = Duration::from_secs(2);
/// Orphans of a killed group are reaped for so long, in steps.
const REAP_STEPS: u32 = 200;
const REAP_STEP: Duration = Duration::from_millis(10);
/// The `nice` value of git children: chats are answered first.
const PRIORITY: i32 = 5;
/// The same of work that no request waits for.
const BACKGROUND_PRIORITY: i32 = 10;
/// What is kept of a child's complaints.
const STDERR_BYTES: usize = 16 * 1024;

/// How a child came to its end.
#[derive(Debug)]
pub enum End {
    Exit(ExitStatus),
    /// The client left, and the child ended by itself when its input was closed.
    Aborted,
    /// The client left, and the child was killed.
    Cancelled,
    /// Its client took or sent too few bytes for too long.
    Slow,
    /// Its client was slow, and another holder needed the place.
    Displaced,
    /// It took too long altogether.
    Total,
    /// It was the largest when all children held too much memory.
    Memory,
}

impl End {
    /// What the client of a transfer reads when the server has ended it; `None` when the client left or git ended.
    pub(super) fn sentence(&self) -> Option<&'static str> {
        match self {
            Self::Exit(_) | Self::Aborted | Self::Cancelled => None,
            Self::Slow => Some("the transfer moved too few bytes for too long and was ended"),
            Self::Displaced => Some(
                "the transfer was ended for another user's, because it was slow or had more than its share, or because its \
                 own user lost access; try again later",
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
    /// The window in which `bytes_min` must move. It counts the time in which the client is waited for.
    pub idle: Duration,
    pub bytes_min: u64,
    pub total: Duration,
}

/// A process group that goes with this value.
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }

    /// The process that leads the group, while it may run.
    pub(super) fn leader(&self) -> Option<Pid> {
        self.0
    }

    /// Has the group run behind the server, `background` work behind everything.
    pub(super) fn lower_priority(&self, background: bool) {
        let nice = if background { BACKGROUND_PRIORITY } else { PRIORITY };
        if let Err(error) = rustix::process::setpriority_pgrp(self.0, nice) {
            tracing::debug!(%error, "a child runs at the usual priority");
        }
    }

    fn send(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::trace!(%error, "the group has gone already");
        }
    }

    /// Kills what is left and reaps it.
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

/// What moves in a transfer, seen from both pumps and the supervisor.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) pace: Arc<Pace>,
    /// The place of the transfer is needed by another holder.
    pub(super) displaced: CancellationToken,
    /// All input was handed over: the child must be let finish.
    pub(super) complete: AtomicBool,
    /// The child of a push is asked to end, and the client gets the reason from the server: not what git writes then.
    pub(super) given_up: AtomicBool,
}

impl Progress {
    /// Of a transfer in a place.
    pub(super) fn of(share: &Share) -> Arc<Self> {
        Self::new(share.pace().clone(), share.cut().clone())
    }

    /// Of a child that no client is waited for.
    pub(super) fn without_client() -> Arc<Self> {
        Self::new(Arc::default(), CancellationToken::new())
    }

    fn new(pace: Arc<Pace>, displaced: CancellationToken) -> Arc<Self> {
        Arc::new(Self { pace, displaced, complete: AtomicBool::new(false), given_up: AtomicBool::new(false) })
    }
}

/// Waits for the child's end, or brings it about: when `cancel` is cancelled, or a deadline passes. `gentle`: close the
/// input first (whoever holds it does so on `cancel`), and let a push that has arrived whole finish. Once everything has
/// arrived only the total deadline holds: the child may think in silence.
pub(super) async fn supervise(
    mut child: Child,
    group: Group,
    watched: Watched,
    cancel: CancellationToken,
    progress: Arc<Progress>,
    deadlines: Deadlines,
    gentle: bool,
) -> End {
    let total = tokio::time::sleep(deadlines.total);
    tokio::pin!(total);
    let mut tick = tokio::time::interval((deadlines.idle / 8).max(Duration::from_millis(1)));
    let mut window = Window::default();
    let (mut left, mut aborted) = (false, false);
    // Why a gentle child was asked to end, if its client did not leave.
    let mut cause = None;
    let evicted = watched.evicted();
    let end = loop {
        tokio::select! {
            biased;
            waited = child.wait() => break match waited {
                Ok(_) if aborted => End::Aborted,
                Ok(status) => End::Exit(status),
                Err(_) => End::Cancelled,
            },
            () = evicted.cancelled() => {
                // At once: it may be growing.
                group.send(Signal::KILL);
                break End::Memory;
            }
            () = cancel.cancelled(), if !left => {
                if !gentle {
                    break End::Cancelled;
                }
                left = true;
                if !progress.complete.load(Relaxed) {
                    aborted = true;
                    total.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
            },
            () = &mut total => break if aborted { End::Cancelled } else { End::Total },
            () = progress.displaced.cancelled(), if !left => {
                if !gentle {
                    break End::Displaced;
                }
                if progress.complete.load(Relaxed) {
                    // It ends by itself: nothing waits for the client any more.
                    left = true;
                } else {
                    cause.get_or_insert(End::Displaced);
                    progress.given_up.store(true, Relaxed);
                    cancel.cancel();
                }
            },
            _ = tick.tick(), if !left => {
                let slow = window.is_too_slow(&progress.pace, deadlines.idle, deadlines.bytes_min);
                if slow && !gentle {
                    break End::Slow;
                }
                if slow && !progress.complete.load(Relaxed) {
                    cause.get_or_insert(End::Slow);
                    progress.given_up.store(true, Relaxed);
                    cancel.cancel();
                }
            },
        }
    };
    if !matches!(end, End::Exit(_) | End::Aborted) {
        group.send(Signal::TERM);
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            group.send(Signal::KILL);
        }
        if let Err(error) = child.wait().await {
            tracing::warn!(%error, "a child could not be waited for");
        }
    }
    group.finish().await;
    match (end, cause) {
        (End::Aborted | End::Cancelled, Some(cause)) => cause,
        (end, _) => end,
    }
}

/// Reads a child's complaints to their end, keeping the first of them.
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
