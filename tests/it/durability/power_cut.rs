//! Power cuts: data without an fsync is lost, wholly or in part.
//!
//! The server runs with `power_cut.c` preloaded, which records what each fsync made durable. After
//! a SIGKILL the test builds the disk as a power cut would leave it:
//!
//! * A file that was never fsynced is missing.
//! * The file names are those that an fsync of the file or of its folder made durable.
//! * Each page that was written after the last fsync is present or missing, as a seed decides.
//!
//! Then a server starts on that disk. The test shows that nothing is acknowledged before it is
//! durable, and that the server recovers from any mixture of pages. It does not cover disks that
//! report a flush without doing it, nor repositories, which git itself syncs.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use netbit::client::{TcpClient, TcpError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::kills::{Writers, whole_history};
use crate::harness::{PASSWORD, Process, database, postgres, soon};

const PAGE: usize = 4096;
const SENDERS: usize = 8;

/// Compiles a library for `LD_PRELOAD`. A C compiler is present wherever NetBit is built, because
/// SQLite needs it.
pub(super) fn compiled(name: &str, into: &Path) -> PathBuf {
    let library = into.join(format!("{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/durability/{name}.c"));
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().unwrap().success(), "the C compiler failed");
    library
}

/// Returns the inode of each durable file name.
fn names(disk: &Path) -> BTreeMap<PathBuf, String> {
    let mut names = BTreeMap::new();
    for line in fs::read_to_string(disk.join("names")).unwrap().lines() {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap().to_owned();
        let (kind, inode, path) = (word(), word(), PathBuf::from(word()));
        match kind.as_str() {
            "D" => names.retain(|name: &PathBuf, _| name.parent() != Some(&path)),
            _ => drop(names.insert(path, inode)),
        }
    }
    names
}

/// Returns the durable content with a random choice of the pages that were written after it.
fn mix(durable: &[u8], written: &[u8], chance: &mut StdRng) -> Vec<u8> {
    let length = if chance.random() { durable.len() } else { written.len() };
    let mut mixed = Vec::with_capacity(length);
    while mixed.len() < length {
        let from = mixed.len();
        let to = (from + PAGE).min(length);
        let page = |bytes: &[u8]| bytes.get(from..to.min(bytes.len())).unwrap_or_default().to_vec();
        let mut page = if chance.random() { page(written) } else { page(durable) };
        page.resize(to - from, 0);
        mixed.append(&mut page);
    }
    mixed
}

/// Returns the files of a folder, without those in its subfolders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).collect()
}

/// Turns the directory into the state that a power cut leaves; returns the number of files that
/// lost data.
fn cut(data: &Path, disk: &Path, chance: &mut StdRng) -> usize {
    let (names, mut lost) = (names(disk), 0);
    let mut left = Vec::new();
    for (path, inode) in &names {
        // A durable name may lead to a file without any durable content.
        let durable = fs::read(disk.join(inode)).unwrap_or_default();
        let written = fs::read(path).unwrap_or_default();
        let database = path.file_name().is_some_and(|name| name.to_str().unwrap().starts_with("netbit.db"));
        lost += usize::from(durable != written);
        left.push((path.clone(), if database { mix(&durable, &written, chance) } else { durable }));
    }
    for path in files(data) {
        fs::remove_file(path).unwrap();
    }
    let mut kept = Vec::new();
    for (path, content) in left {
        if path.parent().is_some_and(Path::exists) {
            fs::write(&path, content).unwrap();
            kept.push(path);
        }
    }
    // The current files are now the durable content of the disk.
    fs::remove_dir_all(disk).unwrap();
    fs::create_dir(disk).unwrap();
    let mut names = String::new();
    for path in kept {
        let inode = fs::metadata(&path).unwrap().ino();
        fs::copy(&path, disk.join(inode.to_string())).unwrap();
        writeln!(names, "F {inode} {}", path.display()).unwrap();
    }
    fs::write(disk.join("names"), names).unwrap();
    lost
}

