//! The queue of one session: its sending and its receiving side.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};

use bytes::Bytes;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::StreamExt;
use tokio::sync::Notify;

use super::meter::DeliveryMeter;
use crate::core::saturate;
use crate::core::shares::Slot;
use crate::protocol::answer::{AckPacket, GoodbyeCode, ServerPacket};
use crate::protocol::framing;

#[derive(Debug)]
enum QueuedFrame {
    Frame(Bytes),
    /// The space that the preceding frames occupy.
    Space(Box<Slot>),
    /// Sends the goodbye, if any, then closes the socket. No item follows it.
    Last(Option<Goodbye>),
}

#[derive(Debug)]
struct Goodbye {
    code: GoodbyeCode,
    frame: Bytes,
}

/// The sending side, shared by all senders to the session.
#[derive(Debug)]
pub struct Outbox {
    /// This channel type allocates no memory for absent items: most sessions are idle.
    sender: UnboundedSender<QueuedFrame>,
    bytes: AtomicUsize,
    frames: AtomicUsize,
    ended: AtomicBool,
    /// No soft push is accepted before `Welcome`.
    held: AtomicBool,
    bytes_max: usize,
    frames_max: usize,
    room: Notify,
    /// A push did not fit, and the outbox has not dropped below half since.
    slow: AtomicBool,
    meter: DeliveryMeter,
}

/// The receiving side, owned by the socket's writer.
#[derive(Debug)]
pub struct OutboxDrain {
    receiver: UnboundedReceiver<QueuedFrame>,
    outbox: Arc<Outbox>,
    /// Bytes of all frames that were taken out, and of those that reached the socket.
    taken: u64,
    written: u64,
    /// Space of frames that are being written, with the total of written bytes at which it is
    /// freed.
    kept: VecDeque<(u64, Box<Slot>)>,
}

/// The result of [`OutboxDrain::next`].
#[derive(Debug, PartialEq, Eq)]
pub enum Drained {
    Frames,
    /// Carries the code of the `Goodbye`, if there was one.
    Closed(Option<GoodbyeCode>),
}

impl Outbox {
    pub fn new(bytes_max: usize, frames_max: usize, meter: DeliveryMeter) -> (Arc<Self>, OutboxDrain) {
        let (sender, receiver) = unbounded();
        let outbox = Arc::new(Self {
            sender,
            bytes: AtomicUsize::new(0),
            frames: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            held: AtomicBool::new(true),
            bytes_max,
            frames_max,
            room: Notify::new(),
            slow: AtomicBool::new(false),
            meter,
        });
        let drain =
            OutboxDrain { receiver, outbox: outbox.clone(), taken: 0, written: 0, kept: VecDeque::new() };
        (outbox, drain)
    }

    /// Enqueues the session's first frame. Soft pushes are rejected before it, because their sender
    /// runs on another thread than the hub.
    pub fn welcome(&self, frame: Bytes) {
        self.reply(frame);
        self.held.store(false, Release);
    }

    /// Enqueues an answer. It is dropped only after the end of the session.
    pub fn reply(&self, frame: Bytes) {
        if !self.ended.load(Acquire) {
            self.enqueue(frame);
        }
    }

    /// Encodes and enqueues an answer. Packets of the server always encode.
    pub fn reply_packet(&self, packet: &ServerPacket<'_>) {
        if let ServerPacket::Ack(AckPacket { code: Some(code), .. }) = packet {
            self.meter.refused(*code);
        }
        self.reply_encoded(framing::encode(packet));
    }

    /// Encodes and enqueues an answer of about `bytes` bytes.
    pub fn reply_page(&self, packet: &ServerPacket<'_>, bytes: usize) {
        self.reply_encoded(framing::encode_about(packet, bytes));
    }

    fn reply_encoded(&self, encoded: Result<Bytes, rmp_serde::encode::Error>) {
        match encoded {
            Ok(frame) => self.reply(frame),
            Err(error) => tracing::error!(%error, "an answer could not be encoded"),
        }
    }

    /// Enqueues a push. Returns whether it fit; always true after the end of the session.
    #[must_use]
    pub fn push(&self, frame: &Bytes) -> bool {
        let room = self.push_below(frame, self.bytes_max, self.frames_max);
        if !room && !self.slow.swap(true, AcqRel) {
            self.meter.slow(true);
        }
        room
    }

    /// Enqueues a push that later ones of its kind replace: accepted only while the outbox is below
    /// half.
    #[must_use]
    pub fn push_best_effort(&self, frame: &Bytes) -> bool {
        !self.held.load(Acquire) && self.push_below(frame, self.bytes_max / 2, self.frames_max / 2)
    }

    #[inline]
    fn push_below(&self, frame: &Bytes, bytes_max: usize, frames_max: usize) -> bool {
        if self.ended.load(Acquire) {
            return true;
        }
        let room =
            self.bytes.load(Acquire) + frame.len() <= bytes_max && self.frames.load(Acquire) < frames_max;
        if room {
            self.enqueue(frame.clone());
        } else {
            self.meter.dropped();
        }
        room
    }

