//! The commands that are counted, each at its widest. The rows are those of `rows.sql`.

use super::{Case, QueuedCommand};
use crate::actors::writer::commands::*;
use crate::core::auth::refresh::RefreshKey;
use crate::domain::access::{Credential, Scope};
use crate::domain::avatar::{Avatar, AvatarOf};
use crate::domain::chat::ChatRole;
use crate::domain::file::{BlobHash, Contents, FileName};
use crate::domain::ids::{
    AccessTokenId, ChatId, FileId, LfsLockId, LfsObjectId, LoginId, MessageId, ProjectId, PushId,
    RepositoryId, UserId,
};
use crate::domain::lfs::LockPath;
use crate::domain::login::LoginClient;
use crate::domain::message::{ClientId, Content, MessageUpdate, NewMessage};
use crate::domain::name::Name;
use crate::domain::node::NodeName;
use crate::domain::notification::NotifyLevel;
use crate::domain::project::{ProjectConfig, ProjectRole, Visibility};
use crate::domain::push::{FastForward, PushSummary, PushedCommit, RefUpdate};
use crate::domain::repository::StorageKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::Username;
use crate::storage::rows::file::Removable;

/// The administrator, who owns what there is.
fn me() -> Credential {
    Credential::login(UserId(1), LoginId(1), 1)
}

const WIDE: ChatId = ChatId(1);
const DIRECT: ChatId = ChatId(301);
const CHANNEL: ChatId = ChatId(402);
/// The project with 200 members and watchers.
const WATCHED: ProjectId = ProjectId(2);
const REPOSITORY: RepositoryId = RepositoryId(103);

fn say(chat: ChatId, text: &str, reply_to: Option<i64>, metadata: Option<&str>) -> AppendMessage {
    let message = NewMessage {
        client_id: ClientId::fresh(),
        content: Content::parse(text.to_owned()).unwrap(),
        reply_to: reply_to.map(MessageId),
        metadata: metadata.map(|text| serde_json::from_str(text).unwrap()),
        files: Vec::new(),
    };
    AppendMessage { who: me(), chat, message, within_rate: Ok(()) }
}

/// A message of another user in another chat.
pub(super) fn warm_up() -> Box<dyn QueuedCommand> {
    let who = Credential::login(UserId(2), LoginId(202), 1);
    Case::of(AppendMessage { who, ..say(ChatId(303), "hello", None, None) }).command
}

fn all_of(people: std::ops::RangeInclusive<i64>) -> Vec<UserId> {
    people.map(UserId).collect()
}

fn names(numbers: std::ops::RangeInclusive<i64>) -> String {
    numbers.map(|n| format!("@user{n} ")).collect()
}

pub(super) fn all() -> Vec<Case> {
    let parts = [
        chats(),
        messages(),
        cursors(),
        accounts(),
        tokens(),
        projects(),
        pushes(),
        maintenance(),
        files(),
        lfs(),
    ];
    parts.into_iter().flatten().collect()
}

/// Commands that notify one user, and several.
pub(super) fn notified() -> [Case; 2] {
    [
        Case::of(say(DIRECT, "hello", None, None)).that("to one user"),
        Case::of(say(WIDE, &names(2..=9), None, None)).that("to eight users"),
    ]
}

