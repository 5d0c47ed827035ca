//! Queries: one function per statement, on either engine.
//!
//! The statements are in `statements.rs` and the files below it. They are compiled twice, in
//! [`sqlite`] and in [`postgres`], where `Db` is the connection of the engine. The functions here
//! have the same names and choose by the kind of the connection. diesel keeps each statement
//! prepared.
//!
//! A new statement needs a function in a file and its signature here. SQL must run on both engines:
//! `docs/ARCHITECTURE.md` has the rules. Functions that need different SQL are in `sqlite.rs` and
//! in `postgres.rs`.

pub mod postgres;
pub mod sqlite;

use std::collections::{HashMap, HashSet};

use diesel::QueryResult;

use crate::core::database::Db;
use crate::domain::access::AccessToken;
use crate::domain::audit::AuditEvent;
use crate::domain::avatar::{Avatar, AvatarOf};
use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::code_talk::{CodeLines, CodeTalk};
use crate::domain::event::ChatEvent;
use crate::domain::file::{BlobHash, Contents, StoredFile};
use crate::domain::ids::{
    AccessTokenId, ChatId, FileId, LfsLockId, LfsObjectId, LoginId, MessageId, NotificationId, ProjectId,
    PushId, RepositoryId, Seq, UserId,
};
use crate::domain::lfs::{LfsLock, LfsObject};
use crate::domain::login::{Login, WebHandle, WebLoginUse};
use crate::domain::message::{ClientId, Message};
use crate::domain::node::NodeName;
use crate::domain::notification::{Notification, NotifyLevel};
use crate::domain::project::{Project, ProjectRole};
use crate::domain::push::RefUpdate;
use crate::domain::recorded_refs::RecordedRefs;
use crate::domain::repository::Repository;
use crate::domain::thread::ThreadPage;
use crate::domain::timestamp::Timestamp;
use crate::storage::rows::access_token::NewAccessTokenRow;
use crate::storage::rows::account::{NewUserRow, RefreshTokenRow, UserRow};
use crate::storage::rows::audit::NewAuditRow;
use crate::storage::rows::chat::{ChatHead, Company, LeftChat, ListedChat, NewChatRow, ParticipantRow};
use crate::storage::rows::fan_out::{FanOut, NewFanOutRow};
use crate::storage::rows::file::{NewFileRow, Removable};
use crate::storage::rows::lfs::{LockFilter, NewLfsLockRow, NewLfsObjectRow};
use crate::storage::rows::listener::{Followers, Listener, SentMessage};
use crate::storage::rows::login::NewLogin;
use crate::storage::rows::message::{Choice, MessageChanges, NewMessageRow};
use crate::storage::rows::notification::NewNotificationRow;
use crate::storage::rows::project::{MovedRepositories, NewProjectRow, NewRepositoryRow, Renamed};
use crate::storage::rows::push::{NewPushIntentRow, Progress, PushIntent, Settling};
use crate::storage::rows::thread::ThreadRange;
use crate::storage::rows::trimming::{Candidate, RemovedMessage, Trim, Trims};
use crate::storage::rows::watcher::{AnnouncedPush, Recipient};

/// Makes a module of functions that call the function of the connection's engine.
macro_rules! dispatch {
    ($module:ident $(exports($($export:tt)*))? { $(
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty;
    )* }) => {
        pub mod $module {
            use super::*;
            $(pub use super::sqlite::$module::$($export)*;)?
            $(
                #[inline]
                pub fn $name(db: &mut Db $(, $argument: $type)*) -> QueryResult<$output> {
                    match db {
                        Db::Sqlite(db) => super::sqlite::$module::$name(db $(, $argument)*),
                        Db::Postgres(db) => super::postgres::$module::$name(&mut db.queries $(, $argument)*),
                    }
                }
            )*
        }
    };
}

