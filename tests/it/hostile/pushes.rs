//! Pushes that are small on the wire and large in memory, on disk or in time. Each runs against a
//! server under an address-space limit, with a bound on the memory of the server and its children
//! together.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncReadExt;

use super::seeds::targets::handmade_pack::{BLOB, COMMIT, Handmade, TREE};
use super::shares::{ask_for_all, begin_push, loopback, repositories};
use crate::harness::attack::{Attacked, push_body};
use crate::harness::git::GitWorkdir;
use crate::harness::{TestServer, soon};

const MIB: u64 = 1024 * 1024;

/// Writes a raw object without git's checks and returns its id.
async fn object(workdir: &GitWorkdir, kind: &str, content: &[u8]) -> String {
    let path = workdir.path().join("work/.git/raw");
    std::fs::write(&path, content).unwrap();
    workdir.git("work", &["hash-object", "-t", kind, "-w", "--literally", ".git/raw"]).await.ok()
}

/// Returns a commit of the empty tree with this message.
fn commit_of(message: &[u8]) -> Vec<u8> {
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let head =
        format!("tree {tree}\nauthor A <a@example.org> 0 +0000\ncommitter A <a@example.org> 0 +0000\n\n");
    [head.as_bytes(), message].concat()
}

/// Writes a history of `commits` commits to the branch `main` with one import.
pub(super) fn long_history(workdir: &GitWorkdir, commits: usize) {
    let mut stream = String::new();
    for n in 0..commits {
        let _ = write!(stream, "commit refs/heads/main\ncommitter A <a@example.org> {n} +0000\ndata 1\nx\n");
    }
    let mut child = std::process::Command::new("git")
        .current_dir(workdir.path().join("work"))
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[actix_web::test]
async fn commits_and_tags_beyond_a_mebibyte_are_refused() {
    // Regression: a push of 100 KB with one commit whose message is 100 MB of 0xff took 785 MiB,
    // and ended every later start.
    let attacked = Attacked::start().await;
    attacked.workdir.git("", &["init", "--quiet", "work"]).await.ok();
    let huge = object(&attacked.workdir, "commit", &commit_of(&vec![0xff; 100_000_000])).await;
    attacked.push("work", &[&format!("{huge}:refs/heads/main")]).await.refused("a commit of 1000001");
    let small = object(&attacked.workdir, "commit", &commit_of(b"fine")).await;
    let tag = format!("object {small}\ntype commit\ntag x\ntagger A <a@example.org> 0 +0000\n\n");
    let tag = [tag.as_bytes(), &vec![b'x'; 2_000_000]].concat();
    let tag = object(&attacked.workdir, "tag", &tag).await;
    attacked.push("work", &[&format!("{tag}:refs/tags/x")]).await.refused("a tag of 2000");
    let largest = object(&attacked.workdir, "commit", &commit_of(&vec![b'x'; 1_000_000])).await;
    attacked.push("work", &[&format!("{largest}:refs/heads/large")]).await.ok();
    attacked.survived().await;
}

#[actix_web::test]
async fn trees_beyond_their_limit_are_refused() {
    let attacked = Attacked::start().await;
    attacked.workdir.git("", &["init", "--quiet", "work"]).await.ok();
    let blob = object(&attacked.workdir, "blob", b"x").await;
    let oid: Vec<u8> = (0..20).map(|n| u8::from_str_radix(&blob[2 * n..2 * n + 2], 16).unwrap()).collect();
    let tree: Vec<u8> =
        (0..260_000).flat_map(|n| [format!("100644 {n:08}\0").as_bytes(), &oid].concat()).collect();
    let tree = object(&attacked.workdir, "tree", &tree).await;
    let commit = attacked.workdir.git("work", &["commit-tree", &tree, "-m", "wide"]).await.ok();
    attacked.push("work", &[&format!("{commit}:refs/heads/main")]).await.refused("a tree of 9");
    attacked.survived().await;
}

#[actix_web::test]
async fn deltas_with_large_results_are_refused_before_git_reads_them() {
    // 16 KB that unpack to 3.1 GiB: a base, and deltas that copy it repeatedly.
    let attacked = Attacked::start().await;
    let base = vec![b'x'; 1_000_000];
    for (pack, why) in [
        (Handmade::new(2).object(COMMIT, &base).delta(0, 1_000_000, 2_000_000), "a commit of 2000000 bytes"),
        (Handmade::new(2).object(TREE, &base).delta(0, 1_000_000, 9_000_000), "a tree of 9000000 bytes"),
        (Handmade::new(2).object(BLOB, &base).delta(0, 1_000_000, 200 * MIB), "a delta with a result of"),
        (Handmade::new(1).named_delta(1_000_000, 100 * MIB), "refers to its base by object id"),
        (Handmade::new(1).entry(COMMIT, 5 << 40, &[], b"x"), "a commit of"),
        (Handmade::new(1).entry(BLOB, 5 << 40, &[], b"x"), "a file of"),
        (Handmade::new(u32::MAX), "objects; this server takes at most"),
    ] {
        let (status, said) = attacked.post_push(push_body(&pack.bytes)).await;
        assert_eq!(status, 200, "refused inside the protocol: {said}");
        assert!(said.contains("ng refs/heads/main") && said.contains(why), "{why}: {said}");
    }
    attacked.survived().await;
}

#[actix_web::test]
async fn deltas_with_a_large_total_are_refused() {
    // Each delta is allowed, but together they would make git hash terabytes for a few kilobytes.
    let attacked = Attacked::start().await;
    let base = vec![b'x'; 1_000_000];
    let mut pack = Handmade::new(5000).object(BLOB, &base);
    for _ in 0..4000 {
        pack = pack.delta(0, 1_000_000, 100 * MIB);
    }
    let (_, said) = attacked.post_push(push_body(&pack.bytes)).await;
    assert!(said.contains("unpack to more than"), "{said}");
    // A chain: the last object depends on all before it.
    let mut pack = Handmade::new(5000).object(BLOB, &base);
    for n in 0..4500 {
        pack = pack.delta(n, 1_000_000, 1_000_000);
    }
    let (_, said) = attacked.post_push(push_body(&pack.bytes)).await;
    assert!(said.contains("deltas"), "{said}");
    attacked.survived().await;
}

#[actix_web::test]
async fn clones_of_compressible_files_use_bounded_memory() {
    // Regression: four files of 64 MiB that compress to nearly nothing took 440 MiB for each
    // anonymous clone.
    let attacked = Attacked::start().await;
    let work = attacked.workdir.repository("work").await;
    for n in 0..4u8 {
        let mut file = vec![0; 64 << 20];
        file[usize::from(n)] = n;
        std::fs::write(work.join(format!("large{n}")), file).unwrap();
    }
    attacked.workdir.git("work", &["add", "."]).await.ok();
    attacked.workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
    attacked.push("work", &["main"]).await.ok();
    let url = format!("http://{}/mallory/p/r", attacked.server.address());
    let clones = (0..6).map(|n| {
        let (workdir, url) = (&attacked.workdir, &url);
        async move { workdir.git("", &["clone", "--quiet", "--mirror", url, &format!("copy{n}")]).await.ok() }
    });
    futures_util::future::join_all(clones).await;
    attacked.survived().await;
}

#[actix_web::test]
async fn history_on_many_branches_is_walked_once_after_readiness() {
    // Regression: 50,000 commits on eight new branches were walked eight times before the server
    // was ready.
    let mut attacked = Attacked::start().await;
    attacked.workdir.git("", &["init", "--quiet", "work"]).await.ok();
    long_history(&attacked.workdir, 50_000);
    let refs: Vec<_> = (0..8).map(|n| format!("main:refs/heads/b{n}")).collect();
    let refs: Vec<_> = refs.iter().map(String::as_str).collect();
    attacked.push("work", &refs).await.ok();
    // Killed with an unsettled intent: the start does not wait for it.
    for n in 0..3u64 {
        let more = format!("main:refs/heads/again{n}");
        let url = attacked.url("mallory");
        let arguments = ["push", &url, &more];
        let pushing = attacked.workdir.git("work", &arguments);
        let killing = async {
            tokio::time::sleep(std::time::Duration::from_millis(40 * n)).await;
        };
        drop(futures_util::future::select(Box::pin(pushing), Box::pin(killing)).await);
        attacked.restart().await;
        attacked.others_are_served().await;
    }
    attacked.push("work", &["main:refs/heads/last"]).await.ok();
    let told = attacked.mallory.get("/api/chats/1/events?after_seq=0&limit=100").await.unwrap().body;
    let last = told["items"].as_array().unwrap().iter().rev().find(|event| event["kind"] == "push");
    assert_eq!(last.unwrap()["push"]["refs"][0]["ref"], "refs/heads/last", "{told}");
    attacked.survived().await;
}

/// Returns the body of an atomic push of a commit to two branches, where the client assumes that
/// the second is at `old`.
async fn atomic_push_body(workdir: &GitWorkdir, commit: &str, old: &str) -> Vec<u8> {
    let one = format!("{} {commit} refs/heads/one\0report-status atomic", "0".repeat(40));
    let two = format!("{old} {commit} refs/heads/two");
    let head = format!("{:04x}{one}{:04x}{two}0000", one.len() + 4, two.len() + 4);
    let script = format!("echo {commit} | git pack-objects --quiet --revs --stdout");
    let mut made = tokio::process::Command::new("sh");
    made.args(["-c", &script]).current_dir(workdir.path().join("work"));
    let pack = soon(made.output()).await.unwrap().stdout;
    [head.as_bytes(), &pack].concat()
}

#[actix_web::test]
async fn push_that_moves_no_ref_leaves_no_object() {
    // Regression: an object that was pushed by accident and refused could be read by its id by any
    // visitor of the public project.
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("public").await;
    let rules = json!({"protected_branches": [{"pattern": "main"}]});
    assert_eq!(alice.put("/api/projects/alice/hello/config", rules).await.status, 200);
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.commit("work", "a", "a", "second").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let reads = async |oid: &str| {
        let shown =
            server.http.get(&format!("/api/projects/alice/hello/repos/web/commits/{oid}")).await.unwrap();
        workdir.git("", &["init", "--quiet", "--bare", "reader"]).await.ok();
        let fetched = workdir.git("reader", &["fetch", "--quiet", &server.url(&path), oid]).await;
        (shown.status, fetched.success)
    };
    let kept = workdir.head("work").await;
    assert_eq!(reads(&kept).await, (200, true));

    workdir.git("work", &["reset", "--quiet", "--hard", "HEAD~1"]).await.ok();
    let secret = workdir.commit("work", "secret", "s3cret", "rewritten").await;
    workdir.git("work", &["push", "--force", &url, "main"]).await.refused("non-fast-forward");
    assert_eq!(reads(&secret).await, (404, false), "not a fast-forward");

    let other = workdir.commit("work", "secret", "other", "under a branch").await;
    workdir.git("work", &["push", &url, "HEAD:refs/heads/main/below"]).await.refused("the refs have moved");
    assert_eq!(reads(&other).await, (404, false), "the name is taken by a branch");

    let blob = workdir.git("work", &["rev-parse", "HEAD:secret"]).await.ok();
    workdir.git("work", &["push", &url, &format!("{blob}:refs/heads/blob")]).await.refused("a commit");
    assert!(!workdir.git("reader", &["fetch", "--quiet", &server.url(&path), &blob]).await.success);

    // A deletion in the same push keeps no objects, whether its ref exists or not.
    let lost = workdir.commit("work", "secret", "lost", "next to a deletion").await;
    workdir.git("work", &["push", "--quiet", &url, "main~1:refs/heads/old"]).await.ok();
    workdir.git("work", &["push", "--force", &url, ":old", "HEAD:main"]).await.refused("non-fast-forward");
    assert_eq!(reads(&lost).await, (404, false), "next to a deletion");
    workdir.git("work", &["push", "--quiet", &url, ":old"]).await.ok();
    let pack = workdir.git("work", &["rev-parse", "HEAD"]).await.ok();
    let nothing = format!("{0} {0} refs/heads/nope\0report-status side-band-64k", "0".repeat(40));
    let second = format!("{} {pack} refs/heads/main", "0".repeat(40));
    let body = format!("{:04x}{nothing}{:04x}{second}0000", nothing.len() + 4, second.len() + 4);
    let answer = reqwest::Client::new()
        .post(format!("{}/git-receive-pack", server.url(&path)))
        .basic_auth("alice", Some(crate::harness::PASSWORD))
        .header("content-type", "application/x-git-receive-pack-request")
        .body(body)
        .send();
    let said = soon(soon(answer).await.unwrap().text()).await.unwrap();
    assert!(said.contains("there is nothing to delete"), "{said}");

    // An atomic push moves all refs or none. Regression: its hook kept objects when only one of the
    // refs could move.
    let atomic = workdir.commit("work", "secret", "atomic", "all or nothing").await;
    for (story, refs, why) in [
        ("folders", &["HEAD:refs/heads/x", "HEAD:refs/heads/x/y"][..], "its name is taken"),
        ("a blob", &["HEAD:refs/heads/x", &format!("{blob}:refs/heads/y")], "a commit"),
        ("a rewrite", &["HEAD:refs/heads/x", "+HEAD:refs/heads/main"], "non-fast-forward"),
        ("the default branch", &["HEAD:refs/heads/x", ":main"], "cannot be deleted"),
    ] {
        let arguments = [&["push", "--atomic", &url][..], refs].concat();
        workdir.git("work", &arguments).await.refused(why);
        assert_eq!(reads(&atomic).await, (404, false), "{story}");
    }
    let stale = atomic_push_body(&workdir, &atomic, &kept).await;
    let answer = reqwest::Client::new()
        .post(format!("{}/git-receive-pack", server.url(&path)))
        .basic_auth("alice", Some(crate::harness::PASSWORD))
        .header("content-type", "application/x-git-receive-pack-request")
        .body(stale)
        .send();
    let said = soon(soon(answer).await.unwrap().text()).await.unwrap();
    assert!(said.contains("the push is atomic, and refs/heads/two has moved"), "{said}");
    assert_eq!(reads(&atomic).await, (404, false), "a wrong old value");
    workdir.git("work", &["push", "--quiet", "--atomic", &url, "HEAD:a1", "HEAD:a2", "HEAD:a/3"]).await.ok();
    assert_eq!(reads(&atomic).await, (200, true), "an atomic push that can move all refs");

    // A ref that moves keeps its objects, and also those of the refused refs.
    workdir
        .git("work", &["push", "--force", &url, "HEAD:main", "HEAD:topic"])
        .await
        .refused("non-fast-forward");
    assert_eq!(reads(&other).await, (200, true));
    server.stop().await;
}

#[actix_web::test]
async fn refs_count_towards_the_quota_and_have_a_limit() {
    // Regression: 30,000 tags are 30,000 files, and were counted as 112 bytes.
    let server =
        TestServer::with_limits(|limits| (limits.git_refs, limits.repository_bytes) = (60, 400_000)).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let size =
        async || alice.get("/api/projects/alice/hello/repos/web").await.body["size_bytes"].as_i64().unwrap();
    let before = size().await;
    let tags =
        |range: std::ops::Range<usize>| range.map(|n| format!("main:refs/tags/t{n}")).collect::<Vec<_>>();
    let push = async |refs: Vec<String>| {
        let refs: Vec<_> = refs.iter().map(String::as_str).collect();
        workdir.git("work", &[&["push", "--quiet", &url], &refs[..]].concat()).await
    };
    push(tags(0..40)).await.ok();
    assert!(size().await - before >= 40 * 4096, "each tag is a file");
    push(tags(40..80)).await.refused("a repository may have 60 refs");
    push(tags(40..50)).await.ok();
    server.stop().await;
}

#[actix_web::test]
async fn repositories_of_an_account_share_a_quota() {
    let server = TestServer::with_limits(|limits| limits.account_bytes = 300_000).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    alice.repository("hello", "other").await;
    let workdir = GitWorkdir::new();
    let work = workdir.repository("work").await;
    std::fs::write(work.join("large"), crate::git::clients::noise(200_000)).unwrap();
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    let other = server.url_as("alice", "alice/hello/other");
    workdir.git("work", &["push", &other, "main"]).await.refused("the account's quota is exceeded");
    workdir.git("work", &["push", "--quiet", &other, "main~1:refs/heads/main"]).await.ok();
    server.stop().await;
}

#[actix_web::test]
async fn gzip_compressed_push_has_a_size_limit() {
    // 968 bytes on disk for each byte on the wire.
    let server = TestServer::with_limits(|limits| limits.git_gzip_push_bytes = 1_000_000).await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    // zlib stores these blocks uncompressed, so that gzip can compress them again.
    let mut stored = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
    stored.write_all(&vec![0; 5_000_000]).unwrap();
    let mut pack = Handmade::new(1).entry(BLOB, 5_000_000, &[], b"");
    pack.bytes.truncate(12 + 4);
    pack.bytes.extend_from_slice(&stored.finish().unwrap());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&push_body(&pack.bytes)).unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{}/git-receive-pack", server.url("alice/hello/web")))
        .basic_auth("alice", Some(crate::harness::PASSWORD))
        .header("content-type", "application/x-git-receive-pack-request")
        .header("content-encoding", "gzip")
        .body(gzip.finish().unwrap());
    let said = soon(soon(answer.send()).await.unwrap().text()).await.unwrap();
    assert!(said.contains("Content-Encoding may have 1000000 bytes"), "{said}");
    server.stop().await;
}

