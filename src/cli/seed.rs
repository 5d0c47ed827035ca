//! `netbit seed`: fills a database with users, chats and messages, for trials and measurements.
//!
//! Creates users `u0`…, groups `r0`… whose members are the first users, and messages that go to the
//! chats in rotation. All writes use the server's write commands. The command takes the data lock:
//! no server may run on the directory at the same time.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::ConfigFlag;
use super::output::{print_line, report_error};
use crate::actors::writer::commands::{
    AppendMessage, CreateChat, LoginSecret, NewChat, NewUser, RegisterUser, SetParticipant, StartLogin,
};
use crate::actors::writer::{
    BatchExecutor, Command, CommandError, CommitMetrics, PendingCommand, QueuedCommand,
};
use crate::core::actor::Reply;
use crate::core::auth::password;
use crate::core::auth::refresh::RefreshToken;
use crate::core::auth::token::{Identity, TokenKeys};
use crate::core::config::{Config, Synchronous};
use crate::core::data_dir::DataDir;
use crate::core::database::postgres::{self, Purpose};
use crate::core::database::{self, Db, Source};
use crate::core::limits::Limits;
use crate::core::owner;
use crate::core::plural::plural;
use crate::core::private_file;
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::login::LoginClient;
use crate::domain::message::{ClientId, Content, NewMessage};
use crate::domain::password::check_new;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::{User, Username};
use crate::storage::commit_log;
use crate::storage::queries::meta;
use crate::storage::signing_key;

/// Commands per transaction.
const BATCH: usize = 512;
/// Batches between two checkpoints of the write-ahead log.
const CHECKPOINT_EVERY: usize = 64;

#[derive(Args)]
pub(super) struct SeedArguments {
    #[command(flatten)]
    configuration: ConfigFlag,
    /// Data directory; created if it is missing.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// Number of users (u0, u1, …).
    #[arg(long, default_value_t = 50)]
    users: usize,
    /// Number of groups (r0, r1, …).
    #[arg(long, default_value_t = 10)]
    chats: usize,
    /// Number of members per group; the first users are members.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Total number of messages.
    #[arg(long, default_value_t = 1000)]
    messages: usize,
    /// Password of every user.
    #[arg(long)]
    password: String,
    /// Log in every user and write a line `name token` for each into this new file. Measurements of
    /// sessions then need not hash thousands of passwords. The tokens are valid for
    /// `limits.access_token_seconds`.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
}

pub(super) fn run(arguments: &SeedArguments) -> Result<ExitCode, ExitCode> {
    let handed = || owner::hand_over(&arguments.data_dir).context("cannot change the owner of the files");
    let config = arguments.configuration.load(Some(arguments.data_dir.clone()))?;
    seed(arguments, &config)
        .and_then(|()| handed())
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| report_error(&error))
}

fn seed(arguments: &SeedArguments, config: &Config) -> anyhow::Result<()> {
    let begun = Instant::now();
    check_new(&arguments.password, &[]).context("--password")?;
    ensure!(arguments.members <= arguments.users, "--members must not exceed --users");
    ensure!(arguments.chats == 0 || arguments.members > 0, "--members must be at least 1");
    ensure!(arguments.messages == 0 || arguments.chats > 0, "--messages requires --chats of at least 1");
    let data_dir = DataDir::open(&config.data_dir.0)?;
    let mut db = open(&Source::of(config)?, &data_dir)?;
    let secret = signing_key_of(&mut db, config, &data_dir)?;
    if meta::get(&mut db, meta::EPOCH)?.is_none() {
        meta::set(&mut db, meta::EPOCH, i64::from(rand::random::<u32>()) + 1)?;
    }
    let limits = Limits {
        rates: false,
        batch_ms: u64::MAX,
        chats_per_user: usize::MAX,
        participants_per_chat: usize::MAX,
        ..Limits::default()
    };
    let mut seeder =
        Seeder { executor: BatchExecutor::new(db, limits, CommitMetrics::default())?, batches: 0 };

    let password_hash = password::hash_now(&arguments.password)?;
    let users = seeder.run((0..arguments.users).map(|n| {
        let name = format!("u{n}");
        let username = Username::parse(&name)?;
        let password_hash = password_hash.clone();
        let user = NewUser { username, display_name: name, email: None, password_hash };
        Ok(RegisterUser { user, open: true, setup: None })
    }))?;
    print_line!("{}", plural(users.len(), "user", "users"))?;

    let logged_in = if arguments.tokens.is_some() { users.len() } else { arguments.members.max(1) };
    let logins = seeder.run(users.iter().take(logged_in).map(|user| {
        let secret = LoginSecret::Refresh(RefreshToken::fresh().hash());
        let (user, token_version) = (user.id, user.token_version);
        Ok(StartLogin { user, token_version, secret, client: LoginClient::default() })
    }))?;
    let people: Vec<_> = users
        .iter()
        .zip(logins)
        .map(|(user, login)| Credential::login(user.id, login, user.token_version))
        .collect();
    if let Some(file) = &arguments.tokens {
        let epoch =
            meta::get(seeder.executor.connection(), meta::EPOCH)?.context("the database has no epoch")?;
        write_tokens(file, &TokenKeys::new(&secret, epoch), &users, &people)?;
    }
    let people = people.get(..arguments.members.max(1)).unwrap_or(&people);

    let chats = seeder.make_chats(arguments, people)?;
    let members = plural(arguments.members, "member", "members");
    print_line!("{} of {members}", plural(chats.len(), "chat", "chats"))?;

    let mut written = 0;
    while written < arguments.messages {
        let count = BATCH.min(arguments.messages - written);
        let messages = (written..written + count).map(|n| {
            let chat = *chats.get(n % chats.len()).context("no chat")?;
            let who = *people.get(n / chats.len() % people.len()).context("no sender")?;
            let content = Content::parse(sentence(n)).map_err(|_| anyhow::anyhow!("bad content"))?;
            let message = NewMessage {
                client_id: ClientId::fresh(),
                content,
                reply_to: None,
                metadata: None,
                files: Vec::new(),
            };
            Ok(AppendMessage { who, chat, message, within_rate: Ok(()) })
        });
        written += seeder.run(messages)?.len();
        if written % (BATCH * 200) < BATCH {
            print_line!("{}", plural(written, "message", "messages"))?;
        }
    }
    let messages = plural(written, "message", "messages");
    print_line!("{messages} in {:.1} s", begun.elapsed().as_secs_f64())?;
    Ok(())
}

