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

use crate::scenario::{Compared, Outcome, Scenario};
use crate::servers::{SeededServer, Setup};
use arrivals::Arrivals;
use scenario::TeamRun;
use stats::Deed;

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
const MIX: [(Deed, Rate); 11] = [
    (Deed::Say, Rate::Each(0.08)),
    (Deed::Page, Rate::Each(0.04)),
    (Deed::Mark, Rate::Each(0.06)),
    (Deed::Typing, Rate::Each(0.04)),
    (Deed::GetChats, Rate::Each(0.02)),
    (Deed::GetMessages, Rate::Each(0.04)),
    (Deed::Post, Rate::Each(0.01)),
    (Deed::Intrude, Rate::All(1.0)),
    (Deed::Ping, Rate::Each(0.04)),
    (Deed::Clone, Rate::All(0.5)),
    (Deed::Push, Rate::All(0.25)),
];
impl Scenario for Team {
    fn name(&self) -> String {
        format!("team/{}", self.users)
    }

    fn setup(&self) -> Setup {
        Setup { users: self.users + 1, shared_chats: 1, ..Setup::default() }
    }

    fn compared(&self) -> Compared {
        Compared::Tail
    }

    /// It knows no WebSocket, no rights and no git.
    fn has_floor(&self) -> bool {
        false
    }

    fn starts_fresh(&self) -> bool {
        true
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let run = Rc::new(TeamRun::begin(server, self.users).await?);
        tokio::time::sleep(SETTLE).await;
        let begun = Instant::now();
        run.stats.outcome.borrow_mut().begin();
        let mut kinds = JoinSet::new();
        for ((deed, rate), seed) in MIX.into_iter().zip(1..) {
            let rate = match rate {
                Rate::Each(each) => each * f64::from(u32::try_from(self.users)?),
                Rate::All(all) => all,
            };
            kinds.spawn_local(run.clone().keep_doing(
                deed,
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
