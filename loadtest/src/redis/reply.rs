//! Replies of Redis: the part of RESP2 that the scenarios use.

use anyhow::{Context, bail};

/// Maximum nesting of replies.
const DEPTH_MAX: u8 = 4;

/// One reply: its length in bytes, and its texts in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RedisReply<'a> {
    pub(super) length: usize,
    pub(super) texts: Vec<&'a [u8]>,
}

/// Returns the first reply in `bytes` if it is complete.
///
/// # Errors
/// An error reply of Redis, or bytes that are not RESP2.
pub(super) fn first(bytes: &[u8]) -> anyhow::Result<Option<RedisReply<'_>>> {
    let mut texts = Vec::new();
    Ok(read(bytes, DEPTH_MAX, &mut texts)?.map(|length| RedisReply { length, texts }))
}

fn read<'a>(bytes: &'a [u8], depth: u8, texts: &mut Vec<&'a [u8]>) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let (kind, line) = bytes.get(..end).and_then(<[u8]>::split_first).context("an empty reply")?;
    let (line, mut used) = (std::str::from_utf8(line)?, end + 2);
    match kind {
        b'+' | b':' => texts.push(line.as_bytes()),
        b'-' => bail!("Redis answers {line}"),
        b'$' => {
            let length: usize = line.parse()?;
            let Some(text) = bytes.get(used..used + length) else { return Ok(None) };
            texts.push(text);
            used += length + 2;
            if bytes.len() < used {
                return Ok(None);
            }
        }
        b'*' if depth > 0 => {
            for _ in 0..line.parse()? {
                let rest = bytes.get(used..).unwrap_or_default();
                let Some(length) = read(rest, depth - 1, texts)? else { return Ok(None) };
                used += length;
            }
        }
        _ => bail!("unknown reply type {}", char::from(*kind)),
    }
    Ok(Some(used))
}

/// Appends an encoded command.
pub(super) fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_found_wherever_the_stream_is_cut() {
        let bytes = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\na\r\n\r\n:5\r\n";
        let whole = bytes.len() - 4;
        for cut in 0..whole {
            assert_eq!(first(&bytes[..cut]).unwrap(), None, "at {cut}");
        }
        let texts: Vec<&[u8]> = vec![b"message", b"c", b"a\r\n"];
        assert_eq!(first(bytes).unwrap(), Some(RedisReply { length: whole, texts }));
        assert_eq!(first(&bytes[whole..]).unwrap().unwrap().texts, [b"5"]);
        assert!(first(b"-ERR no\r\n").is_err() && first(b"?\r\n").is_err());
        let mut out = Vec::new();
        command(&[b"XLEN", b"s"], &mut out);
        assert_eq!(out, b"*2\r\n$4\r\nXLEN\r\n$1\r\ns\r\n");
        assert_eq!(first(&out).unwrap().unwrap().texts, [&b"XLEN"[..], b"s"]);
    }
}
