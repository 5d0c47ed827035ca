//! Tests of the writer cache: an entry is never older than the database. Each test appends a
//! message first, so that the cache holds entries.

use std::sync::Arc;

use super::batch::BatchExecutor;
use super::command::{Command, CommandError};
use super::commands::{
    AppendMessage, Appended, CreateChat, EndLogin, LoginSecret, Logout, MarkUnread, NewChat, NewUser,
    RegisterUser, RemoveParticipant, StartLogin, UpdateChat, UpdateMessage,
};
use super::messages::{PendingCommand, QueuedCommand};
use super::metrics::CommitMetrics;
use crate::core::actor::Reply;
use crate::core::config::Synchronous;
use crate::core::database;
use crate::core::limits::Limits;
use crate::domain::access::{AuthMethod, Credential};
use crate::domain::chat::Participant;
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::domain::login::LoginClient;
use crate::domain::message::{ClientId, Content, MessageUpdate, NewMessage};
use crate::domain::refusal::Refusal;
use crate::domain::user::{User, Username};
use crate::storage::queries::{chats, messages, meta};
use crate::storage::snapshot;

struct Fixture {
    executor: BatchExecutor,
    metrics: CommitMetrics,
    limits: Limits,
    people: Vec<Credential>,
    chat: ChatId,
    _dir: tempfile::TempDir,
}

type Answer<T> = Result<T, CommandError>;

/// Returns the start of a login with a random refresh token.
fn start_login(user: UserId, token_version: i64) -> StartLogin {
    let secret = LoginSecret::Refresh(rand::random());
    StartLogin { user, token_version, secret, client: LoginClient::default() }
}

impl Fixture {
    /// A server with three users in one group.
    fn new(writer_cache_entries: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
        database::migrate(&mut db, &path).unwrap();
        let limits = Limits { batch_ms: 60_000, writer_cache_entries, ..Limits::default() };
        let metrics = CommitMetrics::default();
        let executor = BatchExecutor::new(db, limits.clone(), metrics.clone()).unwrap();
        let mut fixture = Self { executor, metrics, limits, people: Vec::new(), chat: ChatId(0), _dir: dir };
        for name in ["ada", "bob", "eve"] {
            let user = fixture.one(RegisterUser { user: new_user(name), open: true, setup: None }).unwrap();
            let who = fixture.log_in(&user);
            fixture.people.push(who);
        }
        let [ada, bob, eve] = [fixture.people[0], fixture.people[1], fixture.people[2]];
        let chat = NewChat::Group { name: "all".into(), participants: vec![bob.user, eve.user] };
        fixture.chat = fixture.one(CreateChat { who: ada, chat }).unwrap().0;
        fixture
    }

    fn log_in(&mut self, user: &Arc<User>) -> Credential {
        let login = start_login(user.id, user.token_version);
        Credential::login(user.id, self.one(login).unwrap(), user.token_version)
    }

    /// Runs a command that declares [`Invalidation::All`](super::Invalidation::All).
    fn log_in_again(&mut self, who: usize) {
        let Credential { user, auth_method: AuthMethod::Login { token_version, .. } } = self.people[who]
        else {
            panic!("every user of the fixture has logged in")
        };
        self.one(start_login(user, token_version)).unwrap();
    }

    /// Runs one command in a separate batch.
    fn one<C: Command>(&mut self, command: C) -> Answer<C::Output> {
        self.all([queued(command)])
    }

    /// Runs a batch and returns the answer of its last command.
    fn all<T, const N: usize>(&mut self, commands: [Asked<T>; N]) -> Answer<T> {
        let (commands, mut answers): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        self.executor.run(commands).answer();
        answers.pop().unwrap().try_recv().unwrap()
    }

    fn append(&mut self, who: usize, text: &str) -> Answer<Appended> {
        self.one(self.command(who, text, ClientId::fresh()))
    }

    fn command(&self, who: usize, text: &str, client_id: ClientId) -> AppendMessage {
        let content = Content::parse(text.to_owned()).unwrap();
        let message = NewMessage { client_id, content, reply_to: None, metadata: None, files: Vec::new() };
        AppendMessage { who: self.people[who], chat: self.chat, message, within_rate: Ok(()) }
    }

    /// The participant's row, whose cursors may be behind.
    fn row(&mut self, who: usize) -> Participant {
        let user = self.people[who].user;
        chats::participant(self.executor.connection(), self.chat, user).unwrap().unwrap()
    }

