//! Read cursors are written later than the messages that move them.

use netbit::client::HttpClient;
use netbit::domain::ids::ChatId;
use serde_json::json;

use crate::harness::{PASSWORD, Process};

/// Returns the read cursor and the number of unread messages.
async fn unread(person: &HttpClient, chat: ChatId) -> (i64, i64) {
    let chat = person.get(&format!("/api/chats/{chat}")).await.unwrap().body;
    (chat["read_seq"].as_i64().unwrap(), chat["unread_count"].as_i64().unwrap())
}

/// Ada and Bob write, and the server is killed before their cursors are in the database. Without
/// recovery their own messages would be unread. If the server counted them twice, a message that
/// Ada marked as unread would be read again.
#[actix_web::test]
async fn kill_9_keeps_cursors_that_own_messages_moved() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path()).await;
    let mut people = Vec::new();
    for name in ["ada", "bob"] {
        server.http.register(name, PASSWORD).await.unwrap();
        people.push(server.http.login(name, PASSWORD).await.unwrap().token);
    }
    let chat = server.http.with_token(&people[0]).create_group("pair", &["bob"]).await.unwrap();
    let path = format!("/api/chats/{chat}");
    let mut expected = None;
    for round in 0..3 {
        let [ada, bob] = [&people[0], &people[1]].map(|token| server.http.with_token(token));
        if let Some(expected) = expected {
            let found = (unread(&ada, chat).await, unread(&bob, chat).await);
            assert_eq!(found, expected, "round {round}: a kill changes no cursor");
        }
        // The last round ends with a mark, the previous round with messages.
        let marks = json!({"from_seq": 4});
        if round == 1 {
            assert_eq!(ada.post(&format!("{path}/unread"), &marks).await.unwrap().status, 200);
        }
        for (person, text) in [(&ada, "one"), (&bob, "two"), (&bob, "three"), (&ada, "four")] {
            let said = person.post(&format!("{path}/messages"), &json!({"content": text})).await.unwrap();
            assert_eq!(said.status, 201, "{}", said.body);
        }
        if round == 2 {
            assert_eq!(ada.post(&format!("{path}/unread"), &marks).await.unwrap().status, 200);
        }
        expected = Some((unread(&ada, chat).await, unread(&bob, chat).await));
        server.kill();
        server = Process::start(directory.path()).await;
    }
    let [ada, bob] = [&people[0], &people[1]].map(|token| server.http.with_token(token));
    // Ada's own six messages are not unread for her, and Bob's own are not unread for him.
    assert_eq!(unread(&ada, chat).await, (3, 6));
    assert_eq!(Some((unread(&ada, chat).await, unread(&bob, chat).await)), expected);
    server.kill();
}
