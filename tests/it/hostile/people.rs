//! Users as targets: strangers put them into chats, and unwanted users contact them.

use futures_util::{SinkExt, StreamExt};
use netbit::domain::ids::ChatId;
use netbit::protocol::packet::MessagePacket;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer, assert_problem, soon};

/// Returns the number of chats that a user is in.
async fn chats_of(person: &Person) -> usize {
    let (mut count, mut path) = (0, "/api/chats?limit=100".to_owned());
    loop {
        let page = person.get(&path).await.body;
        count += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => path = format!("/api/chats?limit=100&cursor={next}"),
            None => return count,
        }
    }
}

fn group(name: &str, participants: &[&str]) -> Value {
    json!({"kind": "group", "name": name, "participants": participants})
}

async fn make(person: &Person, body: Value) -> ChatId {
    let made = person.post("/api/chats", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    ChatId(made.body["id"].as_i64().unwrap())
}

async fn add(person: &Person, chat: ChatId, other: &str, role: Value) -> u16 {
    person.put(&format!("/api/chats/{chat}/participants/{other}"), role).await.status
}

/// Regression: fresh accounts put a victim into 3,030 chats in two seconds. The accounts try in
/// sequence and in every way, also with accounts that first make each other acquainted with the
/// victim.
#[actix_web::test]
async fn fresh_accounts_do_not_flood_a_victim_with_chats() {
    let server = TestServer::with_limits(|limits| {
        (limits.added_by_strangers_burst, limits.added_burst) = (6, 10);
        limits.strangers_added_burst = 50;
    })
    .await;
    let (admin, victim) = (server.admin("alice").await, server.user("victim").await);
    let mut refused = 0;
    let mut note = |status: u16| refused += usize::from(status == 429);
    for n in 0..3 {
        let (name, ally) = (format!("mallory{n}"), format!("ally{n}"));
        let (mallory, ally) = (server.user(&name).await, server.user(&ally).await);
        note(mallory.post("/api/chats", json!({"kind": "direct", "participants": ["victim"]})).await.status);
        let both = mallory.post("/api/chats", group("both", &["victim", &ally.name])).await;
        note(both.status);
        for m in 0..8 {
            // Users who share a group with the ally are not strangers to the ally.
            note(ally.post("/api/chats", group(&format!("a{m}"), &["victim"])).await.status);
            let channel = json!({"kind": "channel", "name": format!("{n}-{m}"), "participants": ["victim"]});
            note(mallory.post("/api/chats", channel).await.status);
            let empty = make(&mallory, group("empty", &[])).await;
            note(add(&mallory, empty, "victim", json!({})).await);
            let project = format!("p{m}");
            mallory.project(&project, "private").await;
            let member = format!("/api/projects/{name}/{project}/members/victim");
            note(mallory.put(&member, json!({"role": "reader"})).await.status);
        }
    }
    assert!(chats_of(&victim).await <= 10, "{}", chats_of(&victim).await);
    assert!(refused > 80, "{refused}");
    let told = server.user("mallory").await.post("/api/chats", group("x", &["victim"])).await;
    assert_problem(&told, 429, "rate_limited");
    assert!(told.header("retry-after").is_some());
    // The limits do not apply to administrators.
    let before = chats_of(&victim).await;
    for n in 0..5 {
        make(&admin, group(&format!("real {n}"), &["victim"])).await;
    }
    assert_eq!(chats_of(&victim).await, before + 5);
    server.stop().await;
}

/// A team lead creates all groups. A user who has answered in one of them is no longer a stranger
/// to the lead.
#[actix_web::test]
async fn user_who_has_answered_can_be_added_without_limit() {
    let server = TestServer::with_limits(|limits| limits.added_by_strangers_burst = 2).await;
    let (lead, bob) = (server.user("lead").await, server.user("bob").await);
    let first = make(&lead, group("first", &["bob"])).await;
    make(&lead, group("second", &["bob"])).await;
    let refused = lead.post("/api/chats", group("third", &["bob"])).await;
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.body["detail"].as_str().unwrap().contains("share no chat"), "{}", refused.body);
    bob.http.post_message(first, "hello").await.unwrap();
    make(&lead, group("third", &["bob"])).await;
    make(&lead, group("fourth", &["bob"])).await;
    server.stop().await;
}

