//! Presence: whether users are online. Soft state, lost with the process.

use serde::{Deserialize, Serialize};

use super::text_enum::text_enum;

text_enum! {
    /// The status that a user sets for a device.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Status {
        #[default]
        Online = "online",
        Away = "away",
        /// Do not disturb.
        Dnd = "dnd",
        /// Indistinguishable from offline for others.
        Invisible = "invisible",
    }
}

impl Status {
    /// Returns the status that others see.
    pub fn shown(self) -> Shown {
        match self {
            Self::Online => Shown::Online,
            Self::Away => Shown::Away,
            Self::Dnd => Shown::Dnd,
            Self::Invisible => Shown::Offline,
        }
    }
}

/// The status of a user that others see. Ordered by precedence: of several devices, the greatest
/// status is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    #[default]
    Offline,
    Away,
    Dnd,
    Online,
}

impl Shown {
    /// Returns the code in datagrams.
    pub fn code(self) -> u8 {
        match self {
            Self::Offline => 0,
            Self::Online => 1,
            Self::Away => 2,
            Self::Dnd => 3,
        }
    }
}
