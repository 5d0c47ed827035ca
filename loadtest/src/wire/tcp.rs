//! A TCP connection that carries frames.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use tokio::net::TcpStream;

use super::bytes::{read_some, write_all};
use super::frames::hello;
use super::packet_view::PacketView;

/// The server sends no larger frames.
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

/// One connection. Reads and writes take `&mut`, so both directions belong to one loop.
#[derive(Debug)]
pub(crate) struct TcpConnection {
    socket: TcpStream,
    buffer: Vec<u8>,
    used: usize,
    /// The epoch in the `Welcome`.
    pub(crate) epoch: u64,
}

impl TcpConnection {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await.context("cannot connect")?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::new(), used: 0, epoch: 0 })
    }

    /// Connects and sends `Hello`; the answer must be `Welcome`.
    pub(crate) async fn open(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let mut connection = Self::connect(address).await?;
        connection.send(&hello(token, false)?).await?;
        let welcome = connection.frame().await?;
        let view = PacketView::of(welcome)?;
        ensure!(view.packet_type == "Welcome", "{} instead of Welcome: {:?}", view.packet_type, view.error);
        connection.epoch = view.epoch.unwrap_or(0);
        Ok(connection)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        write_all(&self.socket, bytes).await
    }

    /// Returns the next packet without its length prefix. Cancel safe: no bytes are lost.
    pub(crate) async fn frame(&mut self) -> anyhow::Result<&[u8]> {
        while self.packet_length()?.is_none() {
            self.fill().await?;
        }
        self.next()?.context("a buffered frame is missing")
    }

    /// Returns the next packet if it is already buffered.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<&[u8]>> {
        let Some(length) = self.packet_length()? else { return Ok(None) };
        let begin = self.used + 4;
        self.used = begin + length;
        Ok(self.buffer.get(begin..self.used))
    }

    /// Returns the length of the next packet if it is completely buffered.
    fn packet_length(&self) -> anyhow::Result<Option<usize>> {
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        let Some((prefix, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*prefix))?;
        ensure!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
        Ok((rest.len() >= length).then_some(length))
    }

    /// Waits for bytes and buffers all that are available.
    pub(crate) async fn fill(&mut self) -> anyhow::Result<()> {
        if self.used == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.used);
        }
        self.used = 0;
        read_some(&self.socket, &mut self.buffer).await
    }

    /// Releases the read buffer of a connection that becomes idle.
    pub(crate) fn release_buffer(&mut self) {
        if self.used == self.buffer.len() {
            self.buffer = Vec::new();
            self.used = 0;
        }
    }

    /// Closes at once and loses data in flight, as a network failure does.
    pub(crate) fn close(self) {
        drop(self);
    }
}
