//! Notifications, as far as they need no push.

use serde_json::json;

use crate::harness::{TestServer, assert_problem};

#[actix_web::test]
async fn whoever_was_told_nothing_has_an_empty_list_and_nothing_to_mark() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for path in ["/api/notifications", "/api/notifications?unread=true&limit=1"] {
        assert_eq!(alice.get(path).await.body, json!({"items": []}));
        assert_problem(&server.http.get(path).await.unwrap(), 401, "unauthenticated");
    }
    assert_problem(&alice.post("/api/notifications/1/read", json!({})).await, 404, "not_found");
    assert_eq!(alice.post("/api/notifications/read", json!({})).await.status, 204);
    assert_problem(&alice.get("/api/notifications?unread=maybe").await, 400, "bad_request");
    server.stop().await;
}