/// Regression: one account wrote to all users. A refused try does not use up the victim's budget
/// for others.
#[actix_web::test]
async fn account_reaches_a_limited_number_of_strangers() {
    let server = TestServer::with_limits(|limits| {
        (limits.strangers_added_burst, limits.added_by_strangers_burst) = (3, 2);
    })
    .await;
    server.user("alice").await;
    let (mallory, carol) = (server.user("mallory").await, server.user("carol").await);
    let (team, _dora) = (make(&carol, group("carols", &[])).await, server.user("dora").await);
    let mut reached = 0;
    for n in 0..6 {
        let name = format!("stranger{n}");
        server.user(&name).await;
        let direct = json!({"kind": "direct", "participants": [name]});
        reached += usize::from(mallory.post("/api/chats", direct).await.status == 201);
    }
    assert_eq!(reached, 3);
    // Mallory may not add users to carol's group: the tries do not use up dora's budget.
    for _ in 0..5 {
        assert_eq!(add(&mallory, team, "dora", json!({})).await, 404);
    }
    assert_eq!(add(&carol, team, "dora", json!({})).await, 201);
    server.stop().await;
}

/// The limits are for strangers. They do not affect users who know each other, nor owners of
/// projects.
#[actix_web::test]
async fn members_of_a_team_add_each_other_without_limit() {
    let server = TestServer::with_limits(|limits| {
        (limits.strangers_added_burst, limits.added_by_strangers_burst) = (1, 1);
    })
    .await;
    let lead = server.admin("lead").await;
    let (bob, carol) = (server.user("bob").await, server.user("carol").await);
    lead.group(&[&bob, &carol]).await;
    for n in 0..10 {
        make(&bob, group(&format!("{n}"), &["carol"])).await;
    }
    bob.project("site", "private").await;
    for n in 0..5 {
        let name = format!("writer{n}");
        server.user(&name).await;
        bob.member("site", &name, "writer").await;
    }
    server.stop().await;
}

/// Bob has blocked mallory. Each of mallory's requests gets the same answer as for a user who does
/// not exist, even when the request has another error.
#[actix_web::test]
async fn blocked_user_gets_the_answers_for_an_unknown_user() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mallory = server.user("mallory").await;
    let (hers, own) = (alice.group(&[]).await, make(&mallory, group("own", &[])).await);
    make(&alice, json!({"kind": "channel", "name": "taken", "participants": []})).await;
    mallory.project("site", "private").await;
    assert_eq!(bob.put("/api/users/me/blocks/mallory", json!({})).await.status, 204);
    assert_eq!(
        bob.put("/api/users/me/blocks/mallory", json!({})).await.status,
        204,
        "a repeated block succeeds"
    );
    let tries = async |name: &str| {
        let mut answers = Vec::new();
        for body in [
            json!({"kind": "direct", "participants": [name]}),
            json!({"kind": "direct", "participants": [name, "alice"]}),
            group("x", &[name]),
            group("x", &["alice", name]),
            json!({"kind": "channel", "name": "taken", "participants": [name]}),
            json!({"kind": "channel", "name": "free", "participants": [name]}),
        ] {
            answers.push(mallory.post("/api/chats", body).await);
        }
        for chat in [own, hers, ChatId(9_999)] {
            for role in [json!({}), json!({"role": "owner"}), json!({"role": "reader"})] {
                answers.push(mallory.put(&format!("/api/chats/{chat}/participants/{name}"), role).await);
            }
        }
        let member = format!("/api/projects/mallory/site/members/{name}");
        answers.push(mallory.put(&member, json!({"role": "reader"})).await);
        answers.push(mallory.delete(&member).await);
        let shown = |mut answer: netbit::client::HttpAnswer| {
            answer.body["request_id"] = json!(null);
            (answer.status, answer.body)
        };
        answers.into_iter().map(shown).collect::<Vec<_>>()
    };
    let (blocked, unknown) = (tries("bob").await, tries("nosuch").await);
    assert_eq!(blocked, unknown);
    assert!(blocked.iter().all(|(status, _)| [404, 422].contains(status)));
    assert_eq!(chats_of(&bob).await, 0);
    // The block does not restrict bob, and the chats that both are in stay.
    let direct = make(&bob, json!({"kind": "direct", "participants": ["mallory"]})).await;
    let again = mallory.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
    assert_eq!((again.status, again.body["id"].as_i64()), (200, Some(direct.0)));
    assert_eq!(bob.delete("/api/users/me/blocks/mallory").await.status, 204);
    assert_eq!(add(&mallory, own, "bob", json!({})).await, 201);
    server.stop().await;
}

