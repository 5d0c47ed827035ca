//! The pages of a repository's history, as a browser sees them.

use std::path::Path;

use serde_json::json;

use crate::browsing::{World, blocking, commit, git, write};
use crate::harness::browser::{Browser, Page, text_of};

const WEB: &str = "/alice/hello/web/-";

/// Makes changes in the working copy and pushes all branches and tags.
async fn push(world: &World, change: impl FnOnce(&Path) + Send + 'static) {
    let (at, host) = (world.path(), world.server.app.addresses.http);
    blocking(move || {
        change(&at);
        let url = format!("http://alice:correct%20horse@{host}/alice/hello/web");
        git(&at, &["push", "-q", "--all", &url]);
        git(&at, &["push", "-q", "--tags", &url]);
    })
    .await;
}

/// Returns the part of a page from the first to the second text.
#[track_caller]
fn between<'p>(html: &'p str, from: &str, to: &str) -> &'p str {
    let (_, rest) = html.split_once(from).unwrap_or_else(|| panic!("{from:?} is not in {html}"));
    rest.split_once(to).map_or(rest, |(part, _)| part)
}

/// Returns the HTML of the file with this name in a page of changes, up to the next file.
#[track_caller]
fn file<'p>(html: &'p str, path: &str) -> &'p str {
    let files = html.split("<details class=\"diff-file\"").skip(1);
    let named = format!("<bdi>{path}</bdi></h3>");
    files.into_iter().find(|file| file.contains(&named)).unwrap_or_else(|| panic!("{path} is not in {html}"))
}

/// Asserts a redirect of a page to another page.
#[track_caller]
fn assert_found_at(page: &Page, to: &str) {
    assert_eq!((page.status, page.header("location")), (302, to), "{}", page.text());
}

#[actix_web::test]
async fn commits_are_listed_by_day_and_page() {
    let world = World::start("private").await;
    push(&world, |at| {
        for number in 0..60 {
            commit(at, &format!("Note {number}"));
        }
    })
    .await;
    let browser = Browser::login(&world.server, "alice").await;
    assert_found_at(&browser.get(&format!("{WEB}/commits")).await, &format!("{WEB}/commits/main"));
    let first = browser.page(&format!("{WEB}/commits/main")).await;
    let text = text_of(&first);
    assert!(text.contains("Note 59 Ann Author committed"), "{text}");
    assert!(text.contains("Note 10 ") && !text.contains("Note 9 "), "fifty commits a page: {text}");
    let head = world.git(&["rev-parse", "main"]);
    assert!(first.contains(&format!("href=\"{WEB}/commit/{head}\"")));
    let day = jiff::Timestamp::now().strftime("%Y").to_string();
    assert!(between(&first, "<h3>", "</h3>").ends_with(&day), "{first}");
    let older = between(&first, &format!("href=\"{WEB}/commits/main?cursor="), "\"");
    let second = browser.page(&format!("{WEB}/commits/main?cursor={older}")).await;
    let text = text_of(&second);
    assert!(text.contains("Note 9 ") && text.contains("First ") && !text.contains("Note 10 "), "{text}");
    assert!(text.contains("Newest") && !text.contains("Older"));
    browser.get(&format!("{WEB}/commits/main?cursor=x")).await.expect(400, "not the id of a commit");
    browser.get(&format!("{WEB}/commits/none")).await.expect(404, "No branch, tag or commit is called none.");
    world.stop().await;
}

#[actix_web::test]
async fn history_of_a_path_has_its_commits_only() {
    let world = World::start("private").await;
    let browser = Browser::login(&world.server, "alice").await;
    for (path, expected) in [
        ("main/src/main.rs", ["First", "Second", "Third"].as_slice()),
        ("feature/x/src", &["First", "Second"]),
        ("main/docs/a%20b%23c%3Fd%2541%2B%C3%BC.txt", &["First"]),
    ] {
        let html = browser.page(&format!("{WEB}/commits/{path}")).await;
        for summary in ["First", "Second", "Third", "Topic"] {
            let is_listed = html.contains(&format!("dir=\"auto\">{summary}</a>"));
            assert_eq!(is_listed, expected.contains(&summary), "{path}: {summary}");
        }
    }
    let none = browser.page(&format!("{WEB}/commits/main/never/was")).await;
    assert!(text_of(&none).contains("No commit of this history changed this path."));
    world.stop().await;
}

