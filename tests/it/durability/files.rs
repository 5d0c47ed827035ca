//! The server is killed at each step of an upload and of a removal: an acknowledged file is whole,
//! and no bytes are left behind.

use netbit::domain::ids::ChatId;
use serde_json::json;

use crate::harness::files::{FileClient, blobs, staged};
use crate::harness::{PASSWORD, Process, database, until};

const BYTES: &[u8] = b"the bytes of a file";

struct Fixture {
    directory: tempfile::TempDir,
    token: String,
    chat: ChatId,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Process::start(directory.path()).await;
        server.http.register("alice", PASSWORD).await.unwrap();
        let token = server.http.login("alice", PASSWORD).await.unwrap().token;
        let chat = server.http.with_token(&token).create_group("team", &[]).await.unwrap();
        server.kill();
        Self { directory, token, chat }
    }

    async fn start(&self, points: &str) -> (Process, FileClient) {
        let environment = [
            ("FAILPOINTS", points),
            ("NETBIT_LIMITS__MAINTENANCE_MS", "50"),
            ("NETBIT_LIMITS__FILES_UNNAMED_SECONDS", "0"),
        ];
        let server = Process::with(self.directory.path(), &environment).await;
        let files = FileClient::new(server.address(), &server.http.with_token(&self.token));
        (server, files)
    }

    fn rows(&self) -> i64 {
        database::reader(self.directory.path()).integer("SELECT count(*) AS value FROM files")
    }
}

/// Sends bytes to a server that ends meanwhile.
async fn put_until_killed(server: &mut Process, files: &FileClient, id: i64, bytes: &[u8]) {
    let url = format!("http://{}/api/files/{id}/upload", server.address());
    let request = reqwest::Client::new().put(url).bearer_auth(files.token()).body(bytes.to_vec());
    assert!(request.send().await.is_err(), "no answer");
    assert_eq!(server.end().await, None);
}

#[actix_web::test]
async fn killed_upload_is_finished_by_its_client() {
    let fixture = Fixture::new().await;
    let points = ["upload.bytes", "blob.before", "blob.after", "upload.unstage"];
    for (n, point) in points.into_iter().enumerate() {
        // Other bytes each time: equal ones are stored already.
        let bytes = point.as_bytes();
        let (mut server, files) = fixture.start(&format!("{point}=return")).await;
        let id = files.announce(fixture.chat, point, bytes.len()).await;
        put_until_killed(&mut server, &files, id, bytes).await;

        let (mut server, files) = fixture.start("").await;
        let offset = files.offset(id).await;
        assert_eq!(offset, bytes.len(), "{point}: a kill loses no written bytes");
        if files.get(id).await.status == 409 {
            // All bytes are there: an empty part completes the file.
            let finished = files.put_part(id, 0, b"", bytes.len()).await;
            assert_eq!(finished.status, 200, "{point}: {}", finished.json());
        } else {
            assert_eq!(point, "upload.unstage");
        }
        assert_eq!(files.get(id).await.bytes, bytes, "{point}");
        assert_eq!(files.post(fixture.chat, &json!({"files": [id]})).await.status, 201, "{point}");
        until(async || staged(fixture.directory.path()).is_empty()).await;
        assert_eq!(blobs(fixture.directory.path()).len(), n + 1, "{point}");
        server.kill();
    }
    database::assert_integrity(fixture.directory.path());
}

#[actix_web::test]
async fn killed_removal_is_finished_at_the_next_start() {
    let fixture = Fixture::new().await;
    let (mut server, files) = fixture.start("blob.remove=return").await;
    let (_, message) = files.share(fixture.chat, "x", BYTES).await;
    let path = format!("/api/chats/{}/messages/{message}", fixture.chat);
    // The removal may end the server before it answers.
    drop(server.http.with_token(&fixture.token).send(reqwest::Method::DELETE, &path, None, &[]).await);
    assert_eq!(server.end().await, None);
    assert_eq!((fixture.rows(), blobs(fixture.directory.path()).len()), (0, 1), "the rows went first");
    let (mut server, _) = fixture.start("").await;
    until(async || blobs(fixture.directory.path()).is_empty()).await;
    server.kill();
}

/// An upload whose row could not be written keeps its bytes: the client completes it later.
#[actix_web::test]
async fn abandoned_upload_leaves_no_bytes_after_its_time() {
    let fixture = Fixture::new().await;
    let (mut server, files) = fixture.start("blob.after=return").await;
    let id = files.announce(fixture.chat, "x", BYTES.len()).await;
    put_until_killed(&mut server, &files, id, BYTES).await;
    assert_eq!((staged(fixture.directory.path()).len(), blobs(fixture.directory.path()).len()), (1, 1));
    let environment = [
        ("NETBIT_LIMITS__FILES_UNBOUND_SECONDS", "0"),
        ("NETBIT_LIMITS__FILES_UNNAMED_SECONDS", "0"),
        ("NETBIT_LIMITS__MAINTENANCE_MS", "50"),
    ];
    let mut server = Process::with(fixture.directory.path(), &environment).await;
    until(async || {
        let directory = fixture.directory.path();
        staged(directory).is_empty() && blobs(directory).is_empty() && fixture.rows() == 0
    })
    .await;
    server.kill();
}
