//! `/attach`: the state line shows the upload, Esc cancels it, and other commands work meanwhile.

use ratatui::crossterm::event::KeyCode;
use serde_json::json;
use tokio::time::Instant;

use super::model::{Model, Order, Then};
use super::support_test::{TEAM, alice, key, screen, type_text, welcome};
use crate::cli::chat::attach::Step;
use crate::cli::chat::rest::RestError;

/// Alice, who has attached a file of 1,000,000 bytes.
fn attaching() -> Model {
    let mut alice = alice();
    type_text(&mut alice, "/attach '/tmp/the photo.png' look");
    alice.input(key(KeyCode::Enter));
    for answer in [json!({"size": 1_000_000}), json!({"id": 9, "offset": 0, "complete": false})] {
        step(&mut alice);
        alice.attached(Ok(answer), Instant::now());
    }
    alice
}

fn step(alice: &mut Model) -> Step {
    alice.attaching.as_mut().unwrap().next(Instant::now()).unwrap()
}

fn removes_file(alice: &Model) -> bool {
    alice.orders.iter().any(|order| matches!(order, Order::Rest(call) if call.then == Then::Aside))
}

#[test]
fn state_line_shows_the_upload_until_it_is_sent() {
    let mut alice = attaching();
    step(&mut alice);
    alice.attached(Ok(json!({"id": 9, "offset": 262_144, "complete": false})), Instant::now());
    let shown = screen(&mut alice, 80, 24);
    assert!(shown.contains("the photo.png 26 % of 976.6 KiB (Esc: cancel)"), "{shown}");
    step(&mut alice);
    alice.attached(Ok(json!({"id": 9, "offset": 1_000_000, "complete": true})), Instant::now());
    assert!(matches!(step(&mut alice), Step::Post { chat: TEAM, .. }));
    alice.attached(Ok(json!({"id": 1, "seq": 11})), Instant::now());
    assert!(screen(&mut alice, 80, 24).contains("the photo.png was sent"));
    assert!(alice.attaching.is_none());
}

#[test]
fn escape_cancels_the_upload_after_its_request() {
    let mut alice = attaching();
    step(&mut alice);
    alice.input(key(KeyCode::Esc));
    assert!(screen(&mut alice, 80, 24).contains("cancelling the upload"));
    assert!(!removes_file(&alice));
    alice.attached(Ok(json!({"id": 9, "offset": 262_144, "complete": false})), Instant::now());
    assert!(alice.attaching.is_none() && removes_file(&alice));
    assert!(screen(&mut alice, 80, 24).contains("was not sent: cancelled"));
}

/// Esc that ends an edit must not end the upload.
#[test]
fn escape_closes_what_is_above_the_prompt_first() {
    let mut alice = attaching();
    type_text(&mut alice, "/nonsense");
    alice.input(key(KeyCode::Enter));
    alice.input(key(KeyCode::Esc));
    assert!(alice.attaching.is_some(), "the first Esc closed the note");
    alice.input(key(KeyCode::Esc));
    assert!(alice.attaching.is_none());
}

#[test]
fn second_upload_and_missing_chat_are_refused() {
    let mut alice = attaching();
    alice.attach("/tmp/b", "");
    assert!(screen(&mut alice, 80, 24).contains("the photo.png is being uploaded"));
    alice.attaching = None;
    alice.open = None;
    alice.attach("/tmp/b", "");
    assert!(alice.attaching.is_none() && alice.note.is_some());
}

#[test]
fn replaced_history_ends_the_upload() {
    let mut alice = attaching();
    step(&mut alice);
    alice.welcomed(&welcome(6, 10));
    assert!(alice.attaching.is_none());
    let late = RestError::Failed { status: Some(404), reason: "gone".to_owned() };
    alice.attached(Err(crate::cli::chat::attach::Fault::Rest(late)), Instant::now());
    assert!(alice.attaching.is_none());
    // A late answer is not that of the next upload.
    alice.open = Some(TEAM);
    alice.attach("/tmp/next", "");
    alice.attached(Ok(json!({"size": 7})), Instant::now());
    assert!(matches!(step(&mut alice), Step::Measure { .. }));
    alice.attached(Ok(json!({"size": 8})), Instant::now());
    assert!(matches!(step(&mut alice), Step::Announce { size: 8, .. }));
}

#[test]
fn tab_completes_the_path() {
    let names = ["phd/", "photo one.png", "other", ".photo"].map(str::to_owned);
    let mut alice = alice();
    for (typed, completed) in [
        ("/attach /a\\ b/pho", "/attach /a\\ b/photo\\ one.png "),
        ("/attach \"/a b/ph", "/attach /a\\ b/phd/"),
        ("/attach \"/a b/phd", "/attach /a\\ b/phd/"),
        ("/attach /a\\ b/.", "/attach /a\\ b/.photo "),
        ("/attach /a\\ b/x", "/attach /a\\ b/x"),
    ] {
        alice.editor.set(typed.to_owned());
        alice.completion = None;
        alice.input(key(KeyCode::Tab));
        let Some(Order::Names(folder)) = alice.orders.pop_back() else { panic!("{typed}") };
        assert_eq!(folder, "/a b/");
        alice.complete_path(&folder, &names);
        assert_eq!(alice.editor.text(), completed);
    }
    alice.editor.set("/attach /a\\ b/ph".to_owned());
    alice.input(key(KeyCode::Tab));
    alice.orders.clear();
    alice.complete_path("/a b/", &names);
    // Tab again: the next one.
    alice.input(key(KeyCode::Tab));
    assert_eq!(alice.editor.text(), "/attach /a\\ b/photo\\ one.png");
    // The text of the message has other completions.
    alice.editor.set("/attach a.png @bo".to_owned());
    alice.completion = None;
    alice.input(key(KeyCode::Tab));
    assert_eq!(alice.editor.text(), "/attach a.png @bob ");
}
