//! One sender that waits for each acknowledgement: the latency that a user notices.

use std::time::{Duration, Instant};

use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup};
use crate::wire::{ClientIdKind, MessageTemplate, PacketView};

#[derive(Debug)]
pub(crate) struct PingPong;

/// Messages before measuring begins.
const WARM_UP: u64 = 50;

impl Scenario for PingPong {
    fn name(&self) -> String {
        "ping_pong".to_owned()
    }

    fn plan(&self) -> Plan {
        Plan::new(Setup { users: 1, own_chats: true, ..Setup::default() }, Compared::Median)
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let mut connection = server.open(0).await?;
        let mut template = MessageTemplate::new(0, server.own_chat(0)?, ClientIdKind::Ordered)?;
        let (mut outcome, mut out) = (Outcome::new()?, Vec::new());
        let (mut number, mut last_seq) = (0, None);
        outcome.begin();
        let end = Instant::now() + time;
        while Instant::now() < end {
            number += 1;
            out.clear();
            template.append(number, &mut out);
            let sent = Instant::now();
            connection.send(&out).await?;
            loop {
                let view = PacketView::of(connection.frame().await?)?;
                if view.request_id != Some(number) {
                    // The event of the own message.
                    continue;
                }
                outcome.check(view.is_fresh_ack(), || format!("message {number} is answered by {view:?}"));
                outcome.check(last_seq.is_none_or(|last| view.seq == Some(last + 1)), || {
                    format!("message {number} has seq {:?} after {last_seq:?}", view.seq)
                });
                last_seq = view.seq;
                break;
            }
            if number == WARM_UP {
                outcome.begin();
            } else if number > WARM_UP {
                outcome.took(sent.elapsed());
                outcome.done(1);
            }
        }
        Ok(outcome)
    }
}
