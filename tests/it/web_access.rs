//! A page shows what the API returns to the same user, and forms change what the API lets change.

use netbit::client::HttpClient;

use crate::harness::browser::{Browser, Page};
use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer, soon};
use crate::web_chat::state_of;

/// Pages of a project and of its repository `web`, each with the address of the API that returns
/// the same things. `HEAD` stands for the id of the newest commit.
const PAGES: [(&str, &str); 17] = [
    ("", ""),
    ("/-/members", "/members"),
    ("/web", "/repos/web"),
    ("/web/-/tree/main", "/repos/web/tree/main"),
    ("/web/-/tree/HEAD", "/repos/web/tree/HEAD"),
    ("/web/-/blob/main/README.md", "/repos/web/blob/main/README.md"),
    ("/web/-/blob/main/none", "/repos/web/blob/main/none"),
    ("/web/-/raw/main/README.md", "/repos/web/raw/main/README.md"),
    ("/web/-/blame/main/README.md", "/repos/web/blame/main/README.md"),
    ("/web/-/commits/main", "/repos/web/commits?ref=main"),
    ("/web/-/commit/HEAD", "/repos/web/commits/HEAD"),
    ("/web/-/compare/main...HEAD", "/repos/web/compare/main...HEAD"),
    ("/web/-/branches", "/repos/web/branches"),
    ("/web/-/tags", "/repos/web/tags"),
    ("/web/-/find/main", "/repos/web/files/main"),
    ("/web/-/archive/main.tar.gz", "/repos/web/archive/main.tar.gz"),
    ("/none", "/repos/none"),
];

/// Names and values of the fields of a form.
type Fields = &'static [(&'static str, &'static str)];

/// Forms that change a project or its repository, each with the least role that may. `PROJECT`
/// stands for the name of the project. The last form deletes it.
const FORMS: [(&str, &str, Fields); 9] = [
    ("/-/settings", "owner", &[("name", "PROJECT"), ("description", "changed")]),
    ("/-/settings/default-branch", "owner", &[("default_branch", "changed")]),
    ("/-/settings/rules", "owner", &[("pattern", "changed"), ("push", "owner")]),
    ("/-/members", "owner", &[("username", "added"), ("role", "reader")]),
    ("/-/members/added/remove", "owner", &[]),
    ("/-/repos/new", "maintainer", &[("name", "another")]),
    (
        "/web/-/settings",
        "maintainer",
        &[("name", "web"), ("description", "changed"), ("default_branch", "main")],
    ),
    ("/another/-/settings/delete", "owner", &[("confirm_delete", "another")]),
    ("/-/settings/delete", "owner", &[("confirm_delete", "PROJECT")]),
];

const ROLES: [&str; 4] = ["reader", "writer", "maintainer", "owner"];
/// Users without a role in the projects: an ordinary one, and an administrator of the server, who
/// may do no more there.
const OUTSIDERS: [&str; 2] = ["outsider", "chief"];

/// Returns the status as the API gives it: a page that needs a login leads to the login page.
fn status_of(page: &Page) -> u16 {
    let leads_to_login = page.status == 303 && page.header("location").starts_with("/login");
    if leads_to_login { 401 } else { page.status }
}

/// Returns the status of the API, whose answer may be a file.
async fn status_of_api(server: &TestServer, http: &HttpClient, path: &str) -> u16 {
    let mut request = reqwest::Client::new().get(format!("http://{}{path}", server.app.addresses.http));
    if let Some(token) = http.token() {
        request = request.bearer_auth(token);
    }
    soon(request.send()).await.unwrap().status().as_u16()
}

async fn world(server: &TestServer) -> (Person, String) {
    server.admin("chief").await;
    let alice = server.user("alice").await;
    for name in ROLES.iter().chain(&["outsider", "added"]) {
        server.user(name).await;
    }
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let head = workdir.commit("work", "README.md", "# Hello", "say hello").await;
    for visibility in ["public", "private"] {
        alice.project(visibility, visibility).await;
        alice.repository(visibility, "web").await;
        for role in ROLES {
            alice.member(visibility, role, role).await;
        }
        let url = server.url_as("alice", &format!("alice/{visibility}/web"));
        workdir.git("work", &["push", &url, "main"]).await.ok();
    }
    (alice, head)
}

