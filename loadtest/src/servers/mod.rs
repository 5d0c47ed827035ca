//! The servers of a scenario: child processes or an external server, with users and chats.

mod external;
mod git;
mod netbit;
mod process;
mod run_bounded;
mod usage;

use std::net::SocketAddr;

use ::netbit::client::HttpClient;
use ::netbit::client::metrics::Scrape;
use anyhow::{Context, ensure};

pub(crate) use external::{ExternalServer, retry_while_busy};
pub(crate) use git::Git;
pub(crate) use netbit::{Seed, start as start_netbit};
pub(crate) use process::{Addresses, Process, exit_with_parent};
pub(crate) use run_bounded::run_bounded;
pub(crate) use usage::Usage;

use crate::wire::{HttpConnection, TcpConnection};

/// The password of all users. It protects nothing.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The measured server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    NetBit,
    Floor,
}

/// The users, chats and messages that a scenario needs before its first round.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup {
    pub(crate) users: usize,
    /// Chats of which all users are members.
    pub(crate) shared_chats: usize,
    /// Seeded messages, over all shared chats.
    pub(crate) messages: usize,
    /// Whether each user also has a chat without other members.
    pub(crate) own_chats: bool,
    /// Memory for chat windows (`cache.max_bytes`); `None` for the default of the server.
    pub(crate) cache_bytes: Option<u64>,
}

/// A server with its users, tokens and chats.
#[derive(Debug)]
pub(crate) struct SeededServer {
    pub(crate) subject: Subject,
    /// `None` for an external server, of which only the addresses are known.
    process: Option<Process>,
    pub(crate) http: SocketAddr,
    tcp: SocketAddr,
    /// One token for each user; the floor has none.
    tokens: Vec<String>,
    users: Vec<String>,
    pub(crate) shared_chats: Vec<i64>,
    own_chats: Vec<i64>,
}

impl SeededServer {
    /// Starts a server and seeds it; on an external server, creates new users and chats.
    pub(crate) async fn start(
        subject: Subject,
        setup: &Setup,
        external: Option<&str>,
    ) -> anyhow::Result<Self> {
        match (subject, external) {
            (Subject::NetBit, None) => Self::netbit(setup).await,
            (Subject::NetBit, Some(url)) => Self::external(url, setup).await,
            (Subject::Floor, _) => Self::floor(setup).await,
        }
    }

    async fn netbit(setup: &Setup) -> anyhow::Result<Self> {
        let Setup { users, shared_chats, messages, own_chats, cache_bytes } = *setup;
        let members = if shared_chats > 0 { users } else { 1 };
        let seed = Seed { users, chats: shared_chats, members, messages, password: PASSWORD, cache_bytes };
        let (process, tokens) = start_netbit(&seed).await?;
        let Addresses { http, tcp, .. } = process.addresses;
        Ok(Self {
            subject: Subject::NetBit,
            http,
            tcp,
            process: Some(process),
            users: (0..users).map(|n| format!("u{n}")).collect(),
            shared_chats: netbit::seeded_chats(shared_chats)?,
            own_chats: if own_chats { make_own_chats(http, &tokens).await? } else { Vec::new() },
            tokens,
        })
    }

    async fn external(url: &str, setup: &Setup) -> anyhow::Result<Self> {
        ensure!(setup.messages == 0, "seeded messages need a server that the load test starts");
        let ExternalServer { http, tcp, users, tokens, chats } =
            ExternalServer::prepare(url, setup.users, setup.shared_chats).await?;
        let own_chats = if setup.own_chats { make_own_chats(http, &tokens).await? } else { Vec::new() };
        let (subject, process) = (Subject::NetBit, None);
        Ok(Self { subject, process, http, tcp, tokens, users, shared_chats: chats, own_chats })
    }

