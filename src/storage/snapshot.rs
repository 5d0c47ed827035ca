//! Snapshots: all data of the read models, as of one commit.
//!
//! Invariant: a snapshot and its `commit_no` are read in ONE transaction, so the cache can
//! determine exactly which commits the snapshot contains.

use std::sync::Arc;

use diesel::prelude::*;

use super::commit_log;
use super::queries::{
    access_tokens, accounts, blocks, chats, cursors_behind, logins, messages, meta, notifications, projects,
    repositories,
};
use super::rows::project::Renamed;
use crate::core::database::Db;
use crate::core::limits::{NOTIFICATIONS_CACHED, NOTIFICATIONS_CACHED_IN_ALL};
use crate::core::saturate;
use crate::domain::access::AccessToken;
use crate::domain::chat::{Chat, Participant};
use crate::domain::event::ChatEvent;
use crate::domain::ids::{ChatId, LoginId, ProjectId, Seq, UserId};
use crate::domain::login::WebHandle;
use crate::domain::notification::Notification;
use crate::domain::project::{Project, ProjectRole};
use crate::domain::repository::Repository;
use crate::domain::user::User;

/// Maximum number of entries that a window keeps per message that it may hold: a chat in which
/// members only come and go must not grow without bound.
pub const ENTRIES_PER_MESSAGE: usize = 4;

#[derive(Debug, Default)]
pub struct Snapshot {
    pub epoch: i64,
    pub commit_no: i64,
    pub users: Vec<(Arc<User>, Arc<str>)>,
    /// Former names of users.
    pub former_usernames: Vec<(String, UserId)>,
    pub logins: Vec<(LoginId, UserId)>,
    /// Those of `logins` that are found by the secret of a browser.
    pub web_logins: Vec<(LoginId, WebHandle)>,
    pub access_tokens: Vec<(Arc<AccessToken>, [u8; 32])>,
    /// (blocking user, blocked user).
    pub blocks: Vec<(UserId, UserId)>,
    pub projects: Vec<Arc<Project>>,
    pub members: Vec<(ProjectId, UserId, ProjectRole)>,
    pub watchers: Vec<(ProjectId, UserId)>,
    pub repositories: Vec<Arc<Repository>>,
    /// Former names of projects and repositories.
    pub former_names: Vec<(Renamed, String)>,
    /// The newest notifications of every user, by id, and of these the newest in total.
    pub notifications: Vec<Arc<Notification>>,
    pub chats: Vec<Chat>,
    pub participants: Vec<(ChatId, Participant)>,
    /// The ordinals of deleted messages, ascending in each chat.
    pub deleted: Vec<(ChatId, i64)>,
    /// Windows of the most recently active chats, as many as fit the budget.
    pub windows: Vec<WindowRows>,
}

/// The recent events of a chat: dense from the first entry to `head`.
#[derive(Debug, Clone)]
pub struct WindowRows {
    pub chat_id: ChatId,
    pub head: Seq,
    pub entries: Vec<Arc<ChatEvent>>,
}

/// Loads all data, and windows of `window` messages until `window_bytes` are used.
pub fn load(db: &mut Db, window: usize, window_bytes: usize) -> QueryResult<Snapshot> {
    in_one_read(db, |db| {
        let mut chats = chats::all_chats(db)?;
        let recency = |chat: &Chat| (chat.last_message_id, chat.id, chat.last_seq, chat.trimmed_seq);
        let mut recent: Vec<_> = chats.iter().map(recency).collect();
        recent.sort_unstable_by(|a, b| b.cmp(a));
        let (mut windows, mut used) = (Vec::new(), 0);
        for (_, chat_id, head, trimmed) in recent {
            if used >= window_bytes {
                break;
            }
            let rows = window_rows(db, chat_id, (trimmed, head), window)?;
            used += rows.entries.iter().map(|entry| entry.bytes()).sum::<usize>();
            windows.push(rows);
        }
        chats.shrink_to_fit();
        let participants = participants(db)?;
        Ok(Snapshot {
            epoch: meta::get(db, meta::EPOCH)?.unwrap_or(0),
            commit_no: commit_log::last(db)?,
            users: accounts::all_users(db)?
                .into_iter()
                .map(|row| {
                    let (user, hash) = row.into_parts();
                    (Arc::new(user), hash)
                })
                .collect(),
            former_usernames: accounts::all_former_usernames(db)?,
            logins: accounts::all_live_logins(db)?,
            web_logins: logins::all_web(db)?,
            access_tokens: access_tokens::all_live(db)?
                .into_iter()
                .map(|(token, hash)| (Arc::new(token), hash))
                .collect(),
            blocks: blocks::all(db)?,
            projects: projects::all_projects(db)?.into_iter().map(Arc::new).collect(),
            members: projects::all_members(db)?,
            watchers: projects::all_watchers(db)?,
            repositories: repositories::in_state(db, repositories::ACTIVE)?
                .into_iter()
                .map(Arc::new)
                .collect(),
            former_names: projects::all_former_names(db)?,
            notifications: notifications::all_recent(
                db,
                rows(NOTIFICATIONS_CACHED),
                rows(NOTIFICATIONS_CACHED_IN_ALL),
            )?
            .into_iter()
            .map(Arc::new)
            .collect(),
            chats,
            participants,
            deleted: messages::all_deleted(db)?,
            windows,
        })
    })
}

