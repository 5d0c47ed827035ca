//! Decoding of a terminal's bytes into keys, pastes, clicks and focus changes (ECMA-48, xterm's
//! modifiers, bracketed paste, SGR mouse).
//!
//! Invariants
//! * Incremental: an incomplete sequence waits for its next bytes. No byte of text is lost.
//! * No part of a bracketed paste becomes a key, whatever its size and even without its end mark.
//! * Reports and answers of the terminal that this client does not know produce no event.

use std::time::Duration;

use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers};

use super::sequences::{First, character, control_sequence, control_string, key, keypad_key};

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// Bytes of a paste that can be inserted. The event of a larger paste has more bytes than this, and
/// the rest of the paste is discarded.
pub(super) const PASTE_BYTES_MAX: usize = 1 << 20;
/// Time after which an escape character without more bytes is the Esc key.
const ESCAPE_WAIT: Duration = Duration::from_millis(50);
/// Time after which an incomplete control sequence is text. Its parts may arrive late over a slow
/// connection, and then the rest of a paste would be typed.
const SEQUENCE_WAIT: Duration = Duration::from_millis(500);
/// Time after which the text of a paste is inserted although its end is still to come.
const PASTE_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
    paste: Option<Paste>,
    /// The last key was an escape character after which no byte came in time.
    after_escape: bool,
}

/// A paste whose end mark has not arrived.
#[derive(Debug, Default)]
struct Paste {
    text: Vec<u8>,
    /// The paste is too large: its event was returned, and the rest is discarded.
    is_refused: bool,
    /// No byte has arrived for [`PASTE_WAIT`].
    is_stalled: bool,
}

impl Decoder {
    /// Adds bytes and returns the complete events.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        if std::mem::take(&mut self.after_escape) && bytes.starts_with(PASTE_BEGIN.get(1..).unwrap_or(&[])) {
            self.pending.push(0x1b);
        }
        if let Some(paste) = &mut self.paste {
            // The terminal sends no end mark: Ctrl-C ends the paste.
            if std::mem::take(&mut paste.is_stalled) && bytes == b"\x03" {
                events.extend(self.end_paste());
                return events;
            }
        }
        self.pending.extend_from_slice(bytes);
        loop {
            if self.paste.is_some() {
                let (event, has_ended) = self.continue_paste();
                events.extend(event);
                if !has_ended {
                    return events;
                }
            }
            match self.first() {
                First::Event(event, used) => {
                    events.extend(event);
                    let used = used.max(1).min(self.pending.len());
                    self.pending.drain(..used);
                }
                First::Paste => {
                    self.pending.drain(..PASTE_BEGIN.len());
                    self.paste = Some(Paste::default());
                }
                First::Incomplete => return events,
            }
        }
    }

    /// Returns how long to wait for further bytes before [`Decoder::settle`], if they are missing.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self.pending.as_slice() {
            _ if self.paste.is_some() => Some(PASTE_WAIT),
            [0x1b, b'[' | b'O', ..] => Some(SEQUENCE_WAIT),
            [0x1b, ..] => Some(ESCAPE_WAIT),
            _ => None,
        }
    }

    /// No further byte has followed in time. The text of an unfinished paste is returned. An
    /// incomplete sequence is the Esc key and the text after it.
    pub(super) fn settle(&mut self) -> Vec<Event> {
        if let Some(paste) = &mut self.paste {
            paste.is_stalled = true;
            return text_of(&mut paste.text).into_iter().collect();
        }
        let mut events = vec![key(KeyCode::Esc, KeyModifiers::NONE)];
        let rest: Vec<u8> = std::mem::take(&mut self.pending).into_iter().skip(1).collect();
        events.extend(self.feed(&rest));
        self.after_escape = rest.is_empty();
        events
    }

    fn first(&self) -> First {
        match self.pending.as_slice() {
            [] | [0x1b] | [0x1b, b'O'] => First::Incomplete,
            bytes if bytes.starts_with(PASTE_BEGIN) => First::Paste,
            [0x1b, 0x1b, ..] => First::Event(Some(key(KeyCode::Esc, KeyModifiers::NONE)), 1),
            [0x1b, b'[', rest @ ..] => control_sequence(rest),
            [0x1b, b'O', last, ..] => First::Event(keypad_key(*last), 3),
            [0x1b, b']' | b'P' | b'_' | b'^' | b'X', rest @ ..] => {
                control_string(rest).unwrap_or_else(|| self.with_alt())
            }
            [0x1b, ..] => self.with_alt(),
            bytes => character(bytes),
        }
    }

    /// Decodes an escape character and the character behind it: a key with Alt.
    fn with_alt(&self) -> First {
        match character(self.pending.get(1..).unwrap_or_default()) {
            First::Event(Some(Event::Key(plain)), used) => {
                First::Event(Some(key(plain.code, plain.modifiers | KeyModifiers::ALT)), used + 1)
            }
            First::Event(other, used) => First::Event(other, used + 1),
            other => other,
        }
    }

    /// Moves the pending bytes into the paste. Returns its event, if there is one now, and whether
    /// the paste has ended.
    fn continue_paste(&mut self) -> (Option<Event>, bool) {
        let Some(paste) = &mut self.paste else { return (None, true) };
        let end = self.pending.windows(PASTE_END.len()).position(|window| window == PASTE_END);
        let text_end = end.unwrap_or_else(|| self.pending.len() - mark_part(&self.pending));
        paste.text.extend(self.pending.drain(..text_end));
        if end.is_some() {
            self.pending.drain(..PASTE_END.len());
            return (self.end_paste(), true);
        }
        let event = if !paste.is_refused && paste.text.len() > PASTE_BYTES_MAX {
            paste.is_refused = true;
            text_of(&mut paste.text)
        } else {
            None
        };
        if paste.is_refused {
            paste.text.clear();
        }
        (event, false)
    }

    fn end_paste(&mut self) -> Option<Event> {
        let mut paste = self.paste.take().filter(|paste| !paste.is_refused)?;
        text_of(&mut paste.text)
    }
}

