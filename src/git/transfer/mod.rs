//! One fetch, push or archive: a child between two pumps, streamed both ways with bounded memory.
//!
//! ```text
//! request body -> input pump (64 KiB) -> child -> output pump -> channel (4 x 64 KiB) -> response body
//! ```
//!
//! Invariants
//! * Memory of a transfer is bounded by its buffers, whatever its size and however slow the client.
//! * Dropping the [`TransferBody`] (the client left) ends the child; so do the deadlines.
//! * A body ends cleanly only when the child succeeded, or its last line is the reason why it did not; else it breaks
//!   off, and the client knows that something is missing.
//! * The checksum at the end of a push's pack is held back until its [`Judge`] admits it, and a ref cannot move before
//!   that: without it git does not have the pack. Where it begins is found by reading the pack; what stands behind it is
//!   refused. Once admitted, a push is finished whether or not its client is still there.
//! * The response to a push begins when its request body was read: proxies do not forward the rest otherwise.

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

use amendment::Amendment;
pub use body::Input;
use early::Early;
use input::{Broken, InputPump};
use output::OutputPump;
pub use output::TransferBody;

use super::child::{Caged, GitCommand};
use super::metrics::{Meter, Turn};
use super::pack_limits::PackCost;
use super::pkt_line::FLUSH;
pub use super::process::{Deadlines, End};
use super::process::{Progress, drain, supervise};
use crate::core::limits::Limits;
use crate::core::shares::{Budget, Grant, Holder};
use crate::core::telemetry::cut;

/// What one pump moves at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// What a client reads when git failed and gave no reason.
const FAILED: &str = "git could not do its part; the server's log has the reason";
/// Buffers between the child and the client.
const CHANNEL_DEPTH: usize = 4;

/// Makes a refusal from its reason.
pub type Refuser = Box<dyn Fn(&str) -> Bytes>;

/// Decides over a push when all of it has arrived, and has the last word when git has done its part.
pub trait Judge: 'static {
    /// May the push go through? `Err` is the whole answer to the client.
    fn admit(&mut self, cost: PackCost) -> impl Future<Output = Result<(), Bytes>>;

    /// May more of the push arrive? Asked now and then; `Err` is the whole answer to the client.
    fn goes_on(&mut self) -> impl Future<Output = Result<(), Bytes>>;

    /// What the client is told when the push has become too large.
    fn too_large(&self) -> Bytes;

    /// Makes the whole answer to the client when the server ends the push before it was admitted, from the reason.
    fn refuser(&self) -> Refuser;

    /// What the client is told when its pack is none, or is not the end of the body.
    fn malformed(&self, why: String) -> Bytes;

    /// The child has ended after the push was admitted. Answers text for the client, framed. Runs to its end even when
    /// the client has left.
    fn finish(self) -> impl Future<Output = Option<Bytes>>;
}

/// How a push arrives.
pub struct Push<J> {
    /// What was read of the body already, to be forwarded first.
    pub head: Bytes,
    /// Bytes of the body after the head.
    pub rest: Bytes,
    pub has_pack: bool,
    /// More than this after the head is refused.
    pub pack_bytes_max: u64,
    pub limits: Limits,
    /// Permits to inflate: it is work, and other requests are answered meanwhile.
    pub inflating: Arc<Semaphore>,
    /// The objects of all pushes that arrive at the same time.
    pub objects: Budget,
    /// Memory for large deltas.
    pub delta_memory: Budget,
    pub holder: Holder,
    /// The directory of the repository.
    pub repository: PathBuf,
    /// Whether the answer ends in a flush, before which text fits.
    pub side_band: bool,
    /// Lines for the end of git's report.
    pub report_lines: Bytes,
    pub judge: J,
}

/// The child's ends.
struct Pipes {
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: ChildStderr,
}

