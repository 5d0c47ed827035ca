//! Text that was not sent yet, and the message that it refers to.

use crate::domain::ids::MessageId;

/// The message that the new text refers to, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Purpose {
    #[default]
    Message,
    Reply(MessageId),
    Edit(MessageId),
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) purpose: Purpose,
}

impl Draft {
    /// Adds a later draft of the same chat.
    pub(super) fn extend(&mut self, later: Self) {
        if self.text.is_empty() {
            *self = later;
        } else if !later.text.is_empty() {
            self.text = [self.text.as_str(), later.text.as_str()].join("\n");
        }
    }
}
