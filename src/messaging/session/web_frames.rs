//! Decodes the bytes that a client sends into WebSocket messages (RFC 6455 sections 5 and 7). A
//! plain struct.
//!
//! Invariants
//! * Only the beginning of a message above the limit is kept ([`BEGINNING_BYTES`]); the rest is
//!   discarded as it arrives. A message above [`MESSAGE_BYTES_MAX`] ends the connection.
//! * Text messages are valid UTF-8; control frames are complete and at most [`CONTROL_BYTES_MAX`]
//!   long.
//! * Deliberately absent: extensions. None is negotiated, so reserved bits are a violation.

use bytes::{Buf, Bytes, BytesMut};

use super::web_close::WebClose;
use super::web_form::Form;
use crate::core::saturate;

/// A larger message ends the connection instead of being discarded.
const MESSAGE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of an oversized message that are kept to find its request id.
const BEGINNING_BYTES: usize = 1024;
/// Maximum payload of a control frame (RFC 6455 section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;
const MASK_BYTES: usize = 4;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum WebMessage {
    Whole(Form, Bytes),
    /// A message above the limit, with its beginning.
    TooLarge(Form, Bytes),
    Ping(Bytes),
    Pong,
    /// Close frame with the code that the client sent, if any.
    Close(Option<u16>),
}

/// Header of a frame whose payload is arriving.
#[derive(Debug)]
struct FrameHeader {
    is_last: bool,
    opcode: Opcode,
    payload_bytes: u64,
    mask: [u8; MASK_BYTES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Data(Form),
    Close,
    Ping,
    Pong,
}

/// A data frame that has arrived in part.
#[derive(Debug)]
struct WebFrame {
    is_last: bool,
    bytes_left: u64,
    /// Rotated to the position of the next byte.
    mask: [u8; MASK_BYTES],
}

/// A message that has arrived in part.
#[derive(Debug)]
struct Partial {
    form: Form,
    bytes: u64,
    kept: BytesMut,
    frame: Option<WebFrame>,
}

#[derive(Debug, Default)]
pub(super) struct WebFrames {
    arrived: BytesMut,
    message: Option<Partial>,
}

impl WebFrames {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
    }

    /// Whether a part of a message has arrived.
    pub(super) fn is_within_message(&self) -> bool {
        self.message.is_some() || !self.arrived.is_empty()
    }

    /// Returns the next message of at most `bytes_max`, if it has arrived.
    ///
    /// # Errors
    /// The client broke the protocol: close the connection with the returned code.
    pub(super) fn take(&mut self, bytes_max: usize) -> Result<Option<WebMessage>, WebClose> {
        loop {
            if let Some(mut message) = self.message.take() {
                if let Some(mut frame) = message.frame.take() {
                    message.read(&mut frame, &mut self.arrived, bytes_max);
                    if frame.bytes_left > 0 {
                        message.frame = Some(frame);
                    } else if frame.is_last {
                        return message.finish(bytes_max).map(Some);
                    }
                }
                let waits = message.frame.is_some();
                self.message = Some(message);
                if waits {
                    return Ok(None);
                }
            }
            let Some((header, header_bytes)) = FrameHeader::read(&self.arrived)? else { return Ok(None) };
            match header.opcode {
                Opcode::Continuation | Opcode::Data(_) => {
                    self.arrived.advance(header_bytes);
                    self.begin(&header)?;
                }
                _ => return self.control(&header, header_bytes),
            }
        }
    }

    fn begin(&mut self, header: &FrameHeader) -> Result<(), WebClose> {
        let message = match (header.opcode, self.message.take()) {
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Data(form), None) => Partial { form, bytes: 0, kept: BytesMut::new(), frame: None },
            _ => return Err(WebClose::PROTOCOL),
        };
        let bytes = message.bytes.saturating_add(header.payload_bytes);
        if bytes > MESSAGE_BYTES_MAX {
            return Err(WebClose::TOO_LARGE);
        }
        let frame = WebFrame { is_last: header.is_last, bytes_left: header.payload_bytes, mask: header.mask };
        self.message = Some(Partial { bytes, frame: Some(frame), ..message });
        Ok(())
    }

    fn control(&mut self, header: &FrameHeader, header_bytes: usize) -> Result<Option<WebMessage>, WebClose> {
        let payload_bytes = usize::try_from(header.payload_bytes).map_err(|_| WebClose::PROTOCOL)?;
        let frame_bytes = header_bytes.saturating_add(payload_bytes);
        if self.arrived.len() < frame_bytes {
            return Ok(None);
        }
        let mut payload = self.arrived.split_to(frame_bytes).split_off(header_bytes);
        unmask(&mut payload, header.mask);
        Ok(Some(match header.opcode {
            Opcode::Ping => WebMessage::Ping(payload.freeze()),
            Opcode::Close => WebMessage::Close(close_code(&payload)?),
            _ => WebMessage::Pong,
        }))
    }
}

