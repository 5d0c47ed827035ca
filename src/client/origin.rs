//! A server that is reached over TLS: its name, its port, and whom to trust for them.
//!
//! REST and sessions go to the same port with the same certificate, also behind a reverse proxy: sessions are WebSockets.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http::HttpError;
use super::trust::Trust;

/// Connecting and the handshake may take this long together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const PORT: u16 = 443;

/// Where a server that speaks TLS is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Origin {
    url: Url,
    name: ServerName<'static>,
    trust: Trust,
}

impl Origin {
    /// `url` is like `https://git.example.org`.
    pub fn new(url: &str, trust: Trust) -> Result<Self, HttpError> {
        let unreachable = |reason: &str| HttpError::Connection(format!("{url}: {reason}"));
        let parsed = Url::parse(url).map_err(|error| unreachable(&error.to_string()))?;
        let host = parsed.host_str().ok_or_else(|| unreachable("there is no host"))?;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|error| unreachable(&error.to_string()))?;
        Ok(Self { url: parsed, name, trust })
    }

    /// `host:port`, without the port of HTTPS.
    fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The address of its WebSocket.
    pub(super) fn websocket_url(&self) -> String {
        format!("wss://{}{}/ws", self.authority(), self.url.path().trim_end_matches('/'))
    }

    /// Opens an encrypted connection.
    pub(super) async fn connect(&self) -> Result<TlsStream<TcpStream>, HttpError> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port().unwrap_or(PORT);
        let connecting = async {
            let socket = TcpStream::connect((host, port)).await?;
            socket.set_nodelay(true)?;
            TlsConnector::from(self.trust.config().clone()).connect(self.name.clone(), socket).await
        };
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(late).flatten();
        connected.map_err(|error| self.failed(&error))
    }

    /// Sends one request over a connection of its own.
    pub(super) async fn send(
        &self,
        request: reqwest::Request,
    ) -> Result<(StatusCode, HeaderMap, Bytes), HttpError> {
        let failed = |error: hyper::Error| self.failed(&error);
        let mut request: Request<reqwest::Body> = request.try_into()?;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>();
        *request.uri_mut() = path.map_err(|error| self.failed(&error))?;
        let host = HeaderValue::try_from(self.authority()).map_err(|error| self.failed(&error))?;
        request.headers_mut().insert(HOST, host);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(self.connect().await?)).await.map_err(failed)?;
        // Ends with the answer, for `sender` is dropped then.
        tokio::spawn(async { drop(connection.await) });
        let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        Ok((head.status, head.headers, body.collect().await.map_err(failed)?.to_bytes()))
    }

    /// The failure as a sentence with what caused it.
    fn failed(&self, error: &(dyn std::error::Error + 'static)) -> HttpError {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        HttpError::Connection(format!("https://{}: {reason}", self.authority()))
    }
}
