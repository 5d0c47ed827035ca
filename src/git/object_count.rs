//! How many objects a repository holds, and how many it may hold.
//!
//! Purpose: `git pack-objects` keeps every object of a clone in memory. A repository of more objects than that memory
//! holds can be pushed in parts, and then not be cloned.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::program::memory_bytes;
use crate::core::limits::Limits;

/// Memory of `git pack-objects` for each object, measured with clones of 1 to 3 million small files.
const CLONE_BYTES_PER_OBJECT: u64 = 180;
/// The least that a repository may hold, however little memory there is.
const OBJECTS_MIN: u64 = 2_000_000;
/// An index of version 2 begins with this and its version; one of version 1 with the counts (gitformat-pack).
const INDEX_MAGIC: [u8; 4] = *b"\xfftOc";
/// The counts of objects by their first byte, each with all before it: the last one counts all.
const FANOUT_BYTES: u64 = 256 * 4;

/// The push would leave more objects than can be cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the repository would hold {count} objects; this server takes at most {max} in one repository. Split it, or ask \
     the operator (limits.git_repository_objects)"
)]
pub struct TooManyObjects {
    pub count: u64,
    pub max: u64,
}

/// Checks whether a repository may take so many objects more.
///
/// # Errors
/// It would hold more than [`Limits::git_repository_objects`].
pub async fn check(repository: &Path, announced: u32, limits: &Limits) -> Result<(), TooManyObjects> {
    let path = repository.to_owned();
    let counted = tokio::task::spawn_blocking(move || objects_in(&path)).await.map_err(io::Error::other);
    let held = counted.flatten().unwrap_or_else(|error| {
        tracing::warn!(%error, "the objects of a repository cannot be counted");
        0
    });
    let (count, max) = (held.saturating_add(announced.into()), objects_max(limits));
    if count > max { Err(TooManyObjects { count, max }) } else { Ok(()) }
}

fn objects_max(limits: &Limits) -> u64 {
    match limits.git_repository_objects {
        0 => (memory_bytes(limits).min(limits.git_child_bytes) / CLONE_BYTES_PER_OBJECT).max(OBJECTS_MIN),
        objects => objects,
    }
}

/// The objects of all packs: one that is in two packs counts twice. Pushes leave packs only.
fn objects_in(repository: &Path) -> io::Result<u64> {
    let mut count = 0u64;
    for entry in fs::read_dir(repository.join("objects/pack"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "idx") {
            continue;
        }
        match objects_of(&path) {
            Ok(objects) => count = count.saturating_add(objects.into()),
            // Maintenance replaces packs meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// The objects in an index of a pack.
fn objects_of(index: &Path) -> io::Result<u32> {
    let mut file = File::open(index)?;
    let (mut magic, mut last) = ([0; 4], [0; 4]);
    file.read_exact(&mut magic)?;
    let begin = if magic == INDEX_MAGIC { 8 } else { 0 };
    file.seek(SeekFrom::Start(begin + FANOUT_BYTES - 4))?;
    file.read_exact(&mut last)?;
    Ok(u32::from_be_bytes(last))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A repository of two packs, of 3 and 4 objects.
    fn repository(place: &Path, index_version: &str) {
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.current_dir(place).args(["-c", "user.name=x", "-c", "user.email=x@y"]);
            command.args(["-c", &format!("pack.indexVersion={index_version}")]).args(arguments);
            command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
            assert!(command.status().unwrap().success());
        };
        git(&["init", "-q"]);
        for n in 1..=2 {
            for file in 0..n {
                fs::write(place.join(format!("{n}-{file}")), format!("{n} {file}")).unwrap();
            }
            git(&["add", "."]);
            git(&["commit", "-q", "-m", "x"]);
            git(&["repack", "-q", "-d"]);
        }
    }

    #[tokio::test]
    async fn objects_are_counted_by_the_indexes_of_all_packs() {
        for version in ["1", "2"] {
            let place = tempfile::tempdir().unwrap();
            repository(place.path(), version);
            let git_dir = place.path().join(".git");
            assert_eq!(objects_in(&git_dir).unwrap(), 3 + 4, "version {version}");
            let limits = Limits { git_repository_objects: 10, ..Limits::default() };
            assert_eq!(check(&git_dir, 3, &limits).await, Ok(()));
            assert_eq!(check(&git_dir, 4, &limits).await, Err(TooManyObjects { count: 11, max: 10 }));
        }
    }

    #[test]
    fn limit_by_default_fits_the_memory_of_git() {
        let limits = |git_memory_bytes| Limits { git_memory_bytes, ..Limits::default() };
        assert_eq!(objects_max(&limits(1 << 20)), OBJECTS_MIN);
        assert_eq!(objects_max(&limits(720_000_000)), 4_000_000);
        assert_eq!(objects_max(&limits(1 << 40)), (1 << 30) / CLONE_BYTES_PER_OBJECT);
    }
}
