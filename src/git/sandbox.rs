//! What of the file system a git child sees: programs and libraries to read, its own repository to write, nothing else of
//! the data directory, and no network (Landlock, landlock(7)).
//!
//! A fault in git's parsing of a pushed object would so reach one repository, and neither the database nor the server's
//! secret. The kernel keeps the rules (Linux 5.13 or newer); older kernels run the children without them, and
//! `netbit doctor` reports which holds.
//!
//! The rules of a thread hold for the processes that it starts, so each child is started by a thread of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
};

/// The newest rules that are used; an older kernel keeps those that it knows.
const RULES: ABI = ABI::V5;
/// Where programs and libraries are.
const SYSTEM: [&str; 11] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/proc"];
/// Devices that git and the hook's shell open.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"];

/// Folders listed to leave the data directory out of a folder that holds it.
const LISTED_MAX: usize = 1_000;

/// What every child may read. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Readable(Arc<[PathBuf]>);

impl Readable {
    /// The system's folders and those of the program, without `data`, and `own` folders within `data`.
    pub(super) fn new(program: &Path, data: &Path, own: &[PathBuf]) -> Self {
        // A git that is not the system's brings its own libraries.
        let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        let prefix = real.ancestors().nth(2).filter(|prefix| prefix.parent().is_some()).map(Path::to_owned);
        let mut found = own.to_vec();
        for folder in SYSTEM.into_iter().map(PathBuf::from).chain(prefix) {
            add_without(&folder, data, &mut found);
        }
        Self(found.into())
    }
}

/// Adds a folder, or what is in it when it holds `excluded`.
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

/// What one child may reach.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    readable: Readable,
    /// The repository that the child works on.
    writable: PathBuf,
}

/// Whether the kernel keeps the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxSupport {
    Full,
    /// The kernel knows an older version of the rules.
    Partial,
    None,
}

impl Sandbox {
    /// For a child that works on `repository`.
    pub(super) fn new(readable: Readable, repository: &Path) -> Self {
        Self { readable, writable: repository.to_owned() }
    }

    /// Runs `start` on a thread under the rules; the processes that it starts inherit them.
    ///
    /// # Errors
    /// The thread cannot be started, or `start` fails. A kernel without rules is not an error.
    pub(super) fn run<T: Send>(&self, start: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("git start".to_owned());
            let started = thread.spawn_scoped(scope, || {
                if let Err(error) = self.restrict() {
                    // A container may forbid the calls that a kernel knows: the other limits hold.
                    tracing::debug!(%error, "a git child runs without Landlock");
                }
                start()
            })?;
            started.join().map_err(|_| io::Error::other("starting git panicked"))?
        })
    }

    /// Puts the calling thread under the rules.
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

/// Adds a rule; a path that is not there needs none.
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

/// Asks the kernel, on a thread that ends with the answer.
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
    fn a_folder_that_holds_the_data_is_opened_around_it() {
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
    fn a_child_reads_and_writes_its_repository_and_nothing_beside_it() {
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
        assert!(!run(&format!("ls {}", dir.path().display())), "the folder of all");
        assert!(!other.join("new").exists());
        assert!(fs::read(other.join("file")).is_ok(), "the server itself is not restricted");
    }
}
