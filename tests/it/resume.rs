//! Resume: a client that was away receives the missed events in order, once each, and is live
//! again.

use std::collections::BTreeMap;

use netbit::client::TcpClient;
use netbit::domain::ids::{ChatId, Seq};
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::MessagePacket;
use serde_json::json;

use crate::harness::{Person, TestServer, soon};

fn resume(epoch: i64, cursors: &[(ChatId, Seq)]) -> MessagePacket {
    let cursors = cursors.iter().map(|(chat, seq)| (*chat, u64::try_from(*seq).unwrap()));
    MessagePacket {
        packet_type: "Resume".into(),
        epoch: Some(u64::try_from(epoch).unwrap()),
        cursors: Some(cursors.collect()),
        ..MessagePacket::default()
    }
}

/// Opens a session of `person` and returns it with the server's epoch.
async fn session(person: &Person) -> (TcpClient, i64) {
    let (client, welcome) = person.tcp_welcomed().await;
    (client, welcome.epoch.unwrap())
}

/// Reads events until `Synced` of this chat. They must follow `after` without gaps or duplicates.
async fn until_synced(client: &mut TcpClient, chat: ChatId, after: Seq) -> Vec<ReceivedPacket> {
    let mut events: Vec<ReceivedPacket> = Vec::new();
    loop {
        let packet = soon(client.pushed()).await.unwrap();
        match packet.packet_type.as_str() {
            "Synced" if packet.chat_id == Some(chat) => {
                assert_eq!(packet.seq, Some(after + Seq::try_from(events.len()).unwrap()));
                return events;
            }
            "Event" if packet.chat_id == Some(chat) => {
                assert_eq!(packet.seq, Some(after + 1 + Seq::try_from(events.len()).unwrap()));
                events.push(packet);
            }
            _ => {}
        }
    }
}

/// Returns the next packet of this type and skips others.
async fn next(client: &mut TcpClient, packet_type: &str) -> ReceivedPacket {
    loop {
        let packet = soon(client.pushed()).await.unwrap();
        if packet.packet_type == packet_type {
            return packet;
        }
    }
}