/// Cuts the power up to `rounds` times while users write. Returns the number of lost acknowledged
/// messages after the first cut that lost any.
#[allow(clippy::print_stdout, reason = "a long run prints its result")]
async fn acknowledged_messages_lost_by_cuts(rounds: u64, synchronous: &str) -> usize {
    let place = tempfile::tempdir().unwrap();
    let library = compiled("power_cut", place.path());
    let (data, disk) = (place.path().join("data"), place.path().join("disk"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&disk).unwrap();
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("POWERCUT_ROOT", data.to_str().unwrap()),
        ("POWERCUT_DISK", disk.to_str().unwrap()),
        ("NETBIT_STORAGE__SYNCHRONOUS", synchronous),
        // Frequent checkpoints: a cut hits pages of both files.
        ("NETBIT_LIMITS__CHECKPOINT_BYTES", "262144"),
    ];
    let mut server = Process::with(&data, &environment).await;
    let mut writers = Writers::meet(&server, SENDERS, 1).await;
    let chat = writers.chats[0];
    let mut lost = 0;
    for round in 0..rounds {
        let enough = 200 + usize::try_from(97 * (round % 7)).unwrap();
        writers.write_and_kill(&mut server, usize::try_from(round).unwrap(), enough).await;
        lost += cut(&data, &disk, &mut StdRng::seed_from_u64(round));
        server = Process::with(&data, &environment).await;
        // A server that lost commits ends every login.
        let http = server.http.with_token(server.http.login("u0", PASSWORD).await.unwrap().token);
        if http.get(&format!("/api/chats/{chat}")).await.unwrap().status == 404 {
            // The cut removed the chat with all its messages.
            return writers.told.len();
        }
        let stored = whole_history(&http, chat).await;
        let count = stored.len();
        let stored: HashMap<_, _> = stored
            .into_iter()
            .map(|message| (message.client_id, (message.chat_id, message.content, message.id.0, message.seq)))
            .collect();
        assert_eq!(stored.len(), count, "seed {round}: a message is stored twice");
        let missing = writers.told.iter().filter(|(name, entry)| stored.get(name) != Some(entry)).count();
        if missing > 0 {
            return missing;
        }
    }
    assert!(lost > 0, "the cuts lost no data, so nothing was tested");
    println!("{rounds} cuts, {lost} files not as they were written, {} acknowledged", writers.told.len());
    server.kill();
    database::assert_integrity(&data);
    0
}

#[actix_web::test]
async fn power_cut_neither_loses_nor_doubles_messages() {
    if postgres::skips("the test drops unsynced writes of netbit.db") {
        return;
    }
    let rounds = std::env::var("NETBIT_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    assert_eq!(acknowledged_messages_lost_by_cuts(rounds, "full").await, 0);
}

/// Shows that the cuts are real: without an fsync for each commit they lose acknowledged messages.
#[actix_web::test]
async fn server_without_fsync_loses_messages_in_a_power_cut() {
    if postgres::skips("the test drops unsynced writes of netbit.db") {
        return;
    }
    assert!(acknowledged_messages_lost_by_cuts(20, "normal").await > 0);
}

/// The disk breaks: the real fsync of the real writer fails inside SQLite.
#[actix_web::test]
async fn failing_fsync_ends_process_without_acknowledgement() {
    if postgres::skips("the test drops unsynced writes of netbit.db") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let library = compiled("power_cut", place.path());
    let (data, broken) = (place.path().join("data"), place.path().join("broken"));
    fs::create_dir(&data).unwrap();
    let environment =
        [("LD_PRELOAD", library.to_str().unwrap()), ("POWERCUT_FAIL", broken.to_str().unwrap())];
    let mut server = Process::with(&data, &environment).await;
    let writers = Writers::meet(&server, 1, 1).await;
    let (token, chat) = (&writers.tokens[0], writers.chats[0]);
    let (mut session, _) = TcpClient::open(server.tcp(), token).await.unwrap();
    assert!(session.say(chat, "before").await.unwrap().success);
    fs::write(&broken, "").unwrap();
    match soon(session.say(chat, "behind")).await {
        Err(TcpError::Refused(nack)) => assert_eq!(nack.code.as_deref(), Some("internal")),
        Err(_) => {}
        Ok(ack) => panic!("acknowledged: {ack:?}"),
    }
    assert_eq!(server.end().await, Some(74));
    let started = Process::try_with(&data, &environment).await;
    assert!(started.is_err(), "a server that cannot sync its files does not start");
    fs::remove_file(&broken).unwrap();
    let server = Process::start(&data).await;
    let stored = whole_history(&server.http.with_token(token), chat).await;
    assert_eq!(stored[0].content, "before");
    server.stop().await;
}

#[test]
fn cut_leaves_a_mixture_of_durable_and_later_pages() {
    let (durable, written) = (vec![1; 3 * PAGE], vec![2; 5 * PAGE]);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mixed = mix(&durable, &written, &mut StdRng::seed_from_u64(seed));
        assert!([3 * PAGE, 5 * PAGE].contains(&mixed.len()));
        seen.extend(mixed.chunks(PAGE).map(|page| page[0]));
    }
    assert_eq!(seen, [0, 1, 2].into(), "including pages that were never written");
}
