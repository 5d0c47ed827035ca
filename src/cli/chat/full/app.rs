//! The loop of the full screen: one task owns the model, the connection and the terminal. It waits
//! for an event, applies it to the model, and carries out the orders of the model.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use ratatui::crossterm::event::Event;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ahead::{bursts, is_interrupt};
use super::desk::{Desk, Done};
use super::kept::KeptFile;
use super::model::{AHEAD_MAX, Asked, Connection, Model, Order};
use super::signals::{Signalled, Signals, stop};
use super::terminal::Terminal;
use crate::cli::chat::attach::names_in;
use crate::cli::chat::link::{Backoff, Happening, Wire, packet_of};
use crate::client::Received;

/// Minimum interval between two drawings: keys are handled faster than a terminal can draw.
const FRAME: Duration = Duration::from_millis(16);
/// Maximum interval: after a terminal that did not read for long, the screen is drawn at once.
const FRAME_MAX: Duration = Duration::from_millis(250);
/// Events that are handled before the screen is drawn again.
const EVENTS_AT_ONCE: usize = 512;
/// Packets that are handled before the screen is drawn again.
const PACKETS_AT_ONCE: usize = 64;
/// Unanswered packets, below the server's window of 64.
const IN_FLIGHT_MAX: usize = 48;
/// Maximum age of unsaved drafts.
const SAVE_AFTER: Duration = Duration::from_millis(250);
/// Time that each of the last messages and packets may take when the user quits.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// Why the client ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Quit,
    LoginNeeded,
}

pub(super) struct App {
    model: Model,
    terminal: Terminal,
    events: mpsc::Receiver<Vec<Event>>,
    signals: Signals,
    desk: Desk,
    wire: Option<Box<Wire>>,
    asked: HashMap<u64, Asked>,
    backoff: Backoff,
    /// Pause that the last `Goodbye` asked for.
    after_ms: Option<u64>,
    file: Option<KeptFile>,
    /// The screen is not drawn again before this time.
    draw_at: Option<Instant>,
    is_dirty: bool,
    unsaved_since: Option<Instant>,
    /// The user quits: messages may still be sent until this time.
    leave_at: Option<Instant>,
}

impl App {
    pub(super) fn new(
        model: Model,
        terminal: Terminal,
        (events, signals): (mpsc::Receiver<Vec<Event>>, Signals),
        desk: Desk,
        file: Option<KeptFile>,
    ) -> Self {
        Self {
            model,
            terminal,
            events,
            signals,
            desk,
            wire: None,
            asked: HashMap::new(),
            backoff: Backoff::default(),
            after_ms: None,
            file,
            draw_at: None,
            is_dirty: true,
            unsaved_since: None,
            leave_at: None,
        }
    }

    pub(super) async fn run(&mut self) -> anyhow::Result<End> {
        self.model.size = self.terminal.size()?;
        let ended = self.converse().await;
        // The text of an edit without an answer is a draft.
        let asked = self.asked.drain().map(|(_, asked)| asked).collect();
        self.model.unanswered(asked);
        self.model.drop_packets();
        // The state is saved in every case, also when the terminal has failed.
        let saved = self.save();
        if let Some(mut wire) = self.wire.take() {
            drop(wire.send(packet_of("Bye")).await);
            wire.close(LEAVE_PATIENCE).await;
        }
        let end = ended?;
        saved?;
        Ok(end)
    }

    /// Returns sentences about the texts that were not sent, and where they are.
    pub(super) fn remains(&self) -> Vec<String> {
        self.model.kept().remains(self.file.as_ref().map(KeptFile::path))
    }

