//! The use cases of NetBit, one function each: authorise, act, return the result. HTTP, TCP and
//! every other edge call the same functions, so the same rules apply everywhere.
//!
//! Deliberately absent: state. Services hold handles of the actors, the pools and the rate
//! limiters.

pub mod access;
pub mod accounts;
pub mod administration;
pub mod administrators;
pub mod answers;
pub mod avatars;
mod blamed_lines;
pub mod blames;
mod blob_removal;
mod blob_stream;
mod blocking;
pub mod branch_deletions;
pub mod browsing;
pub mod chat_start;
pub mod chats;
mod chore_lock;
mod commit_tokens;
mod ended_nodes;
mod entitlement;
mod error;
mod fetch_requests;
mod file_metrics;
mod file_nodes;
mod file_removal;
pub mod files;
mod git_pools;
pub mod git_resources;
mod graphs;
pub mod health;
mod histories;
mod housekeeping;
pub mod images;
pub mod lfs;
mod lfs_in_flight;
mod lfs_links;
pub mod lfs_locks;
mod lfs_metrics;
mod lfs_removal;
mod lfs_uploads;
mod logins;
pub mod messages;
mod notifications;
mod own_address;
mod own_password;
mod painting;
mod people;
pub mod presence;
pub mod projects;
pub mod push_targets;
mod pushes;
mod rates;
pub mod repositories;
mod room;
pub mod search;
pub mod spool;
pub mod storage_nodes;
mod store_calls;
pub mod talks;
pub mod threads;
mod thumbnail_metrics;
pub mod thumbnails;
pub mod tokens;
pub mod transfers;
pub mod uploads;
pub mod web_logins;

pub use crate::actors::cache::{ChatView, FirstChats, ListedChat, MemberView, ProjectView, RepositoryView};
pub use chore_lock::ChoreLock;
pub use commit_tokens::{CommitToken, CommitTokens, NotAToken};
pub use error::{FieldProblem, ServiceError};
pub use file_metrics::FileMetrics;
use files::FileResources;
use git_resources::GitResources;
use health::HealthSources;
pub use logins::LoginShare;
pub use own_address::OwnAddress;
pub use rates::Rates;

use std::sync::Arc;
use std::sync::atomic::AtomicI16;

use tokio::sync::Notify;

use crate::actors::cache::{CacheHandle, HasAdministrator};
use crate::actors::presence::PresenceHandle;
use crate::actors::search::{SearchHandle, SearchMetrics};
use crate::actors::writer::WriterHandle;
use crate::core::auth::password::PasswordPool;
use crate::core::auth::setup::SetupCode;
use crate::core::auth::token::TokenKeys;
use crate::core::config::{Accounts, RegistrationPolicy};
use crate::core::limits::Limits;
use crate::core::proxies::UntrustedForwarders;
use crate::core::shares::{PoolMetrics, PoolName, Slots};
use crate::domain::access::Credential;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::node::NodeName;
use crate::storage::readers::Readers;

/// Handles of the owners of state.
pub struct ActorHandles {
    pub cache: CacheHandle,
    pub writer: WriterHandle,
    pub readers: Readers,
    pub presence: PresenceHandle,
    pub search: SearchHandle,
    pub searches: SearchMetrics,
}

/// This server among the nodes of its cluster.
pub struct NodeSettings {
    /// The number of this node; 0 on SQLite.
    pub number: i16,
    /// The name of this node; `None` on SQLite.
    pub name: Option<NodeName>,
    /// The version of events that all running nodes read; `None` on SQLite.
    pub format: Option<Arc<AtomicI16>>,
    /// The address under which clients reach the UDP socket.
    pub udp_address: Arc<str>,
    /// Shares the outcomes of logins with the other nodes.
    pub logins: Option<LoginShare>,
    /// Held by the node that runs the chores of the database.
    pub chores: ChoreLock,
    /// Tokens of commits, if several nodes share the database.
    pub commits: Option<CommitTokens>,
    /// Whether this node reaches itself at the address that other nodes use.
    pub own_address: OwnAddress,
}

