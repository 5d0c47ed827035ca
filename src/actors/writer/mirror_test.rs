//! What the writer remembers is never older than the database: everything here happens behind a message that was taken.

use std::sync::Arc;

use diesel::connection::SimpleConnection;

use super::batch::Ledger;
use super::command::{Command, CommandError};
use super::commands::{
    AlterMessage, AppendMessage, Appended, CreateChat, EndLogin, NewChat, NewUser, RegisterUser,
    RemoveParticipant, StartLogin, UpdateChat,
};
use super::messages::{Job, Pending};
use super::metrics::CommitMetrics;
use crate::core::actor::Reply;
use crate::core::config::Synchronous;
use crate::core::database;
use crate::core::limits::Limits;
use crate::domain::access::Credential;
use crate::domain::ids::ChatId;
use crate::domain::message::{Alteration, ClientId, Content, NewMessage};
use crate::domain::refusal::Refusal;
use crate::domain::user::{User, Username};
use crate::storage::queries::chats;

struct Town {
    ledger: Ledger,
    people: Vec<Credential>,
    chat: ChatId,
    _dir: tempfile::TempDir,
}

type Answer<T> = Result<T, CommandError>;

impl Town {
    /// Three people in one group.
    fn found(mirror_facts: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
        database::migrate(&mut db, &path).unwrap();
        let limits = Limits { batch_ms: 60_000, mirror_facts, ..Limits::default() };
        let ledger = Ledger::new(db, limits, CommitMetrics::default()).unwrap();
        let mut town = Self { ledger, people: Vec::new(), chat: ChatId(0), _dir: dir };
        for name in ["ada", "bob", "eve"] {
            let user = town.one(RegisterUser { user: new_user(name), open: true }).unwrap();
            let who = town.log_in(&user);
            town.people.push(who);
        }
        let [ada, bob, eve] = [town.people[0], town.people[1], town.people[2]];
        let chat = NewChat::Group { name: "all".into(), participants: vec![bob.user, eve.user] };
        town.chat = town.one(CreateChat { who: ada, chat }).unwrap().0;
        town
    }

    fn log_in(&mut self, user: &Arc<User>) -> Credential {
        let refresh_hash = crate::core::auth::token::hash_of(&user.username);
        let login = StartLogin { user: user.id, token_version: user.token_version, refresh_hash };
        Credential::login(user.id, self.one(login).unwrap(), user.token_version)
    }

    /// Runs one command in a batch of its own.
    fn one<C: Command>(&mut self, command: C) -> Answer<C::Output> {
        self.all([job(command)])
    }

    /// Runs a batch and answers the last of it.
    fn all<T, const N: usize>(&mut self, jobs: [Asked<T>; N]) -> Answer<T> {
        let (jobs, mut answers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        self.ledger.run(jobs).answer();
        answers.pop().unwrap().try_recv().unwrap()
    }

    fn say(&mut self, who: usize, text: &str) -> Answer<Appended> {
        self.one(self.saying(who, text, ClientId::fresh()))
    }

    fn saying(&self, who: usize, text: &str, client_id: ClientId) -> AppendMessage {
        let content = Content::parse(text.to_owned()).unwrap();
        let message = NewMessage { client_id, content, reply_to: None, metadata: None };
        AppendMessage { who: self.people[who], chat: self.chat, message, within_rate: Ok(()) }
    }

    fn head(&mut self) -> i64 {
        chats::chat(self.ledger.connection(), self.chat.0).unwrap().unwrap().last_seq
    }
}

type Asked<T> = (Box<dyn Job>, tokio::sync::oneshot::Receiver<Answer<T>>);

fn job<C: Command>(command: C) -> Asked<C::Output> {
    let (reply, answer) = Reply::channel();
    (Box::new(Pending::new(command, None, reply)), answer)
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        username: Username::parse(name).unwrap(),
        display_name: name.to_owned(),
        email: None,
        password_hash: "none".to_owned(),
    }
}

fn seq(said: Answer<Appended>) -> i64 {
    let Appended { message, duplicate } = said.unwrap();
    assert!(!duplicate);
    message.seq
}

#[test]
fn whoever_was_removed_or_logged_out_says_nothing_more_though_they_just_did() {
    let mut town = Town::found(1000);
    assert!(town.say(1, "still here").is_ok() && town.say(2, "me too").is_ok());
    let (ada, chat) = (town.people[0], town.chat);
    town.one(RemoveParticipant { who: ada, chat, user: town.people[1].user }).unwrap();
    assert!(matches!(town.say(1, "hello?"), Err(CommandError::Refused(_))));
    assert!(town.say(2, "bob is gone").is_ok(), "the others stay");
    town.one(EndLogin { who: town.people[2], all: false }).unwrap();
    let refused = town.say(2, "hello?");
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::Unauthenticated))), "{refused:?}");
}

