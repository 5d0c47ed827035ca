//! The server is killed at each step of an upload of an object: its client pushes again, and no
//! bytes are left behind.

use reqwest::Method;
use serde_json::json;

use crate::harness::files::blobs;
use crate::harness::lfs::{LfsClient, incoming, oid};
use crate::harness::{PASSWORD, Process, database, until};

const PATH: &str = "alice/hello/web";

async fn start(directory: &std::path::Path, points: &str) -> Process {
    let environment = [
        ("FAILPOINTS", points),
        ("NETBIT_LIMITS__MAINTENANCE_MS", "50"),
        ("NETBIT_LIMITS__FILES_UNNAMED_SECONDS", "0"),
        ("NETBIT_LIMITS__LFS_STAGED_SECONDS", "1"),
        ("NETBIT_LIMITS__UPLOAD_IDLE_MS", "900"),
    ];
    Process::with(directory, &environment).await
}

#[actix_web::test]
async fn killed_upload_of_an_object_is_pushed_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = start(directory.path(), "").await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let token = server.http.login("alice", PASSWORD).await.unwrap().token;
    let alice = server.http.with_token(&token);
    alice.post("/api/projects/create", &json!({"name": "hello"})).await.unwrap().success().unwrap();
    let repos = "/api/projects/alice/hello/repos/create";
    alice.post(repos, &json!({"name": "web"})).await.unwrap().success().unwrap();
    let lfs_at =
        |server: &Process| LfsClient::new(server.address(), PATH, Some(&server.http.with_token(&token)));
    let kept = lfs_at(&server).push(b"pushed before").await;
    server.kill();
    for point in ["upload.bytes", "blob.before", "blob.after", "commit.before", "upload.unstage"] {
        let bytes = point.as_bytes();
        let mut server = start(directory.path(), &format!("{point}=return")).await;
        let url = format!("http://{}/{PATH}.git/info/lfs/objects/{}", server.address(), oid(bytes));
        let request = reqwest::Client::new().put(url).bearer_auth(&token).body(bytes.to_vec());
        assert!(request.send().await.is_err(), "{point}: no answer");
        assert_eq!(server.end().await, None);

        let mut server = start(directory.path(), "").await;
        let lfs = lfs_at(&server);
        let batch = lfs.batch("upload", &[(&oid(bytes), bytes.len()), (&kept, 13)]).await.json();
        assert!(batch["objects"][1].get("actions").is_none(), "{point}: what was uploaded is not asked for");
        let is_there = batch["objects"][0].get("actions").is_none();
        assert_eq!(is_there, point == "upload.unstage", "{point}");
        if !is_there {
            lfs.push(bytes).await;
        }
        assert_eq!(lfs.pull(&oid(bytes), bytes.len()).await.bytes, bytes, "{point}");
        assert_eq!(lfs.get(&format!("objects/{kept}")).await.bytes, b"pushed before");
        until(async || incoming(directory.path()).is_empty()).await;
        server.kill();
    }
    assert_eq!(blobs(directory.path()).len(), 6);
    // The rows went first, and the next start removes the bytes.
    let mut server = start(directory.path(), "blob.remove=return").await;
    let alice = server.http.with_token(&token);
    drop(alice.send(Method::DELETE, "/api/projects/alice/hello/repos/web", None, &[]).await);
    assert_eq!(server.end().await, None);
    let mut server = start(directory.path(), "").await;
    until(async || blobs(directory.path()).is_empty()).await;
    server.kill();
    database::assert_integrity(directory.path());
}
