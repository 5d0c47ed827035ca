//! The checked fields of a packet from the server.

use anyhow::Context;
use serde::Deserialize;

/// A packet of the server, borrowed from its frame. Other fields are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct PacketView<'a> {
    pub(crate) packet_type: &'a str,
    #[serde(default)]
    pub(crate) request_id: Option<u64>,
    #[serde(default)]
    pub(crate) success: Option<bool>,
    #[serde(default)]
    pub(crate) duplicate: Option<bool>,
    #[serde(default)]
    pub(crate) chat_id: Option<i64>,
    #[serde(default)]
    pub(crate) seq: Option<i64>,
    #[serde(default)]
    pub(crate) error: Option<&'a str>,
    #[serde(default, borrow)]
    pub(crate) message: Option<MessageView<'a>>,
    #[serde(default, borrow)]
    pub(crate) messages: Vec<MessageView<'a>>,
    #[serde(default)]
    pub(crate) as_of: Option<i64>,
    #[serde(default)]
    pub(crate) epoch: Option<u64>,
    #[serde(default, borrow)]
    pub(crate) udp: Option<UdpTicketView<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MessageView<'a> {
    #[serde(default)]
    pub(crate) seq: Option<i64>,
    #[serde(default)]
    pub(crate) content: &'a str,
}

/// A ticket for a UDP session.
#[derive(Debug, Deserialize)]
pub(crate) struct UdpTicketView<'a> {
    pub(crate) connection_id: u64,
    pub(crate) key_up: &'a [u8],
    pub(crate) key_down: &'a [u8],
    pub(crate) address: &'a str,
}

impl<'a> PacketView<'a> {
    pub(crate) fn of(frame: &'a [u8]) -> anyhow::Result<Self> {
        rmp_serde::from_slice(frame).context("invalid packet from the server")
    }

    /// Returns whether the packet acknowledges a command that was not a duplicate.
    pub(crate) fn is_fresh_ack(&self) -> bool {
        self.packet_type == "Ack" && self.success == Some(true) && self.duplicate != Some(true)
    }
}

/// Returns whether a packet is a `Presence`. Reads only its start: it may list a thousand users.
pub(crate) fn is_presence(frame: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"\xabpacket_type\xa8Presence";
    // The first byte holds the number of fields.
    frame.get(1..).is_some_and(|fields| fields.starts_with(BEGINNING))
}

/// The last seq of one chat that a connection received: each seq arrives once, in order.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor(pub(crate) i64);

impl Cursor {
    /// Takes the seq of the next event.
    ///
    /// # Errors
    /// Describes a seq that is repeated or out of order.
    pub(crate) fn take(&mut self, seq: i64) -> Result<(), String> {
        let next = self.0 + 1;
        if seq == next {
            self.0 = seq;
            return Ok(());
        }
        Err(if seq < next {
            format!("{seq} after {} again", self.0)
        } else {
            format!("{seq} instead of {next}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_view_reads_the_checked_fields() {
        let frame = rmp_serde::to_vec_named(&serde_json::json!({
            "packet_type": "Event", "chat_id": 3, "seq": 7, "kind": "message", "message": {"id": 1, "content": "hey"}
        }));
        let frame = frame.unwrap();
        let view = PacketView::of(&frame).unwrap();
        assert_eq!((view.packet_type, view.chat_id, view.seq), ("Event", Some(3), Some(7)));
        assert_eq!(view.message.unwrap().content, "hey");
        assert!(PacketView::of(b"\x93").is_err());
        assert!(!is_presence(&frame));
        let presence = netbit::protocol::answer::ServerPacket::Presence { users: Vec::new() };
        assert!(is_presence(&rmp_serde::to_vec_named(&presence).unwrap()));
    }

    #[test]
    fn cursor_finds_lost_and_repeated_seqs() {
        let mut cursor = Cursor(4);
        assert!(cursor.take(5).is_ok());
        assert_eq!(cursor.take(5).unwrap_err(), "5 after 5 again");
        assert_eq!(cursor.take(8).unwrap_err(), "8 instead of 6");
    }
}
