//! A NetBit server that runs already on this machine. Users and chats are created over REST.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::netbit::client::{HttpClient, HttpError};
use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::{PASSWORD, run_bounded};

/// The server bounds concurrent password hashes, and answers further requests with a retry.
const HASHES_AT_ONCE: usize = 2;
/// Members that a request to create a chat may list (`limits.create_participants`).
const NAMED_AT_ONCE: usize = 100;
/// Time before a refused request is repeated.
const RETRY_DELAY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct ExternalServer {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    /// New users for each run, so that the chats hold only messages of this run.
    pub(crate) users: Vec<String>,
    pub(crate) tokens: Vec<String>,
    pub(crate) chats: Vec<i64>,
}

impl ExternalServer {
    /// Registers users, logs them in, and creates chats of which all are members.
    pub(crate) async fn prepare(url: &str, users: usize, chats: usize) -> anyhow::Result<Self> {
        let address = loopback(url)?;
        let http = HttpClient::new(format!("http://{address}"))?;
        let info = http.server().await?;
        let tcp =
            info.get("tcp_address").and_then(Value::as_str).context("the server reports no TCP address")?;
        let mut tcp: SocketAddr =
            tcp.parse().with_context(|| format!("the server reports an invalid TCP address {tcp}"))?;
        if tcp.ip().is_unspecified() {
            tcp.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        ensure!(tcp.ip().is_loopback(), "{tcp} is not on this machine");
        let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let users: Vec<_> = (0..users).map(|n| format!("lt{run:x}-u{n}")).collect();
        let enter = |n: usize| {
            let (http, user) = (http.clone(), users.get(n).cloned());
            async move {
                let user = user.context("no users")?;
                retry_while_busy(async || http.register(&user, PASSWORD).await).await?;
                Ok(retry_while_busy(async || http.login(&user, PASSWORD).await).await?.token)
            }
        };
        let tokens = run_bounded(users.len(), HASHES_AT_ONCE, enter).await?;
        let mut external = Self { http: address, tcp, users, tokens, chats: Vec::new() };
        let first = http.with_token(external.tokens.first().context("no users")?);
        for n in 0..chats {
            external.chats.push(external.make_chat(&first, &format!("load {n}")).await?);
        }
        Ok(external)
    }

    async fn make_chat(&self, http: &HttpClient, name: &str) -> anyhow::Result<i64> {
        let others = self.users.get(1..).unwrap_or_default();
        let (named, added) = others.split_at(others.len().min(NAMED_AT_ONCE));
        let named: Vec<_> = named.iter().map(String::as_str).collect();
        let chat = retry_while_busy(async || http.create_group(name, &named).await).await?;
        for user in added {
            retry_while_busy(async || http.add_participant(chat, user).await).await?;
        }
        Ok(chat.0)
    }
}

/// Repeats a request while it is answered with 429 or 503.
pub(crate) async fn retry_while_busy<T>(ask: impl AsyncFn() -> Result<T, HttpError>) -> anyhow::Result<T> {
    loop {
        match ask().await {
            Err(HttpError::Refused { status: 429 | 503, .. }) => tokio::time::sleep(RETRY_DELAY).await,
            outcome => return Ok(outcome?),
        }
    }
}

/// Returns the address in a URL. The load test connects to this machine only.
fn loopback(url: &str) -> anyhow::Result<SocketAddr> {
    let Some(rest) = url.strip_prefix("http://") else {
        bail!("--server must be like http://127.0.0.1:8080")
    };
    let text = rest.trim_end_matches('/').replace("localhost", "127.0.0.1");
    let address: SocketAddr =
        text.parse().with_context(|| format!("--server must be like http://127.0.0.1:8080, not {url}"))?;
    ensure!(address.ip().is_loopback(), "--server must be on this machine: {address} is not");
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_rejects_addresses_of_other_machines() {
        assert_eq!(loopback("http://127.0.0.1:8080").unwrap().port(), 8080);
        assert_eq!(loopback("http://localhost:1/").unwrap().to_string(), "127.0.0.1:1");
        assert!(loopback("http://[::1]:8080").is_ok());
        for other in ["https://127.0.0.1:1", "http://192.0.2.1:80", "http://example.org", "127.0.0.1:80", ""]
        {
            assert!(loopback(other).is_err(), "{other}");
        }
    }
}
