//! Decoding of a terminal's bytes into keys, pastes, clicks and focus changes (ECMA-48, xterm's
//! modifiers, bracketed paste, SGR mouse).
//!
//! Incremental: an incomplete sequence waits for its next bytes. No byte of text is lost.

use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// Bytes of a paste that are collected; a longer one arrives in parts.
const PASTE_BYTES_MAX: usize = 8 << 20;
/// Bytes of a control sequence; longer ones are not from a terminal.
const SEQUENCE_BYTES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
    /// Bytes of a paste in which its end was not found.
    scanned: usize,
}

/// The beginning of the pending bytes.
enum First {
    /// An event (or nothing, for an unknown sequence) of so many bytes.
    Event(Option<Event>, usize),
    Incomplete,
}

impl Decoder {
    /// Adds bytes and returns the complete events.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.pending.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let First::Event(event, used) = self.first() {
            events.extend(event);
            self.pending.drain(..used.clamp(1, self.pending.len().max(1)).min(self.pending.len()));
        }
        events
    }

    /// Whether the pending bytes are a key by themselves, if no further byte follows soon: Esc.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.pending.first() == Some(&0x1b) && !self.pending.starts_with(PASTE_BEGIN)
    }

    /// No further byte has followed: an incomplete sequence is the Esc key and what follows it.
    pub(super) fn settle(&mut self) -> Vec<Event> {
        let mut events = vec![key(KeyCode::Esc, KeyModifiers::NONE)];
        let rest: Vec<u8> = std::mem::take(&mut self.pending).into_iter().skip(1).collect();
        events.extend(self.feed(&rest));
        events
    }

    fn first(&mut self) -> First {
        match self.pending.as_slice() {
            [] => First::Incomplete,
            bytes if bytes.starts_with(PASTE_BEGIN) => self.paste(),
            [0x1b] => First::Incomplete,
            [0x1b, 0x1b, ..] => First::Event(Some(key(KeyCode::Esc, KeyModifiers::NONE)), 1),
            [0x1b, b'[', rest @ ..] => control_sequence(rest),
            [0x1b, b'O'] => First::Incomplete,
            [0x1b, b'O', last, ..] => First::Event(cursor_key(*last, KeyModifiers::NONE), 3),
            [0x1b, rest @ ..] => match character(rest) {
                First::Event(Some(Event::Key(plain)), used) => {
                    First::Event(Some(key(plain.code, plain.modifiers | KeyModifiers::ALT)), used + 1)
                }
                First::Event(other, used) => First::Event(other, used + 1),
                First::Incomplete => First::Incomplete,
            },
            bytes => character(bytes),
        }
    }

    fn paste(&mut self) -> First {
        let begin = PASTE_BEGIN.len();
        let from = self.scanned.max(begin);
        let rest = self.pending.get(from..).unwrap_or_default();
        let end = rest.windows(PASTE_END.len()).position(|window| window == PASTE_END).map(|at| from + at);
        let (end, used) = match end {
            Some(end) => (end, end + PASTE_END.len()),
            None if self.pending.len() < PASTE_BYTES_MAX => {
                self.scanned = self.pending.len().saturating_sub(PASTE_END.len());
                return First::Incomplete;
            }
            None => (self.pending.len(), self.pending.len()),
        };
        self.scanned = 0;
        let text = String::from_utf8_lossy(self.pending.get(begin..end).unwrap_or_default()).into_owned();
        First::Event(Some(Event::Paste(text)), used)
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

/// Decodes a character or a control character.
fn character(bytes: &[u8]) -> First {
    let Some(first) = bytes.first() else { return First::Incomplete };
    let control = |letter: u8| (KeyCode::Char(char::from(letter)), KeyModifiers::CONTROL);
    let (code, modifiers) = match first {
        b'\r' => (KeyCode::Enter, KeyModifiers::NONE),
        b'\t' => (KeyCode::Tab, KeyModifiers::NONE),
        0x7f | 0x08 => (KeyCode::Backspace, KeyModifiers::NONE),
        0x01..=0x1a => control(first + b'a' - 1),
        0x1c..=0x1f => control(first - 0x1c + b'4'),
        0x00 | 0x1b => return First::Event(None, 1),
        _ => {
            let length = match first {
                0x00..=0x7f => 1,
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => 0,
            };
            let Some(encoded) = bytes.get(..length) else { return First::Incomplete };
            let decoded = std::str::from_utf8(encoded).ok().and_then(|text| text.chars().next());
            let character = decoded.unwrap_or(char::REPLACEMENT_CHARACTER);
            let used = if decoded.is_some() { length } else { 1 };
            return First::Event(Some(key(KeyCode::Char(character), KeyModifiers::NONE)), used);
        }
    };
    First::Event(Some(key(code, modifiers)), 1)
}

/// Decodes a control sequence, given the bytes after its introducer.
fn control_sequence(rest: &[u8]) -> First {
    let Some(end) = rest.iter().position(|byte| !matches!(byte, 0x20..=0x3f)) else {
        return if rest.len() < SEQUENCE_BYTES_MAX { First::Incomplete } else { First::Event(None, 1) };
    };
    let (Some(parameters), Some(last)) = (rest.get(..end), rest.get(end)) else { return First::Incomplete };
    let used = 2 + end + 1;
    if !matches!(last, 0x40..=0x7e) {
        // Not a sequence: what follows the introducer is text.
        return First::Event(None, 2);
    }
    let parameters = String::from_utf8_lossy(parameters);
    if let Some(mouse) = parameters.strip_prefix('<') {
        return First::Event(click(mouse, *last), used);
    }
    let mut numbers = parameters.split(';').map(|text| text.split(':').next().unwrap_or_default());
    let number = numbers.next().and_then(|text| text.parse::<u32>().ok());
    let modifiers = modifiers(numbers.next().and_then(|text| text.parse().ok()).unwrap_or(1));
    let event = match (last, number) {
        (b'I', _) => Some(Event::FocusGained),
        (b'O', _) => Some(Event::FocusLost),
        (b'Z', _) => Some(key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        (b'~', Some(number)) => numbered_key(number).map(|code| key(code, modifiers)),
        (b'u', Some(code)) => unicode_key(code).map(|code| key(code, modifiers)),
        _ => cursor_key(*last, modifiers),
    };
    First::Event(event, used)
}

/// Returns the modifiers of xterm's parameter: 1 plus a sum of 1 (Shift), 2 (Alt), 4 (Control).
fn modifiers(parameter: u32) -> KeyModifiers {
    let bits = parameter.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

fn cursor_key(last: u8, modifiers: KeyModifiers) -> Option<Event> {
    let code = match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'P'..=b'S' => KeyCode::F(last - b'P' + 1),
        b'M' => KeyCode::Enter,
        _ => return None,
    };
    Some(key(code, modifiers))
}

fn numbered_key(number: u32) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(u8::try_from(number - 10).ok()?),
        17..=21 => KeyCode::F(u8::try_from(number - 11).ok()?),
        _ => return None,
    })
}