/// Returns the number of bytes at the end of a text that may be the beginning of the end mark.
fn mark_part(text: &[u8]) -> usize {
    let parts = (1..PASTE_END.len()).rev();
    let mut parts = parts.filter(|length| PASTE_END.get(..*length).is_some_and(|part| text.ends_with(part)));
    parts.next().unwrap_or(0)
}

/// Takes the text of a paste; an empty one is not an event.
fn text_of(text: &mut Vec<u8>) -> Option<Event> {
    let text = std::mem::take(text);
    (!text.is_empty()).then(|| Event::Paste(String::from_utf8_lossy(&text).into_owned()))
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
    }

    /// A click that the terminal reports in the form of X10 was the Enter key, and sent the text.
    #[test]
    fn unknown_sequences_are_swallowed() {
        for bytes in [
            &b"\x1b[?1;2c"[..],
            b"\x1b[9999;1x",
            b"\x1b[M !!",
            b"\x1b[M\x60\xc1\x0d",
            b"\x1b[32;10;10M",
            b"\x1b[<35;3;7M",
            b"\x1b[[Z",
            b"\x1bOZ",
            b"\x1b]11;rgb:0000/0000/0000\x07",
            b"\x1b]11;rgb:0000/0000/0000\x1b\\",
            b"\x1bP1$r0m\x1b\\",
            b"\x1b_Gi=1;OK\x1b\\",
        ] {
            assert_eq!(decoded(bytes), [], "{bytes:?}");
            let behind = [bytes, b"x"].concat();
            assert_eq!(decoded(&behind), [plain(KeyCode::Char('x'))], "{bytes:?}");
            let mut decoder = Decoder::default();
            let single: Vec<_> = behind.iter().flat_map(|byte| decoder.feed(&[*byte])).collect();
            assert_eq!(single, [plain(KeyCode::Char('x'))], "{bytes:?}");
        }
        // A line end shows that the text behind Alt-] is not a control string.
        assert_eq!(decoded(b"\x1b]ab\r").len(), 4);
        assert_eq!(decoded(b"\x1b[[B"), [plain(KeyCode::F(2))]);
    }

    /// The rest of a paste above 8 MiB was executed line by line.
    #[test]
    fn paste_that_is_too_large_is_refused_as_a_whole() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(PASTE_BEGIN), []);
        let (line, mut events, mut fed) = (b"/quit\r".repeat(500), Vec::new(), 0);
        while fed < 9 << 20 {
            events.extend(decoder.feed(&line));
            fed += line.len();
            assert!(
                decoder.paste.as_ref().is_some_and(|paste| paste.text.len() <= PASTE_BYTES_MAX + line.len())
            );
        }
        assert!(matches!(events.as_slice(), [Event::Paste(text)] if text.len() > PASTE_BYTES_MAX));
        assert_eq!(decoder.feed(b"/quit\r\x1b[201~x"), [plain(KeyCode::Char('x'))]);
    }

    #[test]
    fn paste_without_its_end_is_inserted_and_ended_by_ctrl_c() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b[200~one\r\x03"), []);
        assert_eq!(decoder.settle(), [Event::Paste("one\r\u{3}".into())]);
        assert_eq!(decoder.feed(b"/quit\r"), [], "input is still a part of the paste");
        assert_eq!(decoder.settle(), [Event::Paste("/quit\r".into())]);
        assert_eq!(decoder.settle(), []);
        assert_eq!(decoder.feed(b"\x03"), []);
        assert_eq!(decoder.feed(b"\r"), [plain(KeyCode::Enter)]);
        // The end mark may arrive in two parts.
        decoder.feed(b"\x1b[200~two\x1b[2");
        assert_eq!(decoder.settle(), [Event::Paste("two".into())]);
        assert_eq!(decoder.feed(b"01~"), []);
        assert_eq!(decoder.feed(b"\r"), [plain(KeyCode::Enter)]);
        // And so may the mark at the beginning.
        decoder.feed(b"\x1b");
        assert_eq!(decoder.settle(), [plain(KeyCode::Esc)]);
        assert_eq!(decoder.feed(b"[200~/quit\r\x1b[201~"), [Event::Paste("/quit\r".into())]);
    }

    #[test]
    fn escape_without_more_bytes_is_a_key() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert_eq!(decoder.wait(), Some(ESCAPE_WAIT));
        assert_eq!(decoder.settle(), [plain(KeyCode::Esc)]);
        assert_eq!(decoder.feed(b"\x1b["), []);
        assert_eq!(decoder.settle(), [plain(KeyCode::Esc), plain(KeyCode::Char('['))]);
        assert_eq!(decoder.feed(b"\x1b[200~half"), []);
        assert_eq!(decoder.wait(), Some(PASTE_WAIT));
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
            while decoder.wait().is_some() && decoder.paste.is_none() {
                decoder.settle();
            }
            prop_assert!(decoder.pending.len() < PASTE_END.len());
        }
    }
}