impl Partial {
    /// Moves the arrived bytes of a frame to the kept bytes.
    fn read(&mut self, frame: &mut WebFrame, arrived: &mut BytesMut, bytes_max: usize) {
        let here = saturate::to_usize(frame.bytes_left).min(arrived.len());
        let mut part = arrived.split_to(here);
        frame.bytes_left = frame.bytes_left.saturating_sub(saturate::to_u64(here));
        let room = if self.is_above(bytes_max) { BEGINNING_BYTES } else { bytes_max };
        let room = room.saturating_sub(self.kept.len()).min(part.len());
        unmask(&mut part, frame.mask);
        frame.mask.rotate_left(here % MASK_BYTES);
        part.truncate(room);
        self.kept.extend_from_slice(&part);
    }

    fn is_above(&self, bytes_max: usize) -> bool {
        self.bytes > saturate::to_u64(bytes_max)
    }

    fn finish(mut self, bytes_max: usize) -> Result<WebMessage, WebClose> {
        if self.is_above(bytes_max) {
            self.kept.truncate(BEGINNING_BYTES);
            return Ok(WebMessage::TooLarge(self.form, self.kept.freeze()));
        }
        if self.form == Form::Text && std::str::from_utf8(&self.kept).is_err() {
            return Err(WebClose::INVALID);
        }
        Ok(WebMessage::Whole(self.form, self.kept.freeze()))
    }
}

impl FrameHeader {
    /// Parses the header at the front; returns it with its length if it is complete.
    fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, WebClose> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let opcode = match first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Data(Form::Text),
            2 => Opcode::Data(Form::Binary),
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(WebClose::PROTOCOL),
        };
        let (is_last, reserved, is_masked) = (first & 0x80 != 0, first & 0x70, second & 0x80 != 0);
        if reserved != 0 || !is_masked {
            return Err(WebClose::PROTOCOL);
        }
        let (payload_bytes, rest) = match second & 0x7f {
            126 => match rest {
                [high, low, rest @ ..] => (u64::from(u16::from_be_bytes([*high, *low])), rest),
                _ => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        let is_control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
        if is_control && (!is_last || payload_bytes > CONTROL_BYTES_MAX) || payload_bytes > u64::MAX / 2 {
            return Err(WebClose::PROTOCOL);
        }
        let Some((mask, rest)) = rest.split_first_chunk::<MASK_BYTES>() else { return Ok(None) };
        let header_bytes = bytes.len().saturating_sub(rest.len());
        Ok(Some((Self { is_last, opcode, payload_bytes, mask: *mask }, header_bytes)))
    }
}

/// Returns the code in the payload of a close frame (RFC 6455 section 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, WebClose> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        [_] => return Err(WebClose::PROTOCOL),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(WebClose::PROTOCOL);
    }
    std::str::from_utf8(reason).map_err(|_| WebClose::INVALID)?;
    Ok(Some(code))
}

