//! Posting and reading messages over REST.

use netbit::domain::ids::ChatId;
use serde_json::json;

use crate::harness::{Person, TestServer, assert_problem};

async fn post(
    person: &Person,
    chat: ChatId,
    body: serde_json::Value,
    key: Option<&str>,
) -> netbit::client::HttpAnswer {
    let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
    let path = format!("/api/chats/{chat}/messages");
    person.http.send(reqwest::Method::POST, &path, Some(&body), &headers).await.unwrap()
}

#[actix_web::test]
async fn retry_with_the_same_key_returns_the_same_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let id = "0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f";
    let first = post(&alice, chat, json!({"content": "once", "client_id": id}), None).await;
    assert_eq!((first.status, &first.body["client_id"]), (201, &json!(id)));
    for retry in [
        post(&alice, chat, json!({"content": "once", "client_id": id}), None).await,
        post(&alice, chat, json!({"content": "once"}), Some(id)).await,
        post(&alice, chat, json!({"content": "once", "client_id": id}), Some(&id.to_uppercase())).await,
    ] {
        assert_eq!((retry.status, &retry.body), (200, &first.body));
    }
    assert_problem(&post(&alice, chat, json!({"content": "twice"}), Some(id)).await, 422, "client_id_reused");
    let other = post(&alice, chat, json!({"content": "x", "client_id": id}), Some("another key")).await;
    assert_problem(&other, 400, "bad_request");

    let free = post(&alice, chat, json!({"content": "free"}), Some("any text I like")).await;
    let again = post(&alice, chat, json!({"content": "free"}), Some("any text I like")).await;
    assert_eq!((free.status, again.status, &free.body), (201, 200, &again.body));
    assert_eq!(alice.contents(chat).await, ["once", "free"]);
    server.stop().await;
}

#[actix_web::test]
async fn same_key_of_another_user_is_another_message() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    assert_eq!(post(&alice, chat, json!({"content": "hers"}), Some("key")).await.status, 201);
    assert_eq!(post(&bob, chat, json!({"content": "his"}), Some("key")).await.status, 201);
    server.stop().await;
}

#[actix_web::test]
async fn retry_succeeds_after_removal_of_sender_and_archiving() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let first = post(&bob, chat, json!({"content": "said"}), Some("key")).await;
    alice.patch(&format!("/api/chats/{chat}"), json!({"archived": true})).await;
    alice.delete(&format!("/api/chats/{chat}/participants/bob")).await;
    let retry = post(&bob, chat, json!({"content": "said"}), Some("key")).await;
    assert_eq!((retry.status, &retry.body["id"]), (200, &first.body["id"]));
    assert_problem(&post(&bob, chat, json!({"content": "new"}), Some("key 2")).await, 404, "not_found");
    server.stop().await;
}

#[actix_web::test]
async fn pages_reach_from_newest_to_first_message() {
    let server = TestServer::with(|config| config.cache.window = 10).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for n in 1..=45 {
        alice.say(chat, &format!("{n}")).await;
    }
    // The window holds the last ten messages. Older ones come from the database.
    let (mut path, mut read) = (format!("/api/chats/{chat}/messages?limit=7"), Vec::new());
    loop {
        let page = alice.get(&path).await;
        let items: Vec<_> = page.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["content"].as_str().unwrap().to_owned())
            .collect();
        read.splice(0..0, items);
        assert_eq!(page.body["has_more"].as_bool().unwrap(), page.header("link").is_some());
        let Some(link) = page.header("link") else { break };
        path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    assert_eq!(read, (1..=45).map(|n| n.to_string()).collect::<Vec<_>>());

    let forward = alice.http.messages(chat, "?after_seq=1&limit=100").await.unwrap();
    assert_eq!(forward.0.iter().map(|m| m.content.clone()).collect::<Vec<_>>(), read);
    let middle = alice.http.messages(chat, "?after_seq=20&before_seq=24").await.unwrap();
    assert_eq!(middle.0.iter().map(|m| m.seq).collect::<Vec<_>>(), [21, 22, 23]);
    server.stop().await;
}

