//! A socket that carries frames.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use tokio::net::TcpStream;

use super::bytes::{read_some, write_all};
use super::frames::hello;
use super::packet_view::PacketView;

/// Larger frames are no frames of ours.
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

/// One connection. Reads and writes take `&mut`: whoever does both at once does so in one loop.
#[derive(Debug)]
pub(crate) struct TcpConnection {
    socket: TcpStream,
    buffer: Vec<u8>,
    used: usize,
    /// What the `Welcome` said.
    pub(crate) epoch: u64,
}

impl TcpConnection {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await.context("cannot connect")?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::new(), used: 0, epoch: 0 })
    }

    /// Connects and says who one is; the answer must be `Welcome`.
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

    /// The next packet, without its length. May be dropped while it waits: no bytes are lost.
    pub(crate) async fn frame(&mut self) -> anyhow::Result<&[u8]> {
        while self.packet_length()?.is_none() {
            self.fill().await?;
        }
        self.next()?.context("a frame that was here is gone")
    }

    /// The next packet, if it is here already.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<&[u8]>> {
        let Some(length) = self.packet_length()? else { return Ok(None) };
        let begin = self.used + 4;
        self.used = begin + length;
        Ok(self.buffer.get(begin..self.used))
    }

    /// How long the next packet is, if it is here as a whole.
    fn packet_length(&self) -> anyhow::Result<Option<usize>> {
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        let Some((prefix, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*prefix))?;
        ensure!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
        Ok((rest.len() >= length).then_some(length))
    }

    /// Waits for bytes, and takes as many as there are.
    pub(crate) async fn fill(&mut self) -> anyhow::Result<()> {
        if self.used == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.used);
        }
        self.used = 0;
        read_some(&self.socket, &mut self.buffer).await
    }

    /// Gives the memory back that reading took: for connections that idle.
    pub(crate) fn release_buffer(&mut self) {
        if self.used == self.buffer.len() {
            self.buffer = Vec::new();
            self.used = 0;
        }
    }

    /// Closes at once, with what is under way lost, as when a network fails.
    pub(crate) fn close(self) {
        drop(self);
    }
}
