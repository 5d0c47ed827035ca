//! The commands that acts run.

use super::super::acts::{Act, ProjectAct, RepositoryAct};
use super::super::made::{a_name, summary_of, to_main, visibility};
use super::{World, queued, start_login};
use crate::actors::writer::commands::WantedRefs;
use crate::actors::writer::commands::{
    AbandonRepository, ActivateRepository, AppendMessage, BeginFile, BeginRepository, ChangePassword,
    CompleteFile, CreateAccessToken, CreateChat, CreateProject, DeleteChat, DeleteEmptyChat, DeleteProject,
    DeleteRepository, DeliverNotifications, EndExpiredTokens, EndLogin, EndOwnLogin, FinishDeletion,
    LeaveChats, Logout, MarkAllRead, MarkNotificationsRead, MarkRead, MarkUnread, Marks, NewChat, OpenPush,
    PurgeChat, RecordMaintenance, RecordTokenUses, RecordWebLoginUses, RemoveFiles, RemoveParticipant,
    ResetPassword, RevokeAccessToken, SetBlock, SetHidden, SetMember, SetNotifyLevel, SetParticipant,
    SetProjectConfig, SetRetention, SetUserActive, SetWatch, SettlePush, TakeOverChat, TrimChat, UpdateChat,
    UpdateMessage, UpdateProfile, UpdateProject, UpdateRepository, WarnOfExpiringTokens,
};
use crate::actors::writer::{Command, CommandError, DbWriterActor, Execution, QueuedCommand, Tx};
use crate::core::actor::{MessageName, NamedMessage};
use crate::domain::access::{AuthMethod, Credential, Scope};
use crate::domain::chat::ChatRole;
use crate::domain::emoji::Emoji;
use crate::domain::file::{BlobHash, Contents, FileName};
use crate::domain::ids::{
    AccessTokenId, ChatId, FileId, LoginId, MessageId, NotificationId, ProjectId, PushId, RepositoryId,
    UserId,
};
use crate::domain::message::{ClientId, Content, MessageUpdate, NewMessage};
use crate::domain::notification::NotifyLevel;
use crate::domain::project::{BranchRule, ProjectConfig, ProjectRole};
use crate::domain::push::{FastForward, PushSummary};
use crate::domain::repository::StorageKey;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::{files, meta, repositories};
use crate::storage::rows::file::Removable;

struct PanicAfterWriting;

impl NamedMessage for PanicAfterWriting {
    type Actor = DbWriterActor;
    const NAME: MessageName = MessageName::unlisted("PanicAfterWriting");
}

impl Command for PanicAfterWriting {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        meta::set(tx.write(), "half", 1)?;
        panic!("injected");
    }
}

