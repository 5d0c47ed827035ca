//! The guarantees of a batch, on a real database, with commands that fail on purpose.

use diesel::prelude::*;
use std::time::Duration;

use tokio::sync::oneshot;

use super::actor::DbWriterActor;
use super::batch::{Batch, BatchExecutor};
use super::command::{Command, CommandError, ExecuteError, Execution, Tx};
use super::messages::{PendingCommand, QueuedCommand};
use super::metrics::CommitMetrics;
use crate::core::actor::{MessageName, NamedMessage, Reply};
use crate::core::config::Synchronous;
use crate::core::database;
use crate::core::limits::Limits;
use crate::domain::event::Event;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::permission::people::AddingRate;
use crate::domain::refusal::Refusal;
use crate::storage::queries::meta;

/// Writes one row and announces it; its [`Mood`] selects what else it does.
struct Note {
    key: &'static str,
    mood: Mood,
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    RefusedAtOnce,
    RefusedAfterWriting,
    PanicsAtOnce,
    PanicsAfterWriting,
    BreaksAConstraint,
    /// Writes rows until the database is full.
    Huge,
}

impl NamedMessage for Note {
    type Actor = DbWriterActor;
    const NAME: MessageName = MessageName::unlisted("Note");
}

impl Command for Note {
    type Output = &'static str;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<&'static str> {
        let refusal = Refusal::Forbidden("no");
        match self.mood {
            Mood::RefusedAtOnce => return Err(refusal.into()),
            Mood::PanicsAtOnce => panic!("on purpose"),
            _ => {}
        }
        meta::set(tx.write(), self.key, 1)?;
        tx.announce(Event::LoginEnded { login_id: LoginId(1), user_id: UserId(1) });
        match self.mood {
            Mood::RefusedAfterWriting => return Err(refusal.into()),
            Mood::PanicsAfterWriting => panic!("on purpose"),
            Mood::BreaksAConstraint => {
                diesel::sql_query("INSERT INTO meta (key, value) VALUES ('commit_no', NULL)")
                    .execute(tx.write().sqlite())?;
            }
            Mood::Huge => {
                for n in 0..10_000 {
                    meta::set(tx.write(), &format!("{n}-{}", "x".repeat(1000)), n)?;
                }
            }
            _ => {}
        }
        Ok(self.key)
    }
}

struct Fixture {
    executor: BatchExecutor,
    _dir: tempfile::TempDir,
}

type Answer = oneshot::Receiver<Result<&'static str, CommandError>>;

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netbit.db");
    let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
    database::migrate(&mut db, &path).unwrap();
    let limits = Limits { batch_ms: 60_000, read_only_probe_ms: 0, ..Limits::default() };
    Fixture { executor: BatchExecutor::new(db, limits, CommitMetrics::default()).unwrap(), _dir: dir }
}

impl Fixture {
    fn run(&mut self, notes: &[(&'static str, Mood)]) -> (Batch, Vec<Answer>) {
        let mut answers = Vec::new();
        let commands = notes.iter().map(|(key, mood)| {
            let (reply, answer) = Reply::channel();
            answers.push(answer);
            Box::new(PendingCommand::new(Note { key, mood: *mood }, None, reply)) as Box<dyn QueuedCommand>
        });
        let commands = commands.collect();
        (self.executor.run(commands), answers)
    }

    fn has(&mut self, key: &str) -> bool {
        meta::get(self.executor.connection(), key).unwrap().is_some()
    }
}

fn results(batch: Batch, answers: Vec<Answer>) -> Vec<Result<&'static str, CommandError>> {
    batch.answer();
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
}

fn refused() -> Result<&'static str, CommandError> {
    Err(CommandError::Refused(Refusal::Forbidden("no")))
}

#[test]
fn batch_makes_one_commit_and_answers_every_command() {
    let mut fixture = fixture();
    let (mut batch, answers) = fixture.run(&[("a", Mood::Good), ("b", Mood::Good)]);
    let committed = batch.committed.take().unwrap();
    assert_eq!((committed.commit_no, committed.events.len()), (1, 2));
    assert_eq!(results(batch, answers), [Ok("a"), Ok("b")]);
    assert_eq!(fixture.run(&[("c", Mood::Good)]).0.committed.unwrap().commit_no, 2);
    assert_eq!(meta::get(fixture.executor.connection(), meta::COMMIT_NO).unwrap(), Some(2));
}

