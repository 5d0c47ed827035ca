//! The pages of the contents of a repository, as a browser loads them.

use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::browsing::{World, blocking, commit, git, write};
use crate::harness::TestServer;
use crate::harness::browser::{Browser, Page, text_of};

const HOME: &str = "/alice/hello/web";
/// Maximum size of a page with its style sheet and its script, compressed.
const PAGE_BYTES_MAX: usize = 40_000;

async fn at(browser: &Browser, path: &str) -> Page {
    browser.get(&format!("{HOME}{path}")).await
}

/// Returns the values of an attribute, unescaped.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let begin = format!(" {name}=\"");
    let values = html.split(&begin).skip(1);
    let values = values.filter_map(|rest| rest.split_once('"').map(|(value, _)| value.to_owned()));
    values.map(|value| value.replace("&#38;", "&").replace("&amp;", "&").replace("&#39;", "'")).collect()
}

#[actix_web::test]
async fn repository_page_shows_files_readme_and_last_commit() {
    let world = World::start("private").await;
    let alice = Browser::login(&world.server, "alice").await;
    let page = at(&alice, "").await;
    page.expect(200, "Private");
    page.expect(200, "Ann Author Third");
    page.expect(200, "Branch main");
    page.expect(200, &format!("git clone http://{}/alice/hello/web.git", world.server.app.addresses.http));
    assert!(page.html.contains("<title>alice/hello/web · NetBit</title>"), "{}", page.html);
    assert!(page.html.contains("<p>hello\nworld</p>"), "the README is rendered");
    let names: Vec<_> = page.html.split("<td class=\"name\">").skip(1).map(text_of).collect();
    let first: Vec<_> = names.iter().filter_map(|row| row.split_whitespace().next()).collect();
    assert_eq!(first[..2], ["docs", "src"], "folders come first");
    assert!(names[1].contains("Third"), "{names:?}");
    let topic = at(&alice, "/-/tree/topic/src").await;
    topic.expect(200, "topic.rs");
    assert!(topic.html.contains("href=\"/alice/hello/web/-/blob/topic/src/topic.rs\""));
    world.server.stop().await;
}

#[actix_web::test]
async fn empty_repository_page_shows_commands_with_its_address() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let person = server.login("alice").await;
    person.hello_web("public").await;
    let page = at(&alice, "").await;
    page.expect(200, &format!("git clone http://alice@{}/alice/hello/web.git", server.app.addresses.http));
    page.expect(200, "git push -u origin HEAD:main");
    let reader = Browser::register(&server, "carol").await;
    at(&reader, "").await.expect(200, "When a member pushes");
    at(&reader, "/-/tree/main").await.expect(404, "Page not found");
    server.stop().await;
}

#[actix_web::test]
async fn project_page_shows_readme_of_first_repository_with_commits() {
    let world = World::start("public").await;
    let anyone = Browser::anonymous(&world.server);
    for name in ["a", "hello"] {
        let made = world.alice.post("/api/projects/alice/hello/repos/create", json!({"name": name})).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }
    let page = anyone.get("/alice/hello").await;
    assert!(page.html.contains("<p>hello\nworld</p>"), "{}", page.text());
    assert!(page.html.contains("href=\"/alice/hello/web/-/blob/main/README.md\""), "{}", page.html);
    // The repository with the name of the project comes first, once it has a commit.
    let (folder, host) = (world.path(), world.server.app.addresses.http);
    blocking(move || {
        let url = format!("http://alice:correct%20horse@{host}/alice/hello/hello");
        git(&folder, &["push", "-q", &url, "v1.0^{commit}:refs/heads/main"]);
    })
    .await;
    let page = anyone.get("/alice/hello").await;
    assert!(page.html.contains("href=\"/alice/hello/hello/-/blob/main/README.md\""), "{}", page.html);
    world.server.stop().await;
}

