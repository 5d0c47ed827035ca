//! LISTEN: notifications of other connections, as hints that there is something to read.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Socket};
use tracing::debug;

use super::connect::{PostgresError, Server};
use super::tls::Tls;

/// Maximum number of notifications that wait. Further ones are dropped: they are hints.
const HINTS_MAX: usize = 64;

/// A connection that listens on a channel. Dropping it ends the connection.
pub struct Listener {
    _client: Client,
    payloads: Receiver<String>,
}

impl Listener {
    /// Returns the payload of the next notification; `None` after the connection was lost.
    pub async fn next(&mut self) -> Option<String> {
        self.payloads.recv().await
    }
}

impl Server {
    /// Opens a connection that listens on `channel`, an identifier.
    ///
    /// # Errors
    /// [`PostgresError`] if the server cannot be reached or refuses.
    pub async fn listen(self: &Arc<Self>, channel: &'static str) -> Result<Listener, PostgresError> {
        let server = self.clone();
        self.run(async move {
            match server.tls() {
                Tls::Off => server.listen_with(NoTls, channel).await,
                Tls::On(connector) => server.listen_with(connector.clone(), channel).await,
            }
        })
        .await
    }

    async fn listen_with<T>(&self, tls: T, name: &str) -> Result<Listener, PostgresError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let failed = |source| PostgresError::Connect { place: self.place().to_owned(), source };
        let (client, connection) = self.config().connect(tls).await.map_err(failed)?;
        let (send, payloads) = channel(HINTS_MAX);
        tokio::spawn(forward(connection, send));
        client.batch_execute(&format!("LISTEN {name}")).await.map_err(failed)?;
        Ok(Listener { _client: client, payloads })
    }
}

/// Forwards notifications until the connection ends.
async fn forward<S: TlsStream + Unpin>(mut connection: Connection<Socket, S>, payloads: Sender<String>) {
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                drop(payloads.try_send(notification.payload().to_owned()));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return debug!(%error, "the connection that listens failed"),
            None => return,
        }
    }
}