impl World {
    /// Returns the job of an act, or `None` when it concerns the cache alone.
    pub(in super::super) fn queued(&mut self, act: &Act) -> Option<Box<dyn QueuedCommand>> {
        Some(match *act {
            Act::Create { by, with, kind } => {
                let (with, name) = (UserId(with), format!("chat {}", rand::random::<u16>()));
                let chat = match kind {
                    0 if with.0 != by => NewChat::Direct { with },
                    0 | 1 => NewChat::Group { name, participants: vec![with] },
                    _ => NewChat::Channel { name, participants: vec![] },
                };
                self.sound(CreateChat { who: self.who(by), chat })
            }
            Act::Alter { by, message, what } => {
                let chat = ChatId(self.chat_of(message));
                let emoji = Emoji::parse(if what > 5 { "+1" } else { "-1" }).unwrap();
                let update = match what % 6 {
                    0 => MessageUpdate::Edit {
                        content: Content::parse(format!("as {what}")).unwrap(),
                        metadata: None,
                    },
                    1 => MessageUpdate::Delete,
                    2 => MessageUpdate::React(emoji),
                    3 => MessageUpdate::Unreact(emoji),
                    4 => MessageUpdate::Pin,
                    _ => MessageUpdate::Unpin,
                };
                let (who, message) = (self.who(by), MessageId(message));
                self.sound(UpdateMessage { who, chat, message, update, within_rate: Ok(()) })
            }
            Act::Level { by, chat, level } => {
                let level = [NotifyLevel::All, NotifyLevel::Mentions, NotifyLevel::None][level];
                self.sound(SetNotifyLevel { who: self.who(by), chat: ChatId(chat), level })
            }
            Act::Keep { by, chat, keep } => {
                let keep = (keep > 0).then_some(keep);
                self.sound(SetRetention { who: self.who(by), chat: ChatId(chat), keep })
            }
            Act::Trim { chat } => self.sound(TrimChat { chat: ChatId(chat) }),
            Act::DeleteChat { by, chat } => self.sound(DeleteChat { who: self.who(by), chat: ChatId(chat) }),
            Act::DeleteEmpty { chat } => {
                self.sound(DeleteEmptyChat { chat: ChatId(chat), before: Timestamp(i64::MAX) })
            }
            Act::Purge { chat } => self.sound(PurgeChat { chat: ChatId(chat) }),
            Act::TakeOver { chat, owner } => {
                self.sound(TakeOverChat { who: self.who(1), chat: ChatId(chat), owner: UserId(owner) })
            }
            Act::ResetPassword { user } => {
                let who = Credential::operator(UserId(0));
                self.sound(ResetPassword { who, user: UserId(user), password_hash: "reset".into() })
            }
            Act::Say { by, chat, key } => {
                let names = if key % 3 == 0 { "@all" } else { "@u1 @u2" };
                let content = Content::parse(format!("say {key} @u{} {names}", key % 6)).unwrap();
                let mut client_id = [key; 16];
                client_id[0] = u8::try_from(by).unwrap();
                client_id[1] = u8::try_from(chat).unwrap();
                let message = NewMessage {
                    client_id: ClientId(client_id),
                    content,
                    reply_to: None,
                    metadata: None,
                    files: Vec::new(),
                };
                self.sound(AppendMessage {
                    who: self.who(by),
                    chat: ChatId(chat),
                    message,
                    within_rate: Ok(()),
                })
            }
            Act::Announce { by, chat } => {
                let (name, who) = (FileName::parse("a.png").unwrap(), self.who(by));
                let chat = ChatId(chat);
                self.sound(BeginFile { who, chat, name, size: 7, node: None, within_rate: Ok(()) })
            }
            Act::Complete { file } => {
                let ((who, _), file) = (self.uploader_of(file), FileId(file));
                let hash = BlobHash([u8::try_from(file.0).unwrap(); 32]);
                let contents = Contents { hash, media_type: "image/png".into(), pixels: Some((1, 2)) };
                self.sound(CompleteFile { who, file, contents })
            }
            Act::Share { file, key } => {
                let (who, chat) = self.uploader_of(file);
                let mut client_id = [100 + key; 16];
                client_id[1] = u8::try_from(file).unwrap();
                let client_id = Some(ClientId(client_id));
                let message = NewMessage::parse(client_id, String::new(), None, None, vec![FileId(file)]);
                let message = message.unwrap();
                self.sound(AppendMessage { who, chat, message, within_rate: Ok(()) })
            }
            Act::RemoveFiles { unbound } => {
                let unbound_before = Timestamp(if unbound { i64::MAX } else { 0 });
                let which = Removable { unbound_before, node: None, any_node_before: Timestamp(0) };
                let found = files::removable(self.executor.connection(), &which, 2).unwrap();
                self.sound(RemoveFiles { files: found, which })
            }
            Act::Add { by, chat, user, role } => {
                let role = [None, Some(ChatRole::Reader), Some(ChatRole::Admin), Some(ChatRole::Owner)]
                    [usize::from(role)];
                self.sound(SetParticipant { who: self.who(by), chat: ChatId(chat), user: UserId(user), role })
            }
            Act::Remove { by, chat, user } => {
                self.sound(RemoveParticipant { who: self.who(by), chat: ChatId(chat), user: UserId(user) })
            }
            Act::Block { by, user, blocks } => {
                self.sound(SetBlock { who: self.who(by), user: UserId(user), blocks, within_rate: Ok(()) })
            }
            Act::LeaveAll { by, adder } => {
                self.sound(LeaveChats { who: self.who(by), added_by: UserId(adder) })
            }
            Act::Rename { by, chat, archived } => {
                let name = Some(format!("name {}", rand::random::<u8>()));
                let (who, chat) = (self.who(by), ChatId(chat));
                self.sound(UpdateChat { who, chat, name, archived: Some(archived) })
            }
            Act::Read { by, chat } => {
                self.sound(MarkRead { who: self.who(by), chat: ChatId(chat), marks: None })
            }
            Act::Unread { by, chat, from } => {
                self.sound(MarkUnread { who: self.who(by), chat: ChatId(chat), from, within_rate: Ok(()) })
            }
            Act::ReadAll { by } => self.sound(MarkAllRead { who: self.who(by), above: ChatId(0) }),
            Act::Hide { by, chat, hidden } => {
                self.sound(SetHidden { who: self.who(by), chat: ChatId(chat), hidden })
            }
            Act::ReadTo { by, chat, seq } => {
                let marks = Some(Marks { read: Some(seq), delivered: None });
                self.sound(MarkRead { who: self.who(by), chat: ChatId(chat), marks })
            }
            Act::Profile { by, n } => {
                let (display_name, email) = (Some(format!("name {n}")), Some(None));
                self.sound(UpdateProfile { who: self.who(by), display_name, email })
            }
            Act::Active { user, active } => {
                self.sound(SetUserActive { who: self.who(1), user: UserId(user), active })
            }
            Act::Logout { by, all } => self.sound(EndLogin {
                who: self.who(by),
                reach: if all { Logout::AllLogins } else { Logout::This },
            }),
            Act::Password { by } => {
                self.sound(ChangePassword { who: self.who(by), password_hash: "other".into() })
            }
            Act::CreateProject { by, name, public } => self.sound(CreateProject {
                who: self.who(by),
                name: a_name(name),
                description: String::new(),
                visibility: visibility(public),
            }),
            Act::Project { by, project, ref what } => self.queued_project(by, ProjectId(project), what),
            Act::Repository { by, repository, ref what } => {
                self.repository_job(by, RepositoryId(repository), what)
            }
            Act::Settle { push, moved, names } => {
                let summary = if moved { summary_of(push, UserId(names)) } else { PushSummary::default() };
                self.sound(SettlePush { push: PushId(push), summary, node: None })
            }
            Act::CreateToken { by, expired, repository } => self.sound(CreateAccessToken {
                who: self.who(by),
                name: "token".into(),
                scopes: vec![Scope::RepoRead],
                repositories: repository.map(|id| vec![RepositoryId(id)]),
                expires_at: expired.then_some(Timestamp(1)),
                hash: rand::random(),
                password_proven: false,
            }),
            Act::UseToken { token, at } => {
                self.sound(RecordTokenUses { uses: vec![(AccessTokenId(token), Timestamp(at))] })
            }
            Act::Login { user, web } => {
                let AuthMethod::Login { token_version, .. } = self.who(user).auth_method else {
                    panic!("every user of the world has logged in")
                };
                let start = start_login(UserId(user), token_version, web);
                self.sound(start)
            }
            // The extension depends on the current time: a late use extends the login.
            Act::UseLogin { login, at } => {
                let at = Timestamp::now().plus_seconds(at * 24 * 3600);
                self.sound(RecordWebLoginUses { uses: vec![(LoginId(login), at)] })
            }
            Act::EndLogin { by, login } => {
                self.sound(EndOwnLogin { who: self.who(by), login: LoginId(login) })
            }
            Act::WarnOfTokens => self.sound(WarnOfExpiringTokens),
            Act::RevokeToken { by, token } => {
                self.sound(RevokeAccessToken { who: self.who(by), token: AccessTokenId(token) })
            }
            Act::ExpireTokens => self.sound(EndExpiredTokens),
            Act::ReadNotification { by, notification } => self.sound(MarkNotificationsRead {
                who: self.who(by),
                notification: notification.map(NotificationId),
            }),
            Act::Deliver => self.sound(DeliverNotifications { only: None }),
            Act::Panic => queued(PanicAfterWriting).0,
            Act::Evict { .. } | Act::Look { .. } | Act::Fetch | Act::Fill | Act::Double | Act::Lose => {
                return None;
            }
        })
    }

