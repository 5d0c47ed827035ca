//! A bare repository for the tests, written object by object. Results are compared with the git
//! command line.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::Command;

use git2::{Oid as RawOid, Repository, Signature, Time};
use tempfile::TempDir;

use super::{BrowseLimits, Browser, Oid};

pub(super) const FILE: i32 = 0o100_644;
pub(super) const PROGRAM: i32 = 0o100_755;
pub(super) const LINK: i32 = 0o120_000;
pub(super) const SUBMODULE: i32 = 0o160_000;

/// Path, mode and content of every file. The content of a submodule is the hex id of its commit.
pub(super) type Files = BTreeMap<String, (i32, Vec<u8>)>;

pub(super) fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(path, text)| ((*path).to_owned(), (FILE, text.as_bytes().to_vec()))).collect()
}

pub(super) struct SampleRepository {
    folder: TempDir,
    pub(super) repository: Repository,
    clock: Cell<i64>,
}

impl SampleRepository {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        Self { folder, repository, clock: Cell::new(1_700_000_000) }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(super) fn browser(&self) -> Browser {
        self.limited(|_| ())
    }

    pub(super) fn limited(&self, change: impl FnOnce(&mut BrowseLimits)) -> Browser {
        // Slow machines must not end a walk early.
        let mut limits = BrowseLimits { time_ms: 60_000, walk_ms: 60_000, ..BrowseLimits::default() };
        change(&mut limits);
        Browser::open(self.path(), "main", limits).unwrap()
    }

    /// Creates a commit one minute after the previous one.
    pub(super) fn commit(&self, parents: &[Oid], files: &Files) -> Oid {
        self.clock.set(self.clock.get() + 60);
        self.commit_at(self.clock.get(), parents, files)
    }

    pub(super) fn commit_at(&self, seconds: i64, parents: &[Oid], files: &Files) -> Oid {
        self.commit_tree(seconds, parents, self.tree(files), &format!("Change at {seconds}\n\nBecause.\n"))
    }

    pub(super) fn commit_tree(&self, seconds: i64, parents: &[Oid], tree: RawOid, message: &str) -> Oid {
        let author = Signature::new("Ada", "ada@example.org", &Time::new(seconds, 60)).unwrap();
        let committer = Signature::new("Bob", "bob@example.org", &Time::new(seconds, 0)).unwrap();
        let parents: Vec<_> = parents.iter().map(|p| self.repository.find_commit(p.raw()).unwrap()).collect();
        let parents: Vec<_> = parents.iter().collect();
        let tree = self.repository.find_tree(tree).unwrap();
        self.repository.commit(None, &author, &committer, message, &tree, &parents).unwrap().into()
    }

    pub(super) fn blob(&self, content: &[u8]) -> RawOid {
        self.repository.blob(content).unwrap()
    }

    pub(super) fn tree(&self, files: &Files) -> RawOid {
        let mut builder = self.repository.treebuilder(None).unwrap();
        let mut folders: BTreeMap<&str, Files> = BTreeMap::new();
        for (path, (mode, content)) in files {
            if let Some((folder, rest)) = path.split_once('/') {
                folders.entry(folder).or_default().insert(rest.to_owned(), (*mode, content.clone()));
                continue;
            }
            let oid = match *mode {
                SUBMODULE => RawOid::from_str(std::str::from_utf8(content).unwrap()).unwrap(),
                _ => self.blob(content),
            };
            builder.insert(path, oid, *mode).unwrap();
        }
        for (name, files) in folders {
            builder.insert(name, self.tree(&files), 0o040_000).unwrap();
        }
        builder.write().unwrap()
    }

    /// Sets any ref, such as `refs/heads/main`.
    pub(super) fn set(&self, name: &str, oid: Oid) {
        self.repository.reference(name, oid.raw(), true, "test").unwrap();
    }

    /// Writes an object with these bytes, valid or not.
    pub(super) fn object(&self, kind: git2::ObjectType, content: &[u8]) -> RawOid {
        self.repository.odb().unwrap().write(kind, content).unwrap()
    }

    /// Removes an object from the repository.
    pub(super) fn lose(&self, oid: RawOid) {
        let hex = oid.to_string();
        std::fs::remove_file(self.path().join("objects").join(&hex[..2]).join(&hex[2..])).unwrap();
    }

    /// Writes a commit-graph of the ancestors of `tip` with git.
    pub(super) fn write_graph(&self, tip: &str) {
        self.git(&["update-ref", "refs/heads/graph", tip]);
        self.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
        self.git(&["update-ref", "-d", "refs/heads/graph"]);
    }

    /// Calls `ask` without a commit-graph, with a graph of the older half of the history, and with
    /// a graph of all of it.
    pub(super) fn with_each_graph(&self, head: Oid, ask: impl Fn(&Browser)) {
        ask(&self.browser());
        let all = self.git(&["rev-list", &head.to_string()]);
        for tip in [all.get(all.len() / 2), all.first()].into_iter().flatten() {
            self.write_graph(tip);
            let browser = self.browser();
            assert!(browser.graph().is_some_and(|graph| graph.len() > 0));
            ask(&browser);
        }
    }

    /// Runs git and returns its output, line by line.
    pub(super) fn git(&self, arguments: &[&str]) -> Vec<String> {
        let output = Command::new("git")
            .arg("--git-dir")
            .arg(self.path())
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Creates a history of `size` commits with many merges that change a few files. `skew` makes
    /// commit dates non-monotonic.
    pub(super) fn random_history(&self, seed: u64, size: usize, skew: bool) -> Oid {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = move |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % 1_000_003).unwrap() % bound
        };
        let names = ["a", "b", "d/x", "d/y", "d/e/z", "d.txt"];
        let mut history: Vec<(Oid, Files)> = Vec::new();
        for number in 0..size {
            let recent = history.len().saturating_sub(6);
            let parents: Vec<usize> = match history.len() {
                0 => vec![],
                len => (0..1 + below(3) / 2).map(|_| recent + below(len - recent)).collect(),
            };
            let mut files = Files::new();
            for name in names {
                // Each file comes from a random parent, and is sometimes changed, reverted to an
                // old content, or deleted.
                let from = parents.get(below(parents.len().max(1))).map(|index| &history[*index].1);
                if let Some(file) = from.and_then(|from| from.get(name)) {
                    files.insert(name.to_owned(), file.clone());
                }
                match below(12) {
                    0 => drop(
                        files.insert(name.to_owned(), (FILE, vec![b'0' + u8::try_from(below(4)).unwrap()])),
                    ),
                    1 => drop(files.remove(name)),
                    2 => {
                        files.entry(name.to_owned()).and_modify(|file| file.0 = PROGRAM).or_default().0 = FILE
                    }
                    _ => {}
                }
            }
            let seconds = i64::try_from(number * 10 + if skew { below(200) } else { 0 }).unwrap();
            let mut oids: Vec<_> = parents.iter().map(|index| history[*index].0).collect();
            oids.dedup();
            let oid = self.commit_at(1_700_000_000 + seconds, &oids, &files);
            history.push((oid, files));
        }
        history.last().unwrap().0
    }
}
