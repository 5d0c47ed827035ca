//! The search for messages and users.

use netbit::actors::search::IndexComparison;
use netbit::domain::ids::ChatId;
use netbit::protocol::packet::MessagePacket;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Person, Process, TestServer, assert_problem, database, eventually, postgres, soon, until,
};

/// Returns the path of a search.
fn path(query: &str, rest: &str) -> String {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/search?q={encoded}{rest}")
}

async fn search(person: &Person, query: &str) -> Value {
    let found = person.get(&path(query, "&limit=100")).await;
    assert_eq!(found.status, 200, "{query}: {}", found.body);
    found.body
}

/// Returns the excerpts of the messages found, the newest first.
async fn excerpts(person: &Person, query: &str) -> Vec<String> {
    let found = search(person, query).await;
    let hits = found["messages"]["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["excerpt"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a search finds exactly these messages.
#[track_caller]
fn finds(person: &Person, query: &str, expected: &[&str]) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let mut last = Vec::new();
        let found = until(async || {
            last = excerpts(person, query).await;
            last == expected
        });
        if tokio::time::timeout(std::time::Duration::from_secs(25), found).await.is_err() {
            panic!("{caller}: {query} finds {last:?} and not {expected:?}");
        }
    }
}

async fn posted(person: &Person, chat: ChatId, content: &str) -> i64 {
    let said = person.say(chat, content).await;
    assert_eq!(said.status, 201, "{}", said.body);
    said.body["id"].as_i64().unwrap()
}

/// Starts a server without rate limits: these tests poll.
async fn server() -> TestServer {
    TestServer::with_limits(|limits| (limits.rates, limits.search_delay_ms) = (false, 1)).await
}

#[actix_web::test]
async fn message_is_found_by_its_words_and_shown_with_its_place() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let id = posted(&alice, chat, "set `sess.opts` for 東京 👍").await;
    posted(&bob, chat, "an answer without it").await;
    for query in [
        "sess",
        "opts",
        "sess.op",
        "東京",
        "京",
        "👍",
        "SESS from:alice",
        "\"sess opts\" in:team",
        "has:code",
    ] {
        finds(&bob, query, &["set `sess.opts` for 東京 👍"]).await;
    }
    let found = search(&bob, "opts 東京").await;
    let hit = &found["messages"]["hits"][0];
    assert_eq!(hit["chat"], json!({"id": chat.0, "kind": "group", "name": "team"}));
    assert_eq!(
        (&hit["message_id"], &hit["sender"], &hit["sender_id"]),
        (&json!(id), &json!("alice"), &json!(alice.id.0))
    );
    assert_eq!(hit["highlights"], json!([[10, 14], [20, 22]]));
    assert!(hit["created_at"].as_str().unwrap().ends_with('Z') && hit["seq"].is_i64());
    assert!(found["took_ms"].is_u64() && found.get("incomplete").is_none(), "{found}");
    assert!(found["messages"].get("next").is_none());

    let asked = MessagePacket {
        packet_type: "Search".into(),
        q: Some("opts".into()),
        groups: Some("messages".into()),
        ..MessagePacket::default()
    };
    let mut session = bob.tcp().await;
    let answer = soon(session.ask(asked)).await.unwrap();
    assert_eq!(answer.packet_type, "Found");
    let results = answer.results.unwrap();
    assert_eq!(results.messages.unwrap().hits[0].message_id.0, id);
    assert_eq!(results.people, None, "not requested");
    let nothing = MessagePacket { packet_type: "Search".into(), ..MessagePacket::default() };
    let refused = soon(session.ask(nothing)).await.unwrap();
    assert_eq!(refused.code.as_deref(), Some("bad_request"));
    server.stop().await;
}

#[actix_web::test]
async fn changed_message_is_found_as_it_is_now() {
    let server = server().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (first, second) =
        (posted(&alice, chat, "apples").await, posted(&alice, chat, "apples and pears").await);
    finds(&alice, "apples", &["apples and pears", "apples"]).await;
    let path = |id: i64| format!("/api/chats/{chat}/messages/{id}");
    assert_eq!(alice.patch(&path(first), json!({"content": "oranges"})).await.status, 200);
    // The index may still have the earlier text. It is never shown.
    assert_eq!(excerpts(&alice, "apples").await, ["apples and pears"]);
    finds(&alice, "oranges", &["oranges"]).await;
    assert_eq!(alice.put(&format!("{}/pin", path(second)), json!({})).await.status, 204);
    finds(&alice, "is:pinned", &["apples and pears"]).await;
    assert_eq!(alice.delete(&format!("{}/pin", path(second))).await.status, 204);
    assert_eq!(excerpts(&alice, "is:pinned").await, [""; 0]);
    assert_eq!(alice.delete(&path(second)).await.status, 204);
    assert_eq!(excerpts(&alice, "apples").await, [""; 0]);
    assert_eq!(alice.delete(&format!("/api/chats/{chat}")).await.status, 204);
    assert_eq!(excerpts(&alice, "oranges").await, [""; 0]);
    server.stop().await;
}

