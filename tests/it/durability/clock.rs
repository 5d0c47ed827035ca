//! The wall clock is set an hour ahead and an hour back.

use std::fs;
use std::time::Duration;

use netbit::client::TcpClient;
use netbit::protocol::packet::MessagePacket;

use super::power_cut::compiled;
use crate::harness::{PASSWORD, Process, postgres, soon};

/// Messages ordered by their time would appear in the wrong order. A silence limit that uses the
/// wall clock would close every session.
#[actix_web::test]
async fn clock_jump_changes_no_order_and_ends_no_session() {
    let place = tempfile::tempdir().unwrap();
    let (data, offset) = (place.path().join("data"), place.path().join("offset"));
    fs::create_dir(&data).unwrap();
    fs::write(&offset, "0").unwrap();
    let library = compiled("clock", place.path());
    let environment = [("LD_PRELOAD", library.to_str().unwrap()), ("CLOCK_OFFSET", offset.to_str().unwrap())];
    let mut server = Process::with(&data, &environment).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let token = server.http.login("alice", PASSWORD).await.unwrap().token;
    let chat = server.http.with_token(&token).create_group("team", &[]).await.unwrap();
    let (mut session, _) = TcpClient::open(server.tcp(), &token).await.unwrap();
    let mut names = Vec::new();
    for (jump, content) in [("0", "one"), ("3600", "two"), ("-3600", "three"), ("0", "four")] {
        fs::write(&offset, jump).unwrap();
        // Longer than the wait of a timer that uses the wall clock.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ack = soon(session.say(chat, content)).await.unwrap();
        assert!(ack.success && ack.duplicate != Some(true), "{content}: {ack:?}");
        names.push(ack.seq.unwrap());
        let ping = MessagePacket { packet_type: "Ping".into(), ..MessagePacket::default() };
        assert_eq!(soon(session.request(ping)).await.unwrap().packet_type, "Pong", "{content}");
    }
    assert!(names.windows(2).all(|two| two[1] == two[0] + 1), "seq is dense in sending order");
    let (page, _) = server.http.with_token(&token).messages(chat, "").await.unwrap();
    let contents: Vec<_> = page.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(contents, ["one", "two", "three", "four"]);
    let times: Vec<_> = page.iter().map(|message| message.created_at).collect();
    // The clock of PostgreSQL dates the messages, and it does not jump here.
    let jumped = times[2] < times[0] && times[0] < times[1];
    assert_eq!(jumped, !postgres::is_used(), "{times:?}");
    server.kill();
    let server = Process::with(&data, &environment).await;
    let (page, _) = server.http.with_token(&token).messages(chat, "").await.unwrap();
    let again: Vec<_> = page.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(again, contents, "the database has the same order");
    server.stop().await;
}
