//! Space for large answers in memory: what clients have asked for and not taken yet, over sessions and REST, is bounded
//! for each account and for all together.

use super::{ServiceError, Services};
use crate::core::shares::{Holder, Spot};
use crate::protocol::code::Code;

impl Services {
    /// Returns space for an answer of so many bytes, if the holder's share has it. It counts until it is dropped.
    pub fn answer_space(&self, holder: Holder, bytes: usize) -> Option<Spot> {
        self.answers.enter_many(holder, bytes)
    }
}

/// The refusal of an answer without space.
pub fn no_space() -> ServiceError {
    let detail = "too many large answers wait for their clients; read them, or ask for smaller pages";
    ServiceError::later(Code::Overloaded, detail, 1_000)
}
