//! Messages that notify many users, and the later life of their notifications.

use netbit::domain::ids::ChatId;
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::MessagePacket;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, database, postgres, soon, until};
use crate::notifications::{await_notifications, single, take_notifications};

/// Creates a chat of alice with `count` other users, whose notifications are read. A message of it
/// notifies too many users to write their notifications in its own command.
async fn team_of(server: &TestServer, count: usize) -> (Person, Vec<Person>, ChatId) {
    let alice = server.user("alice").await;
    let mut people = Vec::new();
    for n in 0..count {
        people.push(server.user(&format!("p{n}")).await);
    }
    let team = alice.group(&people.iter().collect::<Vec<_>>()).await;
    for person in &people {
        take_notifications(person).await;
    }
    (alice, people, team)
}

async fn server_with_small_slices() -> TestServer {
    TestServer::with_limits(|limits| {
        limits.notifications_per_message = 1;
        limits.notifications_per_command = 2;
        limits.trim_ms = 20;
    })
    .await
}

/// Regression: in a chat of more than 200 users none was notified, and 200 users delayed every
/// sender.
#[actix_web::test]
async fn all_participants_are_notified_once_at_any_count() {
    let server = server_with_small_slices().await;
    let (alice, people, team) = team_of(&server, 5).await;
    let posted = alice.say(team, "@all and @p1").await;
    assert_eq!((posted.status, posted.body.get("unnotified")), (201, None));
    alice.say(team, "@p4 @p3 @nosuch @p4").await;
    await_notifications(&server, &alice).await;
    for (n, person) in people.iter().enumerate() {
        let count = take_notifications(person).await.len();
        assert_eq!(count, if n < 3 { 1 } else { 2 }, "{}", person.name);
    }
    assert_eq!(take_notifications(&alice).await, []);
    // Notifications that were not written when the server stopped are written after the next start.
    alice.say(team, "@all").await;
    let server = server.restart(|_| ()).await;
    let alice = server.login("alice").await;
    await_notifications(&server, &alice).await;
    let p4 = server.login("p4").await;
    assert_eq!(take_notifications(&p4).await, single("mention", "alice mentioned you in team"));
    server.stop().await;
}

/// Regression: after a message with `@bob` was deleted, its notification stayed unread permanently.
#[actix_web::test]
async fn deleting_a_message_removes_its_notifications() {
    let server = server_with_small_slices().await;
    let (alice, people, team) = team_of(&server, 5).await;
    for content in ["@p2", "@all", "@p2 @p3 @p4"] {
        let message = alice.say(team, content).await.body["id"].as_i64().unwrap();
        await_notifications(&server, &alice).await;
        assert_eq!(alice.delete(&format!("/api/chats/{team}/messages/{message}")).await.status, 204);
        await_notifications(&server, &alice).await;
        for person in &people {
            assert_eq!(
                person.get("/api/notifications?unread=true").await.body["items"],
                json!([]),
                "{content}"
            );
        }
    }
    // The message is deleted immediately: notifications that were written by then are removed as
    // well.
    for _ in 0..10 {
        let message = alice.say(team, "@all").await.body["id"].as_i64().unwrap();
        assert_eq!(alice.delete(&format!("/api/chats/{team}/messages/{message}")).await.status, 204);
    }
    await_notifications(&server, &alice).await;
    for person in &people {
        assert_eq!(take_notifications(person).await, []);
    }
    // Deletion by retention removes notifications too.
    alice.say(team, "@all again").await;
    assert_eq!(alice.patch(&format!("/api/chats/{team}"), json!({"retention": 1})).await.status, 200);
    alice.say(team, "plain").await;
    await_notifications(&server, &alice).await;
    until(async || people[0].get("/api/notifications?unread=true").await.body["items"] == json!([])).await;
    // So does the deletion of the chat.
    alice.say(team, "@all, last time").await;
    await_notifications(&server, &alice).await;
    assert_eq!(alice.delete(&format!("/api/chats/{team}")).await.status, 204);
    await_notifications(&server, &alice).await;
    for person in &people {
        assert_eq!(person.get("/api/notifications").await.body["items"], json!([]), "{}", person.name);
    }
    server.stop().await;
}

