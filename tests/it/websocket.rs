//! Sessions over WebSocket, with a client library that is not part of NetBit.

use futures_util::{SinkExt, StreamExt};
use netbit::core::origins::AllowedOrigins;
use netbit::domain::ids::ChatId;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::{Person, TestServer, soon, until};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(server: &TestServer) -> Socket {
    let url = format!("ws://{}/ws", server.app.addresses.http);
    soon(connect_async(url)).await.unwrap().0
}

async fn send(socket: &mut Socket, packet: &Value) {
    socket.send(Message::text(packet.to_string())).await.unwrap();
}

/// Returns the next packet of the server, in either encoding.
async fn receive(socket: &mut Socket) -> Value {
    loop {
        match soon(socket.next()).await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Binary(bytes) => return rmp_serde::from_slice(&bytes).unwrap(),
            Message::Close(_) => return json!({"packet_type": "(closed)"}),
            _ => {}
        }
    }
}

/// Returns the next packet of this type.
async fn next(socket: &mut Socket, packet_type: &str) -> Value {
    loop {
        let packet = receive(socket).await;
        assert_ne!(packet["packet_type"], "(closed)", "closed while waiting for {packet_type}");
        if packet["packet_type"] == packet_type {
            return packet;
        }
    }
}

fn hello(person: &Person) -> Value {
    json!({"packet_type": "Hello", "request_id": 1, "token": person.http.token().unwrap()})
}

async fn welcomed(server: &TestServer, person: &Person) -> (Socket, Value) {
    let mut socket = connect(server).await;
    send(&mut socket, &hello(person)).await;
    let welcome = receive(&mut socket).await;
    assert_eq!(welcome["packet_type"], "Welcome", "{welcome}");
    (socket, welcome)
}

fn message(chat: ChatId, content: &str) -> Value {
    let client_id = uuid::Uuid::now_v7().to_string();
    json!({"packet_type": "SendMessage", "request_id": 7, "chat_id": chat,
        "message": {"client_id": client_id, "content": content}})
}

#[actix_web::test]
async fn json_session_sends_and_receives_like_other_sessions() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (mut socket, welcome) = welcomed(&server, &bob).await;
    assert_eq!((&welcome["username"], &welcome["request_id"]), (&json!("bob"), &json!(1)));
    let sent = message(chat, "from a browser");
    send(&mut socket, &sent).await;
    let (mut ack, mut event) = (Value::Null, Value::Null);
    while ack.is_null() || event.is_null() {
        let packet = receive(&mut socket).await;
        match packet["packet_type"].as_str().unwrap() {
            "Ack" => ack = packet,
            "Event" => event = packet,
            _ => {}
        }
    }
    assert_eq!((&ack["success"], &ack["seq"], &ack["request_id"]), (&json!(true), &json!(3), &json!(7)));
    assert_eq!(event["message"]["client_id"], sent["message"]["client_id"], "an id is text in JSON");
    let over_http = alice.get(&format!("/api/chats/{chat}/messages")).await.body["items"][0].clone();
    assert_eq!(event["message"], over_http);

    alice.tcp().await.say(chat, "from TCP").await.unwrap();
    assert_eq!(next(&mut socket, "Event").await["message"]["content"], "from TCP");

    let resume =
        json!({"packet_type": "Resume", "epoch": welcome["epoch"], "cursors": {chat.to_string(): 3}});
    send(&mut socket, &resume).await;
    assert_eq!(next(&mut socket, "Event").await["seq"], 4);
    assert_eq!(next(&mut socket, "Synced").await["seq"], 4);
    server.stop().await;
}

#[actix_web::test]
async fn message_pack_session_is_answered_in_message_pack() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut socket = connect(&server).await;
    let packed = |packet: &Value| Message::binary(rmp_serde::to_vec_named(packet).unwrap());
    socket.send(packed(&hello(&alice))).await.unwrap();
    let Message::Binary(welcome) = soon(socket.next()).await.unwrap().unwrap() else {
        panic!("expected a binary message")
    };
    let welcome: Value = rmp_serde::from_slice(&welcome).unwrap();
    assert_eq!(welcome["packet_type"], "Welcome");
    // The other encoding is refused, and the session stays open.
    send(&mut socket, &json!({"packet_type": "Ping", "request_id": 2})).await;
    assert_eq!(receive(&mut socket).await["code"], "bad_request");
    socket.send(packed(&json!({"packet_type": "Ping", "request_id": 3}))).await.unwrap();
    let pong = receive(&mut socket).await;
    assert_eq!((&pong["packet_type"], &pong["request_id"]), (&json!("Pong"), &json!(3)));
    // Pings of the WebSocket protocol are answered too.
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::Pong("are you there".into()));
    server.stop().await;
}

