//! What lies at one path in the root trees of a history.

use std::collections::HashMap;

use super::Browser;
use super::path::{Place, TreePath};

/// Root trees that are remembered, some 100 bytes each. A commit has mostly the tree of its neighbours in the walk: more
/// than these are of use only to a history of as many lines at once.
const TREES_KNOWN_MAX: usize = 4_096;

/// The path, and the last trees that were looked into.
pub(super) struct TreePlaces<'b> {
    browser: &'b Browser,
    path: &'b TreePath,
    known: HashMap<git2::Oid, Option<Place>>,
}

impl<'b> TreePlaces<'b> {
    pub(super) fn new(browser: &'b Browser, path: &'b TreePath) -> Self {
        Self { browser, path, known: HashMap::new() }
    }

    /// What lies there in a root tree, if it holds a file ([`Place::filled`]). A tree that cannot be read holds nothing.
    pub(super) fn at(&mut self, root: git2::Oid) -> Option<Place> {
        if let Some(known) = self.known.get(&root) {
            return *known;
        }
        let place = self.browser.place(root, self.path).unwrap_or(None).and_then(Place::filled);
        if self.known.len() >= TREES_KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(root, place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{FILE, Sample};
    use super::*;

    /// Each distinct root tree of a history was kept: some hundred megabytes for a million commits.
    #[test]
    fn known_trees_are_bounded_and_places_stay_right() {
        let sample = Sample::new();
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
