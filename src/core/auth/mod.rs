//! Proofs of identity: passwords and tokens. Who may do what is decided elsewhere.

pub mod password;
pub mod refresh;
pub mod setup;
pub mod token;
