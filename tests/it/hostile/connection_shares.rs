//! Connections of many accounts and networks: each gets its share, and small holders are served.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use netbit::client::TcpClient;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::shares::{connect_from, loopback, repositories};
use crate::harness::git::GitWorkdir;
use crate::harness::{TestServer, soon};

type Socket = WebSocketStream<TcpStream>;

/// Opens a WebSocket session from this address; `None` when it is refused.
async fn web_session(server: &TestServer, from: IpAddr, token: &str) -> Option<Socket> {
    let url = format!("ws://{}/ws", server.app.addresses.http);
    let socket = connect_from(from, server.app.addresses.http).await;
    let (mut socket, _) = soon(tokio_tungstenite::client_async(url, socket)).await.ok()?;
    let hello = json!({"packet_type": "Hello", "request_id": 1, "token": token});
    socket.send(Message::text(hello.to_string())).await.ok()?;
    while let Some(Ok(message)) = soon(socket.next()).await {
        if let Message::Text(text) = message {
            let packet: Value = serde_json::from_str(&text).unwrap();
            return (packet["packet_type"] == "Welcome").then_some(socket);
        }
    }
    None
}

/// An office of a thousand sessions behind one address, half of them over WebSocket.
#[actix_web::test]
async fn thousand_sessions_from_one_address_all_open() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let people = [server.user("alice").await, server.user("bob").await];
    let tokens = people.each_ref().map(|person| person.http.token().unwrap().to_owned());
    let (mut tcp, mut web) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let opening = (0..50).map(|n| TcpClient::open(server.app.addresses.tcp, &tokens[n % 2]));
        tcp.extend(join_all(opening).await.into_iter().map(|opened| opened.unwrap().0));
        let opening = (0..50).map(|n| web_session(&server, loopback(1), &tokens[n % 2]));
        web.extend(join_all(opening).await.into_iter().map(|opened| opened.expect("a session")));
    }
    assert_eq!((tcp.len(), web.len(), server.app.sessions()), (500, 500, 1000));
    assert_eq!(people[0].get("/api/chats").await.status, 200);
    drop((tcp, web));
    server.stop().await;
}

/// Regression: nine accounts hold as many WebSockets as they can get. 4,200 of them blocked REST
/// and git.
#[actix_web::test]
async fn idle_websockets_of_nine_accounts_do_not_block_rest_and_git() {
    let server = TestServer::with_limits(|limits| {
        (limits.http_connections, limits.http_reserve, limits.sessions_reserve) = (96, 32, 0);
        (limits.connections_reserve, limits.sessions_patience_ms) = (16, 2_000);
    })
    .await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let (_, private, _) = repositories(&server, &alice, &workdir).await;
    let mut held = Vec::new();
    for n in 0..9u8 {
        let eve = server.user(&format!("eve{n}")).await;
        let token = eve.http.token().unwrap().to_owned();
        let opening = (0..20).map(|_| web_session(&server, loopback(10 + n), &token));
        held.extend(join_all(opening).await.into_iter().flatten());
    }
    // Sixty-four connections may be WebSockets, of which sixteen are reserved for clients before
    // their Hello. Later accounts have displaced sessions of earlier accounts.
    assert!(held.len() > 40 && server.app.sessions() <= 64, "{} {}", held.len(), server.app.sessions());
    for _ in 0..3 {
        assert_eq!(alice.get("/api/chats").await.status, 200);
        workdir.git("", &["ls-remote", &server.url_as("alice", &private)]).await.ok();
    }
    // A user without a session still gets a session: the largest holder loses its newest one.
    let token = alice.http.token().unwrap();
    assert!(web_session(&server, loopback(1), token).await.is_some());
    let (_, session) = (alice.tcp().await, alice.tcp().await);
    drop((held, session));
    server.stop().await;
}

