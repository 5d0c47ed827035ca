//! Packets from clients: one flat map, `MessagePacket`, in which only `packet_type` is required.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json;
use super::scan::{self, MalformedMap};
use crate::domain::ids::{ChatId, FileId, MessageId, Seq, UserId};
use crate::domain::message::ClientId;
use crate::domain::metadata::Metadata;

/// A packet as received. Unknown fields, and fields that the packet type does not use, are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MessagePacket {
    pub packet_type: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub echo: Option<bool>,
    /// Requests a UDP ticket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub udp: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// Of two statuses of a device, the one with the larger version is effective.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epoch: Option<u64>,
    /// The seq up to which the client has each chat. Integer keys in MessagePack, decimal strings
    /// in JSON.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cursors: Option<BTreeMap<ChatId, u64>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_id: Option<UserId>,
    /// The users whose names are requested.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_ids: Option<Vec<UserId>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chat_id: Option<ChatId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after_chat_id: Option<ChatId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<PacketMessage>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub emoji: Option<String>,
    /// The user to block, or the user who added this one to chats.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub username: Option<String>,
    /// Removes a reaction, a pin or a block.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remove: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub read_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delivered_seq: Option<u64>,
    /// Messages from this seq on are unread.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u16>,
    /// The query of a `Search`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub q: Option<String>,
    /// The groups of a `Search`, separated by commas.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none", default)]
    pub groups: Option<String>,
    /// `next` of a group of results.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cursor: Option<String>,
}

/// The `message` of a `SendMessage` or `EditMessage`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PacketMessage {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_id: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply_to: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Metadata>,
    /// Complete uploads of the sender to the chat.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub files: Option<Vec<FileId>>,
}

/// The reason why a frame is not a valid packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The frame is not a packet: the connection is closed.
    #[error("{0}")]
    Malformed(#[from] MalformedMap),
    /// A field has the wrong type: the client receives a NACK, and the session continues.
    #[error("{reason}")]
    BadField { request_id: Option<u64>, reason: String },
}

/// The part of a packet with a bad field that can still be read.
#[derive(Deserialize)]
struct RequestIdOnly {
    #[serde(default)]
    request_id: Option<u64>,
}

pub fn decode(frame: &[u8]) -> Result<MessagePacket, PacketError> {
    scan::scan(frame)?;
    rmp_serde::from_slice(frame).map_err(|error| PacketError::BadField {
        request_id: rmp_serde::from_slice::<RequestIdOnly>(frame).ok().and_then(|packet| packet.request_id),
        reason: format!("a field is missing or has the wrong type: {error}"),
    })
}

/// Decodes a packet from JSON text.
pub fn decode_json(text: &[u8]) -> Result<MessagePacket, PacketError> {
    if json::is_too_deep(text) {
        return Err(MalformedMap::TooDeep.into());
    }
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(MalformedMap::NotAMap.into());
    }
    serde_json::from_slice(text).map_err(|error| {
        if !error.is_data() {
            return MalformedMap::NotJson.into();
        }
        let request = serde_json::from_slice::<RequestIdOnly>(text).ok();
        let reason = format!("a field is missing or has the wrong type: {error}");
        PacketError::BadField { request_id: request.and_then(|packet| packet.request_id), reason }
    })
}

/// Converts a seq sent by a client. Range: 0 to 2^53.
pub fn seq(value: u64) -> Option<Seq> {
    Seq::try_from(value).ok().filter(|seq| *seq <= 1 << 53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_of_the_wrong_type_keeps_the_request_id() {
        let frame = rmp_serde::to_vec_named(&serde_json::json!({
            "packet_type": "SendMessage", "request_id": 7, "chat_id": "one"
        }))
        .unwrap();
        assert!(matches!(decode(&frame), Err(PacketError::BadField { request_id: Some(7), .. })));
    }

    #[test]
    fn decode_ignores_unknown_keys_and_requires_a_packet_type() {
        let frame = |value: serde_json::Value| rmp_serde::to_vec_named(&value).unwrap();
        let packet =
            decode(&frame(serde_json::json!({"packet_type": "Ping", "colour": {"deep": [1]}}))).unwrap();
        assert_eq!(packet.packet_type, "Ping");
        assert!(matches!(
            decode(&frame(serde_json::json!({"request_id": 1}))),
            Err(PacketError::BadField { .. })
        ));
    }

    #[test]
    fn json_is_decoded_like_message_pack() {
        let packet =
            decode_json(br#" {"packet_type":"Resume","epoch":7,"cursors":{"3":4,"10":0}} "#).unwrap();
        assert_eq!(packet.cursors, Some([(ChatId(3), 4), (ChatId(10), 0)].into()));
        let bad = decode_json(br#"{"packet_type":"SendMessage","request_id":7,"chat_id":"one"}"#);
        assert!(matches!(bad, Err(PacketError::BadField { request_id: Some(7), .. })));
        for malformed in [&b"{"[..], b"[1]", b"", b"{\"packet_type\":\"Ping\"} x"] {
            assert!(matches!(decode_json(malformed), Err(PacketError::Malformed(_))));
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_a_bad_field() {
        let mut frame = vec![0x82, 0xab];
        frame.extend_from_slice(b"packet_type");
        frame.extend_from_slice(&[0xa4]);
        frame.extend_from_slice(b"Ping");
        frame.extend_from_slice(&[0xa5]);
        frame.extend_from_slice(b"token");
        frame.extend_from_slice(&[0xa2, 0xff, 0xfe]);
        assert!(matches!(decode(&frame), Err(PacketError::BadField { .. })));
    }
}
