//! A fetch, push or archive: a child process between two pumps, streamed in both directions with
//! bounded memory.
//!
//! ```text
//! request body -> input pump (64 KiB) -> child
//! child -> output pump -> channel (4 x 64 KiB) -> response body
//! ```
//!
//! Invariants
//! * Memory of a transfer is bounded by its buffers, whatever its size and however slow the client.
//! * Dropping the [`TransferBody`] (the client disconnected) ends the child; so do the deadlines.
//! * A body ends cleanly only if the child succeeded or the last line of the body is the reason of
//!   the failure. Otherwise the body breaks off with an error, so that the client detects that it
//!   is incomplete.
//! * The checksum at the end of a push's pack is held back until its [`ReceiveHook`] admits the
//!   push. No ref can move before that: without the checksum, git does not have the pack. Parsing
//!   the pack locates the checksum; bytes after it are refused. An admitted push is finished
//!   whether or not its client is still connected.
//! * The response to a push begins after its request body was read: otherwise proxies do not
//!   forward the rest of the body.

mod amendment;
mod body;
mod early;
mod framing;
mod input;
mod output;

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use rustix::process::Pid;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use amendment::Amendment;
pub use body::Input;
use early::Early;
use input::{Broken, InputPump};
use output::OutputPump;
pub use output::TransferBody;

use super::child::{Caged, GitCommand};
use super::metrics::{TransferMeter, TransferPermit};
use super::pack_limits::PackCost;
use super::pkt_line::FLUSH;
pub use super::process::{ChildEnd, Deadlines};
use super::process::{TransferProgress, drain, supervise};
use crate::core::limits::Limits;
use crate::core::shares::{Budget, BudgetGrant, Holder};
use crate::core::telemetry::cut;

/// Buffer size of a pump in bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// The sentence for the client if git failed without a known reason.
const FAILED: &str = "git failed; the server's log has the reason";
/// Number of buffers in the channel between the child and the client.
const CHANNEL_DEPTH: usize = 4;

/// Builds a refusal from its reason.
pub type Refuser = Box<dyn Fn(&str) -> Bytes>;

/// Decides whether a push is admitted once all of it has arrived, and completes it after git has
/// finished.
pub trait ReceiveHook: 'static {
    /// Decides whether the push is admitted.
    ///
    /// # Errors
    /// The complete answer to the client.
    fn pre_receive(&mut self, cost: PackCost) -> impl Future<Output = Result<(), Bytes>>;

    /// Decides whether more of the push may arrive. Called periodically.
    ///
    /// # Errors
    /// The complete answer to the client.
    fn may_continue(&mut self) -> impl Future<Output = Result<(), Bytes>>;

    /// Returns the answer to the client if the push is too large.
    fn too_large(&self) -> Bytes;

    /// Returns a function that builds the complete answer from a reason, for a push that the server
    /// ends before it was admitted.
    fn refuser(&self) -> Refuser;

    /// Returns the answer to the client if the input is not a valid pack, has bytes after the pack,
    /// or is refused by a limit; `why` is the reason.
    fn malformed(&self, why: String) -> Bytes;

    /// Completes an admitted push after the child has ended; returns framed text for the client.
    ///
    /// Runs to completion even if the client has disconnected.
    fn post_receive(self) -> impl Future<Output = Option<Bytes>>;
}

/// The input and limits of a push.
pub struct PushInput<H> {
    /// The bytes that were already read from the body, forwarded first.
    pub head: Bytes,
    /// Bytes of the body after the head.
    pub rest: Bytes,
    pub has_pack: bool,
    /// Maximum number of bytes after the head.
    pub pack_bytes_max: u64,
    pub limits: Limits,
    /// Permits for inflating: it is CPU-bound, and other requests must be served meanwhile.
    pub inflating: Arc<Semaphore>,
    /// Budget for the objects of all pushes that arrive concurrently.
    pub objects: Budget,
    /// Budget for the memory of large deltas.
    pub delta_memory: Budget,
    pub holder: Holder,
    /// The directory of the repository.
    pub repository: PathBuf,
    /// Whether the answer uses side bands: it then ends in a flush, before which text can be
    /// inserted.
    pub side_band: bool,
    /// Lines to append to git's report.
    pub report_lines: Bytes,
    pub hook: H,
}

