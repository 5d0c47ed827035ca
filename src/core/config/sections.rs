//! The sections of the configuration: plain values with their defaults.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Listen, Secret};
use crate::core::origins::AllowedOrigins;
use crate::core::proxies::TrustedProxies;

/// The directory of all durable data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataDirPath(pub PathBuf);

impl Default for DataDirPath {
    fn default() -> Self {
        Self(PathBuf::from("./data"))
    }
}

macro_rules! listener {
    ($name:ident, $port:expr) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            pub listen: Listen,
        }
        impl Default for $name {
            fn default() -> Self {
                Self { listen: Listen::on_loopback($port) }
            }
        }
    };
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub listen: Listen,
    /// The URL of this server for its users (`https://git.example.org`), for links. Empty: the
    /// address that the client used.
    pub public_url: String,
    /// Reverse proxies whose `X-Forwarded-For` is trusted, separated by commas.
    pub trusted_proxies: TrustedProxies,
    /// Origins other than the server's own whose pages may use the API and open sessions. Each page
    /// sends a token itself.
    pub allowed_origins: AllowedOrigins,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: Listen::on_loopback(8080),
            public_url: String::new(),
            trusted_proxies: TrustedProxies::default(),
            allowed_origins: AllowedOrigins::default(),
        }
    }
}

listener!(Tcp, 8081);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Udp {
    pub listen: Listen,
    /// The address at which clients reach this server (`HOST:PORT`), for tickets. Empty: the
    /// address of the listener. In a cluster, each node has its own.
    pub public_address: String,
}

impl Default for Udp {
    fn default() -> Self {
        Self { listen: Listen::on_loopback(8082), public_address: String::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ops {
    pub listen: Listen,
    /// Whether messages between actors are counted and timed. `false` is for measuring what that
    /// costs.
    pub measure: bool,
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: Listen::on_loopback(8083), measure: true }
    }
}

/// PEM files; both or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsFiles {
    /// The certificate and its chain. Empty: HTTP and chat sessions are not encrypted.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl TlsFiles {
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Recent messages of a chat that are kept in memory.
    pub window: usize,
    /// Bytes of memory for those windows, over all chats. The least recently used windows are
    /// evicted.
    pub max_bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self { window: 100, max_bytes: 256 * 1024 * 1024 }
    }
}

/// Nodes that share a database of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// The name of this node. Empty: a random name, which is kept in the data directory.
    pub name: String,
    /// Whether this node may run beside others of the same database.
    pub enabled: bool,
    /// The URL at which other nodes reach this one (`http://10.0.0.1:8080`). Empty: the address of
    /// the HTTP listener, if it is neither a wildcard nor encrypted.
    pub address: String,
    /// Whether `repos` in the data directory is a folder that all nodes share. Then a node takes
    /// over the repositories of a node that does not run.
    pub shared_repositories: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    pub synchronous: Synchronous,
}

/// SQLite's `synchronous` pragma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Every commit is fsynced: an acknowledged commit survives a power failure.
    #[default]
    Full,
    /// Commits survive the end of the process, but a power failure may lose the last ones.
    Normal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    pub registration: RegistrationPolicy,
    /// Whether users may make access tokens that never expire (`"expires_in_days": 0`). The
    /// operator of the machine always may, and existing tokens keep their expiry.
    pub tokens_without_expiry: bool,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { registration: RegistrationPolicy::default(), tokens_without_expiry: true }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationPolicy {
    /// Every client that reaches the server may register.
    #[default]
    Open,
    /// The operator makes accounts (`netbit user add`); the administrator's is made with the setup
    /// code.
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GitSettings {
    /// Whether a push by an owner of the project creates the repository if it does not exist.
    pub push_to_create: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Signs access tokens; at least 32 bytes. If it is not given here, it is made at the first
    /// start in `secret.key`.
    #[serde(skip_serializing)]
    pub secret: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level (`info`) or a filter (`netbit=debug,info`).
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}
