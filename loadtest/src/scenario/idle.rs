//! Idle sessions: the memory of each, and the rate of connecting.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup};
use crate::wire::{PacketView, TcpConnection, ping};

/// Connections that are opened concurrently.
const OPENING_AT_ONCE: usize = 64;
/// Sessions of each user.
const SESSIONS_PER_USER: usize = 20;
/// Time for the server to release the memory that only connecting needs.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) sessions: usize,
}

impl Scenario for Idle {
    fn name(&self) -> String {
        format!("idle/{}", self.sessions)
    }

    fn plan(&self) -> Plan {
        Plan {
            needs_own_server: true,
            // The next round would reuse memory that an earlier round has released.
            starts_fresh: true,
            ..Plan::new(
                Setup {
                    users: self.sessions.div_ceil(SESSIONS_PER_USER),
                    shared_chats: 1,
                    ..Setup::default()
                },
                Compared::Bytes,
            )
        }
    }

    async fn round(&self, server: &SeededServer, _: Duration) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::new()?;
        let before = server.memory()?.resident_kib;
        outcome.begin();
        let mut connections = connect_users(server, self.sessions, SESSIONS_PER_USER, &mut outcome).await?;
        let took = outcome.within;
        tokio::time::sleep(SETTLE).await;
        let after = server.memory()?.resident_kib;
        // Each session must still answer.
        let ask = ping(2)?;
        for connection in &mut connections {
            connection.send(&ask).await?;
        }
        for connection in &mut connections {
            // A `Presence` may precede the `Pong`.
            while PacketView::of(connection.frame().await?)?.packet_type != "Pong" {}
        }
        let bytes = u32::try_from((after.saturating_sub(before)) * 1024).unwrap_or(u32::MAX);
        outcome.bytes_each = Some(f64::from(bytes) / f64::from(u32::try_from(self.sessions)?));
        outcome.notes.push(format!("{} sessions connected in {:.2} s", self.sessions, took.as_secs_f64()));
        Ok(outcome)
    }
}

/// Opens sessions with bounded concurrency; each counts when it has received its `Welcome`.
pub(super) async fn connect_users(
    server: &SeededServer,
    count: usize,
    sessions_per_user: usize,
    outcome: &mut Outcome,
) -> anyhow::Result<Vec<TcpConnection>> {
    let (mut connections, mut opening) = (Vec::with_capacity(count), JoinSet::new());
    let mut next = 0;
    loop {
        while next < count && opening.len() < OPENING_AT_ONCE {
            let (tcp, token) = (server.tcp(), server.token(next / sessions_per_user)?);
            opening.spawn_local(async move {
                let begun = Instant::now();
                let mut connection = TcpConnection::open(tcp, &token).await?;
                connection.release_buffer();
                Ok::<_, anyhow::Error>((connection, begun.elapsed()))
            });
            next += 1;
        }
        let Some(opened) = opening.join_next().await else { return Ok(connections) };
        let (connection, took) = opened??;
        outcome.took(took);
        outcome.done(1);
        connections.push(connection);
    }
}
