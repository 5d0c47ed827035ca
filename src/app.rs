//! The composition root: binds sockets, starts the actors on their threads, wires the handles, and takes it all down
//! again in order.
//!
//! Start and stop are lists of steps; [`RunningApp::started`] and [`Stopped`] tell which ran, in which order, and how
//! long each took.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use actix::Arbiter;
use actix_web::dev::ServerHandle;
use actix_web::{App as WebApp, HttpServer, middleware, web};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::actors::cache::{CacheActor, CacheCounters, CacheHandle, ReadModels, Sources};
use crate::actors::hub::{HubActor, HubHandle};
use crate::actors::writer::{Checkpointer, DbWriterActor, Ledger, WalGauge, WriterHandle};
use crate::api::{self, Operations, Readiness, ServerInfo};
use crate::core::actor::{ActorStats, FatalSignal, Gate, Metered, start};
use crate::core::auth::token::TokenKeys;
use crate::core::config::Config;
use crate::core::data_dir::{DataDir, DataDirError};
use crate::core::database::{self, DatabaseError};
use crate::core::limits::Limits;
use crate::messaging::{SessionThread, TcpEdge, bind};
use crate::services::Services;
use crate::storage::queries::meta;
use crate::storage::readers::{ReadError, Readers};
use crate::storage::snapshot::{self, Snapshot};

/// How often expired logins are ended.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);
/// How often the rate limiters forget.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// What each part of a stop may take at most, in hundredths of `limits.shutdown_ms`.
const HTTP_SHARE: u32 = 30;
const DRAIN_SHARE: u32 = 30;
const GOODBYE_SHARE: u32 = 20;
const VERIFY_SHARE: u32 = 10;

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
    Listen { key: &'static str, address: SocketAddr, source: std::io::Error },
    #[error("starting a thread failed: {0}")]
    Thread(String),
}

/// Where a running server listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub http: SocketAddr,
    pub tcp: SocketAddr,
    pub ops: SocketAddr,
}

/// A server that is ready. [`RunningApp::shutdown`] takes it down in order; dropping it does not.
pub struct RunningApp {
    pub addresses: Addresses,
    /// The steps of the start, in order.
    pub started: Vec<&'static str>,
    pub services: Arc<Services>,
    pub actors: Vec<Arc<ActorStats>>,
    pub cache_counters: Arc<CacheCounters>,
    fatal: watch::Receiver<Option<i32>>,
    readiness: Readiness,
    tcp: TcpEdge,
    http: ServerHandle,
    ops: ServerHandle,
    threads: Vec<Arbiter>,
    checkpointer: Checkpointer,
    data_dir: Arc<DataDir>,
    chores: CancellationToken,
    config: Config,
}

/// One step of a stop.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: &'static str,
    pub took: Duration,
    /// It did not finish within its share of the time.
    pub cut: bool,
}

/// How a stop went.
#[derive(Debug)]
pub struct Stopped {
    pub steps: Vec<Step>,
    /// How many things the cache and the database disagreed on; anything but 0 is a defect.
    pub differences: usize,
}

fn listen_error(key: &'static str, address: SocketAddr) -> impl FnOnce(std::io::Error) -> StartError {
    move |source| StartError::Listen { key, address, source }
}

/// What the database gives at start.
struct Loaded {
    ledger: Ledger,
    snapshot: Snapshot,
}

