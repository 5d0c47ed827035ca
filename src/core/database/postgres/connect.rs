//! The server, and connections to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel_async::AsyncPgConnection;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::config::{LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Config, Connection, NoTls, Socket};
use tracing::{debug, warn};

use super::tls::Tls;
use super::url::{Target, UrlError, each_host, parse};
use super::watch::{self, Watch};
use super::{
    COMMIT_LOCK_WAIT, DEAD_LINK_AFTER, IDLE_TRANSACTION_MAX, PgConnection, Postgres, Purpose, READ_MAX,
    REPLICA_READ_MAX, Seen,
};

/// How long one address of the server may take to answer, unless the URL has `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum time for a connection, over all addresses and TLS.
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// Interval at which the driver checks for a statement without an answer.
const WATCH_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error("database: {0}")]
    Url(#[from] UrlError),
    #[error("cannot connect to PostgreSQL at {place}: {source}")]
    Connect { place: String, source: tokio_postgres::Error },
    #[error("PostgreSQL at {place} refused the settings of a connection: {source}")]
    Settings { place: String, source: diesel::ConnectionError },
    #[error("PostgreSQL at {place} refused the settings of a connection: {source}")]
    Session { place: String, source: diesel::result::Error },
    #[error("PostgreSQL at {0} did not answer within {seconds} seconds", seconds = CONNECT_MAX.as_secs())]
    Timeout(String),
    #[error("the thread of the connections to PostgreSQL cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    #[error("a connection to PostgreSQL has ended")]
    Ended,
}

/// The PostgreSQL server of the configuration, and the thread that drives its connections.
pub struct Server {
    config: Config,
    tls: Tls,
    /// Host, port and database, without user and password.
    place: String,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Server {
    /// Reads the URL; connects to nothing yet.
    ///
    /// # Errors
    /// [`PostgresError::Url`] names the mistake.
    pub fn new(url: &str) -> Result<Arc<Self>, PostgresError> {
        Self::of(parse(url)?)
    }

    /// Like [`Self::new`], for replicas: each connection is to a random host of the URL.
    ///
    /// # Errors
    /// [`PostgresError::Url`] names the mistake.
    pub fn replicas(url: &str) -> Result<Arc<Self>, PostgresError> {
        let mut target = parse(url)?;
        target
            .config
            .target_session_attrs(TargetSessionAttrs::Any)
            .load_balance_hosts(LoadBalanceHosts::Random);
        Self::of(target)
    }

    /// Like [`Self::replicas`], with one server for each host of the URL.
    ///
    /// # Errors
    /// [`PostgresError::Url`] names the mistake.
    pub fn each_replica(url: &str) -> Result<Vec<Arc<Self>>, PostgresError> {
        each_host(url).iter().map(|url| Self::replicas(url)).collect()
    }

    fn of(target: Target) -> Result<Arc<Self>, PostgresError> {
        let mut config = target.config;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config
            .application_name("netbit")
            .tcp_user_timeout(DEAD_LINK_AFTER)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(1))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(2);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(PostgresError::Thread)?;
        let tls = Tls::new(target.verification)?;
        Ok(Arc::new(Self { config, tls, place: target.place, runtime: Some(runtime) }))
    }

    /// Checks the URL.
    pub fn check(url: &str) -> Result<(), UrlError> {
        parse(url).map(drop)
    }

