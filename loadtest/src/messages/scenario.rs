//! Scenario `messages`: many sessions in the same chats; some write, all read all messages.
//!
//! Every session is a member of every chat, so each message is delivered to each session. A sender
//! waits for acknowledgements (`--in-flight`), and all senders wait for the slowest reader
//! (`--backlog`). A slow machine therefore makes the run longer, and does not overflow the outbox
//! of a reader.
//!
//! The end needs no waiting for silence. When all messages are acknowledged, each session pings.
//! The server answers in order with the events, so an event that has not arrived before this answer
//! is lost.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use netbit::client::TcpClient;
use netbit::domain::ids::{ChatId, Seq};
use netbit::protocol::packet::MessagePacket;
use netbit::protocol::view::ChatSummary;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::checker::Checker;
use super::content::Content;
use super::run::{Phase, Run, between};
use super::session::{SenderState, SessionReader, SessionState, SessionWriter};
use super::slow::{LargeQuery, SlowReader, SlowReaderEnd};
use super::target::Target;
use crate::report::{Figure, Report, duration, latencies, rate};
use crate::servers::Usage;
use crate::servers::run_bounded;

/// Connections that are opened concurrently; the server allows many more unauthenticated
/// connections.
const OPENING_AT_ONCE: usize = 64;
/// Time for further sessions to report their errors when a run is aborted.
const SETTLE: Duration = Duration::from_millis(500);
/// Messages in a page of history.
const PAGE: usize = 100;
/// Maximum growth of the server memory from the first message to the last, whatever the load. The
/// bounds of the server are an outbox of 1 MiB per slow reader, and tens of MiB for everything
/// else.
const GROWTH_MAX_KIB: u64 = 256 * 1024;
const GROWTH_MAX_PER_SLOW_READER_KIB: u64 = 2 * 1024;

#[derive(Args, Debug)]
pub(crate) struct Messages {
    /// Users; each is a member of every chat.
    #[arg(long, default_value_t = 50)]
    users: usize,
    /// Sessions, spread over the users.
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Sessions that write.
    #[arg(long, default_value_t = 200)]
    senders: usize,
    #[arg(long, default_value_t = 50)]
    chats: usize,
    #[arg(long, default_value_t = 50)]
    messages_per_sender: usize,
    /// Unacknowledged messages of each sender.
    #[arg(long, default_value_t = 8)]
    in_flight: u32,
    /// Messages of all senders that not every session has received yet; 0 for no limit.
    #[arg(long, default_value_t = 256)]
    backlog: usize,
    /// Additional sessions that stop reading after Welcome.
    #[arg(long, default_value_t = 10)]
    slow_readers: usize,
}

/// All sessions, before the first message.
struct ConnectedSessions {
    run: Rc<Run>,
    readers: Vec<SessionReader>,
    writers: Vec<SessionWriter>,
    slow: Vec<(usize, TcpClient)>,
    query: Option<LargeQuery>,
    bases: Vec<(ChatId, Seq)>,
}

/// An open session.
struct Opened {
    client: TcpClient,
    heartbeat_ms: u64,
    heads: Vec<(ChatId, Seq)>,
}

impl Messages {
    /// Returns the smaller run of the scenario `slow_readers`.
    pub(crate) fn with_slow_readers(slow_readers: usize) -> Self {
        Self {
            users: 20,
            sessions: 200,
            senders: 50,
            chats: 10,
            messages_per_sender: 40,
            in_flight: 8,
            backlog: 256,
            slow_readers,
        }
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let counts = [
            ("--users", self.users),
            ("--senders", self.senders),
            ("--chats", self.chats),
            ("--messages-per-sender", self.messages_per_sender),
            ("--in-flight", usize::try_from(self.in_flight)?),
        ];
        for (name, count) in counts {
            ensure!(count > 0, "{name} must be at least 1");
        }
        ensure!(self.senders <= self.sessions, "--senders must not be more than --sessions");
        Ok(())
    }