/// What the pumps and the body share.
struct Shared {
    child: Option<Pid>,
    cancel: CancellationToken,
    /// The child was ended by force: its output is not read any more.
    dead: CancellationToken,
    /// The child has ended, by itself or by force.
    gone: CancellationToken,
    clean: Arc<AtomicBool>,
    progress: Arc<Progress>,
    meter: Arc<Meter>,
    ended: oneshot::Receiver<End>,
}

/// Starts the child and its supervisor; `turn` is held until the child is gone.
fn start(command: GitCommand, deadlines: Deadlines, gentle: bool, turn: Turn) -> io::Result<(Pipes, Shared)> {
    let Caged { mut child, group, watched } = command.spawn(Stdio::piped())?;
    group.lower_priority(false);
    let gone = || io::Error::other("the child has no pipes");
    let pipes = Pipes {
        input: child.stdin.take(),
        output: child.stdout.take().ok_or_else(gone)?,
        errors: child.stderr.take().ok_or_else(gone)?,
    };
    let [cancel, dead, gone] = [(); 3].map(|()| CancellationToken::new());
    let progress = Progress::of(turn.share());
    let (tell, ended) = oneshot::channel();
    let (running, meter) = turn.run();
    let shared = Shared {
        child: group.leader(),
        cancel: cancel.clone(),
        dead: dead.clone(),
        gone: gone.clone(),
        clean: Arc::new(AtomicBool::new(false)),
        progress: progress.clone(),
        meter,
        ended,
    };
    tokio::spawn(async move {
        let end = supervise(child, group, watched, cancel, progress, deadlines, gentle).await;
        running.ended(&end);
        drop(running);
        if !matches!(end, End::Exit(_)) {
            dead.cancel();
        }
        gone.cancel();
        // The output pump may have gone with its runtime.
        drop(tell.send(end));
    });
    Ok((pipes, shared))
}

/// What a child writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Lines of the smart protocol. The server adds one of its own when it ends the child.
    Lines,
    /// A file.
    Raw,
}

/// Streams a child that only reads the repository. `input` is what it is asked.
pub fn read(
    command: GitCommand,
    input: Input,
    written: Output,
    deadlines: Deadlines,
    turn: Turn,
) -> io::Result<TransferBody> {
    let (mut pipes, shared) = start(command, deadlines, false, turn)?;
    if let Some(to_child) = pipes.input.take() {
        let (cancel, progress) = (shared.cancel.clone(), shared.progress.clone());
        let (meter, gone) = (shared.meter.clone(), shared.gone.clone());
        actix_web::rt::spawn(async move {
            let mut pump = InputPump {
                to_child,
                child: None,
                cancel: cancel.clone(),
                gone,
                progress,
                meter,
                deaf: false,
            };
            if pump.forward(input).await.is_err() {
                cancel.cancel();
            }
        });
    }
    let errors = tokio::spawn(drain(pipes.errors));
    let (sender, chunks) = mpsc::channel(CHANNEL_DEPTH);
    let body = TransferBody::new(chunks, &shared);
    actix_web::rt::spawn(async move {
        let mut output = OutputPump::new(pipes.output, sender, &shared);
        output.run(0, &AtomicBool::new(false), false).await;
        let end = shared.ended.await.unwrap_or(End::Cancelled);
        log_failure(&end, &errors.await.unwrap_or_default());
        let is_told = match failure(&end).filter(|_| written == Output::Lines) {
            Some(why) => output.tell(why).await,
            None => end.is_success(),
        };
        shared.clean.store(is_told, Relaxed);
    });
    Ok(body)
}

