pub mod core;
pub mod domain;
pub mod protocol;
pub mod storage;
pub mod actors;