/// The pipes of the child.
struct Pipes {
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: ChildStderr,
}

/// State shared by the pumps and the body.
struct Shared {
    child: Option<Pid>,
    cancel: CancellationToken,
    /// Cancelled when the child was killed or aborted: the client then has little time to read the
    /// rest.
    killed: CancellationToken,
    /// Cancelled when the child has ended, by itself or killed.
    gone: CancellationToken,
    /// The body is complete, or its last line is the reason of the failure.
    ends_cleanly: Arc<AtomicBool>,
    progress: Arc<TransferProgress>,
    meter: Arc<TransferMeter>,
    ended: oneshot::Receiver<ChildEnd>,
}

/// Starts the child and its supervisor; `permit` is held until the child has ended.
fn start(
    command: GitCommand,
    deadlines: Deadlines,
    gentle: bool,
    permit: TransferPermit,
) -> io::Result<(Pipes, Shared)> {
    let Caged { mut child, group, watched } = command.spawn(Stdio::piped())?;
    group.lower_priority(false);
    let gone = || io::Error::other("the child has no pipes");
    let pipes = Pipes {
        input: child.stdin.take(),
        output: child.stdout.take().ok_or_else(gone)?,
        errors: child.stderr.take().ok_or_else(gone)?,
    };
    let [cancel, killed, gone] = [(); 3].map(|()| CancellationToken::new());
    let progress = TransferProgress::of(permit.share());
    let (end_tx, ended) = oneshot::channel();
    let (running, meter) = permit.run();
    let shared = Shared {
        child: group.leader(),
        cancel: cancel.clone(),
        killed: killed.clone(),
        gone: gone.clone(),
        ends_cleanly: Arc::new(AtomicBool::new(false)),
        progress: progress.clone(),
        meter,
        ended,
    };
    let supervision = async move {
        let end = supervise(child, group, watched, cancel, progress, deadlines, gentle).await;
        running.ended(&end);
        drop(running);
        if !matches!(end, ChildEnd::Exit(_)) {
            killed.cancel();
        }
        gone.cancel();
        // The output pump may have been dropped together with its runtime.
        drop(end_tx.send(end));
    };
    tokio::spawn(supervision.in_current_span());
    Ok((pipes, shared))
}

/// The kind of output of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Lines of the smart protocol. The server appends an error line if it ends the child.
    Lines,
    /// A file.
    Raw,
}

/// Streams a child that only reads the repository; `input` is its request.
pub fn read(
    command: GitCommand,
    input: Input,
    written: Output,
    deadlines: Deadlines,
    permit: TransferPermit,
) -> io::Result<TransferBody> {
    let (mut pipes, shared) = start(command, deadlines, false, permit)?;
    if let Some(to_child) = pipes.input.take() {
        let (cancel, progress) = (shared.cancel.clone(), shared.progress.clone());
        let (meter, gone) = (shared.meter.clone(), shared.gone.clone());
        actix_web::rt::spawn(async move {
            let mut pump = InputPump { to_child, child: None, cancel: cancel.clone(), gone, progress, meter };
            if pump.forward(input).await.is_err() {
                cancel.cancel();
            }
        });
    }
    let errors = tokio::spawn(drain(pipes.errors));
    let (sender, chunks) = mpsc::channel(CHANNEL_DEPTH);
    let body = TransferBody::new(chunks, &shared);
    let pumping = async move {
        let mut output = OutputPump::new(pipes.output, sender, &shared);
        output.run().await;
        let end = shared.ended.await.unwrap_or(ChildEnd::Cancelled);
        log_failure(&end, &errors.await.unwrap_or_default());
        let is_complete = match failure(&end).filter(|_| written == Output::Lines) {
            Some(why) => output.send_end_reason(why).await,
            None => end.is_success(),
        };
        shared.ends_cleanly.store(is_complete, Relaxed);
    };
    actix_web::rt::spawn(pumping.in_current_span());
    Ok(body)
}

