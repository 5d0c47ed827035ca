//! Which request follows which, and what ends an attachment.

use super::*;

fn refused(status: u16) -> Result<Value, Fault> {
    Err(Fault::Rest(RestError::Failed { status: Some(status), reason: "no".to_owned() }))
}

fn lost() -> Result<Value, Fault> {
    Err(Fault::Rest(RestError::Failed { status: None, reason: "lost".to_owned() }))
}

fn state(offset: u64, complete: bool) -> Result<Value, Fault> {
    Ok(
        json!({"id": 9, "upload": "/api/files/9/upload", "offset": offset, "size": 1_000_000, "complete": complete}),
    )
}

/// An attachment whose file is announced.
fn announced(now: Instant) -> Attachment {
    let mut attachment = Attachment::new(ChatId(7), "/tmp/a b.png", "look", Some(MessageId(3))).unwrap();
    let path = PathBuf::from("/tmp/a b.png");
    assert_eq!(attachment.next(now), Some(Step::Measure { path }));
    assert_eq!(attachment.next(now), None, "one at a time");
    assert_eq!(attachment.answered(Ok(json!({"size": 1_000_000})), now), After::Continue);
    let announce = Step::Announce { chat: ChatId(7), name: "a b.png".to_owned(), size: 1_000_000 };
    assert_eq!(attachment.next(now), Some(announce));
    assert_eq!(attachment.answered(state(0, false), now), After::Continue);
    attachment
}

fn offset(step: Option<Step>) -> u64 {
    piece(step).0
}

/// Returns the offset and the most bytes of a piece.
fn piece(step: Option<Step>) -> (u64, u64) {
    let Some(Step::Send { offset, most, .. }) = step else { panic!("{step:?}") };
    (offset, most)
}

#[test]
fn file_is_sent_in_pieces_and_then_shown() {
    let now = Instant::now();
    let mut attachment = announced(now);
    for (sent, percent) in [(0, "0 %"), (65_536, "6 %"), (131_072, "13 %")] {
        assert!(attachment.progress().contains(percent), "{}", attachment.progress());
        assert_eq!(offset(attachment.next(now)), sent);
        attachment.answered(state(sent + PIECE_BYTES, false), now);
    }
    assert_eq!(offset(attachment.next(now)), 196_608);
    assert_eq!(attachment.answered(state(1_000_000, true), now), After::Continue);
    let Some(Step::Post { chat: ChatId(7), body }) = attachment.next(now) else { panic!() };
    assert_eq!(
        (&body["content"], &body["files"], &body["reply_to"]),
        (&json!("look"), &json!([9]), &json!(3))
    );
    // The answer is lost: the message is sent again with the same id.
    attachment.answered(lost(), now);
    let Some(Step::Post { body: again, .. }) = attachment.next(now + PAUSE_MAX) else { panic!() };
    assert_eq!(again, body);
    assert_eq!(attachment.answered(Ok(json!({"id": 1, "seq": 4})), now), After::Sent { seq: Some(4) });
}

#[test]
fn pieces_grow_on_a_quick_line_and_shrink_on_a_slow_one() {
    let mut now = Instant::now();
    let mut attachment = announced(now);
    let mut sizes = Vec::new();
    for took in [10, 10, 10, 10, 10, 600, 2_000, 9_000, 9_000, 9_000, 9_000, 10] {
        let (at, most) = piece(attachment.next(now));
        sizes.push(most / 1024);
        now += Duration::from_millis(took);
        attachment.answered(state(at + 1, false), now);
    }
    assert_eq!(sizes, [64, 128, 256, 512, 1024, 1024, 1024, 512, 256, 128, 64, 64]);
    assert_eq!(piece(attachment.next(now)).1, 128 * 1024);
    attachment.answered(lost(), now);
    now += PAUSE;
    attachment.next(now);
    attachment.answered(state(100, false), now);
    assert_eq!(piece(attachment.next(now)), (100, PIECE_BYTES));
}

