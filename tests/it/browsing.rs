//! Browsing over REST: a repository that git pushed, the addresses of its routes, and who may read
//! it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Person, TestServer, assert_problem, soon};

pub(crate) const WEB: &str = "/api/projects/alice/hello/repos/web";
/// Branches whose names are hard to write in a URL: the name and its path segment.
const ODD_BRANCHES: [(&str, &str); 5] = [
    ("feature/x", "feature%2Fx"),
    ("100%", "100%25"),
    ("a%2Fb", "a%252Fb"),
    ("ünï/코드", "%C3%BCn%C3%AF%2F%EC%BD%94%EB%93%9C"),
    ("issue#7+c&d=e", "issue%237%2Bc&d=e"),
];

/// Runs a program without the git configuration of this machine.
pub(crate) fn run(program: &str, at: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .current_dir(at)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Ann Author")
        .env("GIT_AUTHOR_EMAIL", "ann@example.org")
        .env("GIT_COMMITTER_NAME", "Carl Committer")
        .env("GIT_COMMITTER_EMAIL", "carl@example.org")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    output.stdout
}

pub(crate) fn git(at: &Path, arguments: &[&str]) -> String {
    String::from_utf8(run("git", at, arguments)).unwrap().trim_end().to_owned()
}

pub(crate) fn write(at: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = at.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

pub(crate) fn commit(at: &Path, message: &str) -> String {
    git(at, &["add", "-A"]);
    git(at, &["commit", "-q", "--allow-empty", "-m", message]);
    git(at, &["rev-parse", "HEAD"])
}

/// Creates the test repository: three commits on `main`, branches, tags, and files of every kind.
fn prepare(at: &Path) {
    git(at, &["init", "-q", "-b", "main"]);
    write(at, "README.md", "# Web\n\nhello\n");
    write(at, "src/main.rs", "fn main() {}\n");
    write(at, "page.html", "<script>alert(1)</script>\n");
    write(at, "image.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>\n");
    write(at, "bytes \"x\".bin", b"\0\x01\xff");
    write(at, "docs/a b#c?d%41+ü.txt", "odd\n");
    write(at, "-n", "dash\n");
    write(at, "empty", "");
    write(at, "long.txt", (1..=1500).map(|n| format!("line {n}\n")).collect::<String>());
    write(at, "large.txt", "0123456789abcde\n".repeat(100_000));
    commit(at, "First\n\nWith a body.");
    write(at, "src/main.rs", "fn main() {\n    println!();\n}\n");
    write(at, "README.md", "# Web\n\nhello\nworld");
    commit(at, "Second");
    git(at, &["tag", "-a", "v1.0", "-m", "One"]);
    git(at, &["tag", "light"]);
    for (name, _) in ODD_BRANCHES {
        git(at, &["branch", name]);
    }
    git(at, &["checkout", "-q", "-b", "topic"]);
    write(at, "src/topic.rs", "// topic\n");
    commit(at, "Topic");
    git(at, &["checkout", "-q", "main"]);
    write(at, "src/main.rs", "// new\nfn main() {\n    println!();\n}\n");
    commit(at, "Third");
}

/// Runs `work` off the server's thread: git connects to the server meanwhile.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    soon(tokio::task::spawn_blocking(work)).await.unwrap()
}

pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) alice: Person,
    pub(crate) work: tempfile::TempDir,
}

impl World {
    /// Creates Alice's project `hello` with the repository `web` and pushes to it.
    pub(crate) async fn start(visibility: &str) -> Self {
        Self::on(TestServer::start().await, visibility).await
    }

