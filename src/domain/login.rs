//! Logins as their user sees them, and the data by which the login of a browser is found.

use std::net::IpAddr;

use super::ids::LoginId;
use super::text::{is_invisible, misleads};
use super::timestamp::Timestamp;

/// Maximum number of characters of a device.
pub const DEVICE_CHARS_MAX: usize = 200;

/// The client that started a login, for the user's list of logins. Nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginClient {
    /// The client's `User-Agent`, as [`device_of`] returns it.
    pub device: Option<String>,
    pub address: Option<IpAddr>,
}

impl LoginClient {
    pub fn new(user_agent: &str, address: IpAddr) -> Self {
        Self { device: device_of(user_agent), address: Some(address.to_canonical()) }
    }
}

/// Returns a `User-Agent` as one line for display, without control, directional and invisible
/// characters, cut to [`DEVICE_CHARS_MAX`] characters. Returns `None` if nothing is left.
pub fn device_of(user_agent: &str) -> Option<String> {
    let visible = user_agent.chars().filter(|c| !misleads(*c) && !is_invisible(*c));
    // Twice the length bounds the work; a cut may leave a space at the end.
    let shown: String = visible.take(DEVICE_CHARS_MAX * 2).collect();
    let shown: String = shown.trim().chars().take(DEVICE_CHARS_MAX).collect();
    let shown = shown.trim_end();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// The hash that finds a web login, and the times that decide how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WebHandle {
    /// SHA-256 of the secret in the browser's cookie.
    pub hash: [u8; 32],
    /// The login ends after this time. Uses move it.
    pub expires_at: Timestamp,
    /// The time of the last use, accurate to `limits.token_use_seconds`.
    pub last_used_at: Timestamp,
}

impl WebHandle {
    pub fn is_live(&self, now: Timestamp) -> bool {
        now <= self.expires_at
    }
}

/// The part of a login's life after which a use extends it: a day of 30 days.
const EXTENSIONS_PER_LIFE: i64 = 30;

/// Returns how many seconds of a login of `life_seconds` pass before a use extends it.
pub fn extension_seconds(life_seconds: i64) -> i64 {
    life_seconds / EXTENSIONS_PER_LIFE
}

/// Returns the expiry of a web login after a use: the current one, until it is due to be extended.
pub fn extended_expiry(expires_at: Timestamp, used_at: Timestamp, life_seconds: i64) -> Timestamp {
    let extended = used_at.plus_seconds(life_seconds);
    if extended >= expires_at.plus_seconds(extension_seconds(life_seconds)) { extended } else { expires_at }
}

/// A use of a web login that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WebLoginUse {
    pub login: LoginId,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
}

/// An open login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub id: LoginId,
    /// The `User-Agent` of the client that logged in, cut.
    pub device: Option<String>,
    pub address: Option<String>,
    pub created_at: Timestamp,
    /// Of a web login: accurate to `limits.token_use_seconds`. Of another: its start or last
    /// refresh. `None`: not used since an earlier version of the server.
    pub last_used_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    /// Whether it is the login of a browser, by cookie.
    pub web: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_is_one_short_line_without_hidden_characters() {
        assert_eq!(
            device_of(" Firefox/150 \r\n(X11)\u{202e}\u{0}\u{200b} ").as_deref(),
            Some("Firefox/150 (X11)")
        );
        assert_eq!(device_of(&"ä".repeat(10_000)).unwrap().chars().count(), DEVICE_CHARS_MAX);
        for nothing in ["", "  ", "\u{7f}\u{feff}", "\u{3164}"] {
            assert_eq!(device_of(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn use_extends_the_expiry_at_most_once_a_day() {
        const DAY: i64 = 24 * 3600;
        let after = |seconds| Timestamp(0).plus_seconds(seconds);
        let month = after(30 * DAY);
        let extended = |used| extended_expiry(month, after(used), 30 * DAY);
        assert_eq!([extended(-5), extended(0), extended(DAY - 1)], [month; 3]);
        assert_eq!(extended(DAY), after(31 * DAY));
        // A server whose logins live for a shorter time now.
        assert_eq!(extended_expiry(month, after(DAY), DAY), month);
        assert_eq!(extended_expiry(after(10), after(9), 10), after(19));
    }

    #[test]
    fn address_of_a_mapped_client_is_its_ipv4_address() {
        let client = LoginClient::new("curl", "::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(client.address, Some("192.0.2.1".parse().unwrap()));
    }
}
