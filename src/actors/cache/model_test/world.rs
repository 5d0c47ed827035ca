//! A server without threads, and the execution of each act in it.

mod commands;

use diesel::prelude::*;

use super::super::chats::{Fill, Lookup};
use super::super::read_models::{Applied, ReadModels};
use super::acts::{Act, USERS};
use crate::actors::writer::commands::{LoginSecret, NewUser, RegisterUser, StartLogin};
use crate::actors::writer::{
    Batch, BatchExecutor, Command, CommandError, CommitMetrics, PendingCommand, QueuedCommand,
};
use crate::core::actor::Reply;
use crate::core::config::Synchronous;
use crate::core::database::{self, Db};
use crate::core::limits::Limits;
use crate::domain::access::Credential;
use crate::domain::event_page::EventRange;
use crate::domain::ids::{ChatId, LoginId, MessageId, UserId};
use crate::domain::login::LoginClient;
use crate::domain::user::Username;
use crate::storage::queries::{fan_outs, messages};
use crate::storage::snapshot::{self, WindowRows};

const WINDOW: usize = 5;
/// Space for a few windows, so that evictions also happen without injection.
const WINDOW_BYTES: usize = 6_000;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    value: i64,
}

/// A server without threads: the executor, the read models, and a separate reader.
pub(super) struct World {
    pub(super) executor: BatchExecutor,
    pub(super) models: ReadModels,
    reader: Db,
    pub(super) fills: Vec<Fill>,
    /// Rows that a fill has read and not delivered yet.
    held: Option<(Fill, WindowRows)>,
    logins: Vec<Credential>,
    pub(super) reloads: usize,
    pub(super) lose_next: bool,
    /// Checks of the answers of the next batch.
    checks: Vec<Box<dyn FnOnce()>>,
    _dir: Option<tempfile::TempDir>,
}

/// The parts of a node that does not run commands now.
pub(super) struct Node {
    executor: BatchExecutor,
    models: ReadModels,
    fills: Vec<Fill>,
    held: Option<(Fill, WindowRows)>,
}

pub(super) type Answer<C> = tokio::sync::oneshot::Receiver<Result<<C as Command>::Output, CommandError>>;

pub(super) fn queued<C: Command>(command: C) -> (Box<dyn QueuedCommand>, Answer<C>) {
    let (reply, answer) = Reply::channel();
    (Box::new(PendingCommand::new(command, None, reply)), answer)
}

pub(super) fn start_login(user: UserId, token_version: i64, web: bool) -> StartLogin {
    let hash = rand::random();
    let secret = if web { LoginSecret::Web(hash) } else { LoginSecret::Refresh(hash) };
    StartLogin { user, token_version, secret, client: LoginClient::default() }
}

/// Small limits, so that acts reach them.
pub(super) fn limits() -> Limits {
    Limits {
        projects_per_user: 3,
        repositories_per_project: 3,
        access_tokens_per_user: 3,
        notifications_per_user: 2,
        notifications_per_command: 2,
        notifications_per_message: 1,
        blocks_per_user: 2,
        purged_per_command: 3,
        trimmed_per_command: 2,
        left_per_command: 2,
        rates: false,
        ..Limits::default()
    }
}

impl World {
    /// Creates a world with small limits, so that acts reach them.
    pub(super) fn new() -> Self {
        Self::with(limits())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        // Durability is not tested here.
        let mut db = database::open_writer(&path, Synchronous::Normal).unwrap();
        database::migrate(&mut db, &path).unwrap();
        let reader = Db::Sqlite(database::open_reader(&path).unwrap());
        Self::on(db.into(), reader, limits, Some(dir))
    }

    /// Creates a world on an empty database.
    pub(super) fn on(db: Db, mut reader: Db, limits: Limits, dir: Option<tempfile::TempDir>) -> Self {
        let models = ReadModels::load(
            snapshot::load(&mut reader, WINDOW, WINDOW_BYTES).unwrap(),
            WINDOW,
            WINDOW_BYTES,
        );
        let limits = Limits { batch_ms: 60_000, logins_per_user: 2, ..limits };
        let executor = BatchExecutor::new(db, limits, CommitMetrics::default()).unwrap();
        let mut world = Self {
            executor,
            models,
            reader,
            fills: Vec::new(),
            held: None,
            logins: Vec::new(),
            reloads: 0,
            lose_next: false,
            checks: Vec::new(),
            _dir: dir,
        };
        for n in 1..=USERS {
            let username = Username::parse(&format!("u{n}")).unwrap();
            let (display_name, password_hash) = ("x".into(), "hash".into());
            let user = NewUser { username, display_name, email: None, password_hash };
            let (new, _) = queued(RegisterUser { user, open: true, setup: (n == 1).then_some(0) });
            world.run(vec![new]);
            world.login(UserId(n), 1);
        }
        world
    }

    /// Returns another node of the same database, with its own connection.
    pub(super) fn node(&mut self, db: Db, number: i16, limits: Limits) -> Node {
        let limits = Limits { batch_ms: 60_000, logins_per_user: 2, ..limits };
        let executor = BatchExecutor::new(db, limits, CommitMetrics::default()).unwrap().on_node(number);
        Node { executor, models: self.fresh(), fills: Vec::new(), held: None }
    }

    /// Exchanges the running node.
    pub(super) fn switch(&mut self, node: &mut Node) {
        std::mem::swap(&mut self.executor, &mut node.executor);
        std::mem::swap(&mut self.models, &mut node.models);
        std::mem::swap(&mut self.fills, &mut node.fills);
        std::mem::swap(&mut self.held, &mut node.held);
    }