#[test]
fn broken_upload_continues_where_the_server_has_it() {
    let now = Instant::now();
    let mut attachment = announced(now);
    attachment.next(now);
    assert_eq!(attachment.answered(lost(), now), After::Continue);
    assert_eq!((attachment.next(now), attachment.pause_until()), (None, Some(now + PAUSE)));
    assert_eq!(attachment.next(now + PAUSE), Some(Step::Ask { id: 9 }));
    attachment.answered(state(100, false), now);
    assert_eq!(offset(attachment.next(now)), 100);
    // A part that began elsewhere.
    assert_eq!(attachment.answered(refused(409), now), After::Continue);
}

#[test]
fn attempts_without_progress_are_bounded() {
    let mut now = Instant::now();
    let mut attachment = announced(now);
    for _ in 1..TRIES_MAX {
        attachment.next(now).unwrap();
        assert_eq!(attachment.answered(lost(), now), After::Continue);
        now += PAUSE_MAX;
    }
    attachment.next(now).unwrap();
    let ended = After::Ended { reason: "a b.png was not sent: lost".to_owned(), file: Some(9) };
    assert_eq!(attachment.answered(lost(), now), ended);
}

/// The answer to the message is lost until the end: the message may be written, with its file.
#[test]
fn message_that_may_be_written_keeps_its_file() {
    let complete = |now| {
        let mut attachment = announced(now);
        attachment.next(now);
        attachment.answered(state(1_000_000, true), now);
        attachment
    };
    let ended = |reason: &str| After::Ended {
        reason: format!("a b.png may have been sent: read the chat before you attach it again ({reason})"),
        file: None,
    };
    let mut now = Instant::now();
    let mut attachment = complete(now);
    for _ in 1..TRIES_MAX {
        attachment.next(now).unwrap();
        assert_eq!(attachment.answered(refused(502), now), After::Continue);
        now += PAUSE_MAX;
    }
    attachment.next(now).unwrap();
    assert_eq!(attachment.answered(lost(), now), ended("lost"));
    // A later refusal and Esc do not prove that the first request failed.
    for is_cancelled in [false, true] {
        let mut attachment = complete(now);
        attachment.next(now).unwrap();
        assert_eq!(attachment.answered(lost(), now), After::Continue);
        if is_cancelled {
            assert_eq!(attachment.cancel(), Some(ended("cancelled")));
        } else {
            attachment.next(now + PAUSE_MAX).unwrap();
            assert_eq!(attachment.answered(refused(403), now), ended("no"));
        }
    }
    // A message that was refused is not written.
    let mut attachment = complete(now);
    attachment.next(now).unwrap();
    let refusal = After::Ended { reason: "a b.png was not sent: no".to_owned(), file: Some(9) };
    assert_eq!(attachment.answered(refused(403), now), refusal);
}

#[test]
fn refusals_and_faults_of_the_file_end_it() {
    let now = Instant::now();
    for status in [401, 403, 404, 413, 422] {
        let mut attachment = announced(now);
        attachment.next(now);
        assert!(matches!(attachment.answered(refused(status), now), After::Ended { .. }), "{status}");
    }
    let mut attachment = announced(now);
    attachment.next(now);
    let changed = Err(Fault::File("changed".to_owned()));
    assert!(matches!(attachment.answered(changed, now), After::Ended { file: Some(9), .. }));
    assert!(Attachment::new(ChatId(7), "/", "", None).is_err());
    assert!(Attachment::new(ChatId(7), "/tmp/a", &"x".repeat(CONTENT_BYTES_MAX + 1), None).is_err());
}

#[test]
fn cancelled_attachment_removes_its_file_after_the_request() {
    let now = Instant::now();
    let mut attachment = announced(now);
    attachment.next(now);
    assert_eq!(attachment.cancel(), None);
    let ended = After::Ended { reason: "a b.png was not sent: cancelled".to_owned(), file: Some(9) };
    assert_eq!(attachment.answered(state(PIECE_BYTES, false), now), ended);
    let mut attachment = announced(now);
    assert_eq!(attachment.cancel(), Some(ended));
}

