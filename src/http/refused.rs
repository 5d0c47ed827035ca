//! Marks of responses: the true status of a refusal that is sent with the status 200, as git
//! clients need it, and responses of another node.

use actix_web::http::StatusCode;

/// The status of a refusal whose response has the status 200.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// The error with its causes, for the log.
    pub(crate) causes: Option<String>,
}

/// Marks the response of another node, which has made its body already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsSent;
