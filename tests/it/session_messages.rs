//! Messages over TCP sessions: sending, retries, history and echo.

use netbit::client::{TcpClient, TcpError, encode, saying};
use netbit::domain::message::ClientId;
use netbit::protocol::packet::MessagePacket;
use serde_json::json;

use crate::harness::{TestServer, soon};
use crate::sessions::{content, event, packet};

#[actix_web::test]
async fn message_sent_over_tcp_is_readable_over_http() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let ack = alice.tcp().await.say(chat, "hello").await.unwrap();
    let (messages, _) = bob.http.messages(chat, "").await.unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].content.as_str(), messages[0].sender_id), ("hello", alice.id));
    assert_eq!((ack.message_id, ack.seq), (Some(messages[0].id), Some(messages[0].seq)));
    server.stop().await;
}

#[actix_web::test]
async fn message_posted_over_http_reaches_every_session() {
    let server = TestServer::start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let chat = alice.group(&[&bob]).await;
    // More sessions than threads, so that every hub has some.
    let mut sessions = vec![alice.tcp().await, bob.tcp().await, bob.tcp().await, bob.tcp().await];
    let mut outsider = eve.tcp().await;
    let posted = alice.say(chat, "hello").await.body;
    for session in &mut sessions {
        let event = event(session, "message").await;
        assert_eq!((content(&event), event.chat_id), ("hello", Some(chat)));
        assert_eq!(serde_json::to_value(event.message.unwrap()).unwrap(), posted);
    }
    outsider.writer.send(&packet("Ping")).await.unwrap();
    assert_eq!(soon(outsider.pushed()).await.unwrap().packet_type, "Pong", "an outsider receives nothing");
    server.stop().await;
}

#[actix_web::test]
async fn pipelining_sender_gets_all_acks_and_events_in_order() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let mut reader = bob.tcp().await;
    let (mut answers, mut out) = alice.tcp().await.into_halves();
    const COUNT: u64 = 1000;
    // Far more than the window of 64: the server stops reading, and no message is lost or
    // reordered.
    let sending = actix::spawn(async move {
        for n in 0..COUNT {
            let message =
                MessagePacket { request_id: Some(n), ..saying(chat, ClientId::fresh(), &n.to_string()) };
            out.send(&message).await.unwrap();
        }
        out
    });
    let (mut acks, mut own) = (Vec::new(), Vec::new());
    while acks.len() < 1000 || own.len() < 1000 {
        let packet = soon(answers.next()).await.unwrap();
        match packet.packet_type.as_str() {
            "Ack" => {
                assert!(packet.success, "{packet:?}");
                acks.push((packet.request_id.unwrap(), packet.seq.unwrap()));
            }
            "Event" => own.push((content(&packet).parse::<u64>().unwrap(), packet.seq.unwrap())),
            // Marks are pushed while a slow server works.
            _ => {}
        }
    }
    acks.sort_unstable();
    let expected: Vec<_> = (0..COUNT).map(|n| (n, i64::try_from(n).unwrap() + 3)).collect();
    assert_eq!(acks, expected, "committed in the order in which they were sent");
    assert_eq!(own, expected);
    for (n, seq) in expected {
        let event = event(&mut reader, "message").await;
        assert_eq!((content(&event), event.seq), (n.to_string().as_str(), Some(seq)));
    }
    drop(sending.await.unwrap());
    server.stop().await;
}

#[actix_web::test]
async fn retry_over_another_connection_or_transport_is_a_duplicate() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let id = ClientId::fresh();
    let first = alice.tcp().await.request(saying(chat, id, "once")).await.unwrap();
    let again = alice.tcp().await.request(saying(chat, id, "once")).await.unwrap();
    assert_eq!((again.message_id, again.seq, again.duplicate), (first.message_id, first.seq, Some(true)));
    assert_eq!(first.duplicate, None);
    let over_http =
        alice.post(&format!("/api/chats/{chat}/messages"), json!({"content": "once", "client_id": id})).await;
    assert_eq!((over_http.status, over_http.body["id"].as_i64()), (200, first.message_id.map(|id| id.0)));
    let Err(TcpError::Refused(nack)) = alice.tcp().await.request(saying(chat, id, "twice")).await else {
        panic!()
    };
    assert_eq!(nack.code.as_deref(), Some("client_id_reused"));
    server.stop().await;
}