/// Streams a push through its judge. Returns when its request body was read, or is not going to be.
pub async fn receive<J: Judge>(
    command: GitCommand,
    input: Input,
    push: Push<J>,
    deadlines: Deadlines,
    turn: Turn,
) -> io::Result<TransferBody> {
    let (mut pipes, shared) = start(command, deadlines, true, turn)?;
    let refused = Arc::new(AtomicBool::new(false));
    let (verdict, judged) = oneshot::channel();
    let to_child = pipes.input.take().ok_or_else(|| io::Error::other("the child has no input"))?;
    let (cancel, progress) = (shared.cancel.clone(), shared.progress.clone());
    let keep = if push.side_band { FLUSH.len() } else { 0 };
    let (child, meter, gone) = (shared.child, shared.meter.clone(), shared.gone.clone());
    let pump = InputPump { to_child, child, cancel: cancel.clone(), gone, progress, meter, deaf: false };
    let known = refused.clone();
    let body_read = CancellationToken::new();
    let reading = body_read.clone().drop_guard();
    let early = Early::new(body_read.clone(), push.side_band);
    let refuser = push.judge.refuser();
    let lines = push.report_lines.clone();
    let amendment = (!lines.is_empty()).then(|| Amendment::new(push.side_band, lines));
    actix_web::rt::spawn(async move {
        match pump.push(input, push, &known, reading).await {
            Ok(Some(outcome)) => drop(verdict.send(outcome)),
            // Dropping the verdict says that nothing was decided.
            Ok(None) => drop(verdict),
            Err(Broken) => cancel.cancel(),
        }
    });
    let errors = tokio::spawn(drain(pipes.errors));
    let (sender, chunks) = mpsc::channel(CHANNEL_DEPTH);
    let body = TransferBody::new(chunks, &shared);
    let output = OutputPump::new(pipes.output, sender, &shared).with_early(early).with_amendment(amendment);
    actix_web::rt::spawn(finish_push(output, shared, keep, (refused, refuser), judged, errors));
    body_read.cancelled().await;
    Ok(body)
}

/// What became of a push that arrived whole.
enum Verdict<J> {
    /// With its objects among those of all pushes.
    Admitted(J, Grant),
    /// With the whole answer.
    Refused(Bytes),
}

async fn finish_push<J: Judge>(
    mut pump: OutputPump,
    shared: Shared,
    keep: usize,
    (refused, refuser): (Arc<AtomicBool>, Refuser),
    judged: oneshot::Receiver<Verdict<J>>,
    errors: tokio::task::JoinHandle<Vec<u8>>,
) {
    pump.run(keep, &refused, true).await;
    let end = shared.ended.await.unwrap_or(End::Cancelled);
    let errors = errors.await.unwrap_or_default();
    match judged.await {
        Ok(Verdict::Admitted(judge, objects)) => {
            drop(objects);
            log_failure(&end, &errors);
            let text = judge.finish().await;
            pump.send_early().await;
            if let Some(text) = text.filter(|_| keep > 0 && pump.held == FLUSH) {
                pump.send(text).await;
            }
            let is_told = match failure(&end).filter(|_| keep > 0) {
                Some(why) => pump.tell(why).await,
                None => {
                    pump.send_held().await;
                    end.is_success()
                }
            };
            shared.clean.store(is_told, Relaxed);
        }
        Ok(Verdict::Refused(answer)) => {
            pump.clear();
            shared.clean.store(true, Relaxed);
            pump.send(answer).await;
        }
        // git or the server ended the push before all had arrived, or the client left: nothing has moved.
        Err(_) => {
            log_failure(&end, &errors);
            let silent = failure(&end).filter(|_| pump.is_silent());
            if let Some(why) = end.sentence().filter(|_| pump.is_unsent()).or(silent) {
                pump.clear();
                shared.clean.store(true, Relaxed);
                pump.send(refuser(why)).await;
                return;
            }
            shared.clean.store(end.is_success(), Relaxed);
            pump.send_held().await;
        }
    }
}

/// What a client reads when the child did not succeed.
fn failure(end: &End) -> Option<&'static str> {
    (!end.is_success()).then(|| end.sentence().unwrap_or(FAILED))
}

fn log_failure(end: &End, errors: &[u8]) {
    if !end.is_success() {
        let errors = String::from_utf8_lossy(errors);
        tracing::info!(?end, errors = %cut(errors.trim()), "a git transfer did not succeed");
    }
}
