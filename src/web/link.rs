//! Joins the modules of a script into one file, so that a page loads one script.
//!
//! `build.rs` includes this file. Modules are written in the order of their dependencies, without the
//! words `import` and `export`. Forms of JavaScript for which this would be wrong are refused: default
//! exports, renames, `import *`, dynamic imports, `await` at the top level, cycles, and equal names in
//! two modules.

use std::collections::BTreeMap;

/// The modules by their path.
pub(crate) type Modules = BTreeMap<String, String>;

/// The words that begin a declaration.
const DECLARATIONS: [&str; 5] = ["function ", "async function ", "const ", "let ", "class "];

struct Linker<'a> {
    modules: &'a Modules,
    /// Modules that are being written: an import of one of them is a cycle.
    open: Vec<&'a str>,
    done: Vec<&'a str>,
    /// The module of each name at the top level.
    names: BTreeMap<String, &'a str>,
    output: String,
}

/// Returns the module `entry` with all modules that it imports, as one script.
///
/// # Errors
/// Returns a sentence that names the module and the line that cannot be linked.
pub(crate) fn link(modules: &Modules, entry: &str) -> Result<String, String> {
    let (open, done) = (Vec::new(), Vec::new());
    let mut linker = Linker { modules, open, done, names: BTreeMap::new(), output: String::new() };
    linker.module(entry)?;
    Ok(linker.output)
}

impl<'a> Linker<'a> {
    fn module(&mut self, path: &str) -> Result<(), String> {
        let found = self.modules.get_key_value(path);
        let (path, text) = found.ok_or_else(|| format!("{path} does not exist"))?;
        if self.done.contains(&path.as_str()) {
            return Ok(());
        }
        if self.open.contains(&path.as_str()) {
            return Err(format!("{path} imports itself through other modules"));
        }
        self.open.push(path);
        for line in text.lines().filter(|line| line.starts_with("import")) {
            let read = imported(line).and_then(|(names, file)| Some((names, resolved(path, file)?)));
            let (names, other) = read.ok_or_else(|| format!("{path}: cannot link: {line}"))?;
            self.module(&other)?;
            let text = self.modules.get(&other).map_or("", String::as_str);
            if let Some(name) = names.split(", ").find(|name| !exports(text, name)) {
                return Err(format!("{path}: {other} does not export {name}"));
            }
        }
        self.write(path, text)?;
        self.open.pop();
        self.done.push(path);
        Ok(())
    }

    fn write(&mut self, path: &'a str, text: &str) -> Result<(), String> {
        for line in text.lines() {
            if line.starts_with("import") || line.trim_start().starts_with("//") {
                continue;
            }
            let is_comment = line.trim_start().starts_with(['*', '/']);
            let own = match line.strip_prefix("export ") {
                Some(rest) if declared(rest).is_some() => rest,
                Some(_) => return Err(format!("{path}: cannot link: {line}")),
                None => line,
            };
            let name = declared(own);
            let awaits = own.starts_with("await ") || name.is_some() && own.contains(" = await ");
            if !is_comment && (awaits || own.contains("import(")) {
                return Err(format!("{path}: cannot link: {line}"));
            }
            if let Some(name) = name {
                if name.is_empty() {
                    return Err(format!("{path}: a name at the top level is not plain: {line}"));
                }
                if let Some(other) = self.names.insert(name.to_owned(), path) {
                    return Err(format!("{path} and {other} both declare {name}"));
                }
            }
            self.output.push_str(own);
            self.output.push('\n');
        }
        Ok(())
    }
}

/// Returns the name that a line at the top level declares; empty if it is not a plain name.
fn declared(line: &str) -> Option<&str> {
    let rest = DECLARATIONS.iter().find_map(|begin| line.strip_prefix(begin))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
    rest.get(..end)
}

fn exports(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.strip_prefix("export ").and_then(declared) == Some(name))
}

/// Returns the names and the file of `import { a, b } from './file.js';`.
fn imported(line: &str) -> Option<(&str, &str)> {
    let (names, file) = line.strip_prefix("import { ")?.strip_suffix("';")?.split_once(" } from '")?;
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    names.split(", ").all(is_plain).then_some((names, file))
}

/// Returns the path of a module that the module at `path` names: `./x.js` is in its folder,
/// `../kit/x.js` in a folder beside it.
fn resolved(path: &str, file: &str) -> Option<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (folder, rest) = match file.strip_prefix("../") {
        Some(_) if folder.is_empty() => return None,
        Some(rest) => (folder.rsplit_once('/').map_or("", |(above, _)| above), rest),
        None => (folder, file.strip_prefix("./")?),
    };
    let is_plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if !rest.strip_suffix(".js")?.split('/').all(is_plain) {
        return None;
    }
    Some(if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") })
}
