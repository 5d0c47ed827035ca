//! LISTEN and NOTIFY: notifications between connections, as hints that there is something to read.
//! The connection also asks small questions of the database, and holds a lock of its session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, SimpleQueryMessage, SimpleQueryRow, Socket};
use tracing::debug;

use super::connect::{PostgresError, Server};
use super::tls::Tls;

/// How long an answer to a question may take. A server that is slower counts as lost.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Settings of the session. The server must notice soon that this machine is gone: it holds the
/// lock until then. A notification that is sent here waits for no fsync.
const SETTINGS: &str = "SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; \
     SET tcp_keepalives_count = 3; SET statement_timeout = 0; SET synchronous_commit = off";

/// A connection that listens on a channel. Dropping it ends the connection.
pub struct Listener {
    notifier: Notifier,
    notifications: Notifications,
}

/// Sends notifications on the connection of a [`Listener`].
pub struct Notifier {
    client: Client,
    /// Host, port and database.
    place: String,
}

/// The notifications that a [`Listener`] receives.
pub struct Notifications {
    payloads: Receiver<String>,
    lost: Arc<AtomicBool>,
}

impl Listener {
    /// Returns the payload of the next notification; `None` after the connection was lost.
    pub async fn next(&mut self) -> Option<String> {
        self.notifications.next().await
    }

    /// Returns both directions of the connection. It ends with the first of them.
    pub fn split(self) -> (Notifier, Notifications) {
        (self.notifier, self.notifications)
    }

    /// Returns the columns of the first row of a query, as text. Empty without a row.
    ///
    /// # Errors
    /// [`PostgresError::Ended`] if the server does not answer in time or the query fails.
    pub async fn first_row(&self, query: &str) -> Result<Vec<Option<String>>, PostgresError> {
        let asked = tokio::time::timeout(ANSWER_MAX, self.notifier.client.simple_query(query)).await;
        let messages = asked.map_err(|_| PostgresError::Ended)?.map_err(|error| {
            debug!(%error, "the connection that listens cannot query");
            PostgresError::Ended
        })?;
        let row = messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let columns = |row: SimpleQueryRow| (0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect();
        Ok(row.map(columns).unwrap_or_default())
    }

    /// Tries to take the advisory lock `key`, which is held until the connection ends. Returns
    /// whether this connection has it.
    ///
    /// # Errors
    /// As [`Listener::first_row`].
    pub async fn try_lock(&self, key: i64) -> Result<bool, PostgresError> {
        let row = self.first_row(&format!("SELECT pg_try_advisory_lock({key})")).await?;
        Ok(row.first().and_then(Option::as_deref) == Some("t"))
    }

    /// Releases an advisory lock of this connection.
    ///
    /// # Errors
    /// As [`Listener::first_row`].
    pub async fn unlock(&self, key: i64) -> Result<(), PostgresError> {
        self.first_row(&format!("SELECT pg_advisory_unlock({key})")).await.map(drop)
    }
}

impl Notifications {
    /// Returns the payload of the next notification; `None` after the connection was lost.
    pub async fn next(&mut self) -> Option<String> {
        self.payloads.recv().await
    }

    /// Returns whether notifications were dropped since the last call, because too many waited.
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }
}

impl Notifier {
    /// Sends notifications, each of less than 8,000 bytes, in one transaction.
    ///
    /// # Errors
    /// [`PostgresError`] if the connection was lost.
    pub async fn notify(&self, channel: &str, payloads: &[String]) -> Result<(), PostgresError> {
        let statement = "SELECT pg_notify($1, payload) FROM unnest($2) AS payload";
        let sent = self
            .client
            .query_typed(statement, &[(&channel, Type::TEXT), (&payloads, Type::TEXT_ARRAY)])
            .await;
        let failed = |source| PostgresError::Connect { place: self.place.clone(), source };
        sent.map(drop).map_err(failed)
    }
}

impl Server {
    /// Opens a connection that listens on `channel`, an identifier. At most `waiting_max`
    /// notifications wait; further ones are dropped.
    ///
    /// # Errors
    /// [`PostgresError`] if the server cannot be reached or refuses.
    pub async fn listen(
        self: &Arc<Self>,
        channel: &'static str,
        waiting_max: usize,
    ) -> Result<Listener, PostgresError> {
        let server = self.clone();
        self.run(async move {
            match server.tls() {
                Tls::Off => server.listen_with(NoTls, channel, waiting_max).await,
                Tls::On(connector) => server.listen_with(connector.clone(), channel, waiting_max).await,
            }
        })
        .await
    }

    async fn listen_with<T>(&self, tls: T, name: &str, waiting_max: usize) -> Result<Listener, PostgresError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let failed = |source| PostgresError::Connect { place: self.place().to_owned(), source };
        let (client, connection) = self.config().connect(tls).await.map_err(failed)?;
        let (send, payloads) = channel(waiting_max);
        let lost = Arc::<AtomicBool>::default();
        tokio::spawn(forward(connection, send, lost.clone()));
        let settings = format!("{SETTINGS}; LISTEN {name}");
        client.batch_execute(&settings).await.map_err(failed)?;
        let notifier = Notifier { client, place: self.place().to_owned() };
        Ok(Listener { notifier, notifications: Notifications { payloads, lost } })
    }
}

/// Forwards notifications until the connection ends.
async fn forward<S: TlsStream + Unpin>(
    mut connection: Connection<Socket, S>,
    payloads: Sender<String>,
    lost: Arc<AtomicBool>,
) {
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if payloads.try_send(notification.payload().to_owned()).is_err() {
                    lost.store(true, Ordering::Relaxed);
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return debug!(%error, "the connection that listens failed"),
            None => return,
        }
    }
}