    /// Reads the commits of other nodes.
    pub(super) fn read_log(&mut self) {
        let batch = self.executor.read_log().unwrap();
        self.publish(batch);
    }

    fn login(&mut self, user: UserId, token_version: i64) {
        // Users with even ids log in with a browser.
        let (login, mut answer) = queued(start_login(user, token_version, user.0 % 2 == 0));
        self.run(vec![login]);
        let login = answer.try_recv().unwrap().unwrap_or(LoginId(0));
        self.logins.retain(|who| who.user != user);
        self.logins.push(Credential::login(user, login, token_version));
    }

    /// Returns the chat that a message is in, if there is one.
    fn chat_of(&mut self, message: i64) -> i64 {
        let found = messages::by_ids(&mut self.reader, &[MessageId(message)]).unwrap();
        found.first().map_or(1, |message| message.chat_id.0)
    }

    pub(super) fn who(&self, user: i64) -> Credential {
        *self.logins.iter().find(|who| who.user.0 == user).unwrap()
    }

    /// Runs a batch and passes the committed events to the read models, as the writer does.
    pub(super) fn run(&mut self, commands: Vec<Box<dyn QueuedCommand>>) {
        let batch = self.executor.run(commands);
        self.publish(batch);
    }

    fn publish(&mut self, mut batch: Batch) {
        assert!(batch.fatal.is_none() && batch.left.is_empty());
        let reloads = self.reloads;
        if batch.reload {
            self.reload();
        }
        for other in batch.others.drain(..) {
            match self.models.apply(other.commit_no, &other.events, &mut Vec::new()) {
                Applied::Yes => {}
                Applied::Old => assert!(self.reloads > reloads, "a new commit is never old"),
                Applied::Gap => self.reload(),
            }
        }
        if let Some(committed) = batch.committed.take() {
            if std::mem::take(&mut self.lose_next) {
                return self.answered(batch);
            }
            match self.models.apply(committed.commit_no, &committed.events, &mut Vec::new()) {
                Applied::Yes => {
                    let again = self.models.apply(committed.commit_no, &committed.events, &mut Vec::new());
                    assert_eq!(again, Applied::Old, "a doubled batch changes nothing");
                }
                Applied::Old => assert!(self.reloads > reloads, "a new batch is never old"),
                Applied::Gap => self.reload(),
            }
            self.models.chats.evict(None);
        }
        self.answered(batch);
    }

    fn answered(&mut self, batch: Batch) {
        batch.answer();
        for check in self.checks.drain(..) {
            check();
        }
    }

    fn reload(&mut self) {
        self.reloads += 1;
        self.fills.clear();
        self.held = None;
        self.models = self.fresh();
    }

    pub(super) fn fresh(&mut self) -> ReadModels {
        let snapshot = snapshot::load(&mut self.reader, WINDOW, WINDOW_BYTES).unwrap();
        ReadModels::load(snapshot, WINDOW, WINDOW_BYTES)
    }

    /// Processes the pending notifications of messages. No notification of a deleted message
    /// remains.
    pub(super) fn deliver_all(&mut self) {
        while fan_outs::next(self.executor.connection()).unwrap().is_some() {
            let slice = self.queued(&Act::Deliver);
            self.run(slice.into_iter().collect());
        }
        let of_deleted = diesel::sql_query(
            "SELECT count(*) AS value FROM notifications JOIN messages ON messages.id = message_id \
             WHERE messages.deleted_at IS NOT NULL",
        );
        let of_deleted: Number = match &mut self.reader {
            Db::Sqlite(db) => of_deleted.get_result(db).unwrap(),
            Db::Postgres(db) => of_deleted.get_result(&mut db.queries).unwrap(),
        };
        assert_eq!(of_deleted.value, 0);
    }

    pub(super) fn window_rows(&mut self, chat: ChatId) -> WindowRows {
        snapshot::load_window(&mut self.reader, chat, WINDOW).unwrap()
    }

    pub(super) fn do_to_cache(&mut self, act: &Act) {
        match *act {
            Act::Evict { chat } => self.models.chats.evict_one(ChatId(chat)),
            Act::Look { chat } => {
                let range = EventRange { before: None, after: None, limit: 3, messages_only: true };
                if let Lookup::Missing(Some(fill)) = self.models.chats.page(ChatId(chat), &range) {
                    self.fills.push(fill);
                }
            }
            Act::Fetch if self.held.is_none() => self.held = self.read_next(),
            Act::Fill => {
                if let Some((fill, rows)) = self.held.take().or_else(|| self.read_next()) {
                    self.models.chats.filled(fill, rows).unwrap();
                    self.models.chats.evict(None);
                }
            }
            Act::Lose => self.lose_next = true,
            _ => {}
        }
    }

    /// Returns the rows that the oldest pending fill reads now.
    fn read_next(&mut self) -> Option<(Fill, WindowRows)> {
        let fill = (!self.fills.is_empty()).then(|| self.fills.remove(0))?;
        Some((fill, self.window_rows(fill.chat)))
    }

    /// Logs in again every user who was logged out.
    pub(super) fn heal_logins(&mut self) {
        for user in 1..=USERS {
            let user = UserId(user);
            let row =
                crate::storage::queries::accounts::user(self.executor.connection(), user).unwrap().unwrap();
            let who = self.who(user.0);
            let live = crate::storage::queries::accounts::credential_is_live(
                self.executor.connection(),
                user,
                who.auth_method.login().unwrap(),
                row.token_version,
            );
            if who != Credential::login(who.user, who.auth_method.login().unwrap(), row.token_version)
                || !live.unwrap()
            {
                self.login(user, row.token_version);
            }
        }
    }
}
