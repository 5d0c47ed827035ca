//! Floods beyond the server's capacity. `scripts/measure/floods.py` measures the memory that each
//! flood costs.

use std::time::Duration;

use netbit::client::TcpClient;
use netbit::domain::ids::ChatId;
use netbit::protocol::packet::MessagePacket;
use rustix::process::{Resource, Rlimit, prlimit};
use tokio::net::TcpStream;

use crate::harness::{PASSWORD, Process, TestServer, soon, until};

/// Connections arrive until the process has no file descriptor left. An accept loop that ends on
/// this error would never accept a connection again.
#[actix_web::test]
async fn accept_loop_survives_when_file_descriptors_run_out() {
    let directory = tempfile::tempdir().unwrap();
    let server = Process::start(directory.path()).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let token = server.http.login("alice", PASSWORD).await.unwrap().token;
    let chat = server.http.with_token(&token).create_group("team", &[]).await.unwrap();
    let (mut session, _) = TcpClient::open(server.tcp(), &token).await.unwrap();
    let few = Rlimit { current: Some(90), maximum: Some(90) };
    prlimit(Some(server.pid()), Resource::Nofile, few).unwrap();
    let http: std::net::SocketAddr = server.address().parse().unwrap();
    let mut flood = Vec::new();
    for n in 0..400 {
        let address = if n % 2 == 0 { server.tcp() } else { http };
        // The kernel completes these connections whether the server accepts them or not.
        flood
            .extend(tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(address)).await.unwrap());
        if n % 100 == 99 {
            assert!(
                session.say(chat, "still here").await.unwrap().success,
                "an established session keeps working"
            );
        }
    }
    drop(flood);
    until(async || TcpClient::open(server.tcp(), &token).await.is_ok()).await;
    until(async || server.http.with_token(&token).get("/api/chats").await.is_ok()).await;
    assert!(session.say(chat, "and now").await.unwrap().success);
    server.stop().await;
}

/// A user who is in no chat tries every chat operation.
#[actix_web::test]
async fn non_member_is_refused_in_foreign_and_missing_chats() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    let hers = alice.group(&[]).await;
    let said = alice.say(hers, "hello").await.body["id"].as_i64().unwrap();
    let mut witness = alice.tcp().await;
    let mut session = mallory.tcp().await;
    for chat in [hers, ChatId(9_999), ChatId(-1), ChatId(i64::MAX)] {
        let packet = |packet_type: &str| MessagePacket {
            packet_type: packet_type.into(),
            chat_id: Some(chat),
            ..MessagePacket::default()
        };
        let message_id = Some(netbit::domain::ids::MessageId(said));
        for packet in [
            MessagePacket { read_seq: Some(1), ..packet("Mark") },
            MessagePacket { message_id, emoji: Some("+1".into()), ..packet("React") },
            MessagePacket { message_id, ..packet("DeleteMessage") },
            MessagePacket { message_id, ..packet("Pin") },
            packet("GetMessages"),
            packet("Typing"),
        ] {
            let answer = soon(session.ask(packet.clone())).await.unwrap();
            assert_eq!((answer.success, answer.code.as_deref()), (false, Some("not_found")), "{packet:?}");
        }
        assert!(session.say(chat, "me too").await.is_err());
    }
    // The members received none of these packets: the next packet is the message that is sent now.
    alice.say(hers, "alone").await;
    loop {
        let packet = soon(witness.any()).await.unwrap();
        assert!(!["Typing", "Marks"].contains(&packet.packet_type.as_str()), "{packet:?}");
        if let Some(message) = packet.message {
            assert_eq!(message.content, "alone");
            break;
        }
    }
    assert_eq!(alice.contents(hers).await, ["hello", "alone"]);
    server.stop().await;
}

/// The token is valid when it is read, and its login has ended when the session is entered. A
/// server that checks only once would serve a user who has logged out.
#[actix_web::test]
async fn logout_during_session_start_leaves_no_session() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    server.user("alice").await;
    let address = server.app.addresses.tcp;
    for round in 0..20 {
        let alice = server.login("alice").await;
        let token = alice.http.token().unwrap().to_owned();
        let opening = async {
            let mut open = Vec::new();
            for _ in 0..10 {
                open.extend(TcpClient::open(address, &token).await.ok().map(|(session, _)| session));
            }
            open
        };
        let leaving = async {
            // Each round the logout comes a little later.
            for _ in 0..round * 5 {
                tokio::task::yield_now().await;
            }
            alice.post("/api/users/logout", serde_json::json!({})).await
        };
        let (open, left) = futures_util::join!(opening, leaving);
        assert_eq!(left.status, 204);
        for mut session in open {
            // The server ends each of these sessions, so reading it comes to an end.
            while soon(session.any()).await.is_ok() {}
        }
        assert!(TcpClient::open(address, &token).await.is_err());
    }
    server.stop().await;
}