#[actix_web::test]
async fn submodule_paths_with_carriage_returns_are_refused() {
    // CVE-2025-48384: a path that ends in CR becomes another path after it is written to a
    // configuration.
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    let lines = "[submodule \"x\"]\r\n\tpath = x\r\n\turl = https://example.org/x\r\n";
    workdir.commit("work", ".gitmodules", lines, "lines that end in CR LF").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let evil = "[submodule \"x\"]\n\tpath = \"x\r\"\n\turl = https://example.org/x\n";
    workdir.commit("work", ".gitmodules", evil, "evil").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.refused("carriage return");
    workdir.git("work", &["push", "--quiet", &url, "main:refs/tags/v1"]).await.refused("carriage return");
    server.stop().await;
}

/// Regression: two pushes of 1.4 million objects made a repository that its owner could not clone.
#[actix_web::test]
async fn repository_is_limited_to_a_cloneable_number_of_objects() {
    let server = TestServer::with_limits(|limits| limits.git_repository_objects = 100).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.git("", &["init", "--quiet", "work"]).await.ok();
    long_history(&workdir, 60);
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    long_history(&workdir, 101);
    let said = workdir.git("work", &["push", &url, "+main:refs/heads/more"]).await;
    said.refused("this server takes at most 100 in one repository");
    long_history(&workdir, 30);
    workdir.git("work", &["push", "--quiet", &url, "main:refs/heads/less"]).await.ok();
    server.stop().await;
}

