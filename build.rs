//! Embeds the files of the pages in the binary, and rebuilds the crate when a migration is added.
//!
//! The files of `web/css/` become one style sheet for pages and one for the chat, in the order of
//! their names. The modules that an entry imports, such as `web/js/page/main.js`, become one
//! script. Each file is also compressed. All are served below `/assets/HASH/`, where the hash
//! covers all of them, so every address is immutable.

#[path = "src/web/compact.rs"]
mod compact;
#[path = "src/web/link.rs"]
mod link;
#[path = "src/web/sheets.rs"]
mod sheets;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use xxhash_rust::xxh3::xxh3_64;

type Failure = Box<dyn std::error::Error>;

/// Files of the pages by their name in the address.
type Files = BTreeMap<String, Vec<u8>>;

fn main() -> Result<(), Failure> {
    for path in ["migrations", "migrations-postgres", "web", "templates"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let mut files = Files::new();
    for (name, has) in sheets::STYLE_SHEETS {
        files.insert((*name).to_owned(), style_sheet(Path::new("web/css"), has)?);
    }
    scripts(Path::new("web/js"), &mut files)?;
    collect(Path::new("web/images"), "", &mut files)?;
    write(&files, &PathBuf::from(std::env::var("OUT_DIR")?))
}

/// Joins the style sheets of a folder that belong together, in the order of their names.
fn style_sheet(folder: &Path, has: &dyn Fn(&str) -> bool) -> Result<Vec<u8>, Failure> {
    let mut found = Files::new();
    collect(folder, "", &mut found)?;
    let mut joined = String::new();
    for (_, bytes) in found.into_iter().filter(|(name, _)| has(name)) {
        joined.push_str(&compact::style(&String::from_utf8(bytes)?));
    }
    Ok(joined.into_bytes())
}

/// Joins the modules of each script below a folder: the entry of a script is `FOLDER/main.js`.
fn scripts(folder: &Path, files: &mut Files) -> Result<(), Failure> {
    let mut found = Files::new();
    collect(folder, "", &mut found)?;
    let mut modules = link::Modules::new();
    for (path, bytes) in found {
        let code = compact::without_comments(&String::from_utf8(bytes)?);
        modules.insert(path.clone(), code.map_err(|problem| format!("{path}: {problem}"))?);
    }
    for entry in modules.keys() {
        let Some(folder) = entry.strip_suffix("/main.js") else { continue };
        for (name, script) in link::link(&modules, folder)? {
            files.insert(name, compact::without_indentation(&script).into_bytes());
        }
    }
    Ok(())
}

/// Collects the files below a folder, with `/` in their names.
fn collect(folder: &Path, prefix: &str, files: &mut Files) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?;
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        if path.is_dir() {
            collect(&path, &name, files)?;
        } else {
            files.insert(name, fs::read(&path)?);
        }
    }
    Ok(())
}

/// Writes the files and `assets.rs`, the table that includes them.
fn write(files: &Files, out: &Path) -> Result<(), Failure> {
    let mut hashed = Vec::new();
    let mut rows = String::new();
    for (at, (name, bytes)) in files.iter().enumerate() {
        hashed.extend(name.as_bytes());
        hashed.extend(bytes);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(bytes)?;
        fs::write(out.join(format!("asset-{at}")), bytes)?;
        fs::write(out.join(format!("asset-{at}.gz")), gzip.finish()?)?;
        rows.push_str(&format!(
            "    Asset {{ name: {name:?}, bytes: include_bytes!(\"asset-{at}\"), gzip: include_bytes!(\"asset-{at}.gz\") }},\n"
        ));
    }
    let count = files.len();
    let hash = xxh3_64(&hashed);
    let table = format!(
        "/// The hash of all files.\npub(super) const HASH: &str = \"{hash:016x}\";\n\
         /// Where the files are served.\npub(super) const ROOT: &str = \"/assets/{hash:016x}\";\n\
         pub(super) static ASSETS: [Asset; {count}] = [\n{rows}];\n"
    );
    Ok(fs::write(out.join("assets.rs"), table)?)
}
