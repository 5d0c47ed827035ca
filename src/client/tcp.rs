//! The TCP client: sends frames and receives packets.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::HttpError;
use super::origin::Origin;
use super::websocket;
use crate::domain::ids::ChatId;
use crate::domain::message::ClientId;
use crate::protocol::answer::ReceivedPacket;
use crate::protocol::framing;
use crate::protocol::packet::{MessagePacket, PacketMessage};
use crate::protocol::view::EventData;

/// Larger frames are rejected: the server does not send them.
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum TcpError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("the server closed the connection ({})", .0.as_deref().unwrap_or("without a reason"))]
    Closed(Option<String>),
    #[error("invalid packet from server: {0}")]
    Malformed(String),
    #[error("the server refused: {} ({})", .0.error.as_deref().unwrap_or("no reason"), .0.code.as_deref().unwrap_or("no code"))]
    Refused(Box<ReceivedPacket>),
}

/// The receiving half.
pub struct FrameReader {
    socket: Box<dyn AsyncRead + Send + Unpin>,
    buffer: Vec<u8>,
    used: usize,
    /// The code of the server's `Goodbye`.
    goodbye: Option<String>,
}

/// The sending half.
pub struct FrameWriter {
    socket: Box<dyn AsyncWrite + Send + Unpin>,
}

/// A received packet; events with all of their fields.
#[derive(Debug)]
pub enum Received {
    Event(Box<EventData>),
    Packet(Box<ReceivedPacket>),
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("waiting", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter").finish_non_exhaustive()
    }
}

impl FrameReader {
    /// Receives the next packet. Cancel safe: no bytes are lost if the future is dropped.
    pub async fn next(&mut self) -> Result<ReceivedPacket, TcpError> {
        let frame = self.frame().await?;
        let packet: ReceivedPacket = self.decode(&frame)?;
        if packet.packet_type == "Goodbye" {
            self.goodbye.clone_from(&packet.code);
        }
        Ok(packet)
    }

    /// Like [`FrameReader::next`], but with complete events: a [`ReceivedPacket`] has no fields for
    /// names and roles.
    pub async fn next_incoming(&mut self) -> Result<Received, TcpError> {
        let frame = self.frame().await?;
        let packet: ReceivedPacket = self.decode(&frame)?;
        match packet.packet_type.as_str() {
            "Event" => return Ok(Received::Event(Box::new(self.decode(&frame)?))),
            "Goodbye" => self.goodbye.clone_from(&packet.code),
            _ => {}
        }
        Ok(Received::Packet(Box::new(packet)))
    }

    /// Returns the position of the next frame in the buffer; valid until the next call.
    async fn frame(&mut self) -> Result<Range<usize>, TcpError> {
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let found = framing::split(rest, FRAME_BYTES_MAX)
                .map_err(|error| TcpError::Malformed(error.to_string()))?;
            if let Some((frame, length)) = found {
                let end = self.used + length;
                let frame = end - frame.len()..end;
                self.used = end;
                return Ok(frame);
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            self.buffer.reserve(16 * 1024);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err(TcpError::Closed(self.goodbye.take()));
            }
        }
    }

    fn decode<T: serde::de::DeserializeOwned>(&self, frame: &Range<usize>) -> Result<T, TcpError> {
        let bytes = self.buffer.get(frame.clone()).unwrap_or_default();
        rmp_serde::from_slice(bytes).map_err(|error| TcpError::Malformed(error.to_string()))
    }
}

impl FrameWriter {
    pub async fn send(&mut self, packet: &MessagePacket) -> Result<(), TcpError> {
        self.send_bytes(&encode(packet)?).await
    }

    /// Sends bytes unchanged, well-formed or not.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), TcpError> {
        self.socket.write_all(bytes).await?;
        Ok(self.socket.flush().await?)
    }
}

/// Encodes a packet as a frame.
pub fn encode(packet: &MessagePacket) -> Result<Bytes, TcpError> {
    framing::encode(packet).map_err(|error| TcpError::Malformed(error.to_string()))
}

/// A client of one session: sends requests and waits for their replies. Keeps the events that
/// arrive in between.
#[derive(Debug)]
pub struct TcpClient {
    pub reader: FrameReader,
    pub writer: FrameWriter,
    next_request: u64,
    /// Packets that arrived during the wait for a reply.
    kept: VecDeque<ReceivedPacket>,
}

