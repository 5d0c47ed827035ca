//! Events of the terminal, read by a thread of their own.
//!
//! Invariant: no typed byte is lost. While the client is busy, the events wait in a bounded
//! channel, and the bytes behind them in the terminal. crossterm's reader is not used: it waits for
//! a new byte while more than 1,024 bytes wait in the terminal, so a fast paste never arrives.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::Event;
use tokio::sync::mpsc;

use super::decoder::Decoder;

/// Reads whose events wait for the client.
const READS_MAX: usize = 64;
const READ_BYTES: usize = 4_096;
/// Interval at which a thread that waits for the rest of a sequence tests whether bytes arrived.
const ARRIVAL_TEST: Duration = Duration::from_millis(10);

/// Starts to read. The channel has the events of each read, and closes when the terminal fails.
pub(super) fn start() -> mpsc::Receiver<Vec<Event>> {
    let (events, received) = mpsc::channel(READS_MAX);
    std::thread::spawn(move || {
        // The end of the channel reports the error.
        drop(read(&events));
    });
    received
}

fn read(events: &mpsc::Sender<Vec<Event>>) -> io::Result<()> {
    // Not through the buffer of `Stdin`: its bytes could not be counted.
    let mut terminal = File::from(rustix::io::dup(io::stdin())?);
    let (mut decoder, mut bytes) = (Decoder::default(), vec![0; READ_BYTES]);
    // Bytes that were typed before the terminal was in raw mode: it has turned their Enter into a
    // line feed, which later means a new line.
    let mut ahead = rustix::io::ioctl_fionread(&terminal)?;
    loop {
        let count = match terminal.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Another program has set the terminal to non-blocking mode.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(ARRIVAL_TEST);
                continue;
            }
            count => count?,
        };
        let Some(some) = bytes.get_mut(..count).filter(|some| !some.is_empty()) else { return Ok(()) };
        for byte in some.iter_mut().take(usize::try_from(ahead).unwrap_or(usize::MAX)) {
            if *byte == b'\n' {
                *byte = b'\r';
            }
        }
        ahead = ahead.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        send(events, decoder.feed(some))?;
        if let Some(wait) = decoder.wait()
            && !has_bytes_within(&terminal, wait)?
        {
            send(events, decoder.settle())?;
        }
    }
}

/// Waits for bytes, and returns whether there are some.
fn has_bytes_within(terminal: &File, wait: Duration) -> io::Result<bool> {
    let end = Instant::now() + wait;
    while rustix::io::ioctl_fionread(terminal)? == 0 {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(left.min(ARRIVAL_TEST));
    }
    Ok(true)
}

fn send(events: &mpsc::Sender<Vec<Event>>, decoded: Vec<Event>) -> io::Result<()> {
    if decoded.is_empty() {
        return Ok(());
    }
    events.blocking_send(decoded).map_err(io::Error::other)
}
