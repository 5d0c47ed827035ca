//! A session over TCP in MessagePack, or over WebSocket in JSON.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use netbit::client::encode;
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::packet::{MessagePacket, PacketMessage};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::wire::{PacketView, TcpConnection, UdpConnection};

/// A request over a session.
#[derive(Debug, Clone)]
pub(crate) enum SessionRequest {
    Send {
        chat: i64,
        content: String,
    },
    Page {
        chat: i64,
    },
    /// Marks all events up to `seq` as read.
    Mark {
        chat: i64,
        seq: i64,
    },
    Typing {
        chat: i64,
    },
}

pub(crate) enum Transport {
    Tcp(TcpConnection),
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
}

impl Transport {
    /// Opens a session over TCP, and the UDP session of its ticket.
    pub(crate) async fn tcp(address: SocketAddr, token: String) -> anyhow::Result<(Self, UdpConnection)> {
        let mut connection = TcpConnection::connect(address).await?;
        let hello = MessagePacket {
            packet_type: "Hello".to_owned(),
            request_id: Some(0),
            token: Some(token),
            udp: Some(true),
            ..MessagePacket::default()
        };
        connection.send(&encode(&hello)?).await?;
        let view = PacketView::of(connection.frame().await?)?;
        ensure!(view.packet_type == "Welcome", "{view:?} instead of Welcome");
        let udp = UdpConnection::open(&view.udp.context("Welcome without a ticket")?).await?;
        Ok((Self::Tcp(connection), udp))
    }

    pub(crate) async fn socket(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let (mut socket, _) = connect_async(format!("ws://{address}/ws")).await?;
        let hello = json!({"packet_type": "Hello", "request_id": 0, "token": token});
        socket.send(Message::text(hello.to_string())).await?;
        let mut transport = Self::Socket(Box::new(socket));
        let packet = transport.next().await?;
        let view = transport.read(&packet)?;
        ensure!(view.packet_type == "Welcome", "{view:?} instead of Welcome");
        Ok(transport)
    }

    /// Returns the bytes of the next packet. Cancel safe: no packet is lost.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Tcp(connection) => Ok(connection.frame().await?.to_vec()),
            Self::Socket(socket) => loop {
                match socket.next().await.context("the server closed the WebSocket")?? {
                    Message::Text(text) => return Ok(text.as_bytes().to_vec()),
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => bail!("not a packet: {other:?}"),
                }
            },
        }
    }

    pub(crate) fn read<'a>(&self, packet: &'a [u8]) -> anyhow::Result<PacketView<'a>> {
        match self {
            Self::Tcp(_) => PacketView::of(packet),
            Self::Socket(_) => serde_json::from_slice(packet).context("invalid packet from the server"),
        }
    }

    pub(crate) async fn ask(&mut self, request_id: u64, ask: SessionRequest) -> anyhow::Result<()> {
        match self {
            Self::Tcp(connection) => connection.send(&encode(&packet(request_id, ask))?).await,
            Self::Socket(socket) => Ok(socket.send(Message::text(text(request_id, ask).to_string())).await?),
        }
    }
}

fn packet(request_id: u64, ask: SessionRequest) -> MessagePacket {
    let of = |packet_type: &str, chat: i64| MessagePacket {
        packet_type: packet_type.to_owned(),
        request_id: Some(request_id),
        chat_id: Some(ChatId(chat)),
        ..MessagePacket::default()
    };
    match ask {
        SessionRequest::Send { chat, content } => {
            let message = PacketMessage {
                client_id: Some(ClientId::fresh()),
                content: Some(content),
                ..PacketMessage::default()
            };
            MessagePacket { message: Some(message), ..of("SendMessage", chat) }
        }
        SessionRequest::Page { chat } => MessagePacket { limit: Some(50), ..of("GetMessages", chat) },
        SessionRequest::Mark { chat, seq } => {
            MessagePacket { read_seq: u64::try_from(seq).ok(), ..of("Mark", chat) }
        }
        SessionRequest::Typing { chat } => of("Typing", chat),
    }
}

fn text(request_id: u64, ask: SessionRequest) -> Value {
    match ask {
        SessionRequest::Send { chat, content } => {
            json!({"packet_type": "SendMessage", "request_id": request_id, "chat_id": chat,
            "message": {"client_id": uuid::Uuid::now_v7(), "content": content}})
        }
        SessionRequest::Page { chat } => {
            json!({"packet_type": "GetMessages", "request_id": request_id, "chat_id": chat, "limit": 50})
        }
        SessionRequest::Mark { chat, seq } => {
            json!({"packet_type": "Mark", "request_id": request_id, "chat_id": chat, "read_seq": seq})
        }
        SessionRequest::Typing { chat } => {
            json!({"packet_type": "Typing", "request_id": request_id, "chat_id": chat})
        }
    }
}
