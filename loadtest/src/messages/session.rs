//! One session of a run: a [`SessionReader`] for its read half, a [`SessionWriter`] for its write
//! half.
//!
//! The reader waits only for its socket, so a session reads as fast as this process can. The writer
//! sends heartbeats, sends the messages of a sender within its window, and requests the last
//! answer.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{bail, ensure};
use netbit::client::{FrameReader, FrameWriter, TcpError, saying};
use netbit::domain::message::ClientId;
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::MessagePacket;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::checker::MessageKey;
use super::content::Content;
use super::run::{Phase, Run};

/// Chats of a sender: several, so that senders share chats, and few, so that each has an order to
/// check.
const CHATS_PER_SENDER: usize = 5;
/// The request id of heartbeats, above those of messages, which are their counters.
const HEARTBEAT: u64 = 1 << 40;
pub(super) const LAST_PING: u64 = HEARTBEAT + 1;
/// Packets handled before the task yields to other sessions.
const PACKETS_PER_YIELD: usize = 64;
/// Time before a refused request is repeated, unless the server returns one.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The state that both halves of a session share.
#[derive(Debug)]
pub(super) struct SessionState {
    /// The number of the session in the checker.
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) heartbeat: Duration,
    pub(super) sending: Option<SenderState>,
    /// Notified when the last ping was refused temporarily.
    again: Notify,
}

/// The state of a session that sends messages.
#[derive(Debug)]
pub(super) struct SenderState {
    sender: usize,
    in_flight: u32,
    /// One permit for each message that may be unanswered.
    window: Semaphore,
    /// When each message was sent.
    sent_us: RefCell<Vec<u64>>,
    refused: Cell<usize>,
    resume_at: Cell<Instant>,
}

impl SessionState {
    pub(super) fn new(number: usize, name: String, heartbeat_ms: u64, sending: Option<SenderState>) -> Self {
        // Well before the timeout of the server, and not all sessions at the same time.
        let share = 50 + u64::try_from(number % 25).unwrap_or(0);
        let heartbeat = Duration::from_millis((heartbeat_ms * share / 100).max(100));
        Self { number, name, heartbeat, sending, again: Notify::new() }
    }
}

impl SenderState {
    pub(super) fn new(sender: usize, in_flight: u32) -> Self {
        Self {
            sender,
            in_flight,
            window: Semaphore::new(usize::try_from(in_flight).unwrap_or(1)),
            sent_us: RefCell::default(),
            refused: Cell::new(0),
            resume_at: Cell::new(Instant::now()),
        }
    }
}

/// The read half.
#[derive(Debug)]
pub(super) struct SessionReader {
    pub(super) run: Rc<Run>,
    pub(super) state: Rc<SessionState>,
    pub(super) reader: FrameReader,
}

