//! Error codes: stable identifiers that programs compare, the same in packets and in HTTP problems.

use crate::domain::text_enum::text_enum;

text_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Code {
        BadRequest = "bad_request",
        Unauthenticated = "unauthenticated",
        Forbidden = "forbidden",
        NotFound = "not_found",
        TooLarge = "too_large",
        ClientIdReused = "client_id_reused",
        RateLimited = "rate_limited",
        Overloaded = "overloaded",
        /// The disk is full: reads work, writes fail.
        ReadOnly = "read_only",
        /// The outcome is unknown; retry with the same `client_id`.
        Internal = "internal",
        /// HTTP only: the name is taken, or the last owner would leave.
        Conflict = "conflict",
        /// HTTP only: the answer lists the invalid fields, each with the reason.
        Validation = "validation",
        /// HTTP only: the login is too old for this request. The client must send the password with
        /// the request, or log in again.
        FreshLoginRequired = "fresh_login_required",
    }
}

impl Code {
    /// Returns the HTTP status for the code (RFC 9110; 429: RFC 6585; 507: RFC 4918).
    pub fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::FreshLoginRequired => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::ClientIdReused | Self::Validation => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Overloaded => 503,
            Self::ReadOnly => 507,
        }
    }

    /// Returns a short title for users.
    pub fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad request",
            Self::Unauthenticated => "Authentication required",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::TooLarge => "Too large",
            Self::ClientIdReused => "client_id reused",
            Self::RateLimited => "Too many requests",
            Self::Overloaded => "Overloaded",
            Self::ReadOnly => "Out of disk space",
            Self::Internal => "Internal error",
            Self::Conflict => "Conflict",
            Self::Validation => "Invalid fields",
            Self::FreshLoginRequired => "Password or fresh login required",
        }
    }

    /// Returns the code for use in packets: HTTP-only codes are mapped to codes that packets have.
    #[must_use]
    pub fn in_packets(self) -> Self {
        match self {
            Self::Conflict | Self::Validation => Self::BadRequest,
            Self::FreshLoginRequired => Self::Forbidden,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_the_same_text_in_packets_and_http() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.as_str()));
            assert!((400..600).contains(&code.http_status()));
        }
    }
}
