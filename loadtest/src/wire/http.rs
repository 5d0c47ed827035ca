//! HTTP/1.1 on a persistent connection.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use tokio::net::TcpStream;

use super::bytes::{read_some, write_all};

const HEAD_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct HttpConnection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl HttpConnection {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::new() })
    }

    /// Returns a request with a bearer token and an optional JSON body.
    pub(crate) fn request(method: &str, path: &str, token: &str, body: Option<&str>) -> Vec<u8> {
        let body = body.unwrap_or_default();
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
        if !body.is_empty() {
            request
                .push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        request.into_bytes()
    }

    /// Sends `request` and returns the body of a successful response.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.buffer.clear();
        write_all(&self.socket, request).await?;
        loop {
            if let Some((begin, length)) = self.head()? {
                while self.buffer.len() < begin + length {
                    read_some(&self.socket, &mut self.buffer).await?;
                }
                return self.buffer.get(begin..begin + length).context("no body");
            }
            read_some(&self.socket, &mut self.buffer).await?;
        }
    }

    /// Returns the offset of the body and its length, when the head is complete.
    fn head(&self) -> anyhow::Result<Option<(usize, usize)>> {
        let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            ensure!(self.buffer.len() < HEAD_BYTES_MAX, "a head of more than {HEAD_BYTES_MAX} bytes");
            return Ok(None);
        };
        let head = std::str::from_utf8(self.buffer.get(..end).unwrap_or_default())?;
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        ensure!(status.starts_with("HTTP/1.1 2"), "the server answered {status}");
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
        });
        let length = if status.starts_with("HTTP/1.1 204") { Some(0) } else { length };
        Ok(Some((end + 4, length.context("an answer without content-length")?)))
    }
}