    fn queued_project(
        &mut self,
        by: Option<i64>,
        project: ProjectId,
        what: &ProjectAct,
    ) -> Box<dyn QueuedCommand> {
        let who = self.who_in(by, Some(project));
        let update = UpdateProject { who, project, name: None, description: None, visibility: None };
        match *what {
            ProjectAct::Rename { name } => self.sound(UpdateProject { name: Some(a_name(name)), ..update }),
            ProjectAct::Open { public } => {
                self.sound(UpdateProject { visibility: Some(visibility(public)), ..update })
            }
            ProjectAct::Delete => self.sound(DeleteProject { who, project }),
            ProjectAct::Member { user, role } => {
                let role = role.checked_sub(1).map(|role| ProjectRole::ALL[role]);
                self.sound(SetMember { who, project, user: UserId(user), role })
            }
            ProjectAct::Watch { watches } => self.sound(SetWatch { who, project, watches }),
            ProjectAct::Config { protects } => {
                let rule = BranchRule {
                    pattern: "main".into(),
                    push: ProjectRole::Owner,
                    force: true,
                    delete: false,
                };
                let protected_branches = protects.then_some(rule).into_iter().collect();
                let config = ProjectConfig { protected_branches, ..ProjectConfig::default() };
                self.sound(SetProjectConfig { who, project, config })
            }
            ProjectAct::BeginRepository { name } => self.sound(BeginRepository {
                who,
                project,
                name: a_name(name),
                description: String::new(),
                default_branch: None,
                storage_key: StorageKey::fresh(),
                storage: None,
            }),
        }
    }