#[actix_web::test]
async fn first_packet_must_be_hello_else_goodbye() {
    let server = TestServer::with_limits(|limits| limits.hello_timeout_ms = 300).await;
    let alice = server.user("alice").await;
    for (first, code) in [
        (Message::text(r#"{"packet_type":"Ping"}"#), "unauthenticated"),
        (Message::text(r#"{"packet_type":"Hello","token":"forged"}"#), "unauthenticated"),
        (Message::text("{"), "unauthenticated"),
        (Message::text("[".repeat(100)), "unauthenticated"),
        (Message::binary(vec![0xc1]), "bad_request"),
        (Message::text(" ".repeat(5000)), "bad_request"),
        (Message::text("x".repeat(100_000)), "bad_request"),
    ] {
        let mut socket = connect(&server).await;
        // The server may close the connection while a long message is still being sent.
        drop(socket.send(first.clone()).await);
        let goodbye = next(&mut socket, "Goodbye").await;
        assert_eq!(goodbye["code"], code, "{first:?}");
        assert_eq!(receive(&mut socket).await["packet_type"], "(closed)");
    }
    let mut silent = connect(&server).await;
    assert_eq!(next(&mut silent, "Goodbye").await["code"], "unauthenticated");
    // A fragmented message is one message.
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let (mut socket, text) = (connect(&server).await, hello(&alice).to_string());
    let (head, tail) = text.split_at(text.len() / 2);
    let frame =
        |text: &str, code, last| Message::Frame(Frame::message(text.to_owned(), OpCode::Data(code), last));
    socket.send(frame(head, Data::Text, false)).await.unwrap();
    socket.send(frame(tail, Data::Continue, true)).await.unwrap();
    assert_eq!(receive(&mut socket).await["packet_type"], "Welcome");
    server.stop().await;
}

/// Returns the code of the closing handshake.
async fn closed(socket: &mut Socket) -> u16 {
    loop {
        match soon(socket.next()).await {
            Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
            Some(Ok(_)) => {}
            other => panic!("no closing handshake: {other:?}"),
        }
    }
}

/// Regression: nine kinds of bad frames and a stop all closed with 1000, after which client
/// libraries do not reconnect.
#[actix_web::test]
async fn closing_code_matches_the_reason() {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let frame = |payload: Vec<u8>, opcode, is_final| {
        let header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
        Message::Frame(Frame::from_payload(header, payload.into()))
    };
    let own = CloseFrame { code: 4001.into(), reason: "done".into() };
    for (sent, code) in [
        (Message::text(r#"{"packet_type":"Bye"}"#), 1000),
        (Message::Close(Some(own)), 4001),
        (frame(b"x".to_vec(), OpCode::Data(Data::Continue), true), 1002),
        (frame(b"x".to_vec(), OpCode::Data(Data::Reserved(5)), true), 1002),
        (frame(b"x".to_vec(), OpCode::Control(Control::Ping), false), 1002),
        (frame(vec![b'x'; 126], OpCode::Control(Control::Ping), true), 1002),
        (frame(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true), 1007),
        (Message::binary(vec![b'x'; 1024 * 1024 + 1]), 1009),
    ] {
        let (mut socket, _) = welcomed(&server, &alice).await;
        // The server may close the connection while a large frame is still being sent.
        drop(socket.send(sent.clone()).await);
        let shown = format!("{sent:?}");
        assert_eq!(closed(&mut socket).await, code, "{}", &shown[..shown.len().min(80)]);
    }
    for (first, code) in [
        (Message::text(r#"{"packet_type":"Ping"}"#), 1008),
        (Message::binary(vec![0xc1]), 1007),
        (Message::text("x".repeat(5_000)), 1009),
    ] {
        let mut socket = connect(&server).await;
        drop(socket.send(first.clone()).await);
        assert_eq!(closed(&mut socket).await, code, "{first:?}");
    }
    let (mut out, _) = welcomed(&server, &alice).await;
    assert_eq!(alice.post("/api/users/logout", json!({})).await.status, 204);
    assert_eq!(closed(&mut out).await, 1008);
    let alice = server.login("alice").await;
    let (mut last, _) = welcomed(&server, &alice).await;
    let end = actix::spawn(async move { closed(&mut last).await });
    server.stop().await;
    assert_eq!(soon(end).await.unwrap(), 1012);
}

/// Regression: half of an emoji, as a browser cuts text, and a text that is too long ended the
/// session. A client that keeps unsent messages was then disconnected after every reconnect.
#[actix_web::test]
async fn invalid_text_is_refused_and_the_session_stays_open() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (mut socket, welcome) = welcomed(&server, &alice).await;
    let max = usize::try_from(welcome["max_frame_bytes"].as_u64().unwrap()).unwrap();
    let half = message(chat, "cut HERE").to_string().replace("HERE", r"\ud83d");
    let half_id = message(chat, "").as_object().unwrap()["request_id"].clone();
    let long = |bytes: usize| {
        let mut packet = message(chat, "");
        packet["request_id"] = json!(77);
        packet["message"]["content"] = json!("x".repeat(bytes));
        packet.to_string()
    };
    for (text, code, request_id) in [
        (half, "bad_request", half_id),
        (r#"{"request_id": 5, "packet_type": "Ping""#.to_owned(), "bad_request", json!(5)),
        ("[1]".to_owned(), "bad_request", Value::Null),
        (String::new(), "bad_request", Value::Null),
        (long(max), "too_large", Value::Null),
        (format!("{{\"request_id\": 78, \"x\": \"{}\"}}", "x".repeat(1_000_000)), "too_large", json!(78)),
    ] {
        socket.send(Message::text(text.clone())).await.unwrap();
        let nack = next(&mut socket, "Ack").await;
        assert_eq!(nack["success"], json!(false));
        assert_eq!(nack["code"], code, "{nack}");
        // The server searches only the beginning of a long packet for the request id.
        assert_eq!(nack["request_id"], request_id, "{nack}");
    }
    send(&mut socket, &message(chat, "still here")).await;
    let ack = next(&mut socket, "Ack").await;
    assert_eq!(ack["success"], json!(true), "{ack}");
    server.stop().await;
}

#[actix_web::test]
async fn upgrade_is_refused_for_pages_of_other_hosts() {
    let server = TestServer::start().await;
    let address = server.app.addresses.http;
    let ask = async |origin: String| {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        match soon(connect_async(request)).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(ask(format!("http://{address}")).await, 101);
    assert_eq!(ask("http://evil.example".to_owned()).await, 403);
    let plain = reqwest::get(format!("http://{address}/ws")).await.unwrap();
    assert_eq!(plain.status().as_u16(), 400);
    assert_eq!(plain.headers()["content-type"], "application/problem+json");
    server.stop().await;
}

#[actix_web::test]
async fn upgrade_is_accepted_for_pages_of_allowed_origins() {
    let server = TestServer::with(|config| {
        config.http.allowed_origins = AllowedOrigins::parse(["app://x", "capacitor://localhost"]).unwrap();
    })
    .await;
    let address = server.app.addresses.http;
    for (origin, expected) in [
        ("app://x".to_owned(), 101),
        ("capacitor://localhost".to_owned(), 101),
        (format!("http://{address}"), 101),
        ("file://".to_owned(), 403),
        ("null".to_owned(), 403),
        ("app://y".to_owned(), 403),
    ] {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        let status = match soon(connect_async(request)).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(status, expected, "{origin}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn logout_and_stop_send_goodbye_after_the_last_answer() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (mut theirs, _) = welcomed(&server, &alice).await;
    let (mut gone, _) = welcomed(&server, &bob).await;
    bob.post("/api/users/logout", json!({})).await;
    let goodbye = next(&mut gone, "Goodbye").await;
    assert_eq!((&goodbye["code"], &goodbye["reconnect"]), (&json!("revoked"), &json!(false)));

    send(&mut theirs, &message(chat, "the last word")).await;
    let listening = actix::spawn(async move {
        let mut packets = Vec::new();
        loop {
            packets.push(receive(&mut theirs).await);
            if packets.last().unwrap()["packet_type"] == "(closed)" {
                return packets;
            }
        }
    });
    let alone = async {
        while server.app.sessions() > 1 {
            tokio::task::yield_now().await
        }
    };
    soon(alone).await;
    let stopped = server.stop().await;
    assert!(stopped.steps.iter().all(|step| !step.cut), "{:?}", stopped.steps);
    let packets = soon(listening).await.unwrap();
    let types: Vec<_> = packets.iter().map(|packet| packet["packet_type"].as_str().unwrap()).collect();
    let goodbye = types.iter().position(|t| *t == "Goodbye").unwrap();
    assert_eq!(packets[goodbye]["code"], "shutdown");
    if let Some(ack) = types.iter().position(|t| *t == "Ack") {
        assert!(ack < goodbye);
    }
}

#[actix_web::test]
async fn unread_socket_is_bounded_by_its_outbox_and_closed() {
    let server = TestServer::with_limits(|limits| {
        limits.rates = false;
        limits.write_stall_ms = 1_500;
        limits.outbox_bytes = 64 * 1024;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (stuck, _) = welcomed(&server, &bob).await;
    let mut desk = alice.tcp().await;
    let text = "x".repeat(16 * 1024);
    for _ in 0..700 {
        desk.say(chat, &text).await.unwrap();
    }
    until(async || server.app.sessions() <= 1).await;
    drop(stuck);
    server.stop().await;
}

#[actix_web::test]
async fn disconnect_removes_the_session() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for polite in [true, false] {
        let (mut socket, _) = welcomed(&server, &alice).await;
        if polite {
            send(&mut socket, &json!({"packet_type": "Ping", "request_id": 1})).await;
            socket.close(None).await.unwrap();
            while soon(socket.next()).await.is_some_and(|message| message.is_ok()) {}
        }
        drop(socket);
        until(async || server.app.sessions() == 0).await;
    }
    server.stop().await;
}
