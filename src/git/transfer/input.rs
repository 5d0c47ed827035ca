//! The pump from a request body to the child, with the admission control of pushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use rustix::process::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{BUFFER_BYTES, Input, PushDecision, PushInput, ReceiveHook};
use crate::core::saturate;
use crate::core::shares::{BudgetGrant, Direction, Endable};
use crate::git::cage;
use crate::git::metrics::TransferMeter;
use crate::git::object_count;
use crate::git::pack_limits::PackLimits;
use crate::git::pack_reader::{PackError, PackReader, kinds_in};
use crate::git::process::TransferProgress;

/// Number of received bytes between two calls of [`ReceiveHook::may_continue`].
const ASK_EVERY_BYTES: u64 = 32 * 1024 * 1024;
/// Step in which objects are added to the budget of all pushes. The first step of a push is not
/// counted.
const OBJECTS_STEP: u32 = 10_000;
/// Deltas up to this size are not counted while they arrive.
const LARGE_DELTA_BYTES: u64 = 1024 * 1024;
const CROWDED: &str = "other pushes with very many objects are in progress; push again later";
const NO_MEMORY: &str = "other pushes with large deltas are in progress; push again later";

/// Forwards the request body to the child.
pub(super) struct InputPump {
    pub(super) to_child: ChildStdin,
    pub(super) child: Option<Pid>,
    pub(super) cancel: CancellationToken,
    /// Cancelled when the child has ended, by itself or killed.
    pub(super) gone: CancellationToken,
    pub(super) progress: Arc<TransferProgress>,
    pub(super) meter: Arc<TransferMeter>,
    /// The child has closed its stdin.
    pub(super) stdin_closed: bool,
}

/// The client disconnected, or its body ended with an error.
pub(super) struct Broken;

/// The objects of a push that are counted in the budget of all pushes.
struct CountedObjects {
    grant: BudgetGrant,
    objects: u32,
}

/// The memory of the delta that is arriving, as far as it is counted.
struct Passing {
    grant: BudgetGrant,
    bytes: u64,
}

