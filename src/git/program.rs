//! The `git` program: found once, run with a fixed environment and configuration, never through a
//! shell.
//!
//! Invariant: the only input of a user or the machine that reaches a child is its arguments: no
//! configuration file, no hook, no home directory, no terminal, no credentials, no environment
//! variable.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};

use super::browse::path_text;
use super::cage::Cage;
use super::child::GitCommand;
use super::fsck;
use super::memory::{MemoryMetrics, MemoryMonitor};
use super::sandbox::{Readable, Sandbox};
use super::store::Store;
use crate::core::limits::Limits;
use crate::core::machine;
use crate::domain::push::FastForward;

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

/// A service of the smart protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::UploadPack, Self::ReceivePack].into_iter().find(|service| service.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

/// The protocol version that a client requests; any unsupported value is version 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProtocolVersion {
    #[default]
    Zero,
    One,
    Two,
}

impl ProtocolVersion {
    /// Parses the header `Git-Protocol`. Only the values of versions 1 and 2 are ever forwarded to
    /// git.
    pub fn from_header(value: Option<&str>) -> Self {
        match value {
            Some("version=1") => Self::One,
            Some("version=2") => Self::Two,
            _ => Self::Zero,
        }
    }

    fn variable(self) -> Option<&'static str> {
        match self {
            Self::Zero => None,
            Self::One => Some("version=1"),
            Self::Two => Some("version=2"),
        }
    }
}

/// The rules of a push that git itself enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRules {
    /// Maximum size of the pack in bytes.
    pub input_bytes_max: u64,
    pub fast_forward: FastForward,
    /// Either all refs are updated or none.
    pub is_atomic: bool,
    /// The server makes the refs durable ([`Store::sync_refs`]) with a single sync: git would sync
    /// each ref separately.
    pub has_many_refs: bool,
}

/// The part of a commit that an archive contains. Paths are encoded as in [`path_text`].
#[derive(Debug, Default)]
pub struct ArchivePart {
    /// Prefix of all paths in the archive.
    pub prefix: String,
    /// The folder of the commit to archive; empty for the whole tree.
    pub folder: String,
    /// Paths within `folder`; empty for all.
    pub paths: Vec<String>,
}

/// The format of an archive. git also does the compression, including gzip (since 2.38).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    Tar,
    TarGz,
    Zip,
}

