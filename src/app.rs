//! The composition root: binds sockets, starts the actors on their threads and connects their
//! handles. It also stops everything in order.
//!
//! Start and stop are lists of steps. [`RunningApp::started`] lists the steps of the start in
//! order; [`StopReport`] also records how long each step of the stop took.

mod chores;
mod idle;
mod instruments;
mod integrity_check;
mod listeners;
mod load;
mod stop;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use actix::Arbiter;
use actix_web::dev::ServerHandle;
use instruments::Instruments;
use listeners::{serve_control, serve_http, serve_operations};
use load::load;
pub use stop::{StopReport, StopStep};
use tokio::sync::{Notify, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::actors::cache::{CacheActor, CacheCounters, CacheHandle, ReadModels, Sources};
use crate::actors::hub::{HubActor, HubHandle};
use crate::actors::presence::{PresenceActor, PresenceHandle};
use crate::actors::writer::{BatchExecutor, Checkpointer, DbWriterActor, WalSizeEstimator, WriterHandle};
use crate::api::{Operations, OpsState, Readiness, ServerInfo};
use crate::core::actor::{ActorStats, FatalSignal, Gate, start};
use crate::core::auth::setup::SetupCode;
use crate::core::auth::token::TokenKeys;
use crate::core::config::{Config, Listen};
use crate::core::control_socket;
use crate::core::data_dir::{DataDir, DataDirError};
use crate::core::database::{self, DatabaseError};
use crate::core::limits::Limits;
use crate::core::shares::{PoolMetrics, PoolName};
use crate::core::tls::{Tls, TlsError};
use crate::git::metrics::{HistoryMetrics, TransferMetrics};
use crate::git::program::Git;
use crate::git::store::Store;
use crate::messaging::{SessionAcceptor, SessionThread, TcpAcceptor, bind};
use crate::services::git_resources::GitResources;
use crate::services::{ActorHandles, ServiceError, Services};
use crate::storage::readers::{ReadError, Readers};

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
    checkpointer: Checkpointer,
    data_dir: Arc<DataDir>,
    chores: CancellationToken,
    config: Config,
}

fn listen_error(key: &'static str, address: &impl ToString) -> impl FnOnce(std::io::Error) -> StartError {
    let address = address.to_string();
    move |source| StartError::Listen { key, address, source }
}

/// Returns the address of a listener; resolves a host name.
fn resolve(key: &'static str, listen: &Listen) -> Result<SocketAddr, StartError> {
    listen.resolve().map_err(listen_error(key, listen))
}

