//! The address of a server with TLS: its name, its port and the certificates to trust.
//!
//! REST and sessions use the same port and certificate, also through a reverse proxy: sessions are
//! WebSockets.

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
use crate::core::trust::Trust;

/// Maximum duration of connecting and the TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const PORT: u16 = 443;

/// The address of a server with TLS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Origin {
    url: Url,
    name: ServerName<'static>,
    trust: Trust,
}

impl Origin {
    /// Parses a URL of the form `https://git.example.org`.
    pub fn new(url: &str, trust: Trust) -> Result<Self, HttpError> {
        let unreachable = |reason: &str| HttpError::Connection(format!("{url}: {reason}"));
        let parsed = Url::parse(url).map_err(|error| unreachable(&error.to_string()))?;
        let host = parsed.host_str().ok_or_else(|| unreachable("the URL has no host"))?;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|error| unreachable(&error.to_string()))?;
        Ok(Self { url: parsed, name, trust })
    }

    /// Returns `host:port`, or the host alone for the default port of HTTPS.
    fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Returns the URL of the server's WebSocket.
    pub(super) fn websocket_url(&self) -> String {
        format!("wss://{}{}/ws", self.authority(), self.url.path().trim_end_matches('/'))
    }

    /// Opens a TLS connection.
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

    /// Sends one request over a new connection.
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
        // Ends after the response, because `sender` is dropped then.
        tokio::spawn(async { drop(connection.await) });
        let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        Ok((head.status, head.headers, body.collect().await.map_err(failed)?.to_bytes()))
    }

    /// Returns the failure with the whole chain of its causes as text.
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