/// Regression: notifications of a deleted chat pointed to nothing.
#[actix_web::test]
async fn deleting_a_chat_removes_its_notifications_in_slices() {
    let server = server_with_small_slices().await;
    let (alice, people, team) = team_of(&server, 5).await;
    let other = alice.group(&people.iter().collect::<Vec<_>>()).await;
    for content in ["@all", "@p1 and @p2", "@all: some of these are not written yet"] {
        assert_eq!(alice.say(team, content).await.status, 201);
    }
    assert_eq!(alice.delete(&format!("/api/chats/{team}")).await.status, 204);
    await_notifications(&server, &alice).await;
    let left = async |person: &Person| {
        let items = person.get("/api/notifications").await.body["items"].clone();
        items.as_array().unwrap().iter().map(|item| item["chat_id"].clone()).collect::<Vec<_>>()
    };
    for person in &people {
        assert_eq!(left(person).await, [json!(other)], "{}", person.name);
    }
    let server = server.restart(|_| ()).await;
    let p1 = server.login("p1").await;
    assert_eq!(left(&p1).await, [json!(other)]);
    let mut db = database::reader(server.path());
    let sql = format!("SELECT count(*) AS value FROM notifications WHERE chat_id = {team}");
    assert_eq!(db.integer(&sql), 0);
    server.stop().await;
}

/// Regression: `@all` had no rate of its own, so 400 packets of one user wrote 80,000 rows.
#[actix_web::test]
async fn mention_of_all_above_the_rate_is_marked_unnotified() {
    let server = TestServer::with_limits(|limits| {
        limits.everybody_mentions_burst = 1;
        limits.everybody_mentions_per_hour = 1;
    })
    .await;
    let (alice, people, team) = team_of(&server, 2).await;
    let first = alice.say(team, "@all one").await;
    assert_eq!((first.status, first.body.get("unnotified")), (201, None));
    let over = alice.say(team, "@all two").await;
    assert_eq!(
        (over.status, &over.body["unnotified"], &over.body["content"]),
        (201, &json!(true), &json!("@all two"))
    );
    let mut session = alice.tcp().await;
    let ack = soon(session.say(team, "@all three, @p1")).await.unwrap();
    assert!(ack.success && ack.unnotified, "{ack:?}");
    let plain = soon(session.say(team, "plain")).await.unwrap();
    assert!(plain.success && !plain.unnotified);
    assert_eq!(take_notifications(&people[0]).await.len(), 1);
    assert_eq!(take_notifications(&people[1]).await.len(), 2, "a name next to it still counts");
    assert_eq!(people[0].contents(team).await.len(), 4, "the messages are stored");
    // Another user has a separate rate.
    assert_eq!(people[0].say(team, "@all").await.body.get("unnotified"), None);
    server.stop().await;
}

#[actix_web::test]
async fn message_is_unnotified_when_sender_has_pending_fan_outs() {
    let server = TestServer::with_limits(|limits| {
        limits.notifications_per_message = 1;
        limits.notifying_messages_per_user = 0;
    })
    .await;
    let (alice, people, team) = team_of(&server, 3).await;
    let posted = alice.say(team, "@p0 @p1 @p2").await;
    assert_eq!((posted.status, &posted.body["unnotified"]), (201, &json!(true)));
    assert_eq!(alice.say(team, "@p1").await.body.get("unnotified"), None);
    assert_eq!(
        (take_notifications(&people[0]).await.len(), take_notifications(&people[1]).await.len()),
        (0, 1)
    );
    server.stop().await;
}

fn mark(chat: ChatId, read_seq: i64) -> MessagePacket {
    MessagePacket {
        packet_type: "Mark".into(),
        chat_id: Some(chat),
        read_seq: Some(u64::try_from(read_seq).unwrap()),
        request_id: Some(1),
        ..MessagePacket::default()
    }
}

/// Returns the next `NotificationsRead` of a session.
async fn read_elsewhere(session: &mut netbit::client::TcpClient) -> ReceivedPacket {
    loop {
        let packet = soon(session.any()).await.unwrap();
        if packet.packet_type == "NotificationsRead" {
            return packet;
        }
    }
}

async fn unread(person: &Person) -> Vec<Value> {
    person.get("/api/notifications?unread=true").await.body["items"].as_array().unwrap().clone()
}

