//! Uploads and downloads of files in chats.

use netbit::client::HttpClient;
use netbit::domain::ids::ChatId;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::soon;

/// A PNG of 3 x 2 pixels: its header and its end.
pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0....\0\0\0\0IEND\xaeB`\x82";

/// A client of the routes of files, whose bodies are not JSON.
#[derive(Clone)]
pub(crate) struct FileClient {
    base: String,
    token: String,
    inner: reqwest::Client,
}

/// A response with its bytes.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

impl FileClient {
    /// Returns the client of the user at the server with this address.
    pub(crate) fn new(address: &str, user: &HttpClient) -> Self {
        let inner = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base: format!("http://{address}"), token: user.token().unwrap().to_owned(), inner }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Received {
        let mut request = self.inner.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = soon(request.body(body).send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Received { status, headers, bytes: soon(response.bytes()).await.unwrap().to_vec() }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Announces a file; returns its id.
    pub(crate) async fn announce(&self, chat: ChatId, name: &str, size: usize) -> i64 {
        let body = json!({"name": name, "size": size}).to_string().into_bytes();
        let path = format!("/api/chats/{chat}/files");
        let made = self.send(Method::POST, &path, &[("content-type", "application/json")], body).await;
        let answer = made.json();
        assert_eq!(made.status, 201, "{answer}");
        assert_eq!(answer["upload"], format!("/api/files/{}/upload", answer["id"]));
        answer["id"].as_i64().unwrap()
    }

    /// Sends all bytes of a file.
    pub(crate) async fn put(&self, id: i64, bytes: &[u8]) -> Received {
        self.send(Method::PUT, &format!("/api/files/{id}/upload"), &[], bytes.to_vec()).await
    }

    /// Sends a part of a file of `size` bytes.
    pub(crate) async fn put_part(&self, id: i64, at: usize, part: &[u8], size: usize) -> Received {
        let range = match part.len() {
            0 => format!("bytes */{size}"),
            count => format!("bytes {at}-{}/{size}", at + count - 1),
        };
        let headers = [(CONTENT_RANGE.as_str(), range.as_str())];
        self.send(Method::PUT, &format!("/api/files/{id}/upload"), &headers, part.to_vec()).await
    }

    /// Announces a file and sends its bytes; returns its id.
    pub(crate) async fn upload(&self, chat: ChatId, name: &str, bytes: &[u8]) -> i64 {
        let id = self.announce(chat, name, bytes.len()).await;
        let sent = self.put(id, bytes).await;
        assert_eq!(sent.status, 200, "{}", sent.json());
        assert_eq!(sent.json()["complete"], true);
        id
    }

    /// Returns how many bytes of an upload have arrived.
    pub(crate) async fn offset(&self, id: i64) -> usize {
        let state = self.send(Method::HEAD, &format!("/api/files/{id}/upload"), &[], Vec::new()).await;
        assert_eq!(state.status, 200);
        state.header("upload-offset").parse().unwrap()
    }

    /// Posts a message with files.
    pub(crate) async fn post(&self, chat: ChatId, body: &Value) -> Received {
        let path = format!("/api/chats/{chat}/messages");
        let headers = [("content-type", "application/json")];
        self.send(Method::POST, &path, &headers, body.to_string().into_bytes()).await
    }

    /// Uploads a file and posts it; returns the file and the message.
    pub(crate) async fn share(&self, chat: ChatId, name: &str, bytes: &[u8]) -> (i64, i64) {
        let id = self.upload(chat, name, bytes).await;
        let posted = self.post(chat, &json!({"files": [id]})).await;
        assert_eq!(posted.status, 201, "{}", posted.json());
        (id, posted.json()["id"].as_i64().unwrap())
    }

    pub(crate) async fn get(&self, id: i64) -> Received {
        self.get_with(id, &[]).await
    }

    pub(crate) async fn get_with(&self, id: i64, headers: &[(&str, &str)]) -> Received {
        self.send(Method::GET, &format!("/api/files/{id}"), headers, Vec::new()).await
    }

    /// Returns the thumbnail of a file.
    pub(crate) async fn thumbnail(&self, id: i64, size: u32) -> Received {
        let path = format!("/api/files/{id}/thumbnail?size={size}");
        self.send(Method::GET, &path, &[], Vec::new()).await
    }

    pub(crate) async fn status(&self, id: i64) -> StatusCode {
        StatusCode::from_u16(self.get(id).await.status).unwrap()
    }
}

/// Returns the paths of the blobs below a data directory, and the names of those in a bucket.
pub(crate) fn blobs(data_dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = super::s3::blobs(data_dir);
    // A list of the bucket has those on disk, too.
    found.retain(|name| !blobs_on_disk(data_dir).iter().any(|path| path.ends_with(name)));
    found.extend(blobs_on_disk(data_dir));
    found
}

/// Returns the paths of the blobs below a data directory.
pub(crate) fn blobs_on_disk(data_dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let folders = |path: &std::path::Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    for first in folders(&data_dir.join("files")).into_iter().filter(|path| path.is_dir()) {
        for second in folders(&first).into_iter().filter(|path| path.is_dir()) {
            found.extend(folders(&second));
        }
    }
    found
}

/// Returns the names of the thumbnails below a data directory.
pub(crate) fn thumbnails(data_dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    // Made with the first thumbnail.
    for part in std::fs::read_dir(data_dir.join("thumbnails")).into_iter().flatten() {
        let entries = std::fs::read_dir(part.unwrap().path()).unwrap();
        found.extend(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()));
    }
    found
}

/// Returns the path of the staged bytes of an upload, once there are any.
pub(crate) fn staged_path(data_dir: &std::path::Path, id: i64) -> Option<std::path::PathBuf> {
    let name = staged(data_dir).into_iter().find(|name| name.starts_with(&format!("{id}-")))?;
    Some(data_dir.join("files/uploads").join(name))
}

/// Returns the names of the staged uploads below a data directory.
pub(crate) fn staged(data_dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(data_dir.join("files/uploads")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