/// Opens the writer's connection to a database with the current schema.
fn open(source: &Source, data_dir: &DataDir) -> anyhow::Result<Db> {
    match source {
        Source::File(path) => {
            data_dir.make_database_private()?;
            let mut db = database::open_writer(path, Synchronous::Full)?;
            database::migrate(&mut db, path)?;
            Ok(Db::Sqlite(db))
        }
        Source::Server(server) => {
            let mut db = server.connect(Purpose::Migration)?;
            postgres::migrate(&mut db.queries)?;
            commit_log::begin_log(&mut db.queries)?;
            Ok(Db::Postgres(Box::new(server.connect(Purpose::Writer)?)))
        }
    }
}

/// Returns the secret with which the server signs tokens: that of the configuration, or else of the
/// database on PostgreSQL, or of the data directory.
fn signing_key_of(db: &mut Db, config: &Config, data_dir: &DataDir) -> anyhow::Result<Vec<u8>> {
    let configured = config.auth.secret.as_ref().map(|secret| secret.expose());
    let secret = data_dir.secret(configured)?;
    match db {
        Db::Postgres(db) if configured.is_none() => {
            Ok(signing_key::of_node(db, &String::from_utf8_lossy(&secret))?.into_bytes())
        }
        _ => Ok(secret),
    }
}

/// Writes the tokens. Only the owner may read the file, because each line is a login.
fn write_tokens(
    file: &Path,
    keys: &TokenKeys,
    users: &[Arc<User>],
    people: &[Credential],
) -> anyhow::Result<()> {
    let seconds = Limits::default().access_token_seconds;
    let now = Timestamp::now().0 / 1000;
    let mut lines = String::new();
    for (user, who) in users.iter().zip(people) {
        let login = who.auth_method.login().context("no login")?.0;
        let identity = Identity { user: user.id.0, login, token_version: user.token_version };
        writeln!(lines, "{} {}", user.username, keys.sign(identity, now, seconds)?)?;
    }
    let mut file = private_file::create_new(file).context("--tokens")?;
    Ok(std::io::Write::write_all(&mut file, lines.as_bytes())?)
}

struct Seeder {
    executor: BatchExecutor,
    batches: usize,
}

impl Seeder {
    /// Runs commands in batches; stops at the first failure.
    fn run<C: Command>(
        &mut self,
        commands: impl Iterator<Item = anyhow::Result<C>>,
    ) -> anyhow::Result<Vec<C::Output>> {
        let (mut outputs, mut commands) = (Vec::new(), commands.peekable());
        while commands.peek().is_some() {
            let (mut queued, mut answers) = (Vec::<Box<dyn QueuedCommand>>::new(), Vec::new());
            for command in commands.by_ref().take(BATCH) {
                let (reply, answer) = Reply::<C::Output, CommandError>::channel();
                queued.push(Box::new(PendingCommand::new(command?, None, reply)));
                answers.push(answer);
            }
            self.executor.run(queued).answer();
            for mut answer in answers {
                outputs.push(answer.try_recv().context("no reply to a command")??);
            }
            self.batches += 1;
            if self.batches.is_multiple_of(CHECKPOINT_EVERY) {
                self.executor.connection().as_sqlite().map(database::checkpoint_truncate).transpose()?;
            }
        }
        Ok(outputs)
    }

    fn make_chats(
        &mut self,
        arguments: &SeedArguments,
        people: &[Credential],
    ) -> anyhow::Result<Vec<ChatId>> {
        let Some((owner, others)) = people.split_first() else { bail!("no user can own the chat") };
        let at_once = Limits::default().create_participants;
        let first: Vec<UserId> = others.iter().take(at_once).map(|who| who.user).collect();
        let made = self.run((0..arguments.chats).map(|n| {
            let chat = NewChat::Group { name: format!("r{n}"), participants: first.clone() };
            Ok(CreateChat { who: *owner, chat })
        }))?;
        let chats: Vec<_> = made.into_iter().map(|(chat, _)| chat).collect();
        for chat in &chats {
            self.run(
                others
                    .iter()
                    .skip(at_once)
                    .map(|who| Ok(SetParticipant { who: *owner, chat: *chat, user: who.user, role: None })),
            )?;
        }
        Ok(chats)
    }
}

/// Returns a text of about 200 bytes that differs from message to message.
fn sentence(n: usize) -> String {
    format!(
        "message {n}: the quick brown fox jumps over the lazy dog and finds that message {} was about something else \
         altogether, which is why each reader goes on to the very end of it",
        n / 2
    )
}
