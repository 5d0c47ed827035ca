//! Fuzz properties of the parsers of untrusted bytes. Each function takes bytes, and panics when
//! its property does not hold.
//!
//! The fuzz targets in `fuzz_targets/` call these functions. `tests/it/hostile/seeds.rs` runs them
//! on the seeds in every `cargo test`.

use bytes::{Bytes, BytesMut};
use netbit::domain::chat::parse_chat_name;
use netbit::domain::emoji::Emoji;
use netbit::domain::file::{BlobHash, FileName};
use netbit::domain::ids::{ChatId, UserId};
use netbit::domain::lfs::{LfsPointer, LockPath, POINTER_BYTES_MAX};
use netbit::domain::media::{HEAD_BYTES, TAIL_BYTES, is_shown, media_of};
use netbit::domain::message::{ClientId, Content};
use netbit::domain::name::Name;
use netbit::domain::project::{ProjectConfig, check_branch_name};
use netbit::domain::search::{EXCERPT_BYTES_MAX, Excerpt, MessageTraits, SearchQuery, message_terms};
use netbit::domain::timestamp::Timestamp;
use netbit::domain::user::{Username, parse_display_name, parse_email};
use netbit::git::pack_limits::PackLimits;
use netbit::git::pack_reader::{PackError, PackReader};
use netbit::git::pkt_line;
use netbit::git::push_request::{PushRequestReader, check_name};
use netbit::protocol::datagram::{self, Header, Upward};
use netbit::protocol::packet::{self, MessagePacket};
use netbit::protocol::{framing, json, scan};

#[path = "../../src/git/handmade_pack.rs"]
pub mod handmade_pack;

/// Checks the property of one parser for the given bytes.
pub type Target = fn(&[u8]);

/// All targets with their names.
pub const TARGETS: [(&str, Target); 10] = [
    ("frames", frames),
    ("json_bodies", json_bodies),
    ("datagrams", datagrams),
    ("pkt_lines", pkt_lines),
    ("push_commands", push_commands),
    ("names", names),
    ("searches", searches),
    ("packs", packs),
    ("delta_chains", delta_chains),
    ("media", media),
];

/// Maximum length of a client's frame, in bytes.
const FRAME_BYTES: usize = 64 * 1024;

/// Checks that an encoded packet decodes to the same packet.
fn stays(packet: &MessagePacket) {
    let bytes = framing::encode(packet).expect("a decoded packet can be encoded");
    let again = packet::decode(&framing::packet_of(&bytes)).expect("an encoded packet can be decoded");
    // Compares the bytes, because NaN does not equal NaN.
    assert_eq!(framing::encode(&again).ok(), Some(bytes.clone()), "a packet changed in a round trip");
    let text = json::from_message_pack(&framing::packet_of(&bytes));
    assert!(text.is_some_and(|text| serde_json::from_str::<serde_json::Value>(&text).is_ok()), "no JSON");
}

/// Checks the frames of a stream and the packets in them.
pub fn frames(mut input: &[u8]) {
    while let Ok(Some((frame, used))) = framing::split(input, FRAME_BYTES) {
        assert!(!frame.is_empty() && frame.len() <= FRAME_BYTES && used == frame.len() + 4);
        let sound = scan::scan(frame).is_ok();
        match packet::decode(frame) {
            Ok(packet) => {
                assert!(sound, "a malformed frame was decoded");
                stays(&packet);
            }
            Err(packet::PacketError::Malformed(_)) => {
                assert!(!sound, "a well-formed frame was rejected as malformed")
            }
            Err(packet::PacketError::BadField { .. }) => assert!(sound),
        }
        input = &input[used..];
    }
}

/// Checks a session packet in JSON, and a REST body.
pub fn json_bodies(input: &[u8]) {
    if let Ok(packet) = packet::decode_json(input) {
        stays(&packet);
    }
    if let Ok(config) = serde_json::from_slice::<ProjectConfig>(input)
        && let Ok(config) = config.check()
    {
        let text = serde_json::to_string(&config).expect("settings can be serialized");
        let again = serde_json::from_str::<ProjectConfig>(&text).expect("serialized settings can be parsed");
        assert!(again.check().is_ok(), "valid settings became invalid when they were serialized and parsed");
    }
}

/// Checks that a datagram does not open with a foreign key, and that a sealed map opens unchanged.
pub fn datagrams(input: &[u8]) {
    let key = [7; 32];
    if let Ok(header) = Header::of_client(input) {
        assert!(header.counter > 0 && input.len() <= 512);
        assert!(
            datagram::open::<Upward>(&key, header, input).is_err(),
            "a datagram opened that was not sealed with this key"
        );
    }
    if let Ok(said) = rmp_serde::from_slice::<Upward>(input) {
        let header = Header { kind: datagram::Kind::Ping, connection_id: 1, counter: 1 };
        if let Some(mut sealed) = datagram::seal(&key, header, &said) {
            assert_eq!(datagram::open::<Upward>(&key, header, &sealed), Ok(said));
            let place = usize::from(input.first().copied().unwrap_or(0)) % sealed.len();
            sealed[place] ^= 1;
            let altered =
                Header::of(&sealed).and_then(|header| datagram::open::<Upward>(&key, header, &sealed));
            assert!(altered.is_err(), "an altered datagram was opened");
        }
    }
}

