//! Response bodies that may be large.

use actix_web::body::SizedStream;
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::error::HttpResult;
use crate::core::shares::Holder;
use crate::services::Services;
use crate::services::spool::{MEMORY_BYTES_MAX, Spooled};

/// Returns the response with this body: from memory, or from disk if it is large.
pub(crate) async fn answer(
    response: &mut HttpResponseBuilder,
    body: Vec<u8>,
    (services, holder): (&Services, Holder),
) -> HttpResult {
    if body.len() <= MEMORY_BYTES_MAX {
        return Ok(response.body(body));
    }
    Ok(from_disk(response, services.spool(holder, body, true).await?))
}

/// Returns the response with a body on disk.
pub(crate) fn from_disk(response: &mut HttpResponseBuilder, body: Spooled) -> HttpResponse {
    response.body(SizedStream::new(body.size_bytes, Box::pin(body.pieces())))
}
