//! The envelope of a message: who sent it, its topic, and a code that proves both.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version |
//! | 1 | topic |
//! | 2 | number of the sending node |
//! | 8 | instance: the process that sends, see [`Origin`] |
//! | 8 | counter of the process's messages |
//! | n | body |
//! | 16 | the first half of HMAC-SHA256 over all before it |
//!
//! Numbers are big-endian. The key is derived from the key that signs access tokens, which all
//! nodes have. A recorded message is refused while its sender runs: its counter was seen. Recorded
//! messages of a process that has ended can be repeated; they state what was true then. So can
//! recorded messages to a receiver that has started after they were sent.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::metrics::Dropped;
use super::{BODY_BYTES_MAX, BusMessage};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 20;
const TAG_BYTES: usize = 16;
/// Maximum size of a sealed message.
pub(super) const SEALED_BYTES_MAX: usize = HEAD_BYTES + BODY_BYTES_MAX + TAG_BYTES;
/// Separates these codes from the signatures of access tokens, which use the same secret.
const CONTEXT: &[u8] = b"netbit bus, version 1\0";
/// A process that sent nothing for this long may be replaced by an older one, as after a move to a
/// machine with another clock.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// The subject of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The log has a new commit. No body.
    Commit = 1,
    /// Presence, typing and places.
    Presence = 2,
    /// Outcomes of logins.
    Login = 3,
}

impl Topic {
    fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Commit),
            2 => Some(Self::Presence),
            3 => Some(Self::Login),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Presence => 2,
            Self::Login => 3,
        }
    }
}

/// The process that sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub node: i16,
    /// The time of the start in milliseconds, then 16 random bits. A later process of the node has
    /// a larger number.
    pub instance: u64,
}

impl Origin {
    pub(super) fn of_this_process(node: i16) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = u64::try_from(since.as_millis()).unwrap_or_default();
        Self { node, instance: started << 16 | u64::from(rand::random::<u16>()) }
    }
}

/// Derives codes from the signing key of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct BusKey {
    mac: Hmac<Sha256>,
}

impl BusKey {
    pub fn new(signing_key: &[u8]) -> Self {
        let secret = mac_of(signing_key).chain_update(CONTEXT).finalize().into_bytes();
        Self { mac: mac_of(&secret) }
    }

    /// Returns the code of a text, for a name that is not sent in clear.
    pub fn code_of(&self, purpose: &str, text: &str) -> [u8; 16] {
        let parts = [b"text\0", purpose.as_bytes(), b"\0", text.as_bytes()];
        self.tag(&parts)
    }

    /// Returns the name of the channel of this cluster.
    pub(super) fn channel(&self) -> String {
        use std::fmt::Write;
        let code = self.code_of("channel", "");
        let mut name = "netbit.".to_owned();
        for byte in code.iter().take(8) {
            // Writing to a text does not fail.
            write!(name, "{byte:02x}").ok();
        }
        name
    }

    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG_BYTES] {
        let mut mac = self.mac.clone();
        parts.iter().for_each(|part| mac.update(part));
        first_half(&mac.finalize().into_bytes())
    }

    fn proves(&self, bytes: &[u8], tag: &[u8]) -> bool {
        self.mac.clone().chain_update(b"sealed\0").chain_update(bytes).verify_truncated_left(tag).is_ok()
    }
}

fn mac_of(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 3)")]
    Hmac::new_from_slice(key).expect("a key of any length")
}

fn first_half(code: &[u8]) -> [u8; TAG_BYTES] {
    let mut tag = [0; TAG_BYTES];
    tag.iter_mut().zip(code).for_each(|(to, from)| *to = *from);
    tag
}

impl std::fmt::Debug for BusKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BusKey(..)")
    }
}

/// Seals the messages of this process.
pub(super) struct Sealer {
    key: BusKey,
    origin: Origin,
    counter: u64,
}

impl Sealer {
    pub(super) fn new(key: BusKey, origin: Origin) -> Self {
        Self { key, origin, counter: 0 }
    }

    /// Returns the number of the last sealed message.
    pub(super) fn counter(&self) -> u64 {
        self.counter
    }

    pub(super) fn seal(&mut self, topic: Topic, body: &[u8]) -> Vec<u8> {
        self.counter += 1;
        let mut sealed = Vec::with_capacity(HEAD_BYTES + body.len() + TAG_BYTES);
        sealed.extend([VERSION, topic.code()]);
        sealed.extend(self.origin.node.to_be_bytes());
        sealed.extend(self.origin.instance.to_be_bytes());
        sealed.extend(self.counter.to_be_bytes());
        sealed.extend(body);
        let tag = self.key.tag(&[b"sealed\0", &sealed]);
        sealed.extend(tag);
        sealed
    }
}

/// An opened message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Message(BusMessage),
    /// This process sent it: the counter that it was sealed with.
    Own(u64),
}

/// Opens messages, and refuses those that were seen before.
pub(super) struct Opener {
    key: BusKey,
    own: Origin,
    /// The last message of each node; a node has a number up to 255, so this is bounded.
    last: HashMap<i16, Last>,
}

struct Last {
    instance: u64,
    counter: u64,
    at: Instant,
}

impl Opener {
    pub(super) fn new(key: BusKey, own: Origin) -> Self {
        Self { key, own, last: HashMap::new() }
    }

