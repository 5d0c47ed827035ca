//! A client of the routes of Git LFS, as its program sends the requests.

use std::path::{Path, PathBuf};

use netbit::client::HttpClient;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::files::Received;
use super::{Person, TestServer, soon};

pub(crate) const LFS_JSON: &str = "application/vnd.git-lfs+json";

/// Returns the oid of these bytes.
pub(crate) fn oid(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the file that a commit has in place of these bytes.
pub(crate) fn pointer(bytes: &[u8]) -> String {
    let (oid, size) = (oid(bytes), bytes.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

/// Returns the names of the uploads below a data directory that are not complete.
pub(crate) fn incoming(data_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data_dir.join("files/lfs")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Returns the head of a request that sends these bytes.
pub(crate) fn upload_head(user: &Person, path: &str, bytes: &[u8]) -> String {
    format!(
        "PUT /{path}.git/info/lfs/objects/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n",
        oid(bytes),
        user.http.token().unwrap(),
        bytes.len()
    )
}

/// A connection that sends an upload in parts.
pub(crate) struct RawUpload(tokio::net::TcpStream);

impl RawUpload {
    pub(crate) async fn begin(server: &TestServer, head: &str) -> Self {
        let mut socket = tokio::net::TcpStream::connect(server.app.addresses.http).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        Self(socket)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        soon(self.0.write_all(bytes)).await.unwrap();
    }

    /// Returns the begin of the answer.
    pub(crate) async fn status(&mut self) -> String {
        let mut status = vec![0; 12];
        soon(self.0.read_exact(&mut status)).await.unwrap();
        String::from_utf8(status).unwrap()
    }

    /// Sends a byte from time to time until the answer arrives. Returns its begin.
    pub(crate) async fn trickle(&mut self) -> String {
        let pause = std::time::Duration::from_millis(20);
        let mut status = vec![0; 12];
        soon(async {
            loop {
                if let Ok(read) = tokio::time::timeout(pause, self.0.read_exact(&mut status)).await {
                    read.unwrap();
                    return;
                }
                // The server may close the connection after its answer.
                self.0.write_all(b"x").await.ok();
            }
        })
        .await;
        String::from_utf8(status).unwrap()
    }
}

/// The routes of a repository, for one user or none.
#[derive(Clone)]
pub(crate) struct LfsClient {
    base: String,
    authorization: Option<String>,
    inner: reqwest::Client,
}

impl LfsClient {
    /// `path`: `owner/project/repository`.
    pub(crate) fn new(address: &str, path: &str, user: Option<&HttpClient>) -> Self {
        let authorization = user.map(|user| format!("Bearer {}", user.token().unwrap()));
        Self::with(address, path, authorization)
    }

    pub(crate) fn with(address: &str, path: &str, authorization: Option<String>) -> Self {
        let inner = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base: format!("http://{address}/{path}.git/info/lfs"), authorization, inner }
    }

    /// Returns the client of a user at a server.
    pub(crate) fn of(server: &TestServer, path: &str, person: &Person) -> Self {
        Self::new(&server.app.addresses.http.to_string(), path, Some(&person.http))
    }

    pub(crate) fn href(&self, rest: &str) -> String {
        format!("{}/{rest}", self.base)
    }

    /// Sends a request with these headers, and those of nothing else.
    pub(crate) async fn raw(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Received {
        let mut request = self.inner.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = soon(request.body(body).send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Received { status, headers, bytes: soon(response.bytes()).await.unwrap().to_vec() }
    }

    pub(crate) async fn send(&self, method: Method, rest: &str, body: Vec<u8>) -> Received {
        let mut headers = vec![("content-type", LFS_JSON), ("accept", LFS_JSON)];
        headers.extend(self.authorization.as_deref().map(|value| ("authorization", value)));
        self.raw(method, &self.href(rest), &headers, body).await
    }

    pub(crate) async fn post(&self, rest: &str, body: &Value) -> Received {
        self.send(Method::POST, rest, body.to_string().into_bytes()).await
    }

    pub(crate) async fn get(&self, rest: &str) -> Received {
        self.send(Method::GET, rest, Vec::new()).await
    }

    /// Returns the answer to a batch about these objects.
    pub(crate) async fn batch(&self, operation: &str, objects: &[(&str, usize)]) -> Received {
        let objects: Vec<_> = objects.iter().map(|(oid, size)| json!({"oid": oid, "size": size})).collect();
        let body = json!({
            "operation": operation,
            "transfers": ["lfs-standalone-file", "basic"],
            "ref": {"name": "refs/heads/main"},
            "objects": objects,
            "hash_algo": "sha256",
        });
        self.post("objects/batch", &body).await
    }

    /// Returns the answer about one object of a batch.
    pub(crate) async fn asked(&self, operation: &str, oid: &str, size: usize) -> Value {
        let answered = self.batch(operation, &[(oid, size)]).await;
        assert_eq!(answered.status, 200, "{}", answered.json());
        answered.json()["objects"][0].clone()
    }

    /// Sends bytes to the address that an answer about an object has.
    pub(crate) async fn follow(&self, method: Method, action: &Value, body: Vec<u8>) -> Received {
        let mut headers = vec![("content-type", LFS_JSON)];
        let link = action["header"]["Authorization"].as_str().map(str::to_owned);
        headers.extend(link.as_deref().map(|value| ("authorization", value)));
        self.raw(method, action["href"].as_str().unwrap(), &headers, body).await
    }

    /// Uploads an object as the program does: batch, upload, verify. Returns the oid.
    pub(crate) async fn push(&self, bytes: &[u8]) -> String {
        let oid = oid(bytes);
        let asked = self.asked("upload", &oid, bytes.len()).await;
        let sent = self.follow(Method::PUT, &asked["actions"]["upload"], bytes.to_vec()).await;
        assert_eq!(sent.status, 200, "{asked} {:?}", sent);
        let body = json!({"oid": oid, "size": bytes.len()}).to_string().into_bytes();
        let verified = self.follow(Method::POST, &asked["actions"]["verify"], body).await;
        assert_eq!(verified.status, 200, "{}", verified.json());
        oid
    }

    /// Returns the bytes of an object, as the program does: batch, download.
    pub(crate) async fn pull(&self, oid: &str, size: usize) -> Received {
        let asked = self.asked("download", oid, size).await;
        self.follow(Method::GET, &asked["actions"]["download"], Vec::new()).await
    }

    /// Locks a path; returns the id of the lock.
    pub(crate) async fn lock(&self, path: &str) -> String {
        let locked = self.post("locks", &json!({"path": path})).await;
        assert_eq!(locked.status, 201, "{}", locked.json());
        locked.json()["lock"]["id"].as_str().unwrap().to_owned()
    }
}