fn chats() -> Vec<Case> {
    let (who, chat, user) = (me(), WIDE, UserId(150));
    let group = || NewChat::Group { name: "new".into(), participants: all_of(2..=101) };
    let channel = || NewChat::Channel { name: "new".into(), participants: all_of(2..=101) };
    vec![
        Case::of(CreateChat { who, chat: group() }).that("of 100 users"),
        // Users other than administrators add strangers at a rate.
        Case::of(CreateChat { who, chat: channel() })
            .that("by a stranger")
            .after("UPDATE users SET is_admin = FALSE WHERE id = 1"),
        Case::of(CreateChat { who, chat: NewChat::Direct { with: UserId(3) } }).that("of two users"),
        Case::of(UpdateChat { who, chat, name: Some("other".into()), archived: Some(true) }),
        Case::of(SetParticipant { who, chat, user, role: None }).that("that adds"),
        Case::of(SetParticipant { who, chat, user, role: None })
            .that("that adds a stranger")
            .after("UPDATE users SET is_admin = FALSE WHERE id = 1"),
        Case::of(SetParticipant { who, chat, user: UserId(2), role: Some(ChatRole::Admin) })
            .that("of a role"),
        Case::of(RemoveParticipant { who, chat, user: UserId(2) }).that("of another user"),
        Case::of(RemoveParticipant { who, chat: ChatId(102), user: UserId(1) }).that("of the last owner"),
        Case::of(LeaveChats { who, added_by: UserId(2) }).that("of 80 groups"),
        Case::of(LeaveChats { who, added_by: UserId(2) }).that("of groups and projects").after(
            "UPDATE chat_participants SET added_by = NULL WHERE user_id = 1 AND chat_id > 110;
             UPDATE chat_participants SET added_by = 2 WHERE user_id = 1 AND chat_id > 402",
        ),
        Case::of(SetNotifyLevel { who, chat, level: NotifyLevel::None }),
        Case::of(SetRetention { who, chat, keep: Some(7) }),
        Case::of(DeleteChat { who, chat }),
        Case::of(DeleteEmptyChat { chat: ChatId(302), before: Timestamp(1) }),
        Case::of(TakeOverChat { who, chat: ChatId(303), owner: UserId(3) }),
        Case::of(SetBlock { who, user, blocks: true, within_rate: Ok(()) }),
        Case::of(FollowThread { who, chat, message: MessageId(1), follows: true, within_rate: Ok(()) }),
        Case::of(SetHidden { who, chat: DIRECT, hidden: true })
            .after("UPDATE chats SET last_ordinal = 1 WHERE id = 301"),
    ]
}

fn messages() -> Vec<Case> {
    let (who, chat, message) = (me(), WIDE, MessageId(1));
    let code = r#"{"code": {"repository": "user1/p2/r103", "oid": "1111111111111111111111111111111111111111",
        "path": "src/main.rs", "from": 1, "to": 2}}"#;
    let update = |update| UpdateMessage { who, chat, message, update, within_rate: Ok(()) };
    let edit = MessageUpdate::Edit { content: Content::parse("edited".into()).unwrap(), metadata: None };
    vec![
        Case::of(say(DIRECT, "hello", None, None)).that("to a direct chat"),
        Case::of(say(chat, "hello", None, None)).that("to a group"),
        Case::of(say(chat, &names(2..=9), None, None)).that("with 8 mentions"),
        Case::of(say(chat, &names(2..=50), None, None)).that("with 49 mentions"),
        Case::of(say(chat, "@all", None, None)).that("to all"),
        Case::of(say(chat, &names(2..=3), Some(200), None)).that("that replies"),
        Case::of(say(CHANNEL, "here", None, Some(code))).that("about code"),
        Case::of(update(edit)).that("that edits"),
        Case::of(update(MessageUpdate::Delete)).that("that deletes"),
        Case::of(update(MessageUpdate::Pin)).that("that pins"),
    ]
}

/// Files of the administrator: ten complete ones in the wide chat, ten of a message, one begun, and
/// a hundred that were released.
const FILES: &str = "
    INSERT INTO file_usage (user_id, bytes) SELECT id, 409600 FROM users WHERE id <= 101;
    INSERT INTO files (id, chat_id, uploader_id, name, size, sha256, media_type, created_at, completed_at)
        SELECT id, 1, 1, 'name', 1, randomblob(32), 'image/png', 0, 0 FROM users WHERE id <= 10;
    INSERT INTO files (id, chat_id, uploader_id, message_id, name, size, sha256, media_type, created_at, bound_at)
        SELECT 10 + id, 1, 1, 1, 'name', 1, randomblob(32), 'image/png', 0, 0 FROM users WHERE id <= 10;
    INSERT INTO files (id, chat_id, uploader_id, name, size, created_at) VALUES (21, 1, 1, 'name', 1, 0);
    INSERT INTO files (id, chat_id, uploader_id, name, size, created_at, bound_at)
        SELECT 100 + id, 1, id, 'name', 1, 0, 0 FROM users WHERE id <= 101;
    UPDATE messages SET files = '[{\"id\":11,\"name\":\"name\",\"size\":1,\"type\":\"image/png\"}]' WHERE id = 1";

