//! Chat sessions over TCP: welcome, membership, backpressure and end. Messages are in
//! [`crate::session_messages`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use netbit::client::{TcpClient, TcpError, encode, saying};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::answer::{ListOrCount, ReceivedPacket};
use netbit::protocol::packet::MessagePacket;
use serde_json::json;

use crate::harness::{TestServer, soon, until};

pub(crate) fn packet(packet_type: &str) -> MessagePacket {
    MessagePacket { packet_type: packet_type.into(), ..MessagePacket::default() }
}

pub(crate) fn content(packet: &ReceivedPacket) -> &str {
    packet.message.as_ref().map_or("", |message| &message.content)
}

/// Returns the next event, which must be of this kind.
pub(crate) async fn event(client: &mut TcpClient, kind: &str) -> ReceivedPacket {
    let packet = soon(client.pushed()).await.unwrap();
    assert_eq!((packet.packet_type.as_str(), packet.kind.as_deref()), ("Event", Some(kind)), "{packet:?}");
    packet
}

/// Reads until the connection closes and returns the code of the server's `Goodbye`.
async fn goodbye(client: &mut TcpClient) -> Option<String> {
    loop {
        match soon(client.pushed()).await {
            Ok(_) => {}
            Err(TcpError::Closed(code)) => return code,
            Err(TcpError::Io(_)) => return None,
            Err(other) => panic!("{other}"),
        }
    }
}

#[actix_web::test]
async fn welcome_lists_user_chats_and_unread_counts() {
    let server = TestServer::with_limits(|limits| limits.welcome_chats = 2).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chats = [alice.group(&[&bob]).await, alice.group(&[&bob]).await, alice.group(&[&bob]).await];
    alice.say(chats[0], "hello").await;
    let (mut session, welcome) = bob.tcp_welcomed().await;
    assert_eq!(
        (welcome.packet_type.as_str(), welcome.user_id, welcome.username.as_deref()),
        ("Welcome", Some(bob.id), Some("bob"))
    );
    assert!(welcome.epoch.unwrap() > 0 && welcome.session_id.is_some());
    assert_eq!((welcome.heartbeat_ms, welcome.window), (Some(30_000), Some(64)));
    let first = &welcome.chats.list()[0];
    assert_eq!((first.id, first.last_seq, first.unread_count), (chats[0], 3, 1));
    assert!(welcome.has_more);
    let after = welcome.chats.list()[1].id;
    let rest =
        session.request(MessagePacket { after_chat_id: Some(after), ..packet("GetChats") }).await.unwrap();
    let ids: Vec<_> = rest.chats.list().iter().map(|chat| chat.id).collect();
    assert_eq!((ids, rest.has_more), (vec![chats[2]], false));
    server.stop().await;
}

#[actix_web::test]
async fn added_member_gets_chat_and_events_until_removed() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mut desk = bob.tcp().await;
    let chat = alice.group(&[&bob]).await;
    let join = event(&mut desk, "join").await;
    let summary = join.chat.unwrap();
    assert_eq!((summary.id, summary.name.as_deref(), join.user_id), (chat, Some("team"), Some(bob.id)));

    alice.say(chat, "welcome").await;
    assert_eq!(content(&event(&mut desk, "message").await), "welcome");
    let path = format!("/api/chats/{chat}");
    alice.patch(&path, json!({"name": "new name"})).await;
    event(&mut desk, "rename").await;
    alice.put(&format!("{path}/participants/bob"), json!({"role": "admin"})).await;
    event(&mut desk, "role").await;
    alice.delete(&format!("{path}/participants/bob")).await;
    event(&mut desk, "leave").await;
    alice.say(chat, "after the removal").await;
    let refused = desk.request(MessagePacket { chat_id: Some(chat), ..packet("GetEvents") }).await;
    assert!(matches!(refused, Err(TcpError::Refused(ack)) if ack.code.as_deref() == Some("not_found")));
    let pong = desk.request(packet("Ping")).await.unwrap();
    assert_eq!((pong.chats, pong.heads_sum), (ListOrCount::Count(0), Some(0)));
    server.stop().await;
}

#[actix_web::test]
async fn logout_ends_the_sessions_of_that_login_and_no_others() {
    let server = TestServer::start().await;
    let (phone, desk) = (server.user("alice").await, server.login("alice").await);
    let (mut on_phone, mut on_desk) = (phone.tcp().await, desk.tcp().await);
    phone.post("/api/users/logout", json!({})).await;
    assert_eq!(goodbye(&mut on_phone).await.as_deref(), Some("revoked"));
    assert_eq!(on_desk.request(packet("Ping")).await.unwrap().packet_type, "Pong");
    let change = json!({"current_password": crate::harness::PASSWORD, "new_password": "battery staple"});
    desk.post("/api/users/me/password", change).await;
    assert_eq!(goodbye(&mut on_desk).await.as_deref(), Some("revoked"));
    let Err(TcpError::Refused(nack)) =
        TcpClient::open(server.app.addresses.tcp, phone.http.token().unwrap()).await
    else {
        panic!("a revoked token opened a session")
    };
    assert_eq!(nack.code.as_deref(), Some("unauthenticated"));
    server.stop().await;
}

