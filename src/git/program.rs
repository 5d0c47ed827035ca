//! The `git` program: found once, run with a fixed environment and configuration, never through a
//! shell.
//!
//! Invariant: the only input of a user or the machine that reaches a child is its arguments: no
//! configuration file, no hook, no home directory, no terminal, no credentials, no environment
//! variable.

mod archive;
mod service;

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};

pub use archive::{ArchiveFormat, ArchivePart};
pub use service::{ProtocolVersion, PushRules, Service};

use super::browse::Oid;
use super::cage::Cage;
use super::child::GitCommand;
use super::fsck;
use super::memory::{MemoryMetrics, MemoryMonitor};
use super::sandbox::{Readable, Sandbox};
use super::store::Store;
use crate::core::limits::Limits;
use crate::core::machine;

/// The oldest supported git version, tested with NetBit; Debian 12 ships it.
const OLDEST: (u32, u32, u32) = (2, 39, 4);
/// The environment variable that marks children of NetBit; its value is the root of the
/// repositories.
pub(super) const MARK: &str = "NETBIT_CHILD_OF";
/// The environment variable with the storage key of the repository that a child works on.
pub(super) const MARK_REPOSITORY: &str = "NETBIT_REPOSITORY";

/// The empty tree, which git recognises without an object. git before 2.41 does not support
/// `GIT_ATTR_SOURCE` either, and does not need it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

#[derive(Debug, thiserror::Error)]
pub enum NoProgram {
    #[error("git was not found in the PATH; install git 2.39.4 or newer")]
    Missing,
    #[error("cannot start the thread that measures the memory of git children: {0}")]
    Monitor(#[from] std::io::Error),
    #[error("git at {} has version {found}; NetBit needs 2.39.4 or newer", .path.display())]
    TooOld { path: PathBuf, found: String },
}

/// Settings that bound git's memory, to fit [`Limits::git_child_bytes`].
///
/// git maps packs in windows, so large repositories need no more memory than these. Files larger
/// than `bigFileThreshold` are streamed and never delta-compressed.
const MEMORY_SETTINGS: &[&str] = &[
    "core.packedGitWindowSize=8m",
    "core.packedGitLimit=32m",
    "core.deltaBaseCacheLimit=16m",
    "core.bigFileThreshold=32m",
    "pack.windowMemory=32m",
    "pack.deltaCacheSize=16m",
    "pack.threads=1",
];

/// The git program and the directories that its children use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Git {
    path: PathBuf,
    search_path: String,
    store: Store,
    limits: Limits,
    monitor: MemoryMonitor,
    readable: Readable,
    hooks_can_run: bool,
    pub version: String,
}

/// Divisor of the machine's memory for the default limit of all git children, and the lower bound
/// of that default.
const MEMORY_SHARE: u64 = 8;
const MEMORY_BYTES_MIN: u64 = 256 * 1024 * 1024;
/// Factor of the CPU time of a maintenance or check step, which reads a repository several times.
const UPKEEP_FACTOR: u64 = 4;

impl Git {
    /// Searches the `PATH` for git.
    pub fn find(store: &Store, limits: &Limits, metrics: MemoryMetrics) -> Result<Self, NoProgram> {
        let search_path = env::var("PATH").unwrap_or_default();
        let path = env::split_paths(&search_path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join("git"))
            .find(|candidate| candidate.is_file())
            .ok_or(NoProgram::Missing)?;
        let output = Blocking::new(&path).arg("version").env_clear().stdin(Stdio::null()).output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let version = text.trim().trim_start_matches("git version ").to_owned();
        if parse_version(&version).is_none_or(|found| found < OLDEST) {
            return Err(NoProgram::TooOld { path, found: version });
        }
        let monitor = MemoryMonitor::start(memory_bytes(limits), metrics)?;
        let own = [store.hooks(), store.push_hooks(), store.push_hooks_by_ref(), store.home()];
        let data = store.root().parent().unwrap_or(store.root());
        let readable = Readable::new(&path, data, &own);
        Ok(Self {
            path,
            search_path,
            store: store.clone(),
            limits: limits.clone(),
            monitor,
            readable,
            hooks_can_run: store.hooks_can_run().unwrap_or(true),
            version,
        })
    }