#[actix_web::test]
async fn search_covers_exactly_the_chats_that_the_caller_reads() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let eve = server.user("eve").await;
    let (team, alone) = (alice.group(&[&bob]).await, bob.group(&[]).await);
    let channel = alice.http.create_chat(&json!({"kind": "channel", "name": "open"})).await.unwrap();
    posted(&alice, team, "secret one").await;
    posted(&bob, alone, "secret two").await;
    posted(&alice, channel, "secret three").await;
    alice.project("public", "public").await;
    alice.project("private", "private").await;
    for project in ["public", "private"] {
        let view = alice.get(&format!("/api/projects/alice/{project}")).await.body;
        posted(&alice, ChatId(view["channel_id"].as_i64().unwrap()), &format!("secret {project}")).await;
    }
    finds(&alice, "secret ", &["secret private", "secret public", "secret three", "secret one"]).await;
    finds(&bob, "secret ", &["secret public", "secret two", "secret one"]).await;
    finds(&eve, "secret ", &["secret public"]).await;
    for query in [format!("secret in:!{team}"), "secret in:team".to_owned(), "secret in:@alice".to_owned()] {
        assert_eq!(excerpts(&eve, &query).await, [""; 0], "{query}");
    }
    // A user who leaves finds nothing from that moment on. A user who joins finds older messages.
    assert_eq!(alice.delete(&format!("/api/chats/{team}/participants/bob")).await.status, 204);
    assert_eq!(excerpts(&bob, "secret ").await, ["secret public", "secret two"]);
    assert_eq!(eve.put(&format!("/api/chats/{channel}/participants/eve"), json!({})).await.status / 100, 2);
    assert_eq!(excerpts(&eve, "secret ").await, ["secret public", "secret three"]);
    let hidden = alice.patch("/api/projects/alice/public", json!({"visibility": "private"})).await;
    assert_eq!(hidden.status, 200);
    assert_eq!(excerpts(&eve, "secret ").await, ["secret three"]);

    let (_, token) = alice.access_token(json!({"name": "t", "scopes": ["chat:read"]})).await;
    assert_eq!(token.get(&path("secret", "")).await.unwrap().status, 200);
    let (_, token) = alice.access_token(json!({"name": "u", "scopes": ["repo:read"]})).await;
    assert_problem(&token.get(&path("secret", "")).await.unwrap(), 403, "forbidden");
    assert_problem(&server.http.get(&path("secret", "")).await.unwrap(), 401, "unauthenticated");
    server.stop().await;
}

