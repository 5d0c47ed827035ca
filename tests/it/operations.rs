//! Operator interfaces: every metric is documented, exists from the start, names the bottleneck and
//! leaks no secrets.

use std::collections::BTreeSet;

use netbit::client::metrics::Scrape;
use serde_json::json;

use crate::harness::{TestServer, assert_problem, database, postgres, soon, until};

const ALERTS: &str = include_str!("../../packaging/netbit-alerts.yml");
const MANUAL: &str = include_str!("../../docs/OPERATIONS.md");
const DASHBOARD: &str = include_str!("../../docs/grafana.json");

async fn scrape(server: &TestServer) -> Scrape {
    let (status, text) = server.operations("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "the end marker reveals a truncated scrape");
    Scrape::parse(&text)
}

/// Returns the names of the families as written: counters end in `_total`.
fn exported(text: &str) -> BTreeSet<String> {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect()
}

/// Returns every word in a text that has the form of a metric name.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("netbit_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[actix_web::test]
async fn every_metric_is_documented_and_every_documented_one_exists() {
    let server = TestServer::start().await;
    let (_, text) = server.operations("/metrics").await;
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<_> = rows
        .filter(|name| name.starts_with("netbit_") || name.starts_with("process_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, exported(&text));
    server.stop().await;
}

#[actix_web::test]
async fn alerts_and_dashboard_name_only_metrics_that_exist() {
    let server = TestServer::start().await;
    let (_, text) = server.operations("/metrics").await;
    let mut known = exported(&text);
    for name in known.clone() {
        known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
    }
    for (place, text) in
        [("docs/OPERATIONS.md", MANUAL), ("docs/grafana.json", DASHBOARD), ("the alerts", ALERTS)]
    {
        let unknown: Vec<_> = named(text).difference(&known).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new(), "in {place}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() >= 10));
    server.stop().await;
}

#[actix_web::test]
async fn every_series_exists_before_the_first_event() {
    let server = TestServer::start().await;
    let before = scrape(&server).await;
    let (_, text) = server.operations("/metrics").await;
    let series = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    };
    let at_first = series(&text);
    for (name, labels) in [
        ("netbit_actor_messages_total", vec![("actor", "writer"), ("message", "AppendMessage")]),
        ("netbit_http_requests_total", vec![("route", "/api/chats/{id}/messages"), ("status", "5xx")]),
        ("netbit_git_transfers_total", vec![("work", "push"), ("outcome", "cut")]),
        ("netbit_udp_datagrams_dropped_total", vec![("reason", "forged")]),
        ("netbit_slow_readers", vec![("transport", "websocket")]),
    ] {
        let samples = before.samples(name).iter().filter(|sample| sample.has(&labels));
        let values: Vec<_> = samples.map(|sample| sample.value).collect();
        assert!(
            !values.is_empty() && values.iter().all(|value| *value == 0.0),
            "{name} {labels:?} {values:?}"
        );
    }
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let _session = bob.tcp().await;
    alice.say(chat, "hello").await;
    alice.contents(chat).await;
    alice.get("/no/such/path").await;
    let (_, text) = server.operations("/metrics").await;
    let new: Vec<_> = series(&text).difference(&at_first).cloned().collect();
    assert_eq!(new, Vec::<String>::new(), "no event creates a new series");
    server.stop().await;
}

#[actix_web::test]
async fn metrics_count_events_and_contain_no_names() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("zebra-alice").await, server.user("zebra-bob").await);
    let before = scrape(&server).await;
    let chat = alice.http.create_group("zebra-team", &["zebra-bob"]).await.unwrap();
    let mut session = bob.tcp().await;
    for n in 0..5 {
        assert_eq!(alice.say(chat, &format!("zebra {n}")).await.status, 201);
        soon(session.pushed()).await.unwrap();
    }
    alice.contents(chat).await;
    let (_, text) = server.operations("/metrics").await;
    let after = Scrape::parse(&text);
    let rose = |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    let appended = [("actor", "writer"), ("message", "AppendMessage")];
    assert_eq!(rose("netbit_actor_messages_total", &appended), 5.0);
    assert!(rose("netbit_actor_queue_wait_seconds_total", &[("actor", "writer")]) > 0.0);
    assert_eq!(rose("netbit_commit_batch_size_sum", &[]), 6.0, "the chat and five messages");
    assert_eq!(rose("netbit_commit_seconds_count", &[]), rose("netbit_commit_sync_seconds_count", &[]));
    assert!(rose("netbit_cache_hits_total", &[]) >= 1.0);
    assert_eq!(alice.get("/api/chats/999").await.status, 404);
    assert!(session.say(netbit::domain::ids::ChatId(999), "zebra").await.is_err());
    let later = scrape(&server).await;
    let refused = |name: &str, labels: &[(&str, &str)]| later.sum(name, labels) - before.sum(name, labels);
    assert_eq!(refused("netbit_http_refusals_total", &[("status", "404")]), 1.0);
    assert_eq!(refused("netbit_http_refusals_total", &[]), 1.0, "no other refusal");
    let no_chat = [("transport", "tcp"), ("code", "not_found")];
    assert_eq!(refused("netbit_session_refusals_total", &no_chat), 1.0);
    assert_eq!(refused("netbit_session_refusals_total", &[]), 1.0);
    let posted = [("method", "POST"), ("route", "/api/chats/{id}/messages"), ("status", "2xx")];
    assert_eq!(rose("netbit_http_requests_total", &posted), 5.0);
    assert_eq!(rose("netbit_http_request_seconds_count", &posted[..2]), 5.0);
    let tcp = [("transport", "tcp")];
    assert_eq!((rose("netbit_sessions", &tcp), rose("netbit_connections", &tcp)), (1.0, 1.0));
    assert_eq!(rose("netbit_frames_received_total", &tcp), 1.0, "the Hello");
    assert!(rose("netbit_frames_sent_total", &tcp) >= 6.0, "Welcome and five events");
    for name in ["netbit_ready", "netbit_wal_bytes", "netbit_disk_free_bytes"] {
        // The log is that of SQLite.
        let is_absent = postgres::is_used() && name == "netbit_wal_bytes";
        assert_eq!(after.sum(name, &[]) > 0.0, !is_absent, "{name}");
    }
    // On PostgreSQL it is read in the background.
    until(async || scrape(&server).await.sum("netbit_database_bytes", &[]) > 0.0).await;
    assert!(!text.contains("zebra"), "no name of a user or chat is a label");
    drop(session);
    let gone = async {
        while scrape(&server).await.sum("netbit_connections", &tcp) > 0.0 {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
    let end = scrape(&server).await;
    assert_eq!((end.sum("netbit_sessions", &tcp), end.sum("netbit_outbox_bytes", &tcp)), (0.0, 0.0));
    server.stop().await;
}

/// The database is locked from outside, as by a slow disk: work accumulates at the writer.
#[actix_web::test]
async fn slow_writer_is_the_only_reported_bottleneck() {
    let server = TestServer::with_limits(|limits| {
        (limits.writer_commands, limits.commands_per_user, limits.ask_patience_ms) = (8, 8, 200);
    })
    .await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let before = scrape(&server).await;
    let mut lock = database::writer(server.path());
    lock.begin_write();
    let sends = (0..20).map(|n| {
        let alice = &alice;
        async move { alice.say(chat, &n.to_string()).await.status }
    });
    let watch = async {
        loop {
            let now = scrape(&server).await;
            let refused = now.sum("netbit_actor_refusals_total", &[("actor", "writer")]);
            if refused >= 12.0 {
                break now;
            }
            assert_eq!(alice.get("/api/chats").await.status, 200, "reads continue");
        }
    };
    let release = async {
        let during = soon(watch).await;
        lock.batch_execute("ROLLBACK");
        during
    };
    let (statuses, during) = futures_util::join!(futures_util::future::join_all(sends), release);
    let count = |status| statuses.iter().filter(|seen| **seen == status).count();
    assert_eq!((count(201), count(503)), (8, 12), "{statuses:?}");
    let after = scrape(&server).await;
    let of = |actor: &str| {
        let own = [("actor", actor)];
        let rose = |name: &str| after.sum(name, &own) - before.sum(name, &own);
        let (refused, waited) =
            (rose("netbit_actor_refusals_total"), rose("netbit_actor_slot_wait_seconds_total"));
        (refused, waited, rose("netbit_actor_queue_wait_seconds_total"))
    };
    let (refused, waited, queued) = of("writer");
    assert_eq!(refused, 12.0);
    assert!(waited >= 12.0 * 0.2, "each of the twelve waited for its slot: {waited}");
    let inside = |actor| during.sum("netbit_actor_asks_inside", &[("actor", actor)]);
    assert_eq!(inside("writer"), 8.0, "the writer's gate is full");
    assert!(inside("cache") <= 1.0 && inside("presence") == 0.0);
    for other in ["cache", "hub", "session", "presence"] {
        let (refused, waited, others_queued) = of(other);
        assert_eq!((refused, waited), (0.0, 0.0), "{other}");
        assert!(others_queued < queued, "{other} {others_queued} {queued}");
    }
    let appended = [("actor", "writer"), ("message", "AppendMessage")];
    assert_eq!(after.sum("netbit_actor_refusals_total", &appended), 12.0, "the refused message is named");
    server.stop().await;
}

#[actix_web::test]
async fn administrator_reads_the_health_of_the_server() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.admin("alice").await, server.user("bob").await);
    let _session = bob.tcp().await;
    assert_problem(&bob.get("/api/admin/health").await, 403, "forbidden");
    assert_problem(&server.http.get("/api/admin/health").await.unwrap(), 401, "unauthenticated");
    until(async || scrape(&server).await.sum("netbit_database_bytes", &[]) > 0.0).await;
    let health = alice.get("/api/admin/health").await;
    assert_eq!(health.status, 200, "{}", health.body);
    let health = health.body;
    assert_eq!((&health["version"], &health["ready"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(true)));
    assert_eq!(health["sessions"], 1);
    assert!(health["uptime_seconds"].as_i64().is_some_and(|seconds| (0..600).contains(&seconds)));
    let storage = &health["storage"];
    assert!(storage["disk_free_bytes"].as_u64() <= storage["disk_total_bytes"].as_u64());
    assert!(storage["database_bytes"].as_u64() > Some(0));
    assert!(health["cache"]["hits"].as_u64() > Some(0));
    // The mailboxes are those of the operations listener, field by field.
    let (_, text) = server.operations("/actors").await;
    let actors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let shape = |found: &serde_json::Value| -> Vec<_> {
        let actors = found["actors"].as_array().unwrap().iter();
        let keys = |actor: &serde_json::Value| actor.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        actors.map(|actor| (actor["actor"].clone(), keys(actor), keys(&actor["messages"][0]))).collect()
    };
    assert_eq!(shape(&health), shape(&actors));
    server.stop().await;
}
