//! The HTTP client of the bucket: rustls with ring, bounded answers, a deadline for each request.
//!
//! Each answer is read as a whole before it is passed on. An answer that is cut short, or longer
//! than [`Dialer::answer_bytes`], is an error, never a part of a blob.

use std::fmt::{self, Debug, Formatter};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::core::trust::Trust;

/// Maximum duration of connecting and the TLS handshake together.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection stays open without a request.
const IDLE: Duration = Duration::from_secs(30);

/// Opens connections, and bounds the requests on them.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    /// `None`: the endpoint uses no TLS.
    pub(super) trust: Option<Trust>,
    /// From the request to the last byte of its answer.
    pub(super) within: Duration,
    /// The longest answer.
    pub(super) answer_bytes: usize,
    /// Connections that are kept without a request.
    pub(super) idle: usize,
}

impl HttpConnector for Dialer {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(self.idle);
        Ok(HttpClient::new(Service { client: builder.build(self.clone()), dialer: self.clone() }))
    }
}

struct Service {
    client: Client<Dialer, HttpRequestBody>,
    dialer: Dialer,
}

impl Debug for Service {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.dialer.fmt(f)
    }
}

type Answering<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Service {
    fn call<'s, 'a>(&'s self, request: HttpRequest) -> Answering<'a>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            let within = self.dialer.within;
            let answer = tokio::time::timeout(within, self.answer(request)).await;
            let late = |_| {
                let why = format!("no complete answer within {} ms", within.as_millis());
                HttpError::new(HttpErrorKind::Timeout, io::Error::new(ErrorKind::TimedOut, why))
            };
            answer.map_err(late).flatten()
        })
    }
}

impl Service {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.client.request(request).await.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        let (head, body): (_, Incoming) = Response::into_parts(answer);
        let body = Limited::new(body, self.dialer.answer_bytes).collect().await.map_err(|error| {
            let is_long = error.is::<LengthLimitError>();
            let kind = if is_long { HttpErrorKind::Decode } else { HttpErrorKind::Interrupted };
            HttpError::new_boxed(kind, error)
        })?;
        Ok(HttpResponse::from_parts(head, body.to_bytes().into()))
    }
}

/// A connection, with or without TLS.
pub(super) struct Dialed(TokioIo<Box<dyn Stream>>);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Dialed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl tower_service::Service<Uri> for Dialer {
    type Response = Dialed;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Dialed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let trust = self.trust.clone();
        Box::pin(async move {
            let dialed = tokio::time::timeout(CONNECT_WITHIN, dial(&to, trust)).await;
            dialed.map_err(|_| io::Error::from(ErrorKind::TimedOut)).flatten()
        })
    }
}

async fn dial(to: &Uri, trust: Option<Trust>) -> io::Result<Dialed> {
    let is_encrypted = to.scheme_str() == Some("https");
    let host = to.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = to.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match (is_encrypted, trust) {
        (false, _) => Box::new(socket),
        (true, None) => return Err(io::Error::other("the endpoint was configured without TLS")),
        (true, Some(trust)) => {
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            Box::new(TlsConnector::from(trust.config().clone()).connect(name, socket).await?)
        }
    };
    Ok(Dialed(TokioIo::new(stream)))
}
