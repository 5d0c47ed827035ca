//! Files that programs write: their changes are closed at first.

/// Lock files of package managers, by name.
const LOCK_FILES: [&str; 18] = [
    "Cargo.lock",
    "Gemfile.lock",
    "Package.resolved",
    "Pipfile.lock",
    "bun.lock",
    "composer.lock",
    "deno.lock",
    "flake.lock",
    "go.sum",
    "gradle.lockfile",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "packages.lock.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "yarn.lock",
];
/// Ends of the names of files that compilers and packers write.
const ENDS: [&str; 10] = [
    ".min.js",
    ".min.css",
    ".min.mjs",
    ".js.map",
    ".css.map",
    ".pb.go",
    "_pb2.py",
    ".designer.cs",
    ".g.dart",
    ".snap",
];

/// Returns whether a file is usually written by a program, from its path.
pub(super) fn is_generated(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lower = name.to_ascii_lowercase();
    LOCK_FILES.contains(&name) || ENDS.iter().any(|end| lower.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_known_by_name() {
        for path in ["Cargo.lock", "a/b/go.sum", "web/app.min.js", "x/App.Designer.cs"] {
            assert!(is_generated(path), "{path}");
        }
        for path in ["src/main.rs", "Cargo.lock.md", "min.js", "go.sum/x", ""] {
            assert!(!is_generated(path), "{path}");
        }
    }
}
