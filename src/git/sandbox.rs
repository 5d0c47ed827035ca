//! Restricts the file system access of a git child (Landlock, landlock(7)): programs and libraries
//! are readable, its own repository is writable. The rest of the data directory and the network are
//! inaccessible.
//!
//! A vulnerability in git's parsing of a pushed object can therefore reach only a single
//! repository, and neither the database nor the server's secret. The kernel enforces the rules
//! (Linux 5.13 or newer). Older kernels run the children without them; `netbit doctor` reports
//! which case applies.
//!
//! The rules of a thread apply to the processes that it starts, so each child is started by its own
//! thread.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
};

/// The newest version of the rules that is used; an older kernel enforces those that it supports.
const RULES: ABI = ABI::V5;
/// The system directories with programs and libraries.
const SYSTEM: [&str; 11] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/proc"];
/// Devices that git and the shell of the hook open.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"];

/// Maximum number of entries listed per folder to exclude the data directory from a folder that
/// contains it.
const LISTED_MAX: usize = 1_000;

/// The paths that every child may read. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Readable(Arc<[PathBuf]>);

impl Readable {
    /// Returns the system directories and that of the program, except `data`, plus the `own`
    /// folders within `data`.
    pub(super) fn new(program: &Path, data: &Path, own: &[PathBuf]) -> Self {
        // A git outside of the system directories has its own libraries.
        let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        let prefix = real.ancestors().nth(2).filter(|prefix| prefix.parent().is_some()).map(Path::to_owned);
        let mut found = own.to_vec();
        for folder in SYSTEM.into_iter().map(PathBuf::from).chain(prefix) {
            add_without(&folder, data, &mut found);
        }
        Self(found.into())
    }
}

/// Adds a folder, or its entries if it contains `excluded`.
fn add_without(folder: &Path, excluded: &Path, found: &mut Vec<PathBuf>) {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if !excluded.starts_with(&folder) {
        found.push(folder);
    } else if folder != excluded {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten().take(LISTED_MAX) {
            add_without(&entry.path(), excluded, found);
        }
    }
}

/// The file access rules of a child.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    readable: Readable,
    /// The repository that the child works on.
    writable: PathBuf,
}

/// Whether the kernel enforces the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxSupport {
    Full,
    /// The kernel supports an older version of the rules.
    Partial,
    None,
}

impl Sandbox {
    /// Returns the rules for a child that works on `repository`.
    pub(super) fn new(readable: Readable, repository: &Path) -> Self {
        Self { readable, writable: repository.to_owned() }
    }

    /// Runs `start` on a thread with the rules applied; the processes that it starts inherit them.
    ///
    /// # Errors
    /// The thread cannot be started, or `start` fails. A kernel without Landlock is not an error.
    pub(super) fn run<T: Send>(&self, start: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("git start".to_owned());
            let started = thread.spawn_scoped(scope, || {
                if let Err(error) = self.restrict() {
                    // A container may forbid system calls that its kernel supports: the other
                    // limits still apply.
                    tracing::debug!(%error, "a git child runs without Landlock");
                }
                start()
            })?;
            started.join().map_err(|_| io::Error::other("starting git panicked"))?
        })
    }

    /// Applies the rules to the calling thread.
    fn restrict(&self) -> Result<RulesetStatus, RulesetError> {
        let read = AccessFs::from_read(RULES);
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(RULES))?
            .handle_access(AccessNet::from_all(RULES))?
            .create()?;
        for path in self.readable.0.iter() {
            rules = allow(rules, path, read)?;
        }
        for device in DEVICES {
            rules = allow(rules, Path::new(device), AccessFs::ReadFile | AccessFs::WriteFile)?;
        }
        rules = allow(rules, &self.writable, AccessFs::from_all(RULES))?;
        Ok(rules.restrict_self()?.ruleset)
    }
}

/// Adds a rule; a path that does not exist needs none.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(opened) => rules.add_rule(PathBeneath::new(opened, access)),
        Err(_) => Ok(rules),
    }
}

/// Returns whether the kernel enforces the rules, determined on a temporary thread.
pub fn support() -> SandboxSupport {
    let probe = Sandbox { readable: Readable(Arc::default()), writable: PathBuf::from("/") };
    let asked = std::thread::spawn(move || probe.restrict()).join();
    match asked {
        Ok(Ok(RulesetStatus::FullyEnforced)) => SandboxSupport::Full,
        Ok(Ok(RulesetStatus::PartiallyEnforced)) => SandboxSupport::Partial,
        _ => SandboxSupport::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn readable_paths_exclude_data_directory_inside_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["a", "b/c", "b/data"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let mut found = Vec::new();
        add_without(&root, &root.join("b/data"), &mut found);
        found.sort();
        assert_eq!(found, [root.join("a"), root.join("b/c")]);
    }

    #[test]
    fn sandboxed_child_can_access_only_its_own_repository() {
        if support() == SandboxSupport::None {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("own"), dir.path().join("other"));
        for folder in [&own, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "content").unwrap();
        }
        let readable = Readable::new(Path::new("/bin/sh"), dir.path(), &[]);
        let sandbox = Sandbox::new(readable, &own);
        let run = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).current_dir("/");
            sandbox.run(|| command.status()).unwrap().success()
        };
        assert!(run(&format!("cat {0}/file > {0}/copy", own.display())));
        assert!(!run(&format!("cat {}/file", other.display())), "another repository");
        assert!(!run(&format!("echo x > {}/new", other.display())), "another repository");
        assert!(!run(&format!("ls {}", dir.path().display())), "the data directory");
        assert!(!other.join("new").exists());
        assert!(fs::read(other.join("file")).is_ok(), "the server itself is not restricted");
    }
}
