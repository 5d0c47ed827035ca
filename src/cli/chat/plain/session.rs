//! The conversation with the server: sends typed lines and handles events.
//!
//! One task owns all state, so nothing is shared. The task waits for a line, for the connection or
//! for a deadline, handles that event, and then sends everything that may be sent
//! ([`Session::pump`]).

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::line::Line;
use super::model::Model;
use super::screen::{Input, Screen, Typed};
use crate::cli::chat::link::{Happening, Link, Wire, packet_of, reopen};
use crate::cli::chat::outgoing::Outgoing;
use crate::cli::chat::rest::Rest;
use crate::core::plural::plural;
use crate::domain::ids::{ChatId, Seq};
use crate::protocol::answer::ReceivedPacket;
use crate::protocol::packet::MessagePacket;

/// Minimum interval between two moves of the read cursor.
pub(super) const READ_EVERY: Duration = Duration::from_secs(1);
/// Minimum interval between two typing notices.
const TYPING_EVERY: Duration = Duration::from_millis(2_500);
/// Time that a user who quits waits for the acknowledgement of the last messages.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);
/// Time that the last packets may take to be written.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);
/// Pages of missed events requested at once.
const PAGES_IN_FLIGHT: usize = 4;
/// A script waits while this many of its lines are not acknowledged.
const UNSENT_MAX: usize = 64;

/// Reason why the session ends early.
#[derive(Debug)]
pub(super) enum Stop {
    LoginNeeded,
    Screen(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Screen(error)
    }
}

/// Purpose of a request, by its request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Message,
    Chats,
    Events(ChatId),
    Heartbeat,
    /// A change whose result is shown by its event, if at all.
    Command,
    /// A packet that may be lost.
    Aside,
}

pub(super) struct Session {
    pub(super) screen: Screen,
    pub(super) input: Input,
    pub(super) model: Model,
    pub(super) link: Link,
    pub(super) outgoing: Outgoing,
    pub(super) asked: HashMap<u64, Asked>,
    /// Whether new chats in the list produce a line; `false` for the first list.
    pub(super) announce: bool,
    /// No pages are requested before this time.
    pub(super) pages_from: Option<Instant>,
    /// Time at which the read cursor is moved.
    pub(super) read_at: Option<Instant>,
    /// The end was requested; a user at a terminal waits no longer than until the instant.
    pub(super) ending: Option<Option<Instant>>,
    /// Last message that the server acknowledged.
    pub(super) acknowledged: Option<(ChatId, Seq)>,
    /// Number of commands and messages that failed for good.
    pub(super) failures: usize,
    /// Epoch of the server's history.
    pub(super) epoch: Option<i64>,
    /// Time of the last typing notice that was sent.
    typing_sent_at: Option<Instant>,
    /// Pause that the last `Goodbye` asked for.
    pub(super) after_ms: Option<u64>,
    host: String,
}

impl Session {
    pub(super) fn new(
        (screen, input): (Screen, Input),
        model: Model,
        (wire, rest): (Box<Wire>, Rest),
        host: String,
    ) -> Self {
        Self {
            screen,
            input,
            model,
            link: Link::Online { wire, rest },
            outgoing: Outgoing::default(),
            asked: HashMap::new(),
            announce: false,
            pages_from: None,
            read_at: None,
            ending: None,
            acknowledged: None,
            failures: 0,
            epoch: None,
            typing_sent_at: None,
            after_ms: None,
            host,
        }
    }

    /// Runs to the end and returns whether it succeeded: for a script, whether every line was
    /// executed.
    pub(super) async fn run(&mut self, welcome: &ReceivedPacket) -> Result<bool, Stop> {
        let mut ended = self.converse(welcome).await;
        if ended.is_ok() {
            self.send_goodbye().await;
        }
        let lost = self.outgoing.len();
        if lost > 0 {
            let shown = self
                .show(&[Line::Problem(format!("{} not sent", plural(lost, "message was", "messages were")))]);
            ended = ended.and(shown);
        }
        self.screen.finish();
        self.input.leave();
        ended?;
        Ok(lost == 0 && (self.screen.is_interactive() || self.failures == 0))
    }

    async fn converse(&mut self, welcome: &ReceivedPacket) -> Result<(), Stop> {
        self.welcomed(welcome).await?;
        loop {
            self.pump().await?;
            if self.is_over() {
                return Ok(());
            }
            if self.ending.is_none() && self.is_ready_for_input() {
                self.input.allow();
            }
            let due = self.next_due();
            tokio::select! {
                line = self.input.next(), if self.ending.is_none() => match line {
                    Typed::Line(Some(line)) => self.typed(&line).await?,
                    Typed::Line(None) => self.end(),
                    Typed::Key => self.send_typing().await?,
                },
                happening = self.link.next() => self.happened(happening).await?,
                () = sleep_until(due), if due.is_some() => {}
            }
        }
    }

    /// Whether a line can be handled: a typed line may name any chat, so the first list must be
    /// complete.
    fn is_ready_for_input(&self) -> bool {
        let listed = self.announce || matches!(self.link, Link::Offline(_));
        listed && (self.screen.is_interactive() || self.outgoing.len() < UNSENT_MAX)
    }

    pub(super) fn end(&mut self) {
        let patience = self.screen.is_interactive().then(|| Instant::now() + LEAVE_PATIENCE);
        self.ending = Some(patience);
    }

    fn is_over(&self) -> bool {
        let Some(patience) = self.ending else { return false };
        (self.outgoing.is_empty() && self.is_echoed())
            || patience.is_some_and(|until| until <= Instant::now())
    }