#[actix_web::test]
async fn former_names_and_clone_address_lead_to_the_page() {
    let world = World::start("public").await;
    let anyone = Browser::anonymous(&world.server);
    let page = at(&anyone, ".git").await;
    assert_eq!((page.status, page.header("location")), (301, HOME));
    let renamed = world.alice.patch("/api/projects/alice/hello/repos/web", json!({"name": "site"})).await;
    assert_eq!(renamed.status, 200, "{}", renamed.body);
    for (path, now) in [
        ("", ""),
        (
            "/-/blob/main/docs/a%20b%23c%3Fd%2541+%C3%BC.txt",
            "/-/blob/main/docs/a%20b%23c%3Fd%2541+%C3%BC.txt",
        ),
        ("/-/find/main?q=x", "/-/find/main?q=x"),
    ] {
        let page = at(&anyone, path).await;
        let moved = format!("/alice/hello/site{now}");
        assert_eq!((page.status, page.header("location")), (308, moved.as_str()), "{path}");
    }
    world.server.stop().await;
}

/// Views whose pages exist here.
const VIEWS: [&str; 8] = ["tree", "blob", "blame", "raw", "image", "find", "archive", "go"];

#[actix_web::test]
async fn every_link_of_code_pages_leads_to_a_page() {
    let world = World::start("public").await;
    let anyone = Browser::anonymous(&world.server);
    let mut waiting = VecDeque::from([HOME.to_owned()]);
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    while let Some(path) = waiting.pop_front() {
        let page = anyone.get(&path).await;
        let is_sound =
            matches!(page.status, 200 | 302) || path.contains("large.txt") || path.contains(".bin");
        assert!(is_sound, "{path}: {} {}", page.status, page.text());
        pages += 1;
        if !page.header("content-type").starts_with("text/html") {
            continue;
        }
        assert_eq!(page.html.matches("<h1").count(), 1, "{path}");
        assert!(!page.html.contains(" style=") && !page.html.contains(" onclick="), "{path}");
        assert!(!page.html.contains("<script>alert"), "{path}");
        for link in attributes(&page.html, "href").into_iter().chain(attributes(&page.html, "src")) {
            let link = link.split('#').next().unwrap_or_default().to_owned();
            let view = link.strip_prefix(&format!("{HOME}/-/")).and_then(|rest| rest.split('/').next());
            // Two refs with hard names are enough.
            let is_wanted = link.contains("/main") || link.contains("a%252Fb") || link.contains("100%25");
            if view.is_some_and(|view| VIEWS.contains(&view)) && is_wanted && seen.insert(link.clone()) {
                waiting.push_back(link);
            }
        }
    }
    assert!(
        pages > 60 && seen.iter().any(|link| link.contains("blob/a%252Fb/docs/a%20b")),
        "{pages} {seen:?}"
    );
    world.server.stop().await;
}

