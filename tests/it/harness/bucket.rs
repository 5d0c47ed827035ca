//! An S3-compatible store in the test, with faults on command.
//!
//! It checks the SHA-256 that each request states for its body, and knows one bucket.
#![expect(clippy::disallowed_types, reason = "each connection has a thread")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

const BUCKET: &str = "/netbit-test";
const DATE: &str = "2026-01-01T00:00:00.000Z";
const HTTP_DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// How the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Unavailable,
    /// Accepts requests, and answers none.
    Silent,
    /// Accepts parts of uploads, and does not answer.
    SilentParts,
    /// Ends each body of a GET in its middle.
    Cut,
    WrongBytes,
    /// Sends fewer bytes than a GET asked for, with the right length.
    Short,
    /// Each page of a list has a next one.
    Endless,
    /// Keeps only the first half of each object.
    Forgetful,
    /// Answers no removal, and executes it with [`Bucket::remove_late`].
    LateRemovals,
    /// Answers the GET of an object when this many have arrived.
    Together(usize),
    /// Answers each request with this code.
    Refuses(u16, &'static str),
}

struct State {
    fault: Fault,
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    requests: Vec<String>,
    listed: u64,
    late: Vec<String>,
    /// Parts of the keys of objects that cannot be read or copied.
    spoiled: BTreeSet<String>,
    /// Arrived GETs of [`Fault::Together`].
    arrived: usize,
}

