//! Password guessing: a flood denies no other user a login, and parallel guesses try no more
//! passwords than serial ones.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use netbit::core::limits::Limits;
use netbit::core::proxies::TrustedProxies;
use serde_json::json;

use crate::harness::{PASSWORD, TestServer, soon};

/// Starts a server behind a proxy on this machine, which forwards the clients' addresses.
async fn behind_a_proxy(change: impl FnOnce(&mut Limits)) -> TestServer {
    TestServer::with(|config| {
        config.http.trusted_proxies = TrustedProxies::parse("127.0.0.0/8").unwrap();
        change(&mut config.limits);
    })
    .await
}

/// Returns the status of a login from this address.
async fn login(server: &TestServer, from: IpAddr, name: &str, password: &str) -> u16 {
    let body = json!({"username": name, "password": password});
    let from = from.to_string();
    let headers = [("x-forwarded-for", from.as_str())];
    let path = "/api/users/login";
    soon(server.http.send(reqwest::Method::POST, path, Some(&body), &headers)).await.unwrap().status
}

/// Returns one of many addresses of this network.
fn address(network: u16, host: usize) -> IpAddr {
    let host = u16::try_from(host % 60_000).unwrap();
    IpAddr::from([0x2001, 0xdb8, 0, network, 7, 7, 7, host])
}

/// Six /64 networks try wrong passwords for names of all kinds, sixteen at a time each, always from
/// new addresses. Regression: six addresses, or one /64, denied every login.
#[actix_web::test]
async fn guesses_from_six_networks_deny_no_user_a_login() {
    let server = behind_a_proxy(|limits| {
        (limits.hashes_running, limits.hashes_waiting) = (1, 16);
        (limits.logins, limits.logins_reserve) = (32, 8);
        (limits.logins_patience_ms, limits.hashes_patience_ms) = (4_000, 4_000);
    })
    .await;
    server.user("alice").await;
    server.user("bob").await;
    let (over, tries) = (AtomicBool::new(false), AtomicUsize::new(0));
    let flood = join_all((0..96usize).map(|worker| {
        let (server, over, tries) = (&server, &over, &tries);
        async move {
            while !over.load(Relaxed) {
                let n = tries.fetch_add(1, Relaxed);
                let name = if n.is_multiple_of(4) { "bob".to_owned() } else { format!("u{n}") };
                let from = address(u16::try_from(worker % 6).unwrap(), n);
                let status = login(server, from, &name, "wrong password").await;
                assert!([401, 429].contains(&status), "{status}");
            }
        }
    }));
    let honest = async {
        for n in 0..8 {
            assert_eq!(login(&server, address(100 + n, 1), "alice", PASSWORD).await, 200, "{n}");
        }
        over.store(true, Relaxed);
    };
    futures_util::join!(flood, honest);
    server.stop().await;
}