    async fn converse(&mut self) -> anyhow::Result<End> {
        loop {
            let now = Instant::now();
            self.model.pump(now);
            if std::mem::take(&mut self.model.must_save) {
                self.try_to_save();
            }
            self.obey().await;
            self.save_in_time(now);
            if self.is_over(now) {
                return Ok(End::Quit);
            }
            self.draw_in_time(now)?;
            let due = self.next_due(now);
            let can_read = self.model.ahead.len() < AHEAD_MAX;
            tokio::select! {
                events = self.events.recv(), if can_read => match events {
                    Some(events) => self.take_events(events),
                    // The terminal is gone.
                    None => return Ok(End::Quit),
                },
                happening = next_of(&mut self.wire) => {
                    self.happened(happening);
                    for _ in 1..PACKETS_AT_ONCE {
                        let Some(happening) = next_of(&mut self.wire).now_or_never() else { break };
                        self.happened(happening);
                    }
                }
                done = self.desk.next() => match done {
                    Done::Answer(then, answer) => self.model.answered(then, answer),
                    Done::Attached(answer) => self.model.attached(answer, Instant::now()),
                    Done::Attempt(attempt) => match *attempt {
                        Ok(Some((wire, welcome))) => {
                            self.wire = Some(wire);
                            self.backoff.reset();
                            self.model.welcomed(&welcome);
                        }
                        Ok(None) => return Ok(End::LoginNeeded),
                        Err(reason) => self.wait(&reason),
                    },
                },
                signalled = self.signals.next() => match signalled {
                    Signalled::End => return Ok(End::Quit),
                    Signalled::Stop => {
                        self.try_to_save();
                        self.terminal.leave();
                        stop();
                        self.continued()?;
                    }
                    Signalled::Continue => self.continued()?,
                    Signalled::Resize => self.resized()?,
                },
                () = sleep_until(due), if due.is_some() => {}
            }
            self.is_dirty = true;
        }
    }

    /// The process was stopped and continues: the shell has used the terminal in between.
    fn continued(&mut self) -> anyhow::Result<()> {
        self.terminal.enter().context("cannot use the terminal")?;
        self.draw_at = None;
        self.model.end_bare();
        self.resized()
    }

    fn resized(&mut self) -> anyhow::Result<()> {
        let (width, height) = self.terminal.size()?;
        self.model.input(Event::Resize(width, height));
        Ok(())
    }

    /// Handles events of the terminal and those that wait behind them.
    fn take_events(&mut self, mut events: Vec<Event>) {
        let mut taken = 0;
        loop {
            taken += events.len();
            for (event, is_text) in bursts(events) {
                self.take_event(event, is_text);
            }
            if taken >= EVENTS_AT_ONCE {
                return;
            }
            let Ok(more) = self.events.try_recv() else { return };
            events = more;
        }
    }

