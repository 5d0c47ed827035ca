//! The bytes of the smart protocol, with requests that a git client would not send.

use std::io::Write;

use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, TestServer, until};

struct Raw {
    base: String,
    client: reqwest::Client,
}

async fn raw(server: &TestServer) -> Raw {
    let alice = server.user("alice").await;
    let path = alice.hello_web("public").await;
    Raw { base: server.url(&path), client: reqwest::Client::new() }
}

impl Raw {
    async fn get(&self, rest: &str) -> reqwest::Response {
        self.client.get(format!("{}{rest}", self.base)).send().await.unwrap()
    }

    async fn post(&self, service: &str, headers: &[(&str, &str)], body: Vec<u8>) -> reqwest::Response {
        let mut request = self
            .client
            .post(format!("{}/git-{service}", self.base))
            .basic_auth("alice", Some(PASSWORD))
            .header("content-type", format!("application/x-git-{service}-request"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body).send().await.unwrap()
    }
}

#[actix_web::test]
async fn advertisement_names_its_service_and_is_not_cached() {
    let server = TestServer::start().await;
    let raw = raw(&server).await;
    let answer = raw.get("/info/refs?service=git-upload-pack").await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/x-git-upload-pack-advertisement");
    assert_eq!(header("cache-control"), "no-cache, max-age=0, must-revalidate");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(answer.bytes().await.unwrap().starts_with(b"001e# service=git-upload-pack\n0000"));
    for bad in [
        "",
        "?service=",
        "?service=git-upload-archive",
        "?service=upload-pack",
        "?service=git-upload-pack%00",
    ] {
        assert_eq!(raw.get(&format!("/info/refs{bad}")).await.status().as_u16(), 403, "{bad}");
    }
    assert_eq!(raw.get("/git-upload-pack").await.status().as_u16(), 405);
    assert_eq!(raw.get("/HEAD").await.status().as_u16(), 404, "the dumb protocol is not served");
    server.stop().await;
}

#[actix_web::test]
async fn protocol_header_is_ignored_unless_it_is_a_known_version() {
    let server = TestServer::start().await;
    let raw = raw(&server).await;
    for (value, version_2) in [
        ("version=2", true),
        ("version=1", false),
        ("version=2:foo=$(id)", false),
        ("version=3", false),
        (&"x".repeat(8000), false),
    ] {
        let url = format!("{}/info/refs?service=git-upload-pack", raw.base);
        let sent = raw.client.get(url).header("git-protocol", value).send().await.unwrap();
        let text = sent.text().await.unwrap();
        assert_eq!(text.contains("version 2"), version_2, "{value}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn probe_before_a_large_push_gets_an_empty_result() {
    let server = TestServer::start().await;
    let raw = raw(&server).await;
    let probe = raw.post("receive-pack", &[], b"0000".to_vec()).await;
    assert_eq!(probe.headers()["content-type"], "application/x-git-receive-pack-result");
    assert_eq!((probe.status().as_u16(), probe.bytes().await.unwrap().len()), (200, 0));
    let anonymous = raw
        .client
        .post(format!("{}/git-receive-pack", raw.base))
        .header("content-type", "application/x-git-receive-pack-request")
        .body("0000");
    assert_eq!(anonymous.send().await.unwrap().status().as_u16(), 401);
    server.stop().await;
}

#[actix_web::test]
async fn bodies_of_wrong_type_or_encoding_are_refused() {
    let server = TestServer::with_limits(|limits| limits.git_updates = 3).await;
    let raw = raw(&server).await;
    for service in ["upload-pack", "receive-pack"] {
        let sent = raw
            .client
            .post(format!("{}/git-{service}", raw.base))
            .basic_auth("alice", Some(PASSWORD))
            .header("content-type", "text/plain")
            .body("0000");
        assert_eq!(sent.send().await.unwrap().status().as_u16(), 415);
        let encoded = raw.post(service, &[("content-encoding", "br")], b"0000".to_vec()).await;
        assert_eq!(encoded.status().as_u16(), 415);
        let broken = raw.post(service, &[("content-encoding", "gzip")], b"not gzip".to_vec()).await;
        assert_eq!(broken.status().as_u16(), 400);
    }
    for body in ["zzzz", "0001", "000dnonsense0000", ""] {
        let sent = raw.post("receive-pack", &[], body.as_bytes().to_vec()).await;
        assert_eq!(sent.status().as_u16(), 400, "{body}");
        assert_eq!(sent.headers()["content-type"], "text/plain; charset=utf-8");
    }
    let line = format!("0063{} {} refs/heads/x\n", "0".repeat(40), "1".repeat(40));
    let many = raw.post("receive-pack", &[], format!("{}0000", line.repeat(5)).into_bytes()).await;
    assert_eq!(many.status().as_u16(), 200, "git clients show the sentence");
    assert!(many.text().await.unwrap().contains("\u{3}a push may name at most 3 refs"));
    server.stop().await;
}

/// Returns a handmade push of the commit `main` of a workdir to a new branch.
async fn push_body(workdir: &GitWorkdir, branch: &str) -> Vec<u8> {
    let head = workdir.head("work").await;
    let list = workdir.git("work", &["rev-list", "--objects", "--all"]).await.ok();
    let work = workdir.path().join("work");
    let ids: String = list.lines().map(|line| format!("{}\n", &line[..40])).collect();
    std::fs::write(work.join(".git/list"), ids).unwrap();
    let pack = std::process::Command::new("sh")
        .args(["-c", "git pack-objects --quiet --stdout < .git/list"])
        .current_dir(&work)
        .output()
        .unwrap()
        .stdout;
    let line = format!("{} {head} refs/heads/{branch}\0report-status", "0".repeat(40));
    [format!("{:04x}{line}0000", line.len() + 4).as_bytes(), &pack].concat()
}

/// Sends a push without its end: the first bytes of its body, as one chunk if the body is chunked.
async fn open_push(server: &TestServer, raw: &Raw, body: &[u8], framing: &str) -> tokio::net::TcpStream {
    use base64::Engine;
    use tokio::io::AsyncWriteExt;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("alice:{PASSWORD}"));
    let path = raw.base.splitn(4, '/').last().unwrap();
    let mut socket = tokio::net::TcpStream::connect(server.app.addresses.http).await.unwrap();
    let chunk = if framing.contains("chunked") { format!("{:x}\r\n", body.len()) } else { String::new() };
    let head = format!(
        "POST /{path}/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\n\
         content-type: application/x-git-receive-pack-request\r\n{framing}\r\n\r\n{chunk}"
    );
    let end = if chunk.is_empty() { "" } else { "\r\n" };
    socket.write_all(&[head.as_bytes(), body, end.as_bytes()].concat()).await.unwrap();
    socket
}

/// Regression: the response began before the request body was read. nginx then stopped forwarding
/// the body, and Caddy ended it.
#[actix_web::test]
async fn response_to_a_push_waits_for_the_end_of_its_body() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let raw = raw(&server).await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let body = push_body(&workdir, "topic").await;
    let (first, last) = body.split_at(body.len() - 10);
    let framing = format!("content-length: {}", body.len());
    let mut socket = open_push(&server, &raw, first, &framing).await;
    // git has received everything but the checksum.
    until(async || pushed(&server).await >= body.len() - 20).await;
    let mut said = Vec::new();
    let early = socket.try_read_buf(&mut said).map_err(|error| error.kind());
    assert_eq!(early, Err(std::io::ErrorKind::WouldBlock), "{}", String::from_utf8_lossy(&said));
    socket.write_all(last).await.unwrap();
    while !said.ends_with(b"0\r\n\r\n") {
        assert!(socket.read_buf(&mut said).await.unwrap() > 0, "{}", String::from_utf8_lossy(&said));
    }
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("ok refs/heads/topic"), "{said}");
    server.stop().await;
}

