//! Languages, by the endings and names of files.

/// A language of the filter `lang:`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Language {
    names: &'static [&'static str],
    endings: &'static [&'static str],
    /// Names of files without an ending of their own.
    files: &'static [&'static str],
}

const fn language(
    names: &'static [&'static str],
    endings: &'static [&'static str],
    files: &'static [&'static str],
) -> Language {
    Language { names, endings, files }
}

static LANGUAGES: [Language; 41] = [
    language(&["assembly", "asm"], &["s", "asm"], &[]),
    language(&["c"], &["c", "h"], &[]),
    language(&["c++", "cpp"], &["cc", "cpp", "cxx", "hh", "hpp", "hxx", "h"], &[]),
    language(&["c#", "csharp"], &["cs"], &[]),
    language(&["clojure"], &["clj", "cljs", "cljc", "edn"], &[]),
    language(&["cmake"], &["cmake"], &["CMakeLists.txt"]),
    language(&["css"], &["css", "scss", "less"], &[]),
    language(&["dart"], &["dart"], &[]),
    language(&["docker", "dockerfile"], &["dockerfile"], &["Dockerfile", "Containerfile"]),
    language(&["elixir"], &["ex", "exs"], &[]),
    language(&["erlang"], &["erl", "hrl"], &[]),
    language(&["fortran"], &["f", "f90", "f95"], &[]),
    language(&["go"], &["go"], &["go.mod"]),
    language(&["haskell"], &["hs", "lhs"], &[]),
    language(&["html"], &["html", "htm", "xhtml"], &[]),
    language(&["java"], &["java"], &[]),
    language(&["javascript", "js"], &["js", "mjs", "cjs", "jsx"], &[]),
    language(&["json"], &["json", "jsonc", "json5"], &[]),
    language(&["julia"], &["jl"], &[]),
    language(&["kotlin"], &["kt", "kts"], &[]),
    language(&["lua"], &["lua"], &[]),
    language(&["make", "makefile"], &["mk", "mak"], &["Makefile", "makefile", "GNUmakefile"]),
    language(&["markdown", "md"], &["md", "markdown"], &[]),
    language(&["nix"], &["nix"], &[]),
    language(&["objective-c", "objc"], &["m", "mm"], &[]),
    language(&["ocaml"], &["ml", "mli"], &[]),
    language(&["perl"], &["pl", "pm"], &[]),
    language(&["php"], &["php"], &[]),
    language(&["protobuf", "proto"], &["proto"], &[]),
    language(&["python", "py"], &["py", "pyi", "pyw"], &[]),
    language(&["r"], &["r"], &[]),
    language(&["ruby", "rb"], &["rb", "rake", "gemspec"], &["Rakefile", "Gemfile"]),
    language(&["rust", "rs"], &["rs"], &[]),
    language(&["scala"], &["scala", "sc"], &[]),
    language(&["shell", "sh", "bash"], &["sh", "bash", "zsh"], &[".bashrc", ".profile"]),
    language(&["sql"], &["sql"], &[]),
    language(&["swift"], &["swift"], &[]),
    language(&["toml"], &["toml"], &["Cargo.lock"]),
    language(&["typescript", "ts"], &["ts", "tsx", "mts", "cts"], &[]),
    language(&["xml"], &["xml", "xsd", "xsl", "svg"], &[]),
    language(&["yaml", "yml"], &["yaml", "yml"], &[]),
];

impl Language {
    /// Returns the language of this name, in any case.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let has_name = |language: &&Self| language.names.iter().any(|own| own.eq_ignore_ascii_case(name));
        LANGUAGES.iter().find(has_name)
    }

    /// Returns whether a file of this name is in the language.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        let ending = name.rsplit(|byte| *byte == b'.').next().filter(|ending| ending.len() < name.len());
        let is_ending = |own: &str| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(own.as_bytes()));
        self.files.iter().any(|file| file.as_bytes() == name) || self.endings.iter().any(|own| is_ending(own))
    }
}
