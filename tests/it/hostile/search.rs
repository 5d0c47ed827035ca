//! The search as a target: queries that break out of their syntax, floods, and curious users.

use serde_json::json;

use crate::harness::{Person, TestServer, assert_problem, until};

fn path(query: &str) -> String {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/search?in=messages&q={encoded}")
}

async fn hits(person: &Person, query: &str) -> usize {
    let found = person.get(&path(query)).await;
    assert_eq!(found.status, 200, "{query:?}: {}", found.body);
    found.body["messages"]["hits"].as_array().unwrap().len()
}

/// A query reaches FTS5 as a text with a syntax of its own: operators, columns and quotation marks.
#[actix_web::test]
async fn syntax_of_the_index_in_a_query_is_plain_text() {
    let server = TestServer::with_limits(|limits| (limits.rates, limits.search_delay_ms) = (false, 1)).await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let chat = alice.group(&[]).await;
    alice.say(chat, "needle").await;
    let own = eve.group(&[]).await;
    eve.say(own, "near and not or terms").await;
    until(async || hits(&alice, "needle").await == 1 && hits(&eve, "terms").await == 1).await;
    for query in [
        "needle OR terms",
        "terms\" OR \"needle",
        "\" OR terms : needle",
        "NEAR(needle terms, 10)",
        "needle*",
        "* OR needle",
        "chat_id:1 needle",
        "terms:needle",
        "{terms chat_id} : needle",
        "- needle",
        "^needle",
        "needle) OR (terms",
        "'; DROP TABLE documents; -- needle",
        "needle\0\" OR \"terms",
        "=c1 needle",
        "\"=c1\" needle",
        "needle =u1",
        ".needle.needle needle",
        "\u{201c}needle\u{201d} OR",
        "\u{202e}needle\u{feff}",
    ] {
        assert_eq!(hits(&eve, query).await, 0, "{query:?}");
    }
    for query in ["\"near and not or terms\"", "near AND not OR terms", "NOT NEAR(terms"] {
        hits(&eve, query).await;
    }
    assert_eq!(hits(&eve, "near and not or terms").await, 1);
    assert_eq!(hits(&alice, "needle").await, 1, "the index is intact");
    server.stop().await;
}

/// Long, empty and expensive queries get a clear refusal or a bounded answer.
#[actix_web::test]
async fn ugly_queries_are_refused_or_answered() {
    let server = TestServer::with_limits(|limits| (limits.rates, limits.search_delay_ms) = (false, 1)).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let long = "x".repeat(16_384);
    for content in [
        long.as_str(),
        &"a ".repeat(8_000),
        &"語".repeat(5_000),
        &"a.".repeat(8_000),
        &"\u{301}".repeat(8_000),
    ] {
        assert_eq!(alice.say(chat, content).await.status, 201);
    }
    until(async || hits(&alice, "語語").await == 1).await;
    for query in [
        "",
        " ",
        "\"\"",
        "-",
        "-a",
        "...",
        "\0",
        &"x".repeat(257),
        &"a ".repeat(17),
        &"\"".repeat(256),
        &"a.".repeat(128),
    ] {
        assert_problem(&alice.get(&path(query)).await, 422, "validation");
    }
    assert!(alice.get("/api/search?q=%FF%FE").await.status < 500, "not UTF-8");
    let words: Vec<String> = (0..16).map(|n| format!("w{n}")).collect();
    let queries = [
        "x".repeat(256),
        "語".repeat(85),
        words.join(" "),
        "a.".repeat(96),
        format!("\"{}b\"", "a ".repeat(95)),
        "a\u{301}".repeat(85),
        "(".repeat(200) + "a",
        "in:!9223372036854775807 a".to_owned(),
        "before:9999-12-29 after:0001-01-01 a".to_owned(),
    ];
    for query in &queries {
        let found = alice.get(&path(query)).await;
        assert_eq!(found.status, 200, "{query}: {}", found.body);
        for hit in found.body["messages"]["hits"].as_array().unwrap() {
            assert!(hit["excerpt"].as_str().unwrap().len() <= 300);
        }
    }
    server.stop().await;
}

