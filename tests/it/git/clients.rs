//! The common commands of the git client, in every version of the protocol.

use crate::harness::TestServer;
use crate::harness::git::GitWorkdir;

async fn check_git_client(protocol: &'static str) {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let url = server.url_as("alice", &path);
    let mut workdir = GitWorkdir::new();
    workdir.protocol = protocol;

    // An empty repository can be cloned and listed.
    workdir.git("", &["clone", "--quiet", &url, "empty"]).await.ok();
    assert_eq!(workdir.git("", &["ls-remote", &url]).await.ok(), "");

    // The first push, then a fast-forward, tags, another branch.
    workdir.repository("work").await;
    let push = async |arguments: &[&str]| {
        workdir.git("work", &[&["push", "--quiet", &url], arguments].concat()).await
    };
    push(&["main"]).await.ok();
    let second = workdir.commit("work", "a.txt", "a\n", "second").await;
    workdir.git("work", &["tag", "-a", "v1", "-m", "one"]).await.ok();
    workdir.git("work", &["tag", "light"]).await.ok();
    push(&["main", "--tags"]).await.ok();
    workdir.git("work", &["branch", "topic", "HEAD~1"]).await.ok();
    push(&["--atomic", "topic", "main:copy"]).await.ok();
    let listed = workdir.git("", &["ls-remote", &url]).await.ok();
    assert_eq!(listed.lines().filter(|line| line.starts_with(&second)).count(), 5, "{listed}");

    // Clones of every kind contain the expected objects, and none is damaged.
    workdir.git("", &["clone", "--quiet", &url, "full"]).await.ok();
    assert_eq!(workdir.objects("full").await, workdir.objects("work").await);
    workdir.git("full", &["fsck", "--strict"]).await.ok();
    workdir.git("", &["clone", "--quiet", "--depth", "1", &url, "shallow"]).await.ok();
    assert_eq!(workdir.git("shallow", &["rev-list", "--count", "HEAD"]).await.ok(), "1");
    workdir.git("shallow", &["fetch", "--quiet", "--unshallow"]).await.ok();
    assert_eq!(workdir.git("shallow", &["rev-list", "--count", "HEAD"]).await.ok(), "2");
    workdir.git("", &["clone", "--quiet", "--filter=blob:none", "--no-checkout", &url, "partial"]).await.ok();
    let missing = workdir.git("partial", &["rev-list", "--objects", "--missing=print", "HEAD"]).await.ok();
    assert!(missing.lines().any(|line| line.starts_with('?')), "{missing}");
    assert_eq!(workdir.git("partial", &["show", "HEAD:a.txt"]).await.ok(), "a");
    workdir.git("", &["clone", "--quiet", "--single-branch", "-b", "topic", &url, "single"]).await.ok();
    assert_eq!(workdir.git("single", &["branch", "-r"]).await.ok(), "origin/topic");

    // Fetches bring the new commits. Requests with many common commits are compressed.
    for n in 0..40 {
        workdir.commit("work", "n.txt", &n.to_string(), &format!("commit {n}")).await;
    }
    push(&["main"]).await.ok();
    workdir.git("full", &["fetch", "--quiet"]).await.ok();
    let fetched = workdir.git("full", &["rev-parse", "origin/main"]).await.ok();
    assert_eq!(fetched, workdir.head("work").await);

    // Rewrites, deletions and push options.
    workdir.git("work", &["commit", "--quiet", "--amend", "-m", "again"]).await.ok();
    push(&["main"]).await.refused("rejected");
    push(&["--force", "main"]).await.ok();
    push(&["--force-with-lease", "-o", "chat=done", "main:topic", "--force"]).await.ok();
    push(&["--delete", "copy", "light"]).await.ok();
    let listed = workdir.git("", &["ls-remote", &url]).await.ok();
    assert!(!listed.contains("copy") && !listed.contains("light"), "{listed}");
    let head = workdir.head("work").await;
    assert_eq!(listed.lines().filter(|line| line.starts_with(&head)).count(), 3, "{listed}");

    // An atomic push with one bad ref moves none of its refs.
    workdir.commit("work", "z.txt", "z\n", "last").await;
    let atomic = push(&["--atomic", "main", "main~2:topic"]).await;
    assert!(!atomic.success);
    let after = workdir.git("", &["ls-remote", &url, "main"]).await.ok();
    assert!(after.starts_with(&head), "{after}");
    server.stop().await;
}

#[actix_web::test]
async fn git_client_works_in_protocol_version_0() {
    check_git_client("0").await;
}

#[actix_web::test]
async fn git_client_works_in_protocol_version_1() {
    check_git_client("1").await;
}

#[actix_web::test]
async fn git_client_works_in_protocol_version_2() {
    check_git_client("2").await;
}

/// Returns text that does not compress, so that its pack is as large as the text. It is printable,
/// so that git shows it unchanged.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}

#[actix_web::test]
async fn push_of_8_mib_arrives_in_chunks_with_password_and_with_token() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    let work = workdir.repository("work").await;
    for (n, branch) in ["basic", "bearer"].iter().enumerate() {
        let mut content = noise(8 * 1024 * 1024);
        content[0] = u8::try_from(n).unwrap();
        std::fs::write(work.join("large.bin"), content).unwrap();
        workdir.git("work", &["checkout", "--quiet", "-b", branch]).await.ok();
        workdir.git("work", &["add", "large.bin"]).await.ok();
        workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
        // Above http.postBuffer (1 MiB) the client sends the pack chunked, without a
        // Content-Length.
        if *branch == "basic" {
            workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), branch]).await.ok();
        } else {
            let header = format!("http.extraHeader=Authorization: Bearer {}", alice.http.token().unwrap());
            workdir.git("work", &["-c", &header, "push", "--quiet", &server.url(&path), branch]).await.ok();
        }
    }
    workdir.git("", &["clone", "--quiet", "--mirror", &server.url_as("alice", &path), "mirror"]).await.ok();
    assert_eq!(workdir.objects("mirror").await, workdir.objects_without(&["main"], "work").await);
    workdir.git("mirror", &["fsck", "--strict"]).await.ok();
    server.stop().await;
}

impl GitWorkdir {
    /// Returns the objects that are reachable without these branches.
    async fn objects_without(&self, branches: &[&str], folder: &str) -> Vec<String> {
        for branch in branches {
            self.git(folder, &["branch", "--quiet", "-D", branch]).await.ok();
        }
        self.objects(folder).await
    }
}
