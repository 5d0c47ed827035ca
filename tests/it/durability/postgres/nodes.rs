//! Two servers with different data directories write to the same database.
//!
//! Each reads the commits of the other when it writes itself. A server that only reads may be
//! behind; these tests do not require more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use netbit::client::{TcpClient, saying};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;

use super::private_server::{query, terminate_connections};
use crate::durability::kills::{assert_dense, whole_history};
use crate::harness::{PASSWORD, Process, postgres, soon};

const CLIENTS: usize = 8;
const MESSAGES: usize = 40;
/// After so many acknowledged messages, all connections to the database are ended.
const TERMINATE_EVERY: usize = 100;

/// The acknowledged messages: (chat, seq) -> (id, content).
type Acknowledged = Rc<RefCell<BTreeMap<(ChatId, i64), (i64, String)>>>;

/// A client with a login at each of two servers.
struct Client {
    who: usize,
    servers: [(SocketAddr, String); 2],
    chats: Vec<ChatId>,
    acknowledged: Acknowledged,
    database: String,
}

impl Client {
    /// Sends messages to both servers in turn, and some of them to both.
    async fn run(self) {
        let open = async |at: usize| {
            let (address, token) = &self.servers[at];
            soon(TcpClient::open(*address, token)).await.unwrap().0
        };
        let mut sessions = [open(0).await, open(1).await];
        for n in 0..MESSAGES {
            let (name, content) = (ClientId::fresh(), format!("{} says {n}", self.who));
            let chat = self.chats[(self.who + n) % self.chats.len()];
            let mut places = Vec::new();
            let times = if n % 5 == 0 { 2 } else { 1 };
            for at in (0..times).map(|more| (self.who + n + more) % 2) {
                let ack = soon(sessions[at].request(saying(chat, name, &content))).await.unwrap();
                places.push((ack.seq.unwrap(), ack.message_id.unwrap().0));
            }
            assert!(places.windows(2).all(|two| two[0] == two[1]), "{content}: {places:?}");
            let (seq, id) = places[0];
            let before = self.acknowledged.borrow_mut().insert((chat, seq), (id, content));
            assert_eq!(before, None, "two messages at {seq} of {chat}");
            if self.acknowledged.borrow().len().is_multiple_of(TERMINATE_EVERY) {
                terminate_connections(&self.database);
            }
        }
    }
}

#[actix_web::test]
async fn two_servers_of_one_database_lose_and_double_nothing() {
    if !postgres::is_used() {
        return;
    }
    let (first_place, second_place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = postgres::url(first_place.path()).unwrap();
    let environment = [("NETBIT_DATABASE", database.as_str()), ("NETBIT_CLUSTER__ENABLED", "true")];
    let first = Process::with(first_place.path(), &environment).await;
    let names: Vec<_> = (0..CLIENTS).map(|n| format!("u{n}")).collect();
    for name in &names {
        first.http.register(name, PASSWORD).await.unwrap();
    }
    let login = async |server: &Process, name: &str| server.http.login(name, PASSWORD).await.unwrap().token;
    let owner = first.http.with_token(login(&first, "u0").await);
    let others: Vec<_> = names[1..].iter().map(String::as_str).collect();
    let chats = [
        owner.create_group("one", &others).await.unwrap(),
        owner.create_group("two", &others).await.unwrap(),
    ];
    let second = Process::with(second_place.path(), &environment).await;

    let acknowledged = Acknowledged::default();
    let mut clients = Vec::new();
    for (who, name) in names.iter().enumerate() {
        let servers = [(first.tcp(), login(&first, name).await), (second.tcp(), login(&second, name).await)];
        let (chats, acknowledged, database) = (chats.to_vec(), acknowledged.clone(), database.clone());
        clients.push(actix::spawn(Client { who, servers, chats, acknowledged, database }.run()));
    }
    for client in clients {
        client.await.unwrap();
    }

    let at_second = second.http.with_token(login(&second, "u0").await);
    // The first server is behind until it writes.
    let owner = first.http.with_token(login(&first, "u0").await);
    let (mut stored, mut of_second) = (BTreeMap::new(), BTreeMap::new());
    for chat in chats {
        for (http, pages) in [(&owner, &mut stored), (&at_second, &mut of_second)] {
            for message in whole_history(http, chat).await {
                pages.insert((chat, message.seq), (message.id.0, message.content));
            }
            assert_dense(http, chat).await;
        }
    }
    assert_eq!(stored, of_second, "both servers have the same pages");
    assert_eq!(stored, *acknowledged.borrow());
    assert_eq!(stored.len(), CLIENTS * MESSAGES);
    let log = "SELECT count(*) = max(commit_no) - min(commit_no) + 1 FROM commits";
    assert_eq!(query(&database, log), "t", "the log of commits is dense");
    println!("{} acknowledged by two servers: 0 lost, 0 doubled", stored.len());
    first.stop().await;
    login(&second, "u0").await;
    second.stop().await;
}
