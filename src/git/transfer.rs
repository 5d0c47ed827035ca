//! One fetch, push or archive: a child between two pumps, streamed both ways with bounded memory.
//!
//! ```text
//! request body -> input pump (64 KiB) -> child -> output pump -> channel (4 x 64 KiB) -> response body
//! ```
//!
//! Invariants
//! * Memory of a transfer is bounded by its buffers, whatever its size and however slow the client.
//! * Dropping the [`TransferBody`] (the client left) ends the child; so do the deadlines.
//! * A body ends cleanly only when the child succeeded, or the server itself said why not; else it breaks off, and the
//!   client knows that something is missing.
//! * The checksum at the end of a push's pack is held back until its [`Judge`] admits it, and a ref cannot move before
//!   that: without it git does not have the pack. Where it begins is found by reading the pack; what stands behind it is
//!   refused. Once admitted, a push is finished whether or not its client is still there.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::cage;
use super::child::{Caged, GitCommand};
use super::metrics::{Meter, Turn};
use super::pack_limits::{PackCost, PackLimits};
use super::pack_reader::{PackError, PackReader, kinds_in};
use super::pkt_line::FLUSH;
pub use super::process::{Deadlines, End};
use super::process::{Progress, drain, supervise};
use crate::core::limits::Limits;
use crate::core::shares::Direction;
use crate::core::telemetry::cut;

/// What one pump moves at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers between the child and the client.
const CHANNEL_DEPTH: usize = 4;
/// How often the judge is asked whether a push may go on.
const ASK_EVERY_BYTES: u64 = 32 * 1024 * 1024;
/// actix drops what it has not written yet when a body fails: let it write first.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// The body of a request, inflated if need be.
pub type Input = Pin<Box<dyn AsyncRead>>;

/// Decides over a push when all of it has arrived, and has the last word when git has done its part.
pub trait Judge: 'static {
    /// May the push go through? `Err` is the whole answer to the client.
    fn admit(&mut self, cost: PackCost) -> impl Future<Output = Result<(), Bytes>>;

    /// May more of the push arrive? Asked now and then; `Err` is the whole answer to the client.
    fn goes_on(&mut self) -> impl Future<Output = Result<(), Bytes>>;

    /// What the client is told when the push has become too large.
    fn too_large(&self) -> Bytes;

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
    /// The directory of the repository.
    pub repository: PathBuf,
    /// Whether the answer ends in a flush, before which text fits.
    pub side_band: bool,
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
    /// The child was ended by force: nobody reads its output any more.
    dead: CancellationToken,
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
    let (cancel, dead) = (CancellationToken::new(), CancellationToken::new());
    let progress = Progress::of(turn.share());
    let (tell, ended) = oneshot::channel();
    let (running, meter) = turn.run();
    let shared = Shared {
        child: group.leader(),
        cancel: cancel.clone(),
        dead: dead.clone(),
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
        // The output pump may have gone with its runtime.
        drop(tell.send(end));
    });
    Ok((pipes, shared))
}

