//! The control socket: a socket file that only its owner can open.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

const NAME: &str = "control.sock";

/// Returns the path of a data directory's socket.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// The longest socket path that every system accepts (`sun_path`, unix(7)).
const NAME_BYTES_MAX: usize = 100;

/// Returns a path of the socket that is short enough. The open file keeps a longer directory
/// reachable.
fn short(folder: &Path, name: &str) -> io::Result<(PathBuf, Option<File>)> {
    let path = folder.join(name);
    if path.as_os_str().len() <= NAME_BYTES_MAX {
        return Ok((path, None));
    }
    let folder = File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())), Some(folder)))
}

/// Returns a path by which this process can connect to the socket for as long as it runs.
pub fn to_connect(data_dir: &Path) -> io::Result<PathBuf> {
    let (path, folder) = short(data_dir, NAME)?;
    std::mem::forget(folder);
    Ok(path)
}

/// Binds the socket (0600), replacing one that a killed process left. The caller must hold the lock
/// of the data directory.
///
/// The socket is made in a folder that only its owner can enter and then moved, so other users can
/// never open it.
pub fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let folder = data_dir.join("control.new");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let beside = folder.join("s");
    let listener = UnixListener::bind(short(&folder, "s")?.0)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(&beside, path(data_dir))?;
    fs::remove_dir(&folder)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