dispatch!(access_tokens {
    fn insert(row: &NewAccessTokenRow<'_>) -> (AccessToken, [u8; 32]);
    fn live(id: AccessTokenId) -> Option<AccessToken>;
    fn all_live() -> Vec<(AccessToken, [u8; 32])>;
    fn count_of(user: UserId) -> i64;
    fn revoke(ids: &[AccessTokenId], now: i64) -> ();
    fn unrevoked(id: AccessTokenId) -> Option<AccessToken>;
    fn unrevoked_of(user: UserId, since: i64) -> Vec<AccessTokenId>;
    fn to_warn(now: i64, until: i64, limit: i64) -> Vec<AccessToken>;
    fn set_warned(ids: &[AccessTokenId], now: i64) -> ();
    fn set_used(uses: &[(AccessTokenId, Timestamp)]) -> HashSet<AccessTokenId>;
    fn expired(now: i64, limit: i64) -> Vec<AccessTokenId>;
});

dispatch!(accounts {
    fn user(id: UserId) -> Option<UserRow>;
    fn active_among(users: &[UserId], other: UserId) -> HashMap<UserId, bool>;
    fn user_named(username: &str) -> Option<UserRow>;
    fn all_users() -> Vec<UserRow>;
    fn users_above(id: UserId, prefix: &str, limit: i64) -> Vec<UserRow>;
    fn set_admin(id: UserId, is_admin: bool) -> UserRow;
    fn administrators() -> i64;
    fn holder_of_username(username: &str) -> Option<UserId>;
    fn former_username_count(user: UserId) -> i64;
    fn all_former_usernames() -> Vec<(String, UserId)>;
    fn rename_user(id: UserId, left: &str, username: &str) -> UserRow;
    fn admin_mark() -> i64;
    fn login_began(login: LoginId) -> Option<i64>;
    fn first_admin() -> Option<UserId>;
    fn insert_user(row: &NewUserRow<'_>) -> UserRow;
    fn set_profile(id: UserId, display_name: &str, email: Option<&str>) -> UserRow;
    fn set_password(id: UserId, password_hash: &str) -> UserRow;
    fn set_password_hash(id: UserId, password_hash: &str) -> ();
    fn set_active(id: UserId, deactivated_at: Option<i64>) -> UserRow;
    fn credential_is_live(user: UserId, login: LoginId, token_version: i64) -> bool;
    fn user_is_live(user: UserId, token_version: i64) -> bool;
    fn live_login(login: LoginId) -> Option<(UserId, i64, i64)>;
    fn live_logins_of(user: UserId) -> Vec<LoginId>;
    fn stalest_login_of(user: UserId, lifetime_ms: i64) -> Option<LoginId>;
    fn all_live_logins() -> Vec<(LoginId, UserId)>;
    fn expired_logins(now: i64, limit: i64) -> Vec<(LoginId, UserId)>;
    fn end_logins(logins: &[LoginId], now: i64) -> ();
    fn refresh_token(hash: &[u8]) -> Option<RefreshTokenRow>;
    fn insert_refresh_token(row: &RefreshTokenRow) -> ();
    fn set_exchanged(hash: &[u8], now: i64) -> ();
    fn advance_generation(login: LoginId, generation: i64, now: i64) -> ();
    fn delete_refresh_tokens(login: LoginId, below_generation: i64) -> ();
});

dispatch!(audit {
    fn insert(rows: &[NewAuditRow<'_>]) -> ();
    fn below(id: i64, limit: i64) -> Vec<AuditEvent>;
});

dispatch!(blocks {
    fn exists(user: UserId, other: UserId) -> bool;
    fn blockers(users: &[UserId], other: UserId) -> HashSet<UserId>;
    fn count_of(user: UserId) -> i64;
    fn insert(user: UserId, other: UserId, now: i64) -> ();
    fn delete(user: UserId, other: UserId) -> ();
    fn all() -> Vec<(UserId, UserId)>;
});

dispatch!(chats {
    fn chat(id: ChatId) -> Option<Chat>;
    fn chats_with(ids: &[ChatId]) -> HashMap<ChatId, Chat>;
    fn all_chats() -> Vec<Chat>;
    fn chats_above(id: ChatId, limit: i64) -> Vec<ListedChat>;
    fn direct_chat(direct_key: &str) -> Option<ChatId>;
    fn channel_named(channel_keys: &[String]) -> Option<ChatId>;
    fn insert_chat(row: &NewChatRow<'_>) -> Chat;
    fn set_last_seqs(heads: &[(ChatId, Seq)]) -> ();
    fn set_name(id: ChatId, name: &str, channel_key: Option<&str>) -> ();
    fn set_names(names: &[(ChatId, String)]) -> ();
    fn set_archived(id: ChatId, archived_at: Option<i64>) -> ();
    fn set_all_archived(ids: &[ChatId], archived_at: i64) -> ();
    fn participant(chat: ChatId, user: UserId) -> Option<Participant>;
    fn chat_and_participant(id: ChatId, user: UserId) -> Option<(Chat, Option<Participant>)>;
    fn all_participants() -> Vec<ParticipantRow>;
    fn participant_count(chat: ChatId) -> i64;
    fn chat_count_of(user: UserId) -> i64;
    fn put_into_by(user: UserId, adder: UserId, with_projects: bool, limit: i64) -> Vec<(Chat, Participant)>;
    fn insert_participants(chat: ChatId, participants: &[Participant]) -> ();
    fn set_notify(chat: ChatId, user: UserId, level: &str) -> ();
    fn delete_participant(chat: ChatId, user: UserId) -> ();
    fn set_role(chat: ChatId, user: UserId, role: &str) -> ();
    fn set_hidden(chat: ChatId, user: UserId, ordinal: Option<i64>) -> ();
    fn unread_of(user: UserId, above: ChatId, limit: i64) -> Vec<(Chat, Participant)>;
    fn chats_of(user: UserId, ids: &[ChatId]) -> HashMap<ChatId, (Chat, Participant)>;
    fn insert_events(events: &[ChatEvent]) -> ();
    fn insert_event_of_push(event: &ChatEvent, push: PushId) -> ();
    fn last_leave(chat: ChatId, user: UserId) -> Option<(UserId, ChatRole)>;
    fn events_between(chat: ChatId, after: i64, before: i64, limit: i64, newest: bool) -> Vec<ChatEvent>;
    fn acquainted_among(adder: UserId, people: &[UserId]) -> HashSet<UserId>;
    fn set_all_cursors(moved: &[(ChatId, Participant)]) -> ();
    fn set_cursors(chat: ChatId, participant: &Participant) -> ();
    fn set_head(head: &ChatHead) -> ();
    fn enter_again(chat: ChatId, user: UserId) -> Option<NotifyLevel>;
    fn insert_former(chat: ChatId, user: UserId, notify: NotifyLevel) -> ();
    fn met_in_the_past(reader: UserId, users: &[UserId]) -> Vec<UserId>;
    fn move_to_former(user: UserId, left: &[(ChatId, NotifyLevel)]) -> ();
    fn company_of(leaving: UserId, chats: &[LeftChat]) -> HashMap<ChatId, Company>;
    fn has_other_owner(chat: ChatId, user: UserId) -> bool;
    fn set_owners(owners: &[(ChatId, UserId)]) -> ();
    fn empty_since(before: i64, limit: i64) -> Vec<ChatId>;
    fn is_empty_since(id: ChatId, before: i64) -> bool;
    fn purge_some(id: ChatId, limit: i64) -> bool;
    fn set_deleted(id: ChatId, now: i64) -> ();
    fn set_purged(id: ChatId, now: i64) -> ();
    fn to_purge(limit: i64) -> Vec<ChatId>;
    fn chat_to_trim(id: ChatId) -> Option<(Chat, Trims)>;
    fn clear_trim_event_due(id: ChatId) -> ();
    fn set_again_above(id: ChatId, above: Option<Seq>) -> ();
    fn set_checked_again(id: ChatId, to: Seq, event_due: bool) -> ();
    fn set_retention(id: ChatId, keep: Option<i64>, by: UserId) -> ();
    fn set_trimmed(id: ChatId, seq: i64, ordinal: i64, again: bool) -> ();
    fn to_trim(limit: i64) -> Vec<ChatId>;
});

dispatch!(code_talks {
    fn insert(message: MessageId, repository: RepositoryId, lines: &CodeLines) -> ();
    fn remove(message: MessageId) -> ();
    fn remove_some(repository: RepositoryId, limit: i64) -> usize;
    fn of_path(repository: RepositoryId, path: &str, before: MessageId, limit: i64) -> Vec<CodeTalk>;
});

dispatch!(consistency {
    fn contradictions() -> Vec<String>;
});

dispatch!(fan_outs {
    fn insert(rows: &[NewFanOutRow<'_>]) -> ();
    fn next() -> Option<FanOut>;
    fn by_id(id: i64) -> Option<FanOut>;
    fn next_to_attempt() -> Option<i64>;
    fn count_attempt(id: i64) -> i64;
    fn count_of(user: UserId, max: i64) -> i64;
    fn set_position(fan_out: &FanOut) -> ();
    fn delete(id: i64) -> ();
});

dispatch!(avatars {
    fn avatar(of: AvatarOf) -> Option<Avatar>;
    fn set_avatar(of: AvatarOf, avatar: Option<&Avatar>, now: i64) -> ();
});

dispatch!(files {
    fn insert(row: &NewFileRow<'_>) -> FileId;
    fn by_id(id: FileId) -> Option<StoredFile>;
    fn shown(id: FileId) -> Option<StoredFile>;
    fn unreleased(limit: i64) -> Vec<MessageId>;
    fn release_deleted(ids: &[MessageId]) -> usize;
    fn elsewhere_above(id: FileId, node: &NodeName, limit: i64) -> Vec<StoredFile>;
    fn set_node(ids: &[FileId], node: &NodeName) -> usize;
    fn by_ids(ids: &[FileId]) -> Vec<StoredFile>;
    fn complete(id: FileId, contents: &Contents, now: i64) -> ();
    fn bind(ids: &[FileId], message: MessageId, now: i64) -> ();
    fn release(message: MessageId) -> ();
    fn drop_unbound(id: FileId, now: i64) -> ();
    fn usage_of(user: UserId) -> i64;
    fn usage() -> i64;
    fn unbound_count(user: UserId, max: i64) -> i64;
    fn removable(which: &Removable, limit: i64) -> Vec<FileId>;
    fn remove(ids: &[FileId], which: &Removable) -> Vec<StoredFile>;
    fn hashes_in_use(hashes: &[BlobHash]) -> HashSet<BlobHash>;
    fn complete_above(id: FileId, limit: i64) -> Vec<StoredFile>;
});

dispatch!(lfs {
    fn object(repository: RepositoryId, oid: &BlobHash) -> Option<LfsObject>;
    fn objects_among(repository: RepositoryId, oids: &[BlobHash]) -> Vec<LfsObject>;
    fn objects_above(id: LfsObjectId, limit: i64) -> Vec<LfsObject>;
    fn objects_of(repository: RepositoryId, above: LfsObjectId, limit: i64) -> Vec<LfsObject>;
    fn insert_object(row: &NewLfsObjectRow<'_>) -> ();
    fn usage_of(repository: RepositoryId) -> i64;
    fn usage_of_owner(owner: UserId) -> i64;
    fn removable(node: Option<&NodeName>, limit: i64) -> Vec<LfsObjectId>;
    fn remove_objects(ids: &[LfsObjectId]) -> Vec<BlobHash>;
    fn lock(repository: RepositoryId, id: LfsLockId) -> Option<LfsLock>;
    fn lock_of_path(repository: RepositoryId, path: &str) -> Option<LfsLock>;
    fn locks(repository: RepositoryId, filter: &LockFilter, limit: i64) -> Vec<LfsLock>;
    fn lock_count(repository: RepositoryId) -> i64;
    fn insert_lock(row: &NewLfsLockRow<'_>) -> LfsLockId;
    fn delete_lock(id: LfsLockId) -> ();
    fn delete_locks_of(repository: RepositoryId, limit: i64) -> usize;
});

dispatch!(listeners {
    fn all_members(sent: SentMessage, after: UserId, limit: i64) -> Vec<Listener>;
    fn named(sent: SentMessage, names: &[&str]) -> Vec<Listener>;
    fn followers(sent: SentMessage, thread: MessageId, after: UserId, limit: i64) -> Followers;
});

dispatch!(logins {
    fn insert(new: &NewLogin<'_>) -> LoginId;
    fn all_web() -> Vec<(LoginId, WebHandle)>;
    fn open_of(user: UserId, now: Timestamp, limit: i64) -> Vec<Login>;
    fn expiries_of_web(logins: impl Iterator<Item = LoginId>) -> HashMap<LoginId, Timestamp>;
    fn set_all_used(uses: &[WebLoginUse]) -> ();
    fn set_used(login: LoginId, at: Timestamp, expires_at: Timestamp) -> ();
});

dispatch!(messages {
    fn insert(row: &NewMessageRow<'_>) -> bool;
    fn insert_new(rows: &[NewMessageRow<'_>], heads: &[ChatHead]) -> ();
    fn largest_client_id(up_to: ClientId) -> Option<ClientId>;
    fn is_client_id_used(sender: UserId, client_id: &[u8]) -> bool;
    fn last_id() -> MessageId;
    fn by_client_id(sender: UserId, client_id: &[u8]) -> Option<(Message, Vec<u8>)>;
    fn in_chat(chat: ChatId, id: MessageId) -> Option<Message>;
    fn thread_of(chat: ChatId, id: MessageId) -> Option<(MessageId, UserId)>;
    fn change(id: MessageId, changes: &MessageChanges<'_>) -> ();
    fn by_ids(ids: &[MessageId]) -> Vec<Message>;
    fn chosen(chat: ChatId, choice: Choice, after: i64, before: i64, limit: i64, newest: bool) -> Vec<Message>;
    fn message_at(chat: ChatId, seq: i64) -> Option<Message>;
    fn ordinals_at(places: &[(ChatId, Seq)]) -> HashMap<(ChatId, Seq), i64>;
    fn own_from(chat: ChatId, sender: UserId, seq: i64, scanned: i64) -> Vec<i64>;
    fn all_deleted() -> Vec<(ChatId, i64)>;
    fn between(chat: ChatId, after: i64, before: i64, limit: i64, newest: bool) -> Vec<Message>;
    fn first_at(chat: ChatId, after: Seq, last: Seq, at: Timestamp) -> Seq;
    fn first_id_at(at: Timestamp) -> MessageId;
    fn candidates(trim: Trim) -> Vec<Candidate>;
    fn event_above(chat: ChatId, above: Seq, count: i64) -> Option<Seq>;
    fn follower_beyond(chat: ChatId, above_to: (Seq, Seq), count: i64) -> Option<Seq>;
    fn remove(trim: Trim) -> usize;
    fn remove_events(trim: Trim) -> ();
    fn removed(sender: UserId, client_id: &[u8]) -> Option<RemovedMessage>;
    fn to_trim(chat: ChatId, above_to: (Seq, Seq), ordinal_max: i64, limit: i64) -> Vec<(Seq, i64)>;
});

dispatch!(meta exports({COMMIT_NO, CURSORS_WRITTEN, EPOCH, RESTORED_COMMIT_NO, RESTORED_EPOCH, ended, fresh_epoch}) {
    fn get(key: &str) -> Option<i64>;
    fn set(key: &str, value: i64) -> ();
    fn delete(key: &str) -> ();
});

dispatch!(notifications {
    fn insert(rows: &[NewNotificationRow<'_>]) -> Vec<Notification>;
    fn users_above(users: &[UserId], max: i64) -> Vec<UserId>;
    fn evict(users: &[UserId], keep: i64, limit: i64) -> Vec<(UserId, NotificationId)>;
    fn retract(chat: ChatId, from_to: (Seq, Seq), limit: i64) -> Vec<(UserId, NotificationId)>;
    fn ranges_above(chat: ChatId, ranges: &[(Seq, Seq)], count: i64) -> Vec<(Seq, Seq)>;
    fn retract_ranges(chat: ChatId, ranges: &[(Seq, Seq)]) -> Vec<(Seq, UserId, NotificationId)>;
    fn unread_in(user: UserId, chats: &[(ChatId, Seq)]) -> Vec<ChatId>;
    fn unread_below_cursors(user: UserId, limit: i64) -> Vec<(ChatId, Seq)>;
    fn mark_read_in(user: UserId, chats: &[(ChatId, Seq)], now: i64) -> ();
    fn of_message(user: UserId, message: MessageId) -> Option<Notification>;
    fn below(user: UserId, before: NotificationId, unread: bool, limit: i64) -> Vec<Notification>;
    fn mark_read(user: UserId, id: Option<NotificationId>, now: i64) -> usize;
    fn exists(user: UserId, id: NotificationId) -> bool;
    fn all_recent(limit: i64, total: i64) -> Vec<Notification>;
});

dispatch!(projects {
    fn project(id: ProjectId) -> Option<Project>;
    fn project_and_role(id: ProjectId, user: UserId) -> Option<(Project, Option<ProjectRole>)>;
    fn all_projects() -> Vec<Project>;
    fn project_named(owner: UserId, name_key: &str) -> Option<ProjectId>;
    fn channels_of_owner(owner: UserId, after: ProjectId, limit: i64) -> Vec<(ProjectId, String, ChatId)>;
    fn project_count_of(owner: UserId) -> i64;
    fn has_active_owner(project: ProjectId) -> bool;
    fn insert_project(row: &NewProjectRow<'_>) -> ProjectId;
    fn bind_channel(chat: ChatId, project: ProjectId) -> ();
    fn set_audience(chat: ChatId, audience: &str) -> ();
    fn close_channel(chat: ChatId, audience: &str, now: i64) -> ();
    fn set_project(id: ProjectId, name: &str, name_key: &str, description: &str, visibility: &str) -> ();
    fn set_project_deleted(id: ProjectId, now: i64) -> ();
    fn set_config(project: ProjectId, config: &str, now: i64) -> ();
    fn member_role(project: ProjectId, user: UserId) -> Option<ProjectRole>;
    fn all_members() -> Vec<(ProjectId, UserId, ProjectRole)>;
    fn member_count(project: ProjectId) -> i64;
    fn set_member(project: ProjectId, user: UserId, role: &str) -> ();
    fn delete_member(project: ProjectId, user: UserId) -> ();
    fn existing(ids: &[ProjectId]) -> Vec<ProjectId>;
    fn delete_memberships(projects: &[ProjectId], user: UserId) -> ();
    fn watches(project: ProjectId, user: UserId) -> bool;
    fn set_watch(project: ProjectId, user: UserId, on: bool) -> ();
    fn all_watchers() -> Vec<(ProjectId, UserId)>;
    fn leave_name(renamed: Renamed, name_key: &str) -> ();
    fn former_name_count(renamed: Renamed) -> i64;
    fn all_former_names() -> Vec<(Renamed, String)>;
});

dispatch!(pushes {
    fn insert(row: &NewPushIntentRow<'_>) -> PushId;
    fn unsettled(id: PushId) -> Option<PushIntent>;
    fn to_settle(id: PushId) -> Option<Settling>;
    fn refs_of(id: PushId) -> Vec<RefUpdate>;
    fn recorded_refs(repository: RepositoryId) -> RecordedRefs;
    fn all_unsettled(node: Option<&NodeName>, limit: i64) -> Vec<PushIntent>;
    fn repositories_unsettled() -> Vec<RepositoryId>;
    fn pending_of(repository: RepositoryId) -> Option<PushId>;
    fn pending_intent_of(repository: RepositoryId) -> Option<PushIntent>;
    fn any_unsettled_of(repositories: &[RepositoryId]) -> bool;
    fn count_attempt(id: PushId) -> Option<i64>;
    fn set_progress(id: PushId, progress: &Progress<'_>) -> ();
    fn settle_all_of(repository: RepositoryId, now: i64) -> ();
});

dispatch!(repositories exports({ACTIVE, CREATING, DELETED, DELETING}) {
    fn repository(id: RepositoryId) -> Option<Repository>;
    fn any_of_project(ids: &[RepositoryId], project: ProjectId) -> bool;
    fn creating(id: RepositoryId) -> Option<Repository>;
    fn in_state(state: &str) -> Vec<Repository>;
    fn all_storage_keys() -> Vec<String>;
    fn repository_named(project: ProjectId, name_key: &str) -> Option<RepositoryId>;
    fn repository_count_of(project: ProjectId) -> i64;
    fn insert_repository(row: &NewRepositoryRow<'_>) -> Repository;
    fn set_state(id: RepositoryId, state: &str) -> ();
    fn set_states(ids: &[RepositoryId], state: &str) -> ();
    fn set_repository(id: RepositoryId, name: &str, name_key: &str, description: &str, default_branch: &str) -> ();
    fn count_push(id: RepositoryId, size_bytes: i64, weight: i64, default_branch: &str) -> ();
    fn set_packed(id: RepositoryId, size_bytes: i64) -> ();
    fn unpacked(node: Option<&NodeName>, at_least: i64, limit: i64) -> Vec<Repository>;
    fn stored_elsewhere(node: &NodeName) -> Vec<(Repository, bool)>;
    fn counts_by_storage(state: &str) -> Vec<(Option<String>, i64)>;
    fn set_storage(ids: &[RepositoryId], from: Option<&NodeName>, to: &NodeName) -> MovedRepositories;
    fn delete_repository(id: RepositoryId) -> ();
    fn of_project(project: ProjectId) -> Vec<RepositoryId>;
});

dispatch!(threads {
    fn join(thread: MessageId, users: &[UserId]) -> ();
    fn follows(thread: MessageId, user: UserId) -> Option<bool>;
    fn set_follows(thread: MessageId, user: UserId, follows: bool) -> ();
    fn followed(user: UserId, range: &ThreadRange, limit: usize) -> ThreadPage;
});

dispatch!(watchers {
    fn recipients(push: AnnouncedPush, after_limit: (UserId, i64), named: &[UserId]) -> Vec<Recipient>;
});

// Cursors of senders that are written with a later commit.
dispatch!(cursors_behind {
    fn catch_up(participants: &mut [(ChatId, Participant)]) -> ();
    fn write_all() -> ();
    fn set_written(message: MessageId) -> ();
});
