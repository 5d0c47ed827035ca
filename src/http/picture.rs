//! Bodies with the picture of an avatar.

use actix_web::HttpRequest;
use actix_web::dev::Payload;

use super::error::HttpError;
use super::extract::{read_body_within, services};
use crate::core::plural::size;
use crate::core::saturate;
use crate::protocol::code::Code;
use crate::services::{FieldProblem, ServiceError};

/// Returns `limits.avatar_bytes` with a unit.
pub(crate) fn limit(request: &HttpRequest) -> Result<String, HttpError> {
    Ok(size(saturate::to_u64(services(request)?.limits.avatar_bytes)))
}

/// Reads a body with a picture of at most `limits.avatar_bytes`, and at most `around` other bytes.
///
/// # Errors
/// 413 if it is larger, with a problem of the field `picture`; 408 if it is late, 400 if it ends
/// early.
pub(crate) async fn read_picture(
    request: &HttpRequest,
    payload: &mut Payload,
    around: usize,
) -> Result<Vec<u8>, HttpError> {
    let most = services(request)?.limits.avatar_bytes.saturating_add(around);
    match read_body_within(request, payload, most).await {
        Err(error) if error.error.code == Code::TooLarge => Err(too_large(request)?.into()),
        read => read,
    }
}

/// Builds the error for a picture above the limit.
pub(crate) fn too_large(request: &HttpRequest) -> Result<ServiceError, HttpError> {
    let limit = limit(request)?;
    let detail =
        format!("the picture is larger than {limit} (limits.avatar_bytes); make it smaller and try again");
    let problem = format!("must have at most {limit}; make it smaller and try again");
    let fields = vec![FieldProblem { field: "picture", problem }];
    Ok(ServiceError { fields, ..ServiceError::new(Code::TooLarge, detail) })
}