    /// Checks a message, the cheapest checks first.
    pub(super) fn open(&mut self, sealed: &[u8], now: Instant) -> Result<Opened, Dropped> {
        if sealed.len() > SEALED_BYTES_MAX || sealed.len() < HEAD_BYTES + TAG_BYTES {
            return Err(Dropped::Size);
        }
        let (bytes, tag) = sealed.split_at(sealed.len() - TAG_BYTES);
        let ([version, topic], rest) = split::<2>(bytes)?;
        if version != VERSION {
            return Err(Dropped::Version);
        }
        if !self.key.proves(bytes, tag) {
            return Err(Dropped::Forged);
        }
        let (node, rest) = split::<2>(rest)?;
        let (instance, rest) = split::<8>(rest)?;
        let (counter, body) = split::<8>(rest)?;
        let from = Origin { node: i16::from_be_bytes(node), instance: u64::from_be_bytes(instance) };
        let counter = u64::from_be_bytes(counter);
        if from == self.own {
            return Ok(Opened::Own(counter));
        }
        // A later version may have more topics.
        let topic = Topic::of(topic).ok_or(Dropped::Version)?;
        self.check_order(from, counter, now)?;
        Ok(Opened::Message(BusMessage { from, topic, body: body.to_vec() }))
    }

    fn check_order(&mut self, from: Origin, counter: u64, now: Instant) -> Result<(), Dropped> {
        let seen = self.last.get(&from.node).is_some_and(|last| {
            let is_recent = now.saturating_duration_since(last.at) <= SILENT_MAX;
            (from.instance < last.instance && is_recent)
                || (from.instance == last.instance && counter <= last.counter)
        });
        if seen {
            return Err(Dropped::Repeated);
        }
        self.last.insert(from.node, Last { instance: from.instance, counter, at: now });
        Ok(())
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Dropped> {
    bytes.split_first_chunk::<N>().map(|(first, rest)| (*first, rest)).ok_or(Dropped::Size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const FIRST: Origin = Origin { node: 1, instance: 10 };
    const SECOND: Origin = Origin { node: 2, instance: 20 };

    fn key() -> BusKey {
        BusKey::new(SECRET)
    }

    fn opened(opener: &mut Opener, sealed: &[u8]) -> Result<Opened, Dropped> {
        opener.open(sealed, Instant::now())
    }

    #[test]
    fn message_of_another_node_is_opened_once() {
        let (mut sealer, mut opener) = (Sealer::new(key(), SECOND), Opener::new(key(), FIRST));
        let sealed = sealer.seal(Topic::Presence, b"body");
        let message = BusMessage { from: SECOND, topic: Topic::Presence, body: b"body".to_vec() };
        assert_eq!(opened(&mut opener, &sealed), Ok(Opened::Message(message)));
        assert_eq!(opened(&mut opener, &sealed), Err(Dropped::Repeated));
        let mut own = Opener::new(key(), SECOND);
        assert_eq!(opened(&mut own, &sealed), Ok(Opened::Own(1)));
        // Another process that has the number of this node is not this process.
        let mut later = Opener::new(key(), Origin { instance: 21, ..SECOND });
        assert!(matches!(opened(&mut later, &sealed), Ok(Opened::Message(_))));
    }

    #[test]
    fn altered_foreign_and_oversized_messages_are_refused() {
        let (mut sealer, mut opener) = (Sealer::new(key(), SECOND), Opener::new(key(), FIRST));
        let sealed = sealer.seal(Topic::Login, b"body");
        for at in 1..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(opened(&mut opener, &altered), Err(Dropped::Forged), "byte {at}");
        }
        let mut other_version = sealed.clone();
        other_version[0] = 2;
        assert_eq!(opened(&mut opener, &other_version), Err(Dropped::Version));
        let mut foreign = Sealer::new(BusKey::new(b"another secret of 32 bytes length"), SECOND);
        assert_eq!(opened(&mut opener, &foreign.seal(Topic::Login, b"body")), Err(Dropped::Forged));
        for size in [0, 1, HEAD_BYTES + TAG_BYTES - 1, SEALED_BYTES_MAX + 1] {
            assert_eq!(opened(&mut opener, &vec![1; size]), Err(Dropped::Size), "{size} bytes");
        }
        assert!(matches!(opened(&mut opener, &sealed), Ok(Opened::Message(_))), "none of these counts");
    }

    #[test]
    fn earlier_process_of_a_node_is_refused_while_the_later_sends() {
        let mut opener = Opener::new(key(), FIRST);
        let now = Instant::now();
        let mut older = Sealer::new(key(), Origin { instance: 19, ..SECOND });
        let mut newer = Sealer::new(key(), SECOND);
        let first = older.seal(Topic::Commit, b"");
        assert!(opener.open(&first, now).is_ok());
        assert!(opener.open(&newer.seal(Topic::Commit, b""), now).is_ok());
        assert_eq!(opener.open(&older.seal(Topic::Commit, b""), now), Err(Dropped::Repeated));
        let later = now + SILENT_MAX + Duration::from_secs(1);
        assert!(opener.open(&older.seal(Topic::Commit, b""), later).is_ok());
    }

    #[test]
    fn channel_depends_on_the_secret_and_shows_nothing_of_it() {
        let name = key().channel();
        assert_eq!((name.len(), name.starts_with("netbit.")), (23, true));
        assert_ne!(name, BusKey::new(b"another secret of 32 bytes length").channel());
        assert_ne!(key().code_of("account", "alice"), key().code_of("account", "bob"));
        assert_eq!(format!("{:?}", key()), "BusKey(..)");
    }
}