/// Regression: a chat was read, but its notifications stayed unread. Reading them on one device was
/// not pushed to the others.
#[actix_web::test]
async fn reading_a_chat_reads_its_notifications_on_all_devices() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let team = alice.group(&[&bob]).await;
    let (mut phone, mut desk) = (bob.tcp().await, bob.tcp().await);
    let first = alice.say(team, "@bob").await.body;
    let second = alice.say(team, "@bob again").await.body;
    let (first, second) = (first["seq"].as_i64().unwrap(), second["seq"].as_i64().unwrap());
    assert_eq!(unread(&bob).await[0]["seq"], second);

    assert!(soon(phone.request(mark(team, first))).await.unwrap().success);
    let packet = read_elsewhere(&mut desk).await;
    assert_eq!((packet.chat_id, packet.seq, packet.notification_id), (Some(team), Some(first), None));
    assert!(packet.read_at.is_some());
    let left = unread(&bob).await;
    assert_eq!((left.len(), &left[0]["seq"]), (1, &json!(second)), "being added was read with it");

    let id = left[0]["id"].as_i64().unwrap();
    bob.post(&format!("/api/notifications/{id}/read"), json!({})).await;
    let packet = read_elsewhere(&mut desk).await;
    assert_eq!((packet.notification_id.map(|id| id.0), packet.chat_id), (Some(id), None));
    alice.say(team, "@bob, more").await;
    bob.post("/api/notifications/read", json!({})).await;
    let packet = read_elsewhere(&mut desk).await;
    assert_eq!((packet.notification_id, packet.chat_id, packet.seq), (None, None, None));
    // The second request changes nothing, so nothing is pushed. The next such packet belongs to the
    // next mark.
    bob.post("/api/notifications/read", json!({})).await;
    let last = alice.say(team, "@bob, last").await.body["seq"].as_i64().unwrap();
    assert_eq!(bob.post(&format!("/api/chats/{team}/read"), json!({})).await.status, 200);
    assert_eq!(read_elsewhere(&mut desk).await.seq, Some(last));
    assert_eq!(unread(&bob).await, Vec::<Value>::new());
    server.stop().await;
}

/// Regression: 400 read notifications of direct messages evicted one unread mention.
#[actix_web::test]
async fn unread_mention_is_evicted_last() {
    let server = TestServer::with_limits(|limits| limits.notifications_per_user = 8).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let team = alice.group(&[&bob]).await;
    take_notifications(&bob).await;
    alice.say(team, "@bob, this matters").await;
    let made = json!({"kind": "direct", "participants": ["bob"]});
    let direct = ChatId(alice.post("/api/chats", made).await.body["id"].as_i64().unwrap());
    for n in 0..30 {
        alice.say(direct, &format!("message {n}")).await;
        if n % 3 > 0 {
            assert_eq!(bob.post(&format!("/api/chats/{direct}/read"), json!({})).await.status, 200);
        }
    }
    // Unread notifications of another kind are evicted before it, too.
    for n in 0..30 {
        alice.say(direct, &format!("unread {n}")).await;
    }
    let server = server.restart(|config| config.limits.notifications_per_user = 8).await;
    let bob = server.login("bob").await;
    let kinds: Vec<_> = unread(&bob).await.iter().map(|notification| notification["kind"].clone()).collect();
    assert!((8..=9).contains(&kinds.len()), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&json!("mention")));
    server.stop().await;
}

/// Regression: notifications that could not be written were retried without end, and those of more
/// and more other messages were skipped.
#[actix_web::test]
async fn failing_notifications_end_and_delay_no_others() {
    let server = TestServer::with_limits(|limits| {
        limits.notifications_per_message = 1;
        limits.notifications_per_command = 2;
        limits.notifications_attempts = 2;
    })
    .await;
    let (alice, people, team) = team_of(&server, 5).await;
    // Notifications of messages by p0 fail. So does a row that a later version of NetBit wrote.
    let mut db = database::writer(server.path());
    let fails = if postgres::is_used() {
        "CREATE FUNCTION p0_fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.actor_id = (SELECT id FROM users WHERE username = 'p0') THEN
                INSERT INTO meta (key, value) VALUES ('none', NULL);
            END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER p0_fails BEFORE INSERT ON notifications
            FOR EACH ROW EXECUTE FUNCTION p0_fails()"
    } else {
        "CREATE TRIGGER p0_fails BEFORE INSERT ON notifications
            WHEN NEW.actor_id = (SELECT id FROM users WHERE username = 'p0')
            BEGIN INSERT INTO meta (key, value) VALUES ('none', NULL); END"
    };
    db.batch_execute(fails);
    let unreadable =
        format!("INSERT INTO fan_outs (kind, chat_id, seq, names) VALUES ('named', {team}, 1, 'not JSON')");
    db.execute(&unreadable);
    assert_eq!(people[0].say(team, "@all").await.status, 201);
    for n in 0..4 {
        assert_eq!(alice.say(team, &format!("{n}: @all")).await.status, 201);
    }
    await_notifications(&server, &alice).await;
    for person in &people {
        assert_eq!(take_notifications(person).await.len(), 4, "{}", person.name);
    }
    server.stop().await;
}