/// Regression: a connection ended without a reason, and git printed "the remote end hung up
/// unexpectedly".
#[actix_web::test]
async fn transfers_ended_by_the_server_report_the_reason() {
    let server = TestServer::with_limits(|limits| limits.git_idle_ms = 1_500).await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let (large, small, commit) = repositories(&server, &alice, &workdir).await;
    let read = async |mut socket: tokio::net::TcpStream| {
        let mut answer = Vec::new();
        soon(socket.read_to_end(&mut answer)).await.ok();
        String::from_utf8_lossy(&answer[answer.len().saturating_sub(2_000)..]).into_owned()
    };
    let pack = Handmade::new(9).object(BLOB, b"x").bytes;
    let said = read(begin_push(&server, "alice", loopback(1), &small, &pack).await).await;
    assert!(said.contains("ng refs/heads/drip the transfer moved too few bytes"), "{said}");

    let server = server.restart(|config| config.limits.git_memory_bytes = 1).await;
    let url = server.url_as("alice", &small);
    workdir.commit("little", "file", "more", "more").await;
    let said = workdir.git("little", &["push", &url, "main"]).await;
    assert!(!said.success);
    // The client reads nothing until the child has ended. Then it reads the sent part and the
    // reason.
    let clone = ask_for_all(&server, loopback(1), &large, &commit).await;
    let said = read(clone).await;
    assert!(said.contains("git needed more memory than the server has left for it"), "{said}");
    server.stop().await;
}
