//! Proofs of identity: passwords and tokens. Authorization is decided elsewhere.

pub mod password;
pub mod refresh;
pub mod setup;
pub mod token;
pub mod web_secret;
