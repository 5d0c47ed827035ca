//! Nodes of a cluster in the process of the test, or in processes of their own.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use netbit::core::config::Config;
use tempfile::TempDir;

use crate::harness::{PASSWORD, Person, Process, TestServer, postgres, until};

/// The database of a cluster.
pub(super) struct Cluster {
    /// The folder by which the database is known.
    _place: TempDir,
    pub(super) database: String,
    pub(super) bus: Option<String>,
}

/// Prints why the test of this thread does nothing.
pub(super) fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {reason}\n", thread.name().unwrap_or("?"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

impl Cluster {
    /// Returns `None` on SQLite.
    pub(super) fn new() -> Option<Self> {
        if !postgres::is_used() {
            skip("needs PostgreSQL");
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let database = postgres::url(place.path()).unwrap();
        Some(Self { _place: place, database, bus: None })
    }

    pub(super) fn over(self, bus: String) -> Self {
        Self { bus: Some(bus), ..self }
    }

    /// Starts a node in this process, with short times.
    pub(super) async fn node(&self) -> TestServer {
        self.node_with(|_| ()).await
    }

    pub(super) async fn node_with(&self, change: impl FnOnce(&mut Config)) -> TestServer {
        let server = TestServer::with(|config| {
            config.database = Some(self.database.clone().into());
            config.bus = self.bus.clone().map(Into::into);
            config.cluster.enabled = true;
            config.limits.presence_tick_ms = 20;
            config.limits.presence_beat_ms = 200;
            config.limits.offline_debounce_ms = 100;
            change(config);
        })
        .await;
        until(async || metric(&server, "netbit_bus_up").await == 1.0).await;
        server
    }

    /// Starts a node in a process of its own, with short times.
    pub(super) async fn process(&self, directory: &Path) -> Process {
        let mut environment = vec![
            ("NETBIT_DATABASE", self.database.as_str()),
            ("NETBIT_CLUSTER__ENABLED", "true"),
            ("NETBIT_LIMITS__PRESENCE_TICK_MS", "20"),
            ("NETBIT_LIMITS__PRESENCE_BEAT_MS", "200"),
            ("NETBIT_LIMITS__OFFLINE_DEBOUNCE_MS", "100"),
        ];
        environment.extend(self.bus.as_deref().map(|bus| ("NETBIT_BUS", bus)));
        Process::with(directory, &environment).await
    }
}

/// Returns a metric of a server.
pub(super) async fn metric(server: &TestServer, name: &str) -> f64 {
    let (_, text) = server.operations("/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
}

/// Waits until the user can log in at the node, and returns the login.
pub(super) async fn login(server: &TestServer, name: &str) -> Person {
    until(async || server.http.login(name, PASSWORD).await.is_ok()).await;
    server.login(name).await
}

/// Returns how the watcher sees the user over REST.
pub(super) async fn seen(watcher: &Person, name: &str) -> String {
    let answer = watcher.get(&format!("/api/presence?users={name}")).await;
    answer.body["items"][0]["status"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the watcher sees the user with this status, over REST.
pub(super) async fn until_seen(watcher: &Person, name: &str, status: &str) {
    until(async || seen(watcher, name).await == status).await;
}

/// While another node wrote, the doctor compared a cache and a database at different commits, and
/// reported damage.
#[actix_web::test]
async fn cache_is_compared_with_the_database_at_one_commit() {
    let Some(cluster) = Cluster::new() else { return };
    let (first, second) = (cluster.node().await, cluster.node().await);
    let alice = first.user("alice").await;
    let chat = alice.group(&[]).await;
    let at_second = login(&second, "alice").await;
    let write = async {
        loop {
            at_second.say(chat, "hello").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let compare = async {
        let mut met = 0;
        for _ in 0..20 {
            let differences = first.app.services.compare_with_database().await.unwrap();
            met += usize::from(differences.is_some());
            assert_eq!(differences.unwrap_or_default(), Vec::<String>::new());
        }
        met
    };
    let met = tokio::select! {
        () = write => 0,
        met = compare => met,
    };
    assert!(met > 0, "no comparison was possible");
    second.stop().await;
    first.stop().await;
}

/// Settings of the time before several nodes were released.
#[actix_web::test]
async fn node_with_the_key_of_the_preview_runs_beside_others() {
    let Some(cluster) = Cluster::new() else { return };
    let first = cluster.node().await;
    first.user("alice").await;
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let settings = format!("database = {:?}\n[cluster]\npreview = true\n", cluster.database);
    std::fs::write(place.path().join("netbit.toml"), settings).unwrap();
    let second = Process::logging(place.path(), &[("NETBIT_DATABASE", &cluster.database)], &log).await;
    until(async || second.http.login("alice", PASSWORD).await.is_ok()).await;
    until(async || metric(&first, "netbit_nodes").await == 2.0).await;
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("cluster.preview") && logged.contains("set cluster.enabled instead"), "{logged}");
    second.stop().await;
    first.stop().await;
}