    pub(crate) async fn run(&self, external: Option<&str>, timeout: Duration) -> anyhow::Result<Report> {
        let deadline = Instant::now() + timeout;
        let mut report = Report { title: self.title(), ..Report::default() };
        let prepare = async {
            match external {
                Some(url) => Target::external(url, self.users, self.chats).await,
                None => Target::own(self.users, self.chats).await,
            }
        };
        let mut target = tokio::time::timeout_at(deadline, prepare)
            .await
            .context("timed out while preparing users and chats")??;
        match tokio::time::timeout_at(deadline, self.connect(&target, &mut report)).await {
            Ok(Ok(sessions)) => self.drive(sessions, &target, deadline, &mut report).await,
            Ok(Err(error)) => report.errors.push(format!("connecting: {error:#}")),
            Err(_) => report.errors.push("timed out while connecting".to_owned()),
        }
        if let Some(server) = target.server.take() {
            report.row("server log", format!("{} warnings or errors", server.log_lines()));
            if let Err(error) = server.stop().await {
                report.errors.push(format!("stopping: {error:#}"));
            }
        }
        Ok(report)
    }

    fn title(&self) -> String {
        let backlog = if self.backlog == 0 { "any".to_owned() } else { self.backlog.to_string() };
        format!(
            "messages: {} users, {} sessions, {} senders of {} messages, {} chats, {} in flight each, backlog {backlog}",
            self.users, self.sessions, self.senders, self.messages_per_sender, self.chats, self.in_flight
        )
    }

    async fn connect(&self, target: &Target, report: &mut Report) -> anyhow::Result<ConnectedSessions> {
        let tokens = target.tokens.clone();
        let query = match tokens.first() {
            Some(token) if self.slow_readers > 0 => {
                Some(LargeQuery::prepare(&target.http.with_token(token)).await?)
            }
            _ => None,
        };
        let begun = Instant::now();
        let count = self.sessions + self.slow_readers;
        let open = |n: usize| {
            let token = tokens.get(n % tokens.len().max(1)).cloned();
            let tcp = target.tcp;
            async move { open(tcp, &token.context("no token")?).await }
        };
        let opened = run_bounded(count, OPENING_AT_ONCE, open).await?;
        let took = begun.elapsed();
        let per_second = rate(u64::try_from(count)?, took);
        report.row("sessions", format!("{count} connected in {} ({per_second:.0}/s)", duration(took)));

        let bases = opened.first().map(|first| first.heads.clone()).unwrap_or_default();
        ensure!(bases.len() == self.chats, "the server lists {} chats, not {}", bases.len(), self.chats);
        ensure!(opened.iter().all(|other| other.heads == bases), "the sessions have different chats");
        let mut checker = Checker::new(&bases);
        let name = |n: usize| {
            let user = target.users.get(n % target.users.len().max(1)).map_or("", String::as_str);
            format!("session {n} ({user})")
        };
        for n in 0..count {
            checker.session(name(n), n < self.sessions);
        }
        let chats = bases.iter().map(|(chat, _)| *chat).collect();
        let run = Rc::new(Run::new(chats, self.messages_per_sender, self.backlog, checker)?);
        let (mut readers, mut writers, mut slow) = (Vec::new(), Vec::new(), Vec::new());
        for (n, Opened { client, heartbeat_ms, .. }) in opened.into_iter().enumerate() {
            if n >= self.sessions {
                slow.push((n, client));
                continue;
            }
            let sending = (n < self.senders).then(|| SenderState::new(n, self.in_flight));
            let state = Rc::new(SessionState::new(n, name(n), heartbeat_ms, sending));
            let (reader, writer) = client.into_halves();
            readers.push(SessionReader { run: run.clone(), state: state.clone(), reader });
            writers.push(SessionWriter { run: run.clone(), state, writer });
        }
        Ok(ConnectedSessions { run, readers, writers, slow, query, bases })
    }

