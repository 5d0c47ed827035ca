//! A user who is removed from chats, and never sees anything that was committed after it.
//!
//! An owner creates a chat, writes, removes the visitor and writes again, through changing nodes.
//! The visitor follows the chats in sessions and reads pages at changing nodes all the time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use netbit::client::{HttpAnswer, TcpClient};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::packet::MessagePacket;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::within;
use super::world::World;

/// The chats that the visitor reads: the newest ones.
const WATCHED: usize = 3;
/// The pause of the owner between two chats.
const PAUSE: Duration = Duration::from_millis(100);
const MESSAGES_BEFORE: usize = 2;
const MESSAGES_AFTER: usize = 3;

/// A chat that the visitor is removed from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Removal {
    /// The owner has an answer: the visitor is removed.
    pub(super) is_removed: bool,
    /// The newest seq that the visitor saw, in any way.
    pub(super) seen: i64,
}

pub(super) type Removals = Rc<RefCell<BTreeMap<i64, Removal>>>;

/// The owner or the visitor.
pub(super) struct Actor {
    pub(super) world: Rc<World>,
    pub(super) token: String,
    pub(super) removals: Removals,
    chance: StdRng,
}

impl Actor {
    pub(super) fn new(world: &Rc<World>, number: u64, token: &str, removals: &Removals) -> Self {
        let chance = StdRng::seed_from_u64(world.seed.wrapping_mul(31).wrapping_add(number));
        Self { world: world.clone(), token: token.to_owned(), removals: removals.clone(), chance }
    }

    /// Sends a request to any node, until a node answers it. `None` at the end of the trial.
    async fn ask(&mut self, method: Method, path: &str, body: Option<Value>) -> Option<HttpAnswer> {
        while !self.world.ending.get() {
            let (_, address) = self.world.any_node(&mut self.chance).await;
            let http = address.http.with_token(&self.token);
            match within(http.send(method.clone(), path, body.as_ref(), &[])).await {
                // 408: the node was frozen and did not read the request in time.
                Ok(answer) if answer.status < 500 && answer.status != 408 => return Some(answer),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        None
    }

    /// The owner: creates chats and removes the visitor, until the trial ends.
    pub(super) async fn remove(mut self, visitor: String) {
        while self.remove_once(&visitor).await.is_some() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn remove_once(&mut self, visitor: &str) -> Option<()> {
        let body = json!({"kind": "group", "name": "short", "participants": [visitor]});
        let made = self.ask(Method::POST, "/api/chats", Some(body)).await?;
        assert_eq!(made.status, 201, "{}", made.body);
        let chat = made.body["id"].as_i64().unwrap();
        self.removals.borrow_mut().insert(chat, Removal::default());
        self.say(chat, MESSAGES_BEFORE).await?;
        let path = format!("/api/chats/{chat}/participants/{visitor}");
        let removed = self.ask(Method::DELETE, &path, None).await?;
        // 404: an earlier try, whose answer was lost, has removed the visitor.
        assert!(matches!(removed.status, 204 | 404), "{} {}", removed.status, removed.body);
        self.removals.borrow_mut().get_mut(&chat).unwrap().is_removed = true;
        self.say(chat, MESSAGES_AFTER).await
    }

    async fn say(&mut self, chat: i64, count: usize) -> Option<()> {
        for _ in 0..count {
            let body = json!({"client_id": ClientId::fresh(), "content": "not for everyone"});
            let said = self.ask(Method::POST, &format!("/api/chats/{chat}/messages"), Some(body)).await?;
            assert!(matches!(said.status, 200 | 201), "{} {}", said.status, said.body);
        }
        Some(())
    }

    fn saw(&self, chat: i64, seq: i64) {
        if let Some(removal) = self.removals.borrow_mut().get_mut(&chat) {
            removal.seen = seq.max(removal.seen);
        }
    }

    fn watched(&self) -> Vec<i64> {
        self.removals.borrow().keys().rev().take(WATCHED).copied().collect()
    }

    /// The visitor over REST: reads pages, until the trial ends.
    pub(super) async fn read(mut self) {
        while !self.world.ending.get() {
            for chat in self.watched() {
                let path = format!("/api/chats/{chat}/messages?limit=20");
                let Some(page) = self.ask(Method::GET, &path, None).await else { return };
                assert!(matches!(page.status, 200 | 404), "{} {}", page.status, page.body);
                let items = page.body["items"].as_array().into_iter().flatten();
                for seq in items.filter_map(|item| item["seq"].as_i64()) {
                    self.saw(chat, seq);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The visitor in sessions, until the trial ends.
    pub(super) async fn follow(mut self) {
        while !self.world.ending.get() {
            let (_, address) = self.world.any_node(&mut self.chance).await;
            let Ok((mut session, welcome)) = within(TcpClient::open(address.tcp, &self.token)).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let cursors = self.watched().into_iter().map(|chat| (ChatId(chat), 0)).collect();
            let resume = MessagePacket {
                packet_type: "Resume".into(),
                epoch: welcome.epoch.map(|epoch| u64::try_from(epoch).unwrap()),
                cursors: Some(cursors),
                ..MessagePacket::default()
            };
            if within(session.writer.send(&resume)).await.is_err() {
                continue;
            }
            let until =
                tokio::time::Instant::now() + Duration::from_millis(self.chance.random_range(100..3_000));
            while let Ok(Ok(packet)) = tokio::time::timeout_at(until, session.reader.next()).await {
                if packet.packet_type == "Event" {
                    self.saw(packet.chat_id.unwrap().0, packet.seq.unwrap());
                }
            }
        }
    }
}
