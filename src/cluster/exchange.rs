//! A forwarded request and its answer, as streams.
//!
//! Backpressure: a body is read only as fast as the other side accepts it. A request ends if no
//! byte moves in either direction for `limits.proxy_idle_ms`; the time in which the client does not
//! read is bounded by the limits of its connection instead. Once the request has been sent, its
//! answer must begin within [`Patience::head`]: a node that hangs must not hold requests for longer
//! than their clients wait.

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self as own_header, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt, Either, Empty, StreamBody};
use hyper::Request;
use hyper::body::{Frame, Incoming};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::hop::{BEHIND, HOP_NAME};
use super::link::{Link, Outgoing};
use crate::http::AsSent;

/// Headers that concern one connection (RFC 9110 section 7.6.1), and those that each node sets
/// itself.
const OF_CONNECTION: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// The reason why a forwarded request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("the connection to the node broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("no byte has moved for too long")]
    Idle,
    #[error("the node has received the request and does not answer")]
    Silent,
    #[error("the node has not read the newest changes")]
    Behind,
    #[error("the answer of the node is not valid")]
    Invalid,
}

/// How long an exchange waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Without a byte in either direction.
    pub(super) idle: Duration,
    /// From the end of the request to the head of the answer.
    pub(super) head: Duration,
}

/// The last time at which a byte moved. Clones share it.
#[derive(Clone)]
struct Moved(Rc<Cell<Instant>>);

/// Reports when the body of the request is dropped, which is when all of it was sent.
struct UntilSent(Option<oneshot::Sender<()>>);

impl Drop for UntilSent {
    fn drop(&mut self) {
        if let Some(sent) = self.0.take() {
            sent.send(()).ok();
        }
    }
}

impl Moved {
    fn now() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }

    fn note(&self) {
        self.0.set(Instant::now());
    }

    /// Returns the result of `work`, or `None` when nothing has moved for `idle`.
    async fn within<T>(&self, idle: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let until = self.0.get() + idle;
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = tokio::time::sleep_until(until) => if self.0.get() + idle <= Instant::now() { return None },
            }
        }
    }
}

/// Returns whether a header is forwarded. `listed`: the value of `Connection`.
pub(super) fn is_forwarded(name: &str, listed: &str) -> bool {
    !OF_CONNECTION.contains(&name) && !listed.split(',').any(|other| other.trim().eq_ignore_ascii_case(name))
}

/// Sends a request. `held` is kept until the answer is sent, or its client has gone.
pub(super) async fn send<H: 'static>(
    mut link: Link,
    head: Request<()>,
    payload: Option<Payload>,
    Patience { idle, head: head_within }: Patience,
    held: H,
) -> Result<HttpResponse, ExchangeError> {
    let moved = Moved::now();
    let (sent, is_sent) = oneshot::channel();
    let sent = UntilSent(Some(sent));
    let body: Outgoing = match payload {
        None => {
            drop(sent);
            Either::Left(Empty::new())
        }
        Some(payload) => Either::Right(StreamBody::new(outgoing(payload, moved.clone(), sent).boxed_local())),
    };
    let silent = async {
        is_sent.await.ok();
        tokio::time::sleep(head_within).await;
    };
    let answered = tokio::select! {
        biased;
        answered = moved.within(idle, link.sender.send_request(head.map(|()| body))) => answered,
        () = silent => return Err(ExchangeError::Silent),
    };
    let (head, body) = answered.ok_or(ExchangeError::Idle)??.into_parts();
    if head.headers.get(HOP_NAME).is_some_and(|value| value == BEHIND) {
        return Err(ExchangeError::Behind);
    }
    let status = StatusCode::from_u16(head.status.as_u16()).map_err(|_| ExchangeError::Invalid)?;
    let mut response = HttpResponse::build(status);
    let listed = head.headers.get(hyper::header::CONNECTION).and_then(|value| value.to_str().ok());
    let listed = listed.unwrap_or_default();
    let mut size = None;
    for (name, value) in &head.headers {
        let name = name.as_str();
        if name == "content-length" {
            size = value.to_str().ok().and_then(|length| length.parse().ok());
        } else if name != "date" && is_forwarded(name, listed) {
            let name = HeaderName::try_from(name).map_err(|_| ExchangeError::Invalid)?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| ExchangeError::Invalid)?;
            response.append_header((name, value));
        }
    }
    let body = incoming(Answer { body, moved, idle, _link: link, _held: held });
    let mut response = match size {
        Some(size) => response.body(SizedStream::new(size, body.boxed_local())),
        None if is_without_body(status) => response.finish(),
        None => response.streaming(body.boxed_local()),
    };
    // The storage node has decided on the type, also of an answer without one.
    if !head.headers.contains_key(hyper::header::CONTENT_TYPE) {
        response.headers_mut().remove(own_header::CONTENT_TYPE);
    }
    response.extensions_mut().insert(AsSent);
    Ok(response)
}

fn is_without_body(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

fn outgoing(payload: Payload, moved: Moved, sent: UntilSent) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    payload.map(move |chunk| {
        let _until_dropped = &sent;
        moved.note();
        chunk.map(Frame::data).map_err(|error| io::Error::other(error.to_string()))
    })
}

/// An answer that is being streamed.
struct Answer<H> {
    body: Incoming,
    moved: Moved,
    idle: Duration,
    _link: Link,
    _held: H,
}

fn incoming<H: 'static>(answer: Answer<H>) -> impl Stream<Item = io::Result<Bytes>> + 'static {
    stream::unfold(Some(answer), |answer| async move {
        let mut answer = answer?;
        // The time since the last chunk was taken is that of the client.
        answer.moved.note();
        loop {
            let (moved, idle) = (answer.moved.clone(), answer.idle);
            let frame = match moved.within(idle, answer.body.frame()).await {
                None => return Some((Err(io::Error::from(io::ErrorKind::TimedOut)), None)),
                Some(None) => return None,
                Some(Some(Err(error))) => return Some((Err(io::Error::other(error)), None)),
                Some(Some(Ok(frame))) => frame,
            };
            // Trailers are not forwarded.
            if let Ok(bytes) = frame.into_data() {
                return Some((Ok(bytes), Some(answer)));
            }
        }
    })
}
