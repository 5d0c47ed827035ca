//! NetBit: git hosting and chat for a team, in one binary, with one set of users, projects and permissions.
//!
//! # The rooms
//! Every `use` points to a room further left (`tests/it/tidy.rs` holds them to it):
//!
//! `domain <- core <- protocol <- {storage, git} <- actors <- services <- {messaging, api} <- app <- client, cli <- main`
//!
//! | Room | Holds |
//! |---|---|
//! | [`domain`] | nouns and rules, plain values |
//! | [`core`] | infrastructure without business meaning: configuration, limits, database, tokens, the actor kit |
//! | [`protocol`] | the bytes that travel: packets, frames, error codes |
//! | [`storage`] | everything that knows SQL |
//! | [`git`] | everything that knows git: directories, transfers, browsing |
//! | [`actors`] | the owners of state: writer, cache, hubs |
//! | [`services`] | what a user can do, one function each |
//! | [`messaging`] | the TCP edge |
//! | [`api`] | the HTTP edge |
//! | [`app`] | the wiring |
//! | [`client`] | a typed client, shared by the terminal client, the tests and the load test |
//! | [`cli`] | the command line |
//!
//! A message's way through the house is walked in `docs/ARCHITECTURE.md`.

pub mod actors;
pub mod api;
pub mod app;
pub mod backup;
pub mod cli;
pub mod client;
pub mod core;
pub mod domain;
pub mod git;
pub mod messaging;
pub mod protocol;
pub mod services;
pub mod storage;