#[test]
fn arguments_are_a_path_and_a_text() {
    for (rest, path, text) in [
        ("a.png", "a.png", ""),
        (" a.png  see  this ", "a.png", "see  this"),
        ("\"a b.png\" look", "a b.png", "look"),
        ("'it is \\ here'", "it is \\ here", ""),
        ("a\\ b\\(1\\).png look", "a b(1).png", "look"),
    ] {
        assert_eq!(arguments(rest), Ok((path.to_owned(), text.to_owned())), "{rest}");
    }
    for rest in ["", "\"\"", "\"a b", "\\"] {
        assert!(arguments(rest).is_err(), "{rest}");
    }
}

#[test]
fn begun_path_is_completed_as_it_is_read() {
    let two = |folder: &str, name: &str| Some((folder.to_owned(), name.to_owned()));
    for (rest, expected) in [
        ("", two("", "")),
        ("ph", two("", "ph")),
        ("/ph", two("/", "ph")),
        ("~/a\\ b/ph", two("~/a b/", "ph")),
        ("\"a b/ph", two("a b/", "ph")),
        ("a.png ", None),
        ("'a b' look", None),
    ] {
        assert_eq!(begun_path(rest), expected, "{rest}");
    }
    for path in ["a b", "a\\b", "it's", "\"a\"", "über\u{a0}x"] {
        assert_eq!(arguments(&written(path)), Ok((path.to_owned(), String::new())), "{path}");
    }
}

#[tokio::test]
async fn names_of_a_folder_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("a b"), b"").unwrap();
    let path = format!("{}/", folder.path().display());
    assert_eq!(names_in(&path).await, ["a b", "sub/"]);
    assert!(names_in(&format!("{path}none/")).await.is_empty());
}

#[tokio::test]
async fn pieces_are_those_of_the_file_that_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, vec![7; 100_000]).unwrap();
    let version = async || {
        let facts = measure(&path).await.unwrap();
        assert_eq!(facts["size"], 100_000);
        facts["version"].as_str().unwrap().to_owned()
    };
    let first = version().await;
    let read = async |offset, size, version| read_piece(&path, (offset, 65_536), (size, version)).await;
    assert_eq!(read(0, 100_000, &*first).await.unwrap().len(), 65_536);
    assert_eq!(read(65_536, 100_000, &first).await.unwrap().len(), 34_464);
    assert_eq!(read(100_000, 100_000, &first).await.unwrap().len(), 0);
    assert!(read(0, 100_001, &first).await.is_err(), "another size");
    // Other bytes of equal size, written in place. The clock of a file system may be coarse.
    std::fs::write(&path, vec![8; 100_000]).unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(10);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    let changed = read(65_536, 100_000, &first).await.unwrap_err();
    assert!(matches!(changed, Fault::File(reason) if reason == "the file has changed since /attach"));
    let second = version().await;
    assert!(read(65_536, 100_000, &second).await.is_ok());
    // Another file in its place, with equal size and time.
    let other = folder.path().join("b");
    std::fs::write(&other, vec![9; 100_000]).unwrap();
    std::fs::File::options().write(true).open(&other).unwrap().set_modified(later).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(read(65_536, 100_000, &second).await.is_err(), cfg!(unix));
}

#[tokio::test]
async fn fault_of_a_path_names_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    for (path, problem) in [(folder.path(), "is not a file"), (none.as_path(), "does not exist")] {
        let now = Instant::now();
        let mut attachment = Attachment::new(ChatId(7), path.to_str().unwrap(), "", None).unwrap();
        attachment.next(now).unwrap();
        let reason = format!("/attach: {} {problem}", path.display());
        let fault = measure(path).await;
        assert_eq!(attachment.answered(fault, now), After::Ended { reason, file: None });
    }
}
