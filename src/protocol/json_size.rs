//! Upper bound of the JSON size of an event.

use crate::domain::event::{Change, ChatEvent};

/// Maximum number of JSON bytes per byte in memory.
pub const JSON_BYTES_MAX: usize = 6;

/// Returns the maximum size of an event as JSON, in bytes. JSON escapes a control character, a
/// quote or a backslash in up to six bytes.
pub fn json_bytes_max(event: &ChatEvent) -> usize {
    let escaped = match &event.change {
        Change::Message(message) | Change::Edit(message) => {
            let names: usize = message.files.iter().map(|file| escaped_bytes(file.name.as_bytes())).sum();
            escaped_bytes(message.content.as_bytes()) + names
        }
        _ => 0,
    };
    event.bytes() + (JSON_BYTES_MAX - 1) * escaped
}

/// Counts the bytes that JSON escapes. The count of a chunk fits a byte, so that the compiler
/// vectorizes the loop: it runs for every message of every page.
fn escaped_bytes(text: &[u8]) -> usize {
    let is_escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f;
    let chunks = text.chunks(usize::from(u8::MAX));
    chunks.map(|chunk| usize::from(chunk.iter().map(|byte| u8::from(is_escaped(*byte))).sum::<u8>())).sum()
}
