//! Joins the modules of a script into one file, so that a page loads one script.
//!
//! `build.rs` includes this file. Modules are written in the order of their dependencies, without the
//! words `import` and `export`, and without comments on lines of their own, which would be a fourth of
//! the compressed script. Forms of JavaScript for which this would be wrong are refused: default
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
    let (names, output) = (BTreeMap::new(), String::new());
    let mut linker = Linker { modules, open: Vec::new(), done: Vec::new(), names, output };
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
        let refused = |line: &str| format!("{path}: cannot link: {line}");
        let mut is_in_comment = false;
        for line in text.lines() {
            let code = line.trim();
            if is_in_comment || code.starts_with("/*") {
                match code.split_once("*/") {
                    Some((_, rest)) if !rest.is_empty() && is_in_comment => return Err(refused(line)),
                    Some((_, rest)) if !rest.is_empty() => {}
                    end => {
                        is_in_comment = end.is_none();
                        continue;
                    }
                }
            }
            if line.starts_with("import") || code.starts_with("//") || code.is_empty() {
                continue;
            }
            let own = line.strip_prefix("export ").unwrap_or(line);
            let name = declared(own);
            let is_other_export = name.is_none() && own.len() < line.len();
            let awaits = own.starts_with("await ") || name.is_some() && own.contains(" = await ");
            if is_other_export || awaits || imports_dynamically(own) {
                return Err(refused(line));
            }
            if name == Some("") {
                return Err(format!("{path}: a name at the top level is not plain: {line}"));
            }
            if let Some(name) = name
                && let Some(other) = self.names.insert(name.to_owned(), path)
            {
                return Err(format!("{path} and {other} both declare {name}"));
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

/// Returns whether a line imports a module while it runs. A comment in it may name that of a type.
fn imports_dynamically(line: &str) -> bool {
    let mut rest = line;
    while let Some((code, comment)) = rest.split_once("/**") {
        if code.contains("import(") {
            return true;
        }
        rest = comment.split_once("*/").map_or("", |(_, code)| code);
    }
    rest.contains("import(")
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
    let found = if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") };
    rest.strip_suffix(".js")?.split('/').all(is_plain).then_some(found)
}