async fn unread(person: &Person) -> usize {
    let list = person.get("/api/notifications?unread=true&limit=100").await.body;
    list["items"].as_array().unwrap().len()
}

/// In shared chats a blocked user's messages arrive but create no notification: not for a mention,
/// a reply, a direct message or a push. Others are notified as before.
#[actix_web::test]
async fn blocked_user_creates_no_notifications_in_shared_chats() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mallory = server.user("mallory").await;
    let team = alice.group(&[&bob, &mallory]).await;
    let direct = make(&mallory, json!({"kind": "direct", "participants": ["bob"]})).await;
    let path = mallory.hello_web("private").await;
    mallory.member("hello", "bob", "reader").await;
    let asked = bob.say(team, "what is new?").await.body["id"].clone();
    assert_eq!(bob.post("/api/notifications/read", json!({})).await.status, 204);
    assert_eq!(bob.put("/api/users/me/blocks/mallory", json!({})).await.status, 204);
    // A restart keeps every block.
    let server = server.restart(|_| {}).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    let mallory = server.login("mallory").await;
    mallory.say(team, "look, @bob").await;
    mallory.say(team, "look, @all").await;
    let reply = json!({"content": "nothing, @bob", "reply_to": asked});
    assert_eq!(mallory.post(&format!("/api/chats/{team}/messages"), reply).await.status, 201);
    mallory.say(direct, "hello?").await;
    let react = format!("/api/chats/{team}/messages/{asked}/reactions/%2B1");
    assert_eq!(mallory.put(&react, json!({})).await.status, 204);
    let mut session = mallory.tcp().await;
    assert!(soon(session.say(direct, "over TCP, @bob")).await.unwrap().success);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.commit("work", "a.txt", "a", "for @bob").await;
    let url = server.url_as("mallory", &path);
    assert!(workdir.git("work", &["push", &url, "main"]).await.success);
    assert_eq!(unread(&bob).await, 0);
    assert_eq!(bob.contents(team).await, ["what is new?", "look, @bob", "look, @all", "nothing, @bob"]);
    assert_eq!(bob.contents(direct).await, ["hello?", "over TCP, @bob"]);
    assert!(unread(&alice).await > 0, "alice has no blocks");
    alice.say(team, "@bob, are you there?").await;
    assert_eq!(unread(&bob).await, 1);
    server.stop().await;
}

/// Blocks over REST, TCP and WebSocket are the same blocks. Their number is limited, and their list
/// is paged.
#[actix_web::test]
async fn blocks_work_over_every_transport_and_are_limited() {
    let server = TestServer::with_limits(|limits| limits.blocks_per_user = 3).await;
    let bob = server.user("bob").await;
    for name in ["m1", "m2", "m3", "m4"] {
        server.user(name).await;
    }
    let mut session = bob.tcp().await;
    let packet = |username: Option<&str>, remove| MessagePacket {
        packet_type: "Block".into(),
        username: username.map(str::to_owned),
        remove,
        ..MessagePacket::default()
    };
    assert!(soon(session.request(packet(Some("m1"), None))).await.unwrap().success);
    for (wrong, code) in [(Some("nosuch"), "not_found"), (Some("bob"), "bad_request"), (None, "bad_request")]
    {
        let answer = soon(session.ask(packet(wrong, None))).await.unwrap();
        assert_eq!((answer.success, answer.code.as_deref()), (false, Some(code)), "{wrong:?}");
    }
    let url = format!("ws://{}/ws", server.app.addresses.http);
    let mut socket = soon(connect_async(url)).await.unwrap().0;
    let mut ask = async |packet: Value| {
        socket.send(Message::text(packet.to_string())).await.unwrap();
        loop {
            let Message::Text(text) = soon(socket.next()).await.unwrap().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["request_id"] == packet["request_id"] {
                return answer;
            }
        }
    };
    ask(json!({"packet_type": "Hello", "request_id": 1, "token": bob.http.token().unwrap()})).await;
    let answer = ask(json!({"packet_type": "Block", "request_id": 2, "username": "m2"})).await;
    assert_eq!(answer["success"], json!(true));
    assert_eq!(bob.put("/api/users/me/blocks/m3", json!({})).await.status, 204);
    assert_problem(&bob.put("/api/users/me/blocks/m4", json!({})).await, 409, "conflict");
    assert_problem(&bob.put("/api/users/me/blocks/bob", json!({})).await, 422, "validation");
    assert_problem(&bob.put("/api/users/me/blocks/nosuch", json!({})).await, 404, "not_found");
    let anonymous = server.http.get("/api/users/me/blocks").await.unwrap();
    assert_problem(&anonymous, 401, "unauthenticated");
    let names = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|u| u["username"].as_str().unwrap().to_owned()).collect()
    };
    let first = bob.get("/api/users/me/blocks?limit=2").await.body;
    assert_eq!(names(&first), ["m1", "m2"]);
    let cursor = first["next"].as_str().unwrap();
    let rest = bob.get(&format!("/api/users/me/blocks?limit=2&cursor={cursor}")).await.body;
    assert_eq!((names(&rest), rest.get("next")), (vec!["m3".to_owned()], None));
    assert!(soon(session.request(packet(Some("m1"), Some(true)))).await.unwrap().success);
    assert_eq!(bob.put("/api/users/me/blocks/m4", json!({})).await.status, 204);
    server.stop().await;
}

