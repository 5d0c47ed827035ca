//! The commands: one struct for each thing that can change, named in the imperative.
//!
//! Each checks who asks and what the rules say inside the transaction, so that nobody who was removed or logged out a
//! moment ago can win a race.

mod accounts;
mod chats;
mod messages;

pub use accounts::{
    ChangePassword, EndExpiredLogins, EndLogin, RefreshLogin, Refreshed, RegisterUser, StartLogin,
    UpdateProfile,
};
pub use chats::{CreateChat, MarkRead, NewChat, RemoveParticipant, SetParticipant, UpdateChat};
pub use messages::{AppendMessage, Appended};

/// The rows of the writer's statistics.
pub(super) const NAMES: &[&str] = &[
    "AppendMessage",
    "ChangePassword",
    "CreateChat",
    "Drain",
    "EndExpiredLogins",
    "EndLogin",
    "MarkRead",
    "RefreshLogin",
    "RegisterUser",
    "RemoveParticipant",
    "SetParticipant",
    "StartLogin",
    "UpdateChat",
    "UpdateProfile",
];
