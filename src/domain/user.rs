//! Users and the rules for their names.

use serde::Serialize;

use super::ids::UserId;
use super::name;
use super::text::{Invalid, misleads, parse_line};
use super::timestamp::Timestamp;

/// A user as visible to all users; `email` and `is_admin` are visible to the user only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub display_name: String,
    pub email: Option<String>,
    pub is_admin: bool,
    /// Incremented to end all logins of the user at once; a claim of each access token.
    pub token_version: i64,
    /// A deactivated user cannot act; their content stays.
    pub active: bool,
    pub created_at: Timestamp,
    /// The version of the avatar; `None`: initials are shown.
    #[serde(default)]
    pub avatar: Option<String>,
}

impl User {
    /// Returns the version of the avatar that others see: a deactivated user has none.
    pub fn shown_avatar(&self) -> Option<&str> {
        self.avatar.as_deref().filter(|_| self.active)
    }
}

/// First path segments that routes and pages use, and names that mislead readers. A user name is
/// the first segment of the paths of the user's projects.
const RESERVED: &[&str] = &[
    "about",
    "admin",
    "all",
    "api",
    "apple-touch-icon.png",
    "assets",
    "chat",
    "create",
    "docs",
    "explore",
    "favicon.ico",
    "favicon.svg",
    "git",
    "health",
    "help",
    "here",
    "inbox",
    "livez",
    "login",
    "logout",
    "manifest.webmanifest",
    "me",
    "metrics",
    "netbit",
    "new",
    "notifications",
    "people",
    "projects",
    "readyz",
    "refresh",
    "register",
    "robots.txt",
    "search",
    "settings",
    "setup",
    "sitemap.xml",
    "static",
    "sw.js",
    "system",
    "users",
    "ws",
];

/// Returns whether new users cannot have this name. Users of earlier versions may have it.
pub fn is_reserved(username: &str) -> bool {
    RESERVED.contains(&username)
}

/// The name of a new user: `[a-z0-9]([a-z0-9._-]{0,37}[a-z0-9])?`, not reserved, not ending in
/// `.git` or `.lock`, without `..`. Older users may have names that end in `_` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Username(String);

impl Username {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const SHAPE: Invalid = Invalid(
            "must be 1 to 39 characters of a-z, 0-9, '.', '_' or '-', starting and ending with a letter or a digit (no \
             upper case)",
        );
        let (first, last) = text.bytes().next().zip(text.bytes().next_back()).ok_or(SHAPE)?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if text.len() > 39
            || !plain(first)
            || !plain(last)
            || !text.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
        {
            return Err(SHAPE);
        }
        name::check_ending(text)?;
        if is_reserved(text) {
            return Err(Invalid("is reserved"));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Normalizes the user name that a user typed to log in: phone keyboards capitalize the first
/// letter and append a space.
pub fn login_name(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// Parses a display name: 1 to 64 characters, not blank, without control characters.
pub fn parse_display_name(text: &str) -> Result<String, Invalid> {
    parse_line(text, 64)
        .ok_or(Invalid("must be 1 to 64 characters, not all blank, without control characters"))
}

/// Parses an email address: at most 254 bytes (RFC 5321 section 4.5.3.1.3), one `@` with text on
/// both sides, no white space. Delivery is not checked.
pub fn parse_email(text: &str) -> Result<String, Invalid> {
    const SHAPE: Invalid = Invalid("must be an address like name@example.org of at most 254 bytes");
    let (local, host) = text.split_once('@').ok_or(SHAPE)?;
    let blank = |c: char| c.is_whitespace() || misleads(c);
    if text.len() > 254 || local.is_empty() || host.is_empty() || host.contains('@') || text.contains(blank) {
        return Err(SHAPE);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        for name in ["a", "bob", "u0", "jean-luc.p", "a_b", &"x".repeat(39)] {
            assert!(Username::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn path_names_reserved_names_and_misleading_names_are_refused() {
        let long = "x".repeat(40);
        for name in [
            "",
            "..",
            ".git",
            "a/b",
            "-x",
            "api",
            "chat",
            "robots.txt",
            "x.git",
            "x.lock",
            "x.",
            "x-",
            "x_",
            "a..b",
            "Bob",
            "b\u{202e}b",
            "a\u{200b}",
            &long,
        ] {
            assert!(Username::parse(name).is_err(), "{name:?}");
        }
    }

    /// The list is sorted, so that a missing name is seen.
    #[test]
    fn first_segments_of_pages_are_reserved() {
        assert!(RESERVED.is_sorted());
        for name in [
            "about",
            "admin",
            "api",
            "assets",
            "chat",
            "docs",
            "explore",
            "favicon.ico",
            "health",
            "inbox",
            "login",
            "logout",
            "new",
            "notifications",
            "people",
            "projects",
            "register",
            "robots.txt",
            "search",
            "settings",
            "setup",
            "sw.js",
            "users",
            "ws",
        ] {
            assert_eq!(Username::parse(name), Err(Invalid("is reserved")), "{name}");
        }
    }

    #[test]
    fn display_name_is_one_line_without_direction_changes() {
        assert_eq!(
            parse_display_name("  Zoë \u{1f469}\u{200d}\u{1f680} ").unwrap(),
            "Zoë \u{1f469}\u{200d}\u{1f680}"
        );
        assert_eq!(parse_display_name("Zoe\u{308}").unwrap(), "Zo\u{eb}");
        for bad in [
            "",
            "  ",
            "a\nb",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{feff}x",
            "\u{2067}x",
            "\u{3164}",
            "\u{200d}",
            "\u{2800}\u{115f} ",
            &"x".repeat(65),
        ] {
            assert!(parse_display_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn email_needs_text_on_both_sides_of_the_at_sign() {
        assert!(parse_email("a@b").is_ok());
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a\u{202e}b@c"] {
            assert!(parse_email(bad).is_err(), "{bad:?}");
        }
    }
}