impl RunningApp {
    /// Starts a server. Locks the data directory first: in a directory that is in use, any later
    /// error would only be a consequence of that. The operations listener starts next and reports
    /// "alive, not ready" until the start is complete.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let data_dir = Arc::new(DataDir::open(&config.data_dir.0)?);
        let instruments = Instruments::new(&config, Limits::per_core(config.limits.session_threads));
        let shown = OpsState {
            actors: instruments.actors(),
            cache: instruments.cached.clone(),
            udp: instruments.datagrams.clone(),
            ready: instruments.ready.clone(),
            registry: instruments.registry.clone(),
        };
        let (operations, readiness) = Operations::new(shown);
        let ops_listen = resolve("ops.listen", &config.ops.listen)?;
        let ops_listener = bind(ops_listen).map_err(listen_error("ops.listen", &ops_listen))?;
        let ops_address = ops_listener.local_addr().map_err(listen_error("ops.listen", &ops_listen))?;
        let ops =
            serve_operations(ops_listener, operations).map_err(listen_error("ops.listen", &ops_address))?;
        // On the heap: the future of a start is large, and callers embed it in their own futures.
        let operations = (ops.clone(), ops_address, readiness);
        let behind = Box::pin(Self::start_behind(config, data_dir, operations, instruments));
        let outcome = behind.await;
        if outcome.is_err() {
            ops.stop(false).await;
        }
        outcome
    }

    /// Runs every step of the start after the operations listener.
    async fn start_behind(
        config: Config,
        data_dir: Arc<DataDir>,
        (ops, ops_address, readiness): (ServerHandle, SocketAddr, Readiness),
        instruments: Instruments,
    ) -> Result<Self, StartError> {
        let mut started = vec!["lock", "operations"];
        let limits = config.limits.clone();
        let tls = match &config.tls {
            files if files.is_on() => Some(Tls::open(&files.certificate, &files.key)?),
            _ => None,
        };
        let secret = data_dir.secret(config.auth.secret.as_ref().map(|secret| secret.expose()))?;

        let (loading, loading_config) = (data_dir.clone(), config.clone());
        let commits = instruments.commits.clone();
        let loaded = blocking(move || load(&loading, &loading_config, commits)).await?;
        let (loaded, steps) = loaded;
        started.extend(steps);
        let epoch = loaded.snapshot.epoch;
        let setup = SetupCode::for_server_of(loaded.snapshot.users.iter().map(|(user, _)| &**user));

        let http_listen = resolve("http.listen", &config.http.listen)?;
        let http_listener = bind(http_listen).map_err(listen_error("http.listen", &http_listen))?;
        let tcp_listen = resolve("tcp.listen", &config.tcp.listen)?;
        let tcp_listener = bind(tcp_listen).map_err(listen_error("tcp.listen", &tcp_listen))?;
        let udp_listen = resolve("udp.listen", &config.udp.listen)?;
        let udp_error = |source| listen_error("udp.listen", &udp_listen)(source);
        let udp_socket = std::net::UdpSocket::bind(udp_listen).map_err(udp_error)?;
        udp_socket.set_nonblocking(true).map_err(udp_error)?;
        let addresses = Addresses {
            udp: udp_socket.local_addr().map_err(udp_error)?,
            http: http_listener.local_addr().map_err(listen_error("http.listen", &http_listen))?,
            tcp: tcp_listener.local_addr().map_err(listen_error("tcp.listen", &tcp_listen))?,
            ops: ops_address,
        };
        for address in [addresses.http, addresses.tcp] {
            if tls.is_none() && !address.ip().is_loopback() {
                warn!(%address, "listening on a non-loopback address without TLS: set tls.certificate and tls.key, or put a TLS proxy in front");
            }
        }
        started.push("bind");

        let (fatal, fatal_seen) = FatalSignal::new();
        let mut threads = Vec::new();
        let mut thread = || {
            let arbiter = Arbiter::new();
            let handle = arbiter.handle();
            threads.push(arbiter);
            handle
        };
        let patience = limits.ask_patience();
        let actors = instruments.actors();
        let hub_stats = instruments.hub;
        let (mut hubs, mut session_threads) = (Vec::new(), Vec::new());
        for _ in 0..Limits::per_core(limits.session_threads) {
            let (handle, pending) = (thread(), Arc::new(AtomicUsize::new(0)));
            let owned = pending.clone();
            let mailbox = start(&handle, hub_stats.clone(), fatal.clone(), move |_| HubActor::new(owned));
            hubs.push(HubHandle::new(mailbox, pending, limits.lane_bytes));
            session_threads.push(SessionThread(handle));
        }

        let presence_stats = instruments.presence;
        let presence_gate =
            Gate::new(limits.presence_queries, limits.presence_queries, patience, presence_stats.clone());
        let presence_mailbox = {
            let (counters, limits) = (instruments.datagrams, limits.clone());
            start(&thread(), presence_stats.clone(), fatal.clone(), move |own| {
                PresenceActor::new(udp_socket, counters, own.clone(), limits)
            })
        };
        let presence = PresenceHandle::new(presence_mailbox, presence_gate);

        let readers = Readers::open(
            &data_dir.database(),
            &limits,
            (instruments.reads, instruments.pools.meter(PoolName::Readers)),
        )?;
        let cache_stats = instruments.cache;
        let cache_gate =
            Gate::new(limits.cache_queries, limits.queries_per_user, patience, cache_stats.clone());
        let counters = instruments.cached;
        let cache_mailbox = {
            let models = ReadModels::load(loaded.snapshot, config.cache.window, config.cache.max_bytes);
            let (gate, counters, fatal_too) = (cache_gate.clone(), counters.clone(), fatal.clone());
            let sources =
                Sources { readers: readers.clone(), cache: config.cache.clone(), limits: limits.clone() };
            let delivering = (hubs, presence.clone());
            start(&thread(), cache_stats.clone(), fatal.clone(), move |mailbox| {
                let own = CacheHandle::new(mailbox.clone(), gate);
                CacheActor::new(models, delivering, counters, sources, own, fatal_too)
            })
        };
        let cache = CacheHandle::new(cache_mailbox, cache_gate);

        let wal = Arc::new(WalSizeEstimator::default());
        wal.committed(loaded.executor.commit_no(), 0);
        let commits = instruments.commits;
        let checkpointer =
            Checkpointer::start(&data_dir.database(), data_dir.clone(), epoch, wal.clone(), commits.clone())?;
        let writer_stats = instruments.writer;
        let writer_gate =
            Gate::new(limits.writer_commands, limits.commands_per_user, patience, writer_stats.clone());
        let fan_outs = Arc::new(Notify::new());
        let writer_mailbox = {
            let (path, synchronous, for_reopening) =
                (data_dir.database(), config.storage.synchronous, limits.clone());
            let waking = fan_outs.clone();
            let open = Box::new(move || {
                let db = database::open_writer(&path, synchronous)?;
                Ok(BatchExecutor::new(db, for_reopening.clone(), commits.clone())?.waking(waking.clone()))
            });
            let executor = loaded.executor.waking(fan_outs.clone());
            let (cache, wake) = (cache.clone(), checkpointer.waker());
            let (fatal_too, limits) = (fatal.clone(), limits.clone());
            start(&thread(), writer_stats.clone(), fatal.clone(), move |_| {
                DbWriterActor::new(executor, open, cache, wal, wake, fatal_too, limits)
            })
        };
        let writer = WriterHandle::new(writer_mailbox, writer_gate, fan_outs);
        started.push("actors");

        let tokens = TokenKeys::new(&secret, epoch);
        let git_resources = host_repositories(
            &data_dir,
            &config,
            (instruments.transfers, &instruments.histories, &instruments.pools),
        )
        .map_err(StartError::Repositories)?;
        let handles = ActorHandles { cache, writer, readers, presence };
        let udp_address = addresses.udp.to_string().into();
        let accounts = config.accounts.clone();
        let registration = accounts.registration;
        let services = Services::new(
            handles,
            udp_address,
            (tokens, setup),
            accounts,
            git_resources,
            (limits.clone(), &instruments.pools),
        );
        let services = Arc::new(services);
        services.reconcile(loaded.unfinished).await?;
        started.push("settle pushes");
        let sessions = Arc::new(SessionAcceptor::new(
            session_threads,
            services.clone(),
            fatal.clone(),
            &instruments.sessions,
        ));
        let tcp = TcpAcceptor::start(tcp_listener, sessions.clone(), tls.as_ref())
            .map_err(listen_error("tcp.listen", &addresses.tcp))?;
        let server_info = ServerInfo {
            name: "NetBit",
            version: env!("CARGO_PKG_VERSION"),
            tcp_address: addresses.tcp.to_string(),
            tcp_tls: tls.is_some(),
            udp_address: addresses.udp.to_string(),
            registration,
        };
        let http = serve_http(
            http_listener,
            services.clone(),
            sessions.clone(),
            server_info,
            (instruments.http, &instruments.pools),
            (&config, tls.as_ref()),
        )
        .map_err(listen_error("http.listen", &addresses.http))?;
        let control = control_socket::bind(data_dir.path())
            .and_then(|listener| serve_control(listener, services.clone()))
            .map_err(StartError::Control)?;
        started.push("listeners");

        let chores = CancellationToken::new();
        actix::spawn(chores.clone().run_until_cancelled_owned(chores::run(services.clone())));
        let maintained = services.clone();
        let maintain = async move { maintained.maintain_repositories().await };
        actix::spawn(chores.clone().run_until_cancelled_owned(maintain));
        let delivering = services.clone();
        let deliver = async move { delivering.deliver_notifications().await };
        actix::spawn(chores.clone().run_until_cancelled_owned(deliver));
        let graphs = services.clone();
        let write_graphs = async move { graphs.write_missing_graphs().await };
        actix::spawn(chores.clone().run_until_cancelled_owned(write_graphs));
        let trimming = services.clone();
        let trim = async move { trimming.maintain_chats().await };
        actix::spawn(chores.clone().run_until_cancelled_owned(trim));
        readiness.set(true);
        started.push("ready");
        integrity_check::spawn_integrity_check(data_dir.database(), instruments.ready, fatal);
        Ok(Self {
            addresses,
            started,
            services,
            actors,
            cache_counters: counters,
            fatal: fatal_seen,
            readiness,
            sessions,
            tcp,
            http,
            control,
            ops,
            tls,
            threads,
            checkpointer,
            data_dir,
            chores,
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

/// Opens the repository directories and finds the `git` program for transfers, if it is installed.
fn host_repositories(
    data_dir: &DataDir,
    config: &Config,
    metrics: (TransferMetrics, &HistoryMetrics, &PoolMetrics),
) -> std::io::Result<GitResources> {
    // This process adopts the orphans of a killed child, so that it can reap them.
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        warn!(%error, "orphaned git processes cannot be adopted: init reaps them");
    }
    let store = Store::open(data_dir.path())?;
    if !store.hooks_can_run()? {
        warn!(
            data_dir = %data_dir.path().display(),
            "the data directory is mounted noexec: pushes skip the checks of the pre-receive hook; mount it with exec"
        );
    }
    let git = match Git::find(&store, &config.limits, metrics.0.memory.clone()) {
        Ok(git) => Some(git),
        Err(error) => {
            warn!(%error, "cloning and pushing are disabled: install git and restart the server");
            None
        }
    };
    let public_url = Some(config.http.public_url.clone()).filter(|url| !url.is_empty());
    Ok(GitResources::new(store, git, (public_url, config.git.push_to_create), metrics, &config.limits))
}

/// Runs blocking work on a thread of the blocking pool.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await?
}
