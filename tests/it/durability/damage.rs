//! A damaged database: truncated, or with an overwritten page.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;

use netbit::client::TcpClient;

use crate::harness::{PASSWORD, Process, command, eventually, postgres, soon};

const PAGE: u64 = 4096;

/// Returns the directory of a server that stored some messages and stopped gracefully.
async fn directory_after_clean_stop() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path()).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let token = server.http.login("alice", PASSWORD).await.unwrap().token;
    let chat = server.http.with_token(&token).create_group("team", &[]).await.unwrap();
    let (mut session, _) = TcpClient::open(server.tcp(), &token).await.unwrap();
    for n in 0..300 {
        session.say(chat, &format!("{n} {}", "x".repeat(500))).await.unwrap();
    }
    server.terminate();
    assert_eq!(server.end().await, Some(0));
    directory
}

/// Starts the server and waits for its end; returns the exit code and the error output.
async fn start_and_end(directory: &Path) -> (Option<i32>, String) {
    let mut child = command(directory).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = eventually(async || child.try_wait().unwrap());
    let code = tokio::time::timeout(crate::harness::PATIENCE / 2, ended).await.map(|status| status.code());
    if code.is_err() {
        child.kill().unwrap();
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (code.unwrap_or_else(|_| panic!("the server keeps running: {said}")), said)
}

#[actix_web::test]
async fn truncated_database_is_refused_and_left_unchanged() {
    if postgres::skips("the test damages netbit.db") {
        return;
    }
    let directory = directory_after_clean_stop().await;
    let path = directory.path().join("netbit.db");
    let length = fs::metadata(&path).unwrap().len();
    for left in [100, PAGE, length / 2] {
        let place = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(directory.path()).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), place.path().join(entry.file_name())).unwrap();
            }
        }
        let copy = place.path().join("netbit.db");
        OpenOptions::new().write(true).open(&copy).unwrap().set_len(left).unwrap();
        let (code, said) = start_and_end(place.path()).await;
        assert!(code.is_some_and(|code| code != 0), "{left} bytes: {said}");
        assert!(said.contains("database"), "{left} bytes: {said}");
        assert_eq!(fs::metadata(&copy).unwrap().len(), left, "the file is unchanged");
    }
}

/// The start reads only the pages that it needs; a page of old messages is not one of them.
#[actix_web::test]
async fn damaged_page_is_found_in_the_background_of_a_running_server() {
    if postgres::skips("the test damages netbit.db") {
        return;
    }
    let directory = directory_after_clean_stop().await;
    let path = directory.path().join("netbit.db");
    let pages = fs::metadata(&path).unwrap().len() / PAGE;
    let mut found_later = 0;
    for page in (pages / 2..pages).step_by(7) {
        let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut before = vec![0; usize::try_from(PAGE).unwrap()];
        file.seek(SeekFrom::Start(page * PAGE)).unwrap();
        file.read_exact(&mut before).unwrap();
        if before[0] != 13 {
            // Not a table leaf page: SQLite may not notice the damage.
            continue;
        }
        file.seek(SeekFrom::Start(page * PAGE)).unwrap();
        file.write_all(&vec![0xa5; usize::try_from(PAGE).unwrap()]).unwrap();
        drop(file);
        let (code, said) = start_and_end(directory.path()).await;
        assert!(matches!(code, Some(1 | 70)), "page {page}: {code:?} {said}");
        assert!(said.contains("damaged") || said.contains("malformed"), "page {page}: {said}");
        if code == Some(70) {
            assert!(said.contains("restore a backup"), "{said}");
            found_later += 1;
        }
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(page * PAGE)).unwrap();
        file.write_all(&before).unwrap();
    }
    assert!(
        found_later > 0,
        "every damaged page was found at the start, so the background check was not tested"
    );
    let server = Process::start(directory.path()).await;
    let (status, _) = soon(server.operations("/readyz")).await;
    assert_eq!(status, 200, "an undamaged database is served");
    server.stop().await;
}
