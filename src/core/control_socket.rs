//! The control socket: a file that only its owner can open.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Where the socket of a data directory is.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Binds the socket (0600); one that a killed process left is replaced. Only under the lock of the data directory. It is
/// made in a folder that nobody else can enter and then moved, so at no moment can anybody else open it.
pub fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let folder = data_dir.join("control.new");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let beside = folder.join("s");
    let listener = UnixListener::bind(&beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(&beside, path(data_dir))?;
    fs::remove_dir(&folder)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