/// Streams a child that only reads the repository. `input` is what it is asked.
pub fn read(command: GitCommand, input: Input, deadlines: Deadlines, turn: Turn) -> io::Result<TransferBody> {
    let (mut pipes, shared) = start(command, deadlines, false, turn)?;
    if let Some(to_child) = pipes.input.take() {
        let (cancel, progress) = (shared.cancel.clone(), shared.progress.clone());
        let meter = shared.meter.clone();
        actix_web::rt::spawn(async move {
            let mut pump =
                InputPump { to_child, child: None, cancel: cancel.clone(), progress, meter, deaf: false };
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
        shared.clean.store(end.is_success(), Relaxed);
    });
    Ok(body)
}

/// Streams a push through its judge.
pub fn receive<J: Judge>(
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
    let (child, meter) = (shared.child, shared.meter.clone());
    let pump = InputPump { to_child, child, cancel: cancel.clone(), progress, meter, deaf: false };
    let known = refused.clone();
    actix_web::rt::spawn(async move {
        match pump.push(input, push, &known).await {
            Ok(Some(outcome)) => drop(verdict.send(outcome)),
            // Dropping the verdict says that nothing was decided.
            Ok(None) => drop(verdict),
            Err(Broken) => cancel.cancel(),
        }
    });
    let errors = tokio::spawn(drain(pipes.errors));
    let (sender, chunks) = mpsc::channel(CHANNEL_DEPTH);
    let body = TransferBody::new(chunks, &shared);
    actix_web::rt::spawn(finish_push(pipes.output, sender, shared, keep, refused, judged, errors));
    Ok(body)
}

/// What became of a push that arrived whole.
enum Verdict<J> {
    Admitted(J),
    /// With the whole answer.
    Refused(Bytes),
}

async fn finish_push<J: Judge>(
    output: ChildStdout,
    sender: mpsc::Sender<Bytes>,
    shared: Shared,
    keep: usize,
    refused: Arc<AtomicBool>,
    judged: oneshot::Receiver<Verdict<J>>,
    errors: tokio::task::JoinHandle<Vec<u8>>,
) {
    let mut pump = OutputPump::new(output, sender, &shared);
    pump.run(keep, &refused, true).await;
    let end = shared.ended.await.unwrap_or(End::Cancelled);
    let errors = errors.await.unwrap_or_default();
    match judged.await {
        Ok(Verdict::Admitted(judge)) => {
            log_failure(&end, &errors);
            let text = judge.finish().await;
            shared.clean.store(end.is_success(), Relaxed);
            if let Some(text) = text.filter(|_| keep > 0 && pump.held == FLUSH) {
                pump.send(text).await;
            }
            pump.send_held().await;
        }
        Ok(Verdict::Refused(answer)) => {
            pump.held.clear();
            shared.clean.store(true, Relaxed);
            pump.send(answer).await;
        }
        // git ended by itself before all had arrived, or the client left: nothing has moved.
        Err(_) => {
            log_failure(&end, &errors);
            shared.clean.store(end.is_success(), Relaxed);
            pump.send_held().await;
        }
    }
}

struct InputPump {
    to_child: ChildStdin,
    child: Option<Pid>,
    cancel: CancellationToken,
    progress: Arc<Progress>,
    meter: Arc<Meter>,
    /// The child does not read any more.
    deaf: bool,
}

/// The client left, or its body broke off.
struct Broken;

impl InputPump {
    /// Reads the next piece of the body; empty at its end.
    async fn next(&self, input: &mut Input, buffer: &mut BytesMut) -> Result<(), Broken> {
        buffer.reserve(BUFFER_BYTES);
        let mut limited = input.take(BUFFER_BYTES as u64);
        let read = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Broken),
            read = self.progress.pace.wait(Direction::In, limited.read_buf(buffer)) => read,
        };
        let read = read.map_err(|_| Broken)?;
        self.progress.pace.moved(Direction::In, read);
        Ok(())
    }

    /// Writes to the child, unless it does not listen any more.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Broken),
            written = self.to_child.write_all(bytes) => if written.is_err() {
                self.deaf = true;
                return Ok(());
            },
        }
        self.meter.received(bytes.len());
        Ok(())
    }

    /// The whole body, as it comes.
    async fn forward(&mut self, mut input: Input) -> Result<(), Broken> {
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        loop {
            buffer.clear();
            self.next(&mut input, &mut buffer).await?;
            if buffer.is_empty() {
                break;
            }
            self.write(&buffer).await?;
        }
        self.progress.complete.store(true, Relaxed);
        if let Err(error) = self.to_child.shutdown().await {
            tracing::trace!(%error, "the child has closed its input");
        }
        Ok(())
    }

    /// Everything but the end; then the judge; then the end. `None`: git ended before, and says why itself.
    async fn push<J: Judge>(
        mut self,
        mut input: Input,
        push: Push<J>,
        refused: &AtomicBool,
    ) -> Result<Option<Verdict<J>>, Broken> {
        let Push { head, rest, has_pack, pack_bytes_max, limits, inflating, repository, mut judge, .. } =
            push;
        let mut pack = PackReader::new(PackLimits::of(&limits), kinds_in(repository));
        if has_pack {
            self.write(&head).await?;
        }
        let (mut received, mut asked_at) = (0u64, 0u64);
        let mut piece = rest;
        // What git has, and what it still waits for: the checksum of the pack, or all there is.
        let outcome = loop {
            received = received.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if received > pack_bytes_max {
                break Err(judge.too_large());
            }
            if received.saturating_sub(asked_at) >= ASK_EVERY_BYTES {
                asked_at = received;
                if let Err(answer) = judge.goes_on().await {
                    break Err(answer);
                }
            }
            if !piece.is_empty() {
                if !has_pack {
                    break Err(judge.malformed(PackError::Trailing.to_string()));
                }
                // Inflating is work: not on a thread that serves others.
                let Ok(place) = inflating.acquire().await else { return Err(Broken) };
                let read = tokio::task::spawn_blocking(move || (pack.feed(&piece), pack)).await;
                drop(place);
                let Ok((ready, reader)) = read else { return Err(Broken) };
                pack = reader;
                match ready {
                    Ok(ready) => self.write(&ready).await?,
                    Err(error) => break Err(judge.malformed(error.to_string())),
                }
                if self.deaf {
                    break Ok(None);
                }
            }
            let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
            self.next(&mut input, &mut buffer).await?;
            if buffer.is_empty() {
                break Ok(if has_pack {
                    pack.checksum().map(Bytes::copy_from_slice)
                } else {
                    Some(head.clone())
                });
            }
            piece = buffer.freeze();
        };
        let unread = outcome.is_err() || self.deaf;
        let outcome = match outcome {
            Ok(Some(tail)) => {
                // From here on a client that leaves stops nothing: the judge may be writing the intent.
                self.progress.complete.store(true, Relaxed);
                let cost = pack.cost();
                let admitted = judge.admit(cost).await;
                if let (Ok(()), Some(child)) = (&admitted, self.child) {
                    cage::limit_cpu(child, cage::cpu_seconds(&limits, cost.unpacked_bytes));
                }
                admitted.map(|()| tail)
            }
            // The pack broke off, or git did: its own report says so.
            Ok(None) => {
                drop(self.to_child);
                if unread {
                    drain_input(&mut input).await;
                }
                return Ok(None);
            }
            Err(answer) => Err(answer),
        };
        match outcome {
            Ok(tail) => {
                if self.to_child.write_all(&tail).await.is_ok()
                    && let Err(error) = self.to_child.shutdown().await
                {
                    tracing::trace!(%error, "the child has closed its input");
                }
                Ok(Some(Verdict::Admitted(judge)))
            }
            Err(answer) => {
                // Known before git sees the end: what it says from now on is not for the client.
                refused.store(true, Relaxed);
                self.progress.complete.store(false, Relaxed);
                drop(self.to_child);
                if unread {
                    drain_input(&mut input).await;
                }
                Ok(Some(Verdict::Refused(answer)))
            }
        }
    }
}

