//! The bus over LISTEN and NOTIFY of PostgreSQL, on one connection of its own.
//!
//! A notification commits a transaction. `synchronous_commit` is off for it, so it waits for no
//! fsync while it holds the lock that orders all notifications of the database server.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::link::{Incoming, LinkError, Receiver, Sender, Transport};
use crate::core::database::postgres::{Listener, Notifications, Notifier, Server};

/// The channel of the bus; its database is that of the cluster.
const CHANNEL: &str = "netbit_bus";
/// Maximum number of notifications that wait.
const WAITING_MAX: usize = 1_024;

pub(super) struct Channel {
    pub(super) server: Arc<Server>,
}

impl Transport for Channel {
    type Sender = Notifier;
    type Receiver = Notifications;

    async fn connect(&self) -> Result<(Notifier, Notifications), LinkError> {
        let listener: Listener = self.server.listen(CHANNEL, WAITING_MAX).await?;
        Ok(listener.split())
    }

    fn place(&self) -> String {
        format!("PostgreSQL at {}", self.server.place())
    }
}

impl Sender for Notifier {
    async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        let payloads: Vec<_> = messages.iter().map(|message| STANDARD_NO_PAD.encode(message)).collect();
        Ok(self.notify(CHANNEL, &payloads).await?)
    }
}

impl Receiver for Notifications {
    async fn next(&mut self) -> Option<Incoming> {
        if self.take_lost() {
            return Some(Incoming::Lost);
        }
        // A payload that is not base64 opens as a forged message.
        let payload = Notifications::next(self).await?;
        Some(Incoming::Message(STANDARD_NO_PAD.decode(payload).unwrap_or_default()))
    }
}
