//! Checks the house rules that the compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::rust_text::production;

/// The rooms from left to right: a room may use those to its left only.
const ROOMS: &[&[&str]] = &[
    &["domain"],
    &["core"],
    &["protocol"],
    &["storage", "git", "blobs", "pictures"],
    &["actors"],
    &["services"],
    &["http"],
    &["cluster"],
    &["messaging", "api", "web", "backup"],
    &["app"],
    &["client"],
    &["cli"],
];
/// Rooms that may use less than all rooms to their left: the client uses the protocol, not the
/// server. The trust in certificates, in `core`, is that of the server's connections too.
const ONLY: &[(&str, &[&str])] = &[("client", &["domain", "protocol", "core"])];
/// The modules of `core` that `client` may use.
const CORE_OF_CLIENT: &[&str] = &["trust"];
/// The modules of `actors`, from left to right, with the same rule.
const ACTORS: &[&[&str]] = &[
    &["outbox", "error", "commit"],
    &["freshness"],
    &["hub", "presence"],
    &["cache"],
    &["search", "writer"],
];
/// Crates and paths that `domain` may use.
const DOMAIN_CRATES: &[&str] = &[
    "serde",
    "jiff",
    "uuid",
    "thiserror",
    // Unicode tables.
    "emojis",
    "precis_core",
    "precis_profiles",
    "unicode_normalization",
    "unicode_properties",
    // Finds bytes in texts in linear time.
    "memchr",
    // Properties in tests.
    "proptest",
    // The macro of `domain/text_enum.rs`, which has no path of its own.
    "text_enum",
    "std",
    "crate",
    "super",
    "Self",
    "self",
];
/// Files and folders below `src` that use diesel outside of `storage`, each with its reason.
const DIESEL: &[(&str, &str)] = &[
    ("core/database.rs", "opens connections and sets their pragmas"),
    ("core/database/", "migrates, checks and checkpoints the database"),
    ("core/fail_points.rs", "injects the error of a COMMIT"),
    ("actors/writer/", "runs commands in transactions and names their errors"),
    ("app.rs", "lists the database among the errors of a start"),
];
/// Maximum lines of a file below `src`. A longer file usually holds two nouns.
const LINES_MAX: usize = 450;
/// Maximum lines of a file below `tests/it`. A test file holds one area with its setup.
const TEST_LINES_MAX: usize = 520;
/// Written by diesel's program, so not counted.
const GENERATED: &str = "src/storage/schema.rs";
/// Files above these limits, with their lines. The list may only shrink.
const TOO_LONG: &[(&str, usize)] = &[];

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

fn place(order: &[&[&str]], name: &str) -> Option<usize> {
    order.iter().position(|column| column.contains(&name))
}