#[actix_web::test]
async fn commit_shows_message_and_marked_changes() {
    let world = World::start("private").await;
    world.server.user("bob").await;
    let first = world.git(&["rev-parse", "main~2"]);
    let message = format!("Say <b>\n\nAs {} and @bob, not @carl.\n\nFixes: {first}", &first[..9]);
    push(&world, move |at| {
        write(at, "src/main.rs", "// new\nfn main() {\n    println!(\"<script>\");\n}\n");
        git(at, &["mv", "empty", "moved"]);
        git(at, &["update-index", "--chmod=+x", "README.md"]);
        write(at, "bytes \"x\".bin", b"\0\x02");
        write(at, "Cargo.lock", "a\n");
        write(at, "many", "x\n".repeat(401));
        git(at, &["-c", "core.fileMode=false", "add", "-A"]);
        git(at, &["commit", "-q", "-m", &message]);
    })
    .await;
    let browser = Browser::login(&world.server, "alice").await;
    let (head, parent) = (world.git(&["rev-parse", "main"]), world.git(&["rev-parse", "main~1"]));
    assert_found_at(
        &browser.get(&format!("{WEB}/commit/{}", &head[..8])).await,
        &format!("{WEB}/commit/{head}"),
    );
    let page = browser.get(&format!("{WEB}/commit/{head}")).await;
    let (html, text) = (&page.html, page.text());
    assert!(text.contains("Say <b> Files at this commit As"), "{text}");
    assert!(html.contains(&format!("<a href=\"{WEB}/commit/{first}\">{}</a>", &first[..9])), "{html}");
    assert!(html.contains(&format!("<dd dir=\"auto\"><a href=\"{WEB}/commit/{first}\">")));
    assert!(html.contains("<a href=\"/people/bob\">@bob</a>") && !html.contains("/people/carl"));
    assert!(text.contains("Ann Author wrote it") && text.contains("Carl Committer committed it"));
    assert!(html.contains(&format!("href=\"{WEB}/commit/{parent}\"")));
    let changed = file(html, "src/main.rs");
    let row = "<tr class=\"diff-added\"><td data-new=\"3\">+</td><td>    println!(<span class=\"diff-word\">&quot;&lt;script&gt;&quot;</span>";
    assert!(changed.contains(row), "{changed}");
    assert!(changed.contains("<tr class=\"diff-removed\"><td data-old=\"3\">\u{2212}</td>"));
    assert!(changed.contains(&format!("href=\"{WEB}/blob/{head}/src/main.rs\"")));
    assert!(file(html, "moved").contains("<bdi>empty</bdi>"));
    assert!(file(html, "README.md").contains("mode 100644 → 100755"));
    assert!(html.contains("Binary file"));
    for closed in ["Cargo.lock", "many"] {
        let file = file(html, closed);
        assert!(!file.contains("<tr") && !file.contains(" open>"), "{file}");
        assert!(file.contains(&format!("href=\"{WEB}/commit/{head}?file={closed}\"")));
    }
    let alone = browser.page(&format!("{WEB}/commit/{head}?file=many")).await;
    assert_eq!(alone.matches("<tr class=\"diff-added\">").count(), 401);
    assert!(!alone.contains("Cargo.lock"));
    let missing = browser.get(&format!("{WEB}/commit/{head}?file=nope")).await;
    missing.expect(404, "No such file in the changes.");
    world.stop().await;
}

#[actix_web::test]
async fn changes_ignore_white_space_and_show_context() {
    let world = World::start("private").await;
    push(&world, |at| {
        write(
            at,
            "long.txt",
            (1..=1500)
                .map(|n| format!("line {n}\n"))
                .collect::<String>()
                .replace("line 700\n", "line  700\n"),
        );
        write(at, "src/main.rs", "// newer\nfn main() {\n    println!();\n}\n");
        commit(at, "Space");
    })
    .await;
    let browser = Browser::login(&world.server, "alice").await;
    let page = format!("{WEB}/commit/{}", world.git(&["rev-parse", "main"]));
    let plain = browser.page(&page).await;
    assert!(file(&plain, "long.txt").contains("<tr"));
    assert!(plain.contains(&format!("href=\"{page}?whitespace=ignore\"")));
    let ignoring = browser.page(&format!("{page}?whitespace=ignore")).await;
    assert!(file(&ignoring, "long.txt").contains("Only white space changed."), "{ignoring}");
    assert!(file(&ignoring, "src/main.rs").contains("<tr"));
    let more = format!("{page}?file=long.txt&amp;context=20");
    assert!(plain.contains(&more.replace("&amp;", "&#38;")) || plain.contains(&more), "{plain}");
    let wide = browser.page(&format!("{page}?file=long.txt&context=20")).await;
    assert_eq!(wide.matches("<tr class=\"diff-context\">").count(), 40);
    browser.get(&format!("{page}?context=5000")).await.expect(400, "0 to 1000 lines");
    world.stop().await;
}

