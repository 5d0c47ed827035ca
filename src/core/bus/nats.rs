//! The bus over NATS: publish and subscribe of core NATS, without JetStream.
//!
//! The client library connects again by itself; the link does that instead, so that all transports
//! report a gap in the same way.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::link::{Incoming, LinkError, Receiver, Sender, Transport};

/// Maximum number of messages that wait.
const WAITING_MAX: usize = 1_024;
/// Interval at which the library checks the connection.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Maximum number of events of the library that wait.
const EVENTS_MAX: usize = 16;

pub(super) struct Channel {
    pub(super) address: ServerAddr,
    pub(super) subject: String,
}

pub(super) struct Publisher {
    client: Client,
    subject: String,
}

pub(super) struct Subscriber {
    messages: async_nats::Subscriber,
    events: mpsc::Receiver<Event>,
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> LinkError {
    LinkError::Nats(Box::new(error))
}

impl Transport for Channel {
    type Sender = Publisher;
    type Receiver = Subscriber;

    async fn connect(&self) -> Result<(Publisher, Subscriber), LinkError> {
        let (reports, events) = mpsc::channel(EVENTS_MAX);
        let options = ConnectOptions::new()
            .name("netbit")
            .max_reconnects(1)
            .ping_interval(PING_EVERY)
            .subscription_capacity(WAITING_MAX)
            .event_callback(move |event| {
                let reports = reports.clone();
                async move {
                    reports.try_send(event).ok();
                }
            });
        let client = options.connect(self.address.clone()).await.map_err(failed)?;
        let messages = client.subscribe(self.subject.clone()).await.map_err(failed)?;
        client.flush().await.map_err(failed)?;
        let publisher = Publisher { client, subject: self.subject.clone() };
        Ok((publisher, Subscriber { messages, events }))
    }

    fn place(&self) -> String {
        format!("NATS at {}:{}", self.address.host(), self.address.port())
    }
}

impl Sender for Publisher {
    async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        for message in messages {
            self.client.publish(self.subject.clone(), message.clone().into()).await.map_err(failed)?;
        }
        self.client.flush().await.map_err(failed)
    }
}

impl Receiver for Subscriber {
    async fn next(&mut self) -> Option<Incoming> {
        loop {
            tokio::select! {
                message = self.messages.next() => {
                    return message.map(|message| Incoming::copy_of(&message.payload));
                }
                event = self.events.recv() => match event {
                    Some(Event::SlowConsumer(_)) => return Some(Incoming::Lost),
                    // The subject is not permitted, or the server is full.
                    Some(Event::ServerError(error)) => tracing::warn!(%error, "NATS reports an error"),
                    Some(Event::Disconnected | Event::Closed) | None => return None,
                    Some(_) => {}
                }
            }
        }
    }
}
