//! Parses the head of a push incrementally.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{Declined, PushRequest, PushRequestError};
use crate::domain::push::RefUpdate;
use crate::git::pkt_line::{self, LENGTH_DIGITS, PktFrame};

/// Maximum number of push options (`-o`): git passes each to its hooks as an environment variable.
pub(super) const OPTIONS_MAX: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestStage {
    Commands,
    Options,
    Done,
}

/// Parses the head of a push incrementally.
#[derive(Debug)]
pub struct PushRequestReader {
    stage: RequestStage,
    head: PushRequest,
    read: BytesMut,
    /// Number of bytes of `read` that were parsed.
    at: usize,
    /// End of the commands and their flush in `read`.
    commands_end: usize,
    updates_max: usize,
    bytes_max: usize,
}

impl PushRequestReader {
    pub fn new(updates_max: usize, bytes_max: usize) -> Self {
        Self {
            stage: RequestStage::Commands,
            head: PushRequest::default(),
            read: BytesMut::new(),
            at: 0,
            commands_end: 0,
            updates_max,
            bytes_max,
        }
    }

    /// Reads bytes; returns `true` once the head is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, PushRequestError> {
        self.read.extend_from_slice(bytes);
        while self.stage != RequestStage::Done {
            let rest = self.read.get(self.at..).unwrap_or_default();
            let Some(frame) = pkt_line::frame(rest).map_err(|_| PushRequestError::Malformed)? else {
                let is_full = self.read.len() > self.bytes_max;
                return if is_full { Err(PushRequestError::TooLarge(self.bytes_max)) } else { Ok(false) };
            };
            let data = self.at.saturating_add(LENGTH_DIGITS)..self.at.saturating_add(frame.bytes());
            self.at = data.end;
            if self.at > self.bytes_max {
                return Err(PushRequestError::TooLarge(self.bytes_max));
            }
            match (self.stage, frame) {
                (RequestStage::Commands, PktFrame::Flush) => {
                    self.commands_end = self.at;
                    let options = self.head.has("push-options") && !self.head.is_probe();
                    self.stage = if options { RequestStage::Options } else { RequestStage::Done };
                }
                (RequestStage::Commands, PktFrame::Line(_)) => {
                    let line = self.read.get(data.clone()).unwrap_or_default();
                    self.head.command(line, data, self.updates_max)?;
                }
                (RequestStage::Options, PktFrame::Flush) => self.stage = RequestStage::Done,
                (RequestStage::Options, PktFrame::Line(_)) => {
                    if self.head.options.len() >= OPTIONS_MAX {
                        return Err(PushRequestError::TooManyOptions(OPTIONS_MAX));
                    }
                    let text = String::from_utf8_lossy(self.read.get(data).unwrap_or_default());
                    self.head.options.push(text.trim_end_matches('\n').to_owned());
                }
                (RequestStage::Done, _) => {}
            }
        }
        Ok(true)
    }

    /// Returns the head and the first bytes after it.
    ///
    /// Must only be called after [`PushRequestReader::feed`] returned `true`.
    pub fn finish(mut self) -> (PushRequest, Bytes) {
        self.head.bytes = self.read.split_to(self.at.min(self.read.len())).freeze();
        self.head.option_bytes = self.commands_end..self.at;
        (self.head, self.read.freeze())
    }
}

impl PushRequest {
    /// Parses a line before the flush, at position `at` of the received bytes.
    fn command(&mut self, data: &[u8], at: Range<usize>, updates_max: usize) -> Result<(), PushRequestError> {
        let (line, capabilities) = match data.iter().position(|b| *b == 0) {
            Some(end) => (data.get(..end).unwrap_or_default(), data.get(end + 1..)),
            None => (data, None),
        };
        let capabilities_start = at.start.saturating_add(line.len()).saturating_add(1);
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let sent = at.start..at.start.saturating_add(line.len());
        if let Some(capabilities) = capabilities {
            // Only the first command has capabilities; git would add up those of later commands.
            if !self.is_probe() || line.starts_with(b"shallow ") {
                return Err(PushRequestError::Malformed);
            }
            self.capability_bytes = capabilities_start..at.end;
            let text = String::from_utf8_lossy(capabilities);
            self.capabilities = text.split_whitespace().map(str::to_owned).collect();
        }
        if line.starts_with(b"shallow ") {
            self.shallow_lines.push(sent);
            return Ok(());
        }
        if line.starts_with(b"push-cert") {
            return Err(PushRequestError::Signed);
        }
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let (Some(old), Some(new), Some(name)) = (words.next(), words.next(), words.next()) else {
            return Err(PushRequestError::Malformed);
        };
        let (old, new) = (oid(old)?, oid(new)?);
        if self.updates.len().saturating_add(self.declined.len()) >= updates_max {
            return Err(PushRequestError::TooManyRefs(updates_max));
        }
        self.has_pack |= new.is_some();
        match std::str::from_utf8(name) {
            Ok(name) => {
                self.updates.push(RefUpdate { name: name.to_owned(), old, new });
                self.command_lines.push(sent);
            }
            // No rule can match such a name, and no JSON answer can contain it.
            Err(_) => {
                self.declined.push(Declined { name: Bytes::copy_from_slice(name), why: NOT_UTF8.to_owned() });
            }
        }
        Ok(())
    }
}

const NOT_UTF8: &str = "the name is not UTF-8: rename it, for example with git branch -m";

/// Parses an object id in hex; returns `None` for all zeros.
fn oid(text: &[u8]) -> Result<Option<String>, PushRequestError> {
    let is_hex = text.iter().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    let text = std::str::from_utf8(text).map_err(|_| PushRequestError::Malformed)?;
    if !matches!(text.len(), 40 | 64) || !is_hex {
        return Err(PushRequestError::Malformed);
    }
    Ok(text.bytes().any(|b| b != b'0').then(|| text.to_owned()))
}