/// Mallory has put bob into many chats, has made bob the last owner of some, and bob's own rate is
/// used up. One request leaves all of these chats, and no others.
#[actix_web::test]
async fn victim_leaves_all_chats_of_one_adder_at_once() {
    let server = TestServer::with_limits(|limits| {
        (limits.left_per_command, limits.changes_burst, limits.changes_per_second) = (2, 60, 1);
    })
    .await;
    let mallory = server.user("mallory").await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let kept = alice.group(&[&bob]).await;
    for n in 0..5 {
        make(&mallory, group(&format!("g{n}"), &["bob"])).await;
        make(&mallory, json!({"kind": "channel", "name": format!("c{n}"), "participants": ["bob"]})).await;
    }
    mallory.project("site", "private").await;
    mallory.member("site", "bob", "owner").await;
    let direct = make(&mallory, json!({"kind": "direct", "participants": ["bob"]})).await;
    // Bob would be the only owner of this chat, and a last owner cannot leave.
    let trap = make(&mallory, group("trap", &["alice", "bob"])).await;
    assert_eq!(add(&mallory, trap, "bob", json!({"role": "owner"})).await, 204);
    assert_eq!(mallory.delete(&format!("/api/chats/{trap}/participants/mallory")).await.status, 204);
    let alone = make(&mallory, group("alone", &["bob"])).await;
    assert_eq!(add(&mallory, alone, "bob", json!({"role": "owner"})).await, 204);
    assert_eq!(mallory.delete(&format!("/api/chats/{alone}/participants/mallory")).await.status, 204);
    while make_or_refused(&bob).await {}
    let own = chats_of(&bob).await - (5 + 5 + 1 + 1 + 1 + 1 + 1);
    // Leaving a single chat is not rate limited either.
    assert_eq!(bob.delete(&format!("/api/chats/{alone}/participants/bob")).await.status, 204);
    let left = bob.post("/api/chats/leave", json!({"added_by": "mallory"})).await;
    assert_eq!((left.status, &left.body), (200, &json!({"left": 12, "more": false})));
    assert_eq!(chats_of(&bob).await, own + 2, "bob's own, alice's, and the direct chat");
    for chat in [kept, direct] {
        assert_eq!(bob.get(&format!("/api/chats/{chat}")).await.status, 200);
    }
    let heirs = alice.get(&format!("/api/chats/{trap}")).await.body["participants"].clone();
    assert_eq!((&heirs[0]["username"], &heirs[0]["role"]), (&json!("alice"), &json!("owner")));
    let site = mallory.get("/api/projects/mallory/site/members").await.body;
    assert_eq!(site["items"].as_array().unwrap().len(), 1);
    // The same by packet, when there is nothing more to leave.
    let mut session = bob.tcp().await;
    let leave = |username: &str| MessagePacket {
        packet_type: "LeaveChats".into(),
        username: Some(username.into()),
        ..MessagePacket::default()
    };
    let answer = soon(session.request(leave("mallory"))).await.unwrap();
    assert_eq!((answer.success, answer.left, answer.more), (true, Some(0), Some(false)));
    let answer = soon(session.request(leave("alice"))).await.unwrap();
    assert_eq!((answer.left, answer.more), (Some(1), Some(false)));
    assert_problem(&bob.post("/api/chats/leave", json!({"added_by": "nosuch"})).await, 404, "not_found");
    server.stop().await;
}

/// Creates a chat; returns `false` when the rate of changes is used up.
async fn make_or_refused(person: &Person) -> bool {
    match person.post("/api/chats", group("own", &[])).await.status {
        201 => true,
        429 => false,
        other => panic!("{other}"),
    }
}
