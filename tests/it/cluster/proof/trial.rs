//! A trial: three nodes, their database, clients, and the judge at the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use netbit::client::HttpClient;
use netbit::domain::ids::ChatId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinHandle;

use super::client::{Client, Over, Replica};
use super::database::{Database, Replication};
use super::faults::Fault;
use super::network::{NODES, Network};
use super::nodes::Node;
use super::removals::{Actor, Removals};
use super::world::{Address, World};
use crate::durability::postgres::private_server::query;
use crate::harness::{PASSWORD, PATIENCE, eventually, until};

const CHATS: usize = 3;
const CLIENTS: [Over; 12] = [
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Rest,
    Over::Rest,
    Over::Rest,
    Over::Rest,
];
/// Chats of removals that the judge reads at the end, per trial.
const REMOVALS_JUDGED: usize = 60;

pub(super) struct Trial {
    // Dropped in this order: nodes, their database, their network.
    pub(super) nodes: Vec<Node>,
    pub(super) database: Database,
    pub(super) network: Network,
    pub(super) world: Rc<World>,
    pub(super) chance: StdRng,
    pub(super) fault_ms_max: u64,
    /// The fail points of every node.
    pub(super) points: &'static str,
    /// The nodes that were frozen while they held the commit lock.
    pub(super) frozen_with_lock: u32,
    owner: String,
    visitor: String,
    removals: Removals,
    clients: Vec<JoinHandle<Option<BTreeMap<i64, Replica>>>>,
    others: Vec<JoinHandle<()>>,
    begun: Instant,
}

impl Trial {
    /// Starts the database and the nodes, registers users, makes chats and starts the clients.
    pub(super) async fn start(
        seed: u64,
        fault_ms_max: u64,
        replication: Replication,
        points: &'static str,
    ) -> Self {
        let network = Network::new();
        let database = Database::start(&network, replication).await;
        let mut nodes: Vec<_> = (0..NODES).map(Node::new).collect();
        for node in &mut nodes {
            let url = database.url_of(&network, node.number);
            node.start(&network, &url, points).await.unwrap();
        }
        let http = &nodes[0].process().http;
        let login = async |name: &str| {
            http.register(name, PASSWORD).await.unwrap();
            http.login(name, PASSWORD).await.unwrap().token
        };
        let mut tokens = Vec::new();
        for who in 0..CLIENTS.len() {
            tokens.push(login(&format!("u{who}")).await);
        }
        let (owner, visitor) = (login("owner").await, login("visitor").await);
        let members: Vec<_> = (0..CLIENTS.len()).map(|who| format!("u{who}")).collect();
        let members: Vec<_> = members.iter().map(String::as_str).collect();
        let at_owner = http.with_token(&owner);
        let mut chats = Vec::new();
        for _ in 0..CHATS {
            chats.push(at_owner.create_group("team", &members).await.unwrap().0);
        }
        let foreign = at_owner.create_group("alone", &[]).await.unwrap().0;
        let world = Rc::new(World::new(seed, chats, foreign));
        for node in &nodes {
            world.moved(node.number, Some(address(node)));
        }
        let mut trial = Self {
            nodes,
            database,
            network,
            world,
            chance: StdRng::seed_from_u64(seed),
            fault_ms_max,
            points,
            frozen_with_lock: 0,
            owner,
            visitor,
            removals: Rc::new(RefCell::default()),
            clients: Vec::new(),
            others: Vec::new(),
            begun: Instant::now(),
        };
        trial.start_clients(&tokens);
        trial
    }

    fn start_clients(&mut self, tokens: &[String]) {
        for (who, (over, token)) in CLIENTS.into_iter().zip(tokens).enumerate() {
            let client = Client::new(who, over, token.clone(), self.world.clone());
            self.clients.push(actix::spawn(client.run()));
        }
        let actor = |number, token| Actor::new(&self.world, number, token, &self.removals);
        self.others.push(actix::spawn(actor(1, &self.owner).remove("visitor".to_owned())));
        self.others.push(actix::spawn(actor(2, &self.visitor).read()));
        self.others.push(actix::spawn(actor(3, &self.visitor).follow()));
        self.others.push(actix::spawn(actor(4, &self.visitor).follow()));
    }

