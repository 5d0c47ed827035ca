//! The configuration of the full screen: `netbit/chat.toml` in `$XDG_CONFIG_HOME` or `~/.config`.
//!
//! Unknown keys and wrong values are warnings, not errors: a file that is shared by two versions of
//! this program must work with both.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::tz::TimeZone;
use toml::{Table, Value};

use crate::cli::remote::user_folder;
use crate::domain::text_enum::text_enum;
use crate::domain::timestamp::Timestamp;

/// Similarity from which another key is suggested (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.75;
/// Bounds of the width of the chat list, in columns.
const LIST_WIDTHS: std::ops::RangeInclusive<i64> = 12..=60;

text_enum! {
    /// Messages that ring the bell of the terminal.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Bell {
        /// Notifications: mentions, direct messages, replies, threads.
        Mentions = "mentions",
        /// Every message of another user.
        All = "all",
        None = "none",
    }
}

text_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Colours {
        /// Colours, unless the variable `NO_COLOR` is set.
        Auto = "auto",
        None = "none",
    }
}

text_enum! {
    /// Effect of the Enter key.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Enter {
        Send = "send",
        /// Enter begins a new line, and Alt-Enter sends.
        Newline = "newline",
    }
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) bell: Bell,
    pub(super) mouse: bool,
    pub(super) colours: Colours,
    /// Format of times, as for strftime(3).
    pub(super) time: String,
    pub(super) enter: Enter,
    /// Columns of the chat list.
    pub(super) list_width: u16,
    zone: TimeZone,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bell: Bell::Mentions,
            mouse: false,
            colours: Colours::Auto,
            time: "%H:%M".to_owned(),
            enter: Enter::Send,
            list_width: 24,
            zone: TimeZone::system(),
        }
    }
}

const KEYS: [&str; 6] = ["bell", "mouse", "colours", "time", "enter", "list_width"];

impl Config {
    /// Reads the file and returns its warnings. A missing default file means the defaults.
    pub(super) fn load(file: Option<&Path>) -> anyhow::Result<(Self, Vec<String>)> {
        let default = || user_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("chat.toml"));
        let Some(path) = file.map(PathBuf::from).or_else(default) else {
            return Ok((Self::default(), Vec::new()));
        };
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
            text => text.with_context(|| path.display().to_string())?,
        };
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<(Self, Vec<String>)> {
        let table: Table = text.parse()?;
        let (mut config, mut warnings) = (Self::default(), Vec::new());
        for (key, value) in &table {
            if let Err(wanted) = config.set(key, value) {
                warnings.push(format!("chat.toml: {key}: {wanted}"));
            }
        }
        Ok((config, warnings))
    }

    /// Sets a value, or returns what is wrong with it.
    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "bell" => self.bell = named(value, Bell::from_name, &Bell::ALL.map(Bell::as_str))?,
            "colours" => self.colours = named(value, Colours::from_name, &Colours::ALL.map(Colours::as_str))?,
            "enter" => self.enter = named(value, Enter::from_name, &Enter::ALL.map(Enter::as_str))?,
            "mouse" => self.mouse = value.as_bool().ok_or("must be true or false")?,
            "time" => {
                let format = value.as_str().ok_or("must be a text such as \"%H:%M\"")?;
                let shown = jiff::fmt::strtime::format(format, &jiff::ZonedDateTime::now());
                shown.map_err(|error| error.to_string())?;
                format.clone_into(&mut self.time);
            }
            "list_width" => {
                let width = value.as_integer().filter(|width| LIST_WIDTHS.contains(width));
                let width = width.and_then(|width| u16::try_from(width).ok());
                self.list_width = width.ok_or("must be a number from 12 to 60")?;
            }
            _ => {
                let similar = KEYS
                    .into_iter()
                    .max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
                let similar = similar.filter(|other| strsim::jaro_winkler(other, key) >= SIMILAR);
                let hint = similar.map_or_else(String::new, |other| format!("; did you mean {other}?"));
                return Err(format!("this key is unknown and ignored{hint}"));
            }
        }
        Ok(())
    }

    /// Returns whether to use colours.
    pub(super) fn has_colours(&self) -> bool {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.colours == Colours::Auto && !unwanted
    }

    /// Returns the local time of day.
    pub(super) fn clock(&self, at: Timestamp) -> String {
        self.formatted(at, &self.time)
    }

    /// Returns the local date with the day of the week.
    pub(super) fn date(&self, at: Timestamp) -> String {
        self.formatted(at, "%A, %Y-%m-%d")
    }

    fn formatted(&self, at: Timestamp, format: &str) -> String {
        let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
        jiff::fmt::strtime::format(format, &time.to_zoned_datetime(self.zone.clone())).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn of_tests() -> Self {
        Self { zone: TimeZone::UTC, ..Self::default() }
    }
}

/// Returns the variant with the name in `value`, or the allowed names.
fn named<T>(value: &Value, of: impl Fn(&str) -> Option<T>, names: &[&str]) -> Result<T, String> {
    let found = value.as_str().and_then(of);
    found.ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_sets_every_key() {
        let text = "bell = \"all\"\nmouse = true\ncolours = \"none\"\ntime = \"%I:%M %p\"\nenter = \"newline\"\nlist_width = 30\n";
        let (config, warnings) = Config::parse(text).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!((config.bell, config.mouse, config.colours), (Bell::All, true, Colours::None));
        assert_eq!((config.enter, config.list_width), (Enter::Newline, 30));
        let config = Config { zone: TimeZone::UTC, ..config };
        assert_eq!(config.clock(Timestamp(1_700_000_000_123)), "10:13 PM");
        assert_eq!(config.date(Timestamp(1_700_000_000_123)), "Tuesday, 2023-11-14");
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_warnings() {
        let (config, warnings) =
            Config::parse("bel = \"all\"\nmouse = 1\ntime = \"%Q%\"\nbell = \"loud\"\nlist_width = 5\n")
                .unwrap();
        assert_eq!(config.bell, Bell::Mentions);
        assert_eq!(warnings.len(), 5, "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("did you mean bell?")), "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("mentions, all, none")), "{warnings:?}");
        assert!(Config::parse("bell = ").is_err());
    }
}
