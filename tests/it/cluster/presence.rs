//! Presence, typing and the pacing of logins across nodes, over PostgreSQL, Redis and NATS.

use std::time::Duration;

use netbit::client::TcpClient;
use netbit::domain::ids::{ChatId, UserId};
use netbit::protocol::packet::MessagePacket;
use serde_json::json;

use super::bus_server::{BusServer, Kind};
use super::nodes::{Cluster, login, metric, seen, until_seen};
use crate::harness::{PASSWORD, Person, TestServer, eventually, postgres, soon, until};
use crate::presence::{status, until_presence};

/// Two nodes with a user each, who share a chat.
struct Two {
    first: TestServer,
    second: TestServer,
    /// Logged in at the first node.
    alice: Person,
    /// Logged in at the second node.
    bob: Person,
    chat: ChatId,
}

impl Two {
    async fn start(cluster: &Cluster) -> Self {
        let (first, second) = (cluster.node().await, cluster.node().await);
        let (alice, at_first) = (first.user("alice").await, first.user("bob").await);
        let chat = alice.group(&[&at_first]).await;
        let bob = login(&second, "bob").await;
        Self { first, second, alice, bob, chat }
    }

    async fn stop(self) {
        self.first.stop().await;
        self.second.stop().await;
    }

    /// A status and typing of alice reach bob, whichever node each of them uses.
    async fn expect_presence(&self) {
        let mut watcher = self.bob.tcp().await;
        let mut session = self.alice.tcp().await;
        until_presence(&mut watcher, self.alice.id, "online").await;
        session.request(status("dnd", None)).await.unwrap();
        until_presence(&mut watcher, self.alice.id, "dnd").await;
        assert_eq!(seen(&self.bob, "alice").await, "dnd");
        until_seen(&self.alice, "bob", "online").await;
        self.expect_typing(&mut session, &mut watcher).await;
        drop(session);
        until_presence(&mut watcher, self.alice.id, "offline").await;
        until_seen(&self.bob, "alice", "offline").await;
    }

    /// Typing may be lost until both nodes know each other again: it is repeated.
    async fn expect_typing(&self, session: &mut TcpClient, watcher: &mut TcpClient) {
        for _ in 0..TYPING_TRIES {
            session.request(typing(self.chat)).await.unwrap();
            if let Ok(found) = tokio::time::timeout(TYPING_AGAIN, next_typing(watcher)).await {
                return assert_eq!(found, (self.chat, self.alice.id));
            }
        }
        panic!("no typing has arrived");
    }
}

/// A user who types is announced again after 2.5 s.
const TYPING_AGAIN: Duration = Duration::from_secs(3);
const TYPING_TRIES: u32 = 10;

fn typing(chat: ChatId) -> MessagePacket {
    MessagePacket { packet_type: "Typing".into(), chat_id: Some(chat), ..MessagePacket::default() }
}

async fn next_typing(session: &mut TcpClient) -> (ChatId, UserId) {
    loop {
        let packet = soon(session.any()).await.unwrap();
        if packet.packet_type == "Typing" {
            return (packet.chat_id.unwrap(), packet.user_id.unwrap());
        }
    }
}

#[actix_web::test]
async fn presence_and_typing_reach_other_nodes() {
    let Some(cluster) = Cluster::new() else { return };
    let two = Two::start(&cluster).await;
    two.expect_presence().await;
    // A user with sessions at both nodes has the status of both together.
    let at_second = login(&two.second, "alice").await;
    let (mut here, mut there) = (two.alice.tcp().await, at_second.tcp().await);
    here.request(status("away", None)).await.unwrap();
    there.request(status("dnd", None)).await.unwrap();
    for watcher in [&two.bob, &two.alice] {
        until_seen(watcher, "alice", "dnd").await;
    }
    drop(there);
    for watcher in [&two.bob, &two.alice] {
        until_seen(watcher, "alice", "away").await;
    }
    two.stop().await;
}

#[actix_web::test]
async fn user_who_joins_a_chat_later_is_shown_at_other_nodes() {
    let Some(cluster) = Cluster::new() else { return };
    let two = Two::start(&cluster).await;
    let carol = two.first.user("carol").await;
    let _session = carol.tcp().await;
    let mut watcher = two.bob.tcp().await;
    assert_eq!(seen(&two.bob, "carol").await, "offline", "they share no chat");
    two.alice.http.add_participant(two.chat, "carol").await.unwrap();
    until_presence(&mut watcher, carol.id, "online").await;
    two.stop().await;
}

#[actix_web::test]
async fn invisible_user_is_hidden_at_other_nodes() {
    let Some(cluster) = Cluster::new() else { return };
    let two = Two::start(&cluster).await;
    let invisible = MessagePacket { status: Some("invisible".into()), ..MessagePacket::default() };
    let mut watcher = two.bob.tcp().await;
    let (mut hidden, _) = crate::presence::hello(&two.alice, &two.first, invisible).await;
    let position = two.alice.say(two.chat, "read").await.body["seq"].as_u64();
    let mark = MessagePacket {
        packet_type: "Mark".into(),
        request_id: Some(1),
        chat_id: Some(two.chat),
        read_seq: position,
        ..MessagePacket::default()
    };
    hidden.ask(mark).await.unwrap();
    hidden.request(typing(two.chat)).await.unwrap();
    drop(hidden);
    // Until alice is visible, bob receives nothing of her: no presence, no mark, no typing.
    let mut visible = two.alice.tcp().await;
    loop {
        let packet = soon(watcher.any()).await.unwrap();
        assert!(!["Typing", "Marks"].contains(&packet.packet_type.as_str()), "{packet:?}");
        if packet.users.iter().any(|view| view.user_id == two.alice.id) {
            break;
        }
    }
    until_seen(&two.bob, "alice", "online").await;
    two.expect_typing(&mut visible, &mut watcher).await;
    two.stop().await;
}

