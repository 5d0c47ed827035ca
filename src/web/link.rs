//! Joins the modules of a script into one file, so that a page loads one script.
//!
//! `build.rs` includes this file. Modules are written in the order of their dependencies, without the
//! words `import` and `export`. Forms of JavaScript for which this would be wrong are refused: default
//! exports, renames, `import *`, dynamic imports, cycles, and equal names in two modules.

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
        let imports = text.lines().filter(|line| line.starts_with("import"));
        for line in imports {
            let name = imported(line).ok_or_else(|| format!("{path}: cannot link: {line}"))?;
            let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            self.module(&format!("{folder}{name}"))?;
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
            if own.contains("import(") && !is_comment {
                return Err(format!("{path}: cannot link: {line}"));
            }
            if let Some(name) = declared(own) {
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

/// Returns the file of `import { a, b } from './file.js';`.
fn imported(line: &str) -> Option<&str> {
    let (names, file) = line.strip_prefix("import { ")?.split_once(" } from './")?;
    let are_plain = names.split(", ").all(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    file.strip_suffix("';").filter(|file| are_plain && !file.contains(".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(modules: &[(&str, &str)]) -> Result<String, String> {
        let owned = modules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        link(&owned.collect(), "p/main.js")
    }

    #[test]
    fn modules_are_joined_after_their_imports() {
        let main = "// Main.\nimport { a } from './a.js';\nimport { b } from './b.js';\na(b);\n";
        let one = "import { b } from './b.js';\nexport function a() {\n  return b;\n}\n";
        let two = "/** @type {import('./x.js').X} */\nexport const b = 1;\n";
        let script = linked(&[("p/main.js", main), ("p/a.js", one), ("p/b.js", two)]).unwrap();
        let expected =
            "/** @type {import('./x.js').X} */\nconst b = 1;\nfunction a() {\n  return b;\n}\na(b);\n";
        assert_eq!(script, expected);
    }

    #[test]
    fn forms_that_cannot_be_joined_are_refused() {
        for (text, why) in [
            ("import a from './a.js';", "cannot link"),
            ("import { a as b } from './a.js';", "cannot link"),
            ("import * as a from './a.js';", "cannot link"),
            ("import { a } from './none.js';", "does not exist"),
            ("import { a } from './main.js';", "imports itself"),
            ("export default 1;", "cannot link"),
            ("export { a };", "cannot link"),
            ("const x = await import('./a.js');", "cannot link"),
            ("const { x } = y;", "is not plain"),
            ("import { a } from './a.js';\nconst a = 2;", "both declare a"),
        ] {
            let refused = linked(&[("p/main.js", text), ("p/a.js", "export const a = 1;")]).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
