//! The content of a message: its sender, its number, and the time of sending.
//!
//! The text alone identifies the message, so that a reader needs only what the server returns.

use super::checker::MessageKey;

/// A typical length of a message. The padding must come back unchanged.
const BYTES: usize = 120;

/// The content of one message. The time is in microseconds since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) key: MessageKey,
    pub(crate) sent_us: u64,
}

impl Content {
    pub(crate) fn to_text(self) -> String {
        let Self { key: MessageKey { sender, counter }, sent_us } = self;
        let mut text = format!("{sender} {counter} {sent_us} ");
        text.extend(std::iter::repeat_n('x', BYTES.saturating_sub(text.len())));
        text
    }

    /// Returns `None` for a text that the load test did not send.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (sender, counter, sent) = (words.next()?, words.next()?, words.next()?);
        let filling = words.next()?;
        let whole = text.len() == BYTES && words.next().is_none() && filling.bytes().all(|byte| byte == b'x');
        let key = MessageKey { sender: sender.parse().ok()?, counter: counter.parse().ok()? };
        whole.then_some(Self { key, sent_us: sent.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_parsed_only_when_unchanged() {
        let content = Content { key: MessageKey { sender: 17, counter: 4 }, sent_us: 123_456 };
        let text = content.to_text();
        assert_eq!(Content::parse(&text), Some(content));
        for damaged in [&text[1..], &text[..100], "", "hello", &text.replace('x', "y"), &format!("{text} ")] {
            assert_ne!(Content::parse(damaged), Some(content), "{damaged}");
        }
    }
}
