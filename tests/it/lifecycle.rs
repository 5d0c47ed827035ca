//! Start, observation and stop of a server.

use netbit::app::{RunningApp, StartError};
use netbit::client::TcpClient;
use netbit::core::actor::FATAL_EXIT_CODE;
use netbit::core::limits::Limits;

use crate::harness::browser::Browser;
use crate::harness::{PASSWORD, Process, TestServer, config, database, eventually, postgres, until};

#[actix_web::test]
async fn start_takes_its_steps_in_order() {
    let server = TestServer::start().await;
    assert_eq!(
        server.app.started,
        [
            "lock",
            "operations",
            "migrate",
            "checkpoint",
            "load",
            "bind",
            "actors",
            "settle pushes",
            "listeners",
            "ready"
        ]
    );
    assert_eq!(server.operations("/livez").await.0, 200);
    assert_eq!(server.operations("/readyz").await.0, 200);
    server.stop().await;
}

#[actix_web::test]
async fn stop_takes_its_steps_in_order_and_cuts_none_short() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let _session = alice.tcp().await;
    let stopped = server.stop().await;
    let names: Vec<_> = stopped.steps.iter().map(|step| step.name).collect();
    assert_eq!(
        names,
        [
            "not ready",
            "stop accepting",
            "settle pushes",
            "finish HTTP",
            "drain the writer",
            "close sessions",
            "verify the cache",
            "verify the search index",
            "join and checkpoint",
            "operations"
        ]
    );
    assert!(stopped.steps.iter().all(|step| !step.cut), "{:?}", stopped.steps);
}

/// A load balancer needs the time to notice that the server is not ready.
#[actix_web::test]
async fn draining_server_serves_until_a_second_signal() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::with(directory.path(), &[("NETBIT_LIMITS__DRAIN_MS", "600000")]).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let alice = server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token);
    let chat = alice.create_group("team", &[]).await.unwrap();
    server.terminate();
    until(async || server.operations("/readyz").await.0 == 503).await;
    assert_eq!(server.operations("/livez").await.0, 200);
    alice.post_message(chat, "while draining").await.unwrap();
    let (mut session, _) = TcpClient::open(server.tcp(), alice.token().unwrap()).await.unwrap();
    assert!(session.say(chat, "in a new session").await.unwrap().success);
    server.terminate();
    assert_eq!(server.end().await, Some(1), "the second signal ends it at once");
}

#[actix_web::test]
async fn drained_server_stops_in_order() {
    let server = TestServer::with_limits(|limits| limits.drain_ms = 1).await;
    let stopped = server.stop().await;
    let names: Vec<_> = stopped.steps.iter().map(|step| step.name).take(3).collect();
    assert_eq!(names, ["not ready", "drain", "stop accepting"]);
    assert!(stopped.steps.iter().all(|step| !step.cut), "{:?}", stopped.steps);
}

#[actix_web::test]
async fn stop_releases_the_data_directory_and_keeps_messages() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    alice.say(chat, "kept").await;
    let server = server.restart(|_| ()).await;
    let alice = server.login("alice").await;
    assert_eq!(alice.contents(chat).await, ["kept"]);
    server.stop().await;
}

/// Regression: an empty netbit.db was created, and every later start warned that it is not used.
#[actix_web::test]
async fn data_directory_has_no_database_file_on_postgres() {
    if !postgres::is_used() {
        return;
    }
    let server = TestServer::start().await;
    assert!(!server.path().join("netbit.db").exists());
    server.stop().await;
}

#[actix_web::test]
async fn periodic_work_without_expired_items_makes_no_commit() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let server = server.restart(|_| ()).await;
    let before = database::last_commit(server.path());
    let services = &server.app.services;
    assert_eq!(services.end_expired_logins().await.unwrap(), 0);
    assert_eq!(services.end_expired_tokens().await.unwrap(), 0);
    assert_eq!(services.warn_of_expiring_tokens().await.unwrap(), 0);
    services.write_token_uses().await.unwrap();
    services.write_web_login_uses().await.unwrap();
    assert_eq!(database::last_commit(server.path()), before);
    let directory = server.stop_and_keep().await;
    assert_eq!(database::last_commit(directory.path()), before, "neither do the tasks of a start");
}

