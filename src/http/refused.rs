//! The true status of a refusal that is sent with the status 200, as git clients need it.

use actix_web::http::StatusCode;

/// The status of a refusal whose response has the status 200.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// The error with its causes, for the log.
    pub(crate) causes: Option<String>,
}