    /// Sends `Goodbye`. Nothing follows it, and the socket is closed once it is flushed.
    pub fn goodbye(&self, code: GoodbyeCode, reconnect: bool) {
        self.goodbye_until(code, reconnect, None);
    }

    /// Sends `Goodbye` to a client that may reconnect after `after_ms`.
    pub fn goodbye_until(&self, code: GoodbyeCode, reconnect: bool, after_ms: Option<u64>) {
        if self.ended.swap(true, AcqRel) {
            return;
        }
        let last = framing::encode(&ServerPacket::Goodbye { code, reconnect, after_ms }).ok();
        if let Some(frame) = &last {
            self.count(frame);
        }
        self.send(QueuedFrame::Last(last.map(|frame| Goodbye { code, frame })));
    }

    /// Closes without a `Goodbye`: the peer is gone.
    pub fn close(&self) {
        self.ended.store(true, Release);
        self.send(QueuedFrame::Last(None));
    }

    /// Waits until the outbox is below half: bulk answers are created only then.
    pub async fn room(&self) {
        self.until(Self::is_half_empty).await;
    }

    /// Waits until at most `bytes` bytes wait for the socket.
    pub async fn drained_to(&self, bytes: usize) {
        self.until(|outbox| outbox.bytes() <= bytes).await;
    }

    async fn until(&self, is_met: impl Fn(&Self) -> bool) {
        loop {
            let room = self.room.notified();
            if is_met(self) || self.has_ended() {
                return;
            }
            room.await;
        }
    }

    /// Returns whether the session has ended: frames enqueued from now on are not sent.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    /// Holds the space until all frames enqueued before it have reached the socket.
    pub fn keep(&self, space: Slot) {
        self.send(QueuedFrame::Space(Box::new(space)));
    }

    fn is_half_empty(&self) -> bool {
        self.bytes.load(Acquire) * 2 < self.bytes_max && self.frames.load(Acquire) * 2 < self.frames_max
    }

    /// Sends `Limited`: the client has missed frames.
    pub fn limited(&self) {
        self.meter.limited();
        self.reply_packet(&ServerPacket::Limited { chat_id: None, from: None, head: None });
    }

    /// Returns the number of bytes that wait for the socket.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Acquire)
    }

    #[inline]
    fn enqueue(&self, frame: Bytes) {
        self.count(&frame);
        self.send(QueuedFrame::Frame(frame));
    }

    #[inline]
    fn count(&self, frame: &Bytes) {
        self.bytes.fetch_add(frame.len(), AcqRel);
        self.meter.waiting(frame.len());
        self.frames.fetch_add(1, AcqRel);
    }

    #[inline]
    fn send(&self, item: QueuedFrame) {
        // A closed receiver means that the socket is already gone.
        drop(self.sender.unbounded_send(item));
    }
}

impl OutboxDrain {
    /// Waits for frames and appends all that are queued, up to the outbox's own limit, to `out`.
    pub async fn next(&mut self, out: &mut Vec<Bytes>) -> Drained {
        let mut next = self.receiver.next().await;
        let most = out.len() + self.outbox.frames_max;
        loop {
            match next {
                Some(QueuedFrame::Frame(frame)) => {
                    self.took(&frame);
                    out.push(frame);
                }
                Some(QueuedFrame::Space(space)) => {
                    if self.written < self.taken {
                        self.kept.push_back((self.taken, space));
                    }
                }
                // Nothing follows `Last`, even if another thread enqueued a frame after it.
                Some(QueuedFrame::Last(last)) => {
                    let code = last.as_ref().map(|goodbye| goodbye.code);
                    if let Some(Goodbye { frame, .. }) = last {
                        self.took(&frame);
                        out.push(frame);
                    }
                    return Drained::Closed(code);
                }
                None => return Drained::Closed(None),
            }
            if out.len() >= most {
                return Drained::Frames;
            }
            match self.receiver.try_recv() {
                Ok(item) => next = Some(item),
                Err(_) if out.is_empty() => next = self.receiver.next().await,
                Err(_) => return Drained::Frames,
            }
        }
    }

    #[inline]
    fn took(&mut self, frame: &Bytes) {
        self.taken = self.taken.saturating_add(saturate::to_u64(frame.len()));
    }

    /// Records that frames reached the socket: their room and their space are free again.
    pub fn written(&mut self, frames: usize, bytes: usize) {
        self.written = self.written.saturating_add(saturate::to_u64(bytes));
        while self.kept.pop_front_if(|(behind, _)| *behind <= self.written).is_some() {}
        self.outbox.bytes.fetch_sub(bytes, AcqRel);
        self.outbox.meter.written(frames, bytes);
        self.outbox.frames.fetch_sub(frames, AcqRel);
        if self.outbox.slow.load(Acquire)
            && self.outbox.is_half_empty()
            && self.outbox.slow.swap(false, AcqRel)
        {
            self.outbox.meter.slow(false);
        }
        self.outbox.room.notify_waiters();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.meter.discarded(self.bytes());
        if self.slow.load(Acquire) {
            self.meter.slow(false);
        }
    }
}

impl Drop for OutboxDrain {
    fn drop(&mut self) {
        self.outbox.ended.store(true, Release);
        self.outbox.room.notify_waiters();
    }
}