/// Regression: forty-eight workers guess at one account from six networks. They made 157 tries in
/// 40 s, because each waited alone. The account's user logs in meanwhile: at once from a familiar
/// address, and in turn from a new network.
#[actix_web::test]
async fn parallel_guesses_take_turns_and_lock_no_user_out() {
    const PAUSE: Duration = Duration::from_millis(400);
    let server = behind_a_proxy(|limits| {
        (limits.login_failures_free, limits.login_delay_max_ms) = (3, 400);
    })
    .await;
    server.user("alice").await;
    let home = IpAddr::from([198, 51, 100, 7]);
    assert_eq!(login(&server, home, "alice", PASSWORD).await, 200);
    let (over, tries) = (AtomicBool::new(false), AtomicUsize::new(0));
    let begun = Instant::now();
    let flood = join_all((0..48usize).map(|worker| {
        let (server, over, tries) = (&server, &over, &tries);
        async move {
            while !over.load(Relaxed) {
                let from = address(u16::try_from(worker % 6).unwrap(), worker);
                match login(server, from, "alice", "wrong password").await {
                    401 => drop(tries.fetch_add(1, Relaxed)),
                    status => assert_eq!(status, 429),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }));
    let user = async {
        // Wait until the first guesses have failed.
        tokio::time::sleep(PAUSE * 8).await;
        for _ in 0..5 {
            assert_eq!(login(&server, home, "alice", PASSWORD).await, 200);
        }
        assert_eq!(login(&server, IpAddr::from([203, 0, 113, 1]), "alice", PASSWORD).await, 200);
        over.store(true, Relaxed);
    };
    futures_util::join!(flood, user);
    let turns = usize::try_from(begun.elapsed().as_millis() / PAUSE.as_millis()).unwrap();
    let tries = tries.load(Relaxed);
    assert!(tries <= 3 + turns + 1, "{tries} guesses in {turns} turns");
    server.stop().await;
}

/// Regression: a guesser at an office's address tries invented names. Delayed tries held all slots
/// of the address, and seven of ten colleagues with the right password got 429 after 45 s.
#[actix_web::test]
async fn delayed_guesses_do_not_block_colleagues() {
    let server = behind_a_proxy(|limits| {
        (limits.login_failures_free, limits.login_delay_max_ms) = (1, 60_000);
        (limits.logins_per_address, limits.logins_patience_ms) = (2, 4_000);
        (limits.logins_delayed_per_address, limits.delayed_per_login) = (8, 8);
    })
    .await;
    for name in ["alice", "bob", "carol"] {
        server.user(name).await;
    }
    let office = IpAddr::from([198, 51, 100, 7]);
    let over = AtomicBool::new(false);
    let waiting = AtomicUsize::new(0);
    let guess = async |worker: usize| {
        while !over.load(Relaxed) {
            waiting.fetch_add(1, Relaxed);
            let status = login(&server, office, &format!("invented{}", worker % 3), "wrong password").await;
            assert!([401, 429].contains(&status), "{status}");
        }
    };
    let flood = join_all((0..24usize).map(guess));
    let colleagues = async {
        // Every invented name is delayed by now, and more tries wait than the address has slots.
        while waiting.load(Relaxed) < 40 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for name in ["alice", "bob", "carol", "alice"] {
            assert_eq!(login(&server, office, name, PASSWORD).await, 200, "{name}");
        }
        over.store(true, Relaxed);
    };
    futures_util::join!(flood, colleagues);
    server.stop().await;
}

/// Passwords over git follow the same rule: a client that sends twenty guesses at once gets answers
/// to the free tries only.
#[actix_web::test]
async fn guesses_over_git_are_delayed_like_logins() {
    let server = TestServer::with_limits(|limits| {
        (limits.login_failures_free, limits.login_delay_max_ms) = (2, 2_000);
        limits.delayed_per_login = 2;
    })
    .await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let url = format!("{}/info/refs?service=git-upload-pack", server.url(&path));
    let guess = async |n: usize| {
        let request =
            reqwest::Client::new().get(&url).basic_auth("alice", Some(format!("wrong password {n}")));
        let answer = soon(request.send()).await.unwrap();
        (answer.status().as_u16(), soon(answer.text()).await.unwrap())
    };
    let answers = join_all((0..20).map(guess)).await;
    // git shows this refusal to its user; it reveals nothing about the repository.
    let waits = |(status, text): &&(u16, String)| *status == 200 && text.contains("ERR ");
    let refused = answers.iter().filter(waits).count();
    assert!(refused >= 10, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.0 == 401 || waits(&answer)), "{answers:?}");
    assert!(answers.iter().all(|(_, text)| !text.contains("refs/heads")), "{answers:?}");
    // The delay belongs to the account, so the next login also waits for its turn.
    let begun = Instant::now();
    assert!(server.http.login("alice", PASSWORD).await.is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    server.stop().await;
}

/// Thirty clients of one office send the right password at once, as scripts with git do. All logins
/// succeed.
#[actix_web::test]
async fn concurrent_right_passwords_all_log_in() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let logins = join_all((0..30).map(|_| server.http.login("alice", PASSWORD))).await;
    assert!(logins.iter().all(Result::is_ok));
    server.stop().await;
}