/// A network opens connections and sends nothing. Other clients still get connections, and the
/// network's further connections get 503.
#[actix_web::test]
async fn idle_connections_of_one_network_leave_slots_to_others() {
    let server = TestServer::with_limits(|limits| limits.http_connections = 100).await;
    let alice = server.user("alice").await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(connect_from(loopback(9), server.app.addresses.http).await);
    }
    let others = (0..8).map(|_| {
        let other = netbit::client::HttpClient::new(format!("http://{}", server.app.addresses.http)).unwrap();
        async move { other.get("/api/server").await.unwrap().status }
    });
    assert_eq!(join_all(others).await, [200; 8]);
    assert_eq!(alice.get("/api/chats").await.status, 200);
    let mut refused = connect_from(loopback(9), server.app.addresses.http).await;
    let mut answer = Vec::new();
    soon(refused.read_to_end(&mut answer)).await.ok();
    assert!(answer.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&answer));
    drop(idle);
    server.stop().await;
}

/// Regression: networks arrive in sequence, and each opens as many connections as it gets. Six of
/// them took all.
#[actix_web::test]
async fn idle_connections_of_twenty_networks_leave_slots_to_others() {
    let server = TestServer::with_limits(|limits| limits.http_connections = 1024).await;
    let mut idle = Vec::new();
    for n in 0..20u8 {
        for _ in 0..if n == 0 { 700 } else { 80 } {
            idle.push(connect_from(loopback(10 + n), server.app.addresses.http).await);
        }
    }
    let others = (0..4).map(|_| {
        let other = netbit::client::HttpClient::new(format!("http://{}", server.app.addresses.http)).unwrap();
        async move { other.get("/api/server").await.unwrap().status }
    });
    assert_eq!(join_all(others).await, [200; 4]);
    drop(idle);
    server.stop().await;
}

/// Two networks hold as many idle connections as they get. An office of 150 users behind one
/// address still has its sessions and its requests. Regression: it got sixteen connections, because
/// each WebSocket counted for its network for as long as it was open.
#[actix_web::test]
async fn office_is_served_despite_two_hostile_networks() {
    let server = TestServer::with_limits(|limits| {
        (limits.http_connections, limits.http_reserve, limits.rates) = (1024, 512, false);
    })
    .await;
    let alice = server.user("alice").await;
    let token = alice.http.token().unwrap();
    let mut idle = Vec::new();
    for n in 0..2 {
        for _ in 0..if n == 0 { 700 } else { 100 } {
            idle.push(connect_from(loopback(66 + n), server.app.addresses.http).await);
        }
    }
    let mut office = Vec::new();
    for _ in 0..15 {
        let opening = (0..10).map(|_| web_session(&server, loopback(77), token));
        office.extend(join_all(opening).await.into_iter().flatten());
    }
    assert_eq!(office.len(), 150);
    for _ in 0..10 {
        let mut socket = connect_from(loopback(77), server.app.addresses.http).await;
        socket.write_all(b"GET /api/server HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        soon(socket.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    drop((idle, office));
    server.stop().await;
}

/// Twelve networks hold as many idle connections as they get. An office behind one address gets
/// more slots than the last step grants it, because the server closes idle connections of the
/// largest network. Connections with a running request stay.
#[actix_web::test]
async fn idle_connections_are_closed_for_a_smaller_network() {
    let server = TestServer::with_limits(|limits| {
        (limits.http_connections, limits.request_head_ms) = (1024, 120_000);
    })
    .await;
    let alice = server.user("alice").await;
    let busy = web_session(&server, loopback(66), alice.http.token().unwrap()).await;
    let mut half = connect_from(loopback(66), server.app.addresses.http).await;
    half.write_all(
        b"POST /api/users/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: 2\r\n\r\n{",
    )
    .await
    .unwrap();
    let mut idle = Vec::new();
    for n in 0..12 {
        for _ in 0..if n == 0 { 700 } else { 70 } {
            idle.push(connect_from(loopback(66 + n), server.app.addresses.http).await);
        }
    }
    let mut office = Vec::new();
    soon(async {
        while office.len() < 150 {
            let mut socket = connect_from(loopback(99), server.app.addresses.http).await;
            let mut answer = [0; 12];
            let asked = socket.write_all(b"GET /api/server HTTP/1.1\r\nhost: x\r\n\r\n").await;
            if asked.is_ok() && socket.read_exact(&mut answer).await.is_ok() && &answer == b"HTTP/1.1 200" {
                office.push(socket);
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    })
    .await;
    half.write_all(b"}").await.unwrap();
    let mut answer = [0; 12];
    soon(half.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 422");
    assert!(busy.is_some() && server.app.sessions() == 1, "{}", server.app.sessions());
    drop((idle, office));
    server.stop().await;
}