/// Checks that parsed pkt-lines are written back unchanged.
pub fn pkt_lines(input: &[u8]) {
    let (mut rest, mut written) = (BytesMut::from(input), BytesMut::new());
    while let Ok(Some(line)) = pkt_line::take(&mut rest) {
        match line {
            pkt_line::Line::Flush => written.extend_from_slice(pkt_line::FLUSH),
            pkt_line::Line::Data(data) => pkt_line::put(&mut written, &data),
        }
    }
    let taken = &input[..input.len() - rest.len()];
    // The length may have uppercase hex digits.
    assert!(taken.eq_ignore_ascii_case(&written), "{taken:x?} was taken as {written:x?}");
}

/// Checks that the head of a push is parsed equally as a whole and in pieces.
pub fn push_commands(input: &[u8]) {
    const UPDATES: usize = 20;
    const BYTES: usize = 4096;
    let read = |pieces: usize| {
        let mut reader = PushRequestReader::new(UPDATES, BYTES);
        for piece in input.chunks(pieces) {
            match reader.feed(piece) {
                Ok(true) => return Some(Ok(reader.finish().0)),
                Ok(false) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        None
    };
    let (whole, pieces) = (read(input.len().max(1)), read(3));
    if let (Some(Ok(whole)), Some(Ok(pieces))) = (&whole, &pieces) {
        assert_eq!(whole, pieces, "the parsed head depends on the chunk size");
        assert!(whole.updates.len() <= UPDATES && whole.bytes.len() <= BYTES);
        assert!(input.starts_with(&whole.bytes));
        for update in &whole.updates {
            names(update.name.as_bytes());
        }
    }
    assert_eq!(whole.is_some_and(|read| read.is_ok()), pieces.is_some_and(|read| read.is_ok()));
}

/// Limits of a pushed pack in the fuzz targets.
const PACK: PackLimits = PackLimits {
    entries: 1000,
    commit_bytes: 1000,
    tree_bytes: 8000,
    blob_bytes: 100_000,
    delta_bytes: 50_000,
    chain_length: 8,
    unpacked_bytes: 400_000,
    unpacked_ratio: 2,
    large_unpacked_bytes: 400_000,
    large_unpacked_ratio: 2,
};

/// Reads a pack in pieces of `piece` bytes and returns the number of bytes passed on.
fn read_pack(pack: &[u8], piece: usize) -> Result<usize, PackError> {
    let mut reader = PackReader::new(PACK, Box::new(|_| None));
    let mut passed = 0;
    for chunk in pack.chunks(piece) {
        passed += reader.feed(&Bytes::copy_from_slice(chunk))?.len();
        assert!(reader.cost().largest_delta_bytes <= PACK.delta_bytes);
    }
    assert!(passed + reader.checksum().map_or(0, <[u8]>::len) <= pack.len());
    Ok(passed)
}

/// Checks that the result for any pack does not depend on the chunk size.
pub fn packs(input: &[u8]) {
    // An entry with two faults is refused for the first one found, which depends on how many bytes
    // are inflated at once.
    let whole = read_pack(input, input.len().max(1)).ok();
    assert_eq!(whole, read_pack(input, 1).ok(), "acceptance depends on the chunk size");
    assert_eq!(whole, read_pack(input, 7).ok());
}

/// Builds a pack of objects and deltas from the input, three bytes each: kind, base, size. Checks
/// by a separate count that an accepted pack is within every limit.
pub fn delta_chains(input: &[u8]) {
    let count = u32::try_from(input.len() / 3).unwrap_or(u32::MAX);
    let mut pack = handmade_pack::Handmade::new(count);
    // For each entry: its size in bytes, and the length of its delta chain.
    let (mut entries, mut largest, mut all): (Vec<(u64, u32)>, u64, u64) = (Vec::new(), 0, 0);
    for step in input.chunks_exact(3) {
        let (kind, base, size) = (step[0], usize::from(step[1]), u64::from(step[2]));
        let size = size * size;
        match (kind % 5, entries.get(base % entries.len().max(1)).copied()) {
            (4, Some((from, depth))) => {
                pack = pack.delta(base % entries.len(), from, size);
                entries.push((size, depth + 1));
                all += 4;
            }
            (kind, _) => {
                let code = [1, 2, 3, 4][usize::from(kind) % 4];
                pack = pack.object(code, &vec![b'x'; usize::try_from(size).unwrap_or(0)]);
                entries.push((size, 0));
            }
        }
        all += size;
        largest = largest.max(size);
    }
    let read = read_pack(&pack.bytes, 64);
    assert_eq!(read, read_pack(&pack.bytes, pack.bytes.len()));
    if read.is_ok() {
        assert!(
            entries.iter().all(|(_, depth)| *depth <= PACK.chain_length),
            "an accepted delta chain is too long"
        );
        assert!(largest <= PACK.blob_bytes);
        assert!(
            all <= PACK.unpacked_bytes + PACK.unpacked_ratio * u64::try_from(pack.bytes.len()).unwrap_or(0)
        );
    }
    assert_ne!(read, Err(PackError::Malformed), "a well-formed pack was rejected as malformed");
}

/// Checks that every accepted name follows its rule, and that git accepts every accepted ref.
pub fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(name) = Username::parse(text) {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        assert!(name.as_str().chars().all(fine) && name.as_str().len() <= 39);
        assert!(!name.as_str().starts_with(['.', '-']) && !name.as_str().contains(".."));
    }
    if let Ok(name) = Name::parse(text) {
        let name = name.as_str().to_ascii_lowercase();
        assert!(name.len() <= 64 && !name.contains(['/', '\\']) && !name.contains(".."));
        assert!(!name.ends_with(".git") && !name.ends_with(".lock") && name != "api");
    }
    let git_takes = |name: &str| git2::Reference::is_valid_name(name);
    if check_name(text).is_ok() {
        assert!(git_takes(text), "{text:?} is not a valid ref");
        assert!(!text.starts_with("refs/replace/") && !text.contains("..") && !text.contains("//"));
    }
    if check_branch_name(text).is_ok() {
        assert!(git_takes(&format!("refs/heads/{text}")), "{text:?} is not a valid branch name");
        assert!(check_name(&format!("refs/heads/{text}")).is_ok(), "{text:?} can be created but not pushed");
    }
    for shown in [parse_chat_name(text), parse_display_name(text), parse_email(text)].into_iter().flatten() {
        assert!(!shown.chars().any(char::is_control), "{shown:?} contains a control character");
        assert!(
            !shown.contains(['\u{202e}', '\u{2066}', '\u{200b}']),
            "{shown:?} contains an invisible or reordering character"
        );
    }
    if let Ok(name) = FileName::parse(text) {
        assert!(
            !name.as_str().contains(['/', '\\', '\u{202e}']) && !name.as_str().chars().any(char::is_control)
        );
    }
    if let Ok(path) = LockPath::parse(text) {
        assert!(!path.as_str().chars().any(char::is_control) && path.as_str().len() <= 1024);
        assert!(!path.as_str().split('/').any(|part| matches!(part, "" | "." | "..")));
    }
    if let Some(pointer) = LfsPointer::parse(text) {
        assert!(text.len() <= POINTER_BYTES_MAX && text.contains(&pointer.oid.to_string()));
    }
    if let Some(hash) = BlobHash::parse(text) {
        assert_eq!(hash.to_string(), text);
    }
    if let Ok(content) = Content::parse(text.to_owned()) {
        assert!(!content.as_str().is_empty() && !content.as_str().contains('\0'));
    }
    if let Ok(emoji) = Emoji::parse(text) {
        assert!(!emoji.as_str().is_empty() && emoji.as_str().len() <= 35);
        assert!(emoji.is(text) && Emoji::parse(emoji.as_str()) == Ok(emoji));
    }
    if let Ok(name) = ClientId::parse(text) {
        assert_eq!(ClientId::parse(&name.to_string()), Ok(name));
    }
    for mention in netbit::domain::mention::Mentions::of(text).names {
        assert!((1..=39).contains(&mention.name().len()) && mention.candidates().count() >= 1);
        assert!(text.to_ascii_lowercase().contains(&format!("@{}", mention.name())), "{mention:?}");
        assert_eq!(netbit::domain::mention::Mention::parse(mention.as_str()), Some(mention));
    }
}

/// Checks a search: the first line is the query, the rest the content of a message.
pub fn searches(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (query, content) = text.split_once('\n').unwrap_or((text, ""));
    let terms = message_terms(ChatId(1), UserId(1), content, MessageTraits::default());
    let is_plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '.' || c == '=';
    assert!(terms.iter().all(|term| !term.is_empty() && term.chars().all(is_plain)), "a term needs quoting");
    let Ok(query) = SearchQuery::parse(query) else { return };
    drop(query.candidates());
    if let Some(ranges) = query.highlights(content, MessageTraits::default(), Timestamp(0)) {
        assert!(
            ranges.iter().all(|range| content.get(range.clone()).is_some()),
            "a range splits a character"
        );
        let excerpt = Excerpt::of(content, &ranges);
        assert!(excerpt.text.len() <= EXCERPT_BYTES_MAX, "a long excerpt");
    }
}

/// Checks that a file which begins like a document is never shown, and that pixels are positive.
pub fn media(input: &[u8]) {
    let head = input.get(..HEAD_BYTES).unwrap_or(input);
    let tail = input.get(input.len().saturating_sub(TAIL_BYTES)..).unwrap_or(input);
    let media = media_of(head, tail, u64::try_from(input.len()).unwrap_or(u64::MAX));
    if let Some((width, height)) = media.pixels {
        assert!(width > 0 && height > 0 && is_shown(media.media_type), "{media:?}");
    }
    let begins_like_a_document = input.trim_ascii_start().first().is_none_or(|byte| *byte == b'<');
    assert!(!(begins_like_a_document && is_shown(media.media_type)), "{media:?}");
}
