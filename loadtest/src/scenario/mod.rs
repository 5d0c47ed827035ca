//! Scenarios: what the server is put through, and against what it is held.
//!
//! Each is one file: the cast that it needs, one round of it, and which of its figures is compared. [`compare`] runs the
//! rounds, NetBit's and the floor's in turn, so that what disturbs one disturbs the other too.

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

/// One thing that is measured.
pub(crate) trait Scenario {
    /// As in `--json`.
    fn name(&self) -> String;
    fn setup(&self) -> Setup;
    fn compared(&self) -> Compared;

    /// What it is held against.
    fn baseline(&self) -> &'static str {
        "the floor"
    }

    /// Whether the floor does this at all.
    fn has_floor(&self) -> bool {
        true
    }

    /// Whether it looks at the process, or needs a database that was filled before.
    fn needs_own_server(&self) -> bool {
        false
    }

    /// Whether every round needs servers that have done nothing before.
    fn starts_fresh(&self) -> bool {
        false
    }

    /// Runs once, for about `time` where the scenario does not say how much is to be done.
    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome>;
}