    /// The participant as a snapshot loads it.
    fn participant(&mut self, who: usize) -> Participant {
        let (chat, user) = (self.chat, self.people[who].user);
        let participants = snapshot::load(self.executor.connection(), 1, 0).unwrap().participants;
        let found = participants.into_iter().find(|(of, person)| *of == chat && person.user_id == user);
        found.unwrap().1
    }

    fn head(&mut self) -> i64 {
        chats::chat(self.executor.connection(), self.chat).unwrap().unwrap().last_seq
    }
}

type Asked<T> = (Box<dyn QueuedCommand>, tokio::sync::oneshot::Receiver<Answer<T>>);

fn queued<C: Command>(command: C) -> Asked<C::Output> {
    let (reply, answer) = Reply::channel();
    (Box::new(PendingCommand::new(command, None, reply)), answer)
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        username: Username::parse(name).unwrap(),
        display_name: name.to_owned(),
        email: None,
        password_hash: "none".to_owned(),
    }
}

fn seq(appended: Answer<Appended>) -> i64 {
    let Appended { message, duplicate, .. } = appended.unwrap();
    assert!(!duplicate);
    message.seq
}

#[test]
fn removed_or_logged_out_user_cannot_append_again() {
    let mut fixture = Fixture::new(1000);
    assert!(fixture.append(1, "still here").is_ok() && fixture.append(2, "me too").is_ok());
    let (ada, chat) = (fixture.people[0], fixture.chat);
    fixture.one(RemoveParticipant { who: ada, chat, user: fixture.people[1].user }).unwrap();
    assert!(matches!(fixture.append(1, "hello?"), Err(CommandError::Refused(_))));
    assert!(fixture.append(2, "bob is gone").is_ok(), "the others stay");
    fixture.one(EndLogin { who: fixture.people[2], reach: Logout::This }).unwrap();
    let refused = fixture.append(2, "hello?");
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::Unauthenticated))), "{refused:?}");
}

#[test]
fn chat_refuses_messages_as_soon_as_it_is_archived() {
    let mut fixture = Fixture::new(1000);
    assert!(fixture.append(0, "before").is_ok());
    let (who, chat) = (fixture.people[0], fixture.chat);
    fixture.one(UpdateChat { who, chat, name: None, archived: Some(true) }).unwrap();
    assert!(matches!(fixture.append(0, "behind"), Err(CommandError::Refused(_))));
}

#[test]
fn seqs_stay_dense_across_messages_edits_and_batches() {
    let mut fixture = Fixture::new(1000);
    let base = seq(fixture.append(0, "first"));
    let second = fixture.append(1, "second").unwrap().message;
    assert_eq!(second.seq, base + 1);
    let content = Content::parse("the second".to_owned()).unwrap();
    let update = MessageUpdate::Edit { content, metadata: None };
    let (who, chat) = (fixture.people[1], fixture.chat);
    fixture.one(UpdateMessage { who, chat, message: second.id, update, within_rate: Ok(()) }).unwrap();
    assert_eq!(seq(fixture.append(2, "behind the edit")), base + 3);
    assert_eq!(fixture.head(), base + 3, "the commit writes the head");
    let ids = [0, 1, 2].map(|who| queued(fixture.command(who, "together", ClientId::fresh())));
    assert_eq!(seq(fixture.all(ids)), base + 6, "messages of one batch take consecutive seqs");
    assert_eq!(fixture.head(), base + 6);
}

#[test]
fn used_client_id_takes_no_seq_and_gets_its_first_answer() {
    let mut fixture = Fixture::new(1000);
    let name = ClientId::fresh();
    let first = fixture.one(fixture.command(0, "once", name)).unwrap().message;
    let again = fixture.one(fixture.command(0, "once", name)).unwrap();
    assert!(again.duplicate && again.message.seq == first.seq);
    let other = fixture.one(fixture.command(0, "something else", name));
    assert!(matches!(other, Err(CommandError::Refused(Refusal::ClientIdReused))), "{other:?}");
    let twice = ClientId::fresh();
    let both = [queued(fixture.command(0, "twice", twice)), queued(fixture.command(0, "twice", twice))];
    assert!(fixture.all(both).unwrap().duplicate, "also within one batch");
    assert_eq!(seq(fixture.append(1, "next")), first.seq + 2);
    // A message that was committed is confirmed again, even if its sender may not post any more.
    let (ada, chat) = (fixture.people[0], fixture.chat);
    let appended = fixture.one(fixture.command(1, "kept", name)).unwrap().message;
    fixture.one(RemoveParticipant { who: ada, chat, user: fixture.people[1].user }).unwrap();
    let kept = fixture.one(fixture.command(1, "kept", name)).unwrap();
    assert!(kept.duplicate && kept.message.id == appended.id);
}

