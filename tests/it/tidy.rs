//! The house rules that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from left to right: a room may use those to its left only.
const ROOMS: &[&[&str]] = &[
    &["domain"],
    &["core"],
    &["protocol"],
    &["storage", "git"],
    &["actors"],
    &["services"],
    &["messaging", "api", "backup"],
    &["app"],
    &["client"],
    &["cli"],
];
/// Rooms that are not allowed although they are to the left: the client knows the protocol, not the server.
const FORBIDDEN: &[(&str, &[&str])] =
    &[("client", &["core", "storage", "actors", "services", "messaging", "api", "app"])];
/// What `domain` may use of the outside.
const DOMAIN_CRATES: &[&str] = &[
    "serde",
    "jiff",
    "uuid",
    "thiserror",
    // Tables of Unicode.
    "emojis",
    "precis_core",
    "precis_profiles",
    "unicode_normalization",
    "unicode_properties",
    "std",
    "crate",
    "super",
    "Self",
    "self",
];
/// A file that has grown beyond this holds two nouns.
const LINES_MAX: usize = 520;

fn sources(under: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn room_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix(source_root()).ok()?.iter().next()?.to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

fn place(room: &str) -> Option<usize> {
    ROOMS.iter().position(|column| column.contains(&room))
}

/// The rooms that a line names through `crate::`.
fn rooms_used(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest.get(..end).filter(|room| !room.is_empty())
    })
}

/// Every breach of the direction, as a sentence.
fn breaches(room: &str, text: &str) -> Vec<String> {
    let Some(own) = place(room) else { return Vec::new() };
    let mut found = Vec::new();
    // Unit tests at the end of a file may build a world from anywhere.
    let production = text.split("#[cfg(test)]").next().unwrap_or_default();
    for line in production.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for used in rooms_used(line) {
            let forbidden = FORBIDDEN.iter().any(|(from, to)| *from == room && to.contains(&used));
            if used != room && (forbidden || place(used).is_none_or(|place| place >= own)) {
                found.push(format!("{room} uses {used}: {}", line.trim()));
            }
        }
    }
    found
}

#[test]
fn every_use_points_to_the_left() {
    let mut found = Vec::new();
    for path in sources(&source_root()) {
        let Some(room) = room_of(&path) else { continue };
        if ["main", "lib"].contains(&room.as_str()) || path.to_str().is_some_and(|p| p.ends_with("_test.rs"))
        {
            continue;
        }
        assert!(place(&room).is_some(), "{} is in no room", path.display());
        found.extend(breaches(&room, &fs::read_to_string(&path).unwrap()));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_check_itself_sees_a_breach() {
    assert_eq!(breaches("domain", "use crate::core::limits::Limits;").len(), 1);
    assert_eq!(breaches("api", "use crate::messaging::TcpEdge;").len(), 1);
    assert_eq!(breaches("client", "use crate::storage::readers::Readers;").len(), 1);
    assert_eq!(breaches("services", "use crate::actors::cache::Page;").len(), 0);
}

#[test]
fn the_domain_knows_nothing_of_the_outside() {
    for path in sources(&source_root().join("domain")) {
        let text = fs::read_to_string(&path).unwrap();
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in production.lines().filter_map(|line| line.trim().strip_prefix("use ")) {
            let name = line.split("::").next().unwrap_or_default();
            assert!(DOMAIN_CRATES.contains(&name), "{}: use {line}", path.display());
        }
    }
}

#[test]
fn only_storage_and_the_database_know_sql() {
    for path in sources(&source_root()) {
        let text = fs::read_to_string(&path).unwrap();
        let room = room_of(&path).unwrap();
        let knows = ["storage", "core", "actors", "app", "cli"].contains(&room.as_str());
        assert!(knows || !text.contains("diesel::"), "{} uses diesel", path.display());
    }
}

#[test]
fn files_are_small_and_begin_with_what_they_are_for() {
    for path in sources(&source_root()) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() <= LINES_MAX, "{} has {} lines", path.display(), text.lines().count());
        let generated = text.starts_with("// @generated");
        assert!(generated || text.starts_with("//!"), "{} does not say what it is for", path.display());
    }
}

#[test]
fn no_room_has_no_name() {
    for path in sources(&source_root()) {
        for part in path.strip_prefix(source_root()).unwrap().iter() {
            let name = part.to_str().unwrap().trim_end_matches(".rs");
            assert!(
                !["utils", "util", "helpers", "helper", "misc", "common"].contains(&name),
                "{}",
                path.display()
            );
        }
    }
}