#[test]
fn an_archived_chat_takes_nothing_though_it_just_did() {
    let mut town = Town::found(1000);
    assert!(town.say(0, "before").is_ok());
    let (who, chat) = (town.people[0], town.chat);
    town.one(UpdateChat { who, chat, name: None, archived: Some(true) }).unwrap();
    assert!(matches!(town.say(0, "behind"), Err(CommandError::Refused(_))));
}

#[test]
fn numbers_stay_dense_through_messages_changes_and_what_fails() {
    let mut town = Town::found(1000);
    let base = seq(town.say(0, "first"));
    let second = town.say(1, "second").unwrap().message;
    assert_eq!(second.seq, base + 1);
    let content = Content::parse("the second".to_owned()).unwrap();
    let alteration = Alteration::Edit { content, metadata: None };
    let (who, chat) = (town.people[1], town.chat);
    town.one(AlterMessage { who, chat, message: second.id, alteration, within_rate: Ok(()) }).unwrap();
    assert_eq!(seq(town.say(2, "behind the edit")), base + 3);
    assert_eq!(town.head(), base + 3, "the row is not behind after the commit");
    let ids = [0, 1, 2].map(|who| job(town.saying(who, "together", ClientId::fresh())));
    assert_eq!(seq(town.all(ids)), base + 6, "one batch, one after the other");
    assert_eq!(town.head(), base + 6);
}

#[test]
fn a_name_that_was_used_takes_no_place_and_is_answered_as_before() {
    let mut town = Town::found(1000);
    let name = ClientId::fresh();
    let first = town.one(town.saying(0, "once", name)).unwrap().message;
    let again = town.one(town.saying(0, "once", name)).unwrap();
    assert!(again.duplicate && again.message.seq == first.seq);
    let other = town.one(town.saying(0, "something else", name));
    assert!(matches!(other, Err(CommandError::Refused(Refusal::ClientIdReused))), "{other:?}");
    let twice = ClientId::fresh();
    let both = [job(town.saying(0, "twice", twice)), job(town.saying(0, "twice", twice))];
    assert!(town.all(both).unwrap().duplicate, "also within one batch");
    assert_eq!(seq(town.say(1, "next")), first.seq + 2);
    // Who was told "committed" is told so again, also when they may not say anything new.
    let (ada, chat) = (town.people[0], town.chat);
    let said = town.one(town.saying(1, "kept", name)).unwrap().message;
    town.one(RemoveParticipant { who: ada, chat, user: town.people[1].user }).unwrap();
    let kept = town.one(town.saying(1, "kept", name)).unwrap();
    assert!(kept.duplicate && kept.message.id == said.id);
}

#[test]
fn what_is_remembered_has_a_bound_and_forgetting_changes_nothing() {
    // A login, a chat and a role for each of one message's questions; three people know one chat.
    for (mirror_facts, remembered) in [(1000, 3 + 1 + 3), (0, 1 + 1 + 1)] {
        let mut town = Town::found(mirror_facts);
        let base = seq(town.say(0, "first"));
        for n in 1..20 {
            assert_eq!(seq(town.say(usize::try_from(n % 3).unwrap(), "more")), base + n);
        }
        assert_eq!(town.ledger.facts(), remembered);
        assert_eq!(town.head(), base + 19);
    }
}

#[test]
fn a_number_that_is_taken_after_all_fails_one_message_and_not_the_next() {
    let mut town = Town::found(1000);
    let base = seq(town.say(0, "first"));
    // Behind the writer's back, which nobody can do.
    let taken = format!(
        "INSERT INTO messages (chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq)
         SELECT chat_id, seq + 1, ordinal + 1, sender_id, x'00', request_hash, content, created_at, seq + 1
         FROM messages WHERE seq = {base};
         UPDATE chats SET last_seq = last_seq + 1, last_ordinal = last_ordinal + 1 WHERE id = {};",
        town.chat
    );
    town.ledger.connection().batch_execute(&taken).unwrap();
    assert_eq!(town.say(0, "second").unwrap_err(), CommandError::Internal);
    assert_eq!(seq(town.say(0, "third")), base + 2);
}
