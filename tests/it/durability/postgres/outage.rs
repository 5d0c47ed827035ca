//! PostgreSQL crashes in the middle of a COMMIT.

use serde_json::json;

use super::alice_in_a_group;
use super::private_server::{PrivateServer, query};
use crate::harness::{Process, eventually, postgres, until};

/// Makes the COMMIT of a message with this content wait, until a crash: it empties unlogged tables.
const SLOW_COMMIT: &str = "
    CREATE UNLOGGED TABLE waits AS SELECT 1;
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(1000) FROM waits; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.content = 'slow') EXECUTE FUNCTION wait()";

/// The writer waits for the outcome for up to 10 s. Later commands waited too, although the
/// database was away.
#[actix_web::test]
async fn new_writes_are_refused_while_an_outcome_is_unclear() {
    if !postgres::is_used() {
        return;
    }
    let (directory, database) = (tempfile::tempdir().unwrap(), PrivateServer::start().await);
    let environment = [
        database.environment(),
        ("NETBIT_LIMITS__READ_ONLY_PROBE_MS", "200"),
        // The commands that wait must not take all permits.
        ("NETBIT_LIMITS__COMMANDS_PER_USER", "100000"),
        ("NETBIT_LIMITS__WRITER_COMMANDS", "100000"),
    ];
    let server = Process::with(directory.path(), &environment).await;
    let (alice, chat) = alice_in_a_group(&server).await;
    query(&database.url, SLOW_COMMIT);
    let path = format!("/api/chats/{chat}/messages");
    let post = |content: &str| {
        let (alice, path, body) = (alice.clone(), path.clone(), json!({"content": content}));
        actix::spawn(async move { alice.post(&path, &body).await.unwrap() })
    };
    let unclear = post("slow");
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(async || query(&database.url, sleeps) == "1").await;
    database.crash().await;

    // The commands of the first 2 s are in the mailbox and wait; then new ones are refused.
    let mut later = Vec::new();
    let refused = eventually(async || {
        later.push(post("later"));
        // The rest of the server answers.
        assert_eq!(server.operations("/livez").await.0, 200);
        let done = later.iter().position(|post| post.is_finished())?;
        let answer = later.swap_remove(done).await.unwrap();
        answer.body["detail"].as_str().unwrap().contains("database").then_some(answer)
    });
    let refused = refused.await;
    assert_eq!((refused.status, refused.code()), (503, "overloaded"), "{}", refused.body);
    assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers);
    assert!(!unclear.is_finished(), "refused before the outcome is given up");

    database.start_again().await;
    let answer = eventually(async || {
        let answer = post("after").await.unwrap();
        (answer.status != 503).then_some(answer)
    });
    assert_eq!(answer.await.status, 201);
    // The crash ended the COMMIT: the command has run again, or its outcome was given up.
    let unclear = unclear.await.unwrap();
    assert!([201, 500, 503].contains(&unclear.status), "{}", unclear.body);
    for post in later {
        let answer = post.await.unwrap();
        assert!([201, 503].contains(&answer.status), "{}", answer.body);
    }
    server.stop().await;
}