    /// Starts a node that is down.
    pub(super) async fn start_with(&mut self, node: usize, points: &str) {
        let url = self.database.url_of(&self.network, node);
        self.nodes[node].start(&self.network, &url, points).await.unwrap();
        self.is_at(node);
    }

    /// Lets the clients know the address of a node that has started.
    pub(super) fn is_at(&self, node: usize) {
        self.world.moved(node, Some(address(&self.nodes[node])));
    }

    /// Fails when a client has failed: the others would go on without it.
    pub(super) async fn check_clients(&mut self) {
        for client in &mut self.clients {
            if client.is_finished() {
                client.await.unwrap();
                panic!("a client ended before the trial");
            }
        }
        for actor in &mut self.others {
            if actor.is_finished() {
                actor.await.unwrap();
                panic!("an actor ended before the trial");
            }
        }
    }

    /// Waits until every message is answered and every client has every event, and judges. Returns
    /// a summary.
    pub(super) async fn judge(mut self, faults: &BTreeMap<Fault, Vec<Duration>>) -> String {
        // A short trial may have no removal yet. Without the commit lock, the clients outrun the
        // owner again and again.
        self.world.quiet.set(true);
        let removals = self.removals.clone();
        let under_load = removals.borrow().values().filter(|removal| removal.is_removed).count();
        until(async || {
            let removals = removals.borrow();
            removals.values().any(|removal| removal.is_removed)
                && removals.values().any(|removal| removal.seen > 0)
        })
        .await;
        let seconds = self.begun.elapsed().as_secs_f64();
        self.world.ending.set(true);
        for actor in std::mem::take(&mut self.others) {
            tokio::time::timeout(PATIENCE, actor).await.expect("an actor does not end").unwrap();
        }
        let world = self.world.clone();
        until(async || {
            world.drained.get() == CLIENTS.len() || self.clients.iter().any(JoinHandle::is_finished)
        })
        .await;
        let stored = self.stored();
        let mut heads = BTreeMap::new();
        for (chat, seq) in stored.keys() {
            heads.insert(*chat, *seq);
        }
        *self.world.heads.borrow_mut() = Some(heads);
        self.judge_replicas(&stored).await;
        self.judge_pages(&stored).await;
        let removed = self.judge_removals().await;
        let log = "SELECT count(*) = max(commit_no) - min(commit_no) + 1 FROM commits";
        assert_eq!(query(&self.database.url(), log), "t", "the log of commits is dense");
        let messages = stored.into_iter().filter(|(_, (id, _))| *id != 0).collect();
        let mut summary = {
            let record = self.world.record.borrow();
            record.judge(&messages);
            format!(
                "{} acknowledged, {} refused, {} operations, {} stored, {removed} removals ({under_load} under load), {seconds:.0} s, over {}: \
                 0 lost, 0 doubled",
                record.acknowledged,
                record.refused,
                record.operations,
                messages.len(),
                self.network.kind(),
            )
        };
        for (fault, silences) in faults {
            let longest = silences.iter().max().map_or(0, Duration::as_millis);
            write!(summary, "; {fault:?} {} times, silence up to {longest} ms", silences.len()).unwrap();
        }
        write!(summary, "; {} froze with the commit lock", self.frozen_with_lock).unwrap();
        for node in &mut self.nodes {
            node.stop().await;
            let log = std::fs::read_to_string(node.log()).unwrap();
            assert!(!log.contains("could not be compared"), "{log}");
        }
        summary
    }

