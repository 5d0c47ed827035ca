//! The PostgreSQL servers of a trial: a primary, and perhaps a streaming standby.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::network::Network;
use crate::durability::postgres::private_server::{SCRIPT, query, run_script};
use crate::harness::until;

/// The name that the tables of PostgreSQL give to a standby made by `pg_basebackup -R`.
const ANY_STANDBY: &str = "*";

/// A server, or the place of one.
struct Site {
    folder: tempfile::TempDir,
    /// Zero before its first start.
    port: u16,
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: 0 }
    }

    fn directory(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn set_port(&mut self, url: &str) {
        let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap();
        self.port = port.parse().unwrap();
    }

    /// Ends the server and deletes its data. The port stays the same.
    fn clear(&self) {
        let mut command = Command::new(SCRIPT);
        let stop = command.arg("stop").arg(self.path()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(stop.status());
        std::fs::create_dir_all(self.path()).unwrap();
        std::fs::write(self.path().join("port"), self.port.to_string()).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let mut command = Command::new(SCRIPT);
        let stop = command.arg("stop").arg(self.path()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(stop.status());
    }
}

/// Whether a COMMIT waits for the standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replication {
    None,
    Synchronous,
    Asynchronous,
}

pub(super) struct Database {
    sites: [Site; 2],
    /// The index of the server that accepts writes.
    primary: usize,
    replication: Replication,
    listens_at: Option<String>,
}

impl Database {
    pub(super) async fn start(network: &Network, replication: Replication) -> Self {
        let (sites, listens_at) = ([Site::new(), Site::new()], network.listens_at());
        let mut database = Self { sites, primary: 0, replication, listens_at };
        let url = database.run("start", &[database.sites[0].directory()]).await;
        database.sites[0].set_port(&url);
        database.add_standby().await;
        database
    }

    async fn run(&self, action: &str, directories: &[String]) -> String {
        let mut arguments = vec![action.to_owned()];
        if matches!(action, "start" | "standby") {
            arguments.push("--fsync".to_owned());
            if let Some(addresses) = &self.listens_at {
                arguments.extend(["--listen".to_owned(), addresses.clone()]);
            }
        }
        arguments.extend_from_slice(directories);
        run_script(arguments).await
    }

    /// Returns the URL for the test itself.
    pub(super) fn url(&self) -> String {
        self.sites[self.primary].url()
    }

    /// Returns the URL for a node: all servers.
    pub(super) fn url_of(&self, network: &Network, node: usize) -> String {
        let used = self.sites.iter().filter(|site| site.port != 0);
        let hosts: Vec<_> = used.map(|site| network.database_address(node, site.port)).collect();
        format!("postgres://postgres@{}/postgres", hosts.join(","))
    }

    /// Makes a standby at the other site, and waits until it has everything.
    pub(super) async fn add_standby(&mut self) {
        if self.replication == Replication::None {
            return;
        }
        let other = 1 - self.primary;
        if self.sites[other].port != 0 {
            self.sites[other].clear();
        }
        let directories = [self.sites[self.primary].directory(), self.sites[other].directory()];
        let url = self.run("standby", &directories).await;
        self.sites[other].set_port(&url);
        // The copy must not wait for a standby of its own once it is promoted.
        set(&self.sites[other].url(), "synchronous_standby_names", "");
        // After a crash of the primary, the standby connects again soon.
        set(&self.sites[other].url(), "wal_retrieve_retry_interval", "200ms");
        if self.replication == Replication::Synchronous {
            set(&self.url(), "synchronous_standby_names", ANY_STANDBY);
        }
        let state = if self.replication == Replication::Synchronous { "sync" } else { "async" };
        let statement = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '{state}'"
        );
        until(async || query(&self.url(), &statement) == "1").await;
    }

    /// Ends the primary without a checkpoint, and starts it again.
    pub(super) async fn crash(&self) {
        let directory = [self.sites[self.primary].directory()];
        self.run("crash", &directory).await;
        self.run("start", &directory).await;
    }

    /// Waits until the standby has everything, then ends its replication. Later commits are on the
    /// primary only.
    pub(super) async fn detach_standby(&self) {
        let standby = self.sites[1 - self.primary].url();
        let position = query(&self.url(), "SELECT pg_current_wal_flush_lsn()");
        let has_it = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
        until(async || query(&standby, &has_it) == "t").await;
        set(&standby, "primary_conninfo", "");
        until(async || query(&standby, "SELECT count(*) FROM pg_stat_wal_receiver") == "0").await;
    }

    /// Ends the primary for good, and makes the standby the primary.
    pub(super) async fn promote(&mut self) {
        self.run("crash", &[self.sites[self.primary].directory()]).await;
        self.primary = 1 - self.primary;
        self.run("promote", &[self.sites[self.primary].directory()]).await;
    }
}

/// Sets a parameter of a running server.
fn set(url: &str, parameter: &str, value: &str) {
    query(url, &format!("ALTER SYSTEM SET {parameter} = '{value}'"));
    query(url, "SELECT pg_reload_conf()");
}