impl SessionReader {
    /// Reads up to the last answer. The writer keeps the socket open.
    pub(super) async fn read_all(mut self) {
        if let Err(error) = self.read().await {
            self.run.error(format!("{}: {error:#}", self.state.name));
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let mut events = 0_u64;
        for count in 1_usize.. {
            let packet = match self.reader.next().await {
                Ok(packet) => packet,
                Err(error) => bail!("{error}, after {events} events"),
            };
            match packet.packet_type.as_str() {
                "Event" => {
                    events += 1;
                    self.event(&packet);
                }
                "Ack" => self.answer(&packet)?,
                "Pong" => {
                    let sum = packet.heads_sum.unwrap_or(-1);
                    self.run.checker.borrow_mut().heads_sum(self.state.number, sum);
                    self.run.stop_if_faulty();
                    if packet.request_id == Some(LAST_PING) {
                        return Ok(());
                    }
                }
                "Limited" => bail!("got Limited after {events} events, although it reads"),
                "Goodbye" => bail!("got Goodbye ({}) after {events} events", packet.code.unwrap_or_default()),
                // Best-effort pushes that are not events of a chat.
                "Presence" | "Typing" | "Marks" | "Notification" | "NotificationsRead" => {}
                other => bail!("got an unexpected packet: {other}"),
            }
            if count.is_multiple_of(PACKETS_PER_YIELD) {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn event(&self, packet: &ReceivedPacket) {
        let now_us = self.run.now_us();
        if let Some(content) = receive(&self.run, self.state.number, packet) {
            let mut measurements = self.run.measurements.borrow_mut();
            measurements.last_delivery_us = now_us;
            measurements.delivery_latency.saturating_record(now_us.saturating_sub(content.sent_us));
        }
        self.run.stop_if_faulty();
    }

    fn answer(&self, packet: &ReceivedPacket) -> anyhow::Result<()> {
        let code = packet.code.as_deref().unwrap_or_default();
        let for_now = matches!(code, "overloaded" | "rate_limited");
        match (packet.request_id, &self.state.sending) {
            (Some(HEARTBEAT), _) if for_now => Ok(()),
            (Some(LAST_PING), _) if for_now => {
                self.state.again.notify_one();
                Ok(())
            }
            (Some(id @ 0..HEARTBEAT), Some(sending)) if packet.success || for_now => {
                self.message_answered(sending, usize::try_from(id)?, packet)
            }
            (id, _) => bail!(
                "request {id:?} was refused: {code} ({})",
                packet.error.as_deref().unwrap_or("no reason")
            ),
        }
    }

    fn message_answered(
        &self,
        sending: &SenderState,
        counter: usize,
        packet: &ReceivedPacket,
    ) -> anyhow::Result<()> {
        let run = &self.run;
        let key = MessageKey { sender: sending.sender, counter };
        if packet.success {
            let (Some(message), Some(seq)) = (packet.message_id, packet.seq) else {
                bail!("{key} was acknowledged without message_id or seq");
            };
            ensure!(packet.duplicate.is_none(), "{key} was acknowledged as a duplicate");
            run.checker.borrow_mut().acknowledged(key, message, seq);
            let (now_us, mut measurements) = (run.now_us(), run.measurements.borrow_mut());
            let sent_us = sending.sent_us.borrow().get(counter).copied().unwrap_or(now_us);
            measurements.last_ack_us = now_us;
            measurements.ack_latency.saturating_record(now_us.saturating_sub(sent_us));
        } else {
            // Sent again later as a new message, so that the order of all others stays the same.
            let delay = packet.retry_after_ms.map_or(RETRY_DELAY, Duration::from_millis);
            sending.resume_at.set(Instant::now() + delay);
            sending.refused.set(sending.refused.get() + 1);
            run.checker.borrow_mut().refused(key);
            run.measurements.borrow_mut().refused += 1;
            run.release_backlog();
        }
        sending.window.add_permits(1);
        run.stop_if_faulty();
        Ok(())
    }
}

/// Records an event in the checker; returns its content if this run sent it.
pub(super) fn receive(run: &Run, session: usize, packet: &ReceivedPacket) -> Option<Content> {
    let content = packet.message.as_ref().and_then(|message| Content::parse(&message.content));
    let key =
        content.as_ref().zip(packet.message.as_ref()).map(|(content, message)| (content.key, message.id));
    let mut checker = run.checker.borrow_mut();
    match (packet.chat_id, packet.seq) {
        (Some(chat), Some(seq)) if key.is_some() || packet.message.is_none() => {
            if checker.received(session, chat, seq, key) {
                run.release_backlog();
            }
        }
        _ => checker.unexpected(session, || format!("{packet:?}")),
    }
    content
}

pub(super) fn ping(request_id: u64) -> MessagePacket {
    MessagePacket { packet_type: "Ping".to_owned(), request_id: Some(request_id), ..MessagePacket::default() }
}

/// The write half.
#[derive(Debug)]
pub(super) struct SessionWriter {
    pub(super) run: Rc<Run>,
    pub(super) state: Rc<SessionState>,
    pub(super) writer: FrameWriter,
}

impl SessionWriter {
    /// Writes until it is aborted, and keeps the write half open.
    pub(super) async fn write_all(mut self) {
        let Err(error) = self.write().await;
        self.run.error(format!("{}: cannot write: {error}", self.state.name));
    }

    async fn write(&mut self) -> Result<Infallible, TcpError> {
        let (run, state) = (self.run.clone(), self.state.clone());
        if let Some(sending) = &state.sending {
            self.while_alive(run.reached(Phase::Sending)).await?;
            self.send_all(sending).await?;
            run.sender_done();
        }
        self.while_alive(run.reached(Phase::Finishing)).await?;
        loop {
            self.writer.send(&ping(LAST_PING)).await?;
            self.while_alive(state.again.notified()).await?;
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn send_all(&mut self, sending: &SenderState) -> Result<(), TcpError> {
        let run = self.run.clone();
        let mut counter = 0;
        loop {
            while counter < run.messages_per_sender + sending.refused.get() {
                // Never fails: the window is never closed.
                if let Ok(permit) = self.while_alive(sending.window.acquire()).await? {
                    permit.forget();
                }
                self.while_alive(run.acquire_backlog()).await?;
                self.while_alive(tokio::time::sleep_until(sending.resume_at.get())).await?;
                self.send(sending, counter).await?;
                counter += 1;
            }
            // All permits are free when everything is answered; refused messages may have to be
            // sent again.
            drop(self.while_alive(sending.window.acquire_many(sending.in_flight)).await?);
            if counter >= run.messages_per_sender + sending.refused.get() {
                return Ok(());
            }
        }
    }

    async fn send(&mut self, sending: &SenderState, counter: usize) -> Result<(), TcpError> {
        let index = sending.sender * CHATS_PER_SENDER + counter % CHATS_PER_SENDER;
        let Some(chat) = self.run.chats.get(index % self.run.chats.len().max(1)).copied() else {
            return Ok(());
        };
        let key = MessageKey { sender: sending.sender, counter };
        let sent_us = self.run.now_us();
        let packet = saying(chat, ClientId::fresh(), &Content { key, sent_us }.to_text());
        let packet = MessagePacket { request_id: u64::try_from(counter).ok(), ..packet };
        self.run.checker.borrow_mut().sent(key, chat);
        sending.sent_us.borrow_mut().push(sent_us);
        self.writer.send(&packet).await
    }

    /// Awaits `wait`, and sends a ping in every heartbeat interval meanwhile.
    async fn while_alive<T>(&mut self, wait: impl Future<Output = T>) -> Result<T, TcpError> {
        let mut wait = std::pin::pin!(wait);
        let every = self.state.heartbeat;
        loop {
            tokio::select! {
                biased;
                done = &mut wait => return Ok(done),
                () = tokio::time::sleep(every) => self.writer.send(&ping(HEARTBEAT)).await?,
            }
        }
    }
}