#[actix_web::test]
async fn missed_events_arrive_in_order_before_new_ones() {
    let server = TestServer::with(|config| {
        config.cache.window = 20;
        config.limits.replay_page = 7;
        config.limits.rates = false;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let mut desk = alice.tcp().await;
    for n in 0..100 {
        desk.say(chat, &n.to_string()).await.unwrap();
    }
    let (mut session, epoch) = session(&bob).await;
    let ack = session.request(resume(epoch, &[(chat, 0)])).await.unwrap();
    assert!(ack.success);
    let missed = until_synced(&mut session, chat, 0).await;
    let kinds: Vec<_> = missed.iter().take(3).map(|event| event.kind.clone().unwrap()).collect();
    assert_eq!(kinds, ["join", "join", "message"]);
    let contents: Vec<_> = missed.iter().filter_map(|e| Some(e.message.as_ref()?.content.clone())).collect();
    assert_eq!(contents, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());

    desk.say(chat, "live").await.unwrap();
    let live = next(&mut session, "Event").await;
    assert_eq!((live.seq, live.message.unwrap().content.as_str()), (Some(103), "live"));
    server.stop().await;
}

#[actix_web::test]
async fn replay_joins_live_events_without_gap_or_duplicate() {
    let server = TestServer::with(|config| {
        config.cache.window = 10;
        config.limits.replay_page = 3;
        config.limits.replay_events = 100_000;
        config.limits.rates = false;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let mut desk = alice.tcp().await;
    let talking = actix::spawn(async move {
        for n in 0..600 {
            desk.say(chat, &n.to_string()).await.unwrap();
        }
    });
    let mut caught_up_under_way = 0;
    while !talking.is_finished() {
        let (mut session, epoch) = session(&bob).await;
        session.writer.send(&resume(epoch, &[(chat, 0)])).await.unwrap();
        // Events that were pushed before the server read the Resume are not part of this replay.
        let mut last = loop {
            let packet = soon(session.pushed()).await.unwrap();
            if packet.packet_type == "Synced" || packet.seq == Some(1) {
                break packet.seq.unwrap();
            }
        };
        let mut synced = false;
        for _ in 0..last + 150 {
            if synced && talking.is_finished() {
                break;
            }
            let packet = soon(session.pushed()).await.unwrap();
            match packet.packet_type.as_str() {
                "Event" => {
                    assert_eq!(packet.seq, Some(last + 1));
                    last += 1;
                    caught_up_under_way += usize::from(synced);
                }
                "Synced" => {
                    assert_eq!(packet.seq, Some(last));
                    synced = true;
                }
                _ => {}
            }
        }
    }
    talking.await.unwrap();
    assert!(caught_up_under_way > 0, "no session was live while messages were sent");
    server.stop().await;
}

#[actix_web::test]
async fn resume_answers_each_chat_by_its_cursor() {
    let server = TestServer::with_limits(|limits| limits.replay_events = 5).await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let (current, ahead, behind) =
        (alice.group(&[&bob]).await, alice.group(&[&bob]).await, alice.group(&[&bob]).await);
    let secret = alice.group(&[&eve]).await;
    for n in 0..6 {
        alice.say(behind, &n.to_string()).await;
    }
    let (mut session, epoch) = session(&bob).await;
    let cursors = [(current, 2), (ahead, 9), (behind, 1), (secret, 0), (ChatId(999), 0)];
    session.writer.send(&resume(epoch, &cursors)).await.unwrap();
    let mut answers = BTreeMap::new();
    for _ in 0..5 {
        let packet = soon(session.pushed()).await.unwrap();
        let shown = (packet.packet_type, packet.seq, packet.from, packet.head);
        assert_eq!(answers.insert(packet.chat_id.unwrap(), shown), None);
    }
    let expected = [
        (current, ("Synced".to_owned(), Some(2), None, None)),
        (ahead, ("Reset".to_owned(), None, None, Some(2))),
        (behind, ("Limited".to_owned(), None, Some(2), Some(8))),
        (secret, ("Reset".to_owned(), None, None, None)),
        (ChatId(999), ("Reset".to_owned(), None, None, None)),
    ];
    assert_eq!(answers, expected.into());

    // A client that is too far behind is live above the head, and pages up to it.
    alice.say(behind, "after").await;
    assert_eq!(next(&mut session, "Event").await.seq, Some(9));
    let page = MessagePacket {
        packet_type: "GetEvents".into(),
        chat_id: Some(behind),
        after_seq: Some(1),
        ..MessagePacket::default()
    };
    let page = session.request(page).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), (2..=9).collect::<Vec<_>>());

    session.writer.send(&resume(epoch + 1, &[(current, 2)])).await.unwrap();
    let reset = soon(session.pushed()).await.unwrap();
    assert_eq!((reset.packet_type.as_str(), reset.chat_id, reset.epoch), ("Reset", None, Some(epoch)));
    server.stop().await;
}

#[actix_web::test]
async fn session_that_did_not_read_is_limited_once_and_resumes() {
    let server = TestServer::with_limits(|limits| {
        limits.rates = false;
        limits.outbox_bytes = 64 * 1024;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (chat, other) = (alice.group(&[&bob]).await, alice.group(&[&bob]).await);
    let (mut session, epoch) = session(&bob).await;
    // Sends more than the outbox and the kernel buffers hold while the client does not read.
    let text = "x".repeat(16 * 1024);
    let mut desk = alice.tcp().await;
    for _ in 0..700 {
        desk.say(chat, &text).await.unwrap();
    }
    let mut last = BTreeMap::from([(chat, 2), (other, 2)]);
    let limited = loop {
        let packet = soon(session.pushed()).await.unwrap();
        if packet.packet_type == "Limited" {
            break packet;
        }
        *last.get_mut(&packet.chat_id.unwrap()).unwrap() = packet.seq.unwrap();
    };
    assert_eq!((limited.chat_id, limited.head), (None, None));
    assert!(last[&chat] < 702, "the kernel buffers held everything");
    desk.say(other, "not delivered yet").await.unwrap();
    let cursors: Vec<_> = last.iter().map(|(chat, seq)| (*chat, *seq)).collect();
    session.writer.send(&resume(epoch, &cursors)).await.unwrap();
    let (mut synced, mut limited) = (0, 0);
    while synced < 2 {
        let packet = soon(session.pushed()).await.unwrap();
        match packet.packet_type.as_str() {
            "Event" => {
                let seq = last.get_mut(&packet.chat_id.unwrap()).unwrap();
                *seq += 1;
                assert_eq!(packet.seq, Some(*seq));
            }
            "Synced" => synced += 1,
            "Limited" => limited += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(
        (last[&chat], last[&other], limited),
        (702, 3, 0),
        "no event is missed, and Limited is sent once"
    );
    desk.say(other, "live again").await.unwrap();
    assert_eq!(next(&mut session, "Event").await.seq, Some(4));
    server.stop().await;
}

#[actix_web::test]
async fn replay_shows_the_current_state_and_permissions() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (chat, left) = (alice.group(&[&bob]).await, alice.group(&[&bob]).await);
    let message = alice.say(chat, "regretted").await.body["id"].as_i64().unwrap();
    alice.say(left, "secret").await;
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    alice.delete(&format!("/api/chats/{left}/participants/bob")).await;
    let (mut session, epoch) = session(&bob).await;
    session.writer.send(&resume(epoch, &[(chat, 2), (left, 2)])).await.unwrap();
    let reset = next(&mut session, "Reset").await;
    assert_eq!((reset.chat_id, reset.head), (Some(left), None));
    let missed = until_synced(&mut session, chat, 2).await;
    let message = missed[0].message.as_ref().unwrap();
    assert!(message.deleted && message.content.is_empty());
    assert_eq!(missed[1].kind.as_deref(), Some("delete"));
    server.stop().await;
}

#[actix_web::test]
async fn session_without_echo_replays_stubs_of_its_own_messages() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    bob.say(chat, "mine").await;
    alice.say(chat, "theirs").await;
    let mut bot = TcpClient::connect(server.app.addresses.tcp).await.unwrap();
    let hello = MessagePacket {
        packet_type: "Hello".into(),
        token: bob.http.token().map(str::to_owned),
        echo: Some(false),
        ..MessagePacket::default()
    };
    let epoch = bot.request(hello).await.unwrap().epoch.unwrap();
    bot.writer.send(&resume(epoch, &[(chat, 2)])).await.unwrap();
    let missed = until_synced(&mut bot, chat, 2).await;
    assert!(missed[0].message.is_none() && missed[0].message_id.is_some());
    assert_eq!(missed[1].message.as_ref().unwrap().content, "theirs");
    server.stop().await;
}

#[actix_web::test]
async fn resume_works_after_a_restart_and_refuses_invalid_fields() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (_, epoch) = session(&bob).await;
    alice.say(chat, "before").await;
    let server = server.restart(|_| ()).await;
    let bob = server.login("bob").await;
    let (mut session, same_epoch) = session(&bob).await;
    assert_eq!(same_epoch, epoch);
    session.writer.send(&resume(epoch, &[(chat, 2)])).await.unwrap();
    assert_eq!(until_synced(&mut session, chat, 2).await.len(), 1);
    for wrong in [
        MessagePacket { epoch: None, ..resume(epoch, &[]) },
        MessagePacket { cursors: None, ..resume(epoch, &[]) },
        MessagePacket { cursors: Some([(chat, 1 << 60)].into()), ..resume(epoch, &[]) },
    ] {
        let ack = session.ask(wrong).await.unwrap();
        assert_eq!((ack.success, ack.code.as_deref()), (false, Some("bad_request")));
    }
    server.stop().await;
}

#[actix_web::test]
async fn pong_counts_the_chats_and_heads_of_its_user() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let mut desk = bob.tcp().await;
    let later = alice.group(&[&bob]).await;
    alice.say(chat, "one").await;
    alice.say(later, "two").await;
    let ping = || MessagePacket { packet_type: "Ping".into(), ..MessagePacket::default() };
    let pong = desk.request(ping()).await.unwrap();
    assert_eq!((pong.chats, pong.heads_sum), (netbit::protocol::answer::ListOrCount::Count(2), Some(6)));
    // The sum is equal for a later session if nothing happened in between.
    let pong = bob.tcp().await.request(ping()).await.unwrap();
    assert_eq!(pong.heads_sum, Some(6));
    let left = bob.delete(&format!("/api/chats/{chat}/participants/bob")).await;
    assert!(left.status < 300, "{}", json!(left.body));
    let pong = desk.request(ping()).await.unwrap();
    assert_eq!((pong.chats, pong.heads_sum), (netbit::protocol::answer::ListOrCount::Count(1), Some(3)));
    server.stop().await;
}
