//! The composition root: binds sockets, starts the actors on their threads and connects their
//! handles. It also stops everything in order.
//!
//! Start and stop are lists of steps. [`RunningApp::started`] lists the steps of the start in
//! order; [`StopReport`] also records how long each step of the stop took.

mod actors;
mod bus;
mod chores;
mod idle;
mod instruments;
mod integrity_check;
mod listeners;
mod log_link;
mod log_tail;
mod node;
mod recovery;
mod replica_check;
mod sockets;
mod stale;
mod stop;
mod storage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use actix::Arbiter;
use actix_web::dev::ServerHandle;
use actors::{ActorSources, start_actors};
use bus::RunningBus;
use instruments::Instruments;
use listeners::{OperationsListener, serve, serve_control};
use node::NodeParts;
use recovery::recover;
use sockets::{Sockets, bind};
pub use stop::{StopReport, StopStep};
use storage::{OpenStorage, open_storage};
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::actors::cache::{CacheCounters, LogReader};
use crate::actors::writer::Checkpointer;
use crate::api::Readiness;
use crate::blobs::MarkerError;
use crate::core::actor::{ActorStats, FatalSignal};
use crate::core::auth::setup::SetupCode;
use crate::core::auth::token::TokenKeys;
use crate::core::config::Config;
use crate::core::control_socket;
use crate::core::data_dir::{DataDir, DataDirError};
use crate::core::database::{DatabaseError, Source};
use crate::core::limits::Limits;
use crate::core::tls::{Tls, TlsError};
use crate::messaging::{SessionAcceptor, TcpAcceptor};
use crate::services::{ServiceError, Services};
use crate::storage::readers::ReadError;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("reading the database failed: {0}")]
    Query(#[from] diesel::result::Error),
    #[error(transparent)]
    Readers(#[from] ReadError),
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen { key: &'static str, address: String, source: std::io::Error },
    #[error("the repository directory cannot be used: {0}")]
    Repositories(std::io::Error),
    #[error("the directory of files cannot be used: {0}")]
    Files(std::io::Error),
    #[error(transparent)]
    FilePlace(#[from] MarkerError),
    #[error(
        "node {name} uses this database (it answered {silent_ms} ms ago): stop it and wait 30 seconds after a \
         crash; or set cluster.enabled = true and another cluster.name on each node to run several \
         (docs/CLUSTER.md)"
    )]
    OtherNode { name: String, silent_ms: i64 },
    #[error(
        "node {name} uses this database with format {format} of the log of commits, and this version has format \
         {own}: run versions side by side that are at most one format apart, or stop the other node"
    )]
    OtherVersion { name: String, format: i16, own: i16 },
    #[error(
        "auth.secret {is_set} another key than the one with which the nodes of this database sign tokens: set the \
         same auth.secret on all nodes, or on none (docs/CLUSTER.md, \"Change the key of a cluster\")"
    )]
    OtherKey { is_set: &'static str },
    #[error(
        "a copy into this database runs or did not finish; wait until it has ended, or repeat netbit database copy"
    )]
    CopyUnfinished,
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    #[error("the control socket cannot be opened: {0}")]
    Control(std::io::Error),
    #[error("work that the last run left unfinished cannot be completed: {0}")]
    Reconcile(#[from] ServiceError),
    #[error("starting a thread failed: {0}")]
    Thread(#[from] JoinError),
}

/// The addresses that a running server listens on.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub http: SocketAddr,
    pub tcp: SocketAddr,
    pub udp: SocketAddr,
    pub ops: SocketAddr,
}

/// A server that is ready. [`RunningApp::shutdown`] stops it in order; dropping it does not.
pub struct RunningApp {
    pub addresses: Addresses,
    /// The completed steps of the start, in order.
    pub started: Vec<&'static str>,
    pub services: Arc<Services>,
    pub actors: Vec<Arc<ActorStats>>,
    pub cache_counters: CacheCounters,
    fatal: watch::Receiver<Option<i32>>,
    readiness: Readiness,
    sessions: Arc<SessionAcceptor>,
    tcp: TcpAcceptor,
    http: ServerHandle,
    control: ServerHandle,
    ops: ServerHandle,
    tls: Option<Tls>,
    threads: Vec<Arbiter>,
    search_thread: Option<Arbiter>,
    checkpointer: Checkpointer,
    data_dir: Arc<DataDir>,
    database: Source,
    log: LogReader,
    bus: Option<RunningBus>,
    chores: CancellationToken,
    /// Ends the reads of the log, after the last session.
    log_tail: CancellationToken,
    config: Config,
}