#[actix_web::test]
async fn users_of_a_killed_or_stopped_node_go_offline() {
    let Some(cluster) = Cluster::new() else { return };
    let two = Two::start(&cluster).await;
    let directory = tempfile::tempdir().unwrap();
    let mut third = cluster.process(directory.path()).await;
    for ends_cleanly in [false, true] {
        let token = eventually(async || third.http.login("alice", PASSWORD).await.ok()).await.token;
        let session = soon(TcpClient::open(third.tcp(), &token)).await.unwrap();
        until_seen(&two.bob, "alice", "online").await;
        if ends_cleanly {
            third.stop().await;
            until_seen(&two.bob, "alice", "offline").await;
            break;
        }
        third.kill();
        until_seen(&two.bob, "alice", "offline").await;
        drop(session);
        third = cluster.process(directory.path()).await;
    }
    two.stop().await;
}

/// Notifications that are not messages of a node are dropped.
#[actix_web::test]
async fn foreign_notifications_change_nothing() {
    let Some(cluster) = Cluster::new() else { return };
    let two = Two::start(&cluster).await;
    let hostile = ["", "x", "AAAA", &"A".repeat(7_999), "\u{e9}"];
    let statements: Vec<_> =
        hostile.iter().map(|payload| format!("SELECT pg_notify('netbit_bus', '{payload}')")).collect();
    postgres::psql(&cluster.database, &statements).unwrap();
    let dropped = async |server: &TestServer| {
        metric(server, r#"netbit_bus_messages_dropped_total{reason="size"}"#).await
            + metric(server, r#"netbit_bus_messages_dropped_total{reason="version"}"#).await
    };
    for server in [&two.first, &two.second] {
        until(async || dropped(server).await >= 5.0).await;
    }
    two.expect_presence().await;
    two.stop().await;
}

/// Ten failures at the first node, which it does not delay, are too many for the second.
#[actix_web::test]
async fn failed_logins_delay_attempts_at_other_nodes() {
    let Some(cluster) = Cluster::new() else { return };
    let of_free = |free: u32| {
        move |config: &mut netbit::core::config::Config| {
            config.limits.login_failures_free = free;
            config.limits.login_delay_max_ms = 3_600_000;
            config.limits.logins_patience_ms = 1_000;
        }
    };
    let first = cluster.node_with(of_free(100)).await;
    let second = cluster.node_with(of_free(3)).await;
    let (alice, at_first) = (first.user("alice").await, first.user("bob").await);
    alice.group(&[&at_first]).await;
    let bob = login(&second, "bob").await;
    let attempt = async |server: &TestServer, name: &str| {
        let body = json!({"username": name, "password": "wrong"});
        server.http.post("/api/users/login", &body).await.unwrap().status
    };
    for _ in 0..10 {
        assert_eq!(attempt(&first, "eve").await, 401);
    }
    // Presence follows the failures over the bus.
    let _session = alice.tcp().await;
    until_seen(&bob, "alice", "online").await;
    assert_eq!(attempt(&second, "eve").await, 429);
    assert_eq!(attempt(&second, "mallory").await, 401, "other accounts are not delayed");
    first.stop().await;
    second.stop().await;
}

#[actix_web::test]
async fn presence_works_over_redis_and_returns_after_a_crash() {
    over(Kind::Redis).await;
}

#[actix_web::test]
async fn presence_works_over_nats_and_returns_after_a_crash() {
    over(Kind::Nats).await;
}

async fn over(kind: Kind) {
    let Some(cluster) = Cluster::new() else { return };
    let Some(mut bus) = BusServer::start(kind).await else { return };
    let cluster = cluster.over(bus.url());
    let two = Two::start(&cluster).await;
    two.expect_presence().await;

    // Messages of chats do not need the bus.
    bus.kill();
    for server in [&two.first, &two.second] {
        until(async || metric(server, "netbit_bus_up").await == 0.0).await;
    }
    let mut session = two.alice.tcp().await;
    two.alice.say(two.chat, "without a bus").await;
    until(async || two.bob.contents(two.chat).await.contains(&"without a bus".to_owned())).await;
    until_seen(&two.alice, "alice", "online").await;

    // After the restart, the state of the meantime arrives.
    session.request(status("away", None)).await.unwrap();
    bus.restart().await;
    until_seen(&two.bob, "alice", "away").await;
    drop(session);
    two.expect_presence().await;

    // A stopped process acknowledges nothing: the connection is replaced.
    bus.freeze(true);
    let session = two.alice.tcp().await;
    until(async || metric(&two.first, "netbit_bus_up").await == 0.0).await;
    bus.freeze(false);
    until_seen(&two.bob, "alice", "online").await;
    drop(session);
    two.stop().await;
}
