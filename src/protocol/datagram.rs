//! Datagrams: presence and typing over UDP, encrypted and authenticated.
//!
//! Layout: `u8 0x4E | u8 type | u64 LE connection_id | u64 LE counter |
//! ChaCha20-Poly1305(MessagePack map) | tag`, at most [`DATAGRAM_BYTES_MAX`]. The nonce is four
//! zero bytes followed by the counter; the header is the associated data. Each direction has its
//! own key, and a key is used at most once with each counter.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::scan;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::presence::Status;

pub const DATAGRAM_BYTES_MAX: usize = 512;
pub const HEADER_BYTES: usize = 18;
pub const TAG_BYTES: usize = 16;
const MAGIC: u8 = 0x4E;

pub type Key = [u8; 32];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Ping = 1,
    Pong = 2,
    Status = 3,
    Typing = 4,
    PresenceBatch = 5,
}

/// The reason why a datagram was dropped. Its sender receives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum DropReason {
    Size,
    Magic,
    Type,
    Connection,
    Expired,
    Replayed,
    Forged,
    Malformed,
    Rate,
    NotMember,
}

impl DropReason {
    /// The names of the counters, in the order of the variants.
    pub const NAMES: [&'static str; 10] = [
        "size",
        "magic",
        "type",
        "connection",
        "expired",
        "replayed",
        "forged",
        "malformed",
        "rate",
        "not_member",
    ];
}

/// The unencrypted, authenticated part of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub connection_id: u64,
    pub counter: u64,
}

impl Header {
    /// Parses the header of a datagram from a client.
    pub fn of_client(datagram: &[u8]) -> Result<Self, DropReason> {
        let header = Self::of(datagram)?;
        let theirs = matches!(header.kind, Kind::Ping | Kind::Status | Kind::Typing);
        if theirs { Ok(header) } else { Err(DropReason::Type) }
    }

    /// Parses the header of any datagram. Performs only cheap checks.
    pub fn of(datagram: &[u8]) -> Result<Self, DropReason> {
        if datagram.len() < HEADER_BYTES + TAG_BYTES || datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(DropReason::Size);
        }
        let [magic, kind, rest @ ..] = datagram else { return Err(DropReason::Size) };
        if *magic != MAGIC {
            return Err(DropReason::Magic);
        }
        let kind = match kind {
            1 => Kind::Ping,
            2 => Kind::Pong,
            3 => Kind::Status,
            4 => Kind::Typing,
            5 => Kind::PresenceBatch,
            _ => return Err(DropReason::Type),
        };
        let number = |at: usize| rest.get(at..).and_then(|rest| rest.first_chunk::<8>().copied());
        match (number(0), number(8)) {
            (Some(id), Some(counter)) if counter != [0; 8] => {
                let (connection_id, counter) = (u64::from_le_bytes(id), u64::from_le_bytes(counter));
                Ok(Self { kind, connection_id, counter })
            }
            _ => Err(DropReason::Replayed),
        }
    }

    fn bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let parts = [MAGIC, self.kind as u8].into_iter();
        let parts = parts.chain(self.connection_id.to_le_bytes()).chain(self.counter.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        bytes
    }

    fn nonce(self) -> Nonce {
        let mut nonce = [0; 12];
        nonce.iter_mut().skip(4).zip(self.counter.to_le_bytes()).for_each(|(byte, part)| *byte = part);
        nonce.into()
    }
}

/// The contents of a client's datagram. Unknown keys are ignored, so a `Ping` can be padded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Upward {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<Status>,
    /// Of two statuses of a device, the one with the larger version is effective.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chat_id: Option<ChatId>,
    /// The version up to which the client has the changes of others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub known: Option<u64>,
}

/// The answer to a `Ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pong {
    /// The version of the device's effective status.
    pub version: u64,
    /// The version up to which the server has changes for this client.
    pub known: u64,
}

/// The changes after version `from`, up to `to`: (user, status, version) each. Status codes are 0
/// offline, 1 online, 2 away, 3 do not disturb.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PresenceBatch {
    pub from: u64,
    pub to: u64,
    pub users: Vec<(UserId, u8, u64)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypingNotice {
    pub chat_id: ChatId,
    pub user_id: UserId,
}