#[actix_web::test]
async fn changes_are_shown_in_two_columns_on_request() {
    let world = World::start("private").await;
    let browser = Browser::login(&world.server, "alice").await;
    let page = format!("{WEB}/commit/{}", world.git(&["rev-parse", "main"]));
    let one = browser.page(&page).await;
    assert!(one.contains("class=\"changes\"") && one.contains(&format!("href=\"{page}?view=split\"")));
    let two = browser.page(&format!("{page}?view=split")).await;
    assert!(two.contains("class=\"changes split\"") && two.contains(&format!("href=\"{page}\"")), "{two}");
    assert!(two.contains(&format!("href=\"{page}?whitespace=ignore&#38;view=split\"")), "{two}");
    let changed = file(&two, "src/main.rs");
    assert!(changed.contains("<tbody><tr class=\"diff-added\">"), "a change is a run of its own: {changed}");
    world.stop().await;
}

#[actix_web::test]
async fn page_of_many_changes_is_bounded() {
    let world = World::start("private").await;
    push(&world, |at| {
        for number in 0..60 {
            write(at, &format!("many/{number:02}"), format!("{number}\n").repeat(390));
        }
        commit(at, "Many");
    })
    .await;
    let browser = Browser::login(&world.server, "alice").await;
    let page = format!("{WEB}/commit/{}", world.git(&["rev-parse", "main"]));
    let html = browser.page(&page).await;
    let rows = html.matches("<tr").count();
    assert!(rows > 19_000 && rows <= 20_000, "{rows}");
    assert!(file(&html, "many/49").contains("<tr"));
    let closed = text_of(file(&html, "many/50"));
    assert!(closed.contains("long enough") || closed.contains("Too large"), "{closed}");
    let alone = browser.page(&format!("{page}?file=many/59")).await;
    assert_eq!(alone.matches("<tr class=\"diff-added\">").count(), 390);
    world.stop().await;
}

#[actix_web::test]
async fn comparison_shows_commits_and_changes() {
    let world = World::start("private").await;
    let browser = Browser::login(&world.server, "alice").await;
    let html = browser.page(&format!("{WEB}/compare/main...topic")).await;
    let text = text_of(&html);
    assert!(text.contains("topic is 1 commit ahead of main and 1 commit behind."), "{text}");
    assert!(text.contains("Topic Ann Author committed") && !text.contains("Third"));
    assert!(file(&html, "src/topic.rs").contains("// topic"));
    assert!(text.contains("git diff origin/main...origin/topic"), "{text}");
    let odd = browser.page(&format!("{WEB}/compare/topic...issue%237%2Bc%26d%3De")).await;
    assert!(text_of(&odd).contains("has no commit that is not in topic"), "{odd}");
    assert!(text_of(&odd).contains("'origin/topic...origin/issue#7+c&d=e'"));
    let chosen = browser.get(&format!("{WEB}/compare?base=v1.0&head=feature/x")).await;
    assert_found_at(&chosen, &format!("{WEB}/compare/v1.0...feature/x"));
    let form = browser.page(&format!("{WEB}/compare")).await;
    assert!(form.contains("name=\"base\" value=\"main\"") && form.contains("<option value=\"v1.0\">"));
    let bad = browser.get(&format!("{WEB}/compare/main...nope")).await;
    bad.expect(404, "No branch, tag or commit has this name.");
    assert!(bad.html.contains("value=\"nope\""));
    world.stop().await;
}

