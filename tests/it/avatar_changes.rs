//! Changed avatars and names: open sessions receive them.

use image::ImageFormat;
use netbit::client::TcpClient;
use netbit::domain::ids::ChatId;
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::MessagePacket;
use reqwest::Method;
use serde_json::json;

use crate::harness::files::FileClient;
use crate::harness::pictures::{picture, written};
use crate::harness::{Person, TestServer, soon};

const MINE: &str = "/api/users/me/avatar";

async fn start() -> TestServer {
    TestServer::with_limits(|limits| limits.receipts_ms = 20).await
}

async fn put(server: &TestServer, person: &Person, path: &str) -> u16 {
    let client = FileClient::new(&server.app.addresses.http.to_string(), &person.http);
    let bytes = written(&picture(60, 40), ImageFormat::Png);
    client.send(Method::PUT, path, &[], bytes).await.status
}

async fn get(server: &TestServer, person: &Person, path: &str) -> u16 {
    let client = FileClient::new(&server.app.addresses.http.to_string(), &person.http);
    client.send(Method::GET, path, &[], Vec::new()).await.status
}

/// Returns the next packet about changed users or chats.
pub(crate) async fn next_change(session: &mut TcpClient) -> ReceivedPacket {
    loop {
        let packet = soon(session.any()).await.unwrap();
        if is_change(&packet) {
            return packet;
        }
    }
}

fn is_change(packet: &ReceivedPacket) -> bool {
    matches!(packet.packet_type.as_str(), "Users" | "ChatAvatar")
}

/// Returns the chat of the next `ChatAvatar`, and the version.
async fn next_of_chat(session: &mut TcpClient) -> (ChatId, Option<String>) {
    let packet = next_change(session).await;
    assert_eq!((packet.packet_type.as_str(), packet.request_id), ("ChatAvatar", None));
    (packet.chat_id.unwrap(), packet.avatar)
}

/// Returns the user name, display name and avatar of the user in the next `Users`.
async fn next_of_user(session: &mut TcpClient) -> (String, String, Option<String>) {
    let packet = next_change(session).await;
    assert_eq!((packet.packet_type.as_str(), packet.request_id), ("Users", None));
    let [user] = &packet.people[..] else { panic!("one user: {packet:?}") };
    (user.username.clone(), user.display_name.clone(), user.avatar.clone())
}

/// Checks that a session has received no change. The answer to a `Ping` follows all pushes.
async fn assert_unchanged(session: &mut TcpClient) {
    let ping = MessagePacket { packet_type: "Ping".into(), request_id: Some(77), ..MessagePacket::default() };
    session.writer.send(&ping).await.unwrap();
    loop {
        let packet = soon(session.any()).await.unwrap();
        assert!(!is_change(&packet), "{packet:?}");
        if packet.request_id == Some(77) {
            return;
        }
    }
}

#[actix_web::test]
async fn members_receive_the_avatar_of_a_chat_and_strangers_nothing() {
    let server = start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let chat = alice.group(&[&bob]).await;
    let mut sessions = [alice.tcp().await, bob.tcp().await, bob.tcp().await];
    let mut stranger = eve.tcp().await;
    let path = format!("/api/chats/{chat}/avatar");
    for (person, status) in [(&bob, 403), (&eve, 404)] {
        assert_eq!(put(&server, person, &path).await, status);
        assert_eq!(person.delete(&path).await.status, status);
    }
    assert_eq!(put(&server, &alice, &path).await, 204);
    let version = bob.get(&format!("/api/chats/{chat}")).await.body["avatar"].as_str().map(str::to_owned);
    assert!(version.is_some());
    for session in &mut sessions {
        assert_eq!(next_of_chat(session).await, (chat, version.clone()), "one packet, none for refusals");
    }
    assert_unchanged(&mut stranger).await;
    let (_, welcome) = bob.tcp_welcomed().await;
    assert_eq!(welcome.chats.list()[0].avatar, version);

    assert_eq!(alice.delete(&path).await.status, 204);
    for session in &mut sessions {
        assert_eq!(next_of_chat(session).await, (chat, None));
    }
    // A user who has left the chat learns no more.
    bob.delete(&format!("/api/chats/{chat}/participants/bob")).await;
    assert_eq!(put(&server, &alice, &path).await, 204);
    assert_eq!(next_of_chat(&mut sessions[0]).await.1, version);
    assert_unchanged(&mut sessions[1]).await;
    assert_unchanged(&mut stranger).await;
    server.stop().await;
}