impl TcpClient {
    pub async fn connect(address: SocketAddr) -> Result<Self, TcpError> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (reading, writing) = socket.into_split();
        Ok(Self::over(reading, writing))
    }

    /// Creates a client over an open connection, such as an encrypted one.
    pub fn over(
        reading: impl AsyncRead + Send + Unpin + 'static,
        writing: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let reader = FrameReader { socket: Box::new(reading), buffer: Vec::new(), used: 0, goodbye: None };
        let writer = FrameWriter { socket: Box::new(writing) };
        Self { reader, writer, next_request: 1, kept: VecDeque::new() }
    }

    /// Connects over WebSocket and TLS, which every reverse proxy passes through.
    pub async fn over_websocket(origin: &Origin) -> Result<Self, HttpError> {
        let (reading, writing) = tokio::io::split(websocket::open(origin).await?);
        Ok(Self::over(reading, writing))
    }

    /// Connects and sends `Hello`. Returns the client and the `Welcome`.
    pub async fn open(address: SocketAddr, token: &str) -> Result<(Self, ReceivedPacket), TcpError> {
        let mut client = Self::connect(address).await?;
        let welcome = client.hello(token).await?;
        Ok((client, welcome))
    }

    /// Authenticates with a token (`Hello`). Returns the `Welcome`.
    pub async fn hello(&mut self, token: &str) -> Result<ReceivedPacket, TcpError> {
        let hello = MessagePacket {
            packet_type: "Hello".to_owned(),
            token: Some(token.to_owned()),
            ..MessagePacket::default()
        };
        self.request(hello).await
    }

    /// Sends `packet` with a new request id and waits for the reply.
    ///
    /// # Errors
    /// [`TcpError::Refused`] if the reply is a NACK.
    pub async fn request(&mut self, packet: MessagePacket) -> Result<ReceivedPacket, TcpError> {
        let answer = self.ask(packet).await?;
        if answer.packet_type == "Ack" && !answer.success {
            return Err(TcpError::Refused(Box::new(answer)));
        }
        Ok(answer)
    }

    /// Like [`TcpClient::request`], but returns a NACK like any other reply.
    pub async fn ask(&mut self, mut packet: MessagePacket) -> Result<ReceivedPacket, TcpError> {
        let request_id = self.next_request;
        self.next_request += 1;
        packet.request_id = Some(request_id);
        self.writer.send(&packet).await?;
        loop {
            let answer = self.reader.next().await?;
            if answer.request_id == Some(request_id) {
                return Ok(answer);
            }
            self.kept.push_back(answer);
        }
    }

    /// Sends a message and waits for the `Ack`.
    pub async fn say(&mut self, chat: ChatId, content: &str) -> Result<ReceivedPacket, TcpError> {
        self.request(saying(chat, ClientId::fresh(), content)).await
    }

    /// Receives the next pushed packet about the history of a chat, such as an event. Skips
    /// notifications, marks, presence, typing, and changed users and avatars.
    pub async fn pushed(&mut self) -> Result<ReceivedPacket, TcpError> {
        loop {
            let packet = self.any().await?;
            if !matches!(
                packet.packet_type.as_str(),
                "ChatAvatar"
                    | "Marks"
                    | "Notification"
                    | "NotificationsRead"
                    | "Presence"
                    | "Typing"
                    | "Users"
            ) {
                return Ok(packet);
            }
        }
    }

    /// Receives the next packet of any type that is not a reply to a request.
    pub async fn any(&mut self) -> Result<ReceivedPacket, TcpError> {
        match self.kept.pop_front() {
            Some(packet) => Ok(packet),
            None => self.reader.next().await,
        }
    }

    pub fn into_halves(self) -> (FrameReader, FrameWriter) {
        (self.reader, self.writer)
    }
}

/// Returns a `SendMessage` packet.
pub fn saying(chat: ChatId, client_id: ClientId, content: &str) -> MessagePacket {
    MessagePacket {
        packet_type: "SendMessage".to_owned(),
        chat_id: Some(chat),
        message: Some(PacketMessage {
            client_id: Some(client_id),
            content: Some(content.to_owned()),
            ..PacketMessage::default()
        }),
        ..MessagePacket::default()
    }
}