    fn take_event(&mut self, event: Event, is_text: bool) {
        match &mut self.leave_at {
            // The user does not want to wait for the last messages.
            Some(until) if is_interrupt(&event) => *until = Instant::now(),
            Some(_) => {}
            None if is_text => self.model.input_text(event),
            None => self.model.input(event),
        }
    }

    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Incoming(Received::Event(event)) => self.model.event(&event),
            Happening::Incoming(Received::Packet(packet)) => {
                let asked = packet.request_id.and_then(|request| self.asked.remove(&request));
                let is_end =
                    packet.packet_type == "Goodbye" || packet.code.as_deref() == Some("unauthenticated");
                let asked = if is_end {
                    self.model.unanswered(asked.into_iter().collect());
                    None
                } else {
                    asked
                };
                if packet.packet_type == "Goodbye" {
                    self.after_ms = packet.after_ms;
                    let code = packet.code.as_deref().unwrap_or("no reason given");
                    return self.lost(&format!("the server closed the session ({code})"));
                }
                if packet.code.as_deref() == Some("unauthenticated") {
                    return self.lost("the login must be renewed");
                }
                let waiting = self.model.sending.waiting();
                self.model.packet(*packet, asked, Instant::now());
                if let Some(until) = &mut self.leave_at
                    && self.model.sending.waiting() < waiting
                {
                    // Further messages may follow.
                    *until = Instant::now() + LEAVE_PATIENCE;
                }
            }
            Happening::Heartbeat => self.model.heartbeat(),
            Happening::Lost(reason) => self.lost(&reason),
            // Attempts to connect are work of the desk.
            Happening::Reopened(_) => {}
        }
    }

    fn lost(&mut self, reason: &str) {
        self.wire = None;
        self.wait(reason);
        let asked = self.asked.drain().map(|(_, asked)| asked).collect();
        self.model.unanswered(asked);
    }

    /// Waits before the next attempt to connect.
    fn wait(&mut self, reason: &str) {
        let pause = self.backoff.next(self.after_ms.take());
        self.model.disconnected(reason, Instant::now() + pause);
    }

    /// Carries out the orders of the model.
    async fn obey(&mut self) {
        let now = Instant::now();
        let is_due = self.model.connect_due(self.desk.is_free(), now).is_some_and(|due| due <= now);
        if is_due && self.wire.is_none() {
            self.model.connection = Connection::Connecting;
            self.desk.connect();
        }
        if self.wire.is_some()
            && self.desk.is_free()
            && let Some(call) = self.model.next_call()
        {
            self.desk.ask(call);
        }
        // Other calls go first: an upload has many steps.
        if self.wire.is_some()
            && self.desk.is_free()
            && let Some(step) = self.model.attaching.as_mut().and_then(|attaching| attaching.next(now))
        {
            self.desk.attach(step);
        }
        let mut later = VecDeque::new();
        while let Some(order) = self.model.orders.pop_front() {
            match order {
                Order::Send(packet, asked) if self.asked.len() < IN_FLIGHT_MAX => {
                    let Some(wire) = &mut self.wire else {
                        self.model.unanswered(vec![asked]);
                        continue;
                    };
                    match wire.send(*packet).await {
                        Ok(request) => drop(self.asked.insert(request, asked)),
                        Err(reason) => {
                            self.model.unanswered(vec![asked]);
                            self.lost(&reason);
                        }
                    }
                }
                order @ (Order::Send(..) | Order::Rest(_)) => later.push_back(order),
                Order::Bell => drop(self.terminal.bell()),
                Order::Repaint => drop(self.terminal.enter()),
                Order::Copy(text) => drop(self.terminal.copy(&text)),
                Order::Mouse(on) => drop(self.terminal.set_mouse(on)),
                Order::Bare(text) => drop(self.terminal.show_bare(&text)),
                Order::Names(folder) => {
                    let names = names_in(&folder).await;
                    self.model.complete_path(&folder, &names);
                }
                Order::Disconnect(reason) => self.lost(&reason),
                Order::Quit => {
                    self.model.info("sending the last messages… Ctrl-C: keep them for the next start");
                    self.leave_at = Some(now + LEAVE_PATIENCE);
                }
            }
        }
        self.model.orders = later;
        if self.wire.is_none() {
            self.model.drop_packets();
        }
    }

    /// Whether the client ends now: messages that are being sent get a little time.
    fn is_over(&self, now: Instant) -> bool {
        let is_editing = self.asked.values().any(|asked| matches!(asked, Asked::Edit { .. }));
        let is_sending = self.model.is_online() && (is_editing || self.model.sending.waiting() > 0);
        self.leave_at.is_some_and(|until| until <= now || !is_sending)
    }

    fn draw_in_time(&mut self, now: Instant) -> anyhow::Result<()> {
        if self.is_dirty && !self.model.is_bare && self.draw_at.is_none_or(|at| at <= now) {
            self.terminal.draw(&self.model).context("cannot write to the terminal")?;
            // Drawing takes at most half of the time, also over a slow connection.
            let drawn = Instant::now();
            self.draw_at = Some(drawn + (drawn - now).clamp(FRAME, FRAME_MAX));
            self.is_dirty = false;
        }
        Ok(())
    }

    fn save_in_time(&mut self, now: Instant) {
        if !std::mem::take(&mut self.model.is_unsaved) && self.unsaved_since.is_none() {
            return;
        }
        let since = *self.unsaved_since.get_or_insert(now);
        if now.duration_since(since) >= SAVE_AFTER {
            self.try_to_save();
        }
    }

    /// Saves the state. A failure does not end the client: its text exists nowhere else.
    fn try_to_save(&mut self) {
        if let Err(error) = self.save() {
            self.model.problem(format!("{error:#}"));
        }
    }

    fn save(&mut self) -> anyhow::Result<()> {
        self.unsaved_since = None;
        if let Some(file) = &mut self.file {
            file.write(self.model.kept()).context("cannot save unsent messages and drafts")?;
        }
        Ok(())
    }

    fn next_due(&self, now: Instant) -> Option<Instant> {
        let frame = self.draw_at.filter(|_| self.is_dirty && !self.model.is_bare);
        let save = self.unsaved_since.map(|since| since + SAVE_AFTER);
        let connect = self.model.connect_due(self.desk.is_free(), now).filter(|_| self.wire.is_none());
        [frame, save, connect, self.leave_at, self.model.next_due(now)].into_iter().flatten().min()
    }
}

async fn next_of(wire: &mut Option<Box<Wire>>) -> Happening {
    match wire {
        Some(wire) => wire.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