#[actix_web::test]
async fn file_page_fits_the_kind_of_the_file() {
    let world = World::start("public").await;
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146a4d7a2146a4d7a2146a4d7a2146a4d7a2146a4d7a2146a4d7a2146a0\nsize 12345\n";
    let (folder, host) = (world.path(), world.server.app.addresses.http);
    blocking(move || {
        write(&folder, "big.psd", pointer);
        write(&folder, "hidden.rs", "let admin = \"\u{202e}x\";\n");
        write(&folder, "latin.txt", b"caf\xe9\n");
        std::os::unix::fs::symlink("src/main.rs", folder.join("link")).unwrap();
        commit(&folder, "Kinds");
        git(
            &folder,
            &["push", "-q", &format!("http://alice:correct%20horse@{host}/alice/hello/web"), "main"],
        );
    })
    .await;
    let anyone = Browser::anonymous(&world.server);
    for (file, text) in [
        ("src/main.rs", "4 lines"),
        ("src/main.rs", "Rust"),
        ("empty", "This file is empty."),
        ("bytes%20%22x%22.bin", "This is not a text file."),
        ("large.txt", "This file is too large to be shown."),
        ("big.psd", "This file is stored with Git LFS, 12.1 KiB"),
        ("hidden.rs", "This file has invisible characters"),
        ("latin.txt", "This file is not UTF-8"),
        ("link", "This is a symbolic link to src/main.rs"),
        ("README.md", "Rendered Source"),
    ] {
        at(&anyone, &format!("/-/blob/main/{file}")).await.expect(200, text);
    }
    let code = at(&anyone, "/-/blob/main/src/main.rs").await.html;
    assert!(code.contains("<span id=\"L2\"><span class=\"hl-"), "{code}");
    let rendered = at(&anyone, "/-/blob/main/README.md").await.html;
    assert!(rendered.contains("<p>hello\nworld</p>") && !rendered.contains("id=\"L1\""), "{rendered}");
    let source = at(&anyone, "/-/blob/main/README.md?plain=1").await.html;
    assert!(source.contains("id=\"L4\"") && !source.contains("<p>hello\nworld</p>"), "{source}");
    let image = at(&anyone, "/-/blob/main/image.svg").await.html;
    assert!(image.contains("<img src=\"/alice/hello/web/-/image/main/image.svg\""), "{image}");
    let folder = at(&anyone, "/-/blob/main/src").await;
    assert_eq!((folder.status, folder.header("location")), (302, "/alice/hello/web/-/tree/main/src"));
    let file = at(&anyone, "/-/tree/main/README.md").await;
    assert_eq!((file.status, file.header("location")), (302, "/alice/hello/web/-/blob/main/README.md"));
    world.server.stop().await;
}

