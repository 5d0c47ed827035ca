//! `HEAD`: the answer of `GET` without its body (RFC 9110 section 9.3.2), wherever `GET` is served.
//!
//! Routes know `GET` alone. The connection remembers that it was asked for `HEAD` and writes no body; here the body is
//! not even made: it is dropped, and with it the work behind a stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use bytes::Bytes;

/// What a body is to a head: its size.
pub struct SizeOnly(BodySize);

impl MessageBody for SizeOnly {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// Answers `HEAD` as `GET`, without the body. A WebSocket begins with `GET` alone.
pub async fn answer_head<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, SizeOnly>>, Error> {
    if request.method() != Method::HEAD || request.headers().contains_key(header::UPGRADE) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    request.head_mut().method = Method::GET;
    let answered = next.call(request).await?;
    let size = answered.response().body().size();
    Ok(answered.map_body(|_, _| EitherBody::right(SizeOnly(size))))
}