/// Decrypts and decodes a datagram. `header` is the header of this datagram.
///
/// # Errors
/// [`DropReason::Forged`] if it was not sealed with `key`, [`DropReason::Malformed`] if its map is
/// invalid.
pub fn open<T: DeserializeOwned>(key: &Key, header: Header, datagram: &[u8]) -> Result<T, DropReason> {
    let sealed = datagram.get(HEADER_BYTES..).ok_or(DropReason::Size)?;
    let payload = Payload { msg: sealed, aad: &header.bytes() };
    let map = ChaCha20Poly1305::new(&(*key).into()).decrypt(&header.nonce(), payload);
    let map = map.map_err(|_| DropReason::Forged)?;
    scan::scan(&map).map_err(|_| DropReason::Malformed)?;
    rmp_serde::from_slice(&map).map_err(|_| DropReason::Malformed)
}

/// Returns the size of the datagram that [`seal`] creates from `map`.
pub fn sealed_bytes(map: &impl Serialize) -> Option<usize> {
    Some(HEADER_BYTES + rmp_serde::to_vec_named(map).ok()?.len() + TAG_BYTES)
}

/// Encrypts `map` into a datagram. Returns `None` if it would be too large.
pub fn seal(key: &Key, header: Header, map: &impl Serialize) -> Option<Vec<u8>> {
    let map = rmp_serde::to_vec_named(map).ok()?;
    let bytes = header.bytes();
    let payload = Payload { msg: &map, aad: &bytes };
    let sealed = ChaCha20Poly1305::new(&(*key).into()).encrypt(&header.nonce(), payload).ok()?;
    let datagram = [&bytes, &sealed[..]].concat();
    (datagram.len() <= DATAGRAM_BYTES_MAX).then_some(datagram)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [7; 32];
    const PING: Header = Header { kind: Kind::Ping, connection_id: 0x0102_0304_0506_0708, counter: 9 };

    fn ping() -> Vec<u8> {
        let map = Upward { status: Some(Status::Away), version: Some(3), ..Upward::default() };
        seal(&KEY, PING, &map).unwrap()
    }

    /// Golden bytes: a change of these bytes changes the protocol for every client.
    #[test]
    fn ping_has_golden_bytes() {
        let hex: String = ping().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&hex[..36], "4e0108070605040302010900000000000000");
        assert_eq!(hex, GOLDEN_PING);
    }

    const GOLDEN_PING: &str = "4e01080706050403020109000000000000000447730cfee6ec67905ad63f7bac8927dbf9b635c9e40683b96730f8b8fa614481e329ba9bb8";

    #[test]
    fn datagram_is_opened_only_with_its_key() {
        let datagram = ping();
        let header = Header::of_client(&datagram).unwrap();
        assert_eq!(header, PING);
        let upward: Upward = open(&KEY, header, &datagram).unwrap();
        assert_eq!((upward.status, upward.version, upward.chat_id), (Some(Status::Away), Some(3), None));
        assert_eq!(open::<Upward>(&[8; 32], header, &datagram), Err(DropReason::Forged));
    }

    #[test]
    fn altered_datagram_is_refused() {
        let datagram = ping();
        for place in 0..datagram.len() {
            let mut altered = datagram.clone();
            altered[place] ^= 1;
            let outcome =
                Header::of_client(&altered).and_then(|header| open::<Upward>(&KEY, header, &altered));
            assert!(outcome.is_err(), "byte {place}");
        }
    }

    #[test]
    fn invalid_header_is_refused_before_decryption() {
        let with = |place: usize, byte: u8| {
            let mut datagram = ping();
            datagram[place] = byte;
            Header::of_client(&datagram)
        };
        assert_eq!(Header::of_client(&[]), Err(DropReason::Size));
        assert_eq!(Header::of_client(&[MAGIC; 33]), Err(DropReason::Size));
        assert_eq!(Header::of_client(&[MAGIC; 513]), Err(DropReason::Size));
        assert_eq!(with(0, 0), Err(DropReason::Magic));
        assert_eq!(with(1, Kind::Pong as u8), Err(DropReason::Type), "a Pong is the server's");
        assert_eq!(with(10, 0), Err(DropReason::Replayed), "counters begin with 1");
    }

    #[test]
    fn seal_refuses_a_map_that_is_too_large() {
        let users = |count| (0..count).map(|n| (UserId(n + 1_000_000), 1, 5_000_000)).collect();
        let batch = |count| seal(&KEY, PING, &PresenceBatch { from: 0, to: 1, users: users(count) });
        assert!(batch(30).is_some());
        assert!(batch(100).is_none());
    }
}