#[actix_web::test]
async fn event_seqs_have_no_gaps() {
    let server = TestServer::with(|config| config.cache.window = 5).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[]).await;
    for n in 0..12 {
        alice.say(chat, &format!("{n}")).await;
        if n % 4 == 0 {
            alice.put(&format!("/api/chats/{chat}/participants/bob"), json!({})).await;
            alice.delete(&format!("/api/chats/{chat}/participants/bob")).await;
        }
    }
    let (mut after, mut seqs) = (0, Vec::new());
    loop {
        let page = alice.get(&format!("/api/chats/{chat}/events?after_seq={after}&limit=4")).await.body;
        seqs.extend(page["items"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()));
        after = *seqs.last().unwrap();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seqs, (1..=19).collect::<Vec<_>>());
    drop(bob);
    server.stop().await;
}

#[actix_web::test]
async fn cached_history_is_read_without_any_io() {
    // The reader pool has no connections, so every read from the database is refused.
    let server = TestServer::with(|config| {
        config.cache.window = 10;
        (config.limits.readers, config.limits.ask_patience_ms) = (0, 50);
    })
    .await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for n in 0..30 {
        alice.say(chat, &format!("{n}")).await;
    }
    assert_eq!(alice.http.messages(chat, "?limit=10").await.unwrap().0.len(), 10);
    assert_eq!(alice.get("/api/chats").await.body["items"][0]["last_message"]["content"], "29");
    let older = alice.get(&format!("/api/chats/{chat}/messages?before_seq=5")).await;
    assert_problem(&older, 503, "overloaded");
    assert!(older.header("retry-after").is_some());
    let mut desk = alice.tcp().await;
    let page = netbit::protocol::packet::MessagePacket {
        packet_type: "GetMessages".into(),
        chat_id: Some(chat),
        limit: Some(10),
        ..Default::default()
    };
    assert_eq!(desk.request(page).await.unwrap().messages.len(), 10);
    server.stop().await;
}

#[actix_web::test]
async fn evicted_windows_are_read_again_with_equal_answers() {
    let server = TestServer::with(|config| config.cache.max_bytes = 4_000).await;
    let alice = server.user("alice").await;
    let mut chats = Vec::new();
    for _ in 0..6 {
        let chat = alice.group(&[]).await;
        for n in 0..5 {
            alice.say(chat, &format!("{chat} {n}")).await;
        }
        chats.push(chat);
    }
    for chat in chats.iter().chain(&chats) {
        assert_eq!(alice.contents(*chat).await, (0..5).map(|n| format!("{chat} {n}")).collect::<Vec<_>>());
    }
    let counted = server.app.cache_counters.snapshot();
    assert!(counted.evictions > 0 && counted.misses > 0, "{counted:?}");
    assert!(counted.window_bytes <= 4_000, "{counted:?}");
    server.stop().await;
}

#[actix_web::test]
async fn invalid_message_is_refused_and_not_stored() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let (chat, other) = (alice.group(&[]).await, alice.group(&[]).await);
    let elsewhere = alice.say(other, "elsewhere").await.body["id"].clone();
    for (body, status, code) in [
        (json!({"content": ""}), 422, "validation"),
        (json!({"content": "   "}), 422, "validation"),
        (json!({"content": "a\u{0}b"}), 422, "validation"),
        (json!({"content": "é".repeat(8193)}), 413, "too_large"),
        (json!({"content": "x", "reply_to": elsewhere}), 422, "validation"),
        (json!({"content": "x", "client_id": "no uuid"}), 422, "validation"),
        (json!({"content": "x", "metadata": {"a": "x".repeat(5000)}}), 422, "validation"),
        (json!({"content": "x", "metadata": [1]}), 422, "validation"),
        (json!({"content": "x", "sender_id": 2}), 422, "validation"),
        (json!({"content": ["x"]}), 422, "validation"),
    ] {
        assert_problem(&post(&alice, chat, body, None).await, status, code);
    }
    for bad in ["before_seq=-1", "before_seq=9223372036854775808", "after_seq=x", "limit=0"] {
        assert_problem(&alice.get(&format!("/api/chats/{chat}/messages?{bad}")).await, 400, "bad_request");
    }
    assert_eq!(alice.contents(chat).await, Vec::<String>::new());
    server.stop().await;
}

