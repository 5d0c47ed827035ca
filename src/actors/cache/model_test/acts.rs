//! The possible acts: on chats and accounts, on projects and repositories, and on the cache itself.

use proptest::prelude::*;

pub(super) const USERS: i64 = 4;
/// Names of projects and repositories: few, so that they are taken, released and taken again, in
/// either case.
pub(super) const NAMES: [&str; 4] = ["a", "b", "B", "c"];

/// One possible act.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Create {
        by: i64,
        with: i64,
        kind: u8,
    },
    Say {
        by: i64,
        chat: i64,
        key: u8,
    },
    /// Announces a file of a chat.
    Announce {
        by: i64,
        chat: i64,
    },
    /// By the uploader.
    Complete {
        file: i64,
    },
    /// Posts a file, by its uploader.
    Share {
        file: i64,
        key: u8,
    },
    /// Removes released files, and others that no message has.
    RemoveFiles {
        unbound: bool,
    },
    /// `what`: edit, delete, react, unreact, pin or unpin.
    Alter {
        by: i64,
        message: i64,
        what: u8,
    },
    Add {
        by: i64,
        chat: i64,
        user: i64,
        role: u8,
    },
    Remove {
        by: i64,
        chat: i64,
        user: i64,
    },
    Rename {
        by: i64,
        chat: i64,
        archived: bool,
    },
    Read {
        by: i64,
        chat: i64,
    },
    /// Marks messages as unread.
    Unread {
        by: i64,
        chat: i64,
        from: i64,
    },
    ReadAll {
        by: i64,
    },
    Hide {
        by: i64,
        chat: i64,
        hidden: bool,
    },
    /// Reads a part of the chat.
    ReadTo {
        by: i64,
        chat: i64,
        seq: i64,
    },
    Level {
        by: i64,
        chat: i64,
        level: usize,
    },
    Block {
        by: i64,
        user: i64,
        blocks: bool,
    },
    /// Leaves all chats to which `adder` added `by`.
    LeaveAll {
        by: i64,
        adder: i64,
    },
    /// How many messages a chat keeps; 0: all.
    Keep {
        by: i64,
        chat: i64,
        keep: i64,
    },
    Trim {
        chat: i64,
    },
    DeleteChat {
        by: i64,
        chat: i64,
    },
    /// Removes an archived chat without participants.
    DeleteEmpty {
        chat: i64,
    },
    Purge {
        chat: i64,
    },
    /// By the administrator.
    TakeOver {
        chat: i64,
        owner: i64,
    },
    /// By the operator of the machine.
    ResetPassword {
        user: i64,
    },
    Profile {
        by: i64,
        n: u8,
    },
    /// By the administrator, who is the first user.
    Active {
        user: i64,
        active: bool,
    },
    Logout {
        by: i64,
        all: bool,
    },
    Password {
        by: i64,
    },
    CreateProject {
        by: i64,
        name: usize,
        public: bool,
    },
    /// By a member, or (`None`) by the owner of the project.
    Project {
        by: Option<i64>,
        project: i64,
        what: ProjectAct,
    },
    Repository {
        by: Option<i64>,
        repository: i64,
        what: RepositoryAct,
    },
    /// The outcome of a push, if it was opened: whether refs `moved`, and the user named by its
    /// commits.
    Settle {
        push: i64,
        moved: bool,
        names: i64,
    },
    CreateToken {
        by: i64,
        expired: bool,
        repository: Option<i64>,
    },
    RevokeToken {
        by: i64,
        token: i64,
    },
    UseToken {
        token: i64,
        at: i64,
    },
    /// Starts another login, of a browser or with refresh tokens.
    Login {
        user: i64,
        web: bool,
    },
    UseLogin {
        login: i64,
        at: i64,
    },
    EndLogin {
        by: i64,
        login: i64,
    },
    WarnOfTokens,
    ExpireTokens,
    ReadNotification {
        by: i64,
        notification: Option<i64>,
    },
    /// A slice of the pending notifications of messages.
    Deliver,
    /// A command that panics after its first write.
    Panic,
    Evict {
        chat: i64,
    },
    /// Reads a chat: a miss starts a fill.
    Look {
        chat: i64,
    },
    /// The oldest pending fill reads now, and delivers later.
    Fetch,
    /// The rows that were read are installed; or the oldest fill is read and installed at once.
    Fill,
    /// The last batch arrives once more.
    Double,
    /// A batch is lost on its way to the cache.
    Lose,
}