/// Returns the names that code uses below `path`, such as `crate::`, also in `crate::{a, b::c}`,
/// each with its line number.
fn used_below<'a>(path: &str, code: &'a str) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (at, mark) in code.match_indices(path) {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + mark.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let end = group.find(|c: char| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth < 0
            });
            let mut depth = 0;
            let names = group[..end.unwrap_or(0)].split(|c: char| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                c == ',' && depth == 0
            });
            found.extend(names.map(|name| (line, first_word(name.trim()))));
        } else {
            found.push((line, first_word(rest)));
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Returns every violation of the direction as a sentence.
fn violations(room: &str, text: &str) -> Vec<String> {
    let Some(own) = place(ROOMS, room) else { return Vec::new() };
    let production = production(text);
    let is_violation = |used: &str| {
        let only = ONLY.iter().find(|(from, _)| *from == room);
        let forbidden = only.is_some_and(|(_, allowed)| !allowed.contains(&used));
        used != room && (forbidden || place(ROOMS, used).is_none_or(|place| place >= own))
    };
    let used = used_below("crate::", &production).into_iter().filter(|(_, used)| is_violation(used));
    let core = used_below("crate::core::", &production).into_iter();
    let core = core.filter(|(_, used)| room == "client" && !CORE_OF_CLIENT.contains(used));
    let core = core.map(|(line, used)| (line, format!("core::{used}")));
    let used = used.map(|(line, used)| (line, used.to_owned())).chain(core);
    used.map(|(line, used)| format!("{room} uses {used} in line {line}")).collect()
}

/// Returns every violation of the order inside `actors` as a sentence.
fn actor_violations(module: &str, text: &str) -> Vec<String> {
    let Some(own) = place(ACTORS, module) else { return Vec::new() };
    let production = production(text);
    let is_violation = |used: &str| used != module && place(ACTORS, used).is_none_or(|place| place >= own);
    let absolute = used_below("crate::actors::", &production);
    let relative = used_below("super::", &production).into_iter();
    let relative = relative.filter(|(_, used)| place(ACTORS, used).is_some());
    let used = absolute.into_iter().chain(relative).filter(|(_, used)| is_violation(used));
    used.map(|(line, used)| format!("{module} uses {used} in line {line}")).collect()
}

/// Returns whether the whole file is compiled for tests only.
fn is_test_file(path: &Path) -> bool {
    let path = path.to_str().unwrap();
    path.ends_with("_test.rs") || path.contains("/model_test/")
}

/// Returns the path below the root of the package.
fn shown(path: &Path) -> &str {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap()
}

#[test]
fn every_use_points_to_the_left() {
    let mut found = Vec::new();
    for path in sources(&source_root()) {
        let Some(room) = room_of(&path) else { continue };
        if ["main", "lib"].contains(&room.as_str()) || is_test_file(&path) {
            continue;
        }
        assert!(place(ROOMS, &room).is_some(), "{} is in no room", path.display());
        let violations = violations(&room, &fs::read_to_string(&path).unwrap());
        found.extend(violations.into_iter().map(|violation| format!("{}: {violation}", shown(&path))));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn actor_modules_use_only_modules_to_their_left() {
    let (root, mut found) = (source_root().join("actors"), Vec::new());
    for path in sources(&root) {
        let first = path.strip_prefix(&root).unwrap().iter().next().unwrap().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if module == "mod" || is_test_file(&path) {
            continue;
        }
        assert!(place(ACTORS, module).is_some(), "{} is not in ACTORS", path.display());
        let violations = actor_violations(module, &fs::read_to_string(&path).unwrap());
        found.extend(violations.into_iter().map(|violation| format!("{}: {violation}", shown(&path))));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn check_finds_a_violation() {
    assert_eq!(violations("domain", "use crate::core::limits::Limits;").len(), 1);
    assert_eq!(violations("api", "use crate::messaging::TcpAcceptor;").len(), 1);
    assert_eq!(violations("client", "use crate::storage::readers::Readers;").len(), 1);
    assert_eq!(violations("client", "use crate::git::store::Store;").len(), 1);
    assert_eq!(violations("client", "use crate::{backup, domain::{ids, user}, protocol};").len(), 1);
    assert_eq!(violations("services", "use crate::actors::cache::Page;").len(), 0);
    assert_eq!(actor_violations("hub", "use crate::actors::{error::QueryError, cache::Me};").len(), 1);
    assert_eq!(actor_violations("hub", "use crate::actors::presence::Ticket;").len(), 1);
    assert_eq!(actor_violations("hub", "use super::super::cache::CacheHandle;").len(), 1);
    assert_eq!(actor_violations("writer", "use crate::actors::cache::CacheHandle;").len(), 0);
    let tests_first = "#[cfg(test)]\nmod tests { use crate::app::RunningApp; }\nuse crate::api::Error;";
    assert_eq!(violations("core", tests_first), ["core uses api in line 3"]);
    assert_eq!(violations("core", "//! See crate::api.\nconst NAME: &str = \"crate::api\";").len(), 0);
}

#[test]
fn domain_uses_only_listed_crates() {
    for path in sources(&source_root().join("domain")) {
        let text = fs::read_to_string(&path).unwrap();
        for line in production(&text).lines() {
            let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let line = line.trim_start_matches("pub(super) ");
            let Some(used) = line.strip_prefix("use ") else { continue };
            let name = used.split("::").next().unwrap_or_default().trim_end_matches(';');
            assert!(DOMAIN_CRATES.contains(&name), "{}: use {used}", path.display());
        }
    }
}

#[test]
fn only_storage_and_listed_files_use_diesel() {
    let mut unused: Vec<_> = DIESEL.iter().map(|(path, _)| *path).collect();
    for path in sources(&source_root()) {
        let below = shown(&path).strip_prefix("src/").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let uses_diesel = production(&text).contains("diesel::") && !is_test_file(&path);
        if !uses_diesel || below.starts_with("storage/") {
            continue;
        }
        let listed = DIESEL.iter().any(|(listed, _)| below.starts_with(listed));
        assert!(listed, "{below} uses diesel");
        unused.retain(|listed| !below.starts_with(listed));
    }
    assert!(unused.is_empty(), "these use diesel no longer: {unused:?}");
}

#[test]
fn files_are_below_the_size_limit_except_listed_ones() {
    let mut found = Vec::new();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for (root, lines_max) in [(source_root(), LINES_MAX), (tests, TEST_LINES_MAX)] {
        for path in sources(&root) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            let path = shown(&path);
            if path == GENERATED {
                continue;
            }
            match TOO_LONG.iter().find(|(listed, _)| *listed == path) {
                None if lines > lines_max => {
                    found.push(format!("{path} has {lines} lines, more than {lines_max}: split it"));
                }
                Some((_, listed)) if lines > *listed => {
                    found.push(format!("{path} has grown from {listed} to {lines} lines: split it"));
                }
                Some(_) if lines <= lines_max => {
                    found.push(format!("{path} has {lines} lines: remove it from TOO_LONG"));
                }
                _ => {}
            }
        }
    }
    for (listed, _) in TOO_LONG {
        let exists = Path::new(env!("CARGO_MANIFEST_DIR")).join(listed).exists();
        if !exists {
            found.push(format!("{listed} is not there: remove it from TOO_LONG"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_begin_with_module_documentation() {
    for path in sources(&source_root()) {
        let text = fs::read_to_string(&path).unwrap();
        let generated = text.starts_with("// @generated");
        assert!(generated || text.starts_with("//!"), "{} has no module documentation", path.display());
    }
}

#[test]
fn module_names_are_not_generic() {
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

/// Returns the files and the names next to them in a Markdown text: `` `file.rs`, `name` ``,
/// `` `name` (`file.rs`) ``, and the like.
fn named_in_files(markdown: &str) -> Vec<(String, String)> {
    let text = markdown.split_whitespace().collect::<Vec<_>>().join(" ");
    // Every second part is code.
    let parts: Vec<&str> = text.split('`').collect();
    let mut found = Vec::new();
    for window in parts.windows(3).skip(1).step_by(2) {
        let &[first, between, second] = window else { continue };
        let (file, name) = match between {
            ", " | " (" if first.ends_with(".rs") => (first, second),
            " in " | " (" if second.ends_with(".rs") => (second, first),
            _ => continue,
        };
        let name = name.rsplit("::").next().unwrap_or(name);
        if !name.is_empty() && first_word(name) == name {
            found.push((file.to_owned(), name.to_owned()));
        }
    }
    found
}

#[test]
fn documents_name_items_that_exist_in_the_named_file() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![package.join("CONTRIBUTING.md"), package.join("docs/ARCHITECTURE.md")];
    documents
        .extend(fs::read_dir(package.join("docs/decisions")).unwrap().map(|entry| entry.unwrap().path()));
    let files: Vec<PathBuf> =
        [sources(&package.join("src")), sources(&package.join("tests/it"))].into_iter().flatten().collect();
    let (mut found, mut count) = (Vec::new(), 0);
    for document in documents {
        for (file, name) in named_in_files(&fs::read_to_string(&document).unwrap()) {
            // `Path::ends_with` compares whole components.
            let is_there = files.iter().filter(|path| path.ends_with(&file)).any(|path| {
                let text = fs::read_to_string(path).unwrap();
                text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
            });
            count += 1;
            if !is_there {
                found.push(format!("{}: {file} has no {name}", shown(&document)));
            }
        }
    }
    assert!(count > 40, "only {count} names were found: has the form of the documents changed?");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn document_check_finds_names_next_to_files() {
    let text = "1. `a/b.rs`,\n   `B::run`: calls `C::go` (`c.rs`, `d.rs`), or `e` in `f.rs`; `g`, `h`.";
    let named: Vec<_> =
        named_in_files(text).into_iter().map(|(file, name)| format!("{file} {name}")).collect();
    assert_eq!(named, ["a/b.rs run", "c.rs go", "f.rs e"]);
}
