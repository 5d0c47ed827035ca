//! Counts the objects of a repository and limits their number.
//!
//! Purpose: `git pack-objects` keeps every object of a clone in memory. Without the limit, a
//! repository with more objects than fit into that memory could be pushed in parts, but never
//! cloned.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::program::memory_bytes;
use crate::core::limits::Limits;

/// Memory of `git pack-objects` per object in bytes, measured with clones of 1 to 3 million small
/// files.
const CLONE_BYTES_PER_OBJECT: u64 = 180;
/// Lower bound of the default limit, however little memory there is.
const OBJECTS_MIN: u64 = 2_000_000;
/// Magic number of a version 2 index, followed by the version; a version 1 index begins with the
/// fanout table (gitformat-pack).
const INDEX_MAGIC: [u8; 4] = *b"\xfftOc";
/// Size of the fanout table: cumulative object counts by first byte; the last entry is the total.
const FANOUT_BYTES: u64 = 256 * 4;

/// The push would leave more objects in the repository than can be cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the repository would hold {count} objects; this server takes at most {max} in one repository. Split it, or ask \
     the operator (limits.git_repository_objects)"
)]
pub struct TooManyObjects {
    pub count: u64,
    pub max: u64,
}

/// Checks whether a repository may receive `announced` more objects.
///
/// # Errors
/// The repository would hold more than [`Limits::git_repository_objects`].
pub async fn check(repository: &Path, announced: u32, limits: &Limits) -> Result<(), TooManyObjects> {
    let path = repository.to_owned();
    let counted = tokio::task::spawn_blocking(move || objects_in(&path)).await.map_err(io::Error::other);
    let held = counted.flatten().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot count the objects of a repository; assuming 0");
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

/// Returns the number of objects in all packs; an object in two packs counts twice. Pushes leave
/// only packs.
fn objects_in(repository: &Path) -> io::Result<u64> {
    let mut count = 0u64;
    for entry in fs::read_dir(repository.join("objects/pack"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "idx") {
            continue;
        }
        match objects_of(&path) {
            Ok(objects) => count = count.saturating_add(objects.into()),
            // Maintenance may have replaced the pack.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Returns the number of objects in a pack index.
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

    /// Creates a repository with two packs, of 3 and 4 objects.
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
    async fn object_count_sums_the_indexes_of_all_packs() {
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
    fn object_limit_defaults_to_fit_git_memory() {
        let limits = |git_memory_bytes| Limits { git_memory_bytes, ..Limits::default() };
        assert_eq!(objects_max(&limits(1 << 20)), OBJECTS_MIN);
        assert_eq!(objects_max(&limits(720_000_000)), 4_000_000);
        assert_eq!(objects_max(&limits(1 << 40)), (1 << 30) / CLONE_BYTES_PER_OBJECT);
    }
}