/// Regression: the status was 0, and only the log had the difference.
#[actix_web::test]
async fn stop_fails_when_cache_and_database_differ() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path()).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    database::writer(directory.path()).execute("UPDATE users SET display_name = 'Other'");
    server.terminate();
    assert_eq!(server.end().await, Some(FATAL_EXIT_CODE));
    let server = Process::start(directory.path()).await;
    server.stop().await;
}

#[actix_web::test]
async fn second_server_on_the_same_directory_is_refused() {
    let server = TestServer::start().await;
    let second = RunningApp::start(config(server.path(), Limits::default())).await;
    assert!(
        matches!(second, Err(StartError::DataDir(error)) if error.to_string().contains("another netbit already uses"))
    );
    server.stop().await;
}

#[actix_web::test]
async fn taken_port_is_named_with_its_key() {
    let server = TestServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut other = config(directory.path(), Limits::default());
    other.tcp.listen = server.app.addresses.tcp.into();
    let Err(error) = RunningApp::start(other).await else { panic!("the port is taken") };
    assert!(error.to_string().contains("tcp.listen"), "{error}");
    server.stop().await;
}

#[actix_web::test]
async fn actors_route_reports_mailboxes_and_messages() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let mut session = alice.tcp().await;
    session.say(chat, "hello").await.unwrap();
    // The hub may receive the message after the acknowledgement.
    let seen = eventually(async || {
        let (status, body) = server.operations("/actors").await;
        assert_eq!(status, 200);
        let seen: serde_json::Value = serde_json::from_str(&body).unwrap();
        let is_idle = seen["actors"].as_array().unwrap().iter().all(|actor| actor["depth"] == 0);
        is_idle.then_some(seen)
    })
    .await;
    let names: Vec<_> =
        seen["actors"].as_array().unwrap().iter().map(|actor| actor["actor"].as_str().unwrap()).collect();
    assert_eq!(names, ["writer", "cache", "hub", "presence", "search", "session"]);
    let append = seen["actors"][0]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["message"] == "AppendMessage");
    assert_eq!(append.unwrap()["handled"], 1);
    // Every handled message has a row.
    for actor in seen["actors"].as_array().unwrap() {
        let rows = actor["messages"].as_array().unwrap();
        assert!(!rows.is_empty(), "{actor}");
    }
    assert!(seen["cache"]["hits"].as_u64().unwrap() > 0);
    server.stop().await;
}

#[actix_web::test]
async fn older_database_copy_gets_new_epoch_and_ends_all_logins() {
    if postgres::skips("the test replaces netbit.db by a copy") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = server.path().to_owned();
    let old_token = alice.http.token().unwrap().to_owned();
    let epoch = alice.tcp_welcomed().await.1.epoch;
    let server = server.restart(|_| ()).await;
    std::fs::copy(path.join("netbit.db"), path.join("copy.db")).unwrap();
    let chat = server.login("alice").await.group(&[]).await;
    let server = server.restart(put_copy_back).await;
    assert_eq!(server.http.with_token(old_token).get("/api/users/me").await.unwrap().status, 401);
    let alice = server.login("alice").await;
    assert_ne!(alice.tcp_welcomed().await.1.epoch, epoch);
    assert_eq!(alice.get(&format!("/api/chats/{chat}")).await.status, 404);
    server.stop().await;
}

