//! Integration tests: the real server on free ports, driven by real clients. Folders and files
//! mirror the features that users see.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails when a result is unexpected"
)]

mod access_tokens;
mod accounts;
mod administration;
mod allocations;
mod api_description;
mod avatar_changes;
mod avatars;
mod backups;
mod browsed_contents;
mod browsing;
mod chat_client;
mod chats;
mod cluster;
mod code_queries;
mod command_line;
mod compatibility;
mod conventions;
mod cursors;
mod database_copy;
mod durability;
mod fan_out;
mod files;
mod followed_threads;
mod git;
mod harness;
mod histories;
mod hostile;
mod kept_histories;
mod lfs;
mod lifecycle;
mod logs;
mod mentions;
mod message_updates;
mod messages;
mod names;
mod notifications;
mod operations;
mod operator;
mod packaging;
mod presence;
mod project_members;
mod projects;
mod prose;
mod readme;
mod removal;
mod repositories;
mod resume;
mod retention;
mod search;
mod search_code;
mod search_code_limits;
mod security_list;
mod seq_at_time;
mod session_messages;
mod sessions;
mod talks;
mod texts;
mod threads;
mod tidy;
mod tls;
mod visitors;
mod web_access;
mod web_admin;
mod web_branches;
mod web_chat;
mod web_code;
mod web_cookies;
mod web_files;
mod web_forms;
mod web_history;
mod web_logins;
mod web_projects;
mod web_search;
mod web_settings;
mod websocket;