impl RunningApp {
    /// Starts a server. On the way up, the operations listener answers first: alive, not ready.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (operations, readiness) = Operations::new();
        let ops_listener =
            bind(config.ops.listen.0).map_err(listen_error("ops.listen", config.ops.listen.0))?;
        let ops_address =
            ops_listener.local_addr().map_err(listen_error("ops.listen", config.ops.listen.0))?;
        let ops =
            serve_operations(ops_listener, operations).map_err(listen_error("ops.listen", ops_address))?;
        let outcome = Self::start_behind(config, ops.clone(), ops_address, readiness).await;
        if outcome.is_err() {
            ops.stop(false).await;
        }
        outcome
    }

    /// Everything behind the operations listener.
    async fn start_behind(
        config: Config,
        ops: ServerHandle,
        ops_address: SocketAddr,
        readiness: Readiness,
    ) -> Result<Self, StartError> {
        let mut started = vec!["operations"];
        let limits = config.limits.clone();
        let data_dir = Arc::new(DataDir::open(&config.data_dir.0)?);
        started.push("lock");
        let secret = data_dir.secret(config.auth.secret.as_ref().map(|secret| secret.expose()))?;

        let (loading, loading_config) = (data_dir.clone(), config.clone());
        let loaded = blocking(move || load(&loading, &loading_config, &mut Vec::new())).await?;
        let (loaded, steps) = loaded;
        started.extend(steps);
        let epoch = loaded.snapshot.epoch;

        let http_listener =
            bind(config.http.listen.0).map_err(listen_error("http.listen", config.http.listen.0))?;
        let tcp_listener =
            bind(config.tcp.listen.0).map_err(listen_error("tcp.listen", config.tcp.listen.0))?;
        let addresses = Addresses {
            http: http_listener.local_addr().map_err(listen_error("http.listen", config.http.listen.0))?,
            tcp: tcp_listener.local_addr().map_err(listen_error("tcp.listen", config.tcp.listen.0))?,
            ops: ops_address,
        };
        for address in [addresses.http, addresses.tcp] {
            if !address.ip().is_loopback() {
                warn!(%address, "listening beyond this machine without TLS: put a TLS proxy in front");
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
        let hub_stats = ActorStats::new(HubActor::NAME, None, HubActor::MESSAGES);
        let (mut hubs, mut session_threads) = (Vec::new(), Vec::new());
        for _ in 0..Limits::per_core(limits.session_threads) {
            let (handle, pending) = (thread(), Arc::new(AtomicUsize::new(0)));
            let owned = pending.clone();
            let mailbox = start(&handle, hub_stats.clone(), fatal.clone(), move |_| HubActor::new(owned));
            hubs.push(HubHandle::new(mailbox, pending, limits.lane_bytes));
            session_threads.push(SessionThread(handle));
        }

        let readers = Readers::open(&data_dir.database(), limits.readers, patience)?;
        let cache_stats = ActorStats::new(CacheActor::NAME, Some(limits.cache_queries), CacheActor::MESSAGES);
        let cache_gate = Gate::new(limits.cache_queries, limits.asks_per_user, patience, cache_stats.clone());
        let counters = Arc::new(CacheCounters::default());
        let cache_mailbox = {
            let models = ReadModels::load(loaded.snapshot, config.cache.window, config.cache.max_bytes);
            let (gate, counters, fatal_too) = (cache_gate.clone(), counters.clone(), fatal.clone());
            let sources =
                Sources { readers: readers.clone(), cache: config.cache.clone(), limits: limits.clone() };
            start(&thread(), cache_stats.clone(), fatal.clone(), move |mailbox| {
                let own = CacheHandle::new(mailbox.clone(), gate);
                CacheActor::new(models, hubs, counters, sources, own, fatal_too)
            })
        };
        let cache = CacheHandle::new(cache_mailbox, cache_gate);

        let wal = Arc::new(WalGauge::default());
        wal.committed(loaded.ledger.commit_no(), 0);
        let checkpointer = Checkpointer::start(&data_dir.database(), data_dir.clone(), epoch, wal.clone())?;
        let writer_stats =
            ActorStats::new(DbWriterActor::NAME, Some(limits.writer_commands), DbWriterActor::MESSAGES);
        let writer_gate =
            Gate::new(limits.writer_commands, limits.asks_per_user, patience, writer_stats.clone());
        let writer_mailbox = {
            let (path, synchronous, for_reopening) =
                (data_dir.database(), config.storage.synchronous, limits.clone());
            let open = Box::new(move || {
                let db = database::open_writer(&path, synchronous)?;
                Ok(Ledger::new(db, for_reopening.clone())?)
            });
            let (ledger, cache, wake) = (loaded.ledger, cache.clone(), checkpointer.waker());
            let (fatal_too, limits) = (fatal.clone(), limits.clone());
            start(&thread(), writer_stats.clone(), fatal.clone(), move |_| {
                DbWriterActor::new(ledger, open, cache, wal, wake, fatal_too, limits)
            })
        };
        let writer = WriterHandle::new(writer_mailbox, writer_gate);
        started.push("actors");

        let tokens = TokenKeys::new(&secret, epoch);
        let registration = config.accounts.registration;
        let services = Arc::new(Services::new(cache, writer, readers, tokens, registration, limits.clone()));
        let tcp = TcpEdge::start(tcp_listener, session_threads, services.clone(), fatal)
            .map_err(listen_error("tcp.listen", addresses.tcp))?;
        let server_info = ServerInfo {
            name: "NetBit",
            version: env!("CARGO_PKG_VERSION"),
            tcp_address: addresses.tcp.to_string(),
            registration,
        };
        let http = serve_http(http_listener, services.clone(), server_info, &limits)
            .map_err(listen_error("http.listen", addresses.http))?;
        started.push("listeners");

        let actors = vec![writer_stats, cache_stats, hub_stats, tcp.stats().clone()];
        readiness.show(actors.clone(), counters.clone());
        let chores = CancellationToken::new();
        actix::spawn(chores.clone().run_until_cancelled_owned(do_chores(services.clone())));
        readiness.set(true);
        started.push("ready");
        Ok(Self {
            addresses,
            started,
            services,
            actors,
            cache_counters: counters,
            fatal: fatal_seen,
            readiness,
            tcp,
            http,
            ops,
            threads,
            checkpointer,
            data_dir,
            chores,
            config,
        })
    }

    /// Resolves with an exit code when an actor cannot be kept alive, or the disk cannot be trusted.
    pub async fn failed(&self) -> i32 {
        let mut fatal = self.fatal.clone();
        let code = fatal.wait_for(Option::is_some).await.map(|code| *code);
        match code {
            Ok(Some(code)) => code,
            _ => std::future::pending().await,
        }
    }

    /// How many TCP sessions there are.
    pub fn sessions(&self) -> usize {
        self.tcp.connections()
    }

    /// Takes the server down: nothing acknowledged is lost, everybody is told, at most `limits.shutdown_ms`.
    pub async fn shutdown(self) -> Stopped {
        let total = Duration::from_millis(self.config.limits.shutdown_ms);
        let share = |hundredths: u32| total * hundredths / 100;
        let mut stop = Stopping { steps: Vec::new() };

        self.readiness.set(false);
        stop.mark("not ready");
        self.tcp.stop_accepting();
        self.chores.cancel();
        stop.mark("stop accepting");
        // Stops accepting and finishes requests that are under way.
        stop.step("finish HTTP", share(HTTP_SHARE), self.http.stop(true)).await;
        stop.step("drain the writer", share(DRAIN_SHARE), self.services.writer.drain()).await;
        stop.step("say goodbye", share(GOODBYE_SHARE), self.tcp.end_sessions()).await;
        let differences =
            stop.step("verify the cache", share(VERIFY_SHARE), verify(&self.services)).await.unwrap_or(0);

        let (threads, checkpointer) = (self.threads, self.checkpointer);
        drop(self.services);
        let (path, synchronous) = (self.data_dir.database(), self.config.storage.synchronous);
        let last = blocking(move || {
            for thread in &threads {
                thread.stop();
            }
            for thread in threads {
                if thread.join().is_err() {
                    warn!("a thread had panicked");
                }
            }
            // The writer is gone, and with it the last waker of the checkpointer.
            checkpointer.stop();
            let mut db = database::open_writer(&path, synchronous)?;
            Ok(database::checkpoint_truncate(&mut db)?)
        });
        let ended = last.await;
        if let Err(error) = ended {
            warn!(%error, "the last checkpoint failed; the next start will do it");
        }
        stop.mark("join and checkpoint");
        self.ops.stop(false).await;
        stop.mark("operations");
        drop(self.data_dir);
        Stopped { steps: stop.steps, differences }
    }
}

struct Stopping {
    steps: Vec<Step>,
}

impl Stopping {
    fn mark(&mut self, name: &'static str) {
        info!(step = name, "stopping: {name}");
        self.steps.push(Step { name, took: Duration::ZERO, cut: false });
    }

    async fn step<T>(
        &mut self,
        name: &'static str,
        within: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let begun = Instant::now();
        let done = tokio::time::timeout(within, work).await;
        let (took, cut) = (begun.elapsed(), done.is_err());
        if cut {
            warn!(step = name, ?took, "stopping: {name} was cut");
        } else {
            info!(step = name, ?took, "stopping: {name}");
        }
        self.steps.push(Step { name, took, cut });
        done.ok()
    }
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StartError::Thread(error.to_string()))?
}

