//! Lines of JavaScript modules at the top level: the names that they declare, export and import.

/// The words that begin a declaration.
const DECLARATIONS: [&str; 5] = ["function ", "async function ", "const ", "let ", "class "];

/// Returns the name that a line at the top level declares; empty if it is not a plain name.
pub(super) fn declared(line: &str) -> Option<&str> {
    let rest = DECLARATIONS.iter().find_map(|begin| line.strip_prefix(begin))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
    rest.get(..end)
}

/// Returns the name that a line exports, if it is a declaration.
pub(super) fn exported(line: &str) -> Option<&str> {
    line.strip_prefix("export ").and_then(declared)
}

/// Returns the names and the file of `import { a, b } from './file.js';`.
pub(super) fn imported(line: &str) -> Option<(&str, &str)> {
    let (names, file) = line.strip_prefix("import { ")?.strip_suffix("';")?.split_once(" } from '")?;
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    names.split(", ").all(is_plain).then_some((names, file))
}

/// Returns the path of a module that the module at `path` names: `./x.js` is in its folder,
/// `../kit/x.js` in a folder beside it.
pub(super) fn resolved(path: &str, file: &str) -> Option<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (folder, rest) = match file.strip_prefix("../") {
        Some(_) if folder.is_empty() => return None,
        Some(rest) => (folder.rsplit_once('/').map_or("", |(above, _)| above), rest),
        None => (folder, file.strip_prefix("./")?),
    };
    let is_plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    let found = if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") };
    rest.strip_suffix(".js")?.split('/').all(is_plain).then_some(found)
}
