//! Looks up a path in the root trees of a history.

use std::collections::HashMap;

use super::Browser;
use super::path::{PathEntry, TreePath};

/// Maximum number of cached root trees, about 100 bytes each. Consecutive commits of a walk usually
/// share trees. More entries would help only in a history with as many parallel branches.
const TREES_KNOWN_MAX: usize = 4_096;

/// A path, and a cache of its entries in the last root trees.
pub(super) struct TreePlaces<'b> {
    browser: &'b Browser,
    path: &'b TreePath,
    known: HashMap<git2::Oid, Option<PathEntry>>,
}

impl<'b> TreePlaces<'b> {
    pub(super) fn new(browser: &'b Browser, path: &'b TreePath) -> Self {
        Self { browser, path, known: HashMap::new() }
    }

    /// Returns the entry at the path in a root tree, if it is a file or contains one
    /// ([`PathEntry::filled`]). A tree that cannot be read has no entries.
    pub(super) fn at(&mut self, root: git2::Oid) -> Option<PathEntry> {
        if let Some(known) = self.known.get(&root) {
            return *known;
        }
        let place = self.browser.place(root, self.path).unwrap_or(None).and_then(PathEntry::filled);
        if self.known.len() >= TREES_KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(root, place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{FILE, SampleRepository};
    use super::*;

    /// Each distinct root tree of a history was kept: several hundred megabytes for a million
    /// commits.
    #[test]
    fn tree_places_bounds_its_cache_and_stays_correct() {
        let sample = SampleRepository::new();
        let blobs: Vec<_> = ["0", "1"].map(|content| sample.blob(content.as_bytes())).to_vec();
        let tree = |number: usize| {
            let mut builder = sample.repository.treebuilder(None).unwrap();
            builder.insert("f", blobs[number % 2], FILE).unwrap();
            builder.insert(number.to_string(), blobs[0], FILE).unwrap();
            builder.write().unwrap()
        };
        let trees: Vec<_> = (0..TREES_KNOWN_MAX + 10).map(tree).collect();
        let (browser, path) = (sample.browser(), TreePath::parse("f").unwrap());
        let mut places = TreePlaces::new(&browser, &path);
        for (number, tree) in trees.iter().chain(&trees).enumerate() {
            let wanted = Some(blobs[number % trees.len() % 2]);
            assert_eq!(places.at(*tree).map(|place| place.oid), wanted);
            assert!(places.known.len() <= TREES_KNOWN_MAX);
        }
    }
}
