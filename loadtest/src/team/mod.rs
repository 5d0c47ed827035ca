//! A working day of a team: a thousand users in teams of twenty, plus one chat of all users, over
//! TCP, WebSocket, HTTP, UDP and git.
//!
//! Operations are due at the times of a Poisson process, whether earlier ones have completed or
//! not. Latencies count from the due time. Every session compares its events with those of all
//! others ([`transcript`]). At the end all sessions have all events, the server lists all pushes,
//! and every request for a chat of another team was refused.

mod arrivals;
mod scenario;
mod session;
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

/// Length in rounds of other scenarios: operations of this scenario are rare.
const TIMES: u32 = 10;
/// The server announces new sessions to all users. Measuring begins later.
const SETTLE: Duration = Duration::from_secs(2);
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) users: usize,
}

/// The rate of an operation per second, for each user or for all together.
#[derive(Clone, Copy)]
enum Rate {
    Each(f64),
    All(f64),
}

/// The operations and their rates: each user sends a message about every twelve seconds.
const MIX: [(Operation, Rate); 11] = [
    (Operation::Send, Rate::Each(0.08)),
    (Operation::Page, Rate::Each(0.04)),
    (Operation::Mark, Rate::Each(0.06)),
    (Operation::Typing, Rate::Each(0.04)),
    (Operation::GetChats, Rate::Each(0.02)),
    (Operation::GetMessages, Rate::Each(0.04)),
    (Operation::Post, Rate::Each(0.01)),
    (Operation::GetForeignMessages, Rate::All(1.0)),
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
            // The floor has no WebSocket, no permissions and no git.
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
