//! Sessions over WebSocket: the same packets as over TCP. Each packet is one WebSocket message,
//! without a length prefix.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use super::http::HttpError;
use super::origin::Origin;

/// Size of the buffer between the session and the socket, per direction.
const PIPE_BYTES: usize = 64 * 1024;
/// Larger frames are rejected: the client does not send them.
const FRAME_BYTES_MAX: u32 = 2 * 1024 * 1024;

/// Opens a WebSocket and returns it as a stream of frames in the format of TCP sessions.
pub(super) async fn open(origin: &Origin) -> Result<DuplexStream, HttpError> {
    let stream = origin.connect().await?;
    let url = origin.websocket_url();
    let failed = |error: tungstenite::Error| HttpError::Connection(format!("{url}: {error}"));
    let (socket, _) = tokio_tungstenite::client_async(&url, stream).await.map_err(failed)?;
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    tokio::spawn(carry(socket, theirs));
    Ok(ours)
}

/// Copies frames in both directions until either side closes.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(socket: WebSocketStream<S>, pipe: DuplexStream) {
    let (mut sink, mut messages) = socket.split();
    let (mut from_session, mut to_session) = tokio::io::split(pipe);
    let out = async {
        // An error here is the end of the session: it dropped its half of the pipe.
        while let Ok(frame) = next_frame(&mut from_session).await {
            sink.send(Message::Binary(frame)).await?;
        }
        sink.close().await
    };
    let back = async {
        while let Some(Ok(message)) = messages.next().await {
            let Message::Binary(packet) = message else { continue };
            let length = u32::try_from(packet.len()).map_err(std::io::Error::other)?;
            to_session.write_u32(length).await?;
            to_session.write_all(&packet).await?;
        }
        std::io::Result::Ok(())
    };
    // The result is not needed: the session sees the end of its stream.
    tokio::select! {
        ended = out => drop(ended),
        ended = back => drop(ended),
    }
}

/// Reads the packet of the next frame.
async fn next_frame(session: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let length = session.read_u32().await?;
    if length > FRAME_BYTES_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut packet = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
    session.read_exact(&mut packet).await?;
    Ok(packet.into())
}
