//! The command line, and the scenarios that each subcommand runs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use indicatif::ProgressBar;

use crate::messages::Messages;
use crate::redis::{self, RedisComparison};
use crate::report::Summary;
use crate::scenario::{
    ClonePush, ColdStart, FanOut, History, Http, Idle, Mentions, Options, Pace, PingPong, Pipelined,
    Presence, ReconnectStorm, Route, SlowReaders, Subjects, compare,
};
use crate::team::Team;
use crate::wire::ClientIdKind;

/// Drives a NetBit server, measures it, and fails on a lost, doubled or reordered message.
#[derive(Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Many sessions in the same chats: some write, all read all messages.
    Messages(MessagesArguments),
    #[command(flatten)]
    Scenario(ScenarioCommand),
    /// Runs the command line of NetBit: the server as a child process.
    #[command(hide = true)]
    Server {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Runs the floor as a child process.
    #[command(hide = true)]
    FloorServer { directory: PathBuf },
}

#[derive(Subcommand)]
#[command(rename_all = "snake_case")]
pub(crate) enum ScenarioCommand {
    /// One sender that waits for each acknowledgement.
    PingPong(Measure),
    /// 50 connections with 16 messages in flight each.
    Pipelined(Measure),
    /// One chat of 200 and of 1,000 members, at full speed and at 10 messages a second.
    FanOut(Measure),
    /// 1,000, 5,000 and 10,000 idle sessions.
    Idle(Measure),
    /// 32 clients that read the last 50 messages over TCP.
    History(Measure),
    /// GET and POST over HTTP.
    Http(Measure),
    /// One session sends `@all` in a chat of 200 while another user writes in another chat.
    Mentions(Measure),
    /// 1,000 sessions are disconnected at once and reconnect.
    ReconnectStorm(Measure),
    /// Pings over UDP.
    Presence(Measure),
    /// The cost of a message as the numbers of chats and messages grow.
    Growth(Measure),
    /// A server with 10,000 chats and 1,000,000 messages, from its start to its first answer.
    ColdStart(Measure),
    /// Some of the sessions of many chats stop reading.
    SlowReaders(Measure),
    /// Clones and pushes by the git command, in parallel.
    ClonePush(Measure),
    /// A working day of 1,000 users over TCP, WebSocket, HTTP, UDP and git; takes ten times as long
    /// as a round.
    Team(Measure),
    /// `pipelined` and `fan_out` compared with Redis (`appendfsync always`); needs redis-server in
    /// PATH.
    Redis(Measure),
    /// The floor alone, in every scenario that it implements.
    Floor(Measure),
    /// All scenarios except `growth` and `redis`.
    All(Measure),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Measure {
    /// Rounds of each scenario; the report shows the median round.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Duration of each round in milliseconds, for scenarios without a fixed amount of work.
    #[arg(long, default_value_t = 3000)]
    time_ms: u64,
    /// Run one short round of each scenario, and no large ones.
    #[arg(long)]
    quick: bool,
    /// Do not measure the floor.
    #[arg(long)]
    no_floor: bool,
    /// Drive this server (like http://127.0.0.1:8080, on this machine only) instead of starting
    /// one. It should run without rate limits (NETBIT_LIMITS__RATES=false).
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Fail if one scenario takes longer than this many seconds.
    #[arg(long, default_value_t = 900)]
    timeout: u64,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Also draw the latencies and the throughput over time into this file.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct MessagesArguments {
    #[command(flatten)]
    pub(crate) load: Messages,
    /// Fail after this many seconds.
    #[arg(long, default_value_t = 300)]
    pub(crate) timeout: u64,
    /// Drive this server (like http://127.0.0.1:8080, on this machine only) instead of starting
    /// one.
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Duration of a round with `--quick`.
const QUICK: Duration = Duration::from_millis(500);

impl ScenarioCommand {
    pub(crate) fn options(&self) -> Options<'_> {
        let measure = self.measure();
        let (rounds, time) = if measure.quick {
            (1, QUICK)
        } else {
            (measure.rounds.max(1), Duration::from_millis(measure.time_ms))
        };
        let subjects = match self {
            Self::Floor(_) => Subjects::Floor,
            _ if measure.no_floor => Subjects::NetBit,
            _ => Subjects::Both,
        };
        Options {
            rounds,
            time,
            subjects,
            server: measure.server.as_deref(),
            timeout: Duration::from_secs(measure.timeout),
        }
    }

    pub(crate) fn measure(&self) -> &Measure {
        match self {
            Self::PingPong(measure)
            | Self::Pipelined(measure)
            | Self::FanOut(measure)
            | Self::Idle(measure)
            | Self::History(measure)
            | Self::Http(measure)
            | Self::Mentions(measure)
            | Self::ReconnectStorm(measure)
            | Self::Presence(measure)
            | Self::Growth(measure)
            | Self::ColdStart(measure)
            | Self::SlowReaders(measure)
            | Self::ClonePush(measure)
            | Self::Team(measure)
            | Self::Redis(measure)
            | Self::Floor(measure)
            | Self::All(measure) => measure,
        }
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        match self {
            Self::PingPong(_) => vec!["ping_pong"],
            Self::Pipelined(_) => vec!["pipelined"],
            Self::FanOut(_) => vec!["fan_out"],
            Self::Idle(_) => vec!["idle"],
            Self::History(_) => vec!["history"],
            Self::Http(_) => vec!["http"],
            Self::Mentions(_) => vec!["mentions"],
            Self::ReconnectStorm(_) => vec!["reconnect_storm"],
            Self::Presence(_) => vec!["presence"],
            Self::Growth(_) => vec!["growth"],
            Self::ColdStart(_) => vec!["cold_start"],
            Self::SlowReaders(_) => vec!["slow_readers"],
            Self::ClonePush(_) => vec!["clone_push"],
            Self::Team(_) => vec!["team"],
            Self::Redis(_) => vec!["redis"],
            Self::Floor(_) | Self::All(_) => vec![
                "ping_pong",
                "pipelined",
                "fan_out",
                "idle",
                "history",
                "http",
                "mentions",
                "reconnect_storm",
                "presence",
                "cold_start",
                "slow_readers",
                "clone_push",
                "team",
            ],
        }
    }
}

/// Runs the scenarios that `name` stands for, and prints each summary when it is complete.
pub(crate) async fn run(
    name: &str,
    measure: &Measure,
    options: Options<'_>,
    progress: &ProgressBar,
) -> anyhow::Result<Vec<Summary>> {
    let mut summaries = Vec::new();
    macro_rules! run {
        ($($scenario:expr),* $(,)?) => {{ $(
            if let Some(summary) = compare(&$scenario, options, progress).await? {
                progress.suspend(|| print!("{summary}"));
                summaries.push(summary);
            }
        )* }};
    }
    match name {
        "ping_pong" => run!(PingPong),
        "pipelined" => {
            run!(
                Pipelined::default(),
                Pipelined { client_ids: ClientIdKind::Random, ..Pipelined::default() }
            );
            if !measure.quick {
                run!(Pipelined { rows: 5_000_000, ..Pipelined::default() });
            }
        }
        "fan_out" => {
            let sizes: &[usize] = if measure.quick { &[200] } else { &[200, 1_000] };
            for members in sizes.iter().copied() {
                run!(FanOut { members, pace: Pace::Blast }, FanOut { members, pace: Pace::PerSecond(10) },);
            }
        }
        "idle" => {
            let sizes: &[usize] = if measure.quick { &[1_000] } else { &[1_000, 5_000, 10_000] };
            for sessions in sizes.iter().copied() {
                run!(Idle { sessions });
            }
        }
        "history" => run!(History { clients: 32 }),
        "http" => run!(
            Http { route: Route::Messages, clients: 32 },
            Http { route: Route::Chats, clients: 32 },
            Http { route: Route::Post, clients: 32 },
        ),
        "mentions" => run!(Mentions { messages: if measure.quick { 40 } else { 400 } }),
        "reconnect_storm" => run!(ReconnectStorm { sessions: if measure.quick { 200 } else { 1_000 } }),
        "presence" => run!(Presence),
        "cold_start" if measure.quick => run!(ColdStart { chats: 100, messages: 10_000 }),
        "cold_start" => run!(ColdStart { chats: 10_000, messages: 1_000_000 }),
        "slow_readers" => run!(SlowReaders { slow: if measure.quick { 4 } else { 50 } }),
        "clone_push" => run!(ClonePush { megabytes: if measure.quick { 1 } else { 20 } }),
        "redis" if !redis::is_installed() => eprintln!("skipped: redis-server is not in PATH"),
        "redis" => run!(RedisComparison::Pipelined, RedisComparison::FanOut { members: 1_000 }),
        "team" => run!(Team { users: if measure.quick { 100 } else { 1_000 } }),
        "growth" => {
            for (chats, rows) in
                [(10, 0), (1_000, 0), (10_000, 0), (10, 1_000), (10, 100_000), (10, 1_000_000)]
            {
                run!(Pipelined { chats, rows, ..Pipelined::default() });
            }
        }
        other => bail!("unknown scenario {other}"),
    }
    Ok(summaries)
}
