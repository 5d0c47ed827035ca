//! Packets as JSON text, which WebSocket sessions may use instead of MessagePack.
//!
//! The maps and names are the same. Byte strings of MessagePack become text: 16 bytes a UUID,
//! others standard base64. Times (`…_at`) are RFC 3339 and a `connection_id` is decimal text, as in
//! the HTTP API. Metadata belongs to the users and is not changed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use uuid::Uuid;

use super::scan::DEPTH_MAX;
use crate::domain::timestamp::Timestamp;

/// Converts a packet of the server to text. Returns `None` if the bytes are not MessagePack.
pub fn from_message_pack(packet: &[u8]) -> Option<String> {
    let Text(mut value) = rmp_serde::from_slice(packet).ok()?;
    as_over_http(&mut value);
    serde_json::to_string(&value).ok()
}

/// Converts times and connection ids to their form in the HTTP API.
fn as_over_http(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(as_over_http),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut().filter(|(name, _)| *name != "metadata") {
                match value.as_i64() {
                    Some(at) if name.ends_with("_at") => *value = Timestamp(at).to_string().into(),
                    _ if name == "connection_id" => *value = value.to_string().into(),
                    _ => as_over_http(value),
                }
            }
        }
        _ => {}
    }
}

/// Returns whether arrays and objects nest deeper than packets may, without building any value.
pub(super) fn is_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Finds the top-level `request_id` of a packet that is truncated or not JSON, if it precedes the
/// defect.
pub fn request_id_in(text: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"request_id";
    let (mut depth, mut string_at, mut escaped) = (0_usize, None, false);
    for (at, byte) in text.iter().enumerate() {
        match (byte, string_at) {
            (_, Some(_)) if escaped => escaped = false,
            (b'\\', Some(_)) => escaped = true,
            (b'"', None) => string_at = Some(at.saturating_add(1)),
            (b'"', Some(begin)) => {
                string_at = None;
                if depth == 1 && text.get(begin..at) == Some(KEY) {
                    let after = text.get(at.saturating_add(1)..)?.trim_ascii_start();
                    // A string value equal to the key has no colon after it.
                    if let Some(value) = after.strip_prefix(b":") {
                        return number_at(value.trim_ascii_start());
                    }
                }
            }
            (_, Some(_)) => {}
            (b'{' | b'[', None) => depth = depth.saturating_add(1),
            (b'}' | b']', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Parses the number at the start of `text`, if another byte follows: otherwise it may be
/// truncated.
fn number_at(text: &[u8]) -> Option<u64> {
    let digits = text.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

/// A MessagePack value as JSON.
struct Text(Value);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        let id = Uuid::from_slice(value).map(|id| id.to_string());
        Ok(id.unwrap_or_else(|_| STANDARD.encode(value)).into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Text(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some((Text(key), Text(value))) = map.next_entry()? {
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::ClientId;
    use crate::protocol::framing;
    use crate::protocol::packet::{MessagePacket, PacketMessage};

    #[test]
    fn request_id_is_found_in_truncated_or_broken_text() {
        for (text, found) in [
            (r#"{"packet_type": "SendMessage", "request_id": 7, "content": "cut \ud83d"}"#, Some(7)),
            (r#"{"content":"say \"request_id\": 8","request_id" : 9,"rest":"#, Some(9)),
            (r#"{"metadata":{"request_id":1},"request_id":2}"#, Some(2)),
            (r#"{"a":"request_id","request_id":3}"#, Some(3)),
            (r#"{"request_id":18446744073709551615}"#, Some(u64::MAX)),
            (r#"{"request_id":18446744073709551616}"#, None),
            (r#"{"request_id":-1}"#, None),
            (r#"{"request_id":12"#, None),
            (r#"{"request_id""#, None),
            (r#"["request_id", 4]"#, None),
            ("", None),
        ] {
            assert_eq!(request_id_in(text.as_bytes()), found, "{text}");
        }
    }

    #[test]
    fn packet_is_equal_in_both_formats() {
        let message = PacketMessage { client_id: Some(ClientId([7; 16])), ..PacketMessage::default() };
        let packet = MessagePacket {
            packet_type: "SendMessage".into(),
            request_id: Some(u64::MAX),
            echo: Some(true),
            message: Some(message),
            ..MessagePacket::default()
        };
        let frame = framing::encode(&packet).unwrap();
        let text = from_message_pack(&framing::packet_of(&frame)).unwrap();
        let expected: Value = serde_json::to_value(&packet).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        assert_eq!(expected["message"]["client_id"], "07070707-0707-0707-0707-070707070707");
    }

    #[test]
    fn keys_become_text_and_other_bytes_become_base64() {
        let packet = [0x82, 0x01, 0xc0, 0xa1, b'k', 0xc4, 0x02, 0xff, 0xfe];
        assert_eq!(from_message_pack(&packet).unwrap(), r#"{"1":null,"k":"//4="}"#);
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert!(!is_too_deep(format!("{}{}", "[".repeat(16), "]".repeat(16)).as_bytes()));
        assert!(is_too_deep("[".repeat(17).as_bytes()));
        assert!(!is_too_deep(format!(r#"{{"a":"\"{}"}}"#, "[".repeat(40)).as_bytes()));
    }
}
