//! Fail points: places where the tests make the server fail with a crash, a panic, an error or a
//! delay.
//!
//! They are compiled in only where `cargo test` builds the server; a release contains none. The
//! variable `FAILPOINTS` of a child process configures the places, for example
//! `commit.after=3*off->return`, in the syntax of the crate `fail`. Invariant: every place is in
//! [`NAMES`], and a test hits each (`tests/it/durability/fail_points.rs`).

/// Before a COMMIT.
pub const BEFORE_COMMIT: &str = "commit.before";
/// Instead of a COMMIT: an I/O error of the disk.
pub const COMMIT_FAILS: &str = "commit.fails";
/// Instead of a COMMIT: the disk is full.
pub const COMMIT_FULL: &str = "commit.full";
/// After a COMMIT on PostgreSQL whose answer is lost.
pub const COMMIT_UNCLEAR: &str = "commit.unclear";
/// Instead of the commit lock: transactions that write may overlap.
pub const NO_COMMIT_LOCK: &str = "commit.without_lock";
/// Instead of reading the outcome of an unclear COMMIT: it counts as committed.
pub const UNCLEAR_BELIEVED: &str = "commit.believed";
/// Instead of the end of a server whose newest commit is missing or another.
pub const LOST_IGNORED: &str = "commit.lost_ignored";
/// After a COMMIT, before it is published.
pub const AFTER_COMMIT: &str = "commit.after";
/// The cache has applied the commit, and no caller has an answer.
pub const BEFORE_ANSWER: &str = "answer.before";
/// Around a checkpoint.
pub const BEFORE_CHECKPOINT: &str = "checkpoint.before";
pub const AFTER_CHECKPOINT: &str = "checkpoint.after";
/// A repository has its row, and no directory yet.
pub const BEFORE_DIRECTORY: &str = "repository.directory";
/// Refs have moved, and no record of it is written yet.
pub const BEFORE_SETTLEMENT: &str = "settlement.before";
/// The commits of a push are about to be read.
pub const BEFORE_READING: &str = "push.reading";
/// A part of an upload is written.
pub const IN_UPLOAD: &str = "upload.bytes";
/// All bytes of an upload are on disk, and no blob has them yet.
pub const BEFORE_BLOB: &str = "blob.before";
/// The blob is on disk, and no row names it yet.
pub const AFTER_BLOB: &str = "blob.after";
/// The row names the blob, and the staged upload still exists.
pub const BEFORE_UNSTAGING: &str = "upload.unstage";
/// The rows of files are removed, and their blobs still exist.
pub const BEFORE_BLOB_REMOVAL: &str = "blob.remove";
/// Between two migrations.
pub const BEFORE_MIGRATION: &str = "migration.before";
/// Everything is copied, and the manifest is missing.
pub const BEFORE_MANIFEST: &str = "manifest.before";
/// All rows of a database are copied, and the copy is not complete yet.
pub const BEFORE_COPY_ENDS: &str = "copy.end";
/// The file of a copied database has its name, and its directory still has the mark of a copy.
pub const COPY_RENAMED: &str = "copy.renamed";
/// After the last COMMIT of a copy on PostgreSQL, whose answer is lost.
pub const COPY_UNCLEAR: &str = "copy.unclear";
/// A node has found no copy into the database, and is not registered yet.
pub const BEFORE_REGISTRATION: &str = "node.register";
/// Instead of decoding a picture: its child tries what it must not do, and writes what happened.
pub const PICTURE_ESCAPE: &str = "picture.escape";
/// A window is evicted from the cache.
pub const EVICTION: &str = "eviction";
/// In the handler of an actor.
pub const IN_CACHE: &str = "cache.publish";
pub const IN_WRITER: &str = "writer.flush";
pub const IN_HUB: &str = "hub.lane";
pub const IN_PRESENCE: &str = "presence.say";
pub const IN_SESSION: &str = "session.frame";

/// All fail points.
pub const NAMES: [&str; 32] = [
    BEFORE_COMMIT,
    COMMIT_FAILS,
    COMMIT_FULL,
    COMMIT_UNCLEAR,
    NO_COMMIT_LOCK,
    UNCLEAR_BELIEVED,
    LOST_IGNORED,
    AFTER_COMMIT,
    BEFORE_ANSWER,
    BEFORE_CHECKPOINT,
    AFTER_CHECKPOINT,
    BEFORE_DIRECTORY,
    BEFORE_SETTLEMENT,
    BEFORE_READING,
    IN_UPLOAD,
    BEFORE_BLOB,
    AFTER_BLOB,
    BEFORE_UNSTAGING,
    BEFORE_BLOB_REMOVAL,
    BEFORE_MIGRATION,
    BEFORE_MANIFEST,
    BEFORE_COPY_ENDS,
    COPY_RENAMED,
    COPY_UNCLEAR,
    BEFORE_REGISTRATION,
    PICTURE_ESCAPE,
    EVICTION,
    IN_CACHE,
    IN_WRITER,
    IN_HUB,
    IN_PRESENCE,
    IN_SESSION,
];

/// Reads `FAILPOINTS`. Called once, by `main`.
pub fn read_environment() {
    if fail::has_failpoints() {
        // The scenario ends with the process.
        std::mem::forget(fail::FailScenario::setup());
    }
}

/// Runs the action of a fail point. `return` ends the process here, as SIGKILL does;
/// `return(PATH)` makes the file `PATH.reached` and waits until the path exists; `panic`,
/// `sleep(ms)` and `delay(ms)` are the actions of `fail`.
pub fn reach(name: &'static str) {
    let _ = name;
    fail::fail_point!(name, |path: Option<String>| match path {
        Some(path) => wait_for(std::path::Path::new(&path)),
        None => end(),
    });
}

/// Returns whether the next operation must fail.
#[must_use]
pub fn fails(name: &'static str) -> bool {
    let _ = name;
    fail::fail_point!(name, |_| true);
    false
}

/// Returns the error that a COMMIT must return instead of running.
pub fn instead_of_commit() -> Result<(), diesel::result::Error> {
    let error = |text: &str| {
        let kind = diesel::result::DatabaseErrorKind::Unknown;
        Err(diesel::result::Error::DatabaseError(kind, Box::new(text.to_owned())))
    };
    if fails(COMMIT_FAILS) {
        return error("disk I/O error");
    }
    if fails(COMMIT_FULL) { error("database or disk is full") } else { Ok(()) }
}

/// A test makes the path when the process may go on. Without a test, it goes on after a minute.
#[allow(dead_code, reason = "not in a release")]
fn wait_for(path: &std::path::Path) {
    let begun = std::time::Instant::now();
    let mut reached = path.as_os_str().to_owned();
    reached.push(".reached");
    drop(std::fs::write(reached, ""));
    while !path.exists() && begun.elapsed() < std::time::Duration::from_secs(60) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Kills the process with SIGKILL: no destructors, no flush.
#[allow(dead_code, reason = "not in a release")]
fn end() {
    use rustix::process::{Signal, getpid, kill_process};
    // The signal may arrive late. If it never arrives, this returns and the test fails.
    let _sent = kill_process(getpid(), Signal::KILL);
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fail_points_do_nothing_unless_configured() {
        NAMES.into_iter().for_each(reach);
        assert!(!NAMES.into_iter().any(fails));
        let different: std::collections::BTreeSet<_> = NAMES.into();
        assert_eq!(different.len(), NAMES.len());
    }
}
