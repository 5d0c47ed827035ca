//! Starts a server on a full database: time until it is ready, and memory for each cached message.

use std::time::{Duration, Instant};

use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup, Subject};
use crate::wire::{PacketView, page};

/// Users, all members of every chat.
const USERS: usize = 10;
/// Chats whose newest page is read, spread over all chats.
const CHATS_READ: usize = 20;
/// Large enough to cache every message, so that the number of cached messages is known.
const CACHE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Messages in a page.
const PAGE: u16 = 50;

#[derive(Debug)]
pub(crate) struct ColdStart {
    pub(crate) chats: usize,
    /// Messages over all chats; at most the size of a window in each.
    pub(crate) messages: usize,
}

impl Scenario for ColdStart {
    fn name(&self) -> String {
        format!("cold_start/{}", self.messages)
    }

    fn plan(&self) -> Plan {
        let setup = Setup {
            users: USERS,
            shared_chats: self.chats,
            messages: self.messages,
            cache_bytes: Some(CACHE_BYTES),
            ..Setup::default()
        };
        Plan {
            has_floor: false,
            needs_own_server: true,
            starts_fresh: true,
            ..Plan::new(setup, Compared::Bytes)
        }
    }

    async fn round(&self, server: &SeededServer, _: Duration) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::new()?;
        let full = server.memory()?.resident_kib;
        outcome.begin();
        let mut connection = server.open(0).await?;
        let in_each = self.messages / self.chats;
        for chat in server.shared_chats.iter().step_by(self.chats.div_ceil(CHATS_READ)) {
            let asked = Instant::now();
            connection.send(&page(*chat, None, PAGE)?).await?;
            let view = loop {
                let view = PacketView::of(connection.frame().await?)?;
                if view.packet_type == "Messages" {
                    break view;
                }
            };
            outcome.took(asked.elapsed());
            outcome.done(1);
            let seqs: Vec<_> = view.messages.iter().filter_map(|message| message.seq).collect();
            let dense = seqs.windows(2).all(|two| matches!(two, [one, next] if one + 1 == *next));
            let whole = seqs.len() == in_each.min(usize::from(PAGE)) && seqs.last().copied() == view.as_of;
            outcome.check(dense && whole, || format!("the newest page of chat {chat} is {seqs:?}"));
        }
        let empty =
            SeededServer::start(Subject::NetBit, &Setup { users: 1, ..Setup::default() }, None).await?;
        let fresh = empty.memory()?.resident_kib;
        let (ready, ready_empty) = (server.process()?.ready_after, empty.process()?.ready_after);
        for error in empty.end().await {
            outcome.wrong(|| error);
        }
        let bytes = u32::try_from(full.saturating_sub(fresh)).map(f64::from)? * 1024.0;
        outcome.bytes_each = Some(bytes / f64::from(u32::try_from(self.messages)?));
        outcome.notes.push(format!("ready after {:.2} s, {} MiB resident", ready.as_secs_f64(), full / 1024));
        outcome.notes.push(format!(
            "empty: ready after {:.2} s, {:.1} MiB resident",
            ready_empty.as_secs_f64(),
            f64::from(u32::try_from(fresh)?) / 1024.0
        ));
        Ok(outcome)
    }
}