/// Everything between the lock and the listeners: migrate, make durable, read.
fn load(
    data_dir: &DataDir,
    config: &Config,
    steps: &mut Vec<&'static str>,
) -> Result<(Loaded, Vec<&'static str>), StartError> {
    let path = data_dir.database();
    let mut db = database::open_writer(&path, config.storage.synchronous)?;
    let migrated = database::migrate(&mut db, &path)?;
    if migrated > 0 {
        info!(migrations = migrated, "the database was migrated");
    }
    steps.push("migrate");
    // What a crash left in the log is fsynced before anything is served: nothing is ever acknowledged as a duplicate
    // that was never synced.
    database::checkpoint_truncate(&mut db)?;
    steps.push("checkpoint");
    settle_epoch(&mut db, data_dir)?;
    let snapshot = snapshot::load(&mut db, config.cache.window, config.cache.max_bytes)?;
    info!(
        users = snapshot.users.len(),
        chats = snapshot.chats.len(),
        windows = snapshot.windows.len(),
        commit_no = snapshot.commit_no,
        "the database is loaded"
    );
    steps.push("load");
    let ledger = Ledger::new(db, config.limits.clone())?;
    Ok((Loaded { ledger, snapshot }, std::mem::take(steps)))
}

/// A new database gets an epoch; one that is older than it once was gets a new one, so that no token and no cursor of
/// its lost future is believed.
fn settle_epoch(db: &mut diesel::SqliteConnection, data_dir: &DataDir) -> Result<(), StartError> {
    let commit_no = meta::get(db, meta::COMMIT_NO)?.unwrap_or(0);
    let known = meta::get(db, meta::EPOCH)?;
    let lost = data_dir.high_water().filter(|mark| known == Some(mark.epoch) && mark.commit_no > commit_no);
    if let Some(mark) = lost {
        error!(
            had = mark.commit_no,
            has = commit_no,
            "the database is older than it was: an older copy was put in place, or commits were lost; everybody must \
             log in again"
        );
    }
    if known.is_none() || lost.is_some() {
        // Below 2^53, so that every JSON reader holds it exactly; never 0.
        let epoch = i64::from(rand::random::<u32>()) << 20 | i64::from(rand::random::<u16>()) | 1;
        meta::set(db, meta::EPOCH, epoch)?;
        meta::set(db, meta::COMMIT_NO, commit_no)?;
    }
    Ok(())
}