impl ArchiveFormat {
    /// The names that `git archive --list` prints.
    pub const NAMES: [(&str, Self); 4] =
        [("tar", Self::Tar), ("tgz", Self::TarGz), ("tar.gz", Self::TarGz), ("zip", Self::Zip)];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// Returns the suffix of the file name, which is also git's name of the format.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::Zip => "zip",
        }
    }
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
        let told = Blocking::new(&path).arg("version").env_clear().stdin(Stdio::null()).output();
        let text =
            told.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
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
            .env(MARK, self.store.root())
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

    /// Returns `git upload-pack` or `git receive-pack` for one request, or for the ref
    /// advertisement (`advertise`).
    pub fn service(
        &self,
        service: Service,
        repository: &Path,
        protocol: ProtocolVersion,
        advertise: bool,
        rules: Option<&PushRules>,
    ) -> GitCommand {
        let cage = match rules {
            Some(rules) => Cage::writer(&self.limits, rules.input_bytes_max),
            None => self.reader(),
        };
        let mut command = self.command(repository, cage);
        if let Some(variable) = protocol.variable() {
            command.env("GIT_PROTOCOL", variable);
        }
        for setting in [
            "uploadpack.allowFilter=true",
            // As in protocol version 2: a partial clone fetches missing objects by id.
            "uploadpack.allowAnySHA1InWant=true",
            "receive.autogc=false",
            // Set explicitly, so that git refuses without printing its hint about the setting.
            "receive.denyDeleteCurrent=refuse",
            // Every push uses index-pack: unpack-objects holds all trees and commits of a push in
            // memory.
            "transfer.unpackLimit=1",
            // Filters by a sparse-checkout file in the repository: server work that no client here
            // needs.
            "uploadpackfilter.sparse:oid.allow=false",
            // Combined filters and tree-depth filters take memory in proportion to their number;
            // clients use tree:0 and blob filters.
            "uploadpackfilter.combine.allow=false",
            "uploadpackfilter.tree.maxDepth=0",
            "receive.advertisePushOptions=true",
            "transfer.fsckObjects=true",
            "transfer.hideRefs=refs/netbit",
        ] {
            command.set(setting);
        }
        for setting in fsck::settings(true) {
            command.set(setting);
        }
        if let Some(rules) = rules {
            // 0 would mean unlimited.
            let max = rules.input_bytes_max.max(1);
            command.set(format!("receive.maxInputSize={max}"));
            let named = match &rules.fast_forward {
                FastForward::Refs(names) if self.hooks_can_run => Some(names),
                _ => None,
            };
            let all = rules.fast_forward != FastForward::Free && named.is_none();
            command.set(format!("receive.denyNonFastForwards={all}"));
            if rules.has_many_refs {
                command.set("core.fsync=objects,derived-metadata");
            }
            // The `update` hook is a process per ref: used only if refs differ in their rules.
            let hooks = named.map_or_else(|| self.store.push_hooks(), |_| self.store.push_hooks_by_ref());
            command.set(hooks_path(&hooks));
            let flag = |is_set| if is_set { "1" } else { "0" };
            command.env("NETBIT_FAST_FORWARD", flag(all));
            let names: Vec<_> = named.into_iter().flatten().map(String::as_str).collect();
            command.env("NETBIT_FAST_FORWARD_REFS", names.join("\n"));
            command.env("NETBIT_ATOMIC", flag(rules.is_atomic));
        }
        command.arg(service.command()).arg("--stateless-rpc");
        if advertise {
            command.arg("--http-backend-info-refs");
        }
        command.arg(repository);
        command
    }

    /// Returns `git blame` of a path in a commit, in the porcelain format, for the given line
    /// range.
    ///
    /// The mailmap is disabled: in a bare repository git would use the mailmap of the default
    /// branch, whatever commit is requested.
    pub fn blame(&self, repository: &Path, commit: &str, path: &[u8], lines: (usize, usize)) -> GitCommand {
        let mut command = self.at(repository, self.reader());
        command.env("GIT_ATTR_SOURCE", EMPTY_TREE).set("mailmap.blob=");
        command.args(["blame", "--porcelain", "-L"]).arg(format!("{},{}", lines.0, lines.1));
        command.args([commit, "--"]).arg(OsStr::from_bytes(path));
        command
    }

    /// Returns `git archive` of a commit, which is named by its object id.
    ///
    /// Attributes of the tree are ignored: `working-tree-encoding` would run iconv, `export-subst`
    /// would expand a message into every file, and `export-ignore` would omit files.
    /// `--worktree-attributes` makes git read attributes from a working tree, which does not exist.
    /// git then also builds no index of the whole tree, which would take 150 bytes per file. In git
    /// 2.43 to 2.45, a bare repository would use `HEAD` instead; there the empty tree takes its
    /// place. Large files are streamed unless they are stored as deltas.
    pub fn archive(
        &self,
        repository: &Path,
        commit: &str,
        format: ArchiveFormat,
        ArchivePart { prefix, folder, paths }: &ArchivePart,
    ) -> GitCommand {
        let tree = if folder.is_empty() { commit.to_owned() } else { format!("{commit}:{folder}") };
        let mut command = self.at(repository, self.reader());
        command.env("GIT_ATTR_SOURCE", EMPTY_TREE);
        command.set("tar.umask=0022").set("core.bigFileThreshold=1m");
        let format = format.suffix();
        command
            .args(["archive", "--worktree-attributes"])
            .arg(format!("--format={format}"))
            .arg(format!("--prefix={prefix}"));
        let bytes = |text: &str| OsString::from_vec(path_text::unescaped(text).into_owned());
        command.arg(bytes(&tree)).arg("--").args(paths.iter().map(|path| bytes(path)));
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
