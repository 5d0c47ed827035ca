//! Where a scenario takes place: a server of its own, or a given one on this machine; and the people in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use netbit::client::{HttpClient, HttpError};
use serde_json::Value;

use crate::stage::{PASSWORD, Process, Seed, crowd, start_netbit};

/// Password hashes are bounded on the server on purpose: who asks for more at once is told to wait.
const HASHES_AT_ONCE: usize = 2;
/// People who can be named when a chat is made (`limits.create_participants`).
const NAMED_AT_ONCE: usize = 100;
/// Before something that was refused for now is asked again.
const REST: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Target {
    /// `None`: a given server, of which nothing is known but its addresses.
    pub(super) server: Option<Process>,
    pub(super) http: HttpClient,
    pub(super) tcp: SocketAddr,
    pub(super) users: Vec<String>,
    /// Those that came with the database.
    tokens: Vec<String>,
}

impl Target {
    /// Starts a server with users and chats; every user is in every chat.
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

    /// Registers users and makes chats on a server that is there already; every user is in every chat.
    pub(super) async fn given(url: &str, users: usize, chats: usize) -> anyhow::Result<Self> {
        let http = HttpClient::new(format!("http://{}", loopback(url)?))?;
        let info = http.server().await?;
        let tcp =
            info.get("tcp_address").and_then(Value::as_str).context("the server names no TCP address")?;
        let mut tcp: SocketAddr = tcp.parse().with_context(|| format!("{tcp} is no address"))?;
        if tcp.ip().is_unspecified() {
            tcp.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        ensure!(tcp.ip().is_loopback(), "{tcp} is not on this machine");
        // New people for each run, so that what is in the chats is what this run put there.
        let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let users: Vec<_> = (0..users).map(|n| format!("lt{run:x}-u{n}")).collect();
        let target = Self { server: None, http, tcp, users, tokens: Vec::new() };
        target.register().await?;
        target.make_chats(chats).await?;
        Ok(target)
    }

    /// Logs everybody in: a token for each user.
    pub(super) async fn log_in(&self) -> anyhow::Result<Vec<String>> {
        if !self.tokens.is_empty() {
            return Ok(self.tokens.clone());
        }
        let login = |n| {
            let (http, user) = (self.http.clone(), self.user(n));
            async move { log_in(&http, &user?).await }
        };
        crowd(self.users.len(), HASHES_AT_ONCE, login).await
    }

    /// A client for the first user, with a fresh token.
    pub(super) async fn first_user(&self) -> anyhow::Result<HttpClient> {
        Ok(self.http.with_token(log_in(&self.http, &self.user(0)?).await?))
    }

    fn user(&self, n: usize) -> anyhow::Result<String> {
        self.users.get(n).cloned().context("there is nobody")
    }

    async fn register(&self) -> anyhow::Result<()> {
        let register = |n| {
            let (http, user) = (self.http.clone(), self.user(n));
            async move {
                let user = user?;
                patiently(async || http.register(&user, PASSWORD).await).await
            }
        };
        crowd(self.users.len(), HASHES_AT_ONCE, register).await.map(drop)
    }

    async fn make_chats(&self, chats: usize) -> anyhow::Result<()> {
        let http = self.first_user().await?;
        let others = self.users.get(1..).unwrap_or_default();
        let (named, added) = others.split_at(others.len().min(NAMED_AT_ONCE));
        let named: Vec<_> = named.iter().map(String::as_str).collect();
        for n in 0..chats {
            let chat = patiently(async || http.create_group(&format!("load {n}"), &named).await).await?;
            for user in added {
                patiently(async || http.add_participant(chat, user).await).await?;
            }
        }
        Ok(())
    }
}

async fn log_in(http: &HttpClient, user: &str) -> anyhow::Result<String> {
    Ok(patiently(async || http.login(user, PASSWORD).await).await?.token)
}

/// Asks until the answer is another than "not now".
pub(super) async fn patiently<T>(ask: impl AsyncFn() -> Result<T, HttpError>) -> anyhow::Result<T> {
    loop {
        match ask().await {
            Err(HttpError::Refused { status: 429 | 503, .. }) => tokio::time::sleep(REST).await,
            outcome => return Ok(outcome?),
        }
    }
}

/// The address in a URL of this machine; the load test speaks to no other.
fn loopback(url: &str) -> anyhow::Result<SocketAddr> {
    let Some(rest) = url.strip_prefix("http://") else { bail!("--server is like http://127.0.0.1:8080") };
    let text = rest.trim_end_matches('/').replace("localhost", "127.0.0.1");
    let address: SocketAddr =
        text.parse().with_context(|| format!("--server is like http://127.0.0.1:8080, not {url}"))?;
    ensure!(address.ip().is_loopback(), "--server must be on this machine: {address} is not");
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_target() {
        assert_eq!(loopback("http://127.0.0.1:8080").unwrap().port(), 8080);
        assert_eq!(loopback("http://localhost:1/").unwrap().to_string(), "127.0.0.1:1");
        assert!(loopback("http://[::1]:8080").is_ok());
        for other in ["https://127.0.0.1:1", "http://192.0.2.1:80", "http://example.org", "127.0.0.1:80", ""]
        {
            assert!(loopback(other).is_err(), "{other}");
        }
    }
}