#[test]
fn writer_cache_is_bounded_and_eviction_loses_nothing() {
    // Each message needs a login, a chat, a role and a client id. Three users share one chat.
    for (writer_cache_entries, remembered) in [(1000, 3 + 1 + 3 + 3), (0, 1 + 1 + 1 + 1)] {
        let mut fixture = Fixture::new(writer_cache_entries);
        let base = seq(fixture.append(0, "first"));
        for n in 1..20 {
            assert_eq!(seq(fixture.append(usize::try_from(n % 3).unwrap(), "more")), base + n);
        }
        assert_eq!(fixture.executor.entries(), remembered);
        assert_eq!(fixture.head(), base + 19);
    }
}

#[test]
fn messages_of_a_batch_are_stored_as_answered() {
    let mut fixture = Fixture::new(1000);
    for count in [1, 15, 16, 17, 70] {
        let (commands, answers): (Vec<_>, Vec<_>) = (0..count)
            .map(|n| {
                let mut appended = fixture.command(n % 3, &format!("{n} of {count}"), ClientId::fresh());
                appended.message.metadata = (n % 2 == 0).then(|| serde_json::from_str("{\"n\":1}").unwrap());
                queued(appended)
            })
            .unzip();
        fixture.executor.run(commands).answer();
        for mut answer in answers {
            let appended = answer.try_recv().unwrap().unwrap().message;
            let stored = messages::in_chat(fixture.executor.connection(), fixture.chat, appended.id).unwrap();
            assert_eq!(stored.as_ref(), Some(&*appended));
        }
    }
}

#[test]
fn message_can_be_edited_in_its_own_batch() {
    let mut fixture = Fixture::new(1000);
    let first = fixture.append(0, "first").unwrap().message;
    let (appended, mut answer) = queued(fixture.command(0, "secnod", ClientId::fresh()));
    let content = Content::parse("second".to_owned()).unwrap();
    let (who, chat, message) = (fixture.people[0], fixture.chat, MessageId(first.id.0 + 1));
    let update = MessageUpdate::Edit { content, metadata: None };
    let (edit, mut edited) = queued(UpdateMessage { who, chat, message, update, within_rate: Ok(()) });
    fixture.executor.run(vec![appended, edit]).answer();
    assert_eq!(answer.try_recv().unwrap().unwrap().message.seq, first.seq + 1);
    let altered = edited.try_recv().unwrap().unwrap();
    assert_eq!((altered.seq, altered.message.content.as_str()), (first.seq + 2, "second"));
    assert_eq!(fixture.head(), first.seq + 2);
}

#[test]
fn reply_finds_its_target_in_the_same_batch() {
    let mut fixture = Fixture::new(1000);
    let first = fixture.append(0, "first").unwrap().message.id;
    let mut reply = fixture.command(1, "a reply to what is being appended", ClientId::fresh());
    reply.message.reply_to = Some(MessageId(first.0 + 1));
    let commands = [queued(fixture.command(0, "what is being appended", ClientId::fresh())), queued(reply)];
    let replied = fixture.all(commands).unwrap().message;
    assert_eq!(replied.thread_id, Some(MessageId(first.0 + 1)));
}

