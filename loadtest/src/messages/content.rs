//! What the load test says: who says it, which of the sender's messages it is, and when it was sent.
//!
//! The text alone identifies the message, so that a reader needs nothing but what the server gave it.

use super::checker::MessageKey;

/// About as long as what people write; the rest is filled up, and must come back filled up.
const BYTES: usize = 120;

/// One message's text. The moment is in microseconds since the scenario began.
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

    /// `None`: nobody here said that.
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
    fn a_content_reads_back_and_a_damaged_one_does_not() {
        let content = Content { key: MessageKey { sender: 17, counter: 4 }, sent_us: 123_456 };
        let text = content.to_text();
        assert_eq!(Content::parse(&text), Some(content));
        for damaged in [&text[1..], &text[..100], "", "hello", &text.replace('x', "y"), &format!("{text} ")] {
            assert_ne!(Content::parse(damaged), Some(content), "{damaged}");
        }
    }
}