#[derive(Debug, Clone)]
pub(super) enum ProjectAct {
    Rename {
        name: usize,
    },
    Open {
        public: bool,
    },
    Delete,
    /// 0 removes the user.
    Member {
        user: i64,
        role: usize,
    },
    Watch {
        watches: bool,
    },
    Config {
        protects: bool,
    },
    BeginRepository {
        name: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) enum RepositoryAct {
    Activate,
    Abandon,
    Rename { name: usize },
    Delete,
    FinishDeletion,
    Pack,
    OpenPush,
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![4 => chat_act(), 5 => project_act(), 1 => cache_act()]
}

fn chat_act() -> impl Strategy<Value = Act> {
    let (by, chat, user) = (1..=USERS, 1..9i64, 1..=USERS);
    prop_oneof![
        2 => (by.clone(), user.clone(), 0..3u8).prop_map(|(by, with, kind)| Act::Create { by, with, kind }),
        8 => (by.clone(), chat.clone(), 0..40u8).prop_map(|(by, chat, key)| Act::Say { by, chat, key }),
        3 => (by.clone(), chat.clone()).prop_map(|(by, chat)| Act::Announce { by, chat }),
        3 => (1..9i64).prop_map(|file| Act::Complete { file }),
        4 => (1..9i64, 0..4u8).prop_map(|(file, key)| Act::Share { file, key }),
        1 => any::<bool>().prop_map(|unbound| Act::RemoveFiles { unbound }),
        6 => (by.clone(), 1..12i64, 0..12u8).prop_map(|(by, message, what)| Act::Alter { by, message, what }),
        3 => (by.clone(), chat.clone(), user.clone(), 0..4u8).prop_map(|(by, chat, user, role)| Act::Add { by, chat, user, role }),
        2 => (by.clone(), chat.clone(), user.clone()).prop_map(|(by, chat, user)| Act::Remove { by, chat, user }),
        1 => (by.clone(), user.clone(), any::<bool>()).prop_map(|(by, user, blocks)| Act::Block { by, user, blocks }),
        1 => (by.clone(), user).prop_map(|(by, adder)| Act::LeaveAll { by, adder }),
        1 => (by.clone(), chat.clone(), any::<bool>()).prop_map(|(by, chat, archived)| Act::Rename { by, chat, archived }),
        2 => (by.clone(), chat.clone()).prop_map(|(by, chat)| Act::Read { by, chat }),
        2 => (by.clone(), chat, 1..12i64).prop_map(|(by, chat, seq)| Act::ReadTo { by, chat, seq }),
        2 => (by.clone(), 1..9i64, 1..12i64).prop_map(|(by, chat, from)| Act::Unread { by, chat, from }),
        1 => by.clone().prop_map(|by| Act::ReadAll { by }),
        1 => (by.clone(), 1..9i64, any::<bool>()).prop_map(|(by, chat, hidden)| Act::Hide { by, chat, hidden }),
        1 => (by.clone(), 1..9i64, 0..3usize).prop_map(|(by, chat, level)| Act::Level { by, chat, level }),
        3 => (by.clone(), 1..9i64, 0..4i64).prop_map(|(by, chat, keep)| Act::Keep { by, chat, keep }),
        3 => (1..9i64).prop_map(|chat| Act::Trim { chat }),
        1 => (1..=USERS).prop_map(|user| Act::ResetPassword { user }),
        1 => (1..=USERS, 1..9i64).prop_map(|(by, chat)| Act::DeleteChat { by, chat }),
        1 => (1..9i64).prop_map(|chat| Act::DeleteEmpty { chat }),
        1 => (1..9i64).prop_map(|chat| Act::Purge { chat }),
        2 => (1..9i64, 1..=USERS).prop_map(|(chat, owner)| Act::TakeOver { chat, owner }),
        1 => (by.clone(), any::<u8>()).prop_map(|(by, n)| Act::Profile { by, n }),
        2 => (2..=USERS, prop_oneof![1 => Just(false), 3 => Just(true)]).prop_map(|(user, active)| Act::Active { user, active }),
        1 => (by.clone(), any::<bool>()).prop_map(|(by, all)| Act::Logout { by, all }),
        1 => by.prop_map(|by| Act::Password { by }),
        3 => Just(Act::Deliver),
        2 => Just(Act::Panic),
    ]
}

/// Mostly the owner, who has the permission.
fn actor() -> impl Strategy<Value = Option<i64>> + Clone {
    prop_oneof![3 => Just(None), 1 => (1..=USERS).prop_map(Some)]
}

fn project_act() -> impl Strategy<Value = Act> {
    let (by, name) = (1..=USERS, 0..NAMES.len());
    let on_project = (actor(), 1..7i64, on_project());
    let on_repository = (actor(), 1..7i64, on_repository());
    prop_oneof![
        2 => (by.clone(), name, any::<bool>()).prop_map(|(by, name, public)| Act::CreateProject { by, name, public }),
        10 => on_project.prop_map(|(by, project, what)| Act::Project { by, project, what }),
        10 => on_repository.prop_map(|(by, repository, what)| Act::Repository { by, repository, what }),
        5 => (1..9i64, any::<bool>(), 1..=USERS).prop_map(|(push, moved, names)| Act::Settle { push, moved, names }),
        2 => (by.clone(), any::<bool>(), proptest::option::of(1..7i64)).prop_map(|(by, expired, repository)| Act::CreateToken { by, expired, repository }),
        1 => (by.clone(), 1..6i64).prop_map(|(by, token)| Act::RevokeToken { by, token }),
        2 => (1..6i64, 1..9i64).prop_map(|(token, at)| Act::UseToken { token, at }),
        2 => (by.clone(), any::<bool>()).prop_map(|(user, web)| Act::Login { user, web }),
        2 => (1..20i64, 1..9i64).prop_map(|(login, at)| Act::UseLogin { login, at }),
        1 => (by.clone(), 1..20i64).prop_map(|(by, login)| Act::EndLogin { by, login }),
        1 => Just(Act::WarnOfTokens),
        1 => Just(Act::ExpireTokens),
        3 => (by, proptest::option::of(1..20i64)).prop_map(|(by, notification)| Act::ReadNotification { by, notification }),
    ]
}

fn on_project() -> impl Strategy<Value = ProjectAct> {
    let name = 0..NAMES.len();
    prop_oneof![
        3 => name.clone().prop_map(|name| ProjectAct::Rename { name }),
        2 => any::<bool>().prop_map(|public| ProjectAct::Open { public }),
        1 => Just(ProjectAct::Delete),
        4 => (1..=USERS, 0..5usize).prop_map(|(user, role)| ProjectAct::Member { user, role }),
        2 => any::<bool>().prop_map(|watches| ProjectAct::Watch { watches }),
        1 => any::<bool>().prop_map(|protects| ProjectAct::Config { protects }),
        4 => name.prop_map(|name| ProjectAct::BeginRepository { name }),
    ]
}

fn on_repository() -> impl Strategy<Value = RepositoryAct> {
    prop_oneof![
        8 => Just(RepositoryAct::Activate),
        1 => Just(RepositoryAct::Abandon),
        3 => (0..NAMES.len()).prop_map(|name| RepositoryAct::Rename { name }),
        1 => Just(RepositoryAct::Delete),
        1 => Just(RepositoryAct::FinishDeletion),
        1 => Just(RepositoryAct::Pack),
        6 => Just(RepositoryAct::OpenPush),
    ]
}

fn cache_act() -> impl Strategy<Value = Act> {
    let chat = 1..9i64;
    prop_oneof![
        2 => chat.clone().prop_map(|chat| Act::Evict { chat }),
        3 => chat.prop_map(|chat| Act::Look { chat }),
        2 => Just(Act::Fetch),
        3 => Just(Act::Fill),
        1 => Just(Act::Double),
        1 => Just(Act::Lose),
    ]
}
