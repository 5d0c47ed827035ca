//! The state of two nodes: old state is not answered, own writes are read at the other node, chores
//! run at one node, and versions that do not fit refuse each other.
//!
//! These tests run with `NETBIT_TEST_DATABASE=postgres` only.

use std::time::Duration;

use netbit::client::metrics::Scrape;
use netbit::client::{HttpAnswer, HttpClient, TcpClient};
use netbit::domain::ids::ChatId;
use reqwest::Method;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use super::link::Link;
use crate::durability::postgres::private_server::Locked;
use crate::harness::postgres::{self, psql};
use crate::harness::{PASSWORD, Process, assert_problem, eventually, soon, until};

/// `limits.stale_ms` of these tests.
const STALE_MS: u64 = 1_000;

/// Two nodes of one database: `first` is connected to it, `second` over a link.
struct Nodes {
    first: Process,
    second: Process,
    link: Link,
    database: String,
    places: [tempfile::TempDir; 2],
}

/// The environment of a node.
fn environment(database: &str) -> [(&str, &str); 3] {
    [("NETBIT_DATABASE", database), ("NETBIT_CLUSTER__ENABLED", "true"), ("NETBIT_LIMITS__STALE_MS", "1000")]
}

impl Nodes {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[(&str, &str)]) -> Self {
        let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let database = postgres::url(places[0].path()).unwrap();
        let link = Link::to(&database);
        let first = Process::with(places[0].path(), &[&environment(&database), more].concat()).await;
        let second = Process::with(places[1].path(), &[&environment(&link.url), more].concat()).await;
        Self { first, second, link, database, places }
    }

    /// Registers a user, and returns clients of both nodes with one login.
    async fn user(&self, name: &str) -> [HttpClient; 2] {
        self.first.http.register(name, PASSWORD).await.unwrap();
        let token = self.first.http.login(name, PASSWORD).await.unwrap().token;
        [self.first.http.with_token(&token), self.second.http.with_token(token)]
    }

    async fn stop(self) {
        self.first.stop().await;
        self.second.stop().await;
        drop(self.places);
    }
}

async fn contents(http: &HttpClient, chat: ChatId) -> Vec<String> {
    let (page, _) = http.messages(chat, "?limit=100").await.unwrap();
    page.into_iter().map(|message| message.content).collect()
}

async fn readiness(node: &Process) -> u16 {
    node.operations("/readyz").await.0
}

async fn metric(node: &Process, name: &str) -> f64 {
    Scrape::parse(&node.operations("/metrics").await.1).sum(name, &[])
}

