//! The control socket: a file that only its owner can open.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

const NAME: &str = "control.sock";

/// Where the socket of a data directory is.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// The longest name of a socket that every system takes (`sun_path`, unix(7)).
const NAME_BYTES_MAX: usize = 100;

/// The socket by a name that is short enough. The file keeps a longer directory reachable while it is open.
fn short(folder: &Path, name: &str) -> io::Result<(PathBuf, Option<File>)> {
    let path = folder.join(name);
    if path.as_os_str().len() <= NAME_BYTES_MAX {
        return Ok((path, None));
    }
    let folder = File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())), Some(folder)))
}

/// The socket by the name under which this process can connect to it for as long as it runs.
pub fn to_connect(data_dir: &Path) -> io::Result<PathBuf> {
    let (path, folder) = short(data_dir, NAME)?;
    std::mem::forget(folder);
    Ok(path)
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
    let listener = UnixListener::bind(short(&folder, "s")?.0)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(&beside, path(data_dir))?;
    fs::remove_dir(&folder)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