#[actix_web::test]
async fn two_copies_in_one_batch_are_one_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let mut session = alice.tcp().await;
    let id = ClientId::fresh();
    let both: Vec<u8> = (1..=2)
        .flat_map(|n| {
            encode(&MessagePacket { request_id: Some(n), ..saying(chat, id, "once") }).unwrap().to_vec()
        })
        .collect();
    session.writer.send_bytes(&both).await.unwrap();
    let (mut acks, mut events) = (Vec::new(), 0);
    while acks.len() < 2 || events < 1 {
        let packet = soon(session.pushed()).await.unwrap();
        if packet.packet_type == "Ack" { acks.push(packet) } else { events += 1 }
    }
    assert_eq!(acks[0].message_id, acks[1].message_id);
    assert_eq!(acks.iter().filter(|ack| ack.duplicate == Some(true)).count(), 1);
    assert_eq!(alice.contents(chat).await, ["once"]);
    server.stop().await;
}

#[actix_web::test]
async fn history_is_paged_over_tcp() {
    let server = TestServer::with(|config| config.cache.window = 5).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for n in 0..12 {
        alice.say(chat, &n.to_string()).await;
    }
    let mut session = alice.tcp().await;
    let ask = |before: Option<u64>, after: Option<u64>, limit: u16, what: &str| MessagePacket {
        chat_id: Some(chat),
        before_seq: before,
        after_seq: after,
        limit: Some(limit),
        ..packet(what)
    };
    let (mut before, mut read) = (None, Vec::new());
    loop {
        let page = session.request(ask(before, None, 5, "GetMessages")).await.unwrap();
        assert_eq!((page.chat_id, page.as_of), (Some(chat), Some(13)));
        before = page.messages.first().map(|message| u64::try_from(message.seq).unwrap());
        read.splice(0..0, page.messages.into_iter().map(|message| message.content));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(read, (0..12).map(|n| n.to_string()).collect::<Vec<_>>());
    let events = session.request(ask(None, Some(0), 3, "GetEvents")).await.unwrap();
    assert_eq!(
        events.events.iter().map(|event| (event.seq, event.kind.as_str())).collect::<Vec<_>>(),
        [(1, "join"), (2, "message"), (3, "message")]
    );
    assert!(events.has_more);
    server.stop().await;
}

#[actix_web::test]
async fn page_of_large_messages_is_cut_to_the_frame_and_continues() {
    let server = TestServer::with_limits(|limits| limits.server_frame_bytes = 64 * 1024).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for n in 0..10 {
        alice.say(chat, &format!("{n}{}", "x".repeat(16_000))).await;
    }
    let mut session = alice.tcp().await;
    let (mut before, mut read) = (None, Vec::new());
    loop {
        let ask = MessagePacket {
            chat_id: Some(chat),
            before_seq: before,
            limit: Some(100),
            ..packet("GetMessages")
        };
        let page = session.request(ask).await.unwrap();
        assert!((1..=3).contains(&page.messages.len()));
        before = page.messages.first().map(|message| u64::try_from(message.seq).unwrap());
        read.splice(0..0, page.messages.into_iter().map(|message| message.content[..1].to_owned()));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(read.concat(), "0123456789");
    server.stop().await;
}

#[actix_web::test]
async fn bot_without_echo_gets_stubs_of_its_own_messages_only() {
    let server = TestServer::start().await;
    let (alice, bot) = (server.user("alice").await, server.user("bot").await);
    let chat = alice.group(&[&bot]).await;
    let mut session = TcpClient::connect(server.app.addresses.tcp).await.unwrap();
    let token = bot.http.token().map(str::to_owned);
    session.request(MessagePacket { token, echo: Some(false), ..packet("Hello") }).await.unwrap();
    let ack = session.say(chat, "mine").await.unwrap();
    let stub = event(&mut session, "message").await;
    assert_eq!((stub.seq, stub.message_id, stub.message), (ack.seq, ack.message_id, None));
    alice.say(chat, "yours").await;
    assert_eq!(content(&event(&mut session, "message").await), "yours");
    server.stop().await;
}