    /// Returns every event of the clients' chats: `(chat, seq) -> (message id or 0, content)`.
    fn stored(&self) -> BTreeMap<(i64, i64), (i64, String)> {
        let chats: Vec<_> = self.world.chats.iter().map(ToString::to_string).collect();
        let rows = format!(
            "SELECT chat_id, seq, id, content FROM messages WHERE chat_id IN ({chats})
             UNION ALL SELECT chat_id, seq, 0, kind FROM chat_events WHERE chat_id IN ({chats})",
            chats = chats.join(", ")
        );
        let rows = query(&self.database.url(), &rows);
        let mut stored = BTreeMap::new();
        for row in rows.lines() {
            let mut fields = row.splitn(4, '|');
            let mut number = || fields.next().unwrap().parse::<i64>().unwrap();
            let (place, id) = ((number(), number()), number());
            let before = stored.insert(place, (id, fields.next().unwrap().to_owned()));
            assert_eq!(before, None, "two events at {place:?}");
        }
        let mut last = (0, 0);
        for (chat, seq) in stored.keys().copied() {
            let expected = if chat == last.0 { last.1 + 1 } else { 1 };
            assert_eq!(seq, expected, "the seqs of chat {chat} are dense");
            last = (chat, seq);
        }
        stored
    }

    /// Every client has every event, as the database has it.
    async fn judge_replicas(&mut self, stored: &BTreeMap<(i64, i64), (i64, String)>) {
        for client in std::mem::take(&mut self.clients) {
            let ended = tokio::time::timeout(PATIENCE, client).await;
            let replicas = ended.expect("a client does not get every event").unwrap();
            for (chat, replica) in replicas.into_iter().flatten() {
                let ids = stored.range((chat, 0)..(chat + 1, 0)).map(|(_, (id, _))| *id);
                assert!(ids.eq(replica), "a client has other events of chat {chat} than the database");
            }
        }
    }

    /// Every node shows every event, as the database has it.
    async fn judge_pages(&self, stored: &BTreeMap<(i64, i64), (i64, String)>) {
        for node in &self.nodes {
            let http = node.process().http.with_token(&self.owner);
            for chat in &self.world.chats {
                let expected =
                    stored.range((*chat, 0)..(*chat + 1, 0)).map(|((_, seq), event)| (*seq, event.clone()));
                let shown = events(&http, *chat).await;
                assert!(expected.eq(shown), "node {} shows other events of chat {chat}", node.number);
            }
        }
    }

    /// The visitor saw nothing after a removal, and no node shows the chats. Returns their number.
    async fn judge_removals(&self) -> usize {
        let removals = self.removals.borrow().clone();
        let removed: Vec<_> = removals.iter().filter(|(_, removal)| removal.is_removed).collect();
        let seen = removals.values().filter(|removal| removal.seen > 0).count();
        assert!(!removed.is_empty() && seen > 0, "no chat was both seen and lost");
        for (chat, removal) in removed.iter().rev().take(REMOVALS_JUDGED) {
            let at = format!("SELECT seq FROM chat_events WHERE chat_id = {chat} AND kind = 'leave'");
            let at: i64 = query(&self.database.url(), &at).parse().unwrap();
            assert!(removal.seen <= at, "removed from chat {chat} at {at}, saw {}", removal.seen);
            for node in &self.nodes {
                let http = node.process().http.with_token(&self.visitor);
                let page = http.get(&format!("/api/chats/{chat}/messages")).await.unwrap();
                assert_eq!(page.status, 404, "node {} shows chat {chat}: {}", node.number, page.body);
            }
        }
        removed.len()
    }
}

fn address(node: &Node) -> Address {
    Address { http: node.process().http.clone(), tcp: node.process().tcp() }
}

/// Returns every event of a chat, page by page: `(seq, (id of the message or 0, content or kind))`.
async fn events(http: &HttpClient, chat: i64) -> Vec<(i64, (i64, String))> {
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let path = format!("/api/chats/{}/events?after_seq={after}&limit=100", ChatId(chat));
        let page = eventually(async || http.get(&path).await.ok().filter(|page| page.status == 200)).await;
        for event in page.body["items"].as_array().unwrap() {
            after = event["seq"].as_i64().unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let shown = match event["message"]["id"].as_i64() {
                Some(id) => (id, text(&event["message"]["content"])),
                None => (0, text(&event["kind"])),
            };
            all.push((after, shown));
        }
        if page.body["has_more"] == false {
            return all;
        }
    }
}