#[actix_web::test]
async fn message_is_returned_as_it_was_sent() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let first = alice.say(chat, "first").await.body["id"].clone();
    let body = json!({"content": "  <b>ünï</b>\n\u{1b}[31m ", "reply_to": first, "metadata": {"n": [1, 2.5, null, {"x": true}]}});
    let sent = post(&alice, chat, body.clone(), None).await.body;
    for key in ["content", "reply_to", "metadata"] {
        assert_eq!(sent[key], body[key]);
    }
    let read = alice.get(&format!("/api/chats/{chat}/messages")).await.body["items"][1].clone();
    assert_eq!(read, sent);
    server.stop().await;
}

#[actix_web::test]
async fn unchanged_body_is_answered_with_304() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    alice.say(chat, "hello").await;
    for path in [
        format!("/api/chats/{chat}/messages"),
        format!("/api/chats/{chat}"),
        "/api/chats".into(),
        "/api/users/me".into(),
    ] {
        let tag = alice.get(&path).await.header("etag").unwrap().to_owned();
        let ask = async || {
            let headers = [("if-none-match", tag.as_str())];
            alice.http.send(reqwest::Method::GET, &path, None, &headers).await.unwrap().status
        };
        assert_eq!(ask().await, 304, "{path}");
    }
    let tag = alice.get(&format!("/api/chats/{chat}")).await.header("etag").unwrap().to_owned();
    alice.say(chat, "more").await;
    assert_ne!(alice.get(&format!("/api/chats/{chat}")).await.header("etag"), Some(tag.as_str()));
    server.stop().await;
}

#[actix_web::test]
async fn sender_above_rate_gets_retry_after_but_retries_succeed() {
    let server =
        TestServer::with_limits(|limits| (limits.messages_burst, limits.messages_per_second) = (3, 1)).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for n in 0..3 {
        assert_eq!(post(&alice, chat, json!({"content": "x"}), Some(&format!("key {n}"))).await.status, 201);
    }
    let answer = post(&alice, chat, json!({"content": "x"}), Some("key 3")).await;
    assert_problem(&answer, 429, "rate_limited");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(post(&alice, chat, json!({"content": "x"}), Some("key 0")).await.status, 200);
    server.stop().await;
}

/// Regression: a page of the largest messages, with characters that JSON encodes as six, had ten
/// megabytes.
#[actix_web::test]
async fn page_of_large_messages_is_cut_and_continues() {
    let server = TestServer::with_limits(|limits| limits.server_frame_bytes = 200_000).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for n in 0..6 {
        alice.say(chat, &format!("{n}{}", "\u{1}".repeat(10_000))).await;
    }
    let (mut path, mut read) = (format!("/api/chats/{chat}/messages"), String::new());
    loop {
        let page = alice.get(&path).await;
        assert!(page.body.to_string().len() < 250_000);
        let items = page.body["items"].as_array().unwrap().clone();
        let first: String = items.iter().map(|message| &message["content"].as_str().unwrap()[..1]).collect();
        read.insert_str(0, &first);
        let Some(link) = page.header("link") else { break };
        path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    assert_eq!(read, "012345");
    server.stop().await;
}

/// Numbers that are read from memory and from the database are bit-identical.
#[actix_web::test]
async fn numbers_in_metadata_survive_a_restart_exactly() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let numbers: Vec<f64> = (1..300)
        .map(|n| f64::from_bits(0x3ff1_2345_6789_abcd_u64.wrapping_mul(n)))
        .filter(|x| x.is_finite())
        .collect();
    for chunk in numbers.chunks(50) {
        post(&alice, chat, json!({"content": "x", "metadata": {"n": chunk}}), None).await;
    }
    let before = alice.http.messages(chat, "").await.unwrap().0;
    let server = server.restart(|_| ()).await;
    let after = server.login("alice").await.http.messages(chat, "").await.unwrap().0;
    assert_eq!(before, after);
    assert_eq!(before.len(), numbers.chunks(50).count());
    server.stop().await;
}
