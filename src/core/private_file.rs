//! Files that only their owner can read: everything that holds secrets or users' content.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// The mode of every file that the server or a command writes.
pub const MODE: u32 = 0o600;

/// Makes a new file with mode 0600.
///
/// # Errors
/// `AlreadyExists` when the file exists.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

/// Makes or truncates the file. Either way it has mode 0600 before anything is written. A link is
/// refused.
pub fn create(path: &Path) -> io::Result<File> {
    let file = open(path, OFlags::TRUNC)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(MODE))?;
    Ok(file)
}

/// Opens a file for locking, and makes it if it does not exist.
///
/// Refuses a link, because root would make or change its target for the folder's owner who set it.
/// Refuses anything else that is not a file: opening a pipe would wait for its reader.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let file = open(path, OFlags::NONBLOCK)?;
    let is_file = file.metadata()?.is_file();
    is_file.then_some(file).ok_or_else(|| io::Error::other("it is not a file"))
}

fn open(path: &Path, how: OFlags) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
    Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(MODE))?.into())
}

/// Sets the umask so that group and others have no access to any file that this process and its
/// children make. Covers files that libraries and git make. Called once, before any thread runs.
pub fn take_private_umask() {
    rustix::process::umask(Mode::from_raw_mode(0o077));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn existing_file_becomes_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        for made in [create(&path), create_new(&folder.path().join("new"))] {
            assert_eq!(made.unwrap().metadata().unwrap().permissions().mode() & 0o777, MODE);
        }
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert!(create_new(&path).is_err());
    }

    /// The owner of a data directory could make root empty any file.
    #[test]
    fn link_target_is_neither_made_nor_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let (there, link) = (folder.path().join("there"), folder.path().join("link"));
        std::os::unix::fs::symlink(&there, &link).unwrap();
        assert!(create(&link).is_err() && open_lock(&link).is_err() && !there.exists());
        fs::write(&there, "kept").unwrap();
        assert!(create(&link).is_err() && open_lock(&link).is_err());
        assert_eq!(fs::read(&there).unwrap(), b"kept");
        assert!(open_lock(&there).is_ok() && fs::read(&there).unwrap() == b"kept");
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::from_raw_mode(MODE)).unwrap();
        assert!(open_lock(&pipe).is_err());
    }
}
