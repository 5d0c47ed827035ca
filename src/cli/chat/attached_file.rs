//! Reads the file of `/attach` in pieces, all of the contents that were measured.

use std::fs::Metadata;
use std::io::{ErrorKind, SeekFrom};
use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::attach::Fault;

/// Returns size and version of a file that can be read.
pub(super) async fn measure(path: &Path) -> Result<Value, Fault> {
    let name = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Fault::File(format!("{name} does not exist")),
        _ => Fault::File(format!("{name} cannot be read: {}", reason_of(&error))),
    };
    let facts = tokio::fs::metadata(path).await.map_err(failed)?;
    if !facts.is_file() {
        return Err(Fault::File(format!("{name} is not a file")));
    }
    tokio::fs::File::open(path).await.map_err(failed)?;
    Ok(json!({"size": facts.len(), "version": version_of(&facts)}))
}

/// Reads the next bytes of a file that has this size and version, at most `most`.
pub(super) async fn read_piece(
    path: &Path,
    (offset, most): (u64, u64),
    (size, version): (u64, &str),
) -> Result<Vec<u8>, Fault> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Fault::File("the file was removed".to_owned()),
        _ => Fault::File(format!("the file cannot be read: {}", reason_of(&error))),
    };
    let wanted = size.saturating_sub(offset).min(most);
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).await.map_err(failed)?;
    let mut piece = Vec::new();
    (&mut file).take(wanted).read_to_end(&mut piece).await.map_err(failed)?;
    // After the bytes: a change while they were read counts.
    let facts = file.metadata().await.map_err(failed)?;
    let is_same = facts.len() == size && version_of(&facts) == version;
    if !is_same || u64::try_from(piece.len()) != Ok(wanted) {
        return Err(Fault::File("the file has changed since /attach".to_owned()));
    }
    Ok(piece)
}

/// Returns a text that differs after a change of the contents: the time of the change, and on Unix
/// the inode, which another file at the same path does not have.
fn version_of(facts: &Metadata) -> String {
    #[cfg(unix)]
    let place = {
        use std::os::unix::fs::MetadataExt;
        (facts.dev(), facts.ino())
    };
    #[cfg(not(unix))]
    let place = ();
    format!("{:?} {place:?}", facts.modified().ok())
}

/// Returns the words of an error without its number.
fn reason_of(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
