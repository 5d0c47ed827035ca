//! Escape sequences and characters of a terminal's input, decoded one at a time.

use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

/// Bytes of a control sequence; longer ones are not from a terminal.
const SEQUENCE_BYTES_MAX: usize = 64;
/// Bytes of a control string, such as the answer to a question about colours.
const STRING_BYTES_MAX: usize = 1_024;

/// The beginning of some bytes.
pub(super) enum First {
    /// An event (or nothing, for an unknown sequence) of so many bytes.
    Event(Option<Event>, usize),
    /// The mark at the beginning of a paste.
    Paste,
    Incomplete,
}

pub(super) fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

/// Decodes a character or a control character.
pub(super) fn character(bytes: &[u8]) -> First {
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
pub(super) fn control_sequence(rest: &[u8]) -> First {
    match rest {
        // A report of the mouse in the form of X10: button, column and row are any bytes.
        [b'M', _, _, _, ..] => return First::Event(None, 6),
        // F1 to F5 of the Linux console.
        [b'[', last @ b'A'..=b'E', ..] => {
            return First::Event(Some(key(KeyCode::F(last - b'A' + 1), KeyModifiers::NONE)), 4);
        }
        [b'[', _, ..] => return First::Event(None, 4),
        [b'M' | b'[', ..] => return First::Incomplete,
        _ => {}
    }
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

/// Decodes a control string, given the bytes after its introducer. `None`: the bytes are not a
/// control string, because it holds no control character before its end.
pub(super) fn control_string(rest: &[u8]) -> Option<First> {
    let Some(end) = rest.iter().position(u8::is_ascii_control) else {
        return (rest.len() < STRING_BYTES_MAX).then_some(First::Incomplete);
    };
    match rest.get(end..)? {
        [0x07, ..] => Some(First::Event(None, 2 + end + 1)),
        [0x1b, b'\\', ..] => Some(First::Event(None, 2 + end + 2)),
        [0x1b] => Some(First::Incomplete),
        _ => None,
    }
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
        _ => return None,
    };
    Some(key(code, modifiers))
}

/// Decodes the last byte of a key in application mode.
pub(super) fn keypad_key(last: u8) -> Option<Event> {
    match last {
        b'M' => Some(key(KeyCode::Enter, KeyModifiers::NONE)),
        last => cursor_key(last, KeyModifiers::NONE),
    }
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
