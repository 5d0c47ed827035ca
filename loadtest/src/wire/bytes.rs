//! Reads and writes a socket whose two directions are used by one loop.

use std::io;

use anyhow::bail;
use tokio::net::TcpStream;

/// Space reserved before each read.
const READ_BYTES: usize = 32 * 1024;

pub(crate) async fn write_all(socket: &TcpStream, mut bytes: &[u8]) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits for bytes and appends all that are available. Cancel safe: no bytes are lost.
pub(crate) async fn read_some(socket: &TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.reserve(READ_BYTES);
    loop {
        match socket.try_read_buf(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable().await?,
            Err(error) => return Err(error.into()),
        }
    }
}
