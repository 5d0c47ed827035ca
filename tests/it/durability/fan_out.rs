//! The server is killed while a message notifies many users.

use netbit::client::{TcpClient, saying};
use netbit::domain::message::ClientId;
use netbit::protocol::packet::MessagePacket;

use crate::harness::{PASSWORD, Process, database, postgres, soon, until};

const PEOPLE: i64 = 24;
const MESSAGES: i64 = 60;

/// Notifications that are written slice by slice are neither lost nor doubled by SIGKILL in the
/// middle.
#[actix_web::test]
async fn kill_9_during_fan_out_leaves_each_notification_once() {
    if postgres::skips("a fan-out is over before psql has counted its rows") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let small = [
        ("NETBIT_LIMITS__NOTIFICATIONS_PER_MESSAGE", "2"),
        ("NETBIT_LIMITS__NOTIFICATIONS_PER_COMMAND", "3"),
    ];
    let mut server = Process::with(directory.path(), &small).await;
    let mut names = Vec::new();
    for n in 0..=PEOPLE {
        server.http.register(&format!("u{n}"), PASSWORD).await.unwrap();
        names.push(format!("u{n}"));
    }
    let token = server.http.login("u0", PASSWORD).await.unwrap().token;
    let others: Vec<_> = names.iter().skip(1).map(String::as_str).collect();
    let chat = server.http.with_token(&token).create_group("team", &others).await.unwrap();
    let (session, _) = TcpClient::open(server.tcp(), &token).await.unwrap();
    let (mut reader, mut writer) = session.into_halves();
    let sent: Vec<_> = (0..MESSAGES).map(|n| (ClientId::fresh(), format!("{n}: @all"))).collect();
    let packet = |n: usize| {
        let (name, content) = &sent[n];
        MessagePacket { request_id: Some(u64::try_from(n).unwrap()), ..saying(chat, *name, content) }
    };
    let acknowledged = async {
        let mut count = 0;
        while count < MESSAGES {
            let packet = reader.next().await.unwrap();
            assert!(packet.packet_type != "Ack" || (packet.success && !packet.unnotified), "{packet:?}");
            count += i64::from(packet.packet_type == "Ack");
        }
    };
    let sending = async {
        for n in 0..sent.len() {
            writer.send(&packet(n)).await.unwrap();
        }
    };
    soon(async { tokio::join!(sending, acknowledged) }).await;
    // Three kills in the middle: some notifications are written and some are left.
    let count = |sql: &str| database::reader(directory.path()).integer(sql);
    let written = "SELECT count(*) AS value FROM notifications WHERE kind = 'mention'";
    let left = "SELECT count(*) AS value FROM fan_outs";
    let mut in_the_middle = 0;
    for _ in 0..3 {
        let before = count(written);
        until(async || count(written) != before || count(left) == 0).await;
        server.kill();
        in_the_middle += i64::from(count(left) > 0);
        server = Process::with(directory.path(), &small).await;
    }
    assert!(in_the_middle > 0, "all notifications were written before the first kill");
    until(async || count(left) == 0).await;
    assert_eq!(count(written), MESSAGES * PEOPLE);
    let pairs = "SELECT count(*) AS value FROM (SELECT DISTINCT user_id, message_id FROM notifications
        WHERE kind = 'mention' AND user_id <> (SELECT id FROM users WHERE username = 'u0')) AS pairs";
    assert_eq!(count(pairs), MESSAGES * PEOPLE, "one notification for each message and member");
}
