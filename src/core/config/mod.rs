//! Configuration: embedded defaults, then `netbit.toml`, then `NETBIT_…` variables, then flags. The
//! last one wins.
//!
//! Nothing needs to be configured. All mistakes are reported at once, each with its key, its
//! source, and the allowed values.

mod check;
mod files;
mod listen;
mod load;
mod mistake;
mod secret;
mod sections;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use files::{FileStore, Files, S3};
pub use listen::Listen;
pub use load::{DEFAULT_FILE, LoadedConfig, Overrides, RenamedKey, environment, load};
pub use mistake::ConfigError;
pub use secret::{Secret, check_strength};
pub use sections::{
    Accounts, Auth, Cache, Cluster, DataDirPath, GitSettings, Http, Log, LogFormat, Ops, RegistrationPolicy,
    Storage, Synchronous, Tcp, TlsFiles, Udp,
};

use super::limits::Limits;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub data_dir: DataDirPath,
    /// The URL of a database of PostgreSQL. Empty: SQLite in the data directory.
    #[serde(skip_serializing)]
    pub database: Option<Secret>,
    /// The URL of read replicas of the database: one or several hosts. Empty: none.
    #[serde(skip_serializing)]
    pub database_replicas: Option<Secret>,
    /// The URL of the bus of a cluster: Redis or NATS. Empty: the database.
    #[serde(skip_serializing)]
    pub bus: Option<Secret>,
    /// For the development of pages: the folder whose style sheets and scripts replace the embedded
    /// ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_dir: Option<PathBuf>,
    /// The program that runs `netbit thumbnail`; not a setting. `None`: the running program, which
    /// in a test is not a `netbit`.
    #[serde(skip)]
    pub program: Option<PathBuf>,
    pub http: Http,
    pub tcp: Tcp,
    pub udp: Udp,
    pub ops: Ops,
    pub tls: TlsFiles,
    pub cache: Cache,
    pub storage: Storage,
    pub cluster: Cluster,
    pub accounts: Accounts,
    pub git: GitSettings,
    pub files: Files,
    pub auth: Auth,
    pub log: Log,
    pub limits: Limits,
}

impl Config {
    /// Returns the URL of PostgreSQL, if the database is there.
    pub fn database_url(&self) -> Option<&str> {
        self.database.as_ref().map(Secret::expose).filter(|url| !url.is_empty())
    }

    /// Returns the URL of the read replicas, if there are any.
    pub fn replicas_url(&self) -> Option<&str> {
        self.database_replicas.as_ref().map(Secret::expose).filter(|url| !url.is_empty())
    }

    /// Returns whether this node may run beside others of the same database.
    pub fn runs_beside_others(&self) -> bool {
        self.cluster.enabled && self.database_url().is_some()
    }

    /// Returns the age at which the state of this node is stale, if other nodes may change it.
    pub fn stale_after(&self) -> Option<Duration> {
        self.runs_beside_others().then(|| Duration::from_millis(self.limits.stale_ms))
    }

    /// Returns the URL of the bus, unless that is the database.
    pub fn bus_url(&self) -> Option<&str> {
        self.bus.as_ref().map(Secret::expose).filter(|url| !url.is_empty())
    }

    /// Returns the effective configuration as a `netbit.toml`, without secrets.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}