impl RunningApp {
    /// Starts a server. Locks the data directory first: in a directory that is in use, any later
    /// error would only be a consequence of that. The operations listener starts next and reports
    /// "alive, not ready" until the start is complete.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let data_dir = Arc::new(DataDir::open(&config.data_dir.0)?);
        let instruments = Instruments::new(&config, Limits::per_core(config.limits.session_threads));
        let operations = OperationsListener::start(&config, &instruments)?;
        let server = operations.server.clone();
        // On the heap: the future of a start is large, and callers embed it in their own futures.
        let outcome = Box::pin(Self::start_stepwise(config, data_dir, operations, instruments)).await;
        if outcome.is_err() {
            server.stop(false).await;
        }
        outcome
    }

    /// Runs the steps of the start after the operations listener, in order.
    async fn start_stepwise(
        config: Config,
        data_dir: Arc<DataDir>,
        operations: OperationsListener,
        instruments: Instruments,
    ) -> Result<Self, StartError> {
        let mut started = vec!["lock", "operations"];
        let tls = match &config.tls {
            files if files.is_on() => Some(Tls::open(&files.certificate, &files.key)?),
            _ => None,
        };

        let database = Source::of(&config)?;
        let storage = open_storage(&database, &data_dir, &config, instruments.commits.clone()).await?;
        let OpenStorage { executor, snapshot, unfinished, shared } = storage;
        let secret = match &shared {
            Some(shared) => shared.signing_key.clone(),
            None => data_dir.secret(config.auth.secret.as_ref().map(|secret| secret.expose()))?,
        };
        let tokens = TokenKeys::new(&secret, snapshot.epoch);
        let setup = SetupCode::for_server_of(snapshot.users.iter().map(|(user, _)| &**user));
        started.extend(["migrate", "checkpoint", "load"]);

        let sockets = bind(&config, operations.address, tls.is_some())?;
        let Sockets { http, tcp, udp, addresses } = sockets;
        started.push("bind");

        let (fatal, fatal_seen) = FatalSignal::new();
        let node = NodeParts::new(&config, &database, (shared, &secret), &instruments);
        let sources = ActorSources {
            config: &config,
            data_dir: &data_dir,
            database: &database,
            instruments: &instruments,
            fatal: &fatal,
            node: node.name(),
            log: node.log(),
            place: node.place(),
            hints: node.hints(&config),
            cluster: node.presence(),
        };
        let actors = start_actors(sources, snapshot, executor, udp)?;
        started.push("actors");

        let proxy = node.proxy(&config, &secret, &instruments);
        let settings = node.settings(&config, &addresses, &instruments);
        let address_check = node.address_check((&config, &addresses), &secret, &instruments);
        let log_tail = CancellationToken::new();
        let chores = log_tail.child_token();
        let tasks_end_with_a_failed_start = log_tail.clone().drop_guard();
        let owners = (actors.handles.writer.clone(), actors.handles.cache.clone());
        let ends = (&chores, &log_tail, fatal.clone());
        let node = node.follow(&database, (&config, &addresses), owners, &instruments, ends);

        let parts = (&config, &*data_dir, &instruments);
        let services = recover(parts, actors.handles, settings, (tokens, setup), unfinished).await?;
        started.push("settle pushes");

        let (session_threads, metrics) = (actors.session_threads, &instruments.sessions);
        let sessions = SessionAcceptor::new(session_threads, services.clone(), fatal.clone(), metrics);
        let sessions = Arc::new(sessions.refusing_when_stale(instruments.freshness.clone()));
        // From now on clients are served.
        let at = Instant::now();
        if instruments.freshness.max().is_some() && services.writer.read_log().await.is_ok() {
            // The cache receives these commits before any query.
            instruments.freshness.record(at);
        }
        instruments.freshness.begin();
        let shared = (services.clone(), sessions.clone());
        let listeners = serve((http, tcp), addresses, shared, proxy, (&config, tls.as_ref()), &instruments)?;
        let control = control_socket::bind(data_dir.path())
            .and_then(|listener| serve_control(listener, services.clone()))
            .map_err(StartError::Control)?;
        started.push("listeners");

        chores::spawn(&services, &chores);
        replica_check::spawn(&config, &database, &chores).map_err(DatabaseError::Postgres)?;
        stale::spawn(&instruments.freshness, &sessions, &chores);
        let log = node.log.clone();
        let bus = node.join_bus(&services);
        if let Some(check) = address_check {
            actix::spawn(chores.clone().run_until_cancelled_owned(check.run()));
        }
        if config.cluster.shared_repositories {
            chores::spawn_take_over(&services, &chores);
        }
        operations.readiness.begin_serving();
        started.push("ready");
        if let Some(path) = database.file() {
            integrity_check::spawn_integrity_check(path.clone(), instruments.ready.clone(), fatal);
        }
        Ok(Self {
            addresses,
            started,
            services,
            actors: instruments.actors(),
            cache_counters: instruments.cached,
            fatal: fatal_seen,
            readiness: operations.readiness,
            sessions,
            tcp: listeners.tcp,
            http: listeners.http,
            control,
            ops: operations.server,
            tls,
            threads: actors.threads,
            search_thread: actors.search_thread,
            checkpointer: actors.checkpointer,
            data_dir,
            database,
            log,
            bus,
            chores,
            log_tail: tasks_end_with_a_failed_start.disarm(),
            config,
        })
    }

    /// Resolves with an exit code when an actor cannot be kept alive or the disk is not reliable.
    pub fn failed(&self) -> impl Future<Output = i32> + use<> {
        Self::failure(self.fatal.clone())
    }

    async fn failure(mut fatal: watch::Receiver<Option<i32>>) -> i32 {
        let code = fatal.wait_for(Option::is_some).await.map(|code| *code);
        match code {
            Ok(Some(code)) => code,
            _ => std::future::pending().await,
        }
    }

    /// Whether HTTP and chat sessions use TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns a host name from the certificate.
    pub fn certificate_name(&self) -> Option<String> {
        self.tls.as_ref().and_then(Tls::name)
    }

    /// Reloads the certificate of a server with TLS. Open connections keep the old certificate.
    pub fn reload_certificate(&self) {
        match self.tls.as_ref().map(Tls::reload) {
            Some(Ok(())) => info!("certificate reloaded"),
            Some(Err(error)) => error!(%error, "reloading the certificate failed; the old one stays in use"),
            None => info!("no certificate is configured: nothing to reload"),
        }
    }

    /// Returns the number of open session connections.
    pub fn sessions(&self) -> usize {
        self.sessions.connections()
    }
}

/// Runs blocking work on a thread of the blocking pool.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await?
}
