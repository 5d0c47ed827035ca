//! Where a scenario takes place: a server as a child process, and the people in it.

mod crowd;
mod git;
mod netbit;
mod process;
mod usage;

use std::net::SocketAddr;

use ::netbit::client::HttpClient;
use ::netbit::client::metrics::Scrape;
use anyhow::Context;

pub(crate) use crowd::crowd;
pub(crate) use git::Git;
pub(crate) use netbit::{Seed, start as start_netbit};
pub(crate) use process::{Process, end_with_parent};
pub(crate) use usage::Usage;

use crate::wire::{HttpWire, Wire};

/// The password of everybody. It protects nothing.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    NetBit,
    Floor,
}

/// What must be there before a scenario begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cast {
    pub(crate) users: usize,
    /// Chats that all users are in.
    pub(crate) shared_chats: usize,
    /// Messages that are there already, over all shared chats.
    pub(crate) messages: usize,
    /// Whether each user also has a chat that nobody else is in.
    pub(crate) own_chats: bool,
    /// How much memory windows of chats may take (`cache.max_bytes`); `None`: what the server takes by itself.
    pub(crate) cache_bytes: Option<u64>,
}

/// A server, and who is on it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) subject: Subject,
    pub(crate) process: Process,
    /// One for each user; the floor has none.
    tokens: Vec<String>,
    pub(crate) shared_chats: Vec<i64>,
    own_chats: Vec<i64>,
}

impl Stage {
    pub(crate) async fn set(subject: Subject, cast: &Cast) -> anyhow::Result<Self> {
        match subject {
            Subject::NetBit => Self::netbit(cast).await,
            Subject::Floor => Self::floor(cast).await,
        }
    }

    async fn netbit(cast: &Cast) -> anyhow::Result<Self> {
        let Cast { users, shared_chats, messages, own_chats, cache_bytes } = *cast;
        let members = if shared_chats > 0 { users } else { 1 };
        let seed = Seed { users, chats: shared_chats, members, messages, password: PASSWORD, cache_bytes };
        let (process, tokens) = start_netbit(&seed).await?;
        let http = HttpClient::new(format!("http://{}", process.addresses.http))?;
        let mut own = Vec::new();
        if own_chats {
            for token in &tokens {
                own.push(http.with_token(token).create_group("own", &[]).await?.0);
            }
        }
        Ok(Self {
            subject: Subject::NetBit,
            process,
            tokens,
            shared_chats: netbit::seeded_chats(shared_chats)?,
            own_chats: own,
        })
    }

    async fn floor(cast: &Cast) -> anyhow::Result<Self> {
        let data = process::temporary()?;
        let mut command = process::own_program(data.path())?;
        command.arg("floor-server").arg(data.path());
        let process = Process::start(command, data).await?;
        let shared_chats = netbit::seeded_chats(cast.shared_chats)?;
        let first = i64::try_from(cast.shared_chats)? + 1;
        let own_chats = if cast.own_chats { (first..).take(cast.users).collect() } else { Vec::new() };
        Ok(Self { subject: Subject::Floor, process, tokens: Vec::new(), shared_chats, own_chats })
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.process.addresses.tcp
    }

    /// How `user` says who they are, over TCP and HTTP.
    pub(crate) fn token(&self, user: usize) -> anyhow::Result<String> {
        if self.subject == Subject::NetBit {
            return self.tokens.get(user % self.tokens.len().max(1)).cloned().context("there is nobody");
        }
        let own = self.own_chats.get(user % self.own_chats.len().max(1));
        let chats: Vec<_> = self.shared_chats.iter().chain(own).map(ToString::to_string).collect();
        Ok(chats.join(","))
    }

    /// A session of `user`.
    pub(crate) async fn open(&self, user: usize) -> anyhow::Result<Wire> {
        Wire::open(self.tcp(), &self.token(user)?).await
    }

    /// The chat that `user` has alone.
    pub(crate) fn own_chat(&self, user: usize) -> anyhow::Result<i64> {
        self.own_chats.get(user).copied().context("nobody has a chat of their own here")
    }

    pub(crate) fn first_chat(&self) -> anyhow::Result<i64> {
        self.shared_chats.first().copied().context("there is no chat")
    }

    /// What the server says of itself; the floor says nothing.
    pub(crate) async fn scrape(&self) -> anyhow::Result<Option<Scrape>> {
        if self.subject == Subject::Floor {
            return Ok(None);
        }
        let mut http = HttpWire::connect(self.process.addresses.ops).await?;
        let text = http.ask(&HttpWire::request("GET", "/metrics", "", None)).await?;
        Ok(Some(Scrape::parse(std::str::from_utf8(text)?)))
    }
}
