//! The read models equal the database, whatever happens: random commands, panics in the middle of batches, evictions,
//! fills that race with commits, doubled and lost batches; then a comparison with a fresh load.

use diesel::sqlite::SqliteConnection;
use proptest::prelude::*;

use super::chats::{Fill, Lookup, Range};
use super::read_models::{Applied, ReadModels};
use crate::actors::writer::commands::{
    AppendMessage, ChangePassword, CreateChat, EndLogin, MarkRead, NewChat, RegisterUser, RemoveParticipant,
    SetParticipant, StartLogin, UpdateChat, UpdateProfile,
};
use crate::actors::writer::{Command, CommandError, Execution, Job, Ledger, Pending, Tx};
use crate::core::actor::Reply;
use crate::core::config::Synchronous;
use crate::core::database;
use crate::core::limits::Limits;
use crate::domain::access::Credential;
use crate::domain::chat::ChatRole;
use crate::domain::ids::{ChatId, LoginId, UserId};
use crate::domain::message::{ClientId, Content, NewMessage};
use crate::domain::user::Username;
use crate::storage::queries::meta;
use crate::storage::snapshot::{self, WindowRows};

const USERS: i64 = 4;
const WINDOW: usize = 5;
/// Room for a few windows: evictions happen by themselves too.
const WINDOW_BYTES: usize = 6_000;

/// One thing that may happen.
#[derive(Debug, Clone)]
enum Act {
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
    Profile {
        by: i64,
        n: u8,
    },
    Logout {
        by: i64,
    },
    Password {
        by: i64,
    },
    /// A command that panics after its first write.
    Panic,
    Evict {
        chat: i64,
    },
    /// Looks at a chat: a miss starts a fill.
    Look {
        chat: i64,
    },
    /// The oldest fill under way is read and installed now.
    Fill,
    /// The last batch arrives once more.
    Double,
    /// A batch is lost on its way to the cache.
    Lose,
}

fn act() -> impl Strategy<Value = Act> {
    let (by, chat, user) = (1..=USERS, 1..6i64, 1..=USERS);
    prop_oneof![
        2 => (by.clone(), user.clone(), 0..3u8).prop_map(|(by, with, kind)| Act::Create { by, with, kind }),
        8 => (by.clone(), chat.clone(), 0..40u8).prop_map(|(by, chat, key)| Act::Say { by, chat, key }),
        3 => (by.clone(), chat.clone(), user.clone(), 0..4u8).prop_map(|(by, chat, user, role)| Act::Add { by, chat, user, role }),
        2 => (by.clone(), chat.clone(), user).prop_map(|(by, chat, user)| Act::Remove { by, chat, user }),
        1 => (by.clone(), chat.clone(), any::<bool>()).prop_map(|(by, chat, archived)| Act::Rename { by, chat, archived }),
        2 => (by.clone(), chat.clone()).prop_map(|(by, chat)| Act::Read { by, chat }),
        1 => (by.clone(), any::<u8>()).prop_map(|(by, n)| Act::Profile { by, n }),
        1 => by.clone().prop_map(|by| Act::Logout { by }),
        1 => by.prop_map(|by| Act::Password { by }),
        2 => Just(Act::Panic),
        2 => chat.clone().prop_map(|chat| Act::Evict { chat }),
        3 => chat.prop_map(|chat| Act::Look { chat }),
        3 => Just(Act::Fill),
        1 => Just(Act::Double),
        1 => Just(Act::Lose),
    ]
}

struct PanicAfterWriting;

impl Command for PanicAfterWriting {
    type Output = ();
    const NAME: &'static str = "PanicAfterWriting";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        meta::set(tx.write(), "half", 1)?;
        panic!("injected");
    }
}

/// A server without threads: the ledger, the read models, and a reader beside them.
struct World {
    ledger: Ledger,
    models: ReadModels,
    reader: SqliteConnection,
    fills: Vec<Fill>,
    logins: Vec<Credential>,
    reloads: usize,
    lose_next: bool,
    _dir: tempfile::TempDir,
}

type Answer<C> = tokio::sync::oneshot::Receiver<Result<<C as Command>::Output, CommandError>>;