#[actix_web::test]
async fn users_of_common_chats_receive_avatar_and_name() {
    let server = start().await;
    let (alice, bob, eve) = (server.admin("alice").await, server.user("bob").await, server.user("eve").await);
    alice.group(&[&bob]).await;
    // One packet, although they have two chats in common.
    alice.group(&[&bob]).await;
    let mut sessions = [alice.tcp().await, bob.tcp().await];
    let mut stranger = eve.tcp().await;
    assert_eq!(put(&server, &alice, MINE).await, 204);
    let version = alice.get("/api/users/me").await.body["avatar"].as_str().map(str::to_owned);
    for session in &mut sessions {
        assert_eq!(next_of_user(session).await, ("alice".to_owned(), "alice".to_owned(), version.clone()));
    }
    assert_eq!(alice.patch("/api/users/me", json!({"email": "a@example.org"})).await.status, 200);
    assert_eq!(alice.patch("/api/users/me", json!({"display_name": "Alice L."})).await.status, 200);
    for session in &mut sessions {
        let (_, name, avatar) = next_of_user(session).await;
        assert_eq!((name.as_str(), avatar), ("Alice L.", version.clone()), "no packet for the address");
    }
    assert_eq!(alice.delete(MINE).await.status, 204);
    for session in &mut sessions {
        assert_eq!(next_of_user(session).await.2, None);
    }
    // A deactivated user is shown without avatar.
    assert_eq!(put(&server, &bob, MINE).await, 204);
    assert!(next_of_user(&mut sessions[0]).await.2.is_some());
    alice.patch("/api/admin/users/bob", json!({"active": false})).await;
    let packet = next_change(&mut sessions[0]).await;
    assert_eq!((packet.people[0].active, packet.people[0].avatar.as_deref()), (false, None));
    assert_unchanged(&mut stranger).await;
    server.stop().await;
}

#[actix_web::test]
async fn channel_of_a_project_has_the_avatar_of_the_project() {
    let server = start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    alice.hello_web("private").await;
    let project = "/api/projects/alice/hello";
    alice.put(&format!("{project}/members/bob"), json!({"role": "maintainer"})).await;
    let (mut session, welcome) = bob.tcp_welcomed().await;
    let [channel] = welcome.chats.list() else { panic!("one chat") };
    assert_eq!(channel.avatar, None);
    let (channel, mut stranger) = (channel.id, eve.tcp().await);
    let of_channel = format!("/api/chats/{channel}/avatar");
    assert_eq!(put(&server, &alice, &of_channel).await, 403, "it follows its project");
    assert_eq!(put(&server, &alice, &format!("{project}/avatar")).await, 204);
    let version = alice.get(project).await.body["avatar"].as_str().map(str::to_owned);
    assert!(version.is_some());
    assert_eq!(next_of_chat(&mut session).await, (channel, version.clone()));
    assert_eq!(bob.get(&format!("/api/chats/{channel}")).await.body["avatar"].as_str(), version.as_deref());
    assert_eq!((get(&server, &bob, &of_channel).await, get(&server, &eve, &of_channel).await), (200, 404));
    // Other changes of the project do not announce the avatar.
    alice.patch(project, json!({"description": "x"})).await;
    assert_unchanged(&mut session).await;
    assert_unchanged(&mut stranger).await;
    assert_eq!(alice.delete(project).await.status, 204);
    assert_eq!(next_of_chat(&mut session).await, (channel, None));
    assert_eq!(bob.get(&of_channel).await.status, 404);
    server.stop().await;
}
