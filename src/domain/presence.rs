//! Presence: whether users are online. Soft state, lost with the process.

use serde::{Deserialize, Serialize};

/// The status that a user sets for a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Online,
    Away,
    /// Do not disturb.
    Dnd,
    /// Indistinguishable from offline for others.
    Invisible,
}

impl Status {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "online" => Some(Self::Online),
            "away" => Some(Self::Away),
            "dnd" => Some(Self::Dnd),
            "invisible" => Some(Self::Invisible),
            _ => None,
        }
    }

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
