//! The bus over Redis or Valkey: PUBLISH on one connection, SUBSCRIBE on another.

use futures_util::StreamExt;
use redis::AsyncConnectionConfig;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};

use super::link::{Incoming, LinkError, Receiver, Sender, Transport};

pub(super) struct Channel {
    pub(super) client: redis::Client,
    pub(super) name: String,
}

pub(super) struct Publisher {
    connection: MultiplexedConnection,
    channel: String,
}

pub(super) struct Subscriber {
    stream: PubSubStream,
    /// Keeps the subscription.
    _sink: PubSubSink,
}

impl Transport for Channel {
    type Sender = Publisher;
    type Receiver = Subscriber;

    async fn connect(&self) -> Result<(Publisher, Subscriber), LinkError> {
        let config = AsyncConnectionConfig::new();
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
        sink.subscribe(&self.name).await?;
        let publisher = Publisher { connection, channel: self.name.clone() };
        Ok((publisher, Subscriber { stream, _sink: sink }))
    }

    fn place(&self) -> String {
        format!("Redis at {}", self.client.get_connection_info().addr())
    }
}

impl Sender for Publisher {
    async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        let mut pipeline = redis::pipe();
        for message in messages {
            pipeline.cmd("PUBLISH").arg(&self.channel).arg(message).ignore();
        }
        pipeline.query_async::<()>(&mut self.connection).await?;
        Ok(())
    }
}

impl Receiver for Subscriber {
    async fn next(&mut self) -> Option<Incoming> {
        let message = self.stream.next().await?;
        Some(Incoming::copy_of(message.get_payload_bytes()))
    }
}