fn files() -> Vec<Case> {
    let (who, chat) = (me(), WIDE);
    let contents = Contents { hash: BlobHash([1; 32]), media_type: "image/png".into(), pixels: None };
    let name = FileName::parse("name").unwrap();
    let mut shared = say(chat, &names(2..=3), Some(200), None);
    shared.message.files = (1..=10).map(FileId).collect();
    let mut plain = say(chat, "here", None, None);
    plain.message.files = (1..=10).map(FileId).collect();
    let delete = UpdateMessage {
        who,
        chat,
        message: MessageId(1),
        update: MessageUpdate::Delete,
        within_rate: Ok(()),
    };
    let which = Removable {
        unbound_before: Timestamp(1),
        node: Some(NodeName::from("a")),
        any_node_before: Timestamp(1),
    };
    let cases = [
        Case::of(BeginFile { who, chat, name, size: 1, node: None, within_rate: Ok(()) }),
        Case::of(CompleteFile { who, file: FileId(21), contents }),
        Case::of(DropFile { who, file: FileId(1) }),
        Case::of(MoveFiles {
            files: (102..=201).map(FileId).collect(),
            from: Some(NodeName::from("a")),
            to: NodeName::from("b"),
        }),
        Case::of(ReleaseFiles { messages: (1..=100).map(MessageId).collect() }),
        Case::of(RemoveFiles { files: (102..=201).map(FileId).collect(), which }).that("of 100 users"),
        Case::of(shared).that("that replies with 10 files"),
        Case::of(plain).that("with 10 files"),
        Case::of(delete).that("that deletes files"),
    ];
    cases.map(|case| case.after(FILES)).into_iter().collect()
}

/// Objects of the administrator in the first repository and in a deleted one, and a lock of another
/// user.
const LFS: &str = "
    UPDATE repositories SET state = 'deleted', lfs_bytes = 4096 * 101 WHERE id = 202;
    INSERT INTO lfs_objects (id, repository_id, oid, size, media_type, uploader_id, created_at)
        SELECT id, 202, randomblob(32), 1, 'image/png', 1, 0 FROM users WHERE id <= 101;
    INSERT INTO lfs_locks (id, repository_id, path, user_id, created_at) VALUES (1, 103, 'a', 2, 0);
    INSERT INTO lfs_locks (repository_id, path, user_id, created_at)
        SELECT 202, 'path ' || id, 1, 0 FROM users WHERE id <= 101";

fn lfs() -> Vec<Case> {
    let (who, repository) = (me(), REPOSITORY);
    let contents = Contents { hash: BlobHash([1; 32]), media_type: "image/png".into(), pixels: None };
    let cases = [
        Case::of(AddLfsObject { who, repository, contents, size: 1, node: None, is_known_to_nodes: Ok(()) }),
        Case::of(RemoveLfsObjects { objects: (1..=100).map(LfsObjectId).collect() }).that("of 100 objects"),
        Case::of(CreateLfsLock { who, repository, path: LockPath::parse("b").unwrap(), within_rate: Ok(()) }),
        Case::of(DeleteLfsLock { who, repository, lock: LfsLockId(1), is_forced: true }),
        Case::of(FinishDeletion { repository: RepositoryId(202) }).that("with 100 locks"),
    ];
    cases.map(|case| case.after(LFS)).into_iter().collect()
}

fn cursors() -> Vec<Case> {
    let who = me();
    let mark = Marks { read: Some(1), delivered: None };
    // A statement moves the cursors of a chat once.
    let marks = (101..=220).chain(101..=220).map(|chat| (ChatId(chat), mark)).collect();
    vec![
        Case::of(MarkRead { who, chat: ChatId(101), marks: None }),
        Case::of(MergeMarks { who, marks }).that("in 120 chats"),
        Case::of(MergeMarks { who, marks: vec![(ChatId(101), mark)] }).that("in a chat"),
        Case::of(MarkUnread { who, chat: ChatId(221), from: 1, within_rate: Ok(()) }),
        Case::of(MarkAllRead { who, above: ChatId(0) }).that("in 120 chats"),
        Case::of(MarkNotificationsRead { who, notification: None }),
    ]
}

