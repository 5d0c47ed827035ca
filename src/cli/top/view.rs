//! Difference between two readings of the metrics: plain numbers, also for scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::client::metrics::Scrape;

/// Rates are per second, times in microseconds, sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct View {
    pub(super) version: String,
    pub(super) ready: bool,
    /// Whether the server stops.
    pub(super) stopping: bool,
    pub(super) uptime_s: f64,
    /// Seconds between the two readings.
    pub(super) interval_s: f64,
    pub(super) process: Process,
    pub(super) actors: Vec<Actor>,
    pub(super) messages: Vec<Message>,
    pub(super) sessions: Sessions,
    pub(super) commits: Commits,
    pub(super) cluster: Cluster,
    pub(super) cache: Cache,
    pub(super) http: Http,
    pub(super) git: Git,
    pub(super) udp: Udp,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Process {
    pub(super) resident_bytes: f64,
    /// Percent of one core; two busy cores are 200.
    pub(super) cpu_percent: f64,
    pub(super) threads: f64,
    pub(super) open_fds: f64,
    pub(super) max_fds: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Actor {
    pub(super) actor: String,
    /// Absent for actors that receive only events.
    pub(super) capacity: Option<f64>,
    pub(super) inside: Option<f64>,
    #[serde(flatten)]
    pub(super) load: Load,
    pub(super) panics: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Message {
    pub(super) actor: String,
    pub(super) message: String,
    #[serde(flatten)]
    pub(super) load: Load,
}

/// Load of a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Load {
    pub(super) depth: f64,
    pub(super) depth_max: f64,
    pub(super) per_second: f64,
    /// Mean time in the mailbox.
    pub(super) wait_us: f64,
    /// Mean time in the handler.
    pub(super) handling_us: f64,
    /// Share of time in handlers; for the writer as a whole, including its batches.
    pub(super) busy_percent: f64,
    pub(super) refused: f64,
    /// Time per second that asks waited for a permit.
    pub(super) slot_wait_us: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Sessions {
    pub(super) tcp: f64,
    pub(super) websocket: f64,
    pub(super) http_connections: f64,
    pub(super) outbox_bytes: f64,
    pub(super) slow_readers: f64,
    pub(super) limited_per_second: f64,
    pub(super) frames_out_per_second: f64,
    pub(super) frames_in_per_second: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Commits {
    pub(super) per_second: f64,
    pub(super) commands_per_second: f64,
    /// Absent without commits.
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) sync_p99_us: Option<f64>,
    pub(super) wal_bytes: f64,
    pub(super) database_bytes: f64,
    pub(super) disk_free_bytes: f64,
    pub(super) read_only: bool,
    /// The newest commit that was committed or applied.
    pub(super) applied: f64,
    /// Commits of other nodes on PostgreSQL.
    pub(super) remote_per_second: f64,
    /// Waits for the commit lock. Absent without waits.
    pub(super) lock_p99_us: Option<f64>,
    /// Running nodes of the database, with this one; 0: SQLite.
    pub(super) nodes: f64,
}

/// A node among those of its database; their number is in [`Commits`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Cluster {
    /// Whether reads are refused, because PostgreSQL does not answer.
    pub(super) stale: bool,
    /// Seconds since the state in memory was current.
    pub(super) tail_lag_s: f64,
    /// Whether this node runs the chores of the database.
    pub(super) chores: bool,
    /// Whether this node is connected to the bus. `false` for a server that is alone.
    pub(super) bus_up: bool,
    pub(super) bus_dropped_per_second: f64,
    /// Requests about repositories of other nodes.
    pub(super) proxied_per_second: f64,
    /// Those that were answered with 503, because the storage node could not be reached.
    pub(super) unreachable_per_second: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Cache {
    /// Absent without requests.
    pub(super) hit_percent: Option<f64>,
    pub(super) per_second: f64,
    pub(super) window_bytes: f64,
    pub(super) evictions_per_second: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Http {
    pub(super) per_second: f64,
    pub(super) errors_per_second: f64,
    pub(super) in_flight: f64,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Git {
    pub(super) children: f64,
    pub(super) bytes_in_per_second: f64,
    pub(super) bytes_out_per_second: f64,
    pub(super) refused: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Udp {
    pub(super) received_per_second: f64,
    pub(super) dropped_per_second: f64,
}

/// Two readings and the time between them.
struct Between<'a> {
    before: &'a Scrape,
    after: &'a Scrape,
    seconds: f64,
}

impl Between<'_> {
    fn now(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.after.sum(name, labels)
    }

    /// Returns the increase of a counter. A lower value means that the server restarted and the
    /// counter began again at 0.
    fn rise(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let (before, after) = (self.before.sum(name, labels), self.after.sum(name, labels));
        if after >= before { after - before } else { after }
    }

    fn rate(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.rise(name, labels) / self.seconds
    }

    /// Returns a quantile in microseconds.
    fn quantile(&self, name: &str, quantile: f64) -> Option<f64> {
        self.after.quantile(name, self.before, quantile).map(|seconds| seconds * 1e6)
    }

    fn load(&self, labels: &[(&str, &str)]) -> Load {
        let handled = self.rise("netbit_actor_messages_total", labels);
        let mean = |name: &str| if handled > 0.0 { self.rise(name, labels) * 1e6 / handled } else { 0.0 };
        let depths = self.after.samples("netbit_actor_mailbox_depth_max").iter();
        Load {
            depth: self.now("netbit_actor_mailbox_depth", labels),
            depth_max: depths
                .filter(|sample| sample.has(labels))
                .map(|sample| sample.value)
                .fold(0.0, f64::max),
            per_second: handled / self.seconds,
            wait_us: mean("netbit_actor_queue_wait_seconds_total"),
            handling_us: mean("netbit_actor_handling_seconds_total"),
            busy_percent: self.rate("netbit_actor_handling_seconds_total", labels) * 100.0,
            refused: self.rise("netbit_actor_refusals_total", labels),
            slot_wait_us: self.rate("netbit_actor_slot_wait_seconds_total", labels) * 1e6,
        }
    }
}

impl View {
    /// Returns whether the server is ready, or the reason why it is not.
    pub(super) fn state(&self) -> &'static str {
        match (self.cluster.stale, self.ready, self.stopping) {
            (true, _, _) => "STALE: PostgreSQL does not answer",
            (false, true, _) => "ready",
            (false, false, true) => "NOT READY: stopping",
            (false, false, false) => "NOT READY: starting",
        }
    }

    pub(super) fn between(before: &Scrape, after: &Scrape, time: Duration) -> Self {
        let of = &Between { before, after, seconds: time.as_secs_f64().max(1e-3) };
        let started = of.now("process_start_time_seconds", &[]);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let version =
            after.samples("netbit_build_info").first().map(|sample| sample.label("version").to_owned());
        Self {
            version: version.unwrap_or_default(),
            ready: of.now("netbit_ready", &[]) > 0.0,
            stopping: of.now("netbit_stopping", &[]) > 0.0,
            uptime_s: (now.as_secs_f64() - started).max(0.0),
            interval_s: of.seconds,
            process: Process {
                resident_bytes: of.now("process_resident_memory_bytes", &[]),
                cpu_percent: of.rate("process_cpu_seconds_total", &[]) * 100.0,
                threads: of.now("process_threads", &[]),
                open_fds: of.now("process_open_fds", &[]),
                max_fds: of.now("process_max_fds", &[]),
            },
            actors: actors(of),
            messages: messages(of),
            sessions: Sessions {
                tcp: of.now("netbit_sessions", &[("transport", "tcp")]),
                websocket: of.now("netbit_sessions", &[("transport", "websocket")]),
                http_connections: of.now("netbit_http_connections", &[]),
                outbox_bytes: of.now("netbit_outbox_bytes", &[]),
                slow_readers: of.now("netbit_slow_readers", &[]),
                limited_per_second: of.rate("netbit_sessions_limited_total", &[]),
                frames_out_per_second: of.rate("netbit_frames_sent_total", &[]),
                frames_in_per_second: of.rate("netbit_frames_received_total", &[]),
            },
            commits: Commits {
                per_second: of.rate("netbit_commit_seconds_count", &[]),
                commands_per_second: of.rate("netbit_commit_batch_size_sum", &[]),
                p50_us: of.quantile("netbit_commit_seconds", 0.5),
                p99_us: of.quantile("netbit_commit_seconds", 0.99),
                sync_p99_us: of.quantile("netbit_commit_sync_seconds", 0.99),
                wal_bytes: of.now("netbit_wal_bytes", &[]),
                database_bytes: of.now("netbit_database_bytes", &[]),
                disk_free_bytes: of.now("netbit_disk_free_bytes", &[]),
                read_only: of.now("netbit_read_only", &[]) > 0.0,
                applied: of.now("netbit_applied_commit", &[]),
                remote_per_second: of.rate("netbit_commits_remote_total", &[]),
                lock_p99_us: of.quantile("netbit_commit_lock_wait_seconds", 0.99),
                nodes: of.now("netbit_nodes", &[]),
            },
            cluster: Cluster {
                stale: of.now("netbit_stale", &[]) > 0.0,
                tail_lag_s: of.now("netbit_tail_lag_seconds", &[]),
                chores: of.now("netbit_chores", &[]) > 0.0,
                bus_up: of.now("netbit_bus_up", &[]) > 0.0,
                bus_dropped_per_second: of.rate("netbit_bus_messages_dropped_total", &[]),
                proxied_per_second: of.rate("netbit_proxied_total", &[]),
                unreachable_per_second: of.rate("netbit_proxied_total", &[("outcome", "unreachable")]),
            },
            cache: cache(of),
            http: Http {
                per_second: of.rate("netbit_http_requests_total", &[]),
                errors_per_second: of.rate("netbit_http_requests_total", &[("status", "5xx")]),
                in_flight: of.now("netbit_http_requests_in_flight", &[]),
                p50_us: of.quantile("netbit_http_request_seconds", 0.5),
                p99_us: of.quantile("netbit_http_request_seconds", 0.99),
            },
            git: Git {
                children: of.now("netbit_git_children", &[]),
                bytes_in_per_second: of.rate("netbit_git_bytes_total", &[("direction", "in")]),
                bytes_out_per_second: of.rate("netbit_git_bytes_total", &[("direction", "out")]),
                refused: of.rise("netbit_git_refusals_total", &[]),
            },
            udp: Udp {
                received_per_second: of.rate("netbit_udp_datagrams_received_total", &[]),
                dropped_per_second: of.rate("netbit_udp_datagrams_dropped_total", &[]),
            },
        }
    }
}

fn actors(of: &Between<'_>) -> Vec<Actor> {
    let mut names: Vec<&str> = Vec::new();
    for sample in of.after.samples("netbit_actor_messages_total") {
        if !names.contains(&sample.label("actor")) {
            names.push(sample.label("actor"));
        }
    }
    let gauge = |name: &str, actor: &str| {
        let own = of.after.samples(name).iter().find(|sample| sample.label("actor") == actor);
        own.map(|sample| sample.value)
    };
    let load = |name: &str| {
        let mut load = of.load(&[("actor", name)]);
        if name == "writer" {
            // Handlers of the writer only collect: a whole batch is processed at once.
            let spent = of.rise("netbit_commit_seconds_sum", &[]);
            load.busy_percent += spent * 100.0 / of.seconds;
            load.handling_us +=
                if load.per_second > 0.0 { spent * 1e6 / of.seconds / load.per_second } else { 0.0 };
        }
        load
    };
    let row = |name: &&str| Actor {
        actor: (*name).to_owned(),
        capacity: gauge("netbit_actor_mailbox_capacity", name),
        inside: gauge("netbit_actor_asks_inside", name),
        load: load(name),
        panics: of.now("netbit_actor_panics_total", &[("actor", name)]),
    };
    names.iter().map(row).collect()
}

/// Returns the messages that have had any load since the start of the server.
fn messages(of: &Between<'_>) -> Vec<Message> {
    let mut found = BTreeMap::new();
    for sample in of.after.samples("netbit_actor_messages_total") {
        let (actor, message) = (sample.label("actor"), sample.label("message"));
        let load = of.load(&[("actor", actor), ("message", message)]);
        if sample.value > 0.0 || load.depth > 0.0 || load.refused > 0.0 {
            found.insert((actor, message), load);
        }
    }
    let row = |((actor, message), load): ((&str, &str), Load)| Message {
        actor: actor.to_owned(),
        message: message.to_owned(),
        load,
    };
    found.into_iter().map(row).collect()
}

fn cache(of: &Between<'_>) -> Cache {
    let (hits, misses) = (of.rise("netbit_cache_hits_total", &[]), of.rise("netbit_cache_misses_total", &[]));
    let asked = hits + misses;
    Cache {
        hit_percent: (asked > 0.0).then(|| hits * 100.0 / asked),
        per_second: asked / of.seconds,
        window_bytes: of.now("netbit_cache_window_bytes", &[]),
        evictions_per_second: of.rate("netbit_cache_evictions_total", &[]),
    }
}
