//! PostgreSQL: the server's address, its connections, and the migrations of its schema.
//!
//! Queries are diesel's; tokio-postgres sends them. A thread of [`Server`] drives the sockets, and
//! the thread of a query waits for the answer.
//!
//! Invariants: a transaction that is idle for [`IDLE_TRANSACTION_MAX`] is ended by the server, so a
//! node that stops answering holds the commit lock for no longer. A dead link is noticed within
//! [`DEAD_LINK_AFTER`].

mod connect;
mod migrate;
mod tls;
mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};

pub use connect::{PostgresError, Server};
pub use migrate::{MIGRATIONS, migrate};
pub use url::UrlError;

/// The server ends a transaction that waits for this node for longer.
pub const IDLE_TRANSACTION_MAX: Duration = Duration::from_secs(2);
/// A link on which nothing is acknowledged for longer is closed.
pub const DEAD_LINK_AFTER: Duration = Duration::from_secs(2);
/// How long a transaction waits for the commit lock. Longer than any holder may keep it.
pub const COMMIT_LOCK_WAIT: Duration = Duration::from_secs(15);
/// The longest read: of a snapshot at start.
pub const READ_MAX: Duration = Duration::from_secs(120);

/// A connection with which diesel executes queries.
pub type PgConnection = AsyncConnectionWrapper<AsyncPgConnection, ThisThread>;

/// Waits for answers on the thread of the query. The sockets are driven by another thread.
///
/// Invariant: the future is not constrained by tokio's cooperative budget, which is never refilled
/// while the thread waits: a long load would stop in the middle.
#[derive(Debug)]
pub struct ThisThread;

impl BlockOn for ThisThread {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        futures_executor::block_on(tokio::task::unconstrained(future))
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// A connection, with the means to replace it.
pub struct Postgres {
    pub queries: PgConnection,
    server: Arc<Server>,
    purpose: Purpose,
    /// Whether a statement found that the connection was lost.
    pub(super) is_broken: bool,
    link: Arc<Link>,
}

/// What the thread of the sockets notes about a connection.
#[derive(Debug, Default)]
struct Link {
    /// The server warned about the last COMMIT.
    warned: AtomicBool,
    ended: AtomicBool,
}

/// The settings of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Writer,
    Reader,
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

    /// Forgets earlier warnings. Called before a COMMIT.
    pub fn expect_no_warning(&self) {
        self.link.warned.store(false, Ordering::SeqCst);
    }

    /// Returns whether the server warned since [`Postgres::expect_no_warning`]: a COMMIT whose wait
    /// for a synchronous standby was cancelled succeeds with a warning, and may be lost.
    pub fn warned(&self) -> bool {
        self.link.warned.load(Ordering::SeqCst)
    }

    /// Returns whether the connection has ended, perhaps while it was idle.
    pub fn has_ended(&self) -> bool {
        self.link.ended.load(Ordering::SeqCst)
    }

    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }
}

/// Returns whether the connection was lost, so that nothing is known of a statement in flight.
pub fn is_lost(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(
            DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection,
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
