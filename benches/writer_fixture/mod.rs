//! A writer on a database with one user and one chat, for benchmarks and for the test that counts
//! allocations.

use netbit::actors::commit::Committed;
use netbit::actors::writer::commands::{
    AppendMessage, Appended, CreateChat, LoginSecret, NewChat, NewUser, RegisterUser, StartLogin,
};
use netbit::actors::writer::{
    BatchExecutor, Command, CommandError, CommitMetrics, PendingCommand, QueuedCommand,
};
use netbit::core::actor::Reply;
use netbit::core::config::Synchronous;
use netbit::core::{auth, database, limits::Limits};
use netbit::domain::access::Credential;
use netbit::domain::ids::ChatId;
use netbit::domain::login::LoginClient;
use netbit::domain::message::{ClientId, Content, NewMessage};
use netbit::domain::user::Username;

/// A typical length of a message.
const CONTENT_BYTES: usize = 200;

pub(crate) fn content() -> String {
    "lorem ipsum ".chars().cycle().take(CONTENT_BYTES).collect()
}

/// A writer on a database with one user and one chat.
pub(crate) struct WriterFixture {
    pub(crate) executor: BatchExecutor,
    who: Credential,
    pub(crate) chat: ChatId,
    _dir: tempfile::TempDir,
}

fn ask<C: Command>(executor: &mut BatchExecutor, command: C) -> Result<C::Output, CommandError> {
    let (reply, mut answer) = Reply::channel();
    executor.run(vec![Box::new(PendingCommand::new(command, None, reply))]).answer();
    answer.try_recv().unwrap()
}

impl WriterFixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
        database::migrate(&mut db, &path).unwrap();
        let limits = Limits { batch_ms: 60_000, ..Limits::default() };
        let mut executor = BatchExecutor::new(db, limits, CommitMetrics::default()).unwrap();
        let user = NewUser {
            username: Username::parse("ada").unwrap(),
            display_name: "Ada".to_owned(),
            email: None,
            password_hash: "none".to_owned(),
        };
        let user = ask(&mut executor, RegisterUser { user, open: true, setup: None }).unwrap();
        let login = StartLogin {
            user: user.id,
            token_version: user.token_version,
            secret: LoginSecret::Refresh(auth::token::hash_of("ada")),
            client: LoginClient::default(),
        };
        let login = ask(&mut executor, login).unwrap();
        let who = Credential::login(user.id, login, user.token_version);
        let chat = NewChat::Group { name: "all".into(), participants: Vec::new() };
        let chat = ask(&mut executor, CreateChat { who, chat }).unwrap().0;
        Self { executor, who, chat, _dir: dir }
    }

    /// Returns a message that is queued for the writer.
    pub(crate) fn queued(
        &self,
        message: NewMessage,
        answer: impl FnOnce(Result<Appended, CommandError>) + Send + 'static,
    ) -> Box<dyn QueuedCommand> {
        let command = AppendMessage { who: self.who, chat: self.chat, message, within_rate: Ok(()) };
        Box::new(PendingCommand::new(command, None, Reply::call(answer)))
    }

    /// Returns `count` different messages.
    pub(crate) fn batch(&self, count: usize) -> Vec<Box<dyn QueuedCommand>> {
        let message = || {
            let content = Content::parse(content()).unwrap();
            NewMessage {
                client_id: ClientId::fresh(),
                content,
                reply_to: None,
                metadata: None,
                files: Vec::new(),
            }
        };
        (0..count).map(|_| self.queued(message(), drop)).collect()
    }

    /// Commits a batch and answers all commands.
    pub(crate) fn commit(&mut self, commands: Vec<Box<dyn QueuedCommand>>) -> Committed {
        let mut batch = self.executor.run(commands);
        let committed = batch.committed.take().unwrap();
        batch.answer();
        committed
    }
}
