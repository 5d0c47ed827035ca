//! The connection: open, or being reopened.
//!
//! Invariant: the tokens ([`Rest`]) have one owner, the open connection or the task that opens the
//! next one. So two tasks never refresh them at once.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};

use super::rest::{Rest, RestError};
use crate::client::{FrameReader, FrameWriter, Received, TcpClient, TcpError};
use crate::protocol::answer::ReceivedPacket;
use crate::protocol::packet::MessagePacket;

/// Pause before the first new attempt; it doubles up to the maximum. A `Welcome` resets it.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause that a server may ask for in its `Goodbye`.
const AFTER_MAX: Duration = Duration::from_secs(300);
/// Packets that wait for the socket. A client never has more unanswered ones.
const WAITING_MAX: usize = 64;
/// Time that a server may take to answer `Hello` or to accept a packet.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bounds of the heartbeat interval, in milliseconds, whatever the server requests.
const HEARTBEAT: (u64, u64) = (50, 120_000);

/// An open connection. A task of its own writes, so a server that does not read does not stop the
/// client from reading.
pub(super) struct Wire {
    reader: FrameReader,
    /// `None` while the connection is being closed.
    out: Option<mpsc::Sender<MessagePacket>>,
    writer: JoinHandle<()>,
    next_request: u64,
    heartbeat: Interval,
    last_heard: Instant,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// Writes packets until the connection fails or is dropped.
async fn write_all(mut writer: FrameWriter, mut packets: mpsc::Receiver<MessagePacket>) {
    while let Some(packet) = packets.recv().await {
        // The reading half reports the end of the connection, and `send` finds the channel closed.
        if !matches!(timeout(PATIENCE, writer.send(&packet)).await, Ok(Ok(()))) {
            return;
        }
    }
}

pub(super) fn packet_of(packet_type: &str) -> MessagePacket {
    MessagePacket { packet_type: packet_type.to_owned(), ..MessagePacket::default() }
}

/// Pauses between attempts to connect: doubled after each failure, with a random part, so that the
/// clients of a restarted server do not return at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Duration,
}

impl Backoff {
    /// Returns the wait before the next attempt. `after_ms` is the minimum that the server asked
    /// for.
    pub(super) fn next(&mut self, after_ms: Option<u64>) -> Duration {
        self.last = (self.last * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
        let asked = after_ms.map_or(Duration::ZERO, Duration::from_millis).min(AFTER_MAX);
        self.last.mul_f64(0.5 + rand::random::<f64>() / 2.0).max(asked)
    }

    /// The server answered with a `Welcome`.
    pub(super) fn reset(&mut self) {
        self.last = Duration::ZERO;
    }
}

pub(super) enum Link {
    Online { wire: Box<Wire>, rest: Rest },
    Offline(Pin<Box<dyn Future<Output = Reopened>>>),
}

/// Event of the connection.
pub(super) enum Happening {
    Incoming(Received),
    /// A heartbeat is due.
    Heartbeat,
    Lost(String),
    Reopened(Reopened),
}

/// Result of all attempts: a connection and its `Welcome`, or `None` when the login is not valid
/// any more.
pub(super) type Reopened = Option<(Box<Wire>, Rest, Box<ReceivedPacket>)>;

/// Reason why a connection could not be opened.
enum OpenError {
    /// The token was refused; a fresh one may be accepted.
    Token,
    Failed(String),
}

impl From<RestError> for OpenError {
    fn from(error: RestError) -> Self {
        match error {
            RestError::LoginNeeded => Self::Token,
            RestError::Failed { reason, .. } => Self::Failed(reason),
        }
    }
}

impl Link {
    /// Returns the next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Happening {
        match self {
            Self::Online { wire, .. } => wire.next().await,
            Self::Offline(attempts) => Happening::Reopened(attempts.await),
        }
    }
}

impl Wire {
    /// Connects and sends `Hello`: over WebSocket if the server uses TLS, so that proxies and one
    /// certificate are enough; otherwise to its TCP listener.
    async fn open(rest: &Rest, host: &str) -> Result<(Box<Self>, Box<ReceivedPacket>), OpenError> {
        let opened = timeout(PATIENCE, connect(rest, host)).await;
        let mut client = opened.map_err(|_| OpenError::Failed(format!("{host} does not answer")))??;
        let welcome = timeout(PATIENCE, client.hello(rest.token())).await;
        let welcome = welcome.map_err(|_| OpenError::Failed(format!("{host} does not answer")))?;
        let welcome = welcome.map_err(|error| match &error {
            TcpError::Refused(packet) if packet.code.as_deref() == Some("unauthenticated") => {
                OpenError::Token
            }
            _ => OpenError::Failed(error.to_string()),
        })?;
        let period = welcome.heartbeat_ms.unwrap_or(HEARTBEAT.1).clamp(HEARTBEAT.0, HEARTBEAT.1);
        let period = Duration::from_millis(period);
        let now = Instant::now();
        let mut heartbeat = interval_at(now, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (reader, writer) = client.into_halves();
        let (out, packets) = mpsc::channel(WAITING_MAX);
        let writer = tokio::spawn(write_all(writer, packets));
        let wire = Self { reader, out: Some(out), writer, next_request: 2, heartbeat, last_heard: now };
        Ok((Box::new(wire), Box::new(welcome)))
    }

    /// Returns the next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Happening {
        tokio::select! {
            incoming = self.reader.next_incoming() => match incoming {
                Ok(incoming) => {
                    self.last_heard = Instant::now();
                    Happening::Incoming(incoming)
                }
                Err(error) => Happening::Lost(error.to_string()),
            },
            // The server answers each heartbeat. At the second one without an answer the
            // connection is lost.
            _ = self.heartbeat.tick() => if self.last_heard.elapsed() * 2 > self.heartbeat.period() * 3 {
                Happening::Lost("the server does not answer heartbeats".to_owned())
            } else {
                Happening::Heartbeat
            },
        }
    }