#[actix_web::test]
async fn silent_session_is_closed_and_heartbeat_keeps_it_open() {
    let server = TestServer::with_limits(|limits| limits.silence_ms = 1_500).await;
    let alice = server.user("alice").await;
    let (mut silent, mut beating) = (alice.tcp().await, alice.tcp().await);
    let closed = async {
        let code = goodbye(&mut silent).await;
        assert_eq!(code.as_deref(), Some("idle"));
    };
    let beats = async {
        loop {
            assert_eq!(beating.request(packet("Ping")).await.unwrap().packet_type, "Pong");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::select! { () = closed => {}, () = beats => {} }
    assert_eq!(beating.request(packet("Ping")).await.unwrap().packet_type, "Pong");
    server.stop().await;
}

#[actix_web::test]
async fn bye_is_answered_and_releases_the_session() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut session = alice.tcp().await;
    assert_eq!(server.app.sessions(), 1);
    session.writer.send(&packet("Bye")).await.unwrap();
    assert_eq!(goodbye(&mut session).await.as_deref(), Some("bye"));
    drop(session);
    drop(alice.tcp().await);
    until(async || server.app.sessions() == 0).await;
    server.stop().await;
}

/// Regression: a client that sent requests and never read filled the server's memory with answers.
/// Each answer released its place in the window as soon as it was in the outbox.
#[actix_web::test]
async fn session_stops_reading_when_outbox_is_half_full() {
    // Far more than the buffers of both ends hold, which are small.
    const QUESTIONS: usize = 100_000;
    const AT_ONCE: usize = 1_000;
    let server = TestServer::with_limits(|limits| {
        limits.outbox_frames = 64;
        limits.rates = false;
        // Both sessions run on one thread.
        limits.session_threads = 1;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.set_send_buffer_size(16 * 1024).unwrap();
    let (reading, writing) = socket.connect(server.app.addresses.tcp).await.unwrap().into_split();
    let mut client = TcpClient::over(reading, writing);
    soon(client.hello(alice.http.token().unwrap())).await.unwrap();
    let (mut reader, mut writer) = client.into_halves();
    let nonsense =
        MessagePacket { packet_type: "x".repeat(32), request_id: Some(1), ..MessagePacket::default() };
    let questions = encode(&nonsense).unwrap().repeat(AT_ONCE);
    let sent = Arc::new(AtomicUsize::new(0));
    let asking = {
        let sent = sent.clone();
        actix_web::rt::spawn(async move {
            for _ in 0..QUESTIONS / AT_ONCE {
                writer.send_bytes(&questions).await.unwrap();
                sent.fetch_add(AT_ONCE, Relaxed);
            }
            writer
        })
    };
    // Waits until the server reads no more requests, while the same thread answers another session
    // many times.
    let mut other = bob.tcp().await;
    let mut before = usize::MAX;
    while before != sent.load(Relaxed) {
        before = sent.load(Relaxed);
        for _ in 0..300 {
            assert_eq!(other.request(packet("Ping")).await.unwrap().packet_type, "Pong");
        }
    }
    assert!(!asking.is_finished(), "the server reads everything");
    // The client gets all answers as soon as it reads.
    let mut answered = 0;
    while answered < QUESTIONS {
        let packet = soon(reader.next()).await.unwrap();
        // Presence packets arrive in between.
        if packet.packet_type != "Presence" {
            assert_eq!(packet.code.as_deref(), Some("bad_request"), "after {answered} answers: {packet:?}");
            answered += 1;
        }
    }
    drop(soon(asking).await.unwrap());
    server.stop().await;
}

/// Regression: twenty messages and a Bye that arrived together were committed without a single Ack.
#[actix_web::test]
async fn requests_before_a_bye_or_a_half_close_are_answered() {
    for bye in [true, false] {
        let server = TestServer::start().await;
        let alice = server.user("alice").await;
        let chat = alice.group(&[]).await;
        let (mut reader, mut writer) = alice.tcp().await.into_halves();
        for n in 0..20 {
            let message = MessagePacket { request_id: Some(n), ..saying(chat, ClientId::fresh(), "x") };
            writer.send(&message).await.unwrap();
        }
        // The Pong comes through the hub. Regression: the end of the session overtook it.
        writer.send(&packet("Ping")).await.unwrap();
        if bye {
            writer.send(&packet("Bye")).await.unwrap();
        } else {
            drop(writer);
        }
        let (mut acks, mut pongs) = (0, 0);
        let code = loop {
            match soon(reader.next()).await {
                Ok(packet) => {
                    acks += usize::from(packet.packet_type == "Ack" && packet.success);
                    pongs += usize::from(packet.packet_type == "Pong");
                }
                Err(TcpError::Closed(code)) => break code,
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!((acks, pongs, code.as_deref()), (20, 1, bye.then_some("bye")));
        server.stop().await;
    }
}

#[actix_web::test]
async fn creator_of_a_direct_chat_gets_the_name_of_its_peer() {
    let server = TestServer::start().await;
    let (alice, _bob) = (server.user("alice").await, server.user("bob").await);
    let mut desk = alice.tcp().await;
    alice.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
    assert_eq!(event(&mut desk, "join").await.chat.unwrap().peer.as_deref(), Some("bob"));
    server.stop().await;
}

#[actix_web::test]
async fn reader_that_stops_reading_is_limited_and_delays_no_others() {
    let server = TestServer::with_limits(|limits| {
        limits.rates = false;
        (limits.outbox_bytes, limits.outbox_frames) = (64 * 1024, 512);
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (mut stuck, mut reading) = (bob.tcp().await, bob.tcp().await);
    let mut sender = alice.tcp().await;
    let big = "x".repeat(16_000);
    // More than the kernel buffers of both sides and the outbox hold together.
    const COUNT: usize = 900;
    for n in 0..COUNT {
        sender.say(chat, &format!("{n} {big}")).await.unwrap();
        assert_eq!(
            content(&event(&mut sender, "message").await).split(' ').next(),
            Some(n.to_string().as_str())
        );
        let event = event(&mut reading, "message").await;
        assert_eq!(content(&event).split(' ').next(), Some(n.to_string().as_str()));
    }
    // The stuck session reads at last: events without gaps, then Limited once, then only answers.
    let (mut seen, mut limited) = (0, 0);
    stuck.writer.send(&packet("Ping")).await.unwrap();
    loop {
        let packet = soon(stuck.pushed()).await.unwrap();
        match packet.packet_type.as_str() {
            "Event" => {
                assert_eq!((packet.seq, limited), (Some(seen + 3), 0));
                seen += 1;
            }
            "Limited" => limited += 1,
            "Pong" => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(limited, 1);
    assert!(seen < i64::try_from(COUNT).unwrap());
    alice.say(chat, "for the other session").await;
    assert_eq!(stuck.request(packet("Ping")).await.unwrap().packet_type, "Pong");
    // The client connects again and catches up.
    let mut back = bob.tcp().await;
    let mut after = u64::try_from(seen + 2).unwrap();
    loop {
        let ask = MessagePacket {
            chat_id: Some(chat),
            after_seq: Some(after),
            limit: Some(50),
            ..packet("GetEvents")
        };
        let page = back.request(ask).await.unwrap();
        for event in &page.events {
            after += 1;
            assert_eq!(u64::try_from(event.seq).unwrap(), after);
        }
        if !page.has_more {
            break;
        }
    }
    assert_eq!(after, u64::try_from(COUNT).unwrap() + 3);
    server.stop().await;
}

#[actix_web::test]
async fn stop_flushes_the_acks_and_sends_goodbye() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat: ChatId = alice.group(&[]).await;
    let (mut reader, mut writer) = alice.tcp().await.into_halves();
    for n in 0..40 {
        let message =
            MessagePacket { request_id: Some(n), ..saying(chat, ClientId::fresh(), &n.to_string()) };
        writer.send(&message).await.unwrap();
    }
    // The first ack shows that the server has received the packets.
    let mut acked = 0;
    while acked == 0 {
        acked += usize::from(soon(reader.next()).await.unwrap().packet_type == "Ack");
    }
    let server = server.restart(|_| ()).await;
    let code = loop {
        match soon(reader.next()).await {
            Ok(packet) => acked += usize::from(packet.packet_type == "Ack" && packet.success),
            Err(TcpError::Closed(code)) => break code,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(code.as_deref(), Some("shutdown"));
    let again = server.login("alice").await;
    let stored = again.contents(chat).await.len();
    assert!(stored >= acked && acked >= 1, "{stored} stored, {acked} acknowledged");
    server.stop().await;
}

/// The clients of a node that stops would otherwise reconnect to the others at the same moment.
#[actix_web::test]
async fn goodbye_of_a_stop_spreads_the_return_of_clients() {
    for (spread, expected) in [(0, None), (1, Some(0..=1))] {
        let server = TestServer::with_limits(|limits| limits.return_spread_ms = spread).await;
        let alice = server.user("alice").await;
        let mut session = alice.tcp().await;
        let reads = async {
            loop {
                let packet = soon(session.any()).await.unwrap();
                if packet.packet_type == "Goodbye" {
                    return packet;
                }
            }
        };
        let (packet, _) = futures_util::join!(reads, server.stop());
        assert_eq!(packet.code.as_deref(), Some("shutdown"));
        assert_eq!(packet.after_ms.is_some(), expected.is_some(), "{packet:?}");
        assert!(packet.after_ms.is_none_or(|after| expected.is_some_and(|within| within.contains(&after))));
    }
}