#[actix_web::test]
async fn contents_are_sent_in_a_sandbox() {
    let world = World::start("public").await;
    let anyone = Browser::anonymous(&world.server);
    let sandbox = "default-src 'none'; frame-ancestors 'none'; sandbox";
    let html = at(&anyone, "/-/raw/main/page.html").await;
    assert_eq!((html.status, html.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert_eq!(html.header("content-security-policy"), sandbox);
    assert_eq!(
        (html.header("x-content-type-options"), html.html.as_str()),
        ("nosniff", "<script>alert(1)</script>\n")
    );
    let bytes = at(&anyone, "/-/raw/main/bytes%20%22x%22.bin").await;
    assert!(bytes.header("content-disposition").starts_with("attachment; filename=\"bytes__x_.bin\""));
    let image = at(&anyone, "/-/image/main/image.svg").await;
    assert_eq!((image.status, image.header("content-type")), (200, "image/svg+xml"));
    let svg = "default-src 'none'; frame-ancestors 'none'; style-src 'unsafe-inline'; sandbox";
    assert_eq!(
        (image.header("content-security-policy"), image.header("x-content-type-options")),
        (svg, "nosniff")
    );
    at(&anyone, "/-/image/main/page.html").await.expect(404, "The file is not an image");
    for (end, kind) in [("tar.gz", "application/gzip"), ("zip", "application/zip")] {
        let archive = at(&anyone, &format!("/-/archive/feature/x.{end}")).await;
        let name = format!("attachment; filename=\"web-feature-x.{end}\"");
        assert_eq!((archive.status, archive.header("content-type")), (200, kind));
        assert_eq!(archive.header("content-disposition"), name);
    }
    let oid = world.git(&["rev-parse", "main"]);
    for (reference, folder) in
        [("feature/x", "web-feature-x"), ("v1.0", "web-v1.0"), (&oid, &format!("web-{}", &oid[..12]))]
    {
        let zip = at(&anyone, &format!("/-/archive/{reference}.zip")).await.html;
        assert!(zip.contains(&format!("{folder}/src/main.rs")), "{reference}");
    }
    at(&anyone, "/-/archive/main.rar").await.expect(400, "ends in .tar.gz or .zip");
    world.server.stop().await;
}

#[actix_web::test]
async fn blame_page_groups_lines_and_leads_further_back() {
    let world = World::start("public").await;
    let anyone = Browser::anonymous(&world.server);
    let page = at(&anyone, "/-/blame/main/src/main.rs").await;
    page.expect(200, "Lines 1–4 of 4");
    assert_eq!(page.html.matches("<th scope=\"row\" class=\"age-0\">").count(), 2, "{}", page.html);
    let before = world.git(&["rev-parse", "main~1"]);
    let link = format!("{HOME}/-/blame/{before}/src/main.rs");
    assert!(page.html.contains(&link), "{}", page.html);
    page.expect(200, "before this");
    anyone.get(&link).await.expect(200, "Lines 1–3 of 3");
    let long = at(&anyone, "/-/blame/main/long.txt").await;
    long.expect(200, "Lines 1–1000 of 1500");
    let next = "/-/blame/main/long.txt?from=1001";
    assert!(
        long.html.contains(next) && long.html.contains("id=\"L1000\"") && !long.html.contains("id=\"L1001\"")
    );
    let rest = at(&anyone, next).await;
    rest.expect(200, "Lines 1001–1500 of 1500");
    assert!(rest.html.contains("<span id=\"L1500\">line 1500</span>"), "{}", rest.text());
    at(&anyone, "/-/blame/main/long.txt?from=1501").await.expect(400, "The file has 1500 lines");
    at(&anyone, "/-/blame/main/src/main.rs?ignore=1").await.expect(200, "names no commits to skip");
    world.server.stop().await;
}

#[actix_web::test]
async fn missing_ref_or_file_keeps_the_tabs() {
    let world = World::start("public").await;
    let anyone = Browser::anonymous(&world.server);
    let ref_starts = "No branch, tag or commit is at the start of nosuch/a b.";
    for (path, text) in [
        ("tree/nosuch", "No branch, tag or commit is called nosuch."),
        ("blob/nosuch/a%20b", ref_starts),
        ("raw/nosuch/a%20b", ref_starts),
        ("archive/nosuch.zip", "No branch, tag or commit is called nosuch."),
        ("commits/nosuch", "No branch, tag or commit is called nosuch."),
        ("commit/0123456789", "No branch, tag or commit is called 0123456789."),
        ("blob/main/docs/x.md", "No file docs/x.md in main."),
        ("blame/main/docs/x.md", "No file docs/x.md in main."),
        ("tree/feature/x/lib", "No folder lib in feature/x."),
    ] {
        let page = at(&anyone, &format!("/-/{path}")).await;
        page.expect(404, text);
        page.expect(404, "Files of main Find a file");
        assert!(page.html.contains(&format!("href=\"{HOME}/-/branches\"")), "{path}: the tabs");
        let find = if path.contains("feature") { "feature/x" } else { "main" };
        assert!(page.html.contains(&format!("href=\"{HOME}/-/find/{find}\"")), "{path}: the finder");
    }
    world.server.stop().await;
}

#[actix_web::test]
async fn finder_page_lists_matching_files() {
    let world = World::start("public").await;
    let anyone = Browser::anonymous(&world.server);
    let found = async |query: &str| {
        let page = at(&anyone, &format!("/-/find/topic?q={query}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let list = page.html.split_once("data-found>").unwrap().1;
        let list = list.split_once("</ul>").unwrap().0.to_owned();
        (list.matches("<li>").count(), text_of(&list))
    };
    assert_eq!(found("topic").await, (1, "src/topic.rs".to_owned()));
    assert_eq!(found("sr/to").await, (1, "src/topic.rs".to_owned()));
    assert_eq!(found("srcmn").await, (1, "src/main.rs".to_owned()));
    assert_eq!(found("none-such").await.0, 0);
    assert_eq!(found("").await.0, 11, "all files");
    let go = at(&anyone, "/-/go?ref=feature%2Fx&view=find").await;
    go.expect_redirect("/alice/hello/web/-/find/feature/x");
    at(&anyone, "/-/go?ref=nothing").await.expect(404, "No branch, tag or commit is called nothing.");
    world.server.stop().await;
}

#[actix_web::test]
async fn pages_of_private_repository_are_for_members() {
    let world = World::start("private").await;
    let (anyone, stranger) =
        (Browser::anonymous(&world.server), Browser::register(&world.server, "mallory").await);
    let oid = world.git(&["rev-parse", "main"]);
    let views =
        ["tree/main", "blob/main/README.md", "blame/main/README.md", "find/main", "raw/main/README.md"];
    let more =
        ["image/main/image.svg".to_owned(), "archive/main.zip".to_owned(), format!("blob/{oid}/README.md")];
    let paths = views.map(str::to_owned).into_iter().chain(more).map(|view| format!("{HOME}/-/{view}"));
    for path in paths.chain([HOME.to_owned(), format!("{HOME}/-/go?ref=main")]) {
        let page = anyone.get(&path).await;
        assert_eq!(page.status, 303, "{path}");
        assert!(page.header("location").starts_with("/login?next="), "{path}");
        let page = stranger.get(&path).await;
        page.expect(404, "Page not found");
        assert!(!page.html.contains("hello/web.git") && !page.text().contains("Third"), "{path}");
    }
    world.server.stop().await;
}

#[actix_web::test]
async fn file_page_is_not_sent_again_until_it_changes() {
    let world = World::start("public").await;
    let alice = Browser::login(&world.server, "alice").await;
    let status = async |browser: &Browser, path: &str, tag: &str| {
        let url = format!("http://{}{HOME}{path}", world.server.app.addresses.http);
        let request = reqwest::Client::new().get(url).header("cookie", browser.cookie());
        let response = request.header("if-none-match", tag).send().await.unwrap();
        let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (response.status().as_u16(), tag.unwrap_or_default())
    };
    let blame = "/-/blame/main/src/main.rs";
    for path in ["/-/blob/main/src/main.rs", blame, "/-/find/main?q=x", "", "/-/raw/main/README.md"] {
        let (_, tag) = status(&alice, path, "none").await;
        assert_eq!(status(&alice, path, &tag).await, (304, tag), "{path}");
    }
    let path = "/-/blob/main/src/main.rs";
    let (_, tag) = status(&alice, path, "none").await;
    let anyone = Browser::anonymous(&world.server);
    assert_eq!(status(&anyone, path, &tag).await.0, 200, "the page names its reader");
    let changed = world.alice.patch("/api/projects/alice/hello", json!({"visibility": "private"})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(status(&alice, path, &tag).await.0, 200, "the page shows who may read");
    world.server.stop().await;
}

fn packed(text: &str) -> usize {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap().len()
}

#[actix_web::test]
async fn code_page_and_its_files_stay_below_their_budget() {
    let world = World::start("public").await;
    let anyone = Browser::anonymous(&world.server);
    for path in
        ["", "/-/tree/main/src", "/-/blob/main/src/main.rs", "/-/blame/main/src/main.rs", "/-/find/main"]
    {
        let html = at(&anyone, path).await.html;
        let links = attributes(&html, "href").into_iter().chain(attributes(&html, "src"));
        let files: BTreeSet<_> = links.filter(|link| link.starts_with("/assets/")).collect();
        assert_eq!(files.len(), 3, "style sheet, script, icon: {files:?}");
        let mut bytes = packed(&html);
        for file in &files {
            bytes += packed(&anyone.page(file).await);
        }
        assert!(bytes <= PAGE_BYTES_MAX, "{path}: {bytes} bytes");
    }
    let url = format!("http://{}{HOME}/-/blob/main/long.txt", world.server.app.addresses.http);
    let response = reqwest::Client::new().get(url).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let (mut html, bytes) = (String::new(), response.bytes().await.unwrap());
    GzDecoder::new(&*bytes).read_to_string(&mut html).unwrap();
    assert!(html.contains("<span id=\"L1500\">line 1500</span>") && bytes.len() < 20_000, "{}", bytes.len());
    world.server.stop().await;
}
