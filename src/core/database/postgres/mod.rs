//! PostgreSQL: the server's address, its connections, and the migrations of its schema.
//!
//! Queries are diesel's; tokio-postgres sends them. A thread of [`Server`] drives the sockets, and
//! the thread of a query waits for the answer.
//!
//! Invariants: a transaction that is idle for [`IDLE_TRANSACTION_MAX`] is ended by the server, so a
//! node that stops answering holds the commit lock for no longer. A dead link is noticed within
//! [`DEAD_LINK_AFTER`].

mod connect;
mod listen;
mod migrate;
mod tls;
mod together;
mod url;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};

pub use connect::{PostgresError, Server};
pub use listen::{Listener, Notifications, Notifier};
pub use migrate::{MIGRATIONS, compare_migrations, migrate};
pub use url::UrlError;
use watch::Watch;

/// The server ends a transaction that waits for this node for longer.
pub const IDLE_TRANSACTION_MAX: Duration = Duration::from_secs(2);
/// A link on which nothing is acknowledged for longer is closed.
pub const DEAD_LINK_AFTER: Duration = Duration::from_secs(2);
/// How long a transaction waits for the commit lock. Longer than several holders in turn that are
/// ended for being idle.
pub const COMMIT_LOCK_WAIT: Duration = Duration::from_secs(8);
/// The longest read: of a snapshot at start.
pub const READ_MAX: Duration = Duration::from_secs(120);
/// The longest read from a replica.
pub const REPLICA_READ_MAX: Duration = Duration::from_secs(1);
/// Like [`ANSWER_GRACE`], for a replica: reads of the primary must not wait for it.
const REPLICA_GRACE: Duration = Duration::from_millis(250);
/// How much longer than its own limit a statement may take before its connection is closed: the
/// server process may be stopped, while its kernel acknowledges everything.
const ANSWER_GRACE: Duration = Duration::from_secs(4);

/// Time between the last error of a connection and its end.
const CLOSE_GRACE: Duration = Duration::from_millis(20);

/// A connection with which diesel executes queries.
pub type PgConnection = AsyncConnectionWrapper<AsyncPgConnection, ThisThread>;

/// Waits for answers on the thread of the query. The sockets are driven by another thread.
///
/// Invariant: the future is not constrained by tokio's cooperative budget, which is never refilled
/// while the thread waits: a long load would stop in the middle.
#[derive(Debug)]
pub struct ThisThread(Arc<Watch>);

impl BlockOn for ThisThread {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _waiting = self.0.begin();
        futures_executor::block_on(tokio::task::unconstrained(future))
    }

    fn get_runtime() -> Self {
        Self(watch::next())
    }
}

/// A connection, with the means to replace it.
pub struct Postgres {
    pub queries: PgConnection,
    server: Arc<Server>,
    purpose: Purpose,
    /// Whether a statement found that the connection was lost.
    pub(super) is_broken: bool,
    /// Warnings and the end of the connection, as its driver has seen them.
    seen: Arc<Seen>,
    /// Shared with `queries`, for statements that are sent together.
    watch: Arc<Watch>,
}

/// The state that the driver of a connection has seen.
#[derive(Debug, Default)]
struct Seen {
    /// The server warned about the last COMMIT.
    warned: AtomicBool,
    /// The connection has ended.
    closed: AtomicBool,
}

/// The settings of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Writer,
    Reader,
    /// Reads that the primary repeats if they take too long.
    Replica,
    /// Migrations, copies and the registration of a node: statements without a limit.
    Migration,
}

impl Purpose {
    /// Returns how long a statement may take until its connection is closed.
    fn answer_max(self) -> Option<Duration> {
        match self {
            Self::Writer => Some(COMMIT_LOCK_WAIT + ANSWER_GRACE),
            Self::Reader => Some(READ_MAX + ANSWER_GRACE),
            Self::Replica => Some(REPLICA_READ_MAX + REPLICA_GRACE),
            Self::Migration => None,
        }
    }
}

impl Postgres {
    /// Replaces the connection after it was lost.
    ///
    /// # Errors
    /// [`PostgresError`] if the server cannot be reached; the old connection stays.
    pub fn reconnect(&mut self) -> Result<(), PostgresError> {
        *self = self.server.connect(self.purpose)?;
        Ok(())
    }

    /// Opens another connection to take the place of this one, on a thread of its own.
    pub fn open_another(&self) -> Receiver<Result<Self, PostgresError>> {
        let (server, purpose) = (self.server.clone(), self.purpose);
        let (opened, receiver) = sync_channel(1);
        // Without a thread the receiver reports that the sender is gone.
        let thread = std::thread::Builder::new().name("connect".to_owned());
        drop(thread.spawn(move || drop(opened.send(server.connect(purpose)))));
        receiver
    }

    /// Discards earlier warnings. Called before a COMMIT.
    pub fn expect_no_warning(&self) {
        self.seen.warned.store(false, Ordering::SeqCst);
    }

    /// Returns whether the server warned since [`Postgres::expect_no_warning`]: a COMMIT whose wait
    /// for a synchronous standby was cancelled succeeds with a warning, and may be lost.
    pub fn warned(&self) -> bool {
        self.seen.warned.load(Ordering::SeqCst)
    }

    /// Returns whether the error means that the connection was lost.
    ///
    /// The server's text of such an error depends on its language; the end of the connection
    /// follows it at once.
    pub fn lost(&self, error: &QueryError) -> bool {
        let is_unknown = matches!(error, QueryError::DatabaseError(DatabaseErrorKind::Unknown, _));
        if is_unknown && !is_lost(error) && !self.seen.closed.load(Ordering::SeqCst) {
            std::thread::sleep(CLOSE_GRACE);
        }
        is_lost(error) || is_unknown && self.seen.closed.load(Ordering::SeqCst)
    }

    /// Returns whether the connection has ended, perhaps while it was idle.
    pub fn has_ended(&self) -> bool {
        self.seen.closed.load(Ordering::SeqCst)
    }

    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }
}

/// Returns whether the connection was lost, so that nothing is known of a statement in flight.
pub fn is_lost(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(
            // A server that became a standby accepts no writes: a new connection finds the primary.
            DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::ReadOnlyTransaction,
            _,
        )
        | QueryError::BrokenTransactionManager => true,
        // Class 57P: the server ends the connection, or is starting or stopping.
        QueryError::DatabaseError(_, info) => {
            let message = info.message();
            message.starts_with("terminating connection") || message.starts_with("the database system is ")
        }
        _ => false,
    }
}