/// Returns all participants of all chats, with cursors as their messages have moved them.
fn participants(db: &mut Db) -> QueryResult<Vec<(ChatId, Participant)>> {
    let mut participants = chats::all_participants(db)?
        .into_iter()
        .map(|row| Ok((row.chat_id, row.try_into()?)))
        .collect::<QueryResult<Vec<_>>>()?;
    cursors_behind::catch_up(db, &mut participants)?;
    Ok(participants)
}

fn rows(count: usize) -> i64 {
    saturate::to_i64(count)
}

/// Loads the window of a chat, in its own read transaction.
pub fn load_window(db: &mut Db, chat_id: ChatId, window: usize) -> QueryResult<WindowRows> {
    in_one_read(db, |db| {
        let range = chats::chat(db, chat_id)?.map_or((0, 0), |chat| (chat.trimmed_seq, chat.last_seq));
        window_rows(db, chat_id, range, window)
    })
}

/// Returns the last `window` messages and every event since the oldest of them, above the trimmed
/// part of the chat.
fn window_rows(
    db: &mut Db,
    chat_id: ChatId,
    (trimmed, head): (Seq, Seq),
    window: usize,
) -> QueryResult<WindowRows> {
    let count = |n: usize| saturate::to_i64(n);
    let messages = messages::between(db, chat_id, trimmed, Seq::MAX, count(window), true)?;
    let lowest = trimmed + 1;
    let whole = messages.len() < window;
    let from = if whole { lowest } else { messages.first().map_or(lowest, |message| message.seq) };
    let limit = window.saturating_mul(ENTRIES_PER_MESSAGE);
    let other = chats::events_between(db, chat_id, from - 1, Seq::MAX, count(limit), true)?;
    let cut = if other.len() == limit { other.first().map_or(from, |event| event.seq) } else { from };
    let mut entries: Vec<_> = messages
        .into_iter()
        .filter(|message| message.seq >= cut)
        .map(|message| ChatEvent::of_message(Arc::new(message)))
        .chain(other)
        .map(Arc::new)
        .collect();
    entries.sort_unstable_by_key(|entry| entry.seq);
    Ok(WindowRows { chat_id, head, entries })
}

/// Returns events, including messages, with `after < seq < before`: the first `limit`, or the last
/// if `newest`.
pub fn events_between(
    db: &mut Db,
    chat_id: ChatId,
    after: Seq,
    before: Seq,
    limit: usize,
    newest: bool,
) -> QueryResult<Vec<Arc<ChatEvent>>> {
    in_one_read(db, |db| {
        let count = saturate::to_i64(limit);
        let messages = messages::between(db, chat_id, after, before, count, newest)?;
        let other = chats::events_between(db, chat_id, after, before, count, newest)?;
        let mut entries: Vec<_> = messages
            .into_iter()
            .map(|message| ChatEvent::of_message(Arc::new(message)))
            .chain(other)
            .map(Arc::new)
            .collect();
        entries.sort_unstable_by_key(|entry| entry.seq);
        if newest {
            entries.drain(..entries.len().saturating_sub(limit));
        } else {
            entries.truncate(limit);
        }
        Ok(entries)
    })
}

/// Runs `read` in one transaction, so that all rows it reads belong to one commit.
pub(super) fn in_one_read<T>(db: &mut Db, read: impl FnOnce(&mut Db) -> QueryResult<T>) -> QueryResult<T> {
    db.begin_read()?;
    let result = read(db);
    let ended = db.batch_execute("COMMIT");
    let value = result?;
    ended?;
    Ok(value)
}
