//! Mentions: the users that a message names.

use serde_json::json;

use crate::harness::{TestServer, assert_problem, database};
use crate::notifications::{await_notifications, single, take_notifications};

/// Regression: before there was one grammar, twelve of these notified the wrong users or none.
#[actix_web::test]
async fn mention_in_code_quote_or_link_notifies_no_member() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let jo = server.user("jo").await;
    let team = alice.group(&[&bob, &jo]).await;
    take_notifications(&bob).await;
    take_notifications(&jo).await;
    for silent in [
        "`@all`",
        "run `x @bob`",
        "```\n@bob @all\n```",
        "> @bob said so\nyes",
        "https://example.org/@bob",
        "[@bob](https://example.org)",
        "@bob\u{e9} @joANNA x@all",
    ] {
        alice.say(team, silent).await;
        assert_eq!(
            (take_notifications(&bob).await, take_notifications(&jo).await),
            (vec![], vec![]),
            "{silent}"
        );
    }
    for loud in ["@Bob, look", "`x` @bob", "> x\n@BOB.", "(@bob)", "\u{2014}@bob\u{ff0c}"] {
        alice.say(team, loud).await;
        assert_eq!(
            take_notifications(&bob).await,
            single("mention", "alice mentioned you in team"),
            "{loud}"
        );
    }
    alice.say(team, "@ALL!").await;
    assert_eq!((take_notifications(&bob).await.len(), take_notifications(&jo).await.len()), (1, 1));
    server.stop().await;
}

/// Regression: 60 names that are not members hid the members after them.
#[actix_web::test]
async fn unknown_names_do_not_hide_members() {
    let server = TestServer::with_limits(|limits| limits.mentions_per_message = 2).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (carol, dora) = (server.user("carol").await, server.user("dora").await);
    let stranger = server.user("eve").await;
    let team = alice.group(&[&bob, &carol, &dora]).await;
    for person in [&bob, &carol, &dora] {
        take_notifications(person).await;
    }
    let unknown: String = (0..600).map(|n| format!("@x{n} ")).collect();
    alice.say(team, &format!("{unknown} @eve @dora @dora @bob @carol")).await;
    await_notifications(&server, &alice).await;
    assert_eq!(take_notifications(&dora).await.len(), 1);
    assert_eq!(take_notifications(&bob).await.len(), 1);
    assert_eq!(take_notifications(&carol).await, [], "the third member is beyond the limit");
    assert_eq!(take_notifications(&stranger).await, [], "not in the chat");
    server.stop().await;
}

/// Regression: a user could register as `bob-`, and `@bob-` named bob.
#[actix_web::test]
async fn older_name_that_ends_in_punctuation_can_be_mentioned() {
    let server = TestServer::start().await;
    for name in ["bob-", "bob_", "bob."] {
        let body = json!({"username": name, "password": crate::harness::PASSWORD});
        assert_problem(&server.http.post("/api/users/register", &body).await.unwrap(), 422, "validation");
    }
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let older = server.user("older").await;
    let team = alice.group(&[&bob, &older]).await;
    let server = server
        .restart(|config| {
            let mut db = database::writer(&config.data_dir.0);
            let renamed = "UPDATE users SET username = 'bob_' WHERE username = 'older'";
            assert_eq!(db.execute(renamed), 1);
        })
        .await;
    let alice = server.login("alice").await;
    let (bob, older) = (server.login("bob").await, server.login("bob_").await);
    take_notifications(&bob).await;
    take_notifications(&older).await;
    for (text, of_bob, of_older) in [("@bob_, look", 0, 1), ("@bob-", 1, 0), ("@bob_. and _@Bob", 1, 1)] {
        alice.say(team, text).await;
        assert_eq!(
            (take_notifications(&bob).await.len(), take_notifications(&older).await.len()),
            (of_bob, of_older),
            "{text}"
        );
    }
    server.stop().await;
}
