//! One connection of the floor: a task that reads, and a task that writes the collected frames.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use super::chats::Chats;
use super::encode::{Encoded, Frame};

/// Space reserved before each read. An empty buffer is released.
const READ_BYTES: usize = 16 * 1024;

/// The frames that wait for the socket.
#[derive(Debug)]
pub(super) struct FloorConnection {
    out: RefCell<Vec<u8>>,
    more: Notify,
}

#[derive(Debug, Deserialize)]
struct Request<'a> {
    packet_type: &'a str,
    #[serde(default)]
    request_id: u64,
    #[serde(default)]
    token: &'a str,
    #[serde(default)]
    chat_id: i64,
    #[serde(default)]
    limit: usize,
    #[serde(default, borrow)]
    message: Option<IncomingMessage<'a>>,
    #[serde(default)]
    cursors: Option<std::collections::BTreeMap<i64, i64>>,
}

#[derive(Debug, Deserialize)]
struct IncomingMessage<'a> {
    #[serde(with = "serde_bytes_16")]
    client_id: [u8; 16],
    content: &'a str,
}

mod serde_bytes_16 {
    use serde::{Deserialize, Deserializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 16], D::Error> {
        let bytes: &[u8] = Deserialize::deserialize(from)?;
        bytes.try_into().map_err(D::Error::custom)
    }
}

impl FloorConnection {
    pub(super) fn send(&self, frame: &[u8]) {
        self.out.borrow_mut().extend_from_slice(frame);
        self.more.notify_one();
    }
}

pub(super) fn serve(socket: TcpStream, chats: Rc<Chats>) {
    let (socket, connection) =
        (Rc::new(socket), Rc::new(FloorConnection { out: RefCell::default(), more: Notify::new() }));
    let writing = spawn_local(write(socket.clone(), connection.clone()));
    spawn_local(async move {
        let mut joined = None;
        if let Err(error) = read(&socket, &connection, &chats, &mut joined).await {
            eprintln!("floor: {error:#}");
        }
        if let Some((number, of)) = joined {
            chats.leave(&connection, &of, number);
        }
        writing.abort();
    });
}

async fn write(socket: Rc<TcpStream>, connection: Rc<FloorConnection>) -> io::Result<()> {
    loop {
        connection.more.notified().await;
        let out = connection.out.take();
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            match socket.try_write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
                Err(error) => return Err(error),
            }
        }
    }
}

async fn read(
    socket: &TcpStream,
    connection: &Rc<FloorConnection>,
    chats: &Chats,
    joined: &mut Option<(usize, Vec<i64>)>,
) -> anyhow::Result<()> {
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let mut used = 0;
        while let Some((prefix, rest)) = buffer.get(used..).and_then(<[u8]>::split_first_chunk::<4>) {
            let length = usize::try_from(u32::from_be_bytes(*prefix))?;
            let Some(packet) = rest.get(..length) else { break };
            handle(packet, connection, chats, joined)?;
            used += 4 + length;
        }
        buffer.drain(..used);
        if buffer.is_empty() {
            buffer = Vec::new();
        }
        socket.readable().await?;
        buffer.reserve(READ_BYTES);
        match socket.try_read_buf(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn handle(
    packet: &[u8],
    connection: &Rc<FloorConnection>,
    chats: &Chats,
    joined: &mut Option<(usize, Vec<i64>)>,
) -> anyhow::Result<()> {
    let request: Request<'_> = rmp_serde::from_slice(packet)?;
    match (request.packet_type, joined.as_ref()) {
        ("Hello", None) => {
            let of: Vec<i64> = request.token.split(',').filter_map(|chat| chat.parse().ok()).collect();
            *joined = Some((chats.join(connection, &of), of));
            connection.send(&plain("Welcome", request.request_id));
        }
        ("SendMessage", Some((number, _))) => {
            let message = request.message.context("SendMessage without a message")?;
            chats.submit(*number, request.request_id, request.chat_id, message.client_id, message.content);
        }
        ("GetMessages", Some(_)) => chats.newest(request.chat_id, request.limit, |messages, count, head| {
            let mut frame = Frame::map(6);
            frame.text("packet_type").text("Messages").text("request_id");
            frame.number(i64::try_from(request.request_id).unwrap_or(0));
            frame.text("chat_id").number(request.chat_id).text("messages").list(count);
            messages.for_each(|message| {
                frame.raw(message);
            });
            frame.text("has_more").truth(false).text("as_of").number(head);
            connection.send(&frame.done());
        }),
        ("Ping", Some(_)) => connection.send(&plain("Pong", request.request_id)),
        // The floor keeps no events for disconnected sessions: every chat is already synced.
        ("Resume", Some(_)) => {
            for chat in request.cursors.unwrap_or_default().into_keys() {
                let mut frame = Frame::map(3);
                frame.text("packet_type").text("Synced").text("chat_id").number(chat);
                frame.text("seq").number(chats.head(chat));
                connection.send(&frame.done());
            }
        }
        (other, _) => bail!("the floor does not support {other} here"),
    }
    Ok(())
}

fn plain(packet_type: &str, request_id: u64) -> Encoded {
    let mut frame = Frame::map(2);
    frame.text("packet_type").text(packet_type).text("request_id");
    frame.number(i64::try_from(request_id).unwrap_or(0));
    frame.done()
}