/// Streams a push, which its [`ReceiveHook`] admits or refuses.
///
/// Returns when the request body was read, or will not be read further.
pub async fn receive<H: ReceiveHook>(
    command: GitCommand,
    input: Input,
    push: PushInput<H>,
    deadlines: Deadlines,
    permit: TransferPermit,
) -> io::Result<TransferBody> {
    let (mut pipes, shared) = start(command, deadlines, true, permit)?;
    let (decision, decided) = oneshot::channel();
    let to_child = pipes.input.take().ok_or_else(|| io::Error::other("the child has no input"))?;
    let (cancel, progress) = (shared.cancel.clone(), shared.progress.clone());
    let side_band = push.side_band;
    let (child, meter, gone) = (shared.child, shared.meter.clone(), shared.gone.clone());
    let pump = InputPump { to_child, child, cancel: cancel.clone(), gone, progress, meter };
    let body_read = CancellationToken::new();
    let reading = body_read.clone().drop_guard();
    let early = Early::new(body_read.clone(), side_band);
    let refuser = push.hook.refuser();
    let lines = push.report_lines.clone();
    let amendment = (!lines.is_empty()).then(|| Amendment::new(side_band, lines));
    let pumping = async move {
        match pump.push(input, push, reading).await {
            Ok(Some(outcome)) => drop(decision.send(outcome)),
            // Dropping the sender signals that no decision was made.
            Ok(None) => drop(decision),
            Err(Broken) => cancel.cancel(),
        }
    };
    actix_web::rt::spawn(pumping.in_current_span());
    let errors = tokio::spawn(drain(pipes.errors));
    let (sender, chunks) = mpsc::channel(CHANNEL_DEPTH);
    let body = TransferBody::new(chunks, &shared);
    let output = OutputPump::new(pipes.output, sender, &shared).of_push(early, amendment, side_band);
    let finishing = finish_push(output, shared, side_band, refuser, decided, errors);
    actix_web::rt::spawn(finishing.in_current_span());
    body_read.cancelled().await;
    Ok(body)
}

/// The outcome of a push that was admitted or refused.
enum PushDecision<H> {
    /// Admitted; the grant counts its objects among those of all pushes.
    Admitted(H, BudgetGrant),
    /// Refused, with the complete answer.
    Refused(Bytes),
}

async fn finish_push<H: ReceiveHook>(
    mut pump: OutputPump,
    shared: Shared,
    side_band: bool,
    refuser: Refuser,
    decided: oneshot::Receiver<PushDecision<H>>,
    errors: tokio::task::JoinHandle<Vec<u8>>,
) {
    pump.run().await;
    let end = shared.ended.await.unwrap_or(ChildEnd::Cancelled);
    let errors = errors.await.unwrap_or_default();
    match decided.await {
        Ok(PushDecision::Admitted(hook, objects)) => {
            drop(objects);
            log_failure(&end, &errors);
            let text = hook.post_receive().await;
            pump.send_early().await;
            if let Some(text) = text.filter(|_| side_band && pump.held == FLUSH) {
                pump.send(text).await;
            }
            let is_complete = match failure(&end).filter(|_| side_band) {
                Some(why) => pump.send_end_reason(why).await,
                None => {
                    pump.send_held().await;
                    end.is_success()
                }
            };
            shared.ends_cleanly.store(is_complete, Relaxed);
        }
        Ok(PushDecision::Refused(answer)) => {
            pump.clear();
            shared.ends_cleanly.store(true, Relaxed);
            pump.send(answer).await;
        }
        // git or the server ended the push before all of it had arrived, or the client
        // disconnected: no ref has moved.
        Err(_) => {
            log_failure(&end, &errors);
            let silent = failure(&end).filter(|_| pump.is_silent());
            if let Some(why) = end.sentence().filter(|_| pump.is_unsent()).or(silent) {
                pump.clear();
                shared.ends_cleanly.store(true, Relaxed);
                pump.send(refuser(why)).await;
                return;
            }
            shared.ends_cleanly.store(end.is_success(), Relaxed);
            pump.send_held().await;
        }
    }
}

/// Returns the sentence for the client if the child did not succeed.
fn failure(end: &ChildEnd) -> Option<&'static str> {
    (!end.is_success()).then(|| end.sentence().unwrap_or(FAILED))
}

fn log_failure(end: &ChildEnd, errors: &[u8]) {
    if !end.is_success() {
        let errors = String::from_utf8_lossy(errors);
        tracing::info!(?end, errors = %cut(errors.trim()), "a git transfer failed");
    }
}