/// One user searches without a pause; others are served.
#[actix_web::test]
async fn flood_of_searches_is_refused_and_others_are_served() {
    let server = TestServer::with_limits(|limits| {
        (limits.searches_per_second, limits.searches_burst, limits.search_delay_ms) = (1, 5, 1);
    })
    .await;
    let (mallory, bob) = (server.user("mallory").await, server.user("bob").await);
    let needle = path("needle");
    let searches = (0..40).map(|_| mallory.get(&needle).map_status());
    let statuses = futures_util::future::join_all(searches).await;
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!((5..=8).contains(&served), "{statuses:?}");
    let refused = mallory.get(&path("needle")).await;
    assert_problem(&refused, 429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(bob.get(&path("needle")).await.status, 200);
    let packet = netbit::protocol::packet::MessagePacket {
        packet_type: "Search".into(),
        q: Some("needle".into()),
        ..Default::default()
    };
    let answer = mallory.tcp().await.ask(packet).await.unwrap();
    assert_eq!(answer.code.as_deref(), Some("rate_limited"), "the same bucket");
    server.stop().await;
}

/// A phrase of one frequent word has every message as a candidate, each of which is long: the bytes
/// that one search compares are bounded, and its cursors lead to all hits.
#[actix_web::test]
async fn search_compares_a_bounded_number_of_bytes() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms, limits.search_checked_bytes) = (false, 1, 40_000);
        (limits.search_ms, limits.search_check_ms) = (10_000, 10_000);
    })
    .await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let long = "a ".repeat(8_000);
    for n in 0..12 {
        let end = if n % 6 == 0 { "b" } else { "c a b" };
        alice.say(chat, &format!("{long}{end}")).await;
    }
    let query = format!("\"{}b\"", "a ".repeat(20));
    until(async || hits(&alice, "b").await > 0).await;
    until(async || server.operations("/metrics").await.1.contains("netbit_search_behind_events 0\n")).await;
    let (mut pages, mut found, mut cursor) = (0, 0, String::new());
    loop {
        let page = alice.get(&format!("{}{cursor}", path(&query))).await.body;
        found += page["messages"]["hits"].as_array().unwrap().len();
        pages += 1;
        let Some(next) = page["messages"]["next"].as_str() else { break };
        assert_eq!(page["incomplete"], json!(["messages"]));
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, 2);
    assert!((4..=7).contains(&pages), "three messages for each page: {pages}");
    server.stop().await;
}

/// A search answers nothing about chats and users that the caller may not know.
#[actix_web::test]
async fn answers_are_equal_for_foreign_and_for_unknown_names() {
    let server = TestServer::with_limits(|limits| (limits.rates, limits.search_delay_ms) = (false, 1)).await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let secret =
        alice.post("/api/chats", json!({"kind": "group", "name": "merger", "participants": []})).await;
    let secret = secret.body["id"].as_i64().unwrap();
    alice.say(netbit::domain::ids::ChatId(secret), "the merger plan").await;
    until(async || hits(&alice, "merger").await == 1).await;
    let answer = async |query: &str| {
        let mut body = eve.get(&path(query)).await.body;
        body.as_object_mut().unwrap().remove("took_ms");
        body
    };
    let unknown = answer("plan in:#nothing").await;
    for query in [
        "plan in:#merger",
        &format!("plan in:!{secret}"),
        "plan in:@alice",
        "plan from:alice",
        "plan from:nobody1",
    ] {
        assert_eq!(answer(query).await, unknown, "{query}");
    }
    server.stop().await;
}

/// Returns the status of an answer.
trait MapStatus {
    fn map_status(self) -> impl Future<Output = u16>;
}

impl<F: Future<Output = netbit::client::HttpAnswer>> MapStatus for F {
    async fn map_status(self) -> u16 {
        self.await.status
    }
}
