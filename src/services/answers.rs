//! Memory for large responses, of sessions and REST.
//!
//! Invariant: the bytes that clients requested and have not yet received are bounded per account
//! and in total.

use super::{ServiceError, Services};
use crate::core::shares::{Holder, Slot};
use crate::protocol::code::Code;

impl Services {
    /// Returns space for a response of `bytes`, if the holder's share has it. The space is held
    /// until the returned value is dropped.
    pub fn answer_space(&self, holder: Holder, bytes: usize) -> Option<Slot> {
        self.answers.enter_many(holder, bytes)
    }
}

/// Returns the error for a response without space.
pub fn no_space() -> ServiceError {
    let detail = "too many large responses wait for their clients; read them, or request smaller pages";
    ServiceError::later(Code::Overloaded, detail, 1_000)
}