    fn repository_job(
        &mut self,
        by: Option<i64>,
        repository: RepositoryId,
        what: &RepositoryAct,
    ) -> Box<dyn QueuedCommand> {
        let project = self.models.projects.repository(repository).map(|(state, _)| state.project.id);
        let who = self.who_in(by, project);
        match *what {
            RepositoryAct::Activate => self.sound(ActivateRepository { repository }),
            RepositoryAct::Abandon => self.sound(AbandonRepository { repository }),
            RepositoryAct::Rename { name } => self.sound(UpdateRepository {
                who,
                repository,
                name: Some(a_name(name)),
                description: None,
                default_branch: None,
            }),
            RepositoryAct::Delete => self.sound(DeleteRepository { who, repository, node: None }),
            RepositoryAct::FinishDeletion if project.is_none() => {
                // As the background task does: only repositories that are being deleted.
                let deleting = repositories::in_state(self.executor.connection(), repositories::DELETING);
                match deleting.unwrap().first() {
                    Some(gone) => self.sound(FinishDeletion { repository: gone.id }),
                    None => self.sound(EndExpiredTokens),
                }
            }
            RepositoryAct::FinishDeletion => self.sound(EndExpiredTokens),
            RepositoryAct::Pack => {
                self.sound(RecordMaintenance { repository, size_bytes: i64::from(rand::random::<u16>()) })
            }
            RepositoryAct::OpenPush => self.sound(OpenPush {
                who,
                repository,
                refs: WantedRefs::new(vec![to_main()]).unwrap(),
                checked: None,
                fast_forward: FastForward::Free,
                chat_text: Some("see what I pushed".into()),
                base_url: "http://here".into(),
                node: None,
            }),
        }
    }

    /// Returns the uploader and the chat of a file, if there is one.
    fn uploader_of(&mut self, file: i64) -> (Credential, ChatId) {
        let found = files::by_id(self.executor.connection(), FileId(file)).unwrap();
        found.map_or((self.who(1), ChatId(1)), |file| (self.who(file.uploader_id.0), file.chat_id))
    }

    /// Returns a member, or the owner of the project.
    fn who_in(&self, by: Option<i64>, project: Option<ProjectId>) -> Credential {
        let owner = || self.models.projects.get(project?).map(|state| state.project.owner_id.0);
        self.who(by.or_else(owner).unwrap_or(1))
    }

    /// Returns the job of a command that may be refused and must not fail: no constraint of the
    /// database rejects what the rules of the domain allow.
    fn sound<C: Command>(&mut self, command: C) -> Box<dyn QueuedCommand> {
        let (queued, mut answer) = queued(command);
        self.checks.push(Box::new(move || {
            let failed =
                matches!(answer.try_recv(), Ok(Err(error)) if !matches!(error, CommandError::Refused(_)));
            assert!(!failed, "{} failed", C::NAME.as_str());
        }));
        queued
    }
}
