//! Mistakes in the configuration: the key, its source, and the allowed values.

use figment::Figment;
use figment::error::{Actual, Kind};

use super::listen::NoAddress;

/// Maximum number of similar keys that the text of an unknown key names.
const SIMILAR_KEYS: usize = 3;
/// Minimum similarity of a key that is named, from 0 to 1.
const SIMILARITY_MIN: f64 = 0.8;
/// Maximum number of keys that are all listed if none is similar.
const KEYS_LISTED: usize = 20;

/// A mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {key} (from {origin}): {problem}")]
pub struct ConfigError {
    pub key: String,
    pub origin: String,
    pub problem: String,
}

pub(super) fn origin(figment: &Figment, key: &str) -> String {
    figment.find_metadata(key).map_or_else(|| "the defaults".to_owned(), describe)
}

fn describe(metadata: &figment::Metadata) -> String {
    match metadata.source.as_ref() {
        Some(figment::Source::File(path)) => path.display().to_string(),
        Some(figment::Source::Code(_)) => "the defaults".to_owned(),
        _ => metadata.name.clone().into_owned(),
    }
}

pub(super) fn explain(error: &figment::Error) -> ConfigError {
    let mut key = error.path.join(".");
    if let Kind::UnknownField(field, _) = &error.kind
        && error.path.last().is_none_or(|last| last != field)
    {
        key = if key.is_empty() { field.clone() } else { format!("{key}.{field}") };
    }
    ConfigError {
        key: if key.is_empty() { "(file)".to_owned() } else { key },
        origin: error.metadata.as_ref().map_or_else(|| "the defaults".to_owned(), describe),
        problem: problem(error.path.last().map_or("", String::as_str), &error.kind),
    }
}

/// `key` is the last part of the path.
fn problem(key: &str, kind: &Kind) -> String {
    match kind {
        Kind::Message(text) => one_line(text),
        Kind::UnknownField(field, known) => unknown_key(field, known),
        Kind::UnknownVariant(value, allowed) => {
            format!("\"{value}\" is not a value of this key; allowed: {}", list(allowed))
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            let allowed = match key {
                "listen" => NoAddress.to_string(),
                "trusted_proxies" => "allowed: addresses and networks separated by commas, in quotation \
                                      marks, for example \"127.0.0.1, 10.0.0.0/8\""
                    .to_owned(),
                _ => format!("allowed: {}", expected_value(expected)),
            };
            format!("the value is {}; {allowed}", found_value(found))
        }
        other => other.to_string(),
    }
}

fn unknown_key(field: &str, known: &[&str]) -> String {
    let mut similar: Vec<_> = known.iter().map(|name| (strsim::jaro_winkler(field, name), *name)).collect();
    similar.retain(|(similarity, _)| *similarity >= SIMILARITY_MIN);
    similar.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let similar: Vec<_> = similar.into_iter().take(SIMILAR_KEYS).map(|(_, name)| name).collect();
    let hint = if !similar.is_empty() {
        format!("similar: {}", list(&similar))
    } else if known.len() <= KEYS_LISTED {
        format!("allowed: {}", list(known))
    } else {
        "without it, `netbit config` prints all keys".to_owned()
    };
    format!("`{field}` is unknown; {hint}")
}

/// Returns the names in backticks, separated by commas.
fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Describes a value without the terms of Rust.
fn found_value(found: &Actual) -> String {
    match found {
        Actual::Bool(value) => format!("{value}"),
        Actual::Unsigned(value) => format!("the number {value}"),
        Actual::Signed(value) => format!("the number {value}"),
        Actual::Float(value) => format!("the number {value}"),
        Actual::Str(value) => format!("the text {value:?}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a section".to_owned(),
        other => other.to_string(),
    }
}

/// Describes the expected type without the terms of Rust.
fn expected_value(expected: &str) -> String {
    let plain = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" | "isize" => "a whole number",
        "a boolean" => "true or false",
        "a string" => "a text in quotation marks",
        "a sequence" => "a list in square brackets",
        section if section.starts_with("struct ") => "a section with keys, written as [section]",
        other => other,
    };
    plain.to_owned()
}

/// Returns the message of a parser without its copy of the line.
fn one_line(text: &str) -> String {
    let is_copy = |line: &&str| {
        line.split_once('|').is_some_and(|(before, _)| before.chars().all(|c| c.is_ascii_digit() || c == ' '))
    };
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !is_copy(line));
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_key_names_similar_keys_only() {
        let known = ["readers", "readers_waiting", "page_max", "listen"];
        let text = unknown_key("readrs", &known);
        assert!(text.contains("similar: `readers`, `readers_waiting`"), "{text}");
        let text = unknown_key("colour", &known);
        assert!(text.ends_with("allowed: `readers`, `readers_waiting`, `page_max`, `listen`"), "{text}");
    }

    #[test]
    fn message_of_the_parser_becomes_one_line() {
        let text = "TOML parse error at line 1, column 6\n  |\n1 | [http\n  |      ^\ninvalid table header\n";
        assert_eq!(one_line(text), "TOML parse error at line 1, column 6; invalid table header");
        assert_eq!(one_line("\"a|b\" is wrong"), "\"a|b\" is wrong");
    }
}
