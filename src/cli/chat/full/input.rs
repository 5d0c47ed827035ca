//! Events of the terminal, read by a thread of their own.
//!
//! Invariant: no typed byte is lost. Bytes that were typed before the terminal was in raw mode are
//! read first ([`typed_ahead`]): the terminal has turned their Enter into a line feed, which later
//! means a new line. While the client is busy, the events wait in a bounded channel, and the bytes
//! behind them in the terminal.

use std::io::{self, Read};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc;

/// Events that wait for the client.
const EVENTS_MAX: usize = 4_096;
/// Bytes that are read as typed ahead.
const AHEAD_BYTES_MAX: u64 = 1 << 20;

/// Starts to read. The channel closes when the terminal fails.
pub(super) fn start() -> mpsc::Receiver<Event> {
    let (events, received) = mpsc::channel(EVENTS_MAX);
    std::thread::spawn(move || {
        for event in typed_ahead().unwrap_or_default() {
            if events.blocking_send(event).is_err() {
                return;
            }
        }
        while let Ok(event) = event::read() {
            if events.blocking_send(event).is_err() {
                return;
            }
        }
    });
    received
}

/// Reads what was typed before the terminal was in raw mode.
fn typed_ahead() -> io::Result<Vec<Event>> {
    let stdin = io::stdin();
    let mut bytes = Vec::new();
    loop {
        let waiting = rustix::io::ioctl_fionread(&stdin)?;
        if waiting == 0 || bytes.len() as u64 >= AHEAD_BYTES_MAX {
            break;
        }
        // Not through the buffer of `Stdin`: the rest belongs to the reader of events.
        let mut raw = std::fs::File::from(rustix::io::dup(&stdin)?);
        let mut some = vec![0; usize::try_from(waiting).unwrap_or(0)];
        let count = raw.read(&mut some)?;
        bytes.extend(some.get(..count).unwrap_or_default());
        if count == 0 {
            break;
        }
    }
    Ok(events_of(&bytes))
}

/// Returns the keys of bytes that were typed ahead. Escape sequences are dropped.
fn events_of(bytes: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(bytes);
    let mut events = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let (code, modifiers) = match character {
            '\r' | '\n' => (KeyCode::Enter, KeyModifiers::NONE),
            '\t' => (KeyCode::Tab, KeyModifiers::NONE),
            '\u{7f}' => (KeyCode::Backspace, KeyModifiers::NONE),
            '\u{1b}' => {
                if characters.next_if_eq(&'[').is_some() {
                    while characters.next_if(|c| !('@'..='~').contains(c)).is_some() {}
                    characters.next();
                }
                continue;
            }
            '\u{1}'..='\u{1a}' => {
                let letter = char::from_u32(u32::from(character) + 0x60).unwrap_or(' ');
                (KeyCode::Char(letter), KeyModifiers::CONTROL)
            }
            control if control.is_control() => continue,
            other => (KeyCode::Char(other), KeyModifiers::NONE),
        };
        events.push(Event::Key(KeyEvent::new(code, modifiers)));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_typed_ahead_become_keys() {
        let keys = events_of("hé\n/q\u{1b}[1;5A\r\u{7f}\u{15}".as_bytes());
        let codes: Vec<_> = keys
            .into_iter()
            .map(|event| match event {
                Event::Key(key) => (key.code, key.modifiers),
                other => panic!("{other:?}"),
            })
            .collect();
        let plain = |code| (code, KeyModifiers::NONE);
        assert_eq!(
            codes,
            [
                plain(KeyCode::Char('h')),
                plain(KeyCode::Char('é')),
                plain(KeyCode::Enter),
                plain(KeyCode::Char('/')),
                plain(KeyCode::Char('q')),
                plain(KeyCode::Enter),
                plain(KeyCode::Backspace),
                (KeyCode::Char('u'), KeyModifiers::CONTROL),
            ]
        );
    }
}