#[test]
fn client_ids_are_unique_per_sender_in_any_order() {
    let mut fixture = Fixture::new(1000);
    let name = |n: u8| ClientId([n; 16]);
    let base = seq(fixture.one(fixture.command(0, "five", name(5))));
    // One of them contains a time in the year 10555.
    for (n, text) in [(9, "nine"), (7, "seven"), (0xee, "never"), (6, "six"), (8, "eight")] {
        seq(fixture.one(fixture.command(0, text, name(n))));
    }
    // Each of them is a duplicate, whatever the order, also after the cache was emptied.
    for invalidates in [false, true] {
        for (n, text) in [(5, "five"), (6, "six"), (7, "seven"), (8, "eight"), (9, "nine"), (0xee, "never")] {
            assert!(fixture.one(fixture.command(0, text, name(n))).unwrap().duplicate, "{text}");
        }
        let batch = [(2, "two"), (1, "one"), (2, "two"), (9, "nine"), (1, "one"), (0xef, "no"), (0xef, "no")];
        let duplicates: Vec<_> = {
            let (commands, answers): (Vec<_>, Vec<_>) =
                batch.map(|(n, text)| queued(fixture.command(1, text, name(n)))).into_iter().unzip();
            fixture.executor.run(commands).answer();
            answers.into_iter().map(|mut answer| answer.try_recv().unwrap().unwrap().duplicate).collect()
        };
        let expected = if invalidates { [true; 7] } else { [false, false, true, false, true, false, true] };
        assert_eq!(duplicates, expected);
        // The client ids of other senders are independent. This command empties the cache.
        fixture.log_in_again(2);
    }
    assert_eq!(fixture.head(), base + 5 + 4);
    assert_eq!(fixture.metrics.replayed.get(), 0, "no constraint was violated");
}

/// Inserts a message without the writer, which never happens in production.
const NUMBER_TAKEN: &str = "INSERT INTO messages
    (chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq)
    SELECT chat_id, seq + 1, ordinal + 1, sender_id, randomblob(16), request_hash, content, created_at, seq + 1
    FROM messages WHERE id = (SELECT max(id) FROM messages);";

#[test]
fn stale_head_is_read_again_after_a_violation() {
    let mut fixture = Fixture::new(1000);
    let base = seq(fixture.append(0, "first"));
    let heads =
        "UPDATE chats SET last_seq = last_seq + 1, last_ordinal = last_ordinal + 1 WHERE last_seq > 0;";
    fixture.executor.connection().batch_execute(&format!("{NUMBER_TAKEN} {heads}")).unwrap();
    assert_eq!(seq(fixture.append(0, "second")), base + 2);
    assert_eq!(seq(fixture.append(0, "third")), base + 3);
}

#[test]
fn message_that_violates_a_constraint_fails_alone() {
    let mut fixture = Fixture::new(1000);
    seq(fixture.append(0, "first"));
    let (who, bob) = (fixture.people[0], fixture.people[1].user);
    let other = NewChat::Group { name: "other".into(), participants: vec![bob] };
    let other = fixture.one(CreateChat { who, chat: other }).unwrap().0;
    let base = seq(fixture.append(0, "second"));
    fixture.executor.connection().batch_execute(NUMBER_TAKEN).unwrap();
    let elsewhere = |fixture: &Fixture, who: usize| {
        let mut appended = fixture.command(who, "elsewhere", ClientId::fresh());
        appended.chat = other;
        queued(appended)
    };
    let here = queued(fixture.command(0, "here", ClientId::fresh()));
    let (commands, answers): (Vec<_>, Vec<_>) =
        [elsewhere(&fixture, 0), here, elsewhere(&fixture, 1)].into_iter().unzip();
    fixture.executor.run(commands).answer();
    let answers: Vec<_> = answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect();
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap_err(), &CommandError::Internal);
    assert_eq!(fixture.head(), base);
}

/// Opens the database again, as after a crash.
fn reopen(fixture: &mut Fixture) {
    let path = fixture._dir.path().join("netbit.db");
    let db = database::open_writer(&path, Synchronous::Full).unwrap();
    fixture.executor = BatchExecutor::new(db, fixture.limits.clone(), fixture.metrics.clone()).unwrap();
}

#[test]
fn cursors_follow_messages_while_their_rows_are_behind() {
    let mut fixture = Fixture::new(1000);
    let last = (0..5).map(|_| seq(fixture.append(0, "text"))).last().unwrap();
    assert!(fixture.row(0).read_seq < last, "cursors are not written with each message");
    assert_eq!(fixture.participant(0).read_seq, last);
    // Bob has not read Ada's messages: his own ones are kept as ranges.
    let own = seq(fixture.append(1, "answer"));
    assert_eq!(fixture.participant(1).own.ranges().collect::<Vec<_>>(), [(6, 6)]);
    assert_eq!(fixture.participant(0).read_seq, last);
    let snapshots = [fixture.participant(0), fixture.participant(1)];
    reopen(&mut fixture);
    assert_eq!([fixture.participant(0), fixture.participant(1)], snapshots, "also after a crash");
    assert_eq!(seq(fixture.append(2, "next")), own + 1);
    assert_eq!([fixture.row(0), fixture.row(1)], snapshots, "the first batch writes them");
}

