//! Objects that are being put: `files/puts/<hash>.<generation>`, one file each.
//!
//! Invariants
//! * The file exists from before the first request of the put until after the commit of its row.
//!   So a removal that has found the object skips it, in whichever process it is put.
//! * Its lock (`flock`) ends with the process. [`PendingPuts::given_up`] returns those of a crash.
//! * It has the id of an upload in parts, which takes space in the bucket until it is aborted.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::blobs::disk::{locked, make, names, remove_if_there};
use crate::core::private_file;

/// Bytes of the id of an upload in parts.
const ID_BYTES_MAX: u64 = 4 * 1024;

/// The folder of the files.
#[derive(Debug, Clone)]
pub(super) struct PendingPuts {
    folder: PathBuf,
}

/// An object that is being put. Dropping it ends the protection from removals.
#[derive(Debug)]
pub(in crate::blobs) struct Pending {
    path: PathBuf,
    file: File,
    is_left: bool,
}

/// The put of a process that has ended.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) name: String,
    /// The id of its upload in parts, if it began one.
    pub(super) upload: Option<String>,
    path: PathBuf,
    /// Its lock keeps others from aborting it, too.
    _file: File,
}

impl PendingPuts {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Records the put of an object that does not exist.
    pub(super) fn begin(&self, name: String) -> io::Result<Pending> {
        make(&self.folder)?;
        let path = self.folder.join(&name);
        let file = private_file::create_new(&path)?;
        let file = locked(file, File::try_lock)?.ok_or(ErrorKind::ResourceBusy)?;
        Ok(Pending { path, file, is_left: false })
    }

    /// Returns whether the object is being put.
    pub(super) fn contains(&self, name: &str) -> io::Result<bool> {
        self.folder.join(name).try_exists()
    }

    /// Returns the puts of processes that have ended.
    pub(super) fn given_up(&self) -> io::Result<Vec<GivenUp>> {
        let mut found = Vec::new();
        for name in names(&self.folder)? {
            let path = self.folder.join(&name);
            let file = match File::options().read(true).write(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            let Some(file) = locked(file, File::try_lock)? else { continue };
            let upload = read(&file)?;
            found.push(GivenUp { name, upload, path, _file: file });
        }
        Ok(found)
    }
}

impl Pending {
    /// Records the id of the upload in parts.
    pub(super) fn uploads(&mut self, id: &str) -> io::Result<()> {
        self.file.write_all(id.as_bytes())
    }

    /// Leaves the file, because the upload in parts could not be aborted.
    pub(super) fn leave(mut self) {
        self.is_left = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_left {
            forget(&self.path);
        }
    }
}

impl GivenUp {
    /// Removes the file: nothing of the put is left.
    pub(super) fn forget(self) {
        forget(&self.path);
    }
}

fn forget(path: &Path) {
    if let Err(error) = remove_if_there(path) {
        tracing::warn!(path = %path.display(), %error, "the record of a put cannot be removed");
    }
}

fn read(file: &File) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, ID_BYTES_MAX), &mut text)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn put_is_pending_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let puts = PendingPuts::in_folder(dir.path().join("puts"));
        assert!(!puts.contains("a.1").unwrap());
        assert!(puts.given_up().unwrap().is_empty(), "without a folder");
        let pending = puts.begin("a.1".to_owned()).unwrap();
        assert!(puts.contains("a.1").unwrap() && !puts.contains("a.2").unwrap());
        assert!(puts.begin("a.1".to_owned()).is_err(), "names are never used again");
        assert!(puts.given_up().unwrap().is_empty(), "its process runs");
        drop(pending);
        assert!(!puts.contains("a.1").unwrap());
    }

    #[test]
    fn put_of_a_crash_is_found_with_its_upload() {
        let dir = tempfile::tempdir().unwrap();
        let puts = PendingPuts::in_folder(dir.path().join("puts"));
        let mut pending = puts.begin("a.1".to_owned()).unwrap();
        pending.uploads("id-7").unwrap();
        pending.leave();
        let found = puts.given_up().unwrap();
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!((one.name.as_str(), one.upload.as_deref()), ("a.1", Some("id-7")));
        assert!(puts.contains("a.1").unwrap(), "it is protected until it is aborted");
        found.into_iter().for_each(GivenUp::forget);
        assert!(!puts.contains("a.1").unwrap() && puts.given_up().unwrap().is_empty());
    }
}