/// Compares the read models with a fresh load; answers how many things differ.
async fn verify(services: &Services) -> usize {
    let fresh = services.readers.read(|db| snapshot::load(db, 1, 0)).await;
    let fresh = match fresh {
        Ok(snapshot) => ReadModels::load(snapshot, 1, 0),
        Err(error) => {
            warn!(%error, "the cache could not be compared with the database");
            return 0;
        }
    };
    let differences = services.cache.verify(fresh).await.unwrap_or_default();
    for difference in differences.iter().take(10) {
        error!(difference, "the cache differs from the database");
    }
    differences.len()
}

async fn do_chores(services: Arc<Services>) {
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    loop {
        tokio::select! {
            _ = tidy.tick() => services.tidy_rates(),
            _ = expire.tick() => match services.end_expired_logins().await {
                Ok(0) => {}
                Ok(ended) => {
                    info!(ended, "expired logins were ended");
                    // There may be more.
                    expire.reset_immediately();
                }
                Err(error) => warn!(%error, "expired logins could not be ended"),
            },
        }
    }
}

fn serve_http(
    listener: std::net::TcpListener,
    services: Arc<Services>,
    info: ServerInfo,
    limits: &Limits,
) -> std::io::Result<ServerHandle> {
    let services = web::Data::from(services);
    let info = web::Data::new(info);
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(services.clone())
            .app_data(info.clone())
            .wrap(middleware::from_fn(api::observe::observe))
            .configure(api::routes)
    })
    .workers(Limits::per_core(limits.http_workers))
    .client_request_timeout(Duration::from_millis(limits.request_head_ms))
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .shutdown_timeout((limits.shutdown_ms * u64::from(HTTP_SHARE) / 100 / 1000).max(1))
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    actix::spawn(server);
    Ok(handle)
}

fn serve_operations(
    listener: std::net::TcpListener,
    operations: Operations,
) -> std::io::Result<ServerHandle> {
    let operations = web::Data::new(operations);
    let server =
        HttpServer::new(move || WebApp::new().app_data(operations.clone()).configure(api::operations_routes))
            .workers(1)
            .disable_signals()
            .shutdown_timeout(0)
            .listen(listener)?
            .run();
    let handle = server.handle();
    actix::spawn(server);
    Ok(handle)
}