/// A running store. It ends with the test process.
#[derive(Clone)]
pub(crate) struct Bucket {
    state: Arc<Mutex<State>>,
    pub(crate) endpoint: String,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Bytes of the body that are sent.
    sent: usize,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: Vec::new(), sent: body.len(), body }
    }

    fn problem(status: u16, code: &str) -> Self {
        Self::new(status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
    }
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            fault: Fault::None,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            requests: Vec::new(),
            listed: 0,
            late: Vec::new(),
            spoiled: BTreeSet::new(),
            arrived: 0,
        };
        let bucket = Self { state: Arc::new(Mutex::new(state)), endpoint };
        let serving = bucket.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(connection));
            }
        });
        bucket
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.with(|state| state.fault = fault);
    }

    /// Returns the keys of all objects.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.with(|state| state.objects.keys().cloned().collect())
    }

    /// Returns the keys of blobs.
    pub(crate) fn blobs(&self) -> Vec<String> {
        let is_blob = |key: &String| key.rsplit('/').next().is_some_and(|name| name.find('.') == Some(64));
        self.keys().into_iter().filter(is_blob).collect()
    }

    /// Removes a blob behind the back of the server.
    pub(crate) fn lose(&self, hash: &str) {
        self.with(|state| state.objects.retain(|key, _| !key.contains(hash)));
    }

    /// Adds an object behind the back of the server.
    pub(crate) fn add(&self, key: &str, bytes: &[u8]) {
        self.with(|state| state.objects.insert(key.to_owned(), bytes.to_vec()));
    }

    /// Returns the number of removals that it has not executed.
    pub(crate) fn late_removals(&self) -> usize {
        self.with(|state| state.late.len())
    }

    /// Executes these removals.
    pub(crate) fn remove_late(&self) {
        self.with(|state| {
            let late = std::mem::take(&mut state.late);
            late.iter().for_each(|key| drop(state.objects.remove(key)));
        });
    }

    /// Makes requests fail that read or copy objects with this part in their key.
    pub(crate) fn spoil(&self, part: &str) {
        self.with(|state| state.spoiled.insert(part.to_owned()));
    }

    /// Ends [`Bucket::spoil`].
    pub(crate) fn mend(&self) {
        self.with(|state| state.spoiled.clear());
    }

    /// Moves the objects with this part in their key, behind the back of the server.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.with(|state| {
            let objects = std::mem::take(&mut state.objects).into_iter();
            state.objects = objects.map(|(key, bytes)| (key.replace(from, to), bytes)).collect();
        });
    }

    /// Returns the requests so far: method, path and query.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.with(|state| state.requests.clone())
    }

    /// Returns how often the part of a blob was listed since `since` requests.
    pub(crate) fn lists_of_part(&self, key: &str, since: usize) -> usize {
        let (folder, _) = key.rsplit_once('/').and_then(|(folder, _)| folder.rsplit_once('/')).unwrap();
        let prefix = format!("prefix={folder}/&");
        let is_list = |request: &&String| {
            request.replace("%2F", "/").contains(&prefix) && !request.contains("delimiter")
        };
        self.requests().iter().skip(since).filter(is_list).count()
    }

    /// Returns the number of uploads in parts that were neither completed nor aborted.
    pub(crate) fn open_uploads(&self) -> usize {
        self.with(|state| state.uploads.len())
    }

    fn serve(&self, connection: TcpStream) {
        connection.set_nodelay(true).unwrap();
        let mut writer = connection.try_clone().unwrap();
        let mut reader = BufReader::new(connection);
        while let Some(request) = read(&mut reader) {
            let fault = self.with(|state| {
                state.requests.push(format!("{} {}?{}", request.method, request.path, request.query));
                state.fault
            });
            let is_silent = fault == Fault::SilentParts && request.query.contains("partNumber=");
            if fault == Fault::Silent || is_silent {
                while self.with(|state| state.fault) == fault {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                return;
            }
            self.wait_for_others(&request, fault);
            let answer = self.answer(&request, fault);
            let mut head = format!("HTTP/1.1 {} x\r\n", answer.status);
            let length = if request.method == "HEAD" { None } else { Some(answer.body.len()) };
            if let Some(length) = length {
                write!(head, "content-length: {length}\r\n").unwrap();
            }
            for (name, value) in &answer.headers {
                write!(head, "{name}: {value}\r\n").unwrap();
            }
            head.push_str("\r\n");
            let body = if length.is_none() { &[] } else { &answer.body[..answer.sent] };
            let is_cut = answer.sent < answer.body.len();
            if writer.write_all(&[head.as_bytes(), body].concat()).is_err() || is_cut {
                return;
            }
        }
    }

    fn wait_for_others(&self, request: &Request, fault: Fault) {
        let Fault::Together(count) = fault else { return };
        let is_object = request.path.trim_start_matches(BUCKET).trim_start_matches('/').contains('/');
        if request.method != "GET" || !is_object {
            return;
        }
        self.with(|state| state.arrived += 1);
        while self.with(|state| state.arrived < count && state.fault == fault) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn answer(&self, request: &Request, fault: Fault) -> Answer {
        let Request { method, path, query, headers, body } = request;
        match fault {
            Fault::Unavailable => return Answer::problem(503, "SlowDown"),
            Fault::Refuses(status, code) => return Answer::problem(status, code),
            _ => {}
        }
        let digest =
            Sha256::digest(body).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        if headers.get("x-amz-content-sha256") != Some(&digest) || !headers.contains_key("authorization") {
            return Answer::problem(400, "XAmzContentSHA256Mismatch");
        }
        let Some(key) = path.strip_prefix(BUCKET).map(|key| key.trim_start_matches('/').to_owned()) else {
            return Answer::problem(404, "NoSuchBucket");
        };
        let source = headers.get("x-amz-copy-source").filter(|_| method == "PUT");
        let touched = source.unwrap_or(&key);
        if self.with(|state| state.spoiled.iter().any(|part| touched.contains(part.as_str()))) {
            return Answer::problem(500, "InternalError");
        }
        let argument = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            pair.map(|value| value.replace("%2F", "/"))
        };
        let upload = argument("uploadId");
        self.with(|state| match (method.as_str(), upload) {
            ("GET", _) if key.is_empty() => {
                let prefix = argument("prefix").unwrap_or_default();
                let after = argument("continuation-token").unwrap_or_default();
                match argument("delimiter") {
                    None => list(state, &prefix, &after, fault),
                    Some(_) => list_folders(state, &prefix),
                }
            }
            ("POST", None) => {
                let id = format!("upload-{}", state.requests.len());
                state.uploads.insert(id.clone(), BTreeMap::new());
                let text = format!(
                    "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                Answer::new(200, text)
            }
            ("POST", Some(id)) => {
                let Some(parts) = state.uploads.remove(&id) else { return Answer::problem(404, "NoSuchUpload") };
                let bytes = parts.into_values().flatten().collect();
                state.objects.insert(key, kept(bytes, fault));
                let text = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
                Answer::new(200, text)
            }
            ("PUT", Some(id)) => {
                let number = argument("partNumber").unwrap().parse().unwrap();
                let Some(parts) = state.uploads.get_mut(&id) else { return Answer::problem(404, "NoSuchUpload") };
                parts.insert(number, body.clone());
                Answer { headers: vec![("etag", format!("\"{number}\""))], ..Answer::new(200, "") }
            }
            ("PUT", None) => {
                let bytes = match headers.get("x-amz-copy-source") {
                    None => kept(body.clone(), fault),
                    Some(from) => {
                        let from = from.trim_start_matches('/');
                        let from = from.strip_prefix(BUCKET.trim_start_matches('/')).unwrap_or_default();
                        match state.objects.get(from.trim_start_matches('/')) {
                            Some(found) => found.clone(),
                            None => return Answer::problem(404, "NoSuchKey"),
                        }
                    }
                };
                state.objects.insert(key, bytes);
                let text = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>";
                Answer { headers: vec![("etag", "\"e\"".to_owned())], ..Answer::new(200, text) }
            }
            ("DELETE", Some(id)) => {
                state.uploads.remove(&id);
                Answer::new(204, "")
            }
            ("DELETE", None) if fault == Fault::LateRemovals => {
                state.late.push(key);
                Answer::problem(503, "SlowDown")
            }
            ("DELETE", None) => {
                state.objects.remove(&key);
                Answer::new(204, "")
            }
            _ => match state.objects.get(&key) {
                None => Answer::problem(404, "NoSuchKey"),
                Some(found) => object(found, request, fault),
            },
        })
    }
}

fn kept(mut bytes: Vec<u8>, fault: Fault) -> Vec<u8> {
    if fault == Fault::Forgetful {
        bytes.truncate(bytes.len() / 2);
    }
    bytes
}

/// Answers a GET or a HEAD of an object.
fn object(found: &[u8], request: &Request, fault: Fault) -> Answer {
    let mut headers = vec![("etag", "\"e\"".to_owned()), ("last-modified", HTTP_DATE.to_owned())];
    if request.method == "HEAD" {
        headers.push(("content-length", found.len().to_string()));
        return Answer { headers, ..Answer::new(200, "") };
    }
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
    let (status, from, end) = match range.and_then(|range| range.split_once('-')) {
        None => (200, 0, found.len()),
        Some((first, last)) => {
            let last = last.parse().unwrap_or(found.len()).min(found.len() - 1);
            (206, first.parse().unwrap(), last + 1)
        }
    };
    let mut body = found[from..end].to_vec();
    match fault {
        Fault::WrongBytes => body.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
        Fault::Short => body.truncate(body.len() / 2),
        _ => {}
    }
    let last = from + body.len().max(1) - 1;
    headers.push(("content-range", format!("bytes {from}-{last}/{}", found.len())));
    let mut answer = Answer { headers, ..Answer::new(status, body) };
    if fault == Fault::Cut {
        answer.sent = answer.body.len() / 2;
    }
    answer
}

fn list(state: &mut State, prefix: &str, after: &str, fault: Fault) -> Answer {
    let mut text = "<ListBucketResult>".to_owned();
    let mut add = |key: &str, size: usize| {
        write!(
            text,
            "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{DATE}</LastModified><ETag>\"e\"</ETag></Contents>"
        )
        .unwrap();
    };
    let mut next = None;
    if fault == Fault::Endless {
        for _ in 0..1_000 {
            state.listed += 1;
            add(&format!("{prefix}{:064x}", state.listed), 1);
        }
        next = Some("again".to_owned());
    } else {
        let found = state.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let found: Vec<_> = found.take(1_001).collect();
        for (key, bytes) in found.iter().take(1_000) {
            add(key, bytes.len());
        }
        if found.len() > 1_000 {
            next = Some(found[999].0.clone());
        }
    }
    write!(text, "<IsTruncated>{}</IsTruncated>", next.is_some()).unwrap();
    if let Some(next) = next {
        write!(text, "<NextContinuationToken>{next}</NextContinuationToken>").unwrap();
    }
    text.push_str("</ListBucketResult>");
    Answer::new(200, text)
}

fn list_folders(state: &State, prefix: &str) -> Answer {
    let rest = state.objects.keys().filter_map(|key| key.strip_prefix(prefix));
    let folders: BTreeSet<_> =
        rest.filter_map(|rest| rest.split_once('/')).map(|(folder, _)| folder).collect();
    let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for folder in folders {
        write!(text, "<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>").unwrap();
    }
    text.push_str("</ListBucketResult>");
    Answer::new(200, text)
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}