/// Returns the key of the kitty keyboard protocol.
fn unicode_key(code: u32) -> Option<KeyCode> {
    Some(match code {
        13 | 57_414 => KeyCode::Enter,
        27 => KeyCode::Esc,
        9 => KeyCode::Tab,
        127 => KeyCode::Backspace,
        // Private use: keys that have no text.
        57_344..=63_743 => return None,
        code => KeyCode::Char(char::from_u32(code)?),
    })
}

/// Decodes a report of the mouse.
fn click(parameters: &str, last: u8) -> Option<Event> {
    let mut numbers = parameters.split(';').map(|text| text.parse::<u16>().ok());
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let kind = match (button & 0b110_0011, last) {
        (0, b'M') => MouseEventKind::Down(MouseButton::Left),
        (64, _) => MouseEventKind::ScrollUp,
        (65, _) => MouseEventKind::ScrollDown,
        _ => return None,
    };
    let (column, row) = (column.saturating_sub(1), row.saturating_sub(1));
    Some(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8]) -> Vec<Event> {
        Decoder::default().feed(bytes)
    }

    fn plain(code: KeyCode) -> Event {
        key(code, KeyModifiers::NONE)
    }

    #[test]
    fn sequences_of_terminals_become_keys() {
        for (bytes, event) in [
            (&b"\r"[..], plain(KeyCode::Enter)),
            (b"\n", key(KeyCode::Char('j'), KeyModifiers::CONTROL)),
            (b"\x1b\r", key(KeyCode::Enter, KeyModifiers::ALT)),
            (b"\x1b[13;2u", key(KeyCode::Enter, KeyModifiers::SHIFT)),
            (b"\x1b[27u", plain(KeyCode::Esc)),
            (b"\x1b[A", plain(KeyCode::Up)),
            (b"\x1bOA", plain(KeyCode::Up)),
            (b"\x1b[1;3B", key(KeyCode::Down, KeyModifiers::ALT)),
            (b"\x1b[1;5F", key(KeyCode::End, KeyModifiers::CONTROL)),
            (b"\x1b[5~", plain(KeyCode::PageUp)),
            (b"\x1b[3~", plain(KeyCode::Delete)),
            (b"\x1bOQ", plain(KeyCode::F(2))),
            (b"\x1b[13~", plain(KeyCode::F(3))),
            (b"\x1b[Z", key(KeyCode::BackTab, KeyModifiers::SHIFT)),
            (b"\x1ba", key(KeyCode::Char('a'), KeyModifiers::ALT)),
            (b"\x17", key(KeyCode::Char('w'), KeyModifiers::CONTROL)),
            (b"\x7f", plain(KeyCode::Backspace)),
            (b"\x1b[I", Event::FocusGained),
            (b"\x1b[200~a\rb\x1b[A\x1b[201~", Event::Paste("a\rb\u{1b}[A".into())),
            ("é".as_bytes(), plain(KeyCode::Char('é'))),
        ] {
            assert_eq!(decoded(bytes), [event], "{bytes:?}");
        }
        let Some(Event::Mouse(mouse)) = decoded(b"\x1b[<0;3;7M").pop() else { panic!() };
        assert_eq!((mouse.column, mouse.row), (2, 6));
        assert_eq!(decoded(b"\x1b[?1;2c\x1b[9999;1x"), []);
    }

    #[test]
    fn escape_without_more_bytes_is_a_key() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert!(decoder.is_ambiguous());
        assert_eq!(decoder.settle(), [plain(KeyCode::Esc)]);
        assert_eq!(decoder.feed(b"\x1b["), []);
        assert_eq!(decoder.settle(), [plain(KeyCode::Esc), plain(KeyCode::Char('['))]);
        assert_eq!(decoder.feed(b"\x1b[200~half"), []);
        assert!(!decoder.is_ambiguous(), "a paste is waited for");
        assert_eq!(decoder.feed(b"\x1b[201~"), [Event::Paste("half".into())]);
    }

    proptest! {
        /// However the bytes are cut, the events are the same, and no character is lost.
        #[test]
        fn events_do_not_depend_on_the_sizes_of_reads(
            parts in prop::collection::vec(prop_oneof![
                "[a-zé你👩]{1,4}", Just("\u{1b}[A".to_owned()), Just("\r".to_owned()),
                Just("\u{1b}[200~one\rtwo\u{1b}[201~".to_owned()), Just("\u{1b}[1;5C".to_owned())
            ], 0..12),
            size in 1usize..9
        ) {
            let text = parts.concat();
            let whole = decoded(text.as_bytes());
            let mut decoder = Decoder::default();
            let cut: Vec<_> = text.as_bytes().chunks(size).flat_map(|chunk| decoder.feed(chunk)).collect();
            prop_assert_eq!(whole, cut);
        }

        #[test]
        fn any_bytes_are_consumed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            while decoder.is_ambiguous() {
                decoder.settle();
            }
            prop_assert!(decoder.pending.len() < 6 || decoder.pending.starts_with(PASTE_BEGIN));
        }
    }
}