#[actix_web::test]
async fn pages_of_a_search_are_complete_and_disjoint() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms, limits.search_batch) = (false, 1, 7);
        (limits.search_checked, limits.search_rows, limits.search_checked_bytes) = (30, 10, 100);
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    // More chats than a condition of the index names.
    let mut chats = Vec::new();
    for _ in 0..70 {
        chats.push(alice.group(&[]).await);
    }
    let foreign = bob.group(&[]).await;
    let (mut phrases, mut words) = (Vec::new(), Vec::new());
    for n in 0..140 {
        posted(&bob, foreign, "word of bob").await;
        let text = if n % 5 == 0 { "a phrase: word" } else { "a word and a phrase" };
        let id = posted(&alice, chats[n % chats.len()], text).await;
        words.push(id);
        phrases.extend((n % 5 == 0).then_some(id));
    }
    phrases.reverse();
    words.reverse();
    until(async || server.operations("/metrics").await.1.contains("netbit_search_behind_events 0\n")).await;
    let mut cursors = Vec::new();
    for (query, expected) in [
        ("\"phrase word\"", &phrases),
        ("\"phrase word\" from:me", &phrases),
        ("\"phrase word\" in:team", &phrases),
        ("word ", &words),
    ] {
        let (mut found, mut next, mut incomplete) = (Vec::new(), None::<String>, 0);
        loop {
            let cursor = next.as_ref().map_or_else(String::new, |next| format!("&cursor={next}"));
            let page = alice.get(&path(query, &format!("&in=messages&limit=8{cursor}"))).await.body;
            let hits = page["messages"]["hits"].as_array().unwrap();
            assert!(hits.len() <= 8 && page.get("people").is_none());
            found.extend(hits.iter().map(|hit| hit["message_id"].as_i64().unwrap()));
            incomplete += usize::from(page["incomplete"] == json!(["messages"]));
            match page["messages"]["next"].as_str() {
                Some(cursor) => {
                    cursors.push((query, cursor.to_owned()));
                    next = Some(cursor.to_owned());
                }
                None => break,
            }
        }
        assert_eq!(&found, expected, "{query}");
        assert!(incomplete > 0, "a limit was reached: {query}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn filters_of_senders_chats_and_times_select_messages() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let direct = alice.http.create_chat(&json!({"kind": "direct", "participants": ["bob"]})).await.unwrap();
    let ops = json!({"kind": "channel", "name": "Ops Émile", "participants": ["bob"]});
    let ops = alice.http.create_chat(&ops).await.unwrap();
    posted(&alice, direct, "plan a").await;
    posted(&bob, direct, "plan b").await;
    posted(&bob, ops, "plan c with https://netbit.example/x").await;
    finds(&alice, "plan", &["plan c with https://netbit.example/x", "plan b", "plan a"]).await;
    for (query, expected) in [
        ("plan from:bob", vec!["plan c with https://netbit.example/x", "plan b"]),
        ("from:@bob from:alice in:@bob", vec!["plan b", "plan a"]),
        ("from:me", vec!["plan a"]),
        ("plan in:\"ops émile\"", vec!["plan c with https://netbit.example/x"]),
        ("in:bob -b", vec!["plan a"]),
        ("has:link", vec!["plan c with https://netbit.example/x"]),
        ("plan from:mallory", vec![]),
        ("plan in:#nowhere", vec![]),
        ("plan before:2001-01-01", vec![]),
        ("plan after:2001-01-01 -c", vec!["plan b", "plan a"]),
    ] {
        assert_eq!(excerpts(&alice, query).await, expected, "{query}");
    }
    drop((alice, bob));
    // The messages of each second, in the order of their ids.
    let directory = server.stop_and_keep().await;
    let mut db = database::writer(directory.path());
    db.execute("UPDATE messages SET created_at = 1795510800000 + 1000 * id");
    drop(db);
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    let all = excerpts(&alice, "plan").await;
    for (filter, expected) in [
        ("before:2026-11-24T09:00:02Z", vec!["plan a"]),
        ("after:2026-11-24T09:00:02Z", vec!["plan c with https://netbit.example/x", "plan b"]),
        ("after:2026-11-24T09:00:02Z before:2026-11-24T09:00:03Z", vec!["plan b"]),
        ("before:2026-11-24", vec![]),
        ("after:2026-11-24 before:2026-11-25", all.iter().map(String::as_str).collect()),
    ] {
        assert_eq!(excerpts(&alice, &format!("plan {filter}")).await, expected, "{filter}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn users_are_found_by_the_beginning_of_their_names() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bobby").await);
    let eve = server.user("bobeve").await;
    alice.group(&[&bob]).await;
    let names = async |person: &Person, query: &str| {
        let found = search(person, query).await;
        let hits = found["people"]["hits"].as_array().unwrap();
        hits.iter().map(|hit| hit["username"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&alice, "Bob").await, ["bobby"]);
    assert_eq!(names(&alice, "@bob").await, ["bobby"]);
    assert_eq!(names(&eve, "bobb").await, [""; 0], "a stranger");
    assert_eq!(names(&alice, "bob from:bobby").await, [""; 0], "not a name");
    let people = alice.get(&path("bob", "&in=people")).await.body;
    assert!(people.get("messages").is_none());
    for rest in ["&in=wiki", "&cursor=1", "&in=messages&cursor=x", "&limit=0", "&page=2"] {
        assert_problem(&alice.get(&path("bob", rest)).await, 400, "bad_request");
    }
    assert_problem(&alice.get("/api/search").await, 400, "bad_request");
    let invalid = alice.get(&path("from:", "")).await;
    assert_problem(&invalid, 422, "validation");
    assert_eq!(invalid.body["errors"][0]["field"], "q");
    server.stop().await;
}

/// Each stop compares the index with the database (`verify the search index`).
#[actix_web::test]
async fn damaged_or_foreign_index_is_built_again() {
    let server = server().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    posted(&alice, chat, "needle").await;
    finds(&alice, "needle", &["needle"]).await;
    drop(alice);
    let mut directory = server.stop_and_keep().await;
    let file = directory.path().join("search.db");
    let good = std::fs::read(&file).unwrap();
    let middle = [&good[..4096], &vec![0x5a; good.len() - 4096]].concat();
    for bytes in [Vec::new(), b"no database".repeat(1000), middle, good[..good.len() / 2].to_vec()] {
        std::fs::write(&file, &bytes).unwrap();
        let server = TestServer::on(directory).await;
        let alice = server.login("alice").await;
        finds(&alice, "needle", &["needle"]).await;
        drop(alice);
        directory = server.stop_and_keep().await;
    }
    std::fs::remove_file(&file).unwrap();
    let server = TestServer::on(directory).await;
    finds(&server.login("alice").await, "needle", &["needle"]).await;
    server.stop().await;
}

/// One row that cannot be read stopped the index of all chats.
#[actix_web::test]
async fn chat_with_an_unreadable_row_does_not_stop_the_others() {
    let server = server().await;
    let alice = server.user("alice").await;
    let chats = [alice.group(&[]).await, alice.group(&[]).await, alice.group(&[]).await];
    for chat in chats {
        posted(&alice, chat, &format!("needle in {chat}")).await;
        posted(&alice, chat, "the only message that the start reads").await;
    }
    drop(alice);
    let directory = server.stop_and_keep().await;
    std::fs::remove_file(directory.path().join("search.db")).unwrap();
    let first = database::reader(directory.path())
        .integer(&format!("SELECT min(seq) AS value FROM messages WHERE chat_id = {}", chats[1]));
    let set = |path: &std::path::Path, metadata: &str| {
        let sql = format!(
            "UPDATE messages SET metadata = {metadata} WHERE seq = {first} AND chat_id = {}",
            chats[1]
        );
        assert_eq!(database::writer(path).execute(&sql), 1);
    };
    set(directory.path(), "'not JSON'");
    let limits = netbit::core::limits::Limits { rates: false, search_retry_ms: 50, ..Default::default() };
    let mut config = crate::harness::config(directory.path(), limits);
    config.cache.window = 1;
    let server = TestServer::run(config, directory).await;
    let alice = server.login("alice").await;
    let others = [format!("needle in {}", chats[2]), format!("needle in {}", chats[0])];
    finds(&alice, "needle", &[&others[0], &others[1]]).await;
    let metric = "netbit_search_skipped_chats 1\n";
    until(async || server.operations("/metrics").await.1.contains(metric)).await;
    assert_eq!(search(&alice, "needle").await["incomplete"], json!(["messages"]));
    drop(alice);
    let directory = server.stop_and_keep().await;
    set(directory.path(), "NULL");
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    finds(&alice, "needle ", &[&others[0], &format!("needle in {}", chats[1]), &others[1]]).await;
    assert!(search(&alice, "needle").await.get("incomplete").is_none());
    server.stop().await;
}

/// Random changes by two users, with trims, restarts and kills. The index equals the database at
/// the end, and finds what the chats show.
#[actix_web::test]
async fn index_equals_database_after_random_changes_and_kills() {
    let seed = std::env::var("NETBIT_SEARCH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    println!("NETBIT_SEARCH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let environment = [("NETBIT_LIMITS__SEARCH_DELAY_MS", "5"), ("NETBIT_LIMITS__SEARCH_BATCH", "9")];
    let batches = [("NETBIT_LIMITS__SEARCH_BATCH_BYTES", "40"), ("NETBIT_LIMITS__SEARCH_RETRY_MS", "50")];
    let trims = [("NETBIT_LIMITS__TRIM_MS", "50"), ("NETBIT_LIMITS__TRIMMED_PER_COMMAND", "5")];
    let environment = [environment, batches, trims].concat();
    let words = ["alpha", "beta.gamma", "deltaEpsilon", "東京都", "👍", "zeta"];
    let mut chats: Vec<ChatId> = Vec::new();
    let mut messages: Vec<(ChatId, i64)> = Vec::new();
    for round in 0..4 {
        let mut server = Process::with(directory.path(), &environment).await;
        if round == 0 {
            server.http.register("alice", crate::harness::PASSWORD).await.unwrap();
        }
        let account = server.http.login("alice", crate::harness::PASSWORD).await.unwrap();
        let alice = server.http.with_token(account.token);
        while chats.len() < 4 {
            chats.push(alice.create_group("team", &[]).await.unwrap());
        }
        for _ in 0..120 {
            let send = async |method: Method, path: String, body: Value| {
                let body = (!body.is_null()).then_some(&body);
                alice.send(method, &path, body, &[]).await.unwrap()
            };
            let chat = *chats.choose(&mut random).unwrap();
            let text =
                format!("{} {}", words.choose(&mut random).unwrap(), words.choose(&mut random).unwrap());
            let old = messages.choose(&mut random).copied();
            let at = |(chat, id): (ChatId, i64)| format!("/api/chats/{chat}/messages/{id}");
            match (random.random_range(0..100), old) {
                (0..2, _) => {
                    let keep = json!({"retention": random.random_range(3..20)});
                    send(Method::PATCH, format!("/api/chats/{chat}"), keep).await;
                }
                (2..3, _) if chats.len() > 3 => {
                    send(Method::DELETE, format!("/api/chats/{chat}"), Value::Null).await;
                    chats.retain(|other| *other != chat);
                    messages.retain(|(other, _)| *other != chat);
                }
                (3..18, Some(old)) => drop(send(Method::PATCH, at(old), json!({"content": text})).await),
                (18..30, Some(old)) => drop(send(Method::DELETE, at(old), Value::Null).await),
                (30..40, Some(old)) => drop(send(Method::PUT, format!("{}/pin", at(old)), json!({})).await),
                (40..46, Some(old)) => {
                    drop(send(Method::DELETE, format!("{}/pin", at(old)), Value::Null).await)
                }
                (46..52, Some(old)) => {
                    let reply = json!({"content": text, "reply_to": old.1});
                    let said = send(Method::POST, format!("/api/chats/{}/messages", old.0), reply).await;
                    messages.extend(said.body["id"].as_i64().map(|id| (old.0, id)));
                }
                _ => {
                    let said =
                        send(Method::POST, format!("/api/chats/{chat}/messages"), json!({"content": text}))
                            .await;
                    messages.extend(said.body["id"].as_i64().map(|id| (chat, id)));
                }
            }
        }
        if round % 2 == 0 { server.kill() } else { server.stop().await }
    }
    let server = TestServer::run(
        crate::harness::config(
            directory.path(),
            netbit::core::limits::Limits { rates: false, ..Default::default() },
        ),
        directory,
    )
    .await;
    assert_eq!(server.app.services.compare_search_index().await, IndexComparison::Differences(Vec::new()));
    let alice = server.login("alice").await;
    for (query, part) in [("alpha", "alpha"), ("gamma", "beta.gamma"), ("京都", "東京都"), ("👍 ", "👍")]
    {
        let mut expected = 0;
        for chat in &chats {
            let mut range = String::new();
            loop {
                let (page, has_more) =
                    alice.http.messages(*chat, &format!("?limit=100{range}")).await.unwrap();
                expected += page.iter().filter(|message| message.content.contains(part)).count();
                match page.first().filter(|_| has_more) {
                    Some(first) => range = format!("&before_seq={}", first.seq),
                    None => break,
                }
            }
        }
        let found = eventually(async || {
            let found = search(&alice, query).await;
            found.get("incomplete").is_none().then_some(found)
        });
        let found = found.await;
        let hits = found["messages"]["hits"].as_array().unwrap().len();
        assert_eq!(hits.min(100), expected.min(100), "{query}");
    }
    server.stop().await;
}

/// The index that a restored database finds in its directory belongs to another history.
#[actix_web::test]
async fn older_copy_of_the_database_is_not_searched_with_its_index() {
    if postgres::skips("an older copy of netbit.db is put in place") {
        return;
    }
    let server = server().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    posted(&alice, chat, "kept").await;
    drop(alice);
    let directory = server.stop_and_keep().await;
    let database = directory.path().join("netbit.db");
    let older = std::fs::read(&database).unwrap();
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    posted(&alice, chat, "lost").await;
    finds(&alice, "lost", &["lost"]).await;
    drop(alice);
    let directory = server.stop_and_keep().await;
    std::fs::write(&database, older).unwrap();
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    posted(&alice, chat, "another message with the id of the lost one").await;
    finds(&alice, "another", &["another message with the id of the lost one"]).await;
    assert_eq!(excerpts(&alice, "lost from:me").await, ["another message with the id of the lost one"]);
    server.stop().await;
}