    /// Returns a command for a child that works on `repository`; the caller adds the arguments.
    fn command(&self, repository: &Path, cage: Cage) -> GitCommand {
        let sandbox = self.limits.git_sandbox.then(|| Sandbox::new(self.readable.clone(), repository));
        let mut command = GitCommand::new(&self.path, cage, self.monitor.clone(), sandbox);
        let key = repository.file_stem().unwrap_or_default();
        command
            .as_command()
            .env_clear()
            .env("PATH", &self.search_path)
            .env("LC_ALL", "C")
            .env("HOME", self.store.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_CEILING_DIRECTORIES", self.store.root())
            .env(MARK, self.store.mark())
            .env(MARK_REPOSITORY, key)
            .current_dir(self.store.home())
            .process_group(0)
            .kill_on_drop(true);
        let mut safe = OsString::from("safe.directory=");
        safe.push(repository);
        command.set(&safe).set(hooks_path(&self.store.hooks()));
        for setting in [
            "core.useReplaceRefs=false",
            "core.fsync=objects,derived-metadata,reference",
            "gc.auto=0",
            "maintenance.auto=false",
            "protocol.version=2",
        ]
        .iter()
        .chain(MEMORY_SETTINGS)
        {
            command.set(setting);
        }
        command
    }

    /// Returns `git blame` of a path in a commit, in the porcelain format, for the given line
    /// range. Lines of the `ignored` commits belong to the commits before them.
    ///
    /// The mailmap is disabled: in a bare repository git would use the mailmap of the default
    /// branch, whatever commit is requested.
    pub fn blame(
        &self,
        repository: &Path,
        (commit, path): (Oid, &[u8]),
        lines: (usize, usize),
        ignored: &[Oid],
    ) -> GitCommand {
        let mut command = self.at(repository, self.reader());
        command.env("GIT_ATTR_SOURCE", EMPTY_TREE).set("mailmap.blob=");
        command.args(["blame", "--porcelain", "-L"]).arg(format!("{},{}", lines.0, lines.1));
        for oid in ignored {
            command.arg("--ignore-rev").arg(oid.to_string());
        }
        command.arg(commit.to_string()).arg("--").arg(OsStr::from_bytes(path));
        command
    }

    /// Returns `git cat-file` of a blob of `size_bytes` into a file. The blob is streamed unless it
    /// is stored as a delta.
    pub fn blob(&self, repository: &Path, oid: &str, size_bytes: u64) -> GitCommand {
        let mut command = self.at(repository, Cage::writer(&self.limits, size_bytes));
        command.set("core.bigFileThreshold=1m").args(["cat-file", "blob", oid]);
        command
    }

    /// Returns `git fsck` of the whole repository.
    pub fn fsck(&self, repository: &Path) -> GitCommand {
        let mut command = self.at(repository, self.upkeep());
        for setting in fsck::settings(false) {
            command.set(setting);
        }
        command.args(["fsck", "--full", "--no-progress", "--no-dangling"]);
        command
    }

    /// Returns a maintenance command.
    pub(super) fn maintain(&self, repository: &Path, arguments: &[&str]) -> GitCommand {
        let mut command = self.at(repository, self.upkeep());
        // Changed-path filters that support file names in any encoding (git 2.46; older versions
        // ignore the setting).
        command.set("commitGraph.changedPathsVersion=2");
        command.args(arguments);
        command
    }

    fn reader(&self) -> Cage {
        Cage::reader(&self.limits, self.limits.repository_bytes)
    }

    /// Returns the limits of repacking and checking: no request waits for them, so they get more
    /// time, and they write whole repositories.
    fn upkeep(&self) -> Cage {
        Cage::writer(&self.limits, self.limits.repository_bytes.saturating_mul(UPKEEP_FACTOR))
    }

    fn at(&self, repository: &Path, cage: Cage) -> GitCommand {
        let mut command = self.command(repository, cage);
        command.arg("--git-dir").arg(repository).arg("--literal-pathspecs");
        command
    }
}

/// Returns the setting for a hooks folder. If a setting is given several times, git uses the last.
fn hooks_path(folder: &Path) -> OsString {
    let mut setting = OsString::from("core.hooksPath=");
    setting.push(folder);
    setting
}

/// Returns the bytes of memory that all git children may hold together.
pub fn memory_bytes(limits: &Limits) -> u64 {
    match limits.git_memory_bytes {
        0 => (machine::memory_bytes() / MEMORY_SHARE).max(MEMORY_BYTES_MIN),
        bytes => bytes,
    }
}

/// Parses a version such as `2.47.3`, optionally followed by other words.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.split_whitespace().next()?.split('.').map(str::parse::<u32>);
    let mut next = || numbers.next()?.ok();
    Some((next()?, next()?, next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_versions_are_compared_as_numbers() {
        assert!(parse_version("2.47.3").unwrap() > OLDEST);
        assert!(parse_version("2.39.4 (Apple Git-143)").unwrap() >= OLDEST);
        assert!(parse_version("2.9.5").unwrap() < OLDEST);
        assert!(parse_version("2.40.rc1").unwrap() > OLDEST);
        assert_eq!(parse_version("nonsense"), None);
    }

    #[test]
    fn protocol_header_accepts_only_versions_1_and_2() {
        for value in ["version=2:foo=$(id)", "version=3", "version=2 ", "", "version=1\n"] {
            assert_eq!(ProtocolVersion::from_header(Some(value)), ProtocolVersion::Zero, "{value:?}");
        }
        assert_eq!(ProtocolVersion::from_header(Some("version=2")), ProtocolVersion::Two);
    }

    #[tokio::test]
    async fn child_gets_neither_our_environment_nor_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = crate::domain::repository::StorageKey::fresh();
        store.create(key, "main").unwrap();
        let git = Git::find(&store, &Limits::default(), MemoryMetrics::default()).unwrap();
        let mut command = git.maintain(&store.path(key), &["config", "--list", "--show-origin"]);
        let listed = String::from_utf8(command.as_command().output().await.unwrap().stdout).unwrap();
        assert!(
            listed.lines().all(|line| line.starts_with("command line:") || line.contains("/config\t")),
            "{listed}"
        );
        let variables: Vec<_> =
            command.as_command().as_std().get_envs().map(|(name, _)| name.to_str().unwrap()).collect();
        assert!(!variables.contains(&"SSH_AUTH_SOCK") && variables.contains(&"GIT_CONFIG_NOSYSTEM"));
    }
}