fn job<C: Command>(command: C) -> (Box<dyn Job>, Answer<C>) {
    let (reply, answer) = Reply::channel();
    (Box::new(Pending::new(command, None, reply)), answer)
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        // What is fsynced is not the question here.
        let mut db = database::open_writer(&path, Synchronous::Normal).unwrap();
        database::migrate(&mut db, &path).unwrap();
        let mut reader = database::open_reader(&path).unwrap();
        let models = ReadModels::load(
            snapshot::load(&mut reader, WINDOW, WINDOW_BYTES).unwrap(),
            WINDOW,
            WINDOW_BYTES,
        );
        let limits = Limits { batch_ms: 60_000, logins_per_user: 2, ..Limits::default() };
        let ledger = Ledger::new(db, limits).unwrap();
        let mut world = Self {
            ledger,
            models,
            reader,
            fills: Vec::new(),
            logins: Vec::new(),
            reloads: 0,
            lose_next: false,
            _dir: dir,
        };
        for n in 1..=USERS {
            let username = Username::parse(&format!("u{n}")).unwrap();
            let (new, _) = job(RegisterUser {
                username,
                display_name: "x".into(),
                email: None,
                password_hash: "hash".into(),
                open: true,
            });
            world.run(vec![new]);
            world.login(UserId(n), 1);
        }
        world
    }

    fn login(&mut self, user: UserId, token_version: i64) {
        let (login, mut answer) = job(StartLogin { user, token_version, refresh_hash: rand::random() });
        self.run(vec![login]);
        let login = answer.try_recv().unwrap().unwrap_or(LoginId(0));
        self.logins.retain(|who| who.user != user);
        self.logins.push(Credential::login(user, login, token_version));
    }

    fn who(&self, user: i64) -> Credential {
        *self.logins.iter().find(|who| who.user.0 == user).unwrap()
    }

    /// Runs a batch and hands what was committed to the read models, as the writer does.
    fn run(&mut self, jobs: Vec<Box<dyn Job>>) {
        let mut batch = self.ledger.run(jobs);
        assert!(!batch.fatal && batch.left.is_empty());
        if let Some(committed) = batch.committed.take() {
            if std::mem::take(&mut self.lose_next) {
                batch.answer();
                return;
            }
            match self.models.apply(committed.commit_no, &committed.events, &mut Vec::new()) {
                Applied::Yes => {
                    let again = self.models.apply(committed.commit_no, &committed.events, &mut Vec::new());
                    assert_eq!(again, Applied::Old, "a doubled batch changes nothing");
                }
                Applied::Old => panic!("a new batch is never old"),
                Applied::Gap => self.reload(),
            }
            self.models.chats.evict(None);
        }
        batch.answer();
    }

    fn reload(&mut self) {
        self.reloads += 1;
        self.fills.clear();
        self.models = self.fresh();
    }

    fn fresh(&mut self) -> ReadModels {
        let snapshot = snapshot::load(&mut self.reader, WINDOW, WINDOW_BYTES).unwrap();
        ReadModels::load(snapshot, WINDOW, WINDOW_BYTES)
    }

    fn window_rows(&mut self, chat: ChatId) -> WindowRows {
        snapshot::load_window(&mut self.reader, chat, WINDOW).unwrap()
    }

    /// The job of an act, or nothing when it concerns the cache alone.
    fn job(&mut self, act: &Act) -> Option<Box<dyn Job>> {
        Some(match *act {
            Act::Create { by, with, kind } => {
                let (with, name) = (UserId(with), format!("chat {}", rand::random::<u16>()));
                let chat = match kind {
                    0 if with.0 != by => NewChat::Direct { with },
                    0 | 1 => NewChat::Group { name, participants: vec![with] },
                    _ => NewChat::Channel { name, participants: vec![] },
                };
                job(CreateChat { who: self.who(by), chat }).0
            }
            Act::Say { by, chat, key } => {
                let content = Content::parse(format!("say {key}")).unwrap();
                let mut client_id = [key; 16];
                client_id[0] = u8::try_from(by).unwrap();
                client_id[1] = u8::try_from(chat).unwrap();
                let message =
                    NewMessage { client_id: ClientId(client_id), content, reply_to: None, metadata: None };
                job(AppendMessage { who: self.who(by), chat: ChatId(chat), message, within_rate: Ok(()) }).0
            }
            Act::Add { by, chat, user, role } => {
                let role = [None, Some(ChatRole::Reader), Some(ChatRole::Admin), Some(ChatRole::Owner)]
                    [usize::from(role)];
                job(SetParticipant { who: self.who(by), chat: ChatId(chat), user: UserId(user), role }).0
            }
            Act::Remove { by, chat, user } => {
                job(RemoveParticipant { who: self.who(by), chat: ChatId(chat), user: UserId(user) }).0
            }
            Act::Rename { by, chat, archived } => {
                let name = Some(format!("name {}", rand::random::<u8>()));
                job(UpdateChat { who: self.who(by), chat: ChatId(chat), name, archived: Some(archived) }).0
            }
            Act::Read { by, chat } => job(MarkRead { who: self.who(by), chat: ChatId(chat), seq: None }).0,
            Act::Profile { by, n } => {
                let (display_name, email) = (Some(format!("name {n}")), Some(None));
                job(UpdateProfile { who: self.who(by), display_name, email }).0
            }
            Act::Logout { by } => job(EndLogin { who: self.who(by), all: false }).0,
            Act::Password { by } => {
                job(ChangePassword { who: self.who(by), password_hash: "other".into() }).0
            }
            Act::Panic => job(PanicAfterWriting).0,
            Act::Evict { .. } | Act::Look { .. } | Act::Fill | Act::Double | Act::Lose => return None,
        })
    }

    fn do_to_cache(&mut self, act: &Act) {
        match *act {
            Act::Evict { chat } => self.models.chats.evict_one(ChatId(chat)),
            Act::Look { chat } => {
                let range = Range { before: None, after: None, limit: 3, messages_only: true };
                if let Lookup::Missing(Some(fill)) = self.models.chats.page(ChatId(chat), &range) {
                    self.fills.push(fill);
                }
            }
            Act::Fill if !self.fills.is_empty() => {
                let fill = self.fills.remove(0);
                let rows = self.window_rows(fill.chat);
                self.models.chats.filled(fill, rows).unwrap();
                self.models.chats.evict(None);
            }
            Act::Lose => self.lose_next = true,
            _ => {}
        }
    }

    /// Whoever was logged out logs in again.
    fn heal_logins(&mut self) {
        for user in 1..=USERS {
            let user = UserId(user);
            let row =
                crate::storage::queries::accounts::user(self.ledger.connection(), user.0).unwrap().unwrap();
            let who = self.who(user.0);
            let live = crate::storage::queries::accounts::credential_is_live(
                self.ledger.connection(),
                user.0,
                who.proof.login().unwrap().0,
                row.token_version,
            );
            if who != Credential::login(who.user, who.proof.login().unwrap(), row.token_version)
                || !live.unwrap()
            {
                self.login(user, row.token_version);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_read_models_equal_a_fresh_load(acts in proptest::collection::vec(act(), 1..120), batch in 1..7usize) {
        let mut world = World::new();
        for acts in acts.chunks(batch) {
            let jobs: Vec<_> = acts.iter().filter_map(|act| world.job(act)).collect();
            world.run(jobs);
            acts.iter().for_each(|act| world.do_to_cache(act));
            world.heal_logins();
        }
        // Whatever was lost shows with the next batch.
        world.lose_next = false;
        let again = world.job(&Act::Profile { by: 1, n: rand::random() });
        world.run(again.into_iter().collect());
        let fresh = world.fresh();
        prop_assert_eq!(world.models.differences(&fresh), Vec::<String>::new());
        prop_assert_eq!(world.models.chats.window_differences(&fresh.chats), vec![]);
    }
}

/// A window is evicted, somebody asks for it, and while it is being read the chat goes on: the read may see none, some
/// or all of what happens meanwhile.
#[test]
fn a_window_refilled_while_commits_go_on_stays_dense() {
    for seen in 0..=3 {
        let mut world = World::new();
        let create = world.job(&Act::Create { by: 1, with: 2, kind: 1 });
        world.run(create.into_iter().collect());
        let say = |world: &mut World, key| {
            let job = world.job(&Act::Say { by: 1, chat: 1, key });
            world.run(job.into_iter().collect());
        };
        (0..4).for_each(|key| say(&mut world, key));
        world.models.chats.evict_one(ChatId(1));
        world.do_to_cache(&Act::Look { chat: 1 });
        (0..seen).for_each(|key| say(&mut world, 10 + key));
        let rows = world.window_rows(ChatId(1));
        (seen..3).for_each(|key| say(&mut world, 10 + key));
        let fill = world.fills.remove(0);
        world.models.chats.filled(fill, rows).unwrap();
        let range = Range { before: None, after: None, limit: 5, messages_only: true };
        let Lookup::Here(page) = world.models.chats.page(ChatId(1), &range) else {
            panic!("the window is there")
        };
        let seqs: Vec<_> = page.events.iter().map(|event| event.seq).collect();
        assert_eq!((seqs, page.as_of), (vec![5, 6, 7, 8, 9], 9), "seen {seen}");
    }
}

#[test]
fn a_fill_of_an_earlier_generation_is_void() {
    let mut world = World::new();
    let create = world.job(&Act::Create { by: 1, with: 2, kind: 1 });
    world.run(create.into_iter().collect());
    world.models.chats.evict_one(ChatId(1));
    world.do_to_cache(&Act::Look { chat: 1 });
    let fill = world.fills.remove(0);
    world.models.chats.fill_failed(fill);
    let rows = world.window_rows(ChatId(1));
    world.do_to_cache(&Act::Look { chat: 1 });
    world.models.chats.filled(fill, rows).unwrap();
    let range = Range { before: None, after: None, limit: 5, messages_only: false };
    assert!(
        matches!(world.models.chats.page(ChatId(1), &range), Lookup::Missing(None)),
        "the newer fill is awaited"
    );
}

#[test]
fn a_lost_batch_is_noticed_by_the_next_one() {
    let mut world = World::new();
    world.lose_next = true;
    for n in 0..2 {
        let job = world.job(&Act::Profile { by: 1, n });
        world.run(job.into_iter().collect());
    }
    assert_eq!(world.reloads, 1);
    let fresh = world.fresh();
    assert!(world.models.differences(&fresh).is_empty());
}

/// Makes sure that the comparison can fail.
#[test]
fn a_model_that_missed_something_differs() {
    let mut world = World::new();
    world.lose_next = true;
    let job = world.job(&Act::Create { by: 1, with: 2, kind: 1 });
    world.run(job.into_iter().collect());
    let fresh = world.fresh();
    assert!(world.models.differences(&fresh).len() >= 2);
}