/// Returns the number of push bytes that git has received.
async fn pushed(server: &TestServer) -> usize {
    let (_, text) = server.operations("/metrics").await;
    let line = text.lines().find(|line| {
        line.starts_with("netbit_git_bytes_total") && line.contains("push") && line.contains("\"in\"")
    });
    line.and_then(|line| line.rsplit(' ').next()).map_or(0, |count| count.parse().unwrap())
}

/// git accepts a pack as complete at its checksum, whatever bytes follow. A client that sends more
/// bytes after it, or keeps the body open, must not move a ref before the server has recorded the
/// push.
#[actix_web::test]
async fn bytes_after_a_pack_do_not_admit_the_push() {
    let server = TestServer::start().await;
    let raw = raw(&server).await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let none = async || workdir.git("", &["ls-remote", &raw.base]).await.ok();
    for more in [1, 33, 200, 100_000] {
        let body = [push_body(&workdir, "ghost").await, vec![0; more]].concat();
        let answer = raw.post("receive-pack", &[], body).await.text().await.unwrap();
        assert!(
            answer.contains("ng refs/heads/ghost there are extra bytes after the pack"),
            "{more}: {answer}"
        );
        assert_eq!(none().await, "");
    }
    // A complete pack in a body that does not end: no ref moves while the body is open, or when it
    // breaks off.
    let body = push_body(&workdir, "ghost").await;
    let before = pushed(&server).await;
    let socket = open_push(&server, &raw, &body, "transfer-encoding: chunked").await;
    until(async || pushed(&server).await >= before + body.len() - 20).await;
    let mut answer = Vec::new();
    let early = socket.try_read_buf(&mut answer).map_err(|error| error.kind());
    assert_eq!(early, Err(std::io::ErrorKind::WouldBlock), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(none().await, "");
    drop(socket);
    // A complete pack in a body that ends is accepted.
    let answer = raw.post("receive-pack", &[], push_body(&workdir, "good").await).await.text().await.unwrap();
    assert!(answer.contains("ok refs/heads/good"), "{answer}");
    assert_eq!(none().await.lines().filter(|line| line.contains("refs/heads/")).count(), 1);
    server.stop().await;
}

#[actix_web::test]
async fn malformed_or_truncated_pack_moves_no_ref() {
    let server = TestServer::start().await;
    let raw = raw(&server).await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let good = push_body(&workdir, "x").await;
    let start = good.windows(4).position(|window| window == b"PACK").unwrap();
    let mut mangled = good.clone();
    mangled[start + 20] ^= 0xff;
    let mut wrong_sum = good.clone();
    *wrong_sum.last_mut().unwrap() ^= 0xff;
    for (story, body) in [
        ("truncated", good[..good.len() - 7].to_vec()),
        ("no pack", good[..start].to_vec()),
        ("mangled", mangled),
        ("another checksum", wrong_sum),
        ("another magic", [&good[..start], b"PUCK", &good[start + 4..]].concat()),
    ] {
        let answer = raw.post("receive-pack", &[], body).await;
        let text = answer.bytes().await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(!text.as_ref().is_ok_and(|text| text.contains("ok refs/heads/x")), "{story}: {text:?}");
        assert_eq!(workdir.git("", &["ls-remote", &raw.base]).await.ok(), "", "{story}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn deletion_with_a_pack_or_with_a_repeated_ref_is_refused() {
    let server = TestServer::start().await;
    let raw = raw(&server).await;
    let (zero, one) = ("0".repeat(40), "1".repeat(40));
    let command = |old: &str, new: &str, rest: &str| {
        let line = format!("{old} {new} refs/heads/x{rest}");
        format!("{:04x}{line}", line.len() + 4)
    };
    let delete = format!("{}0000", command(&one, &zero, "\0report-status"));
    let bomb = [delete.as_bytes(), &vec![0; 1_000_000]].concat();
    let answer = raw.post("receive-pack", &[], bomb).await.text().await.unwrap();
    assert!(answer.contains("ng refs/heads/x there are extra bytes after the pack"), "{answer}");
    // Deleting a ref that does not exist creates no event.
    raw.post("receive-pack", &[], delete.into_bytes()).await;
    let alice = server.login("alice").await;
    assert!(alice.pushes(1).await.is_empty());
    let twice = format!("{}{}0000", command(&zero, &one, "\0report-status"), command(&one, &zero, ""));
    let answer = raw.post("receive-pack", &[], twice.into_bytes()).await.text().await.unwrap();
    assert!(answer.contains("a ref is named twice"), "{answer}");
    server.stop().await;
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // The smallest gzip stream: stored blocks (RFC 1951 section 3.2.4) and a checksum.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks: Vec<_> = bytes.chunks(65_535).collect();
    for (at, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).unwrap();
        out.push(u8::from(at + 1 == blocks.len()));
        out.write_all(&length.to_le_bytes()).unwrap();
        out.write_all(&(!length).to_le_bytes()).unwrap();
        out.write_all(block).unwrap();
    }
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    out.write_all(&(!crc).to_le_bytes()).unwrap();
    out.write_all(&u32::try_from(bytes.len()).unwrap().to_le_bytes()).unwrap();
    out
}

#[actix_web::test]
async fn compressed_requests_are_inflated_up_to_a_limit() {
    let server = TestServer::with_limits(|limits| limits.git_request_bytes = 10_000).await;
    let raw = raw(&server).await;
    let compressed = [("content-encoding", "gzip")];
    let asked = gzip(b"0014command=ls-refs\n0000");
    let protocol = [compressed[0], ("git-protocol", "version=2")];
    let small = raw.post("upload-pack", &protocol, asked.clone()).await;
    assert_eq!(small.status().as_u16(), 200);
    let cut = raw.post("upload-pack", &compressed, asked[..asked.len() - 12].to_vec()).await;
    assert_eq!(cut.status().as_u16(), 400, "truncated");
    let bomb = raw.post("upload-pack", &compressed, gzip(&vec![b'0'; 200_000])).await;
    let plain = raw.post("upload-pack", &[], vec![b'0'; 200_000]).await;
    for answer in [bomb, plain] {
        assert_eq!(answer.status().as_u16(), 200);
        assert!(answer.text().await.unwrap().contains("ERR the request names too many objects"));
    }
    server.stop().await;
}