fn avatar_of(of: AvatarOf) -> Case {
    let avatar = Avatar { version: "new".into(), media_type: "image/png".into(), bytes: vec![0; 1024] };
    Case::of(SetAvatar { who: me(), of, avatar: Some(avatar) })
}

fn accounts() -> Vec<Case> {
    let (who, user, password_hash) = (me(), UserId(3), String::from("hash"));
    let third = Credential::login(user, LoginId(2), 1);
    let new = |name: &str| NewUser {
        username: Username::parse(name).unwrap(),
        display_name: name.into(),
        email: None,
        password_hash: "hash".into(),
    };
    let secret = LoginSecret::Refresh([1; 32]);
    let key = RefreshKey::new(b"secret", 1);
    vec![
        Case::of(RegisterUser { user: new("newcomer"), open: true, setup: None }),
        Case::of(AddUser { who, user: new("newcomer"), is_admin: true }),
        Case::of(SetUserActive { who, user, active: false }).that("with 100 logins and tokens"),
        Case::of(SetUserAdmin { who, user, is_admin: true }),
        Case::of(RenameUser { who, user, name: Username::parse("renamed").unwrap() }),
        Case::of(ResetPassword { who, user, password_hash: password_hash.clone() })
            .that("with 100 logins and tokens"),
        Case::of(ChangePassword { who: third, password_hash: password_hash.clone() })
            .that("with 100 logins and tokens")
            .after("UPDATE access_tokens SET created_at = 4102444800000"),
        Case::of(RehashPassword { user, old: "".into(), password_hash }),
        avatar_of(AvatarOf::User(who.user)).that("of a user"),
        avatar_of(AvatarOf::Project(WATCHED)).that("of a project"),
        avatar_of(AvatarOf::Chat(WIDE)).that("of a chat"),
        Case::of(UpdateProfile { who, display_name: Some("other".into()), email: None }),
        Case::of(StartLogin { user, token_version: 1, secret, client: LoginClient::default() }),
        Case::of(RefreshLogin { presented: [0; 32], key }),
        Case::of(EndLogin { who: third, reach: Logout::Everything }).that("with 100 logins and tokens"),
        Case::of(EndOwnLogin { who: third, login: LoginId(3) }),
        Case::of(RecordWebLoginUses {
            uses: (2..=101).chain(2..=101).map(|id| (LoginId(id), Timestamp::now())).collect(),
        }),
        Case::of(EndExpiredLogins),
    ]
}

fn tokens() -> Vec<Case> {
    let who = Credential::login(UserId(3), LoginId(2), 1);
    let uses = (1..=100).chain(1..=100).map(|id| (AccessTokenId(id), Timestamp(1))).collect();
    vec![
        Case::of(CreateAccessToken {
            who: me(),
            name: "token".into(),
            scopes: vec![Scope::RepoRead],
            repositories: None,
            expires_at: None,
            hash: [1; 32],
            password_proven: false,
        }),
        Case::of(RevokeAccessToken { who, token: AccessTokenId(1) }),
        Case::of(RevokeAllAccessTokens { who }),
        Case::of(EndExpiredTokens),
        Case::of(RecordTokenUses { uses }),
        Case::of(WarnOfExpiringTokens).that("of 100 users"),
    ]
}

