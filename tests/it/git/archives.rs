//! `git archive --remote`, with the git client that people have (2.44 or newer does this over HTTP).

use crate::harness::TestServer;
use crate::harness::git::Workplace;

#[actix_web::test]
async fn remote_archives_hold_what_git_archive_holds() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (place, url) = (Workplace::new(), server.url_as("alice", &path));
    let work = place.repository("work").await;
    std::fs::create_dir(work.join("src")).unwrap();
    std::fs::write(work.join("src/main.rs"), "fn main() {}\n").unwrap();
    std::fs::write(work.join("large"), super::clients::noise(300_000)).unwrap();
    place.git("work", &["add", "."]).await.ok();
    place.git("work", &["commit", "--quiet", "-m", "more"]).await.ok();
    place.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let listed = async |arguments: &[&str]| {
        let file = place.path().join("packed.tar");
        let output = format!("--output={}", file.display());
        let remote = format!("--remote={url}");
        let said = place.git("", &[&["archive", &remote, &output], arguments].concat()).await;
        said.ok();
        let out = std::process::Command::new("tar").arg("-tf").arg(&file).output().unwrap();
        String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["HEAD"]).await, ["README", "large", "src/", "src/main.rs"]);
    assert_eq!(listed(&["--prefix=a/", "main:src"]).await, ["a/", "a/main.rs"]);
    assert_eq!(listed(&["main", "src"]).await, ["src/", "src/main.rs"]);
    let short = place.git("work", &["rev-parse", "--short", "HEAD"]).await.ok();
    assert_eq!(listed(&["--format=tar.gz", &short, "README"]).await, ["README"]);
    let remote = format!("--remote={url}");
    let formats = place.git("", &["archive", &remote, "--list"]).await.ok();
    assert_eq!(formats.lines().collect::<Vec<_>>(), ["tar", "tgz", "tar.gz", "zip"]);
    for (arguments, why) in [
        (&["no-such-branch"][..], "there is no such ref"),
        (&["main", "none"], "there is no such path"),
        (&["--mtime=1", "main"], "--mtime is not supported by this server"),
    ] {
        place.git("", &[&["archive", &remote], arguments].concat()).await.refused(&format!("NACK {why}"));
    }
    let stranger = format!("--remote={}", server.url(&path));
    assert!(!place.git("", &["archive", &stranger, "HEAD"]).await.success);
    server.stop().await;
}
