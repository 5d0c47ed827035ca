//! A standby that lacks acknowledged commits is promoted: every node notices it.
//!
//! Nodes and clients then agree on what is left, under a new epoch. A cursor of the old epoch is
//! reset at every node.

use std::collections::BTreeMap;

use netbit::client::{HttpClient, TcpClient};
use netbit::domain::ids::ChatId;
use netbit::protocol::packet::MessagePacket;
use rustix::process::Signal;

use super::database::{Database, Replication};
use super::network::{NODES, Network};
use super::nodes::Node;
use crate::durability::kills::{assert_dense, whole_history};
use crate::durability::postgres::private_server::query;
use crate::harness::{PASSWORD, eventually, postgres, soon, until};

/// The exit code of a node whose database is older than itself.
const LOST: i32 = 75;

struct Cluster {
    // Dropped in this order.
    nodes: Vec<Node>,
    database: Database,
    network: Network,
}

impl Cluster {
    async fn start() -> Self {
        let network = Network::new();
        let database = Database::start(&network, Replication::Asynchronous).await;
        let mut cluster = Self { nodes: (0..NODES).map(Node::new).collect(), database, network };
        for node in 0..NODES {
            cluster.start_node(node).await;
        }
        cluster
    }

    /// Starts a cluster with a user, and returns the token and a group of that user.
    async fn with_a_group() -> (Self, String, ChatId) {
        let cluster = Self::start().await;
        cluster.nodes[0].process().http.register("alice", PASSWORD).await.unwrap();
        let token = cluster.login(0).await.unwrap();
        let chat = cluster.at(0, &token).create_group("team", &[]).await.unwrap();
        (cluster, token, chat)
    }

    async fn start_node(&mut self, node: usize) {
        let url = self.database.url_of(&self.network, node);
        self.nodes[node].start(&self.network, &url, "").await.unwrap();
    }

    fn at(&self, node: usize, token: &str) -> HttpClient {
        self.nodes[node].process().http.with_token(token)
    }

    /// Logs in. Fails while the node has no database, or has not noticed that it is another.
    async fn login(&self, node: usize) -> Option<String> {
        let login = soon(self.nodes[node].process().http.login("alice", PASSWORD)).await;
        login.ok().map(|account| account.token)
    }

    async fn epoch(&self, node: usize, token: &str) -> Option<i64> {
        let opened = soon(TcpClient::open(self.nodes[node].process().tcp(), token)).await;
        opened.ok().and_then(|(_, welcome)| welcome.epoch)
    }

