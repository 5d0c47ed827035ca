//! Chat sessions over TCP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use netbit::client::{TcpClient, TcpError, encode, saying};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::answer::{ListOrCount, ReceivedPacket};
use netbit::protocol::packet::MessagePacket;
use serde_json::json;

use crate::harness::{TestServer, soon, until};

fn packet(packet_type: &str) -> MessagePacket {
    MessagePacket { packet_type: packet_type.into(), ..MessagePacket::default() }
}

fn content(packet: &ReceivedPacket) -> &str {
    packet.message.as_ref().map_or("", |message| &message.content)
}

/// The next event, which must be of this kind.
async fn event(client: &mut TcpClient, kind: &str) -> ReceivedPacket {
    let packet = soon(client.pushed()).await.unwrap();
    assert_eq!((packet.packet_type.as_str(), packet.kind.as_deref()), ("Event", Some(kind)), "{packet:?}");
    packet
}

/// Reads to the end; answers the code of the server's `Goodbye`.
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
async fn a_message_sent_over_tcp_is_readable_over_http() {
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
async fn a_message_posted_over_http_reaches_everybody_who_is_online() {
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
    assert_eq!(soon(outsider.pushed()).await.unwrap().packet_type, "Pong", "an outsider hears nothing");
    server.stop().await;
}

#[actix_web::test]
async fn a_welcome_tells_who_one_is_and_what_there_is_to_read() {
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
async fn whoever_is_added_hears_of_it_with_the_chat_and_whoever_leaves_hears_no_more() {
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
    alice.say(chat, "behind your back").await;
    let refused = desk.request(MessagePacket { chat_id: Some(chat), ..packet("GetEvents") }).await;
    assert!(matches!(refused, Err(TcpError::Refused(ack)) if ack.code.as_deref() == Some("not_found")));
    let pong = desk.request(packet("Ping")).await.unwrap();
    assert_eq!((pong.chats, pong.heads_sum), (ListOrCount::Count(0), Some(0)));
    server.stop().await;
}

#[actix_web::test]
async fn acks_and_events_of_a_pipelining_sender_are_all_there_and_in_order() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let mut reader = bob.tcp().await;
    let (mut answers, mut out) = alice.tcp().await.into_halves();
    const COUNT: u64 = 1000;
    // Far more than the window of 64: the server stops reading, and nothing is lost or turned round.
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
            _ => own.push((content(&packet).parse::<u64>().unwrap(), packet.seq.unwrap())),
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
async fn a_retry_over_another_connection_or_transport_is_a_duplicate() {
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
async fn a_page_of_big_messages_is_cut_to_the_frame_and_goes_on() {
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
async fn a_bot_without_echo_gets_stubs_of_its_own_messages_only() {
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

#[actix_web::test]
async fn logging_out_ends_the_sessions_of_that_login_and_no_others() {
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
        panic!("a dead token opens nothing")
    };
    assert_eq!(nack.code.as_deref(), Some("unauthenticated"));
    server.stop().await;
}

#[actix_web::test]
async fn a_silent_session_is_closed_and_a_heartbeat_keeps_it_open() {
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
async fn bye_is_answered_and_the_place_is_free_again() {
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

/// A client that only asked and never read used to fill the server's memory with answers: each answer gave its place
/// in the window back as soon as it was in the outbox.
#[actix_web::test]
async fn whoever_asks_and_does_not_read_is_not_listened_to_any_more() {
    // Far more than the buffers between both ends hold, which are small.
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
    // Until nothing is taken any more while the same thread answers another session many times.
    let mut other = bob.tcp().await;
    let mut before = usize::MAX;
    while before != sent.load(Relaxed) {
        before = sent.load(Relaxed);
        for _ in 0..300 {
            assert_eq!(other.request(packet("Ping")).await.unwrap().packet_type, "Pong");
        }
    }
    assert!(!asking.is_finished(), "the server takes everything");
    // As soon as it reads, it is answered.
    let mut answered = 0;
    while answered < QUESTIONS {
        let packet = soon(reader.next()).await.unwrap();
        // Who is online is told in between.
        if packet.packet_type != "Presence" {
            assert_eq!(packet.code.as_deref(), Some("bad_request"), "behind {answered} answers: {packet:?}");
            answered += 1;
        }
    }
    drop(soon(asking).await.unwrap());
    server.stop().await;
}

/// Twenty sends and a Bye in one breath used to be committed without a single Ack.
#[actix_web::test]
async fn what_was_asked_before_a_bye_or_a_half_close_is_answered() {
    for bye in [true, false] {
        let server = TestServer::start().await;
        let alice = server.user("alice").await;
        let chat = alice.group(&[]).await;
        let (mut reader, mut writer) = alice.tcp().await.into_halves();
        for n in 0..20 {
            let message = MessagePacket { request_id: Some(n), ..saying(chat, ClientId::fresh(), "x") };
            writer.send(&message).await.unwrap();
        }
        // The Pong comes through the hub, and used to be overtaken by the end.
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
async fn the_creator_of_a_direct_chat_sees_who_it_is_with() {
    let server = TestServer::start().await;
    let (alice, _bob) = (server.user("alice").await, server.user("bob").await);
    let mut desk = alice.tcp().await;
    alice.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
    assert_eq!(event(&mut desk, "join").await.chat.unwrap().peer.as_deref(), Some("bob"));
    server.stop().await;
}

#[actix_web::test]
async fn a_reader_who_stops_reading_costs_its_outbox_and_nobody_else_anything() {
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
    // More than the kernel's buffers on both sides and the outbox hold together.
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
    // The stuck one reads at last: a dense beginning, then Limited once, then nothing but answers.
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
    alice.say(chat, "for those who listen").await;
    assert_eq!(stuck.request(packet("Ping")).await.unwrap().packet_type, "Pong");
    // It comes back and catches up.
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
async fn a_stop_flushes_the_acks_and_says_goodbye() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat: ChatId = alice.group(&[]).await;
    let (mut reader, mut writer) = alice.tcp().await.into_halves();
    for n in 0..40 {
        let message =
            MessagePacket { request_id: Some(n), ..saying(chat, ClientId::fresh(), &n.to_string()) };
        writer.send(&message).await.unwrap();
    }
    // The first ack shows that the packets have arrived in the server's hands.
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
