//! The owners of state, one folder each: `mod` holds the handle (the only way in), `messages` what it takes, `actor`
//! the routing, and plain structs beside it decide.

pub mod cache;
pub mod hub;
pub mod presence;
pub mod writer;
