//! Bad input on the TCP port.

use netbit::client::{TcpClient, TcpError, encode, saying};
use netbit::domain::ids::{ChatId, UserId};
use netbit::domain::message::ClientId;
use netbit::protocol::packet::{MessagePacket, PacketMessage};
use serde_json::json;

use super::{Fixture, frame, read_until_closed};
use crate::harness::{TestServer, soon, until};

#[actix_web::test]
async fn frame_of_length_0_or_above_the_limit_closes_the_connection() {
    let fixture = Fixture::new().await;
    let bad = || (None, Some("bad_request".to_owned()));
    for known in [false, true] {
        assert_eq!(fixture.send_raw(known, &[0, 0, 0, 0]).await, bad());
        assert_eq!(fixture.send_raw(known, &[0xff, 0xff, 0xff, 0xff]).await, bad());
    }
    assert_eq!(
        fixture.send_raw(false, &4097u32.to_be_bytes()).await,
        bad(),
        "a client may send 4 KiB before its Hello"
    );
    assert_eq!(fixture.send_raw(true, &65_537u32.to_be_bytes()).await, bad(), "a session may send 64 KiB");
    fixture.assert_unharmed().await;
}

#[actix_web::test]
async fn bytes_without_a_valid_packet_close_the_connection() {
    let fixture = Fixture::new().await;
    let mut deep = vec![0x81, 0xa1, b'a'];
    deep.extend([0x91; 1000]);
    deep.push(0xc0);
    let bodies: [&[u8]; 5] = [
        &[0xc1; 64],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xdf, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0],
        &[0x93, 1, 2, 3],
        &deep,
    ];
    for body in bodies {
        for known in [false, true] {
            let (nack, goodbye) = fixture.send_raw(known, &frame(body)).await;
            assert_eq!((nack, goodbye.as_deref()), (None, Some("bad_request")), "{known} {body:x?}");
        }
    }
    fixture.assert_unharmed().await;
}

#[actix_web::test]
async fn connection_is_closed_without_a_valid_hello_in_time() {
    let fixture = Fixture::new().await;
    let unauthenticated = Some("unauthenticated".to_owned());
    assert_eq!(fixture.send_raw(false, &[]).await, (None, unauthenticated.clone()), "silence");
    assert_eq!(fixture.send_raw(false, &[0, 0]).await, (None, unauthenticated.clone()), "half a length");
    let ping = encode(&MessagePacket { packet_type: "Ping".into(), ..Default::default() }).unwrap();
    assert_eq!(fixture.send_raw(false, &ping).await, (unauthenticated.clone(), unauthenticated.clone()));
    let hello = |token: Option<&str>| {
        let packet = MessagePacket {
            packet_type: "Hello".into(),
            token: token.map(str::to_owned),
            ..Default::default()
        };
        encode(&packet).unwrap()
    };
    for token in [None, Some(""), Some("x.y.z"), Some("eyJhbGciOiJub25lIn0.e30.")] {
        assert_eq!(
            fixture.send_raw(false, &hello(token)).await,
            (unauthenticated.clone(), unauthenticated.clone())
        );
    }
    fixture.assert_unharmed().await;
}

#[actix_web::test]
async fn incomplete_frame_closes_the_connection_after_its_timeout() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.send_raw(true, &[0, 0, 1, 0, 0x81]).await, (None, Some("bad_request".to_owned())));
    fixture.assert_unharmed().await;
}

/// Regression: every byte restarted the timeout, so a frame could be dripped without end.
#[actix_web::test]
async fn dripping_frame_closes_the_connection_after_its_timeout() {
    let fixture = Fixture::new().await;
    let mut client = fixture.alice.tcp().await;
    let ping = encode(&MessagePacket { packet_type: "Ping".into(), ..Default::default() }).unwrap();
    for byte in ping.iter() {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        if client.writer.send_bytes(&[*byte]).await.is_err() {
            break;
        }
    }
    assert_eq!(read_until_closed(&mut client).await.1.as_deref(), Some("bad_request"));
    fixture.assert_unharmed().await;
}

#[actix_web::test]
async fn invalid_packet_is_refused_and_the_session_stays() {
    let fixture = Fixture::new().await;
    let bob = fixture.server.user("bob").await;
    let foreign = bob.group(&[]).await;
    let mut session = fixture.alice.tcp().await;
    let good = saying(fixture.chat, ClientId::fresh(), "hi");
    let with_content = |content: &str| saying(fixture.chat, ClientId::fresh(), content);
    let without_id = MessagePacket {
        message: Some(PacketMessage { content: Some("hi".into()), ..Default::default() }),
        ..good.clone()
    };
    for (packet, code) in [
        (MessagePacket { packet_type: "Dance".into(), ..Default::default() }, "bad_request"),
        (MessagePacket { packet_type: "Resume".into(), ..Default::default() }, "bad_request"),
        (MessagePacket { packet_type: "Hello".into(), ..Default::default() }, "bad_request"),
        (MessagePacket { user_id: Some(UserId(2)), ..good.clone() }, "forbidden"),
        (MessagePacket { chat_id: Some(foreign), ..good.clone() }, "not_found"),
        (MessagePacket { chat_id: Some(ChatId(-1)), ..good.clone() }, "not_found"),
        (MessagePacket { chat_id: None, ..good.clone() }, "bad_request"),
        (without_id, "bad_request"),
        (with_content(""), "bad_request"),
        (with_content("a\0b"), "bad_request"),
        (with_content(&"x".repeat(16 * 1024 + 1)), "too_large"),
        (
            MessagePacket { packet_type: "GetMessages".into(), chat_id: Some(foreign), ..Default::default() },
            "not_found",
        ),
    ] {
        let answer = session.ask(packet.clone()).await.unwrap();
        assert_eq!((answer.packet_type.as_str(), answer.success), ("Ack", false), "{packet:?}");
        assert_eq!(answer.code.as_deref(), Some(code), "{packet:?}");
        assert!(answer.error.is_some_and(|error| !error.is_empty()));
    }
    assert_eq!(bob.contents(foreign).await, Vec::<String>::new());
    assert!(session.say(foreign, "x").await.is_err());
    assert_eq!(
        session
            .ask(MessagePacket { packet_type: "Ping".into(), ..Default::default() })
            .await
            .unwrap()
            .packet_type,
        "Pong"
    );
    fixture.assert_unharmed().await;
}