fn unmask(bytes: &mut [u8], mask: [u8; MASK_BYTES]) {
    for (byte, key) in bytes.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 2_000;

    /// Builds a frame of a client.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = vec![first];
        match payload.len() {
            short @ ..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
            middle @ ..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(0x80 | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Decodes all messages in these bytes, which arrive in pieces.
    fn read(bytes: &[u8], piece: usize) -> (Vec<WebMessage>, Option<WebClose>) {
        let (mut frames, mut messages) = (WebFrames::default(), Vec::new());
        for piece in bytes.chunks(piece.max(1)) {
            frames.add(piece);
            loop {
                match frames.take(MAX) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(close) => return (messages, Some(close)),
                }
            }
        }
        (messages, None)
    }

    fn text(content: &[u8]) -> WebMessage {
        WebMessage::Whole(Form::Text, Bytes::copy_from_slice(content))
    }

    #[test]
    fn messages_are_complete_in_any_pieces() {
        let sent = [
            frame(0x81, b"one"),
            frame(0x01, "tw\u{f6}".as_bytes().split_at(3).0),
            frame(0x89, b"ping"),
            frame(0x00, "tw\u{f6}".as_bytes().split_at(3).1),
            frame(0x80, b" and three"),
            frame(0x82, &[0; 300]),
            frame(0x8a, b""),
            frame(0x81, b""),
            frame(0x88, &[3, 232]),
        ]
        .concat();
        for piece in [1, 2, 7, 10_000] {
            let expected = vec![
                text(b"one"),
                WebMessage::Ping(Bytes::from_static(b"ping")),
                text("tw\u{f6} and three".as_bytes()),
                WebMessage::Whole(Form::Binary, Bytes::from(vec![0; 300])),
                WebMessage::Pong,
                text(b""),
                WebMessage::Close(Some(1000)),
            ];
            assert_eq!(read(&sent, piece), (expected, None), "{piece}");
        }
    }

    #[test]
    fn message_above_the_limit_is_discarded_and_next_is_read() {
        let large = vec![b'x'; MAX + 1];
        let parts = [frame(0x01, &large[..1_500]), frame(0x80, &large[1_500..])].concat();
        for sent in [frame(0x81, &large), parts] {
            let sent = [sent, frame(0x81, b"next")].concat();
            for piece in [1, 100, 10_000] {
                let beginning = Bytes::from(vec![b'x'; BEGINNING_BYTES]);
                let expected = vec![WebMessage::TooLarge(Form::Text, beginning), text(b"next")];
                assert_eq!(read(&sent, piece), (expected, None), "{piece}");
            }
        }
        assert_eq!(read(&frame(0x82, &[0; MAX]), 10).0.len(), 1);
        let largest = frame(0x82, &vec![0; 1024 * 1024]);
        assert!(matches!(read(&largest, 4096).0[..], [WebMessage::TooLarge(Form::Binary, _)]));
        assert_eq!(read(&frame(0x82, &vec![0; 1024 * 1024 + 1]), 4096).1, Some(WebClose::TOO_LARGE));
        let many = [frame(0x02, &[0; 60_000]), frame(0x00, &[0; 60_000]).repeat(17)].concat();
        assert_eq!(read(&many, 4096).1, Some(WebClose::TOO_LARGE));
    }

    #[test]
    fn violation_closes_with_the_code_of_its_kind() {
        let mut unmasked = frame(0x81, b"x");
        unmasked[1] &= 0x7f;
        let mut endless = frame(0x82, b"");
        endless.splice(1..2, [0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]);
        for (story, sent, code) in [
            ("a reserved bit", frame(0xc1, b"x"), WebClose::PROTOCOL),
            ("an unknown opcode", frame(0x83, b"x"), WebClose::PROTOCOL),
            ("a missing mask", unmasked, WebClose::PROTOCOL),
            ("a length without end", endless, WebClose::PROTOCOL),
            ("a control frame in parts", frame(0x09, b"x"), WebClose::PROTOCOL),
            ("a long control frame", frame(0x89, &[0; 126]), WebClose::PROTOCOL),
            ("a continuation of nothing", frame(0x80, b"x"), WebClose::PROTOCOL),
            ("a message within another", frame(0x01, b"x").repeat(2), WebClose::PROTOCOL),
            ("half a close code", frame(0x88, b"x"), WebClose::PROTOCOL),
            ("a close code that is reserved", frame(0x88, &[3, 237]), WebClose::PROTOCOL),
            ("a reason that is not text", frame(0x88, &[3, 232, 0xff]), WebClose::INVALID),
            ("a text that is not text", frame(0x81, &[0xff]), WebClose::INVALID),
        ] {
            for piece in [1, 1_000] {
                assert_eq!(read(&sent, piece).1, Some(code), "{story}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_never_change_the_decoded_messages(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            piece in 1..64_usize,
        ) {
            prop_assert_eq!(read(&bytes, piece), read(&bytes, 1));
        }
    }
}