#[test]
fn commands_get_no_answer_before_the_batch_is_answered() {
    let mut fixture = fixture();
    let (batch, mut answers) = fixture.run(&[("a", Mood::Good)]);
    assert!(answers[0].try_recv().is_err(), "the events must be published first");
    batch.answer();
    assert_eq!(answers[0].try_recv().unwrap(), Ok("a"));
}

#[test]
fn failing_commands_fail_alone_and_the_others_commit() {
    let mut fixture = fixture();
    let (mut batch, answers) = fixture.run(&[
        ("a", Mood::Good),
        ("b", Mood::RefusedAtOnce),
        ("c", Mood::PanicsAtOnce),
        ("d", Mood::Good),
        ("e", Mood::RefusedAfterWriting),
        ("f", Mood::PanicsAfterWriting),
        ("g", Mood::BreaksAConstraint),
        ("h", Mood::Good),
    ]);
    let committed = batch.committed.take().unwrap();
    assert_eq!((committed.commit_no, committed.events.len()), (1, 3));
    assert!(batch.fatal.is_none());
    let internal = || Err(CommandError::Internal);
    assert_eq!(
        results(batch, answers),
        [Ok("a"), refused(), internal(), Ok("d"), refused(), internal(), internal(), Ok("h")]
    );
    for (key, there) in [("a", true), ("d", true), ("e", false), ("f", false), ("g", false), ("h", true)] {
        assert_eq!(fixture.has(key), there, "{key}");
    }
}

#[test]
fn panicking_command_among_512_fails_alone() {
    let mut fixture = fixture();
    let mut notes = vec![("n", Mood::Good); 512];
    notes[300] = ("poison", Mood::PanicsAfterWriting);
    let (batch, answers) = fixture.run(&notes);
    let results = results(batch, answers);
    assert_eq!(results.iter().filter(|answer| **answer == Ok("n")).count(), 511);
    assert_eq!(results[300], Err(CommandError::Internal));
}

#[test]
fn full_database_fails_the_batch_and_recovers_by_itself() {
    let mut fixture = fixture();
    fixture.run(&[("before", Mood::Good)]).0.answer();
    let pages = database::integer(
        fixture.executor.connection().sqlite(),
        "SELECT page_count AS value FROM pragma_page_count",
    )
    .unwrap();
    let limit = |executor: &mut BatchExecutor, pages: i64| {
        executor.connection().batch_execute(&format!("PRAGMA max_page_count = {pages}")).unwrap();
    };
    limit(&mut fixture.executor, pages + 2);

    let (batch, answers) = fixture.run(&[
        ("a", Mood::Good),
        ("b", Mood::Huge),
        ("c", Mood::RefusedAfterWriting),
        ("d", Mood::Good),
    ]);
    assert!(batch.committed.is_none() && batch.fatal.is_none());
    assert_eq!(results(batch, answers), vec![Err(CommandError::ReadOnly); 4]);
    assert!(fixture.has("before") && !fixture.has("a") && !fixture.has("d"), "nothing of the batch is kept");

    // The probe fails too: the command is refused without touching the database.
    let (batch, answers) = fixture.run(&[("e", Mood::Good)]);
    assert_eq!(results(batch, answers), [Err(CommandError::ReadOnly)]);

    limit(&mut fixture.executor, 1_000_000);
    let (mut batch, answers) = fixture.run(&[("f", Mood::Good)]);
    assert_eq!(batch.committed.take().unwrap().commit_no, 2, "the failed batch used no commit number");
    assert_eq!(results(batch, answers), [Ok("f")]);
}

#[test]
fn refused_command_keeps_its_answer_when_the_replay_fails() {
    let mut fixture = fixture();
    let pages = database::integer(
        fixture.executor.connection().sqlite(),
        "SELECT page_count AS value FROM pragma_page_count",
    )
    .unwrap();
    fixture.executor.connection().batch_execute(&format!("PRAGMA max_page_count = {}", pages + 2)).unwrap();
    let (batch, answers) = fixture.run(&[("a", Mood::RefusedAfterWriting), ("b", Mood::Huge)]);
    assert_eq!(results(batch, answers), [refused(), Err(CommandError::ReadOnly)]);
}

/// Counts towards a rate before it writes.
struct Adds;

impl NamedMessage for Adds {
    type Actor = DbWriterActor;
    const NAME: MessageName = MessageName::unlisted("Adds");
}

