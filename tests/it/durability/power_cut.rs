//! The power goes: what was not fsynced is not there, or is there in part.
//!
//! The server runs with `power_cut.c` before its C library, which keeps what each fsync made durable. After a SIGKILL
//! the test builds the disk as a cut would leave it: a file that was never fsynced is not there, names are those that an
//! fsync of the file or of its folder made durable, and each page that was written behind the last fsync is there or not
//! as a seed says. Then a server starts on that. It shows that nothing is acknowledged before it is durable, and that
//! pages in any mixture are recovered from. It does not show what a disk does that lies about its flushes, nor what
//! becomes of repositories, which git itself syncs.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use netbit::client::{TcpClient, TcpError};
use netbit::core::database;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::kills::{Writers, whole_history};
use crate::harness::{PASSWORD, Process, soon};

const PAGE: usize = 4096;
const SENDERS: usize = 8;

/// Compiles a library that is put before the C library. Whoever has Rust has a C compiler: SQLite needs it.
pub(super) fn compiled(name: &str, into: &Path) -> PathBuf {
    let library = into.join(format!("{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/durability/{name}.c"));
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().unwrap().success(), "the C compiler fails");
    library
}

/// Which file each name leads to, as far as that is durable.
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

/// What was durable, with some of the pages that were written behind it.
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

/// The files of a folder, without those in folders below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).collect()
}

/// Turns the directory into what the cut leaves of it.
fn cut(data: &Path, disk: &Path, chance: &mut StdRng) -> usize {
    let (names, mut lost) = (names(disk), 0);
    let mut left = Vec::new();
    for (path, inode) in &names {
        // A name that is durable leads to a file of which nothing may be.
        let durable = fs::read(disk.join(inode)).unwrap_or_default();
        let written = fs::read(path).unwrap_or_default();
        let database = path.file_name().is_some_and(|name| name.to_str().unwrap().starts_with("netbit.db"));
        lost += usize::from(durable != written);
        left.push((path.clone(), if database { mix(&durable, &written, chance) } else { durable }));
    }
    for path in files(data) {
        fs::remove_file(path).unwrap();
    }
    for (path, content) in left {
        if path.parent().is_some_and(Path::exists) {
            fs::write(path, content).unwrap();
        }
    }
    // What is there now is what the disk holds.
    fs::remove_dir_all(disk).unwrap();
    fs::create_dir(disk).unwrap();
    let mut names = String::new();
    for path in files(data) {
        let inode = fs::metadata(&path).unwrap().ino();
        fs::copy(&path, disk.join(inode.to_string())).unwrap();
        writeln!(names, "F {inode} {}", path.display()).unwrap();
    }
    fs::write(disk.join("names"), names).unwrap();
    lost
}

/// Cuts the power under people who write, up to `rounds` times; answers how many acknowledged messages were lost, as soon
/// as one was.
#[allow(clippy::print_stdout, reason = "a long run says what it did")]
async fn cut_again_and_again(rounds: u64, synchronous: &str) -> usize {
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
        // Checkpoints come often: a cut meets pages of both files.
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
        // Who lost commits ends every login.
        let http = server.http.with_token(server.http.login("u0", PASSWORD).await.unwrap().token);
        if http.get(&format!("/api/chats/{chat}")).await.unwrap().status == 404 {
            // The cut took the chat with all that was said in it.
            return writers.told.len();
        }
        let stored = whole_history(&http, chat).await;
        let count = stored.len();
        let stored: HashMap<_, _> = stored
            .into_iter()
            .map(|message| (message.client_id, (message.chat_id, message.content, message.id.0, message.seq)))
            .collect();
        assert_eq!(stored.len(), count, "seed {round}: a message is there twice");
        let missing = writers.told.iter().filter(|(name, entry)| stored.get(name) != Some(entry)).count();
        if missing > 0 {
            return missing;
        }
    }
    assert!(lost > 0, "the cuts took nothing away: this shows nothing");
    println!("{rounds} cuts, {lost} files not as they were written, {} acknowledged", writers.told.len());
    server.kill();
    let mut db = database::open_reader(&data.join("netbit.db")).unwrap();
    assert_eq!(database::integrity(&mut db).unwrap(), Vec::<String>::new());
    0
}

#[actix_web::test]
async fn a_power_cut_loses_and_doubles_no_acknowledged_message() {
    let rounds = std::env::var("NETBIT_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    assert_eq!(cut_again_and_again(rounds, "full").await, 0);
}

/// The cuts are real: without an fsync for each commit they take what was acknowledged.
#[actix_web::test]
async fn a_server_that_is_told_not_to_sync_loses_messages_in_a_power_cut() {
    assert!(cut_again_and_again(20, "normal").await > 0);
}

/// The disk breaks: the real fsync of the real writer fails, in SQLite's own code.
#[actix_web::test]
async fn a_disk_that_does_not_sync_any_more_acknowledges_nothing_and_ends_the_process() {
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
    assert!(started.is_err(), "a server that cannot make durable what it finds does not serve");
    fs::remove_file(&broken).unwrap();
    let server = Process::start(&data).await;
    let stored = whole_history(&server.http.with_token(token), chat).await;
    assert_eq!(stored[0].content, "before");
    server.stop().await;
}

#[test]
fn a_cut_leaves_pages_of_before_and_of_behind() {
    let (durable, written) = (vec![1; 3 * PAGE], vec![2; 5 * PAGE]);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mixed = mix(&durable, &written, &mut StdRng::seed_from_u64(seed));
        assert!([3 * PAGE, 5 * PAGE].contains(&mixed.len()));
        seen.extend(mixed.chunks(PAGE).map(|page| page[0]));
    }
    assert_eq!(seen, [0, 1, 2].into(), "also pages that were never written");
}
