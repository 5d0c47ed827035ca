//! Whose files the data directory holds: when root runs a command, they belong to the owner of the directory, so that the
//! server, which is not root, can use them afterwards. SQLite does the same for its own files.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

/// The owner that files get: `None` unless this is root and the owner is another user.
fn other_owner(of: &Metadata) -> Option<(u32, u32)> {
    (rustix::process::geteuid().is_root() && of.uid() != 0).then_some((of.uid(), of.gid()))
}

/// Gives a file to the owner of its folder.
pub fn follow_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match other_owner(&fs::metadata(folder)?) {
        Some(owner) => take(file, &fs::symlink_metadata(file)?, owner),
        None => Ok(()),
    }
}

/// Gives everything below a folder to the folder's owner.
pub fn hand_over(folder: &Path) -> io::Result<()> {
    match other_owner(&fs::metadata(folder)?) {
        Some(owner) => hand_to(folder, owner),
        None => Ok(()),
    }
}

fn hand_to(folder: &Path, owner: (u32, u32)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        // What is gone meanwhile needs no owner.
        match hand_entry(&entry?, owner) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn hand_entry(entry: &DirEntry, owner: (u32, u32)) -> io::Result<()> {
    let metadata = entry.metadata()?;
    take(&entry.path(), &metadata, owner)?;
    if metadata.is_dir() { hand_to(&entry.path(), owner) } else { Ok(()) }
}

/// Only root's files change hands. A link itself does, never what it leads to.
fn take(path: &Path, metadata: &Metadata, (user, group): (u32, u32)) -> io::Result<()> {
    if metadata.uid() == 0 { lchown(path, Some(user), Some(group)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs root, as CI is; elsewhere there is nothing to hand over.
    #[test]
    fn files_of_root_go_to_the_owner_of_the_folder() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        lchown(folder.path(), Some(4711), Some(4712)).unwrap();
        let deep = folder.path().join("repos/ab");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("HEAD"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", deep.join("link")).unwrap();
        fs::write(folder.path().join("lock"), "").unwrap();
        follow_folder(&folder.path().join("lock")).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).map(|file| (file.uid(), file.gid())).unwrap();
        assert_eq!(owner(&folder.path().join("lock")), (4711, 4712));
        assert_eq!(owner(&deep), (0, 0));
        hand_over(folder.path()).unwrap();
        for path in [deep.clone(), deep.join("HEAD"), deep.join("link")] {
            assert_eq!(owner(&path), (4711, 4712), "{}", path.display());
        }
        assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), 0);
    }
}
