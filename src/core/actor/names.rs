//! The names of messages: one list for each actor, from which names, rows and types are made.

use super::context::InstrumentedActor;

/// A message, or the command or query that it carries, with its name in the metrics of its actor.
///
/// `instrumented_actor!` implements it for every type that it lists. A type without it cannot be
/// posted.
pub trait NamedMessage {
    type Actor: InstrumentedActor;
    const NAME: MessageName;
}

/// The name of a type of message, with its row in the statistics of its actor.
#[derive(Debug, Clone, Copy)]
pub struct MessageName {
    text: &'static str,
    row: Option<Row>,
}

/// The position of a message in [`InstrumentedActor::MESSAGES`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Row(pub(super) usize);

impl MessageName {
    /// Creates the name of the message at position `row` of its actor's list. Only
    /// `instrumented_actor!` calls it.
    pub(crate) const fn listed(text: &'static str, row: usize) -> Self {
        Self { text, row: Some(Row(row)) }
    }

    /// Creates the name of a message that shows in the totals of its actor only: the commands and
    /// queries of tests.
    pub const fn unlisted(text: &'static str) -> Self {
        Self { text, row: None }
    }

    pub const fn as_str(self) -> &'static str {
        self.text
    }

    pub(super) fn row(self) -> Option<Row> {
        self.row
    }
}

/// Implements [`InstrumentedActor`] for an actor, and [`NamedMessage`] for each message, command
/// and query that it lists. The metrics keep the order of the list.
macro_rules! instrumented_actor {
    ($actor:ident, $name:literal, [$($message:ident),+ $(,)?]) => {
        impl $crate::core::actor::InstrumentedActor for $actor {
            const NAME: &'static str = $name;
            const MESSAGES: &'static [&'static str] = &[$(stringify!($message)),+];
        }

        const _: () = {
            enum Position {
                $($message),+
            }
            $(
                impl $crate::core::actor::NamedMessage for $message {
                    type Actor = $actor;
                    const NAME: $crate::core::actor::MessageName =
                        $crate::core::actor::MessageName::listed(
                            stringify!($message),
                            Position::$message as usize,
                        );
                }
            )+
        };
    };
}
pub(crate) use instrumented_actor;
