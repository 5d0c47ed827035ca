//! The server of the scenario, started or external, with its users.

use std::net::SocketAddr;

use anyhow::Context;
use netbit::client::HttpClient;

use crate::servers::{ExternalServer, PASSWORD, Process, Seed, start_netbit};

#[derive(Debug)]
pub(super) struct Target {
    /// `None` for an external server, of which only the addresses are known.
    pub(super) server: Option<Process>,
    pub(super) http: HttpClient,
    pub(super) tcp: SocketAddr,
    pub(super) users: Vec<String>,
    /// One token for each user.
    pub(super) tokens: Vec<String>,
}

impl Target {
    /// Starts a server with users and chats; every user is a member of every chat.
    pub(super) async fn own(users: usize, chats: usize) -> anyhow::Result<Self> {
        let seed = Seed { users, chats, members: users, messages: 0, password: PASSWORD, cache_bytes: None };
        let (server, tokens) = start_netbit(&seed).await?;
        let http = HttpClient::new(format!("http://{}", server.addresses.http))?;
        let tcp = server.addresses.tcp;
        Ok(Self {
            server: Some(server),
            http,
            tcp,
            tokens,
            users: (0..users).map(|n| format!("u{n}")).collect(),
        })
    }

    /// Registers users and creates chats on an external server; every user is a member of every
    /// chat.
    pub(super) async fn external(url: &str, users: usize, chats: usize) -> anyhow::Result<Self> {
        let ExternalServer { http, tcp, users, tokens, .. } =
            ExternalServer::prepare(url, users, chats).await?;
        let http = HttpClient::new(format!("http://{http}"))?;
        Ok(Self { server: None, http, tcp, users, tokens })
    }

    /// Returns a client for the first user.
    pub(super) fn first_user(&self) -> anyhow::Result<HttpClient> {
        Ok(self.http.with_token(self.tokens.first().context("no users")?))
    }
}