    /// Returns host, port and database, without user and password.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Runs a future on the thread of the connections.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, PostgresError>> + Send + 'static,
    ) -> Result<T, PostgresError> {
        let timeout = || PostgresError::Timeout(self.place.clone());
        let Some(runtime) = &self.runtime else { return Err(timeout()) };
        let done = runtime.spawn(tokio::time::timeout(CONNECT_MAX, work)).await;
        done.ok().and_then(Result::ok).unwrap_or_else(|| Err(timeout()))
    }

    /// Opens a connection. Waits on this thread, which may belong to a runtime.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub fn connect(self: &Arc<Self>, purpose: Purpose) -> Result<Postgres, PostgresError> {
        let Some(runtime) = &self.runtime else { return Err(PostgresError::Timeout(self.place.clone())) };
        let (answer, received) = std::sync::mpsc::sync_channel(1);
        let (server, watch) = (self.clone(), Arc::new(Watch::default()));
        let driven = Driven { seen: Arc::default(), watch: watch.clone(), answer_max: purpose.answer_max() };
        let seen = driven.seen.clone();
        runtime.spawn(async move {
            let connected = tokio::time::timeout(CONNECT_MAX, server.open(driven)).await;
            let timeout = || PostgresError::Timeout(server.place.clone());
            answer.send(connected.unwrap_or_else(|_| Err(timeout()))).ok();
        });
        let timeout = || PostgresError::Timeout(self.place.clone());
        let connection = received.recv().map_err(|_| timeout())??;
        watch::set_next(watch.clone());
        let mut queries = PgConnection::from(connection);
        queries
            .batch_execute(&settings(purpose))
            .map_err(|source| PostgresError::Session { place: self.place.clone(), source })?;
        Ok(Postgres { queries, server: self.clone(), purpose, is_broken: false, seen, watch })
    }

    async fn open(&self, driven: Driven) -> Result<AsyncPgConnection, PostgresError> {
        match &self.tls {
            Tls::Off => self.open_with(NoTls, driven).await,
            Tls::On(connector) => self.open_with(connector.clone(), driven).await,
        }
    }

    async fn open_with<T>(&self, tls: T, driven: Driven) -> Result<AsyncPgConnection, PostgresError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let connected = self.config.connect(tls).await;
        let (client, connection) =
            connected.map_err(|source| PostgresError::Connect { place: self.place.clone(), source })?;
        tokio::spawn(drive(connection, driven));
        let opened = AsyncPgConnection::try_from(client).await;
        opened.map_err(|source| PostgresError::Settings { place: self.place.clone(), source })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropped on a thread of another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Settings of every connection. The server must notice soon that this machine is gone: a backend
/// that waits for it may hold the commit lock. Without effect on a socket that is not TCP.
fn tcp_settings() -> String {
    let user_timeout = DEAD_LINK_AFTER.as_millis();
    format!(
        "SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; \
         SET tcp_user_timeout = {user_timeout}"
    )
}

fn settings(purpose: Purpose) -> String {
    let (tcp, idle) = (tcp_settings(), IDLE_TRANSACTION_MAX.as_millis());
    match purpose {
        // No `statement_timeout`: a COMMIT must never be cancelled.
        Purpose::Writer => format!(
            "{tcp}; SET idle_in_transaction_session_timeout = {idle}; SET lock_timeout = {wait}; \
             SET statement_timeout = 0; SET client_connection_check_interval = 500; \
             SET default_transaction_isolation = 'read committed'",
            wait = COMMIT_LOCK_WAIT.as_millis()
        ),
        Purpose::Migration => format!(
            "{tcp}; SET statement_timeout = 0; SET lock_timeout = 0; \
             SET default_transaction_isolation = 'read committed'"
        ),
        Purpose::Reader => reader_settings(&tcp, READ_MAX),
        Purpose::Replica => reader_settings(&tcp, REPLICA_READ_MAX),
    }
}

fn reader_settings(tcp: &str, read_max: Duration) -> String {
    format!(
        "{tcp}; SET statement_timeout = {read}; SET idle_in_transaction_session_timeout = {read}; \
         SET client_connection_check_interval = 500; SET default_transaction_read_only = on",
        read = read_max.as_millis()
    )
}

/// The driver's side of a connection.
struct Driven {
    seen: Arc<Seen>,
    watch: Arc<Watch>,
    answer_max: Option<Duration>,
}

/// Reads and writes the socket until the connection ends. Notes warnings of the server.
async fn drive<S>(mut connection: Connection<Socket, S>, driven: Driven)
where
    S: tokio_postgres::tls::TlsStream + Unpin,
{
    let mut watch = tokio::time::interval(WATCH_EVERY);
    loop {
        let message = tokio::select! {
            message = std::future::poll_fn(|context| connection.poll_message(context)) => message,
            _ = watch.tick() => {
                let elapsed = driven.watch.elapsed();
                if elapsed.zip(driven.answer_max).is_some_and(|(elapsed, max)| elapsed > max) {
                    warn!("PostgreSQL does not answer: the connection is closed");
                    break;
                }
                continue;
            }
        };
        match message {
            Some(Ok(AsyncMessage::Notice(notice))) if notice.code().code().starts_with("01") => {
                warn!(message = notice.message(), "PostgreSQL warns");
                driven.seen.warned.store(true, Ordering::SeqCst);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                debug!(%error, "a connection to PostgreSQL failed");
                break;
            }
            None => break,
        }
    }
    driven.seen.closed.store(true, Ordering::SeqCst);
}
