//! Panics and losses inside the server: only the affected caller gets an error, the others are
//! served, and the cache equals the database again.
//!
//! The faults are the tests' own commands and queries, which the actors handle like any other.

use netbit::actors::cache::{CacheActor, Query, QueryContext, QueryOutcome};
use netbit::actors::commit::{Committed, WriterEvent};
use netbit::actors::writer::{Command, CommandError, DbWriterActor, Execution, Tx};
use netbit::client::TcpError;
use netbit::core::actor::{Caller, MessageName, NamedMessage};
use netbit::domain::access::{Credential, RequiredScope};
use netbit::protocol::packet::MessagePacket;

use crate::harness::{Person, TestServer, soon};

/// Panics where the writer handles it: inside its transaction.
struct PanicsInItsTransaction;

impl NamedMessage for PanicsInItsTransaction {
    type Actor = DbWriterActor;
    const NAME: MessageName = MessageName::unlisted("PanicsInItsTransaction");
}

impl Command for PanicsInItsTransaction {
    type Output = ();
    fn execute(&self, _: &mut Tx<'_>) -> Execution<()> {
        panic!("on purpose");
    }
}

/// Panics outside of the transaction: in the actor's own handler.
struct BreaksTheWriter;

impl NamedMessage for BreaksTheWriter {
    type Actor = DbWriterActor;
    const NAME: MessageName = MessageName::unlisted("BreaksTheWriter");
}

impl Command for BreaksTheWriter {
    type Output = ();
    fn bytes(&self) -> usize {
        panic!("on purpose");
    }
    fn execute(&self, _: &mut Tx<'_>) -> Execution<()> {
        Ok(())
    }
}

struct BreaksTheCache;

impl NamedMessage for BreaksTheCache {
    type Actor = CacheActor;
    const NAME: MessageName = MessageName::unlisted("BreaksTheCache");
}

impl Query for BreaksTheCache {
    type Answer = ();
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;
    fn answer(&self, _: Option<Credential>, _: &mut QueryContext<'_>) -> QueryOutcome<()> {
        panic!("on purpose");
    }
}

fn restarts(server: &TestServer, actor: &str) -> u64 {
    let mut all = server.app.actors.iter().map(|stats| stats.snapshot());
    all.find(|snapshot| snapshot.actor == actor).unwrap().restarts
}

/// Checks that the server asks the session to reconnect, and that a new session works.
async fn expect_reconnect(person: &Person, session: &mut netbit::client::TcpClient) {
    let code = loop {
        match soon(session.pushed()).await {
            Ok(packet) if packet.packet_type == "Goodbye" => assert!(packet.reconnect),
            Ok(_) => {}
            Err(TcpError::Closed(code)) => break code,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(code.as_deref(), Some("overloaded"));
    let ping = MessagePacket { packet_type: "Ping".into(), ..MessagePacket::default() };
    assert_eq!(person.tcp().await.request(ping).await.unwrap().packet_type, "Pong");
}

#[actix_web::test]
async fn panicking_command_fails_alone_and_the_writer_continues() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let outcome = server.app.services.writer.execute(Caller::Server, PanicsInItsTransaction).await;
    assert_eq!(outcome, Err(CommandError::Internal));
    assert_eq!(alice.say(chat, "still here").await.status, 201);
    assert_eq!(restarts(&server, "writer"), 0);
    server.stop().await;
}

#[actix_web::test]
async fn broken_writer_is_restarted_without_losing_acknowledged_data() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let mut session = alice.tcp().await;
    let said = async {
        let mut acknowledged = Vec::new();
        for n in 0..60 {
            let text = n.to_string();
            if alice.say(chat, &text).await.status == 201 {
                acknowledged.push(text);
            }
        }
        acknowledged
    };
    let broken = async {
        let outcome = server.app.services.writer.execute(Caller::Server, BreaksTheWriter).await;
        assert_eq!(outcome, Err(CommandError::Internal));
    };
    let (acknowledged, ()) = futures_util::join!(said, broken);
    assert!(acknowledged.len() >= 50, "{} of 60", acknowledged.len());
    assert_eq!(restarts(&server, "writer"), 1);
    let stored = alice.contents(chat).await;
    assert!(acknowledged.iter().all(|text| stored.contains(text)));
    expect_reconnect(&alice, &mut session).await;
    // The comparison of cache and database at the stop is part of the test.
    server.stop_after_panics().await;
}

#[actix_web::test]
async fn broken_cache_is_reloaded_from_the_database() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    alice.say(chat, "before").await;
    let mut session = alice.tcp().await;
    assert!(server.app.services.cache.ask_anonymously(BreaksTheCache).await.is_err());
    alice.say(chat, "after").await;
    assert_eq!(alice.contents(chat).await, ["before", "after"]);
    assert_eq!(restarts(&server, "cache"), 1);
    assert_eq!(server.app.cache_counters.snapshot().reloads, 1);
    expect_reconnect(&alice, &mut session).await;
    server.stop_after_panics().await;
}

/// Commits and queries wait while the snapshot is being read, so no query returns old state.
#[actix_web::test]
async fn reload_under_load_answers_every_query_with_current_state() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let mut session = alice.tcp().await;
    for n in 0..30 {
        if n % 10 == 5 {
            server.app.services.cache.publish(WriterEvent::Reload);
        }
        assert_eq!(alice.say(chat, &n.to_string()).await.status, 201);
        assert_eq!(alice.contents(chat).await.len(), n + 1, "a user reads their own writes");
    }
    assert_eq!(server.app.cache_counters.snapshot().reloads, 3);
    expect_reconnect(&alice, &mut session).await;
    server.stop().await;
}

/// A batch that no snapshot contains means that the database has lost a commit. The state cannot be
/// trusted any more.
#[actix_web::test]
async fn batch_missing_from_the_database_ends_the_process() {
    let server = TestServer::start().await;
    let unknown = Committed { commit_no: 1_000, events: Vec::new(), permits: Vec::new() };
    server.app.services.cache.publish(WriterEvent::Committed(unknown));
    assert_eq!(soon(server.app.failed()).await, 70);
    server.abandon();
}

#[actix_web::test]
async fn batch_that_arrives_twice_changes_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let old = Committed { commit_no: 1, events: Vec::new(), permits: Vec::new() };
    server.app.services.cache.publish(WriterEvent::Committed(old));
    assert_eq!(alice.get("/api/users/me").await.status, 200);
    assert_eq!(server.app.cache_counters.snapshot().reloads, 0);
    server.stop().await;
}
