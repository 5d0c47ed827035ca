//! One session sends `@all` repeatedly in a chat of 200, while another user writes in another chat.
//!
//! The other user waits hardly longer than next to plain messages, and each member gets exactly one
//! notification per message.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use netbit::client::HttpClient;
use serde_json::Value;

use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup};
use crate::wire::{ClientIdKind, MessageTemplate, PacketView, TcpConnection};

/// Members of the chat, including the sender.
const MEMBERS: usize = 200;
/// Unacknowledged messages of the sender: the window of the server.
const IN_FLIGHT: u64 = 64;
/// Time limit for the notifications of a member, far longer than they take.
const NOTIFIED_WITHIN: Duration = Duration::from_secs(120);
/// Notifications that the server keeps for each user.
const KEPT: u64 = 400;

#[derive(Debug)]
pub(crate) struct Mentions {
    /// At most the number of notifications that the server keeps for a user.
    pub(crate) messages: u64,
}

impl Scenario for Mentions {
    fn name(&self) -> String {
        format!("mentions/{}", self.messages)
    }

    fn plan(&self) -> Plan {
        Plan {
            // The floor has no notifications.
            has_floor: false,
            ..Plan::new(
                Setup { users: MEMBERS, shared_chats: 1, own_chats: true, ..Setup::default() },
                Compared::Median,
            )
        }
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        ensure!(self.messages <= KEPT, "the server keeps {KEPT} notifications of a user");
        let chat = server.first_chat()?;
        let mut outcome = Outcome::new()?;
        let mut sender = MentionSender { connection: server.open(0).await?, number: 0, seqs: HashSet::new() };

        let plain = MessageTemplate::new(0, chat, ClientIdKind::Ordered)?;
        let other = ConcurrentUser::start(server).await?;
        let end = Instant::now() + time;
        while Instant::now() < end {
            sender.send_messages(plain.clone(), self.messages, &mut outcome).await?;
        }
        let latencies_plain = other.stop().await?;

        let mentioning = plain.mentioning_all();
        let other = ConcurrentUser::start(server).await?;
        sender.seqs.clear();
        outcome.begin();
        let begun = Instant::now();
        sender.send_messages(mentioning, self.messages, &mut outcome).await?;
        let acknowledged_in = begun.elapsed();
        notified(server, MEMBERS - 1, &sender.seqs).await.context("the last member")?;
        let notified_in = begun.elapsed();
        let latencies_mentioning = other.stop().await?;
        for latency in &latencies_mentioning {
            outcome.took(*latency);
            outcome.done(1);
        }
        for member in 1..MEMBERS {
            if let Err(error) = notified(server, member, &sender.seqs).await {
                outcome.wrong(|| format!("member {member}: {error:#}"));
            }
        }
        let (plain, mentioning) = (median_us(latencies_plain), median_us(latencies_mentioning));
        outcome.notes.push(format!(
            "p50 of the other user: {plain:.0} us next to plain messages, {mentioning:.0} us next to @all: {:.2} times",
            mentioning / plain
        ));
        outcome.notes.push(format!(
            "{} messages acknowledged in {acknowledged_in:.1?}, {} notifications written in {notified_in:.1?}",
            self.messages,
            self.messages * u64::try_from(MEMBERS - 1)?,
        ));
        Ok(outcome)
    }
}

struct MentionSender {
    connection: TcpConnection,
    number: u64,
    /// The seqs of the acknowledged messages.
    seqs: HashSet<i64>,
}

impl MentionSender {
    /// Sends `count` messages with a full window, and waits for all acknowledgements.
    async fn send_messages(
        &mut self,
        mut template: MessageTemplate,
        count: u64,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let (first, last) = (self.number, self.number + count);
        let (mut answered, mut out) = (first, Vec::new());
        while answered < last {
            out.clear();
            while self.number < last && self.number - answered < IN_FLIGHT {
                self.number += 1;
                template.append(self.number, &mut out);
            }
            self.connection.send(&out).await?;
            let view = PacketView::of(self.connection.frame().await?)?;
            if view.packet_type == "Ack" {
                outcome.check(view.is_fresh_ack(), || format!("a message is answered by {view:?}"));
                self.seqs.extend(view.seq);
                answered += 1;
            }
        }
        Ok(())
    }
}

/// A user who sends one message at a time in a chat without other members.
struct ConcurrentUser {
    stopped: Rc<Cell<bool>>,
    task: tokio::task::JoinHandle<anyhow::Result<Vec<Duration>>>,
}

impl ConcurrentUser {
    async fn start(server: &SeededServer) -> anyhow::Result<Self> {
        let user = MEMBERS - 1;
        let mut connection = server.open(user).await?;
        let mut template = MessageTemplate::new(1, server.own_chat(user)?, ClientIdKind::Ordered)?;
        let stopped = Rc::new(Cell::new(false));
        let until = stopped.clone();
        let task = tokio::task::spawn_local(async move {
            let (mut latencies, mut out, mut number) = (Vec::new(), Vec::new(), 0);
            while !until.get() {
                number += 1;
                out.clear();
                template.append(number, &mut out);
                let sent = Instant::now();
                connection.send(&out).await?;
                while PacketView::of(connection.frame().await?)?.request_id != Some(number) {}
                latencies.push(sent.elapsed());
            }
            Ok(latencies)
        });
        Ok(Self { stopped, task })
    }

    async fn stop(self) -> anyhow::Result<Vec<Duration>> {
        self.stopped.set(true);
        self.task.await?
    }
}

/// Waits until a member has one notification for each of these messages.
///
/// # Errors
/// The list is not complete in time, or holds a notification twice.
async fn notified(server: &SeededServer, member: usize, seqs: &HashSet<i64>) -> anyhow::Result<()> {
    let http = HttpClient::new(format!("http://{}", server.http))?.with_token(&server.token(member)?);
    let begun = Instant::now();
    loop {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        while found.len() < seqs.len() {
            let page = http.get(&format!("/api/notifications?limit=100{cursor}")).await?;
            ensure!(page.status == 200, "the list was answered with {}", page.status);
            let items = page.body.get("items").and_then(Value::as_array).context("a list without items")?;
            found.extend(items.iter().filter_map(|item| item.get("seq")?.as_i64()));
            let Some(next) = page.body.get("next").and_then(Value::as_str) else { break };
            cursor = format!("&cursor={next}");
        }
        found.truncate(seqs.len());
        let distinct: HashSet<_> = found.iter().copied().collect();
        if distinct == *seqs {
            return Ok(());
        }
        ensure!(begun.elapsed() < NOTIFIED_WITHIN, "{} of {} notifications", distinct.len(), seqs.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn median_us(mut latencies: Vec<Duration>) -> f64 {
    latencies.sort_unstable();
    latencies.get(latencies.len() / 2).map_or(f64::NAN, |middle| middle.as_secs_f64() * 1e6)
}