fn projects() -> Vec<Case> {
    let (who, project, repository) = (me(), WATCHED, REPOSITORY);
    let (name, description) = (Name::parse("other").unwrap(), String::from("text"));
    let token = Credential {
        user: UserId(1),
        auth_method: crate::domain::access::AuthMethod::Token(AccessTokenId(1)),
    };
    vec![
        Case::of(CreateProject {
            who,
            name: name.clone(),
            description: description.clone(),
            visibility: Visibility::Public,
        }),
        Case::of(UpdateProject {
            who,
            project,
            name: Some(name.clone()),
            description: None,
            visibility: Some(Visibility::Public),
        }),
        Case::of(DeleteProject { who, project: ProjectId(1) }).that("of 100 repositories"),
        Case::of(SetProjectConfig {
            who,
            project,
            config: ProjectConfig { default_branch: "trunk".into(), ..ProjectConfig::default() },
        }),
        Case::of(SetMember { who, project: ProjectId(3), user: UserId(4), role: Some(ProjectRole::Writer) })
            .that("that adds"),
        Case::of(SetMember { who, project, user: UserId(4), role: None }).that("that removes"),
        Case::of(SetWatch { who, project, watches: false }),
        Case::of(SetWatch { who: token, project, watches: false })
            .that("with a token of 100 repositories")
            .after(
                "UPDATE access_tokens SET user_id = 1, scopes = 'repo:read chat:write',
                     repositories = (SELECT json_group_array(id) FROM repositories WHERE id <= 101) WHERE id = 1",
            ),
        Case::of(TakeOverProject { who, project: ProjectId(120), owner: UserId(2) }),
        Case::of(RenameChannels { who, owner: UserId(1), after: ProjectId(0) }),
        Case::of(BeginRepository {
            who,
            project,
            name: name.clone(),
            description,
            default_branch: None,
            storage_key: StorageKey::fresh(),
            storage: None,
        }),
        Case::of(ActivateRepository { repository: RepositoryId(201) }),
        Case::of(AbandonRepository { repository: RepositoryId(201) }),
        Case::of(UpdateRepository {
            who,
            repository,
            name: Some(name),
            description: None,
            default_branch: None,
        }),
        Case::of(DeleteRepository { who, repository, node: Some(NodeName::from("other")) }),
        Case::of(FinishDeletion { repository: RepositoryId(202) }),
        Case::of(RecordMaintenance { repository, size_bytes: 1 }),
        Case::of(MoveRepositories {
            repositories: (1..=400).map(RepositoryId).collect(),
            from: None,
            to: NodeName::from("other"),
        }),
    ]
}

fn pushes() -> Vec<Case> {
    let update = RefUpdate { name: "refs/heads/main".into(), old: None, new: Some("1".repeat(40)) };
    let commit = PushedCommit { oid: "1".repeat(40), summary: "a commit".into(), author: "x".into() };
    let settle = |push, summary| Case::of(SettlePush { push: PushId(push), summary, node: None });
    let summary = || PushSummary {
        refs: vec![update.clone()],
        ref_count: 1,
        commits: vec![commit.clone()],
        commit_count: 1,
        mentioned: all_of(190..=210),
        size_bytes: 1,
        default_branch: Some("trunk".into()),
    };
    vec![
        Case::of(OpenPush {
            who: me(),
            repository: REPOSITORY,
            refs: WantedRefs::new(vec![update.clone()]).unwrap(),
            checked: None,
            fast_forward: FastForward::All,
            chat_text: Some("text".into()),
            base_url: String::new(),
            node: None,
        }),
        settle(1, summary()).that("with 200 watchers"),
        settle(2, summary()).that("of the next 200 watchers"),
        settle(1, PushSummary::default()).that("of nothing"),
        Case::of(CountAttempt { push: PushId(1) }),
    ]
}

fn maintenance() -> Vec<Case> {
    let deliver = |id| DeliverNotifications { only: Some(id) };
    vec![
        Case::of(TrimChat { chat: WIDE }).that("of 100 messages"),
        Case::of(TrimChat { chat: WIDE }).that("again").after(
            "UPDATE chats SET trimmed_seq = 150, trimmed_ordinal = 150, trim_again_above = 0 WHERE id = 1",
        ),
        Case::of(TrimChat { chat: WIDE })
            .that("at its end")
            .after("UPDATE chats SET retention = NULL, trim_untold = 1 WHERE id = 1"),
        Case::of(PurgeChat { chat: ChatId(304) }),
        Case::of(DeliverNotifications { only: None }),
        Case::of(deliver(1)).that("to 50 named users"),
        Case::of(deliver(2)).that("to 100 members"),
        Case::of(deliver(3)).that("to followers"),
        Case::of(deliver(4)).that("of removed messages"),
        Case::of(CountDeliveryAttempt),
    ]
}
