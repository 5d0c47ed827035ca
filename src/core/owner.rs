//! Ownership of the data directory's files. When root runs a command, its files go to the owner of
//! the directory, so that the server, which is not root, can use them afterwards. SQLite does the
//! same for its own files.
//!
//! A command that works in the directory of another user becomes that user ([`become_owner_of`]).
//! Files that root has left there are handed over first.
//!
//! Invariant: the owner of the directory can replace anything in it by links at any time, so no
//! path is walked twice. Each entry is opened by its name in its opened folder, never through a
//! link. It is examined and handed over by that descriptor.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, openat};

/// Owner and group.
type Owner = (Uid, Gid);

/// Returns the owner that files get: `None` unless this is root and the owner is another user.
fn other_owner(of: &Stat) -> Option<Owner> {
    let is_other = rustix::process::geteuid().is_root() && of.st_uid != 0;
    is_other.then(|| (Uid::from_raw(of.st_uid), Gid::from_raw(of.st_gid)))
}

/// Opens a folder that a command was given, for reading.
fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Gives a file to the owner of its folder.
pub fn follow_folder(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = open_folder(parent)?;
    match (other_owner(&fstat(&folder)?), file.file_name()) {
        (Some(owner), Some(name)) => Entry::open(folder.as_fd(), name)?.take(owner),
        _ => Ok(()),
    }
}

/// Gives everything below a folder to the folder's owner.
pub fn hand_over(folder: &Path) -> io::Result<()> {
    let folder = open_folder(folder)?;
    match other_owner(&fstat(&folder)?) {
        Some(owner) => hand_to(folder.as_fd(), owner),
        None => Ok(()),
    }
}

/// Drops the privileges of root permanently, if the folder belongs to another user. Links that this
/// user put into the folder then give no more access than that user has. Root's files in it are
/// handed over. Must be called before any thread runs.
pub fn become_owner_of(folder: &Path) -> io::Result<()> {
    let opened = match open_folder(folder) {
        // It is made by root, for root.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let Some((user, group)) = other_owner(&fstat(&opened)?) else { return Ok(()) };
    hand_to(opened.as_fd(), (user, group))?;
    let (user, group) =
        (nix::unistd::Uid::from_raw(user.as_raw()), nix::unistd::Gid::from_raw(group.as_raw()));
    nix::unistd::setgroups(&[group])?;
    nix::unistd::setresgid(group, group, group)?;
    nix::unistd::setresuid(user, user, user)?;
    Ok(())
}

fn hand_to(folder: BorrowedFd<'_>, owner: Owner) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        // An entry that is gone meanwhile needs no owner.
        match hand_entry(folder, entry?.file_name(), owner) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn hand_entry(folder: BorrowedFd<'_>, name: &CStr, owner: Owner) -> io::Result<()> {
    if matches!(name.to_bytes(), b"." | b"..") { Ok(()) } else { Entry::open(folder, name)?.hand_over(owner) }
}

/// An entry of a folder: a file, a folder, or a link itself.
struct Entry {
    /// Opened with `O_PATH`: its metadata and owner are accessible, its content is not.
    file: OwnedFd,
    stat: Stat,
}

impl Entry {
    fn open(folder: BorrowedFd<'_>, name: impl rustix::path::Arg) -> io::Result<Self> {
        let file = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&file)?;
        Ok(Self { file, stat })
    }

    /// Hands over the entry and everything below it.
    fn hand_over(&self, owner: Owner) -> io::Result<()> {
        self.take(owner)?;
        if !FileType::from_raw_mode(self.stat.st_mode).is_dir() {
            return Ok(());
        }
        // Opens exactly the folder that was examined, whatever has its name now.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        hand_to(openat(&self.file, ".", flags, Mode::empty())?.as_fd(), owner)
    }

    /// Changes the owner of root's files only, and of none with another hard link: the owner of a
    /// folder may link files of other users (`fs.protected_hardlinks = 0`).
    fn take(&self, (user, group): Owner) -> io::Result<()> {
        let is_linked = self.stat.st_nlink > 1 && !FileType::from_raw_mode(self.stat.st_mode).is_dir();
        if self.stat.st_uid == 0 && !is_linked {
            chownat(&self.file, c"", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, lchown, symlink};

    use super::*;

    /// Needs root, as in CI. Otherwise there is nothing to hand over.
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
        symlink("/etc/passwd", deep.join("link")).unwrap();
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

    /// While root walked, the owner of the folder swapped in a link to another folder, and its
    /// files changed owner.
    #[test]
    fn folder_that_becomes_a_link_meanwhile_is_not_followed() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("roots"), "").unwrap();
        lchown(dir.path(), Some(4711), Some(4712)).unwrap();
        let name = dir.path().join("folder");
        fs::create_dir(&name).unwrap();
        fs::write(name.join("file"), "").unwrap();
        let folder = open_folder(dir.path()).unwrap();
        let entry = Entry::open(folder.as_fd(), "folder").unwrap();
        fs::rename(&name, dir.path().join("moved")).unwrap();
        symlink(outside.path(), &name).unwrap();
        let owner = (Uid::from_raw(4711), Gid::from_raw(4712));
        entry.hand_over(owner).unwrap();
        hand_over(dir.path()).unwrap();
        let uid = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        assert_eq!([uid(&dir.path().join("moved/file")), uid(&name)], [4711; 2]);
        assert_eq!([uid(outside.path()), uid(&outside.path().join("roots"))], [0; 2]);
    }
}
