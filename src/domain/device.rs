//! Devices: the clients of a user, as presence distinguishes them.

use super::ids::SessionId;
use super::text::Invalid;

/// Maximum length of a device id in bytes.
const DEVICE_BYTES_MAX: usize = 64;

/// A device as its user names it. A session without a device name counts as its own device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceKey {
    Named(String),
    Session(SessionId),
    /// A ticket without a device name.
    Ticket(u64),
    /// All devices of the user at another node of the cluster, by its number.
    Remote(i16),
}

impl DeviceKey {
    /// Parses the `device_id` of a client. Returns `unnamed` if the client sent none.
    ///
    /// # Errors
    /// [`Invalid`] if the id is empty, has more than 64 bytes or has control characters.
    pub fn parse(device_id: Option<String>, unnamed: Self) -> Result<Self, Invalid> {
        let Some(name) = device_id else { return Ok(unnamed) };
        if name.is_empty() || name.len() > DEVICE_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(Invalid("must be 1 to 64 bytes without control characters"));
        }
        Ok(Self::Named(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_id_is_1_to_64_bytes_without_control_characters() {
        let parse = |name: &str| DeviceKey::parse(Some(name.to_owned()), DeviceKey::Ticket(1));
        for good in ["a", "Zo\u{eb}'s phone", &"x".repeat(64)] {
            assert_eq!(parse(good), Ok(DeviceKey::Named(good.to_owned())));
        }
        for bad in ["", "a\nb", &"x".repeat(65)] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(DeviceKey::parse(None, DeviceKey::Ticket(1)), Ok(DeviceKey::Ticket(1)));
    }
}
