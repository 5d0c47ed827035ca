//! Frames that the generator sends: encoded once, and patched for each message.

use anyhow::Context;
use netbit::client::encode;
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::packet::MessagePacket;

/// Size of the content of a message in every scenario.
pub(crate) const CONTENT_BYTES: usize = 200;
/// Size of the key at the start of a content: sender and number, 16 hexadecimal digits each.
const KEY_BYTES: usize = 32;
/// The mention of all members, placed after the key.
const MENTION: &[u8] = b" @all ";

fn frame(packet: MessagePacket) -> anyhow::Result<Vec<u8>> {
    Ok(encode(&packet).context("cannot encode a packet")?.to_vec())
}

/// Returns a `Hello` without echo: a session receives a stub for its own messages, as from the
/// floor. With `udp` it requests a UDP ticket.
pub(crate) fn hello(token: &str, udp: bool) -> anyhow::Result<Vec<u8>> {
    frame(MessagePacket {
        udp: udp.then_some(true),
        echo: Some(false),
        packet_type: "Hello".to_owned(),
        request_id: Some(1),
        token: Some(token.to_owned()),
        ..MessagePacket::default()
    })
}

pub(crate) fn ping(request_id: u64) -> anyhow::Result<Vec<u8>> {
    frame(MessagePacket {
        packet_type: "Ping".to_owned(),
        request_id: Some(request_id),
        ..MessagePacket::default()
    })
}

/// Requests the messages of a chat before a seq, or the newest.
pub(crate) fn page(chat: i64, before_seq: Option<u64>, limit: u16) -> anyhow::Result<Vec<u8>> {
    frame(MessagePacket {
        packet_type: "GetMessages".to_owned(),
        request_id: Some(1),
        chat_id: Some(ChatId(chat)),
        before_seq,
        limit: Some(limit),
        ..MessagePacket::default()
    })
}

/// Requests the events of a chat after `seq`.
pub(crate) fn resume(epoch: u64, chat: i64, seq: u64) -> anyhow::Result<Vec<u8>> {
    frame(MessagePacket {
        packet_type: "Resume".to_owned(),
        request_id: Some(1),
        epoch: Some(epoch),
        cursors: Some([(ChatId(chat), seq)].into()),
        ..MessagePacket::default()
    })
}

/// Returns the content of message `number` of `sender`: 200 bytes that no other message has.
pub(crate) fn message_content(sender: u64, number: u64) -> String {
    let mut content = format!("{sender:016x}{number:016x} ");
    content.extend(std::iter::repeat_n('.', CONTENT_BYTES - content.len()));
    content
}

/// The kind of the client ids of sent messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ClientIdKind {
    /// UUIDv7: ids that are close in time are close in the index.
    #[default]
    Ordered,
    /// UUIDv4.
    Random,
}

/// A `SendMessage` of one sender to one chat, patched for each message.
#[derive(Debug, Clone)]
pub(crate) struct MessageTemplate {
    bytes: Vec<u8>,
    request_at: usize,
    client_at: usize,
    content_at: usize,
    sender: u64,
    client_ids: ClientIdKind,
}

impl MessageTemplate {
    pub(crate) fn new(sender: u64, chat: i64, client_ids: ClientIdKind) -> anyhow::Result<Self> {
        let mut bytes = vec![0; 4];
        bytes.push(0x84);
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.push(0xa0 | u8::try_from(text.len()).unwrap_or(0));
            bytes.extend_from_slice(text.as_bytes());
        };
        text(&mut bytes, "packet_type");
        text(&mut bytes, "SendMessage");
        text(&mut bytes, "request_id");
        bytes.push(0xcf);
        let request_at = bytes.len();
        bytes.extend_from_slice(&[0; 8]);
        text(&mut bytes, "chat_id");
        bytes.push(0xd3);
        bytes.extend_from_slice(&chat.to_be_bytes());
        text(&mut bytes, "message");
        bytes.push(0x82);
        text(&mut bytes, "client_id");
        bytes.extend_from_slice(&[0xc4, 16]);
        let client_at = bytes.len();
        bytes.extend_from_slice(&[0; 16]);
        text(&mut bytes, "content");
        bytes.extend_from_slice(&[0xd9, u8::try_from(CONTENT_BYTES)?]);
        let content_at = bytes.len();
        bytes.extend_from_slice(message_content(sender, 0).as_bytes());
        let length = u32::try_from(bytes.len() - 4)?;
        if let Some(prefix) = bytes.first_chunk_mut::<4>() {
            *prefix = length.to_be_bytes();
        }
        Ok(Self { bytes, request_at, client_at, content_at, sender, client_ids })
    }

    /// Adds `@all` to the content.
    pub(crate) fn mentioning_all(mut self) -> Self {
        let at = self.content_at + KEY_BYTES;
        if let Some(slice) = self.bytes.get_mut(at..at + MENTION.len()) {
            slice.copy_from_slice(MENTION);
        }
        self
    }

    /// Appends the frame of message `number`, which is also its request id.
    pub(crate) fn append(&mut self, number: u64, to: &mut Vec<u8>) {
        let mut patch = |at: usize, with: &[u8]| {
            if let Some(slice) = self.bytes.get_mut(at..at + with.len()) {
                slice.copy_from_slice(with);
            }
        };
        patch(self.request_at, &number.to_be_bytes());
        patch(
            self.client_at,
            &match self.client_ids {
                ClientIdKind::Ordered => ClientId::fresh().0,
                ClientIdKind::Random => uuid::Uuid::new_v4().into_bytes(),
            },
        );
        patch(self.content_at, &content_key(self.sender, number));
        to.extend_from_slice(&self.bytes);
    }
}

fn content_key(sender: u64, number: u64) -> [u8; KEY_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut key = [0; KEY_BYTES];
    let whole = (u128::from(sender) << 64) | u128::from(number);
    for (index, digit) in key.iter_mut().rev().enumerate() {
        let four = usize::try_from((whole >> (4 * index)) & 0xf).unwrap_or(0);
        *digit = DIGITS.get(four).copied().unwrap_or(b'0');
    }
    key
}

#[cfg(test)]
mod tests {
    use netbit::protocol::packet;

    use super::*;

    #[test]
    fn patched_frame_decodes_as_a_packet() {
        let mut template = MessageTemplate::new(3, 77, ClientIdKind::Random).unwrap();
        let mut out = Vec::new();
        template.append(5, &mut out);
        template.append(6, &mut out);
        let (first, second) = out.split_at(out.len() / 2);
        for (frame, number) in [(first, 5), (second, 6)] {
            let packet = packet::decode(&frame[4..]).unwrap();
            assert_eq!((packet.packet_type.as_str(), packet.request_id), ("SendMessage", Some(number)));
            assert_eq!(packet.chat_id, Some(ChatId(77)));
            let message = packet.message.unwrap();
            assert_eq!(message.content.unwrap(), message_content(3, number));
            assert!(message.client_id.is_some());
        }
        assert_ne!(first, second);
    }
}