/// A node whose link to the database is cut answers nothing that another node may have changed.
/// Its sessions are sent away. It recovers without help.
#[actix_web::test]
async fn node_without_its_database_refuses_reads_until_it_is_back() {
    if !postgres::is_used() {
        return;
    }
    let nodes = Nodes::start().await;
    let [at_first, at_second] = nodes.user("alice").await;
    let chat = at_first.create_group("team", &[]).await.unwrap();
    until(async || at_second.get(&format!("/api/chats/{chat}")).await.unwrap().status == 200).await;
    let token = at_second.token().unwrap();
    let (mut session, _) = TcpClient::open(nodes.second.tcp(), token).await.unwrap();

    nodes.link.cut();
    let refused = eventually(async || {
        let answer = at_second.get("/api/chats").await.unwrap();
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_problem(&refused, 503, "overloaded");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(readiness(&nodes.second).await, 503);
    assert_eq!(nodes.second.operations("/livez").await.0, 200, "a restart would not help");
    assert_eq!(metric(&nodes.second, "netbit_stale").await, 1.0);
    let goodbye = loop {
        let packet = soon(session.any()).await.unwrap();
        if packet.packet_type == "Goodbye" {
            break packet;
        }
    };
    assert!(goodbye.reconnect);
    assert!(soon(TcpClient::open(nodes.second.tcp(), token)).await.is_err(), "no new session");

    at_first.post_message(chat, "meanwhile").await.unwrap();
    assert_eq!(readiness(&nodes.first).await, 200);
    nodes.link.mend();
    until(async || readiness(&nodes.second).await == 200).await;
    assert_eq!(contents(&at_second, chat).await, ["meanwhile"]);
    soon(TcpClient::open(nodes.second.tcp(), token)).await.unwrap();
    assert_eq!(metric(&nodes.second, "netbit_stale").await, 0.0);
    nodes.stop().await;
}

/// A login at another node was refused right after the registration or a new password: the node
/// compared the password with an old state.
#[actix_web::test]
async fn login_works_at_once_at_another_node() {
    if !postgres::is_used() {
        return;
    }
    let nodes = Nodes::start().await;
    for n in 0..5 {
        let name = format!("user{n}");
        nodes.first.http.register(&name, PASSWORD).await.unwrap();
        let account = nodes.second.http.login(&name, PASSWORD).await.unwrap();
        let new = "another correct horse";
        let change = json!({"current_password": PASSWORD, "new_password": new});
        let user = nodes.first.http.with_token(account.token);
        assert_eq!(user.post("/api/users/me/password", &change).await.unwrap().status, 204);
        assert!(nodes.second.http.login(&name, PASSWORD).await.is_err(), "the old password is accepted");
        nodes.second.http.login(&name, new).await.unwrap();
    }
    nodes.stop().await;
}

/// A node that was stopped does not answer a single request from the state before. Requests wait in
/// its sockets while it is stopped, and are answered first.
#[actix_web::test]
async fn thawed_node_answers_no_request_from_an_old_state() {
    if !postgres::is_used() {
        return;
    }
    let nodes = Nodes::start().await;
    let [at_first, at_second] = nodes.user("alice").await;
    let chat = at_first.create_group("team", &[]).await.unwrap();
    let (mut current, mut refused) = (0, 0);
    for round in 0..5 {
        until(async || at_second.get("/api/chats").await.is_ok_and(|answer| answer.status == 200)).await;
        kill_process(nodes.second.pid(), Signal::STOP).unwrap();
        let renamed = format!("round {round}");
        let body = json!({"name": renamed});
        let path = format!("/api/chats/{chat}");
        at_first.send(Method::PATCH, &path, Some(&body), &[]).await.unwrap().success().unwrap();
        // Older than the limit, whatever was compared just before the stop.
        tokio::time::sleep(Duration::from_millis(STALE_MS + 100)).await;
        let asked: Vec<_> = (0..4)
            .map(|_| {
                let (http, path) = (at_second.clone(), path.clone());
                actix::spawn(async move { soon(http.get(&path)).await.unwrap() })
            })
            .collect();
        // The requests are on their way.
        tokio::time::sleep(Duration::from_millis(50)).await;
        kill_process(nodes.second.pid(), Signal::CONT).unwrap();
        for answer in asked {
            let answer = answer.await.unwrap();
            match answer.status {
                200 => {
                    assert_eq!(answer.body["name"], Value::String(renamed.clone()), "round {round}");
                    current += 1;
                }
                503 => refused += 1,
                _ => panic!("{answer:?}"),
            }
        }
    }
    println!("{current} current, {refused} refused");
    nodes.stop().await;
}

/// A client that sends the commit of its write back reads it at the other node, without waiting for
/// a notification or an interval.
#[actix_web::test]
async fn commit_of_a_write_is_read_at_the_other_node() {
    if !postgres::is_used() {
        return;
    }
    let nodes = Nodes::start().await;
    let [at_first, at_second] = nodes.user("alice").await;
    let chat = at_first.create_group("team", &[]).await.unwrap();
    let path = format!("/api/chats/{chat}/messages");
    let post = async |content: &str| {
        let answer = at_first.post(&path, &json!({"content": content})).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.header("netbit-commit").unwrap().to_owned()
    };
    let read = async |commit: &str| -> HttpAnswer {
        at_second.send(Method::GET, &path, None, &[("NetBit-Commit", commit)]).await.unwrap()
    };
    let mut last = String::new();
    for n in 0..50 {
        let content = format!("message {n}");
        last = post(&content).await;
        let page = read(&last).await.success().unwrap();
        let newest = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["content"])
            .max_by_key(|it| it.as_str().unwrap().rsplit(' ').next().unwrap().parse::<u32>().unwrap());
        assert_eq!(newest, Some(&Value::String(content)));
    }
    assert!(at_second.get(&path).await.unwrap().header("netbit-commit").is_none(), "reads have no commit");
    let (epoch, number) = last.split_once('.').unwrap();
    let number: i64 = number.parse().unwrap();
    // A commit that does not exist yet, and a commit of another database.
    assert_eq!(read(&format!("{epoch}.{}", number + 1_000)).await.status, 200);
    assert_eq!(read(&format!("1{epoch}.{number}")).await.status, 200);
    for wrong in ["", "x", "1", "1.x", "-1.2"] {
        assert_problem(&read(wrong).await, 400, "bad_request");
    }
    nodes.link.cut();
    let refused = eventually(async || {
        let answer = read(&format!("{epoch}.{}", number + 1)).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_problem(&refused, 503, "overloaded");
    assert!(refused.header("retry-after").is_some());
    nodes.link.mend();
    until(async || read(&last).await.status == 200).await;
    nodes.stop().await;
}

/// A browser sends the commit of its last form as a cookie, so the page after a form shows its
/// effect at any node.
#[actix_web::test]
async fn page_after_a_form_shows_its_effect_at_the_other_node() {
    if !postgres::is_used() {
        return;
    }
    let nodes = Nodes::start().await;
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    let browser = browser.unwrap();
    for n in 0..20 {
        let (first, second) = (nodes.first.address(), nodes.second.address());
        let form = format!("username=user{n}&password={}", PASSWORD.replace(' ', "+"));
        let registering = browser
            .post(format!("http://{first}/register"))
            .header("Origin", format!("http://{first}"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = soon(registering.send()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 303);
        // The name of a cookie without TLS has the port of its node.
        let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
        let set = answer.headers().get_all("set-cookie").iter();
        let cookies: Vec<_> = set
            .filter_map(|cookie| cookie.to_str().unwrap().split(';').next())
            .map(|pair| pair.replace(&port(first), &port(second)))
            .collect();
        assert!(cookies.iter().any(|pair| pair.contains("-commit=")), "{cookies:?}");
        let page =
            browser.get(format!("http://{second}/settings/profile")).header("Cookie", cookies.join("; "));
        let page = soon(page.send()).await.unwrap();
        assert_eq!(page.status().as_u16(), 200, "login {n} is known: {:?}, {cookies:?}", page.headers());
        // The next page at the first node is not older than a page of the second.
        let login = cookies.iter().find(|pair| !pair.contains("-commit=")).unwrap();
        let read = async |cookies: &str| {
            let page = browser.get(format!("http://{second}/settings/profile")).header("Cookie", cookies);
            let set = soon(page.send()).await.unwrap().headers().get("set-cookie").cloned();
            set.map(|set| set.to_str().unwrap().split(';').next().unwrap().to_owned())
        };
        let mut commit = read(login).await.unwrap();
        assert!(commit.contains("-commit="), "{commit}");
        // A browser that knows the newest commit gets no other.
        while let Some(newer) = read(&format!("{login}; {commit}")).await {
            assert_ne!(newer, commit);
            commit = newer;
        }
    }
    nodes.stop().await;
}

/// Refusals wait for the log of commits. Those of strangers held all permits of the cache while the
/// log could not be read, and no user could read anything.
#[actix_web::test]
async fn refusals_that_wait_for_the_log_leave_room_for_reads() {
    if !postgres::is_used() {
        return;
    }
    let nodes = Nodes::with(&[("NETBIT_LIMITS__STALE_MS", "60000")]).await;
    let [_, at_second] = nodes.user("alice").await;
    let reads = async || at_second.get("/api/chats").await.is_ok_and(|answer| answer.status == 200);
    until(reads).await;
    let locked = Locked::new(&nodes.database, "commits").await;
    let stranger = nodes.second.http.clone();
    let port = nodes.second.address().rsplit(':').next().unwrap();
    let cookie = format!("netbit-{port}={}", "A".repeat(43));
    let asked: Vec<_> = (0..300)
        .map(|_| {
            let (stranger, cookie) = (stranger.clone(), cookie.clone());
            let asking = async move {
                stranger.send(Method::GET, "/settings/profile", None, &[("Cookie", &cookie)]).await
            };
            actix::spawn(asking)
        })
        .collect();
    // The requests are on their way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(soon(at_second.get("/api/chats")).await.unwrap().status, 200);
    for answer in asked {
        assert_eq!(soon(answer).await.unwrap().unwrap().status, 503, "a refusal could be wrong");
    }
    drop(locked);
    until(reads).await;
    nodes.stop().await;
}

/// Both nodes could trim a chat; only the node with the lock does. When it is killed, the other
/// takes over.
#[actix_web::test]
async fn chores_run_at_one_node_and_at_another_after_its_death() {
    if !postgres::is_used() {
        return;
    }
    let mut nodes = Nodes::with(&[("NETBIT_LIMITS__TRIM_MS", "100")]).await;
    let [at_first, at_second] = nodes.user("alice").await;
    until(async || metric(&nodes.first, "netbit_chores").await == 1.0).await;
    assert_eq!(metric(&nodes.second, "netbit_chores").await, 0.0);
    let number = |name: &str| {
        let sql = format!("SELECT number FROM nodes WHERE name = '{name}'");
        psql(&nodes.database, &[sql]).unwrap().trim().to_owned()
    };
    let name_of =
        |place: &tempfile::TempDir| std::fs::read_to_string(place.path().join("node.name")).unwrap();
    let [first, second] = [&nodes.places[0], &nodes.places[1]].map(|place| number(name_of(place).trim()));
    assert_ne!(first, second);
    // Changes the retention past the servers, so that only a chore finds it.
    let trimmed_by = async |http: &HttpClient| {
        let chat = http.create_group("trimmed", &[]).await.unwrap();
        for n in 0..5 {
            http.post_message(chat, &format!("message {n}")).await.unwrap();
        }
        let newest = psql(&nodes.database, &["SELECT max(commit_no) FROM commits".to_owned()]).unwrap();
        let set = format!(
            "UPDATE chats SET retention = 1, retention_by = (SELECT min(id) FROM users) WHERE id = {chat}"
        );
        psql(&nodes.database, &[set]).unwrap();
        until(async || {
            let done = format!("SELECT trimmed_ordinal = 4 AND trim_untold = 0 FROM chats WHERE id = {chat}");
            psql(&nodes.database, &[done]).unwrap().trim() == "t"
        })
        .await;
        let by = format!("SELECT DISTINCT node FROM commits WHERE commit_no > {}", newest.trim());
        psql(&nodes.database, &[by]).unwrap().trim().to_owned()
    };
    assert_eq!(trimmed_by(&at_second).await, first);
    nodes.first.kill();
    until(async || metric(&nodes.second, "netbit_chores").await == 1.0).await;
    assert_eq!(trimmed_by(&at_second).await, second);
    drop(at_first);
    nodes.second.stop().await;
}

/// A node of the next version runs beside this one, which goes on to write its own format. With a
/// version further away, this one does not start.
#[actix_web::test]
async fn node_starts_only_beside_versions_that_it_understands() {
    if !postgres::is_used() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let database = postgres::url(place.path()).unwrap();
    let environment = environment(&database);
    let server = Process::with(place.path(), &environment).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    server.stop().await;
    let beside = |format: i16| {
        let soon_ms = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + 3600000";
        let sql = format!(
            "INSERT INTO nodes (name, number, address, instance, format, seen_at) \
             VALUES ('other', 77, '', 'x', {format}, {soon_ms}) ON CONFLICT (name) DO UPDATE SET format = {format}"
        );
        psql(&database, &[sql]).unwrap();
    };
    beside(4);
    let server = Process::with(place.path(), &environment).await;
    server.http.login("alice", PASSWORD).await.unwrap();
    let formats =
        ["SELECT string_agg(DISTINCT format::text, ',') FROM commits WHERE commit_no > 0".to_owned()];
    assert_eq!(psql(&database, &formats).unwrap().trim(), "3");
    server.stop().await;
    for too_far in [0, 5] {
        beside(too_far);
        let log = place.path().join("log");
        let mut command = crate::harness::command(place.path());
        command.envs(environment).stderr(std::fs::File::create(&log).unwrap());
        let status = Process::spawn(command).await.err().expect("the server must not start");
        assert_eq!(status.code(), Some(1));
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains(&format!("format {too_far} of the log of commits")), "{log}");
    }
}