/// The reason why a push cannot continue.
enum InputStop {
    Broken,
    /// The child has ended.
    Gone,
    /// The budget had no capacity in time.
    Crowded(&'static str),
}

impl InputPump {
    /// Reads the next piece of the body into `buffer`.
    ///
    /// Leaves `buffer` empty at the end of the body, or if the child has ended: a stalled client
    /// then blocks nothing.
    async fn next(&mut self, input: &mut Input, buffer: &mut BytesMut) -> Result<(), Broken> {
        buffer.reserve(BUFFER_BYTES);
        let mut limited = input.take(BUFFER_BYTES as u64);
        let read = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Broken),
            () = self.gone.cancelled() => {
                self.stdin_closed = true;
                return Ok(());
            }
            read = self.progress.pace.wait(Direction::In, limited.read_buf(buffer)) => read,
        };
        let read = read.map_err(|_| Broken)?;
        self.progress.pace.moved(Direction::In, read);
        Ok(())
    }

    /// Returns the handle that the budgets use to end this push in favour of another.
    fn client(&self) -> Endable {
        Endable { pace: self.progress.pace.clone(), cut: self.progress.displaced.clone() }
    }

    /// Waits until the objects read so far fit into the budget of all pushes.
    async fn count(&self, counted: &mut CountedObjects, pack: &PackReader) -> Result<(), InputStop> {
        let (read, announced) = (pack.entries_read(), pack.announced().unwrap_or(0));
        if read <= counted.objects {
            return Ok(());
        }
        let objects = read.div_ceil(OBJECTS_STEP).saturating_mul(OBJECTS_STEP).min(announced);
        let step = objects.saturating_sub(counted.objects);
        self.raise(&mut counted.grant, objects.into(), step.into(), CROWDED).await?;
        counted.objects = objects;
        Ok(())
    }

    /// Waits until there is memory for the large delta in the piece that was read, and releases
    /// that of the previous one.
    async fn reserve(&self, passing: &mut Passing, pack: &PackReader) -> Result<(), InputStop> {
        let bytes = Some(pack.delta_passing_bytes()).filter(|bytes| *bytes > LARGE_DELTA_BYTES).unwrap_or(0);
        if bytes < passing.bytes {
            passing.grant.lower_to(bytes);
        } else if bytes > passing.bytes {
            // A waiting push holds no memory.
            passing.grant.lower_to(0);
            self.raise(&mut passing.grant, bytes, bytes, NO_MEMORY).await?;
        }
        passing.bytes = bytes;
        Ok(())
    }

    async fn raise(
        &self,
        grant: &mut BudgetGrant,
        amount: u64,
        work: u64,
        why: &'static str,
    ) -> Result<(), InputStop> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(InputStop::Broken),
            () = self.gone.cancelled() => Err(InputStop::Gone),
            raised = grant.raise_to(amount, work) => raised.map_err(|_| InputStop::Crowded(why)),
        }
    }

    /// Writes to the child; sets `stdin_closed` if the child has closed its stdin.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Broken),
            written = self.to_child.write_all(bytes) => if written.is_err() {
                self.stdin_closed = true;
                return Ok(());
            },
        }
        self.meter.received(bytes.len());
        Ok(())
    }

    /// Forwards the whole body unchanged.
    pub(super) async fn forward(&mut self, mut input: Input) -> Result<(), Broken> {
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

    /// Forwards everything but the end, calls the judge, then forwards the end.
    ///
    /// Returns `None` if git ended first and reports the reason itself. `reading` is dropped once
    /// the request body was read.
    pub(super) async fn push<H: ReceiveHook>(
        mut self,
        mut input: Input,
        push: PushInput<H>,
        refused: &AtomicBool,
        reading: DropGuard,
    ) -> Result<Option<PushDecision<H>>, Broken> {
        let PushInput {
            head,
            rest,
            has_pack,
            pack_bytes_max,
            limits,
            inflating,
            objects,
            delta_memory,
            holder,
            repository,
            mut hook,
            ..
        } = push;
        let mut pack = PackReader::new(PackLimits::of(&limits), kinds_in(repository.clone()));
        if has_pack {
            self.write(&head).await?;
        }
        let (mut received, mut asked_at) = (0u64, 0u64);
        let mut fits = false;
        let mut piece = rest;
        // Held until git has ended.
        let mut counted =
            CountedObjects { grant: objects.open(holder, Some(self.client())), objects: OBJECTS_STEP };
        let mut passing = Passing { grant: delta_memory.open(holder, Some(self.client())), bytes: 0 };
        // The tail that git still waits for: the checksum of the pack, or the head if no pack
        // follows.
        let outcome = loop {
            received = received.saturating_add(saturate::to_u64(piece.len()));
            if received > pack_bytes_max {
                break Err(hook.too_large());
            }
            if received.saturating_sub(asked_at) >= ASK_EVERY_BYTES {
                asked_at = received;
                if let Err(answer) = hook.may_continue().await {
                    break Err(answer);
                }
            }
            if !piece.is_empty() {
                if !has_pack {
                    break Err(hook.malformed(PackError::Trailing.to_string()));
                }
                // Inflating is CPU-bound: not on a thread that serves other requests.
                let Ok(permit) = inflating.acquire().await else { return Err(Broken) };
                let read = tokio::task::spawn_blocking(move || (pack.feed(&piece), pack)).await;
                drop(permit);
                let Ok((ready, reader)) = read else { return Err(Broken) };
                pack = reader;
                match ready {
                    Ok(ready) => {
                        if let Some(objects) = pack.announced().filter(|_| !fits) {
                            if let Err(error) = object_count::check(&repository, objects, &limits).await {
                                break Err(hook.malformed(error.to_string()));
                            }
                            fits = true;
                        }
                        // Reserved before git receives the bytes.
                        let room = match self.count(&mut counted, &pack).await {
                            Ok(()) => self.reserve(&mut passing, &pack).await,
                            stopped => stopped,
                        };
                        match room {
                            Ok(()) => {}
                            Err(InputStop::Crowded(why)) => break Err(hook.malformed(why.to_owned())),
                            Err(InputStop::Broken) => return Err(Broken),
                            Err(InputStop::Gone) => {
                                self.stdin_closed = true;
                                break Ok(None);
                            }
                        }
                        self.write(&ready).await?;
                    }
                    Err(error) => break Err(hook.malformed(error.to_string())),
                }
                if self.stdin_closed {
                    break Ok(None);
                }
            }
            let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
            self.next(&mut input, &mut buffer).await?;
            if self.stdin_closed {
                break Ok(None);
            }
            if buffer.is_empty() {
                break Ok(if has_pack {
                    pack.checksum().map(Bytes::copy_from_slice)
                } else {
                    Some(head.clone())
                });
            }
            piece = buffer.freeze();
        };
        let unread = outcome.is_err() || self.stdin_closed;
        let outcome = match outcome {
            Ok(Some(tail)) => {
                drop(reading);
                // From here on, a disconnect stops nothing: the judge may be writing the intent.
                self.progress.complete.store(true, Relaxed);
                // The judge reserves the memory for unpacking.
                passing.grant.lower_to(0);
                let cost = pack.cost();
                let admitted = hook.pre_receive(cost).await;
                if let (Ok(()), Some(child)) = (&admitted, self.child) {
                    cage::limit_cpu(child, cage::cpu_seconds(&limits, cost.unpacked_bytes));
                }
                admitted.map(|()| tail)
            }
            // The pack or git ended early: git's own report contains the reason.
            Ok(None) => {
                // git ends, which releases its permit.
                drop((self.to_child, counted, passing));
                if unread {
                    input.drain().await;
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
                Ok(Some(PushDecision::Admitted(hook, counted.grant)))
            }
            Err(answer) => {
                // Set before git's stdin is closed: its output from now on is not for the client.
                refused.store(true, Relaxed);
                self.progress.complete.store(false, Relaxed);
                drop((self.to_child, counted, passing));
                if unread {
                    input.drain().await;
                }
                Ok(Some(PushDecision::Refused(answer)))
            }
        }
    }
}