    async fn on(server: TestServer, visibility: &str) -> Self {
        let alice = server.user("alice").await;
        let project = json!({"name": "hello", "visibility": visibility});
        assert_eq!(alice.post("/api/projects/create", project).await.status, 201);
        let created = alice.post("/api/projects/alice/hello/repos/create", json!({"name": "web"})).await;
        assert_eq!(created.status, 201);
        let work = tempfile::tempdir().unwrap();
        let (at, host) = (work.path().to_owned(), server.app.addresses.http);
        blocking(move || {
            prepare(&at);
            let url = format!("http://alice:correct%20horse@{host}/alice/hello/web");
            git(&at, &["push", "-q", "--all", &url]);
            git(&at, &["push", "-q", "--tags", &url]);
        })
        .await;
        Self { server, alice, work }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.work.path().to_owned()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(self.work.path(), arguments)
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.alice.get(&format!("{WEB}{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Returns an answer that is not JSON, and its URL.
    pub(crate) async fn bytes(&self, path: &str, headers: &[(&str, &str)]) -> (reqwest::Response, String) {
        let url = format!("http://{}{WEB}{path}", self.server.app.addresses.http);
        let mut request = reqwest::Client::new().get(&url).bearer_auth(self.alice.http.token().unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        (request.send().await.unwrap(), url)
    }

    /// Returns the status of a request whose path no client has normalized.
    pub(crate) async fn raw_status(&self, path: &str) -> u16 {
        let token = self.alice.http.token().unwrap();
        let mut socket = tokio::net::TcpStream::connect(self.server.app.addresses.http).await.unwrap();
        let head = format!(
            "GET {WEB}{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        soon(socket.read_to_end(&mut answer)).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

pub(crate) fn header<'r>(response: &'r reqwest::Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[actix_web::test]
async fn branch_with_special_characters_is_one_encoded_segment() {
    let world = World::start("private").await;
    for (name, segment) in ODD_BRANCHES {
        let oid = world.git(&["rev-parse", &format!("refs/heads/{name}")]);
        assert_eq!(world.json(&format!("/tree/{segment}")).await["commit_oid"], oid, "{name}");
        assert_eq!(world.json(&format!("/blob/{segment}/-n")).await["commit_oid"], oid, "{name}");
        let query = segment.replace('&', "%26");
        assert_eq!(world.json(&format!("/commits?ref={query}")).await["items"][0]["oid"], oid, "{name}");
        let compared = world.json(&format!("/compare/{segment}...{segment}")).await;
        assert_eq!((&compared["head_oid"], &compared["ahead"]), (&json!(oid), &json!(0)), "{name}");
        let (archive, _) = world.bytes(&format!("/archive/{segment}.zip"), &[]).await;
        assert_eq!(archive.status(), 200);
        let saved = header(&archive, "content-disposition");
        assert!(saved.starts_with("attachment; filename=\"web-") && saved.is_ascii(), "{saved}");
    }
    // The old name of a renamed repository redirects to the same path under the new name, still
    // encoded.
    assert_eq!(world.alice.patch(WEB, json!({"name": "site"})).await.status, 200);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let base = format!("http://{}", world.server.app.addresses.http);
    for path in ["/tree/a%252Fb/docs?last_commit=true", "/compare/100%25...feature%2Fx", "/archive/main.zip"]
    {
        let request = client.get(format!("{base}{WEB}{path}")).bearer_auth(world.alice.http.token().unwrap());
        let answer = request.send().await.unwrap();
        let now = format!("/api/projects/alice/hello/repos/site{path}");
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (308, now.as_str()));
    }
    world.stop().await;
}

#[actix_web::test]
async fn names_and_paths_are_never_interpreted() {
    let world = World::start("private").await;
    let refs = [
        "--output=%2Ftmp%2Fx",
        "-h",
        ":%2Fregex",
        "HEAD~1",
        "HEAD@%7B0%7D",
        "main~1",
        "main%5E",
        "@",
        "main@%7B0%7D",
        "..",
        "%2e%2e",
        ".",
        "main..topic",
        "%00",
        "main%00",
        "%0A",
        ":(top)*",
        "refs%2Fnetbit%2Fx",
        "refs%2Fheads%2F..%2FHEAD",
        "1111111111111111111111111111111111111111",
        "%FF",
        "*",
        "main:README.md",
    ];
    for name in refs {
        for route in [
            "/tree/{}/src",
            "/blob/{}/-n",
            "/raw/{}/-n",
            "/blame/{}/-n",
            "/archive/{}.zip",
            "/archive/{}.tar.gz",
            "/commits/{}",
            "/compare/main...{}",
            "/compare/{}...main",
            "/commits?ref={}",
        ] {
            let path = route.replace("{}", name);
            let status = world.raw_status(&path).await;
            assert!(matches!(status, 400 | 404), "{path}: {status}");
        }
    }
    for place in [
        "..",
        "%2e%2e",
        "../../config",
        "%2e%2e%2fHEAD",
        "src/../-n",
        ":(top)*",
        "--output=/tmp/x",
        "-h",
        "a%00b",
        "%00",
        "src//main.rs",
        "/-n",
        "*",
        "src/main.rs/",
    ] {
        for route in ["tree", "blob", "raw", "blame"] {
            let path = format!("/{route}/main/{place}");
            let status = world.raw_status(&path).await;
            assert!(matches!(status, 400 | 404), "{path}: {status}");
        }
    }
    // A file that has the name of an option is a file.
    assert_eq!(world.json("/blame/main/-n").await["line_count"], 1);
    world.stop().await;
}

/// Regression: short ids, which users copy from `git log --oneline`, and `HEAD`, for scripts that
/// name no branch, returned 404.
#[actix_web::test]
async fn head_and_short_ids_are_resolved() {
    let world = World::start("private").await;
    let [full, short] =
        [&["rev-parse", "main"][..], &["rev-parse", "--short", "main"]].map(|of| world.git(of));
    assert!(short.len() < 40);
    for name in ["HEAD", &short] {
        for route in ["/tree/{}/src", "/blob/{}/-n", "/blame/{}/-n", "/compare/{}...main"] {
            let path = route.replace("{}", name);
            let answer = world.json(&path).await;
            let commit = answer.get("commit_oid").or(answer.get("base_oid"));
            assert!(commit.is_none_or(|commit| *commit == full), "{path}: {answer}");
        }
        assert_eq!(world.raw_status(&format!("/archive/{name}.zip")).await, 200, "{name}");
        assert_eq!(world.json(&format!("/commits?ref={name}")).await["items"][0]["oid"], full);
        let (answer, _) = world.bytes(&format!("/raw/{name}/-n"), &[]).await;
        assert_eq!(
            answer.headers()["cache-control"],
            "private, no-cache",
            "the name may resolve to another commit later"
        );
    }
    assert_eq!(world.json(&format!("/commits/{short}")).await["oid"], full);
    world.stop().await;
}

#[actix_web::test]
async fn unchanged_answer_is_not_sent_again() {
    let world = World::start("public").await;
    let (oid, old) = (world.git(&["rev-parse", "main"]), world.git(&["rev-parse", "light"]));
    let mut tags = BTreeSet::new();
    for (path, immutable) in [
        ("/tree/main?last_commit=true".to_owned(), false),
        ("/tree/main".to_owned(), false),
        ("/tree".to_owned(), false),
        (format!("/tree/{oid}"), true),
        ("/blob/main/-n".to_owned(), false),
        (format!("/raw/{oid}/-n"), true),
        ("/commits".to_owned(), false),
        (format!("/commits?ref={oid}"), true),
        (format!("/commits/{oid}"), true),
        ("/compare/light...main".to_owned(), false),
        (format!("/compare/{old}...main"), false),
        (format!("/compare/{old}...{oid}"), true),
        (format!("/blame/{oid}/-n"), true),
        ("/archive/main.tar.gz".to_owned(), false),
        (format!("/archive/{oid}.zip"), true),
    ] {
        let (answer, _) = world.bytes(&path, &[]).await;
        assert_eq!(answer.status(), 200, "{path}");
        let wanted = if immutable { "private, max-age=31536000, immutable" } else { "private, no-cache" };
        assert_eq!(header(&answer, "cache-control"), wanted, "{path}");
        let tag = header(&answer, "etag").to_owned();
        assert!(tag.starts_with('"') && tags.insert(tag.clone()), "{path}: {tag}");
        let (again, _) = world.bytes(&path, &[("if-none-match", &format!("\"x\", W/{tag}"))]).await;
        assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, tag.as_str()), "{path}");
        assert_eq!(header(&again, "cache-control"), wanted);
    }
    // The branch moves, so the cached answer is outdated.
    let (before, _) = world.bytes("/tree/main", &[]).await;
    let (at, host) = (world.path(), world.server.app.addresses.http);
    blocking(move || {
        commit(&at, "Fourth");
        git(&at, &["push", "-q", &format!("http://alice:correct%20horse@{host}/alice/hello/web"), "main"]);
    })
    .await;
    let (after, _) = world.bytes("/tree/main", &[("if-none-match", header(&before, "etag"))]).await;
    assert_eq!(after.status(), 200);
    assert_ne!(header(&after, "etag"), header(&before, "etag"));
    world.stop().await;
}

/// Regression: the answer for a commit that omitted an unreadable file stayed in caches for a year.
#[actix_web::test]
async fn answer_that_lacks_an_object_is_not_cached() {
    // The search index has the file that is lost below, so it is not compared with the repository.
    let server = TestServer::with_limits(|limits| limits.search_compared = 0).await;
    let world = World::on(server, "private").await;
    let (head, blob) = (world.git(&["rev-parse", "main"]), world.git(&["rev-parse", "main:src/main.rs"]));
    let routes =
        [format!("/commits/{head}"), format!("/compare/{head}~1...{head}"), format!("/tree/{head}/src")]
            .map(|path| path.replace(&format!("{head}~1"), &world.git(&["rev-parse", "main~1"])));
    let cached = async |path: &String| {
        let answer = world.alice.get(&format!("{WEB}{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(
            answer.header("etag").is_some(),
            answer.header("cache-control") != Some("private, no-cache")
        );
        answer.header("etag").is_some()
    };
    for path in &routes {
        assert!(cached(path).await, "{path}");
    }
    let repository = world.server.only_repository();
    let script = "mv objects/pack/*.pack . && rm -f objects/pack/* && for pack in *.pack; do git unpack-objects -q < $pack; done";
    blocking(move || {
        run("sh", &repository, &["-c", &format!("GIT_DIR=. && export GIT_DIR && {script}")]);
        std::fs::remove_file(repository.join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    })
    .await;
    for path in &routes {
        assert!(!cached(path).await, "{path}");
    }
    world.stop().await;
}

/// Returns one address of every route.
pub(super) fn every_route(oid: &str) -> Vec<String> {
    [
        "/branches",
        "/tags",
        "/tree",
        "/tree/main",
        "/tree/main/src",
        "/blob/main/-n",
        "/raw/main/-n",
        "/files/main",
        "/commits",
        "/compare/light...main",
        "/blame/main/-n",
        "/archive/main.tar.gz",
        "/archive/main.zip",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([format!("/commits/{oid}")])
    .collect()
}

#[actix_web::test]
async fn private_repository_is_hidden_from_non_readers_public_is_not() {
    let world = World::start("private").await;
    let eve = world.server.user("eve").await;
    let routes = every_route(&world.git(&["rev-parse", "main"]));
    for path in &routes {
        let path = format!("{WEB}{path}");
        assert_problem(&world.server.http.get(&path).await.unwrap(), 401, "unauthenticated");
        assert_problem(&eve.get(&path).await, 404, "not_found");
        let missing = path.replace("/repos/web", "/repos/none");
        assert_eq!(eve.get(&missing).await.body["detail"], eve.get(&path).await.body["detail"], "{path}");
    }
    let open = world.alice.patch("/api/projects/alice/hello", json!({"visibility": "public"})).await;
    assert_eq!(open.status, 200);
    for path in &routes {
        let url = format!("http://{}{WEB}{path}", world.server.app.addresses.http);
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 200, "{path}");
    }
    world.stop().await;
}
