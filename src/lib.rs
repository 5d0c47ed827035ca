//! NetBit: git hosting and chat for a team, in one binary, with one set of users, projects and
//! permissions.
//!
//! # Modules
//! A module may use only the modules to its left. `tests/it/tidy.rs` checks every `use`:
//!
//! ```text
//! domain <- core <- protocol <- {storage, git, blobs, pictures} <- actors <- services
//!        <- http <- {messaging, api, web, backup} <- app <- client <- cli <- main
//! ```
//!
//! [`client`] uses only [`domain`] and [`protocol`], so it does not depend on the server.
//!
//! | Module | Contents |
//! |---|---|
//! | [`domain`] | types and rules of the product as plain values, without I/O |
//! | [`core`] | infrastructure: configuration, limits, database, tokens, the actor kit |
//! | [`protocol`] | wire formats: packets, frames, views, error codes |
//! | [`storage`] | all SQL |
//! | [`blobs`] | the bytes of files in chats |
//! | [`pictures`] | thumbnails and avatars, made in child processes |
//! | [`git`] | all access to git: repository directories, transfers, browsing |
//! | [`actors`] | the actors that own the state: writer, cache, hubs, presence |
//! | [`services`] | the operations that users can perform, one function each |
//! | [`http`] | what all HTTP routes share: extractors, errors, validators, the request log |
//! | [`cluster`] | the other nodes of the database: forwards requests to storage nodes |
//! | [`messaging`] | chat sessions over TCP and WebSocket |
//! | [`api`] | HTTP: REST, git smart HTTP, the control and operations routes |
//! | [`web`] | the pages for people in a browser |
//! | [`backup`] | backup, restore and check (`netbit doctor`) of a data directory |
//! | [`app`] | the composition root: starts, connects and stops everything |
//! | [`client`] | a typed client, shared by the terminal client, the tests and the load test |
//! | [`cli`] | the command line |
//!
//! `docs/ARCHITECTURE.md` follows a message through these modules.

pub mod actors;
pub mod api;
pub mod app;
pub mod backup;
pub mod blobs;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod core;
pub mod domain;
pub mod git;
pub mod http;
pub mod messaging;
pub mod pictures;
pub mod protocol;
pub mod services;
pub mod storage;
pub mod web;
