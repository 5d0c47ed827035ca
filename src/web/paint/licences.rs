//! The licences of the syntax definitions that are a part of the binary, for the page `/about`.

use std::sync::LazyLock;

/// The licence of a syntax definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// The folder of the definition, such as `Rust`.
    pub name: String,
    /// The text of the licence.
    pub text: String,
}

static LICENCES: LazyLock<Vec<Licence>> = LazyLock::new(|| {
    let listing = two_face::acknowledgement::listing();
    let licences = listing.for_syntaxes().iter().map(|licence| {
        let folder = licence.rel_path.parent().and_then(|folder| folder.file_name());
        let name = folder.unwrap_or(licence.rel_path.as_os_str()).to_string_lossy().into_owned();
        Licence { name, text: licence.text.trim().to_owned() }
    });
    let mut licences: Vec<_> = licences.collect();
    licences.sort_by(|a, b| a.name.cmp(&b.name));
    licences
});

/// Returns the licences that must be shown, in the order of their names.
pub fn licences() -> &'static [Licence] {
    &LICENCES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_have_names_and_texts() {
        let licences = licences();
        assert!(licences.len() > 50, "{}", licences.len());
        for licence in licences {
            assert!(!licence.name.is_empty() && licence.text.len() > 40, "{licence:?}");
            assert!(!licence.name.contains('/'), "{}", licence.name);
        }
        assert!(licences.iter().any(|licence| licence.name.contains("TypeScript")));
    }
}
