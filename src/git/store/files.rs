//! Walks through the directory of a repository: counts, measures, fsyncs and removes its files.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Maximum directory depth of a walk through a repository: `objects/pack`, `refs/heads/a/b/c`. A
/// name as long as the longest path component has fewer levels.
const DEPTH_MAX: usize = 128;
/// Maximum number of bytes of a line of `packed-refs` that are read at once.
const PACKED_LINE_BYTES: u64 = 4096;

/// Returns the subdirectories of a directory; none if it does not exist.
pub(super) fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Returns whether the directory is on one of the two levels above repositories.
pub(super) fn is_shard(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.len() == 2)
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    let outcome = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file or folder that was last modified before `before`.
pub(super) fn remove_old(path: &Path, before: SystemTime) -> io::Result<()> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
    if metadata.modified()? < before { remove_if_there(path) } else { Ok(()) }
}

/// Removes locks and empty refs below `folder`; stops after `entries` entries.
pub(super) fn remove_locks(
    folder: &Path,
    before: Option<SystemTime>,
    (depth, entries): (usize, &mut usize),
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(left) = entries.checked_sub(1) else { return Ok(()) };
        *entries = left;
        if entry.file_type()?.is_dir() {
            if depth < DEPTH_MAX {
                remove_locks(&entry.path(), before, (depth + 1, entries))?;
            }
        } else if entry.file_name().to_string_lossy().ends_with(".lock") || entry.metadata()?.len() == 0 {
            match before {
                Some(before) => remove_old(&entry.path(), before)?,
                None => remove_if_there(&entry.path())?,
            }
        }
    }
    Ok(())
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn sync_tree(folder: &Path, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && depth < DEPTH_MAX {
            sync_tree(&entry.path(), depth + 1)?;
        } else {
            sync(&entry.path())?;
        }
    }
    sync(folder)
}

/// Counts the refs in a `packed-refs` file.
pub(super) fn packed_refs(file: File) -> io::Result<usize> {
    let (mut reader, mut line, mut count) = (BufReader::new(file), Vec::new(), 0);
    while (&mut reader).take(PACKED_LINE_BYTES).read_until(b'\n', &mut line)? > 0 {
        count += usize::from(!matches!(line.first(), Some(b'#' | b'^')));
        line.clear();
    }
    Ok(count)
}

pub(super) fn files_below(folder: &Path, depth: usize) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            count += 1;
        } else if depth < DEPTH_MAX {
            // A folder may disappear while it is counted: its last ref was deleted.
            count += files_below(&entry.path(), depth + 1).unwrap_or(0);
        }
    }
    Ok(count)
}

/// Returns the bytes of all files below a folder; each file and folder counts as at least `each`
/// bytes.
pub(super) fn size_of_tree(folder: &Path, depth: usize, each: u64) -> io::Result<u64> {
    let mut bytes = each;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file may disappear meanwhile: packing replaces files.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            if depth < DEPTH_MAX {
                bytes += size_of_tree(&entry.path(), depth + 1, each).unwrap_or(0);
            }
        } else {
            bytes += metadata.len().max(each);
        }
    }
    Ok(bytes)
}