impl Command for Adds {
    type Output = &'static str;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<&'static str> {
        tx.count_addition(UserId(1), UserId(2), AddingRate::Strangers)?;
        meta::set(tx.write(), "added", 1)?;
        Ok("added")
    }
}

/// Each replay of the batch took another token.
#[test]
fn replayed_command_counts_once_towards_a_rate() {
    let mut fixture = fixture();
    let db = database::open_writer(&fixture._dir.path().join("netbit.db"), Synchronous::Full).unwrap();
    let limits = Limits { batch_ms: 60_000, strangers_added_burst: 2, ..Limits::default() };
    fixture.executor = BatchExecutor::new(db, limits, CommitMetrics::default()).unwrap();
    let mut run = || {
        let (mut commands, mut answers): (Vec<Box<dyn QueuedCommand>>, Vec<Answer>) =
            (Vec::new(), Vec::new());
        let (reply, answer) = Reply::channel();
        commands.push(Box::new(PendingCommand::new(Adds, None, reply)));
        answers.push(answer);
        for key in ["a", "b", "c"] {
            let (reply, answer) = Reply::channel();
            let note = Note { key, mood: Mood::RefusedAfterWriting };
            commands.push(Box::new(PendingCommand::new(note, None, reply)));
            answers.push(answer);
        }
        results(fixture.executor.run(commands), answers).swap_remove(0)
    };
    assert_eq!((run(), run()), (Ok("added"), Ok("added")));
    assert!(matches!(run(), Err(CommandError::Refused(Refusal::TooManyAdditions { .. }))));
}

#[test]
fn batch_without_changes_makes_no_commit() {
    let mut fixture = fixture();
    let (batch, answers) = fixture.run(&[("a", Mood::RefusedAtOnce), ("b", Mood::PanicsAtOnce)]);
    assert!(batch.committed.is_none());
    assert_eq!(results(batch, answers), [refused(), Err(CommandError::Internal)]);
    assert_eq!(fixture.executor.commit_no(), 0);
}

#[test]
fn batch_out_of_time_leaves_the_rest_to_the_next() {
    let mut fixture = fixture();
    let dir = &fixture._dir;
    let db = database::open_writer(&dir.path().join("netbit.db"), Synchronous::Full).unwrap();
    fixture.executor =
        BatchExecutor::new(db, Limits { batch_ms: 0, ..Limits::default() }, CommitMetrics::default())
            .unwrap();
    let (mut batch, answers) = fixture.run(&[("a", Mood::Good), ("b", Mood::Good), ("c", Mood::Good)]);
    assert!(batch.committed.is_some());
    let mut batches = 0;
    loop {
        let left = std::mem::take(&mut batch.left);
        batch.answer();
        batches += 1;
        if left.is_empty() {
            break;
        }
        batch = fixture.executor.run(left);
    }
    assert!(batches > 1, "a budget of 0 ms executes only the first command");
    for mut answer in answers {
        assert!(answer.try_recv().unwrap().is_ok());
    }
}

#[test]
fn database_error_is_not_a_refusal() {
    let error: ExecuteError = diesel::result::Error::BrokenTransactionManager.into();
    assert!(matches!(error, ExecuteError::Database(_)));
}

/// Sends the bytes of the log to the test.
#[derive(Clone)]
struct Log(std::sync::mpsc::Sender<Vec<u8>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).unwrap();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn slow_and_failing_commands_are_logged_with_request_id() {
    let (sender, logged) = std::sync::mpsc::channel();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || Log(sender.clone())).finish();
    let mut fixture = fixture();
    fixture.executor.set_slow_threshold(Duration::ZERO);
    let asked = async {
        let (batch, answers) = fixture.run(&[("slow", Mood::Good), ("bad", Mood::PanicsAtOnce)]);
        results(batch, answers);
    };
    let quiet = tracing::subscriber::set_default(subscriber);
    crate::core::telemetry::in_request("request-7".into(), asked).await;
    drop(quiet);
    let text = String::from_utf8(logged.try_iter().flatten().collect()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |level: &str| lines.iter().find(|line| line["level"] == level).unwrap();
    for line in [of("WARN"), of("ERROR")] {
        assert_eq!(
            (&line["fields"]["command"], &line["fields"]["request_id"]),
            (&"Note".into(), &"request-7".into())
        );
    }
    assert_eq!(lines.iter().filter(|line| line["level"] == "ERROR").count(), 1, "each error is logged once");
}
