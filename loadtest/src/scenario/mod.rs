//! Scenarios: workloads for the server, and the baseline that each is compared with.
//!
//! Each file holds one scenario: its [`Plan`] and one round of it. [`compare`] runs rounds of
//! NetBit and of the floor in turn, so that a disturbance of the machine affects both.

mod clone_push;
mod cold_start;
mod compare;
mod fan_out;
mod history;
mod http;
mod idle;
mod mentions;
mod outcome;
mod ping_pong;
mod pipelined;
mod presence;
mod reconnect_storm;
mod slow_readers;

pub(crate) use clone_push::ClonePush;
pub(crate) use cold_start::ColdStart;
pub(crate) use compare::{Options, Subjects, compare, median, middle};
pub(crate) use fan_out::{DeliveryTracker, FanOut, Pace};
pub(crate) use history::History;
pub(crate) use http::{Http, Route};
pub(crate) use idle::Idle;
pub(crate) use mentions::Mentions;
pub(crate) use outcome::{Compared, Outcome};
pub(crate) use ping_pong::PingPong;
pub(crate) use pipelined::Pipelined;
pub(crate) use presence::Presence;
pub(crate) use reconnect_storm::ReconnectStorm;
pub(crate) use slow_readers::SlowReaders;

use std::time::Duration;

use crate::servers::{SeededServer, Setup};

/// The servers that a scenario needs, and the figure of it that is compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    pub(crate) compared: Compared,
    /// The name of the server that NetBit is compared with.
    pub(crate) baseline: &'static str,
    /// Whether the floor implements the scenario.
    pub(crate) has_floor: bool,
    /// Whether the scenario reads the process of the server, or needs a seeded database.
    pub(crate) needs_own_server: bool,
    /// Whether every round needs newly started servers.
    pub(crate) starts_fresh: bool,
}

impl Plan {
    /// Compares with the floor, on servers that serve all rounds.
    pub(crate) fn new(setup: Setup, compared: Compared) -> Self {
        let (has_floor, needs_own_server, starts_fresh) = (true, false, false);
        Self { setup, compared, baseline: "the floor", has_floor, needs_own_server, starts_fresh }
    }
}

/// A workload whose rounds are measured.
pub(crate) trait Scenario {
    /// Returns the name, as in `--json`.
    fn name(&self) -> String;
    fn plan(&self) -> Plan;

    /// Runs one round, of about `time` unless the scenario has a fixed amount of work.
    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome>;
}