#[actix_web::test]
async fn branches_and_tags_are_listed() {
    let world = World::start("private").await;
    push(&world, |at| {
        for number in 0..60 {
            git(at, &["branch", &format!("b/{number:02}")]);
        }
        git(at, &["tag", "topic", "topic"]);
    })
    .await;
    let rules = json!({"protected_branches": [{"pattern": "b/0*"}]});
    assert_eq!(world.alice.put("/api/projects/alice/hello/config", rules).await.status, 200);
    let browser = Browser::login(&world.server, "alice").await;
    let first = browser.page(&format!("{WEB}/branches")).await;
    let text = text_of(&first);
    assert!(text.contains("b/09 protected") && !text.contains("b/10 protected"), "{text}");
    let picker = text_of(between(&browser.page("/alice/hello/web").await, "id=\"picker-branches\"", "</ul>"));
    assert!(picker.contains("b/09 protected") && !picker.contains("b/10 protected"), "{picker}");
    assert!(first.contains(&format!("href=\"{WEB}/compare/main...b/00\"")), "{first}");
    let next = between(&first, &format!("href=\"{WEB}/branches?after="), "\"");
    let second = browser.page(&format!("{WEB}/branches?after={next}")).await;
    let text = text_of(&second);
    assert!(text.contains("main default") && text.contains("Third"), "{text}");
    assert!(second.contains(&format!("href=\"{WEB}/tree/issue%237%2Bc%26d%3De\"")));
    let tags = browser.page(&format!("{WEB}/tags")).await;
    assert!(text_of(&tags).contains("v1.0 One Carl Committer"), "{tags}");
    assert!(tags.contains(&format!("href=\"{WEB}/archive/v1.0.zip\"")));
    assert!(tags.contains(&format!("href=\"{WEB}/tree/refs/tags/topic\"")), "also the name of a branch");
    world.stop().await;
}

#[actix_web::test]
async fn history_without_commits_leads_to_first_push() {
    let world = World::start("private").await;
    let made = world.alice.post("/api/projects/alice/hello/repos/create", json!({"name": "bare"})).await;
    assert_eq!(made.status, 201);
    let browser = Browser::login(&world.server, "alice").await;
    for page in ["commits/main", "branches"] {
        let html = browser.page(&format!("/alice/hello/bare/-/{page}")).await;
        assert!(text_of(&html).contains("How to push the first commit"), "{page}: {html}");
    }
    let tags = browser.page("/alice/hello/bare/-/tags").await;
    assert!(text_of(&tags).contains("No tags yet."));
    browser.get("/alice/hello/bare/-/commits/nope").await.expect(200, "no commits");
    world.stop().await;
}

#[actix_web::test]
async fn history_page_is_not_sent_again_to_its_reader() {
    let world = World::start("private").await;
    let browser = Browser::login(&world.server, "alice").await;
    let head = world.git(&["rev-parse", "main"]);
    let request = async |page: &str, cookie: String, tag: &str| {
        let url = format!("http://{}{WEB}/{page}", world.server.app.addresses.http);
        let request = reqwest::Client::new().get(url).header("cookie", cookie).header("if-none-match", tag);
        request.header("accept", "text/html").send().await.unwrap().status().as_u16()
    };
    let other = Browser::login(&world.server, "alice").await;
    let commit = format!("commit/{head}");
    for page in [commit.as_str(), "commits/main", "compare/v1.0...main", "branches"] {
        let tag = browser.get(&format!("{WEB}/{page}")).await.header("etag").to_owned();
        assert!(!tag.is_empty(), "{page}");
        assert_eq!(request(page, browser.cookie(), &tag).await, 304, "{page}");
        assert_eq!(request(page, other.cookie(), &tag).await, 304, "{page}: the same user");
        assert_eq!(request(page, format!("{}; theme=dark", browser.cookie()), &tag).await, 200, "{page}");
    }
    world.stop().await;
}

#[actix_web::test]
async fn history_of_private_project_is_hidden() {
    let world = World::start("private").await;
    world.server.user("bob").await;
    let head = world.git(&["rev-parse", "main"]);
    let (anonymous, bob) = (Browser::anonymous(&world.server), Browser::login(&world.server, "bob").await);
    let commit = format!("commit/{head}");
    for page in ["commits/main", "commits", &commit, "compare", "compare/v1.0...main", "branches", "tags"] {
        let path = format!("{WEB}/{page}");
        let refused = anonymous.get(&path).await;
        assert_eq!(refused.status, 303, "{page}");
        assert!(refused.header("location").starts_with("/login?next=%2Falice%2Fhello%2Fweb"), "{page}");
        bob.get(&path).await.expect(404, "not found");
    }
    let public = json!({"visibility": "public"});
    assert_eq!(world.alice.patch("/api/projects/alice/hello", public).await.status, 200);
    for page in ["commits/main", &commit, "branches"] {
        let html = anonymous.page(&format!("{WEB}/{page}")).await;
        assert!(html.contains("<h1") && html.matches("<h1").count() == 1);
        assert!(!html.contains("style=") && !html.contains("onclick"), "{page}");
    }
    world.stop().await;
}