    /// Whether the last acknowledged message is on the screen: the acknowledgement may arrive
    /// before the event.
    fn is_echoed(&self) -> bool {
        let Some((chat, seq)) = self.acknowledged else { return true };
        let chat = self.model.chats.get(&chat);
        matches!(self.link, Link::Offline(_)) || chat.is_none_or(|chat| chat.last_seq >= seq)
    }

    /// Returns the next deadline.
    fn next_due(&self) -> Option<Instant> {
        let deadlines = [self.outgoing.paused_until(), self.pages_from, self.read_at, self.ending.flatten()];
        deadlines.into_iter().flatten().min()
    }

    pub(super) async fn happened(&mut self, happening: Happening) -> Result<(), Stop> {
        match happening {
            Happening::Incoming(incoming) => self.incoming(incoming).await,
            Happening::Heartbeat => self.request(packet_of("Ping"), Asked::Heartbeat).await,
            Happening::Lost(reason) => self.lost(&reason),
            Happening::Reopened(None) => Err(Stop::LoginNeeded),
            Happening::Reopened(Some((wire, rest, welcome))) => {
                self.link = Link::Online { wire, rest };
                self.show(&[Line::Info("connected again".to_owned())])?;
                self.welcomed(&welcome).await
            }
        }
    }

    /// Waits until the messages that were typed before are committed, for some time.
    pub(super) async fn send_waiting(&mut self) -> Result<(), Stop> {
        let until = Instant::now() + LEAVE_PATIENCE;
        while !self.outgoing.is_empty() && matches!(self.link, Link::Online { .. }) && Instant::now() < until
        {
            self.pump().await?;
            tokio::select! {
                happening = self.link.next() => self.happened(happening).await?,
                () = tokio::time::sleep_until(until) => {}
            }
        }
        Ok(())
    }

    /// Handles the loss of the connection: reports it once and starts to reopen it.
    pub(super) fn lost(&mut self, reason: &str) -> Result<(), Stop> {
        let offline = Link::Offline(Box::pin(std::future::pending()));
        let Link::Online { rest, .. } = std::mem::replace(&mut self.link, offline) else { return Ok(()) };
        self.link = Link::Offline(Box::pin(reopen(rest, self.host.clone(), self.after_ms.take())));
        self.outgoing.connection_lost();
        self.asked.clear();
        self.pages_from = None;
        self.show(&[Line::Problem(format!("not connected: {reason}; trying again…"))])
    }

    /// Sends everything that may be sent now.
    async fn pump(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        while let Link::Online { .. } = self.link
            && let Some(unsent) = self.outgoing.next(now)
        {
            self.request(unsent.packet(), Asked::Message).await?;
        }
        if self.pages_from.is_none_or(|from| from <= now) {
            self.pages_from = None;
            self.catch_up().await?;
        }
        if self.model.read_mark().is_none() {
            self.read_at = None;
        } else if self.read_at.is_none() {
            self.read_at = Some(now + READ_EVERY);
        } else if self.read_at.is_some_and(|at| at <= now) {
            self.mark_read().await?;
        }
        Ok(())
    }

    /// Requests the missing events.
    async fn catch_up(&mut self) -> Result<(), Stop> {
        let running = self.asked.values().filter(|asked| matches!(asked, Asked::Events(_))).count();
        let wanted = self
            .model
            .behind
            .iter()
            .filter(|id| !self.asked.values().any(|asked| *asked == Asked::Events(**id)));
        let wanted: Vec<_> = wanted.take(PAGES_IN_FLIGHT.saturating_sub(running)).copied().collect();
        for id in wanted {
            let after = self.model.chats.get(&id).map_or(0, |chat| chat.last_seq);
            let after_seq = Some(u64::try_from(after).unwrap_or(0));
            self.request(
                MessagePacket { chat_id: Some(id), after_seq, ..packet_of("GetEvents") },
                Asked::Events(id),
            )
            .await?;
        }
        Ok(())
    }

    /// Sends a typing notice to the open chat, at most once per interval.
    async fn send_typing(&mut self) -> Result<(), Stop> {
        let recently = self.typing_sent_at.is_some_and(|at| at.elapsed() < TYPING_EVERY);
        let Some(chat) = self.model.open.filter(|_| !recently) else { return Ok(()) };
        self.typing_sent_at = Some(Instant::now());
        let packet = MessagePacket { chat_id: Some(chat), ..packet_of("Typing") };
        self.request(packet, Asked::Aside).await
    }

    /// Sends a packet whose answer is expected, if there is a connection.
    pub(super) async fn request(&mut self, packet: MessagePacket, asked: Asked) -> Result<(), Stop> {
        let Link::Online { wire, .. } = &mut self.link else { return Ok(()) };
        match wire.send(packet).await {
            Ok(request) => {
                self.asked.insert(request, asked);
                Ok(())
            }
            Err(reason) => self.lost(&reason),
        }
    }

    /// Sends the read cursor and `Bye`; whether they arrive does not matter.
    async fn send_goodbye(&mut self) {
        if self.model.read_mark().is_some() {
            drop(self.mark_read().await);
        }
        let offline = Link::Offline(Box::pin(std::future::pending()));
        if let Link::Online { mut wire, .. } = std::mem::replace(&mut self.link, offline) {
            drop(wire.send(packet_of("Bye")).await);
            wire.close(GOODBYE_PATIENCE).await;
        }
    }

    pub(super) fn show(&mut self, lines: &[Line]) -> Result<(), Stop> {
        Ok(self.screen.show(lines)?)
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
