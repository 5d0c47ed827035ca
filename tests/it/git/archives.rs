//! `git archive --remote` with the installed git client (2.44 or newer does this over HTTP).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::harness::TestServer;
use crate::harness::git::GitWorkdir;

#[actix_web::test]
async fn remote_archive_contains_the_files_of_git_archive() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    let work = workdir.repository("work").await;
    std::fs::create_dir(work.join("src")).unwrap();
    std::fs::write(work.join("src/main.rs"), "fn main() {}\n").unwrap();
    std::fs::write(work.join("large"), super::clients::noise(300_000)).unwrap();
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "more"]).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let listed = async |arguments: &[&str]| {
        let file = workdir.path().join("packed.tar");
        let output = format!("--output={}", file.display());
        let remote = format!("--remote={url}");
        let said = workdir.git("", &[&["archive", &remote, &output], arguments].concat()).await;
        said.ok();
        let out = std::process::Command::new("tar").arg("-tf").arg(&file).output().unwrap();
        String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["HEAD"]).await, ["README", "large", "src/", "src/main.rs"]);
    assert_eq!(listed(&["--prefix=a/", "main:src"]).await, ["a/", "a/main.rs"]);
    assert_eq!(listed(&["main", "src"]).await, ["src/", "src/main.rs"]);
    let short = workdir.git("work", &["rev-parse", "--short", "HEAD"]).await.ok();
    assert_eq!(listed(&["--format=tar.gz", &short, "README"]).await, ["README"]);
    let remote = format!("--remote={url}");
    let formats = workdir.git("", &["archive", &remote, "--list"]).await.ok();
    assert_eq!(formats.lines().collect::<Vec<_>>(), ["tar", "tgz", "tar.gz", "zip"]);
    for (arguments, why) in [
        (&["no-such-branch"][..], "no such ref"),
        (&["main", "none"], "no such path"),
        (&["--mtime=1", "main"], "--mtime is not supported by this server"),
    ] {
        workdir.git("", &[&["archive", &remote], arguments].concat()).await.refused(&format!("NACK {why}"));
    }
    let stranger = format!("--remote={}", server.url(&path));
    assert!(!workdir.git("", &["archive", &stranger, "HEAD"]).await.success);
    server.stop().await;
}

/// Regression: bytes that are not UTF-8 were refused. Their escaped form passed the check, but git
/// did not understand it.
#[actix_web::test]
async fn remote_archives_find_paths_in_any_encoding() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    let work = workdir.repository("work").await;
    let name = |bytes: &[u8]| work.join(OsStr::from_bytes(bytes));
    std::fs::create_dir(name(b"d\xfcr")).unwrap();
    for file in [&b"d\xfcr/inner"[..], b"caf\xe9", b"caf%E9", b"100%"] {
        std::fs::write(name(file), "x").unwrap();
    }
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "names"]).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let listed = async |tree: &[u8], path: &[u8]| {
        let file = workdir.path().join("packed.tar");
        let options = ["archive", &format!("--remote={url}"), &format!("--output={}", file.display())]
            .map(OsString::from);
        let named = [tree, path].into_iter().filter(|word| !word.is_empty()).map(OsStr::from_bytes);
        let arguments: Vec<OsString> = options.into_iter().chain(named.map(OsString::from)).collect();
        workdir.git("", &arguments).await.ok();
        let out = std::process::Command::new("tar").arg("-tf").arg(&file).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(listed(b"main:d\xfcr", b"").await, "inner");
    assert_eq!(listed(b"main", b"caf\xe9").await, "caf\\351");
    assert_eq!(listed(b"main", b"caf%E9").await, "caf%E9");
    assert_eq!(listed(b"main", b"100%").await, "100%");
    server.stop().await;
}
