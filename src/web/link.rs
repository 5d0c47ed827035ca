//! Joins the modules of a script into one file, so that a page loads one script.
//!
//! `build.rs` includes this file. Modules come without comments (`compact.rs`). They are written in
//! the order of their dependencies, without the words `import` and `export`. Forms of JavaScript
//! for which this would be wrong are refused: default exports, renames, `import *`, dynamic
//! imports, `await` at the top level, cycles, and equal names in two modules.
//!
//! A script has at most two files: `main.js`, and `more.js`, which the page loads when it is
//! needed, by `import('./more.js')`. Modules that both use are in `main.js` and exported from
//! there.

// The path is for `build.rs`, in which this file is not below `web`.
#[path = "link/line.rs"]
mod line;

use std::collections::{BTreeMap, BTreeSet};

use line::{declared, exported, imported, resolved};

/// The modules by their path.
pub(crate) type Modules = BTreeMap<String, String>;

/// The only dynamic import.
const LATER: &str = "import('./more.js')";

struct Linker<'a> {
    modules: &'a Modules,
    /// The modules of `main.js`, while `more.js` is linked.
    earlier: Vec<&'a str>,
    /// Their names that `more.js` imports.
    shared: BTreeSet<String>,
    /// Modules that are being written: an import of one of them is a cycle.
    open: Vec<&'a str>,
    done: Vec<&'a str>,
    /// The module of each name at the top level.
    names: BTreeMap<String, &'a str>,
    output: String,
}

/// Returns the files of the script of a folder: `main.js`, and `more.js` if the folder has it.
///
/// # Errors
/// Returns a sentence that names the module and the line that cannot be linked.
pub(crate) fn link(modules: &Modules, folder: &str) -> Result<Vec<(String, String)>, String> {
    let (main, more) = (format!("{folder}/main.js"), format!("{folder}/more.js"));
    let (earlier, open, done) = (Vec::new(), Vec::new(), Vec::new());
    let (shared, names) = (BTreeSet::new(), BTreeMap::new());
    let mut linker = Linker { modules, earlier, shared, open, done, names, output: String::new() };
    linker.module(&main)?;
    let Some(entry) = modules.get(&more) else { return Ok(vec![(main, linker.output)]) };
    let mut first = std::mem::take(&mut linker.output);
    linker.earlier = std::mem::take(&mut linker.done);
    linker.module(&more)?;
    let shared = Vec::from_iter(linker.shared).join(", ");
    first.push_str(&format!("export {{ {shared} }};\n"));
    let own = Vec::from_iter(entry.lines().filter_map(exported)).join(", ");
    let second = format!("import {{ {shared} }} from './main.js';\n{}export {{ {own} }};\n", linker.output);
    Ok(vec![(main, first), (more, second)])
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
            if self.earlier.contains(&other.as_str()) {
                self.shared.extend(names.split(", ").map(str::to_owned));
            } else {
                self.module(&other)?;
            }
            let text = self.modules.get(&other).map_or("", String::as_str);
            let is_missing = |name: &&str| !text.lines().any(|line| exported(line) == Some(*name));
            if let Some(name) = names.split(", ").find(is_missing) {
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
            if line.starts_with("import") {
                continue;
            }
            let own = line.strip_prefix("export ").unwrap_or(line);
            let name = declared(own);
            let is_other_export = name.is_none() && own.len() < line.len();
            let awaits = own.starts_with("await ") || name.is_some() && own.contains(" = await ");
            let has_later =
                || resolved(path, "./more.js").is_some_and(|more| self.modules.contains_key(&more));
            let imports = own.contains("import(") && !(own.contains(LATER) && has_later());
            if is_other_export || awaits || imports {
                return Err(format!("{path}: cannot link: {line}"));
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
