//! The pump from a request body to the child, with the admission control of pushes.

use std::sync::Arc;

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
use crate::git::pack_limits::{PackCost, PackLimits};
use crate::git::pack_reader::{PackError, PackReader, kinds_in};
use crate::git::process::{TransferProgress, TransferState};

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

/// The parts of the budgets of all pushes that a push holds.
struct HeldBudgets {
    objects: CountedObjects,
    delta: Passing,
}

/// A push whose body was read to its end.
struct ArrivedPush {
    /// The tail that git still waits for: the checksum of the pack, or the head if no pack follows.
    tail: Bytes,
    cost: PackCost,
}

/// The reason why no more input is forwarded.
enum InputStop {
    Broken,
    /// The child has ended or closed its stdin.
    Gone,
    /// The budget had no capacity in time.
    Crowded(&'static str),
    /// The push is refused, with the complete answer to the client.
    Refused(Bytes),
}

impl InputPump {
    /// Reads the next piece of the body into `buffer`.
    ///
    /// Leaves `buffer` empty at the end of the body. Stops when the child has ended: a stalled
    /// client then blocks nothing.
    async fn next(&mut self, input: &mut Input, buffer: &mut BytesMut) -> Result<(), InputStop> {
        buffer.reserve(BUFFER_BYTES);
        let mut limited = input.take(BUFFER_BYTES as u64);
        let read = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(InputStop::Broken),
            () = self.gone.cancelled() => return Err(InputStop::Gone),
            read = self.progress.pace.wait(Direction::In, limited.read_buf(buffer)) => read,
        };
        let read = read.map_err(|_| InputStop::Broken)?;
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

    /// Writes to the child.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), InputStop> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(InputStop::Broken),
            written = self.to_child.write_all(bytes) => written.map_err(|_| InputStop::Gone)?,
        }
        self.meter.received(bytes.len());
        Ok(())
    }

    /// Forwards the whole body unchanged. Reads it to its end even if the child has closed its
    /// stdin.
    pub(super) async fn forward(&mut self, mut input: Input) -> Result<(), Broken> {
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        loop {
            buffer.clear();
            match self.next(&mut input, &mut buffer).await {
                Ok(()) if buffer.is_empty() => break,
                Ok(()) => {}
                Err(InputStop::Gone) => break,
                Err(_) => return Err(Broken),
            }
            if let Err(InputStop::Broken) = self.write(&buffer).await {
                return Err(Broken);
            }
        }
        self.progress.set(TransferState::Arrived);
        self.close().await;
        Ok(())
    }

    async fn close(&mut self) {
        if let Err(error) = self.to_child.shutdown().await {
            tracing::trace!(%error, "the child has closed its input");
        }
    }

    /// Forwards everything but the end, calls the hook, then forwards the end.
    ///
    /// Returns `None` if git ended first and reports the reason itself. `reading` is dropped once
    /// the request body was read.
    pub(super) async fn push<H: ReceiveHook>(
        mut self,
        mut input: Input,
        mut push: PushInput<H>,
        reading: DropGuard,
    ) -> Result<Option<PushDecision<H>>, Broken> {
        let objects = push.objects.open(push.holder, Some(self.client()));
        let delta = push.delta_memory.open(push.holder, Some(self.client()));
        // Held until git has ended.
        let mut held = HeldBudgets {
            objects: CountedObjects { grant: objects, objects: OBJECTS_STEP },
            delta: Passing { grant: delta, bytes: 0 },
        };
        let arrival = self.arrive(&mut input, &mut push, &mut held).await;
        let PushInput { mut hook, limits, .. } = push;
        let (answer, is_unread) = match arrival {
            Ok(Some(ArrivedPush { tail, cost })) => {
                drop(reading);
                // From here on, a disconnect stops nothing: the hook may be writing the intent.
                if !self.progress.arrive() {
                    return Err(Broken);
                }
                // The hook reserves the memory for unpacking.
                held.delta.grant.lower_to(0);
                match hook.pre_receive(cost).await {
                    Ok(()) => {
                        if let Some(child) = self.child {
                            cage::limit_cpu(child, cage::cpu_seconds(&limits, cost.unpacked_bytes));
                        }
                        if self.to_child.write_all(&tail).await.is_ok() {
                            self.close().await;
                        }
                        return Ok(Some(PushDecision::Admitted(hook, held.objects.grant)));
                    }
                    Err(answer) => (Some(answer), false),
                }
            }
            // The pack or git ended early: git's own report contains the reason.
            Ok(None) => (None, false),
            Err(InputStop::Gone) => (None, true),
            Err(InputStop::Broken) => return Err(Broken),
            Err(InputStop::Crowded(why)) => (Some(hook.malformed(why.to_owned())), true),
            Err(InputStop::Refused(answer)) => (Some(answer), true),
        };
        if answer.is_some() {
            // Set before git's stdin is closed: its output from now on is not for the client.
            self.progress.set(TransferState::Refused);
        }
        // git ends, which releases its permit.
        drop((self.to_child, held));
        if is_unread {
            input.drain().await;
        }
        Ok(answer.map(PushDecision::Refused))
    }

    /// Forwards the body of a push, except for the tail. Returns `None` if the pack ended early.
    async fn arrive<H: ReceiveHook>(
        &mut self,
        input: &mut Input,
        push: &mut PushInput<H>,
        held: &mut HeldBudgets,
    ) -> Result<Option<ArrivedPush>, InputStop> {
        let kinds = kinds_in(push.repository.clone());
        let mut pack = PackReader::new(PackLimits::of(&push.limits), kinds);
        if push.has_pack {
            self.write(&push.head).await?;
        }
        let (mut received, mut asked_at) = (0u64, 0u64);
        let mut fits = false;
        let mut piece = std::mem::take(&mut push.rest);
        loop {
            received = received.saturating_add(saturate::to_u64(piece.len()));
            if received > push.pack_bytes_max {
                return Err(InputStop::Refused(push.hook.too_large()));
            }
            if received.saturating_sub(asked_at) >= ASK_EVERY_BYTES {
                asked_at = received;
                push.hook.may_continue().await.map_err(InputStop::Refused)?;
            }
            if !piece.is_empty() {
                let malformed = |why| InputStop::Refused(push.hook.malformed(why));
                if !push.has_pack {
                    return Err(malformed(PackError::Trailing.to_string()));
                }
                // Inflating is CPU-bound: not on a thread that serves other requests.
                let Ok(permit) = push.inflating.acquire().await else { return Err(InputStop::Broken) };
                let read = tokio::task::spawn_blocking(move || (pack.feed(&piece), pack)).await;
                drop(permit);
                let Ok((ready, reader)) = read else { return Err(InputStop::Broken) };
                pack = reader;
                let ready = ready.map_err(|error| malformed(error.to_string()))?;
                if let Some(objects) = pack.announced().filter(|_| !fits) {
                    let checked = object_count::check(&push.repository, objects, &push.limits).await;
                    checked.map_err(|error| malformed(error.to_string()))?;
                    fits = true;
                }
                // Reserved before git receives the bytes.
                self.count(&mut held.objects, &pack).await?;
                self.reserve(&mut held.delta, &pack).await?;
                self.write(&ready).await?;
            }
            let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
            self.next(input, &mut buffer).await?;
            if buffer.is_empty() {
                let checksum = pack.checksum().map(Bytes::copy_from_slice);
                let tail = if push.has_pack { checksum } else { Some(push.head.clone()) };
                return Ok(tail.map(|tail| ArrivedPush { tail, cost: pack.cost() }));
            }
            piece = buffer.freeze();
        }
    }
}
