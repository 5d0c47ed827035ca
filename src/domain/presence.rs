//! Presence: whether people are there. Soft state, forgotten with the process.

use serde::{Deserialize, Serialize};

/// What a person says of one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Online,
    Away,
    /// Do not disturb.
    Dnd,
    /// Looks exactly like being offline.
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

    /// What others see.
    pub fn shown(self) -> Shown {
        match self {
            Self::Online => Shown::Online,
            Self::Away => Shown::Away,
            Self::Dnd => Shown::Dnd,
            Self::Invisible => Shown::Offline,
        }
    }
}

/// What others see of a person. In the order of which device counts: the greatest does.
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
    /// The number of it in datagrams.
    pub fn code(self) -> u8 {
        match self {
            Self::Offline => 0,
            Self::Online => 1,
            Self::Away => 2,
            Self::Dnd => 3,
        }
    }
}
