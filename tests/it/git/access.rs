//! REST and git share one authorization path: both return the same decision for the same user.

use base64::Engine;
use reqwest::Method;
use serde_json::json;

use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, Person, TestServer, database};

fn basic(user: &str, password: &str) -> String {
    let text = format!("{user}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// Returns the status of git's first request.
async fn git_status(server: &TestServer, authorization: Option<&str>, path: &str, service: &str) -> u16 {
    let url = format!("{}/info/refs?service={service}", server.url(path));
    let mut request = reqwest::Client::new().get(url);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[actix_web::test]
async fn rest_and_git_agree_for_every_role_action_and_visibility() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut people = vec![("anonymous", None), ("outsider", Some(server.user("outsider").await))];
    for role in ["reader", "writer", "maintainer", "owner"] {
        people.push((role, Some(server.user(role).await)));
    }
    for visibility in ["public", "private"] {
        alice.project(visibility, visibility).await;
        alice.repository(visibility, "web").await;
        for role in ["reader", "writer", "maintainer", "owner"] {
            alice.member(visibility, role, role).await;
        }
        let rest = format!("/api/projects/alice/{visibility}/repos/web");
        let git = format!("alice/{visibility}/web");
        for (role, person) in &people {
            let public = visibility == "public";
            let (read, push, manage) = match *role {
                "anonymous" if public => (200, 401, 401),
                "anonymous" => (401, 401, 401),
                "outsider" if public => (200, 403, 403),
                "outsider" => (404, 404, 404),
                "reader" => (200, 403, 403),
                "writer" => (200, 200, 403),
                "maintainer" => (200, 200, 403),
                _ => (200, 200, 200),
            };
            let header = person.as_ref().map(|person| format!("Bearer {}", person.http.token().unwrap()));
            let as_basic = person.as_ref().map(|person| basic(&person.name, PASSWORD));
            let story = format!("{role} on {visibility}");
            for authorization in [header.as_deref(), as_basic.as_deref()] {
                assert_eq!(
                    git_status(&server, authorization, &git, "git-upload-pack").await,
                    read,
                    "{story}"
                );
                assert_eq!(
                    git_status(&server, authorization, &git, "git-receive-pack").await,
                    push,
                    "{story}"
                );
            }
            let http = person.as_ref().map_or(&server.http, |person| &person.http);
            let seen = http.get(&rest).await.unwrap();
            assert_eq!(seen.status, read, "{story}");
            if read == 200 {
                let may = &seen.body["permissions"];
                assert_eq!((&may["read"], &may["push"]), (&json!(true), &json!(push == 200)), "{story}");
                assert_eq!(may["manage"], json!(manage == 200), "{story}");
            }
            let config = format!("/api/projects/alice/{visibility}/config");
            let put = http.send(Method::PUT, &config, Some(&json!({})), &[]).await.unwrap();
            assert_eq!(put.status, manage, "{story}");
        }
    }
    server.stop().await;
}

async fn token(person: &Person, body: serde_json::Value) -> String {
    let made = person.post("/api/users/me/tokens", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body["token"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn access_token_grants_the_same_as_bearer_and_as_password() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.project("hello", "private").await;
    alice.repository("hello", "web").await;
    alice.repository("hello", "other").await;
    alice.project("open", "public").await;
    alice.repository("open", "web").await;
    let name = |scopes: &[&str], repositories: Option<&[&str]>| {
        let mut body = json!({"name": "t", "scopes": scopes});
        if let Some(list) = repositories {
            body["repositories"] = json!(list);
        }
        body
    };
    for (story, body, web, other, open) in [
        ("reads", name(&["repo:read"], None), (200, 403), (200, 403), (200, 403)),
        ("writes", name(&["repo:write"], None), (200, 200), (200, 200), (200, 200)),
        ("chats", name(&["chat:write"], None), (404, 404), (404, 404), (200, 403)),
        (
            "one repository",
            name(&["repo:write"], Some(&["alice/hello/web"])),
            (200, 200),
            (404, 404),
            (200, 403),
        ),
    ] {
        let token = token(&alice, body).await;
        for authorization in [format!("Bearer {token}"), basic("alice", &token), basic("anything", &token)] {
            for (path, expected) in
                [("alice/hello/web", web), ("alice/hello/other", other), ("alice/open/web", open)]
            {
                let read = git_status(&server, Some(&authorization), path, "git-upload-pack").await;
                let push = git_status(&server, Some(&authorization), path, "git-receive-pack").await;
                assert_eq!((read, push), expected, "{story} {path} {authorization}");
            }
        }
        let (project, repo) = ("hello", "web");
        let rest =
            server.http.with_token(&token).get(&format!("/api/projects/alice/{project}/repos/{repo}")).await;
        assert_eq!(rest.unwrap().status, web.0, "{story}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn expired_token_is_refused_over_rest_and_git() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let token = token(&alice, json!({"name": "t", "scopes": ["repo:write"], "expires_in_days": 1})).await;
    assert_eq!(git_status(&server, Some(&basic("x", &token)), &path, "git-receive-pack").await, 200);
    // The token has expired: its expiry moves into the past.
    let server = server
        .restart(|config| {
            let mut db = database::writer(&config.data_dir.0);
            assert_eq!(db.execute("UPDATE access_tokens SET expires_at = 1000"), 1);
        })
        .await;
    for authorization in [basic("x", &token), format!("Bearer {token}")] {
        for service in ["git-upload-pack", "git-receive-pack"] {
            assert_eq!(git_status(&server, Some(&authorization), &path, service).await, 401);
        }
    }
    let rest = server.http.with_token(&token).get("/api/projects/alice/hello").await.unwrap();
    assert_eq!(rest.status, 401);
    server.stop().await;
}

#[actix_web::test]
async fn bad_credentials_get_401_with_a_challenge_and_never_403() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("public").await;
    let revoked = token(&alice, json!({"name": "t", "scopes": ["repo:read"]})).await;
    assert_eq!(alice.delete("/api/users/me/tokens/1").await.status, 204);
    for value in [
        basic("alice", "wrong password"),
        basic("nosuch", PASSWORD),
        basic("", ""),
        basic("alice", &revoked),
        format!("Bearer {revoked}"),
        "Bearer x.y.z".to_owned(),
        "Basic !!!".to_owned(),
        "Digest x".to_owned(),
        "Basic".to_owned(),
    ] {
        let url = format!("{}/info/refs?service=git-upload-pack", server.url(&path));
        let answer = reqwest::Client::new().get(url).header("authorization", &value).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{value}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Basic realm=\"NetBit\""), "{challenge}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn logout_and_removal_end_git_access() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    let as_bob = format!("Bearer {}", bob.http.token().unwrap());
    assert_eq!(git_status(&server, Some(&as_bob), &path, "git-receive-pack").await, 200);
    assert_eq!(bob.post("/api/users/logout", json!({})).await.status, 204);
    assert_eq!(git_status(&server, Some(&as_bob), &path, "git-receive-pack").await, 401);
    let with_password = basic("bob", PASSWORD);
    assert_eq!(git_status(&server, Some(&with_password), &path, "git-receive-pack").await, 200);
    assert_eq!(alice.delete("/api/projects/alice/hello/members/bob").await.status, 204);
    assert_eq!(git_status(&server, Some(&with_password), &path, "git-receive-pack").await, 404);
    server.stop().await;
}

#[actix_web::test]
async fn rename_redirects_old_names_and_breaks_no_clone() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    workdir.git("", &["clone", "--quiet", &url, "before"]).await.ok();

    let renamed = alice.patch("/api/projects/alice/hello/repos/web", json!({"name": "site"})).await;
    assert_eq!(renamed.body["full_name"], "alice/hello/site");
    assert_eq!(alice.patch("/api/projects/alice/hello", json!({"name": "world"})).await.status, 200);
    workdir.git("before", &["fetch", "--quiet"]).await.ok();
    workdir.git("", &["clone", "--quiet", &url, "after"]).await.ok();
    // A clone that has already begun continues to use the old name.
    let body = "0014command=ls-refs\n0000";
    let asked = reqwest::Client::new()
        .post(format!("{}/git-upload-pack", server.url(&path)))
        .header("authorization", basic("alice", PASSWORD))
        .header("content-type", "application/x-git-upload-pack-request")
        .header("git-protocol", "version=2")
        .body(body);
    assert_eq!(asked.send().await.unwrap().status().as_u16(), 200);
    // A new project and repository under the old names take precedence over the redirect.
    alice.project("hello", "private").await;
    alice.repository("hello", "web").await;
    assert_eq!(workdir.git("", &["ls-remote", &url]).await.ok(), "");
    server.stop().await;
}

#[actix_web::test]
async fn repository_name_works_with_and_without_dot_git() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("public").await;
    for path in [path.clone(), format!("{path}.git"), "alice/HELLO/Web".to_owned()] {
        assert_eq!(git_status(&server, None, &path, "git-upload-pack").await, 200, "{path}");
    }
    for path in [
        "alice/hello/webx",
        "alice/hello/.git",
        "alice/hello/web.git.git",
        "alice/hello/..",
        "alice/../hello/web",
    ] {
        assert_ne!(git_status(&server, None, path, "git-upload-pack").await, 200, "{path}");
    }
    server.stop().await;
}