#[actix_web::test]
async fn pages_and_api_agree_for_every_role_and_visibility() {
    let server = TestServer::start().await;
    let (_, head) = world(&server).await;
    for role in ["anonymous"].iter().chain(&OUTSIDERS).chain(&ROLES) {
        let (browser, http) = match *role {
            "anonymous" => (Browser::anonymous(&server), server.http.clone()),
            role => (Browser::login(&server, role).await, server.login(role).await.http),
        };
        for visibility in ["public", "private"] {
            for (page, api) in PAGES {
                let page = format!("/alice/{visibility}{}", page.replace("HEAD", &head));
                let api = format!("/api/projects/alice/{visibility}{}", api.replace("HEAD", &head));
                let (shown, returned) = (browser.get(&page).await, status_of_api(&server, &http, &api).await);
                assert_eq!(status_of(&shown), returned, "{role}: {page}, {api}");
            }
        }
    }
    // Each page is counted under its own route.
    let (_, metrics) = server.operations("/metrics").await;
    let unnamed: Vec<_> = metrics
        .lines()
        .filter(|line| line.contains("netbit_http_requests_total") && line.contains("route=\"none\""))
        .collect();
    assert!(!unnamed.iter().any(|line| line.contains("2xx") && !line.ends_with(" 0")), "{unnamed:?}");
    assert!(metrics.contains("route=\"/{user}/{project}/{repo}/-/blob/{rest}\""));
    server.stop().await;
}

/// Sends a form for a project.
async fn send(browser: &Browser, visibility: &str, form: &str, fields: Fields) -> Page {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, if *value == "PROJECT" { visibility } else { *value }))
        .collect();
    browser.post_form(&format!("/alice/{visibility}{form}"), &fields).await
}

#[actix_web::test]
async fn chat_page_opens_the_chats_that_the_api_returns() {
    let server = TestServer::start().await;
    let (alice, _) = world(&server).await;
    for role in OUTSIDERS.iter().chain(&ROLES) {
        let (browser, person) = (Browser::login(&server, role).await, server.login(role).await);
        for visibility in ["public", "private"] {
            let project = alice.get(&format!("/api/projects/alice/{visibility}")).await.body;
            let channel = project["channel_id"].as_i64().unwrap();
            let events = person.get(&format!("/api/chats/{channel}/events?after_seq=0")).await;
            let open = &state_of(&browser.page(&format!("/chat/{channel}")).await)["open"];
            assert_eq!(open.is_null(), events.status != 200, "{role}: {visibility}: {open}");
            if !open.is_null() {
                assert_eq!(open["events"], events.body["items"], "{role}: {visibility}");
            }
        }
    }
    server.stop().await;
}

/// A refused form changes nothing. The least role that may then sends the same form, which works:
/// so the refusal was not that of a wrong address or value.
#[actix_web::test]
async fn forms_are_refused_below_their_role_and_work_at_it() {
    let server = TestServer::start().await;
    world(&server).await;
    let rank = |role: &str| ROLES.iter().position(|known| *known == role);
    let mut browsers = std::collections::BTreeMap::from([("anonymous", Browser::anonymous(&server))]);
    for role in OUTSIDERS.iter().chain(&ROLES) {
        browsers.insert(*role, Browser::login(&server, role).await);
    }
    for (form, least, fields) in FORMS {
        for visibility in ["public", "private"] {
            for (role, browser) in browsers.iter().filter(|(role, _)| rank(role) < rank(least)) {
                let refused = send(browser, visibility, form, fields).await;
                let expected = match (*role, visibility) {
                    ("anonymous", _) => 401,
                    ("outsider" | "chief", "private") => 404,
                    _ => 403,
                };
                assert_eq!(status_of(&refused), expected, "{role}: {visibility}{form}: {}", refused.text());
            }
            let done = send(&browsers[least], visibility, form, fields).await;
            assert_eq!(done.status, 303, "{least}: {visibility}{form}: {}", done.text());
            assert!(!done.header("location").starts_with("/login"), "{least}: {visibility}{form}");
        }
    }
    for visibility in ["public", "private"] {
        browsers["owner"].get(&format!("/alice/{visibility}")).await.expect(404, "Page not found");
    }
    server.stop().await;
}

#[actix_web::test]
async fn project_page_shows_the_readme_of_a_repository() {
    let server = TestServer::start().await;
    world(&server).await;
    let page = Browser::anonymous(&server).page("/alice/public").await;
    assert!(page.contains("<article class=\"prose\"") && page.contains(">Hello</"), "{page}");
    let empty = Browser::login(&server, "alice").await;
    empty.post_form("/projects/new", &[("name", "bare"), ("visibility", "private")]).await;
    let page = empty.page("/alice/bare").await;
    assert!(page.contains("/alice/bare/-/repos/new") && !page.contains("the first push creates it"));
    server.stop().await;
}