    async fn floor(setup: &Setup) -> anyhow::Result<Self> {
        let data = process::temporary()?;
        let mut command = process::own_executable(data.path())?;
        command.arg("floor-server").arg(data.path());
        let process = Process::start(command, data).await?;
        let Addresses { http, tcp, .. } = process.addresses;
        let shared_chats = netbit::seeded_chats(setup.shared_chats)?;
        let first = i64::try_from(setup.shared_chats)? + 1;
        let own_chats = if setup.own_chats { (first..).take(setup.users).collect() } else { Vec::new() };
        let (tokens, users) = (Vec::new(), Vec::new());
        Ok(Self {
            subject: Subject::Floor,
            process: Some(process),
            http,
            tcp,
            tokens,
            users,
            shared_chats,
            own_chats,
        })
    }

    /// Returns the process of the server.
    ///
    /// # Errors
    /// The server is external.
    pub(crate) fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("this needs a server that the load test starts")
    }

    /// Returns the usage of the server so far; `None` for an external server.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.process.as_ref()?.usage()
    }

    /// Returns the usage of a server whose memory the scenario measures.
    pub(crate) fn memory(&self) -> anyhow::Result<Usage> {
        self.process()?.usage().context("cannot read the memory of the server from /proc")
    }

    /// Stops the server; returns the warnings and errors that it reported.
    pub(crate) async fn end(self) -> Vec<String> {
        let (mut errors, Some(process)) = (Vec::new(), self.process) else { return Vec::new() };
        if process.log_lines() > 0 {
            errors.push(format!("the server logged {} warnings or errors", process.log_lines()));
        }
        // The floor needs no orderly shutdown: it is killed on drop.
        if self.subject == Subject::NetBit
            && let Err(error) = process.stop().await
        {
            errors.push(format!("stopping: {error:#}"));
        }
        errors
    }

    pub(crate) fn user(&self, n: usize) -> anyhow::Result<&str> {
        self.users.get(n).map(String::as_str).context("no such user")
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    /// Returns the token of `user` for TCP and HTTP. The token of the floor lists the chats of the
    /// user.
    pub(crate) fn token(&self, user: usize) -> anyhow::Result<String> {
        if self.subject == Subject::NetBit {
            return self.tokens.get(user % self.tokens.len().max(1)).cloned().context("no such user");
        }
        let own = self.own_chats.get(user % self.own_chats.len().max(1));
        let chats: Vec<_> = self.shared_chats.iter().chain(own).map(ToString::to_string).collect();
        Ok(chats.join(","))
    }

    /// Opens a session of `user`.
    pub(crate) async fn open(&self, user: usize) -> anyhow::Result<TcpConnection> {
        TcpConnection::open(self.tcp(), &self.token(user)?).await
    }

    /// Returns the chat of `user` without other members.
    pub(crate) fn own_chat(&self, user: usize) -> anyhow::Result<i64> {
        self.own_chats.get(user).copied().context("the scenario has no own chats")
    }

    pub(crate) fn first_chat(&self) -> anyhow::Result<i64> {
        self.shared_chats.first().copied().context("the scenario has no shared chat")
    }

    /// Returns the metrics of the server; `None` for the floor and for an external server.
    pub(crate) async fn scrape(&self) -> anyhow::Result<Option<Scrape>> {
        let Some(process) = self.process.as_ref().filter(|_| self.subject == Subject::NetBit) else {
            return Ok(None);
        };
        let mut http = HttpConnection::connect(process.addresses.ops).await?;
        let text = http.ask(&HttpConnection::request("GET", "/metrics", "", None)).await?;
        Ok(Some(Scrape::parse(std::str::from_utf8(text)?)))
    }
}

/// Creates a chat without other members for each user.
async fn make_own_chats(http: SocketAddr, tokens: &[String]) -> anyhow::Result<Vec<i64>> {
    let http = HttpClient::new(format!("http://{http}"))?;
    let mut own = Vec::new();
    for token in tokens {
        let http = http.with_token(token);
        own.push(retry_while_busy(async || http.create_group("own", &[]).await).await?.0);
    }
    Ok(own)
}
