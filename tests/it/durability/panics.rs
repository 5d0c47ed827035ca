//! Panics and losses inside the server: the one concerned is told, the others are served, and what the cache holds
//! equals the database again.
//!
//! The faults are commands and queries of the tests' own, which the actors take like any other.

use netbit::actors::cache::{Query, QueryContext, QueryOutcome};
use netbit::actors::writer::{Command, CommandError, Committed, Execution, Tx, WriterEvent};
use netbit::client::TcpError;
use netbit::core::actor::Caller;
use netbit::domain::access::{Credential, RequiredScope};
use netbit::protocol::packet::MessagePacket;

use crate::harness::{Person, TestServer, soon};

/// Panics where the writer expects it: inside its transaction.
struct PanicsInItsTransaction;

impl Command for PanicsInItsTransaction {
    type Output = ();
    const NAME: &'static str = "PanicsInItsTransaction";
    fn execute(&self, _: &mut Tx<'_>) -> Execution<()> {
        panic!("on purpose");
    }
}

/// Panics where nobody expects it: in the actor's own handler.
struct BreaksTheWriter;

impl Command for BreaksTheWriter {
    type Output = ();
    const NAME: &'static str = "BreaksTheWriter";
    fn bytes(&self) -> usize {
        panic!("on purpose");
    }
    fn execute(&self, _: &mut Tx<'_>) -> Execution<()> {
        Ok(())
    }
}

struct BreaksTheCache;

impl Query for BreaksTheCache {
    type Answer = ();
    const NAME: &'static str = "BreaksTheCache";
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;
    fn answer(&self, _: Option<Credential>, _: &mut QueryContext<'_>) -> QueryOutcome<()> {
        panic!("on purpose");
    }
}

fn restarts(server: &TestServer, actor: &str) -> u64 {
    let mut all = server.app.actors.iter().map(|stats| stats.snapshot());
    all.find(|snapshot| snapshot.actor == actor).unwrap().restarts
}

/// The server's word that a session must come back, and that it then finds everything.
async fn told_to_come_back(person: &Person, session: &mut netbit::client::TcpClient) {
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
async fn a_command_that_panics_is_told_alone_and_the_writer_goes_on() {
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
async fn a_writer_that_breaks_is_restarted_and_nothing_acknowledged_is_lost() {
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
    told_to_come_back(&alice, &mut session).await;
    // The comparison of cache and database at the stop is part of the test.
    server.stop_after_panics().await;
}

#[actix_web::test]
async fn a_cache_that_breaks_is_loaded_anew() {
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
    told_to_come_back(&alice, &mut session).await;
    server.stop_after_panics().await;
}

/// While the snapshot is being read, commits and queries wait: nobody reads the past.
#[actix_web::test]
async fn a_reload_in_the_middle_of_everything_answers_everybody_with_the_present() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let mut session = alice.tcp().await;
    for n in 0..30 {
        if n % 10 == 5 {
            server.app.services.cache.publish(WriterEvent::Reload);
        }
        assert_eq!(alice.say(chat, &n.to_string()).await.status, 201);
        assert_eq!(alice.contents(chat).await.len(), n + 1, "one reads what one has written");
    }
    assert_eq!(server.app.cache_counters.snapshot().reloads, 3);
    told_to_come_back(&alice, &mut session).await;
    server.stop().await;
}

/// A batch that no snapshot knows means that the database has lost a commit: nothing can be trusted any more.
#[actix_web::test]
async fn a_batch_that_even_the_database_does_not_know_ends_the_process() {
    let server = TestServer::start().await;
    let unknown = Committed { commit_no: 1_000, events: Vec::new(), permits: Vec::new() };
    server.app.services.cache.publish(WriterEvent::Committed(unknown));
    assert_eq!(soon(server.app.failed()).await, 70);
    server.abandon();
}

#[actix_web::test]
async fn a_batch_that_arrives_twice_changes_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let old = Committed { commit_no: 1, events: Vec::new(), permits: Vec::new() };
    server.app.services.cache.publish(WriterEvent::Committed(old));
    assert_eq!(alice.get("/api/users/me").await.status, 200);
    assert_eq!(server.app.cache_counters.snapshot().reloads, 0);
    server.stop().await;
}
