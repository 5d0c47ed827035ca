//! Text that was not sent yet, and the message that it refers to.

use crate::domain::ids::MessageId;

/// Texts that wait below the text in the prompt of a chat; older ones are joined.
const BENEATH_MAX: usize = 8;

/// The message that the new text refers to, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Purpose {
    #[default]
    Message,
    Reply(MessageId),
    Edit(MessageId),
}

/// The text in the prompt of a chat. An edit does not replace the text that is being written: that
/// text waits beneath the edit, and returns to the prompt when the edit has ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) purpose: Purpose,
    /// Texts that return to the prompt after this one, the last one first. They have none beneath.
    pub(super) beneath: Vec<Self>,
}

impl Draft {
    pub(super) fn new(text: String, purpose: Purpose) -> Self {
        Self { text, purpose, beneath: Vec::new() }
    }

    /// Returns whether the draft has no text at all.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.beneath.iter().all(|draft| draft.text.is_empty())
    }

    /// Returns all texts, the oldest first.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = self.beneath.iter().map(|draft| draft.text.as_str());
        texts.chain([self.text.as_str()]).filter(|text| !text.is_empty())
    }

    /// Adds a later draft of the same chat. Two new messages become one; any other text waits
    /// beneath the later one.
    pub(super) fn extend(&mut self, later: Self) {
        if self.is_empty() {
            *self = later;
        } else if self.purpose == Purpose::Message
            && later.purpose == Purpose::Message
            && !later.text.is_empty()
            && !self.text.is_empty()
        {
            self.text = [self.text.as_str(), later.text.as_str()].join("\n");
            self.beneath.extend(later.beneath);
        } else if !later.is_empty() {
            let earlier = std::mem::replace(self, later);
            let above = std::mem::take(&mut self.beneath);
            self.beneath = earlier.beneath;
            self.beneath.push(Self::new(earlier.text, earlier.purpose));
            self.beneath.extend(above);
        }
        self.limit();
    }

    /// Puts an earlier text beneath the present one.
    pub(super) fn put_beneath(&mut self, earlier: Self) {
        if self.is_empty() {
            *self = earlier;
        } else {
            self.beneath.extend(earlier.beneath);
            self.beneath.push(Self::new(earlier.text, earlier.purpose));
        }
        self.limit();
    }

    /// The messages that the draft refers to do not exist any more.
    pub(super) fn refer_to_nothing(&mut self) {
        self.purpose = Purpose::Message;
        self.beneath.iter_mut().for_each(|draft| draft.purpose = Purpose::Message);
    }

    /// Joins the oldest texts if there are too many.
    pub(super) fn limit(&mut self) {
        self.beneath.retain(|draft| !draft.text.is_empty());
        while self.beneath.len() > BENEATH_MAX {
            let oldest = self.beneath.remove(0);
            if let Some(next) = self.beneath.first_mut() {
                next.text = [oldest.text.as_str(), next.text.as_str()].join("\n");
                next.purpose = Purpose::Message;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_of_a_chat_are_joined_or_put_beneath() {
        let new = |text: &str| Draft::new(text.to_owned(), Purpose::Message);
        let edit = |text: &str| Draft::new(text.to_owned(), Purpose::Edit(MessageId(3)));
        let mut draft = new("one");
        draft.extend(new("two"));
        draft.extend(edit("three"));
        draft.put_beneath(edit("four"));
        assert_eq!((draft.text.as_str(), draft.purpose), ("three", Purpose::Edit(MessageId(3))));
        assert_eq!(draft.texts().collect::<Vec<_>>(), ["one\ntwo", "four", "three"]);
        (0..50).for_each(|_| draft.put_beneath(new("more")));
        assert_eq!(draft.beneath.len(), BENEATH_MAX);
        let texts: usize = draft.texts().map(|text| text.matches("more").count()).sum();
        assert_eq!(texts, 50, "no text is lost");
        draft.refer_to_nothing();
        assert_eq!(draft.purpose, Purpose::Message);
        let mut present = new("present");
        present.put_beneath(Draft { beneath: vec![new("first")], ..edit("second") });
        assert_eq!(present.texts().collect::<Vec<_>>(), ["first", "second", "present"]);
    }
}