/// The dependencies of all functions in this module. One per application, shared.
pub struct Services {
    pub cache: CacheHandle,
    pub writer: WriterHandle,
    pub readers: Readers,
    pub presence: PresenceHandle,
    search: SearchHandle,
    searches: SearchMetrics,
    node: i16,
    udp_address: Arc<str>,
    passwords: PasswordPool,
    tokens: TokenKeys,
    rates: Rates,
    accounts: Accounts,
    /// The setup code until the next start, if this start found no administrator.
    setup: Option<SetupCode>,
    logins: logins::Logins,
    pub git: GitResources,
    pub files: FileResources,
    /// Bytes of large responses that clients have not received yet.
    answers: Slots,
    /// Notifies the task that trims chats.
    retention_wakeup: Notify,
    /// Held by the node that runs the chores of the database.
    pub chores: ChoreLock,
    /// Tokens of commits, if several nodes share the database.
    pub commits: Option<CommitTokens>,
    /// Whether this node reaches itself at the address that other nodes use.
    own_address: OwnAddress,
    /// Recorded by the HTTP listener, reported by `doctor`.
    pub forwarders: UntrustedForwarders,
    /// Read for administrators.
    health: HealthSources,
    pub limits: Limits,
}

impl Services {
    pub fn new(
        handles: ActorHandles,
        node: NodeSettings,
        (tokens, setup): (TokenKeys, Option<SetupCode>),
        accounts: Accounts,
        (git, files): (GitResources, FileResources),
        (limits, pools): (Limits, &PoolMetrics),
        health: HealthSources,
    ) -> Self {
        let passwords = logins::password_pool(&limits, pools);
        let logins = logins::Logins::start(&limits, pools, node.logins);
        let rates = Rates::new(&limits);
        let answers = Slots::of_space(limits.answer_bytes).measured(pools.meter(PoolName::Answers));
        let ActorHandles { cache, writer, readers, presence, search, searches } = handles;
        Self {
            cache,
            writer,
            readers,
            presence,
            search,
            searches,
            node: node.number,
            udp_address: node.udp_address,
            passwords,
            tokens,
            rates,
            accounts,
            setup,
            logins,
            git,
            files,
            answers,
            retention_wakeup: Notify::new(),
            chores: node.chores,
            commits: node.commits,
            own_address: node.own_address,
            forwarders: UntrustedForwarders::default(),
            health,
            limits,
        }
    }

    /// Returns the credential of an access token. The actor that receives it next checks whether
    /// the login still exists.
    pub fn credential(&self, token: &str) -> Result<Credential, ServiceError> {
        let identity = self.tokens.verify(token).map_err(|_| ServiceError::unauthenticated())?;
        Ok(Credential::login(UserId(identity.user), LoginId(identity.login), identity.token_version))
    }

    /// Returns the number of this node in its cluster; 0 on SQLite.
    pub fn node(&self) -> i16 {
        self.node
    }

    /// Returns the code that creates the first administrator, if this start found none.
    pub fn setup_code(&self) -> Option<&SetupCode> {
        self.setup.as_ref()
    }

    /// Returns whether users without a setup code may register.
    pub fn is_registration_open(&self) -> bool {
        self.accounts.registration == RegistrationPolicy::Open
    }

    /// Returns whether the server has no administrator yet, as far as its start and the setup since
    /// then decide.
    ///
    /// # Errors
    /// If the cache does not answer.
    pub async fn needs_setup(&self) -> Result<bool, ServiceError> {
        Ok(self.setup.is_some() && !self.cache.ask_anonymously(HasAdministrator).await?)
    }

    /// Drops expired entries of the rate limiters. Called periodically.
    pub fn tidy_rates(&self) {
        self.rates.tidy();
    }
}