#[test]
fn cursors_are_written_before_other_commands_read() {
    let mut fixture = Fixture::new(1000);
    let first = seq(fixture.append(0, "first"));
    let last = seq(fixture.append(0, "second"));
    let (who, chat) = (fixture.people[0], fixture.chat);
    fixture.one(MarkUnread { who, chat, from: first, within_rate: Ok(()) }).unwrap();
    let unread = fixture.participant(0);
    assert_eq!((unread.read_seq, fixture.row(0)), (first - 1, unread.clone()));
    reopen(&mut fixture);
    assert_eq!(fixture.participant(0), unread, "the messages do not move the cursor again");
    let content = Content::parse("the second".to_owned()).unwrap();
    let update = MessageUpdate::Edit { content, metadata: None };
    let message = fixture.append(1, "of bob").unwrap().message.id;
    let who = fixture.people[1];
    fixture.one(UpdateMessage { who, chat, message, update, within_rate: Ok(()) }).unwrap();
    assert_eq!((fixture.row(0), fixture.row(1).own.contains(3)), (unread, true), "{last}");
}

#[test]
fn cursors_outlive_a_batch_that_is_rolled_back() {
    let mut fixture = Fixture::new(1000);
    let base = seq(fixture.append(0, "first"));
    // Eve takes the seq.
    let taken = NUMBER_TAKEN.replace("ordinal + 1, sender_id", "ordinal + 1, 3");
    fixture.executor.connection().batch_execute(&taken).unwrap();
    assert_eq!(fixture.append(1, "refused").unwrap_err(), CommandError::Internal);
    let delete = "DELETE FROM messages WHERE id = (SELECT max(id) FROM messages);";
    fixture.executor.connection().batch_execute(delete).unwrap();
    assert_eq!(fixture.participant(0).read_seq, base);
    assert_eq!(seq(fixture.append(2, "second")), base + 1);
    assert_eq!((fixture.row(0).read_seq, fixture.metrics.replayed.get()), (base, 2));
}

#[test]
fn cursors_are_written_after_1024_messages_and_before_a_stop() {
    let mut fixture = Fixture::new(1000);
    let written =
        |fixture: &mut Fixture| meta::get(fixture.executor.connection(), meta::CURSORS_WRITTEN).unwrap();
    let first = seq(fixture.append(0, "first"));
    for _ in 0..4 {
        let commands = (0..256).map(|_| queued(fixture.command(0, "text", ClientId::fresh())).0).collect();
        fixture.executor.run(commands).answer();
    }
    assert_eq!((fixture.row(0).read_seq, written(&mut fixture)), (first + 1024, Some(1025)));
    seq(fixture.append(0, "last"));
    assert_eq!(fixture.row(0).read_seq, first + 1024);
    fixture.executor.write_cursors().unwrap();
    assert_eq!((fixture.row(0).read_seq, written(&mut fixture)), (first + 1025, Some(1026)));
    fixture.executor.write_cursors().unwrap();
    // A full writer cache is emptied after its cursors are written.
    let mut small = Fixture::new(0);
    let first = seq(small.append(0, "first"));
    assert_eq!(seq(small.append(1, "second")), first + 1);
    assert_eq!(small.row(0).read_seq, first);
}

#[test]
fn cursors_without_a_counter_are_taken_as_written() {
    let mut fixture = Fixture::new(1000);
    let first = seq(fixture.append(0, "first"));
    fixture.executor.write_cursors().unwrap();
    meta::delete(fixture.executor.connection(), meta::CURSORS_WRITTEN).unwrap();
    let rewind = "UPDATE chat_participants SET read_seq = 0, read_ordinal = 0;";
    fixture.executor.connection().batch_execute(rewind).unwrap();
    reopen(&mut fixture);
    assert_eq!(fixture.participant(0).read_seq, 0, "the row of an earlier release is kept as it is");
    seq(fixture.append(1, "second"));
    assert_eq!((fixture.row(0).read_seq, fixture.participant(1).own.contains(2)), (0, true), "{first}");
}
