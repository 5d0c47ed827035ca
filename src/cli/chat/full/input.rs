//! Events of the terminal, read by a thread of their own.
//!
//! Invariant: no typed byte is lost. While the client is busy, the events wait in a bounded
//! channel, and the bytes behind them in the terminal. crossterm's reader is not used: it waits for
//! a new byte while more than 1,024 bytes wait in the terminal, so a fast paste never arrives.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use ratatui::crossterm::event::Event;
use tokio::sync::mpsc;

use super::decoder::Decoder;

/// Events that wait for the client.
const EVENTS_MAX: usize = 4_096;
const READ_BYTES: usize = 4_096;
/// Time after which an incomplete sequence is the Esc key. Sequences may arrive in parts over a
/// slow connection.
const ESCAPE_WAIT: Duration = Duration::from_millis(50);

/// Starts to read. The channel closes when the terminal fails.
pub(super) fn start() -> mpsc::Receiver<Event> {
    let (events, received) = mpsc::channel(EVENTS_MAX);
    std::thread::spawn(move || {
        // The end of the channel reports the error.
        drop(read(&events));
    });
    received
}

fn read(events: &mpsc::Sender<Event>) -> io::Result<()> {
    // Not through the buffer of `Stdin`: its bytes could not be counted.
    let mut terminal = File::from(rustix::io::dup(io::stdin())?);
    let (mut decoder, mut bytes) = (Decoder::default(), vec![0; READ_BYTES]);
    // Bytes that were typed before the terminal was in raw mode: it has turned their Enter into a
    // line feed, which later means a new line.
    let mut ahead = rustix::io::ioctl_fionread(&terminal)?;
    loop {
        let count = terminal.read(&mut bytes)?;
        let Some(some) = bytes.get_mut(..count).filter(|some| !some.is_empty()) else { return Ok(()) };
        for byte in some.iter_mut().take(usize::try_from(ahead).unwrap_or(usize::MAX)) {
            if *byte == b'\n' {
                *byte = b'\r';
            }
        }
        ahead = ahead.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        send(events, decoder.feed(some))?;
        if decoder.is_ambiguous() {
            std::thread::sleep(ESCAPE_WAIT);
            if rustix::io::ioctl_fionread(&terminal)? == 0 {
                send(events, decoder.settle())?;
            }
        }
    }
}

fn send(events: &mpsc::Sender<Event>, decoded: Vec<Event>) -> io::Result<()> {
    decoded.into_iter().try_for_each(|event| events.blocking_send(event)).map_err(io::Error::other)
}