#[actix_web::test]
async fn malformed_field_is_refused_with_its_request_id() {
    let fixture = Fixture::new().await;
    let mut session = fixture.alice.tcp().await;
    for (n, body) in [
        json!({"packet_type": "SendMessage", "request_id": 77, "chat_id": "one"}),
        json!({"packet_type": "SendMessage", "request_id": 77, "chat_id": 1, "message": "hi"}),
        json!({"packet_type": "SendMessage", "request_id": 77, "chat_id": 1, "message": {"client_id": "no uuid"}}),
        json!({"packet_type": "GetMessages", "request_id": 77, "chat_id": 1, "limit": -1}),
        json!({"packet_type": 7, "request_id": 77}),
        json!({"request_id": 77}),
    ]
    .iter()
    .enumerate()
    {
        session.writer.send_bytes(&frame(&rmp_serde::to_vec_named(body).unwrap())).await.unwrap();
        let answer = soon(session.reader.next()).await.unwrap();
        assert_eq!((answer.success, answer.code.as_deref()), (false, Some("bad_request")));
        assert_eq!(answer.request_id, Some(77), "case {n}");
    }
    let mut bad_text = encode(&saying(fixture.chat, ClientId::fresh(), "AAAA")).unwrap().to_vec();
    let at = bad_text.windows(4).position(|bytes| bytes == b"AAAA").unwrap();
    bad_text[at..at + 4].copy_from_slice(&[0xff, 0xfe, 0xc0, 0x80]);
    session.writer.send_bytes(&bad_text).await.unwrap();
    let answer = soon(session.reader.next()).await.unwrap();
    assert_eq!((answer.success, answer.code.as_deref()), (false, Some("bad_request")));
    fixture.assert_unharmed().await;
}

#[actix_web::test]
async fn removed_participant_can_no_longer_write() {
    let fixture = Fixture::new().await;
    let bob = fixture.server.user("bob").await;
    let chat = fixture.alice.group(&[&bob]).await;
    let mut session = bob.tcp().await;
    assert!(session.say(chat, "hello").await.unwrap().success);
    fixture.alice.delete(&format!("/api/chats/{chat}/participants/bob")).await;
    let Err(TcpError::Refused(nack)) = session.say(chat, "one more thing").await else { panic!() };
    assert_eq!(nack.code.as_deref(), Some("not_found"));
    assert_eq!(fixture.alice.contents(chat).await, ["hello"]);
    fixture.assert_unharmed().await;
}

#[actix_web::test]
async fn connections_before_hello_are_limited_per_address() {
    let server = TestServer::with_limits(|limits| limits.strangers_per_address = 3).await;
    let alice = server.user("alice").await;
    let mut known = alice.tcp().await;
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(TcpClient::connect(server.app.addresses.tcp).await.unwrap());
    }
    let mut turned_away = TcpClient::connect(server.app.addresses.tcp).await.unwrap();
    assert_eq!(read_until_closed(&mut turned_away).await.1.as_deref(), Some("overloaded"));
    let ping = MessagePacket { packet_type: "Ping".into(), ..Default::default() };
    assert_eq!(known.request(ping).await.unwrap().packet_type, "Pong");
    drop(strangers);
    // Their slots are free again.
    until(async || TcpClient::open(server.app.addresses.tcp, alice.http.token().unwrap()).await.is_ok())
        .await;
    server.stop().await;
}

#[actix_web::test]
async fn sessions_are_limited_per_account() {
    let server = TestServer::with_limits(|limits| limits.sessions_per_user = 2).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (first, mut second) = (alice.tcp().await, alice.tcp().await);
    let Err(TcpError::Refused(nack)) =
        TcpClient::open(server.app.addresses.tcp, alice.http.token().unwrap()).await
    else {
        panic!("a third session")
    };
    assert_eq!(nack.code.as_deref(), Some("rate_limited"));
    bob.tcp().await;
    drop(first);
    until(async || TcpClient::open(server.app.addresses.tcp, alice.http.token().unwrap()).await.is_ok())
        .await;
    let ping = MessagePacket { packet_type: "Ping".into(), ..Default::default() };
    assert_eq!(second.request(ping).await.unwrap().packet_type, "Pong");
    server.stop().await;
}