    /// Waits until a node has ended because the database is another.
    async fn until_ended(&mut self, node: usize) {
        let ended = loop {
            if let Some(code) = self.nodes[node].take_ended().await {
                break code;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        assert_eq!(ended, Some(LOST), "node {node} ended by itself");
    }

    /// Waits until a node serves another epoch than `old`. Starts it if it has ended.
    async fn until_reset(&mut self, node: usize, old: i64) {
        loop {
            if let Some(code) = self.nodes[node].take_ended().await {
                assert_eq!(code, Some(LOST), "node {node} ended by itself");
                self.start_node(node).await;
            }
            if let Some(token) = self.login(node).await
                && self.epoch(node, &token).await.is_some_and(|epoch| epoch != old)
            {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn pages(&self, node: usize, token: &str, chat: ChatId) -> BTreeMap<i64, String> {
        let messages = whole_history(&self.at(node, token), chat).await.into_iter();
        messages.map(|message| (message.seq, message.content)).collect()
    }
}

#[actix_web::test]
async fn promotion_of_an_older_standby_resets_every_node() {
    if !postgres::is_used() {
        return;
    }
    let (mut cluster, old_token, chat) = Cluster::with_a_group().await;
    let old_epoch = cluster.epoch(0, &old_token).await.unwrap();
    let say = async |cluster: &Cluster, token: &str, word: &str| {
        for node in 0..NODES {
            let content = format!("{word} at {node}");
            soon(cluster.at(node, token).post_message(chat, &content)).await.unwrap();
        }
    };
    say(&cluster, &old_token, "kept").await;
    cluster.database.detach_standby().await;
    say(&cluster, &old_token, "lost").await;
    say(&cluster, &old_token, "lost").await;
    cluster.database.promote().await;

    for node in 0..NODES {
        soon(cluster.until_reset(node, old_epoch)).await;
    }
    // A node may have ended after it was waited for.
    let agreed = eventually(async || {
        let mut epochs = Vec::new();
        for node in 0..NODES {
            if let Some(code) = cluster.nodes[node].take_ended().await {
                assert_eq!(code, Some(LOST), "node {node} ended by itself");
                cluster.start_node(node).await;
            }
            epochs.push(cluster.epoch(node, &cluster.login(node).await?).await?);
        }
        epochs.windows(2).all(|two| two[0] == two[1]).then_some(epochs[0])
    });
    let epoch = agreed.await;
    assert_ne!(epoch, old_epoch);

    let token = cluster.login(0).await.unwrap();
    for node in 0..NODES {
        let old = cluster.at(node, &old_token).get("/api/chats").await.unwrap();
        assert_eq!(old.status, 401, "node {node} accepts a token of the old epoch");
        let opened = soon(TcpClient::open(cluster.nodes[node].process().tcp(), &token)).await;
        let (mut session, _) = opened.unwrap();
        let resume = MessagePacket {
            packet_type: "Resume".into(),
            epoch: Some(u64::try_from(old_epoch).unwrap()),
            cursors: Some([(chat, 5)].into()),
            ..MessagePacket::default()
        };
        soon(session.request(resume)).await.unwrap();
        let reset = soon(session.pushed()).await.unwrap();
        assert_eq!((reset.packet_type.as_str(), reset.epoch), ("Reset", Some(epoch)), "node {node}");
    }
    say(&cluster, &token, "new").await;
    let url = cluster.database.url();
    let rows = query(&url, &format!("SELECT seq, content FROM messages WHERE chat_id = {chat} ORDER BY seq"));
    let rows = rows.lines().map(|row| row.split_once('|').unwrap());
    let stored: BTreeMap<_, _> = rows.map(|(seq, text)| (seq.parse().unwrap(), text.to_owned())).collect();
    let words: Vec<_> = stored.values().map(|content| content.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["kept", "kept", "kept", "new", "new", "new"]);
    for node in 0..NODES {
        until(async || cluster.pages(node, &token, chat).await == stored).await;
        assert_dense(&cluster.at(node, &token), chat).await;
    }
    let log = "SELECT count(*) = max(commit_no) - min(commit_no) + 1 FROM commits";
    assert_eq!(query(&url, log), "t", "the log of commits is dense");
    for node in &mut cluster.nodes {
        node.stop().await;
    }
}

/// Only one node knows the lost commits. Its next start set a new epoch, and the others went on
/// with the keys and logins of the old one.
#[actix_web::test]
async fn nodes_that_know_no_lost_commit_end_at_the_new_epoch() {
    if !postgres::is_used() {
        return;
    }
    let (mut cluster, old_token, chat) = Cluster::with_a_group().await;
    let old_epoch = cluster.epoch(0, &old_token).await.unwrap();
    for node in 0..NODES {
        soon(cluster.at(node, &old_token).post_message(chat, "kept")).await.unwrap();
    }
    cluster.database.detach_standby().await;
    // The others do not read what is lost.
    for node in 1..NODES {
        cluster.nodes[node].signal(Signal::STOP);
    }
    soon(cluster.at(0, &old_token).post_message(chat, "lost")).await.unwrap();
    cluster.database.promote().await;
    for node in 1..NODES {
        cluster.nodes[node].signal(Signal::CONT);
    }
    soon(cluster.until_ended(0)).await;
    // They are complete, and go on until there is a new epoch.
    for node in 1..NODES {
        let served = async || {
            let answer = cluster.at(node, &old_token).get("/api/chats").await;
            answer.is_ok_and(|answer| answer.status == 200)
        };
        until(served).await;
    }
    cluster.start_node(0).await;
    for node in 1..NODES {
        soon(cluster.until_ended(node)).await;
    }
    let token = cluster.login(0).await.unwrap();
    let epoch = cluster.epoch(0, &token).await.unwrap();
    assert_ne!(epoch, old_epoch);
    // Nor does a node end the logins again that is the first to start.
    cluster.nodes[0].stop().await;
    query(&cluster.database.url(), "UPDATE nodes SET seen_at = 0");
    for node in (0..NODES).rev() {
        cluster.start_node(node).await;
    }
    for node in 0..NODES {
        assert_eq!(cluster.epoch(node, &token).await, Some(epoch), "node {node} has kept the epoch");
        let old = cluster.at(node, &old_token).get("/api/chats").await.unwrap();
        assert_eq!(old.status, 401, "node {node} accepts a token of the old epoch");
        soon(cluster.at(node, &token).post_message(chat, "new")).await.unwrap();
    }
    for node in &mut cluster.nodes {
        node.stop().await;
    }
}
