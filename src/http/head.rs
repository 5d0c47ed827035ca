//! `HEAD`: the response of `GET` without its body (RFC 9110 section 9.3.2), on every route that
//! serves `GET`.
//!
//! Routes define `GET` only. The HTTP connection keeps the original method and writes no body. This
//! module drops the body before it is produced, and with it the work of a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use bytes::Bytes;

use super::activity::UnderWay;

/// The body of a response, with the guards that the request holds until it is sent.
pub struct Sent<B> {
    /// `None` for `HEAD`, whose response has only the size of the body.
    body: Option<B>,
    size: BodySize,
    _under_way: Option<UnderWay>,
}

impl<B: MessageBody> Sent<B> {
    pub(crate) fn new(body: B, is_head: bool, under_way: Option<UnderWay>) -> Self {
        let size = body.size();
        Self { body: Some(body).filter(|_| !is_head), size, _under_way: under_way }
    }
}

impl<B: MessageBody + Unpin> MessageBody for Sent<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_next(context),
            None => Poll::Ready(None),
        }
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body: Some(body), size, _under_way } = self else { return Err(self) };
        body.try_into_bytes().map_err(|body| Self { body: Some(body), size, _under_way })
    }
}

/// Turns `HEAD` into `GET`. Returns whether the request was `HEAD`. A WebSocket starts with `GET`
/// only.
pub(crate) fn becomes_get(request: &mut ServiceRequest) -> bool {
    let is_head = request.method() == Method::HEAD && !request.headers().contains_key(header::UPGRADE);
    if is_head {
        request.head_mut().method = Method::GET;
    }
    is_head
}

/// Answers `HEAD` as `GET`, on listeners without the [`super::observe`] layer.
pub async fn answer_head<B: MessageBody + Unpin + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Sent<B>>, Error> {
    let is_head = becomes_get(&mut request);
    let answered = next.call(request).await?;
    Ok(answered.map_body(|_, body| Sent::new(body, is_head, None)))
}
