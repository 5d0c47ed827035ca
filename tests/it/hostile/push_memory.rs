//! Pushes that reserve memory or the unpacking of objects for a long time: others can still push.

use super::pushes::long_history;
use super::seeds::targets::handmade_pack::{BLOB, Handmade, OFFSET_DELTA, back, size};
use super::shares::{begin_push, drip, loopback};
use crate::harness::TestServer;
use crate::harness::attack::{Attacked, push_body};
use crate::harness::git::GitWorkdir;

const MIB: u64 = 1024 * 1024;

/// Regression: two pushes declared the maximum number of objects and sent a byte now and then.
/// Every other large push was refused.
#[actix_web::test]
async fn declared_objects_reserve_nothing_until_they_arrive() {
    let server = TestServer::with_limits(|limits| {
        (limits.git_push_objects, limits.git_pushed_objects) = (20_000, 40_000);
        limits.git_unpacking_wait_ms = 3_000;
    })
    .await;
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    let path = alice.hello_web("private").await;
    let hostile = mallory.hello_web("private").await;
    let mut drips = Vec::new();
    for _ in 0..2 {
        let pack = Handmade::new(20_000).entry(BLOB, 1 << 20, &[], b"").bytes;
        drips.push(drip(begin_push(&server, "mallory", loopback(1), &hostile, &pack[..16]).await, b"\0"));
    }
    let workdir = GitWorkdir::new();
    workdir.git("", &["init", "--quiet", "work"]).await.ok();
    long_history(&workdir, 12_000);
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    drips.iter().for_each(tokio::task::JoinHandle::abort);
    server.stop().await;
}

/// Pushes that sent nearly all their objects and then stalled keep their reservation only while
/// others do not need it.
#[actix_web::test]
async fn stalled_pushes_of_many_objects_are_ended_for_others() {
    let server = TestServer::with_limits(|limits| {
        (limits.git_push_objects, limits.git_pushed_objects) = (20_000, 40_000);
        limits.git_starved_ms = 300;
    })
    .await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let mut pack = Handmade::new(20_000);
    for _ in 0..19_999 {
        pack = pack.object(BLOB, b"");
    }
    let mut stalled = Vec::new();
    for name in ["eve", "mallory", "trudy"] {
        let hostile = server.user(name).await.hello_web("private").await;
        stalled.push(begin_push(&server, name, loopback(1), &hostile, &pack.bytes).await);
    }
    let workdir = GitWorkdir::new();
    workdir.git("", &["init", "--quiet", "work"]).await.ok();
    long_history(&workdir, 18_000);
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    drop(stalled);
    server.stop().await;
}

/// The memory that git children may use together in these tests, independent of the machine's
/// memory.
const GIT_MEMORY: (&str, &str) = ("NETBIT_LIMITS__GIT_MEMORY_BYTES", "402653184");

/// Adds an incomplete delta on the first entry, which declares its own size and the size of its
/// result.
fn delta_that_stalls(pack: Handmade, declared: u64, result: u64) -> Handmade {
    let distance = pack.bytes.len() as u64 - pack.offsets[0];
    let zeros = vec![0; usize::try_from(declared).unwrap() - 1000];
    pack.entry(OFFSET_DELTA, declared, &back(distance), &[size(100), size(result), zeros].concat())
}

/// Regression: git holds deltas of 114 MiB on objects of 100 bytes in memory while they arrive.
/// Fourteen connections took 610 MiB.
#[actix_web::test]
async fn large_deltas_reserve_memory_before_git_reads_them() {
    let attacked = Attacked::with(&[GIT_MEMORY]).await;
    let base = Handmade::new(3).object(BLOB, &[b'x'; 100]);
    let pack = delta_that_stalls(base.clone(), 2 * MIB, MIB);
    let (_, said) = attacked.post_push(push_body(&pack.bytes)).await;
    assert!(said.contains("a delta of 2097152 bytes with a result of 1048576 bytes"), "{said}");
    let mut pack = delta_that_stalls(base, 114 * MIB, 114 * MIB).bytes;
    // The end of the deflated bytes is missing, so the delta is incomplete.
    pack.truncate(pack.len() - 30);
    let body = &push_body(&pack);
    let stalled: Vec<_> = (0..6).map(|_| attacked.begin_post(&body[..body.len() - 20], 10_000_000)).collect();
    let mut stalled = futures_util::future::join_all(stalled).await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    attacked.others_are_served().await;
    attacked.held_less_than(384 * MIB);
    stalled.clear();
    attacked.survived().await;
}

/// Returns a pack of deltas with 75 MB of result each, and its correct checksum.
fn long_to_unpack(deltas: u8) -> Vec<u8> {
    let base: Vec<u8> = crate::git::clients::noise(60_000);
    let mut pack = Handmade::new(u32::from(deltas) + 1).object(BLOB, &base);
    for n in 0..deltas {
        let distance = pack.bytes.len() as u64 - pack.offsets[0];
        let copies = [0xb0, 0x60, 0xea].repeat(1250);
        let content = [size(60_000), size(75_000_002), copies, vec![2, n, n]].concat();
        pack = pack.entry(OFFSET_DELTA, content.len() as u64, &back(distance), &content);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &pack.bytes).unwrap();
    let told = std::process::Command::new("sha1sum").arg(file.path()).output().unwrap().stdout;
    let digits = std::str::from_utf8(&told[..40]).unwrap();
    pack.bytes.extend((0..20).map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap()));
    pack.bytes
}

/// Regression: valid pushes of a few kilobytes that unpack for a minute or more were unpacked
/// sequentially, before all others.
#[actix_web::test]
async fn large_files_can_be_pushed_during_long_unpacking() {
    let wait = ("NETBIT_LIMITS__GIT_UNPACKING_WAIT_MS", "3000");
    let attacked = Attacked::with(&[GIT_MEMORY, wait]).await;
    let work = attacked.workdir.repository("work").await;
    let mut large = crate::git::clients::noise(17_000_000);
    let url = attacked.url("alice");
    for version in 0..2u8 {
        large[1000] = version;
        std::fs::write(work.join("large"), &large).unwrap();
        attacked.workdir.git("work", &["add", "."]).await.ok();
        attacked.workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
        if version == 0 {
            attacked.workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
        }
    }
    let body = push_body(&long_to_unpack(8));
    let body = &body[..body.len() - 20];
    let hostile: Vec<_> = (0..3).map(|_| attacked.begin_post(body, body.len())).collect();
    let hostile = futures_util::future::join_all(hostile).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    attacked.workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    drop(hostile);
    attacked.survived().await;
}
