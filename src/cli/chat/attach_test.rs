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
    let Some(Step::Send { offset, .. }) = step else { panic!("{step:?}") };
    offset
}

#[test]
fn file_is_sent_in_pieces_and_then_shown() {
    let now = Instant::now();
    let mut attachment = announced(now);
    for (sent, percent) in [(0, "0 %"), (262_144, "26 %"), (524_288, "52 %")] {
        assert!(attachment.progress().contains(percent), "{}", attachment.progress());
        assert_eq!(offset(attachment.next(now)), sent);
        attachment.answered(state(sent + PIECE_BYTES, false), now);
    }
    assert_eq!(offset(attachment.next(now)), 786_432);
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
    std::fs::write(&path, vec![7; 300_000]).unwrap();
    assert_eq!(measure(&path).await.unwrap(), 300_000);
    assert_eq!(read_piece(&path, 0, 300_000).await.unwrap().len(), 262_144);
    assert_eq!(read_piece(&path, 262_144, 300_000).await.unwrap().len(), 37_856);
    assert_eq!(read_piece(&path, 300_000, 300_000).await.unwrap().len(), 0);
    assert!(read_piece(&path, 0, 300_001).await.is_err(), "the file has changed");
    assert!(measure(folder.path()).await.is_err(), "a folder");
    assert!(measure(&folder.path().join("none")).await.is_err());
}
