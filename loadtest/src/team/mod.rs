//! A team's day: a thousand people in teams of twenty and one chat of everybody, over TCP, WebSocket, HTTP and UDP, with
//! git beside it.
//!
//! Everything is due at the times of a Poisson process and its latency counts from then, whether what came before is
//! done or not. Every session checks what it hears against what all others hear ([`talk`]); in the end everybody has
//! everything, what was pushed is there, and whoever asked for a chat of others was refused.

mod arrivals;
mod member;
mod scenario;
mod stats;
mod transcript;
mod transport;

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::scenario::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup};
use arrivals::Arrivals;
use scenario::TeamRun;
use stats::Operation;

/// A day goes on for so many times as long as another scenario's round: what happens here happens seldom.
const TIMES: u32 = 10;
/// Everybody is told who has come; what is measured begins behind that.
const SETTLE: Duration = Duration::from_secs(2);
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) users: usize,
}

/// How often something is done in a second, by each user or by all.
#[derive(Clone, Copy)]
enum Rate {
    Each(f64),
    All(f64),
}

/// What is done, and how often: a message of each every twelve seconds, and what goes with it.
const MIX: [(Operation, Rate); 11] = [
    (Operation::Say, Rate::Each(0.08)),
    (Operation::Page, Rate::Each(0.04)),
    (Operation::Mark, Rate::Each(0.06)),
    (Operation::Typing, Rate::Each(0.04)),
    (Operation::GetChats, Rate::Each(0.02)),
    (Operation::GetMessages, Rate::Each(0.04)),
    (Operation::Post, Rate::Each(0.01)),
    (Operation::Intrude, Rate::All(1.0)),
    (Operation::Ping, Rate::Each(0.04)),
    (Operation::Clone, Rate::All(0.5)),
    (Operation::Push, Rate::All(0.25)),
];
impl Scenario for Team {
    fn name(&self) -> String {
        format!("team/{}", self.users)
    }

    fn plan(&self) -> Plan {
        Plan {
            // It knows no WebSocket, no rights and no git.
            has_floor: false,
            starts_fresh: true,
            ..Plan::new(Setup { users: self.users + 1, shared_chats: 1, ..Setup::default() }, Compared::Tail)
        }
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let run = Rc::new(TeamRun::begin(server, self.users).await?);
        tokio::time::sleep(SETTLE).await;
        let begun = Instant::now();
        run.stats.outcome.borrow_mut().begin();
        let mut kinds = JoinSet::new();
        for ((operation, rate), seed) in MIX.into_iter().zip(1..) {
            let rate = match rate {
                Rate::Each(each) => each * f64::from(u32::try_from(self.users)?),
                Rate::All(all) => all,
            };
            kinds.spawn_local(run.clone().repeat(
                operation,
                Arrivals::new(seed, rate, begun),
                begun + time * TIMES,
            ));
        }
        while let Some(done) = kinds.join_next().await {
            done??;
        }
        run.end().await
    }
}