    /// Sends under a new request id and returns that id.
    pub(super) async fn send(&mut self, mut packet: MessagePacket) -> Result<u64, String> {
        let request = self.next_request;
        self.next_request += 1;
        packet.request_id = Some(request);
        let sent = match &self.out {
            Some(out) => timeout(PATIENCE, out.send(packet)).await,
            None => return Err("the connection is closed".to_owned()),
        };
        match sent {
            Ok(Ok(())) => Ok(request),
            Ok(Err(_)) => Err("the connection failed".to_owned()),
            Err(_) => Err("the server does not accept data".to_owned()),
        }
    }

    /// Writes the remaining packets, within `patience`, and closes the connection.
    pub(super) async fn close(mut self: Box<Self>, patience: Duration) {
        drop(self.out.take());
        drop(timeout(patience, &mut self.writer).await);
    }
}

async fn connect(rest: &Rest, host: &str) -> Result<TcpClient, OpenError> {
    if let Some(origin) = rest.origin() {
        return TcpClient::over_websocket(origin).await.map_err(|error| RestError::from(error).into());
    }
    let address = tcp_address(&rest.server().await?, host).await.map_err(OpenError::Failed)?;
    TcpClient::connect(address).await.map_err(|error| OpenError::Failed(format!("{address}: {error}")))
}

/// Tries once to open a connection; a refused token is exchanged for a fresh one. `Ok(None)`: the
/// login is not valid any more.
pub(super) async fn open_once(
    rest: &mut Rest,
    host: &str,
) -> Result<Option<(Box<Wire>, Box<ReceivedPacket>)>, String> {
    // Without a token the saved login is exchanged first.
    if !rest.token().is_empty() {
        match Wire::open(rest, host).await {
            Ok(opened) => return Ok(Some(opened)),
            Err(OpenError::Failed(reason)) => return Err(reason),
            Err(OpenError::Token) => {}
        }
    }
    match rest.refresh().await {
        Ok(()) => {}
        Err(RestError::LoginNeeded) => return Ok(None),
        Err(RestError::Failed { reason, .. }) => return Err(reason),
    }
    match Wire::open(rest, host).await {
        Ok(opened) => Ok(Some(opened)),
        Err(OpenError::Failed(reason)) => Err(reason),
        Err(OpenError::Token) => Ok(None),
    }
}

/// Tries until a connection opens or the login is not valid any more.
pub(super) async fn reopen(mut rest: Rest, host: String, after_ms: Option<u64>) -> Reopened {
    let mut backoff = Backoff::default();
    let mut pause = backoff.next(after_ms);
    loop {
        sleep(pause).await;
        match open_once(&mut rest, &host).await {
            Ok(Some((wire, welcome))) => return Some((wire, rest, welcome)),
            Ok(None) => return None,
            Err(_) => pause = backoff.next(None),
        }
    }
}

/// Returns the address of the server's listener without TLS. A wildcard address means the host of
/// its HTTP API.
async fn tcp_address(info: &Value, host: &str) -> Result<SocketAddr, String> {
    if info.get("tcp_tls").and_then(Value::as_bool) == Some(true) {
        return Err("its chat sessions are encrypted: use the https:// address of the server".to_owned());
    }
    let named = info.get("tcp_address").and_then(Value::as_str).ok_or("the server reports no tcp_address")?;
    let reachable = match named.parse::<SocketAddr>() {
        Ok(address) if !address.ip().is_unspecified() => return Ok(address),
        Ok(address) => match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => return Ok(SocketAddr::new(ip, address.port())),
            Err(_) => format!("{host}:{}", address.port()),
        },
        Err(_) => named.to_owned(),
    };
    let mut found =
        tokio::net::lookup_host(&reachable).await.map_err(|error| format!("{reachable}: {error}"))?;
    found.next().ok_or_else(|| format!("{reachable} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pauses_double_up_to_a_minute_with_a_random_part() {
        let mut backoff = Backoff::default();
        for whole in [1, 2, 4, 8, 16, 32, 60, 60] {
            let (pause, whole) = (backoff.next(None), Duration::from_secs(whole));
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
        }
        assert_eq!(backoff.next(Some(90_000)), Duration::from_secs(90));
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn wildcard_address_means_the_host_of_the_api() {
        for (named, host, address) in [
            ("10.1.2.3:8081", "example.org", "10.1.2.3:8081"),
            ("0.0.0.0:8081", "10.9.9.9", "10.9.9.9:8081"),
            ("[::]:8081", "[::1]", "[::1]:8081"),
        ] {
            let found = tcp_address(&json!({"tcp_address": named}), host).await;
            assert_eq!(found, Ok(address.parse().unwrap()));
        }
        let encrypted = json!({"tcp_address": "10.1.2.3:8081", "tcp_tls": true});
        assert!(tcp_address(&encrypted, "localhost").await.unwrap_err().contains("https://"));
        assert!(tcp_address(&json!({}), "localhost").await.is_err());
        assert!(tcp_address(&json!({"tcp_address": "no address"}), "localhost").await.is_err());
    }
}
