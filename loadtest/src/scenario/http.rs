//! Requests over persistent HTTP connections.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use super::history::{PAGE, fill};
use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup, Subject};
use crate::wire::{HttpConnection, message_content};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The last fifty messages of a chat. The floor returns the same bytes from memory.
    Messages,
    Chats,
    /// Posts a message.
    Post,
}

#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) route: Route,
    pub(crate) clients: usize,
}

impl Scenario for Http {
    fn name(&self) -> String {
        let route = match self.route {
            Route::Messages => "get_messages",
            Route::Chats => "get_chats",
            Route::Post => "post_message",
        };
        format!("http/{route}")
    }

    fn plan(&self) -> Plan {
        Plan {
            has_floor: self.route == Route::Messages,
            ..Plan::new(Setup { users: self.clients, shared_chats: 1, ..Setup::default() }, Compared::Rate)
        }
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let chat = server.first_chat()?;
        if server.subject == Subject::NetBit {
            fill(&mut server.open(0).await?, chat).await?;
        } else {
            store_floor_body(server).await?;
        }
        let mut clients = Vec::new();
        for n in 0..self.clients {
            let connection = HttpConnection::connect(server.http).await?;
            clients.push((connection, self.request_maker(server, chat, n)?));
        }
        let outcome = Rc::new(RefCell::new(Outcome::new()?));
        outcome.borrow_mut().begin();
        let (end, mut tasks) = (Instant::now() + time, JoinSet::new());
        for (connection, ask) in clients {
            tasks.spawn_local(run(connection, ask, self.route, end, outcome.clone()));
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Rc::into_inner(outcome).map(RefCell::into_inner).context("a client is still running")
    }
}

/// Returns the request with a number.
type RequestMaker = Box<dyn Fn(u64) -> Vec<u8>>;

impl Http {
    fn request_maker(&self, server: &SeededServer, chat: i64, client: usize) -> anyhow::Result<RequestMaker> {
        let token = server.token(client)?;
        let of_chat = format!("/api/chats/{chat}/messages");
        let fixed = |path: &str| HttpConnection::request("GET", path, &token, None);
        Ok(match (self.route, server.subject) {
            (Route::Post, _) => {
                let sender = u64::try_from(client)?;
                Box::new(move |number| {
                    let (id, content) = (uuid::Uuid::now_v7(), message_content(sender, number));
                    let body = format!(r#"{{"client_id":"{id}","content":"{content}"}}"#);
                    HttpConnection::request("POST", &of_chat, &token, Some(&body))
                })
            }
            (Route::Messages, Subject::Floor) => {
                let request = fixed("/body");
                Box::new(move |_| request.clone())
            }
            (Route::Messages, Subject::NetBit) => {
                let request = fixed(&format!("{of_chat}?limit={PAGE}"));
                Box::new(move |_| request.clone())
            }
            (Route::Chats, _) => {
                let request = fixed("/api/chats");
                Box::new(move |_| request.clone())
            }
        })
    }
}

/// Stores in the floor a body like that of NetBit: fifty messages.
async fn store_floor_body(server: &SeededServer) -> anyhow::Result<()> {
    let message = |n: u64| {
        serde_json::json!({"id": n, "chat_id": 1, "seq": n + 1, "sender_id": 1, "client_id": uuid::Uuid::now_v7(),
            "content": message_content(0, n), "created_at": "2026-11-24T13:00:00.000Z"})
    };
    let items: Vec<_> = (1..=u64::from(PAGE)).map(message).collect();
    let body = serde_json::json!({"items": items, "has_more": true}).to_string();
    let mut connection = HttpConnection::connect(server.http).await?;
    connection.ask(&HttpConnection::request("PUT", "/body", "", Some(&body))).await?;
    Ok(())
}

async fn run(
    mut connection: HttpConnection,
    ask: RequestMaker,
    route: Route,
    end: Instant,
    outcome: Rc<RefCell<Outcome>>,
) -> anyhow::Result<()> {
    let (mut first, mut number): (Option<Vec<u8>>, u64) = (None, 0);
    while Instant::now() < end {
        number += 1;
        let request = ask(number);
        let sent = Instant::now();
        let body = connection.ask(&request).await?;
        let took = sent.elapsed();
        if route != Route::Post {
            match &first {
                None => {
                    if route == Route::Messages {
                        check_page(body)?;
                    }
                    first = Some(body.to_vec());
                }
                Some(first) => {
                    let same = first == body;
                    outcome.borrow_mut().check(same, || "an answer differs from the one before".to_owned());
                }
            }
        }
        let mut outcome = outcome.borrow_mut();
        outcome.took(took);
        outcome.done(1);
    }
    Ok(())
}

fn check_page(body: &[u8]) -> anyhow::Result<()> {
    let page: serde_json::Value = serde_json::from_slice(body)?;
    let items = page.get("items").and_then(serde_json::Value::as_array).context("a page without items")?;
    ensure!(items.len() == usize::from(PAGE), "a page of {} messages", items.len());
    for (item, n) in items.iter().zip(1..) {
        let content = item.get("content").and_then(serde_json::Value::as_str);
        ensure!(content == Some(&message_content(0, n)), "message {n} of the page is {item}");
    }
    Ok(())
}