/// Regression: the server did not detect the second restore of the same copy. Its epoch differed
/// from that of the mark, and no check compared the epochs. The restored database assigns ids
/// again, so an old token authenticated the user who got that id.
#[actix_web::test]
async fn same_old_copy_restored_twice_revives_no_token() {
    if postgres::skips("the test replaces netbit.db by a copy") {
        return;
    }
    let server = TestServer::start().await;
    server.user("alice").await;
    let path = server.path().to_owned();
    let server = server.restart(|_| ()).await;
    std::fs::copy(path.join("netbit.db"), path.join("copy.db")).unwrap();
    let mallory = server.user("mallory").await;
    let token = mallory.http.token().unwrap().to_owned();
    let status = async |server: &TestServer| {
        server.http.with_token(token.clone()).get("/api/users/me").await.unwrap().status
    };

    let server = server.restart(put_copy_back).await;
    assert_eq!(status(&server).await, 401);
    let server = server.restart(put_copy_back).await;
    server.user("victim").await;
    assert_eq!(status(&server).await, 401, "victim has mallory's ids now, but not her token");
    server.stop().await;
}

/// Regression: an older database got a new epoch, which ends access tokens. The logins of the copy
/// stayed open, so a refresh token started them again, even if the user had logged out since.
#[actix_web::test]
async fn older_database_copy_revives_no_login() {
    if postgres::skips("the test replaces netbit.db by a copy") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let phone = server.login("alice").await;
    let (kept, ended) = (Browser::login(&server, "alice").await, Browser::login(&server, "alice").await);
    let pages = async |server: &TestServer, browser: &Browser| {
        let url = format!("http://{}/settings/profile", server.app.addresses.http);
        // The name of the cookie contains the port, which another start may change.
        let cookie = browser.cookie();
        let secret = cookie.split_once('=').unwrap().1;
        let name = format!("netbit-{}", server.app.addresses.http.port());
        let request = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let request = request.get(url).header("cookie", format!("{name}={secret}"));
        request.header("accept", "text/html").send().await.unwrap().status().as_u16()
    };
    let path = server.path().to_owned();
    let server = server.restart(|_| ()).await;
    std::fs::copy(path.join("netbit.db"), path.join("copy.db")).unwrap();
    let phone_http = server.http.with_token(phone.http.token().unwrap().to_owned());
    let logout = phone_http.post("/api/users/logout", &serde_json::json!({})).await.unwrap();
    assert_eq!(logout.status, 204);
    assert_eq!((pages(&server, &kept).await, pages(&server, &ended).await), (200, 200));
    let secret = ended.cookie().split_once('=').unwrap().1.to_owned();
    let who = server.app.services.web_credential(&secret).await.unwrap();
    let this = netbit::actors::writer::commands::Logout::This;
    server.app.services.logout(who, this).await.unwrap();
    assert_eq!((pages(&server, &kept).await, pages(&server, &ended).await), (200, 303));
    server.user("bob").await;

    let server = server.restart(put_copy_back).await;
    assert_eq!((pages(&server, &kept).await, pages(&server, &ended).await), (303, 303));
    for token in [&alice.refresh_token, &phone.refresh_token] {
        assert!(server.http.refresh(token).await.is_err(), "the login of the copy has ended");
    }
    server.login("alice").await;
    server.stop().await;
}

/// Replaces the database by `copy.db`, between a stop and a start.
fn put_copy_back(config: &mut netbit::core::config::Config) {
    let data = &config.data_dir.0;
    for suffix in ["-wal", "-shm"] {
        drop(std::fs::remove_file(data.join(format!("netbit.db{suffix}"))));
    }
    std::fs::copy(data.join("copy.db"), data.join("netbit.db")).unwrap();
}

/// With pages of 2 MiB an idle server uses twice as much memory as it needs.
#[actix_web::test]
async fn server_disables_huge_pages() {
    let directory = tempfile::tempdir().unwrap();
    let server = crate::harness::Process::start(directory.path()).await;
    // Kernels before 5.0 do not report `THP_enabled` for any process.
    if std::fs::read_to_string("/proc/self/status").unwrap().contains("THP_enabled") {
        assert_eq!(server.status("THP_enabled").as_deref(), Some("0"));
    } else {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let major = release.split('.').next().unwrap().parse::<u32>().unwrap();
        assert!(major < 5, "kernel {release} reports no THP_enabled");
    }
    server.stop().await;
}
