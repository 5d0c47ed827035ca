//! The form of a WebSocket session: MessagePack or JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Acquire, Ordering::Release};

/// Encoding of a session's messages; the first message decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// MessagePack in binary messages.
    Binary,
    /// JSON in text messages.
    Text,
}

/// The session's form, once it is known.
#[derive(Clone, Default)]
pub(super) struct SharedForm(Arc<AtomicU8>);

impl SharedForm {
    /// Before the first message the form is text, which a user can read.
    pub(super) fn get(&self) -> Form {
        if self.0.load(Acquire) == 1 { Form::Binary } else { Form::Text }
    }

    /// Whether this session accepts a message of this form. The first message decides.
    pub(super) fn accepts(&self, form: Form) -> bool {
        let number = if form == Form::Binary { 1 } else { 2 };
        match self.0.load(Acquire) {
            0 => {
                self.0.store(number, Release);
                true
            }
            known => known == number,
        }
    }
}