    async fn drive(
        &self,
        sessions: ConnectedSessions,
        target: &Target,
        deadline: Instant,
        report: &mut Report,
    ) {
        let ConnectedSessions { run, readers, writers, slow, query, bases } = sessions;
        let usage = || target.server.as_ref().and_then(|server| server.usage());
        // Dropped when this function returns, with every session.
        let (mut reading, mut writing) = (JoinSet::new(), JoinSet::new());
        for reader in readers {
            reading.spawn_local(reader.read_all());
        }
        for writer in writers {
            writing.spawn_local(writer.write_all());
        }
        let before = usage();
        if let Some(server) = &target.server {
            server.reset_peak();
        }
        let mut slow_readers = Vec::new();
        if let Some(query) = query {
            for (number, client) in slow {
                slow_readers.push(SlowReader::start(run.clone(), number, client, &query, &mut writing));
            }
        }
        let begun_us = run.now_us();
        let complete = self.exchange(&run, &mut reading, deadline).await;
        let after_exchange = usage();
        let mut complete = complete.map_err(|reason| report.errors.push(reason)).is_ok();
        if complete {
            let closing = self.check_end(&run, slow_readers, &bases, target, report);
            let closed = tokio::time::timeout_at(deadline, closing).await;
            let closed = closed.unwrap_or_else(|_| bail!("timed out while reading the history"));
            complete = closed.map_err(|error| report.errors.push(format!("{error:#}"))).is_ok();
        } else {
            let (unanswered, undelivered) = run.checker.borrow().outstanding();
            let outstanding =
                format!("{unanswered} messages unanswered, {undelivered} deliveries outstanding");
            report.row("aborted", outstanding);
        }
        report.errors.extend(run.errors());
        measure(&run, begun_us, report);
        self.report_cost(before, after_exchange, usage(), report);
        report.messages = run.checker.borrow().messages();
        report.faults = run.checker.borrow().verdict(complete && report.errors.is_empty());
    }

    /// Runs the sessions to the end. Returns a reason for aborting, for when nothing else reports
    /// one.
    async fn exchange(&self, run: &Run, reading: &mut JoinSet<()>, deadline: Instant) -> Result<(), String> {
        let to_the_end = async {
            run.enter(Phase::Sending);
            run.all_done(self.senders).await;
            run.enter(Phase::Finishing);
            while reading.join_next().await.is_some() {}
        };
        let broken = tokio::select! {
            biased;
            () = run.broken() => "aborted at the first error".to_owned(),
            ended = tokio::time::timeout_at(deadline, to_the_end) => match ended {
                Ok(()) => return Ok(()),
                Err(_) => "timed out before all messages were answered and delivered".to_owned(),
            },
        };
        tokio::time::sleep(SETTLE).await;
        Err(broken)
    }

    /// Checks what is complete only at the end: the slow readers and the history.
    async fn check_end(
        &self,
        run: &Rc<Run>,
        slow: Vec<SlowReader>,
        bases: &[(ChatId, Seq)],
        target: &Target,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let mut ends = Vec::new();
        for reader in slow {
            ends.push(reader.read().await?);
        }
        let count = |end| ends.iter().filter(|other| **other == end).count();
        let (limited, closed, complete) =
            (count(SlowReaderEnd::Limited), count(SlowReaderEnd::Closed), count(SlowReaderEnd::Complete));
        report.row(
            "slow readers",
            format!(
                "{}: {limited} got Limited, {closed} were closed, {complete} received everything",
                ends.len()
            ),
        );

        let (begun, http) = (Instant::now(), target.first_user()?);
        let mut read = 0_u64;
        for (chat, base) in bases {
            let (mut listed, mut after) = (Vec::new(), *base);
            loop {
                let (page, has_more) =
                    http.messages(*chat, &format!("?after_seq={after}&limit={PAGE}")).await?;
                let Some(last) = page.last() else {
                    ensure!(!has_more, "chat {chat} has more after {after}, but the page is empty");
                    break;
                };
                ensure!(last.seq > after, "chat {chat}: the page after {after} ends at {}", last.seq);
                after = last.seq;
                listed.extend(page.iter().map(|message| {
                    let key = Content::parse(&message.content).map(|content| content.key);
                    (message.seq, message.id, key)
                }));
                if !has_more {
                    break;
                }
            }
            read += u64::try_from(listed.len())?;
            run.checker.borrow_mut().history(*chat, &listed);
        }
        report.row("history", format!("{read} messages read in {}", duration(begun.elapsed())));
        Ok(())
    }

