//! Git repositories: what the server does with them.

pub mod browse;