/// Reads on for a while from a client whose push ended before it was all there, so that it hears why.
pub async fn drain_input(input: &mut Input) {
    let mut limited = input.take(DRAIN_BYTES_MAX);
    let mut sink = tokio::io::sink();
    if tokio::time::timeout(DRAIN_PATIENCE, tokio::io::copy(&mut limited, &mut sink)).await.is_err() {
        tracing::debug!("a client went on sending");
    }
}

/// What is read on at most, and for how long in all.
const DRAIN_BYTES_MAX: u64 = 256 * 1024 * 1024;
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

struct OutputPump {
    output: ChildStdout,
    sender: mpsc::Sender<Bytes>,
    dead: CancellationToken,
    progress: Arc<Progress>,
    meter: Arc<Meter>,
    /// The last bytes, held back.
    held: BytesMut,
    client_left: bool,
}

impl OutputPump {
    fn new(output: ChildStdout, sender: mpsc::Sender<Bytes>, shared: &Shared) -> Self {
        Self {
            output,
            sender,
            dead: shared.dead.clone(),
            progress: shared.progress.clone(),
            meter: shared.meter.clone(),
            held: BytesMut::with_capacity(BUFFER_BYTES),
            client_left: false,
        }
    }

    /// Moves all that the child writes, keeping the last `keep` bytes back. What comes while `refused` is set is dropped.
    /// `to_the_end`: also when the client has left.
    async fn run(&mut self, keep: usize, refused: &AtomicBool, to_the_end: bool) {
        loop {
            self.held.reserve(BUFFER_BYTES);
            match (&mut self.output).take(BUFFER_BYTES as u64).read_buf(&mut self.held).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if refused.load(Relaxed) {
                self.held.clear();
                continue;
            }
            let ready = self.held.split_to(self.held.len().saturating_sub(keep)).freeze();
            if !ready.is_empty() {
                self.send(ready).await;
            }
            if self.client_left && !to_the_end {
                return;
            }
        }
    }

    async fn send(&mut self, bytes: Bytes) {
        if self.client_left {
            return;
        }
        let count = bytes.len();
        let sent = tokio::select! {
            biased;
            () = self.dead.cancelled() => false,
            sent = self.progress.pace.wait(Direction::Out, self.sender.send(bytes)) => sent.is_ok(),
        };
        self.client_left = !sent;
        if sent {
            self.progress.pace.moved(Direction::Out, count);
            self.meter.sent(count);
        }
    }

    async fn send_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held.has_remaining() {
            self.send(held.freeze()).await;
        }
    }
}

fn log_failure(end: &End, errors: &[u8]) {
    if !end.is_success() {
        let errors = String::from_utf8_lossy(errors);
        tracing::info!(?end, errors = %cut(errors.trim()), "a git transfer did not succeed");
    }
}

/// The response body. Dropping it means that the client has left.
pub struct TransferBody {
    chunks: mpsc::Receiver<Bytes>,
    clean: Arc<AtomicBool>,
    _cancel: DropGuard,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    over: bool,
}

impl TransferBody {
    fn new(chunks: mpsc::Receiver<Bytes>, shared: &Shared) -> Self {
        let (clean, cancel) = (shared.clean.clone(), shared.cancel.clone().drop_guard());
        Self { chunks, clean, _cancel: cancel, pause: None, over: false }
    }
}

impl Stream for TransferBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
                return Poll::Ready(Some(Err(io::Error::other("git failed"))));
            }
            if self.over {
                return Poll::Ready(None);
            }
            match ready!(self.chunks.poll_recv(context)) {
                Some(chunk) => return Poll::Ready(Some(Ok(chunk))),
                None => {
                    self.over = true;
                    if !self.clean.load(Relaxed) {
                        self.pause = Some(Box::pin(tokio::time::sleep(FAILURE_PAUSE)));
                    }
                }
            }
        }
    }
}