    /// Reports CPU time and memory of the server.
    fn report_cost(
        &self,
        before: Option<Usage>,
        exchanged: Option<Usage>,
        after: Option<Usage>,
        report: &mut Report,
    ) {
        let (Some(before), Some(exchanged), Some(after)) = (before, exchanged, after) else {
            return report.row("server", "CPU and memory are unknown".to_owned());
        };
        let (exchanging, total) = (exchanged.cpu.saturating_sub(before.cpu), after.cpu);
        report.row(
            "server CPU",
            format!("{} for the messages, {} in total", duration(exchanging), duration(total)),
        );
        let mib = |kib: u64| format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024);
        let states = [("before the first message", before), ("after the last", after)];
        for (name, (when, usage)) in ["server memory", ""].into_iter().zip(states) {
            let (resident, peak) = (mib(usage.resident_kib), mib(usage.peak_kib));
            report.row(name, format!("{resident} resident, {peak} peak, {when}"));
        }
        let growth = after.peak_kib.saturating_sub(before.resident_kib);
        let slow_readers = u64::try_from(self.slow_readers).unwrap_or(u64::MAX);
        let bound = GROWTH_MAX_KIB + slow_readers.saturating_mul(GROWTH_MAX_PER_SLOW_READER_KIB);
        if growth > bound {
            report.errors.push(format!("the server's memory grew by {}, above {}", mib(growth), mib(bound)));
        }
    }
}

/// Opens a session and reads the list of its chats.
async fn open(tcp: std::net::SocketAddr, token: &str) -> anyhow::Result<Opened> {
    let (mut client, welcome) = TcpClient::open(tcp, token).await?;
    let heads = |chats: &[ChatSummary]| chats.iter().map(|chat| (chat.id, chat.last_seq)).collect::<Vec<_>>();
    let (mut all, mut has_more) = (heads(welcome.chats.list()), welcome.has_more);
    while has_more {
        let last = all.last().context("an empty page of chats with has_more")?.0;
        let next = MessagePacket {
            packet_type: "GetChats".to_owned(),
            after_chat_id: Some(last),
            ..MessagePacket::default()
        };
        let more = client.request(next).await?;
        ensure!(more.chats.list().iter().all(|chat| chat.id > last), "the list of chats is not ascending");
        all.extend(heads(more.chats.list()));
        has_more = more.has_more;
    }
    Ok(Opened {
        client,
        heartbeat_ms: welcome.heartbeat_ms.context("Welcome without heartbeat_ms")?,
        heads: all,
    })
}

fn measure(run: &Run, begun_us: u64, report: &mut Report) {
    let measurements = run.measurements.borrow();
    let figures = [
        ("messages", "acknowledged", "ack latency", &measurements.ack_latency, measurements.last_ack_us),
        (
            "messages/delivery",
            "delivered",
            "delivery latency",
            &measurements.delivery_latency,
            measurements.last_delivery_us,
        ),
    ];
    for (name, counted, latency_name, latency, last_us) in figures {
        let took = between(begun_us, last_us);
        let figure = Figure::new(name, latency, rate(latency.len(), took));
        report.row(counted, format!("{} in {}: {:.0}/s", latency.len(), duration(took), figure.rate));
        report.row(latency_name, latencies(latency));
        report.figures.push(figure);
    }
    if measurements.refused > 0 {
        report.row("refused", format!("{} messages, sent again later", measurements.refused));
    }
}
