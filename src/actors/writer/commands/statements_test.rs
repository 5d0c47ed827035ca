//! Counts the SQL statements of commands that meet as many rows as one command may change.
//!
//! A statement is a round trip to a database server, and all other commands wait for it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use diesel::connection::{Connection, Instrumentation, InstrumentationEvent, SimpleConnection};

use super::*;
use crate::actors::writer::batch::BatchExecutor;
use crate::actors::writer::messages::{PendingCommand, QueuedCommand};
use crate::actors::writer::metrics::CommitMetrics;
use crate::actors::writer::{Command, CommandError};
use crate::core::actor::{InstrumentedActor, Reply};
use crate::core::config::Synchronous;
use crate::core::database;
use crate::core::limits::{Limits, STATEMENTS_PER_COMMAND_MAX};

mod cases;

/// Commands above the limit: label, maximum number of statements, reason.
const EXCEPTIONS: &[(&str, usize, &str)] = &[
    ("AppendMessage that replies", 15, "of these, 5 read a login, chat and client ids that are not cached"),
    ("AppendMessage that replies with 10 files", 18, "as above, and 3 for the files of a message"),
    ("CreateProject", 14, "creates rows of six tables, for one user"),
    ("LeaveChats of groups and projects", 14, "changes ten tables, with one statement each"),
    ("SetMember that adds", 15, "adds one user to a project and to its channel"),
    ("SetMember that removes", 13, "removes one user from a project and from its channel"),
    ("SetParticipant that adds a stranger", 13, "checks one user by all rules of additions"),
    ("TakeOverChat", 16, "is rare, and adds one user"),
    ("TakeOverProject", 18, "is rare, and adds one user to a project and to its channel"),
    ("UpdateProject", 14, "changes all properties of one project and of its channel"),
];

/// Statements of a batch that belong to no command.
const OF_BATCH: [&str; 3] = ["BEGIN", "COMMIT", "INSERT INTO `meta`"];
/// A part of the statement that evicts notifications. It follows about each fiftieth notification
/// of a user, and is not counted.
const EVICTION: &str = "row_number() OVER";

/// A command to count, and its outcome.
struct Case {
    label: String,
    name: &'static str,
    /// Changes the rows before the command.
    rows: &'static str,
    command: Box<dyn QueuedCommand>,
    outcome: Receiver<Result<(), CommandError>>,
}

impl Case {
    fn of<C: Command>(command: C) -> Self {
        let (sender, outcome) = channel();
        let answer = move |answer: Result<C::Output, CommandError>| drop(sender.send(answer.map(drop)));
        let command: Box<dyn QueuedCommand> =
            Box::new(PendingCommand::new(command, None, Reply::call(answer)));
        let name = command.name();
        Self { label: name.to_owned(), name, rows: "", command, outcome }
    }

    /// Distinguishes cases of the same command.
    fn that(self, what: &str) -> Self {
        Self { label: format!("{} {what}", self.name), ..self }
    }

    fn after(self, rows: &'static str) -> Self {
        Self { rows, ..self }
    }

    /// Runs the command on a copy of the template, and returns its statements.
    fn statements(self, template: &Path, dir: &Path) -> Result<Vec<String>, CommandError> {
        let path = dir.join(format!("{}.db", self.label.replace(' ', "_")));
        std::fs::copy(template, &path).unwrap();
        let mut db = database::open_writer(&path, Synchronous::Normal).unwrap();
        db.batch_execute(self.rows).unwrap();
        let mut executor = BatchExecutor::new(db, limits(), CommitMetrics::default()).unwrap();
        // The first batch of a process also reads the cursors that are behind and the last id.
        executor.run(vec![cases::warm_up()]).answer();
        executor.write_cursors().unwrap();
        let (sender, statements) = channel();
        executor.connection().sqlite().set_instrumentation(StatementCounter(sender));
        executor.run(vec![self.command]).answer();
        let outcome = self.outcome.try_recv().map_err(|_| CommandError::Internal).flatten();
        let statements = statements.try_iter().filter(|sql| OF_BATCH.iter().all(|own| !sql.starts_with(own)));
        outcome.map(|()| statements.collect())
    }
}

/// Sends each statement that a connection executes.
struct StatementCounter(Sender<String>);

impl Instrumentation for StatementCounter {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            drop(self.0.send(query.to_string()));
        }
    }
}

/// The widest commands; each notification also evicts one. A slice of notifications ends after its
/// first turn, as it does when a statement takes longer than `notifications_slice_ms`.
fn limits() -> Limits {
    let limits = Limits {
        notifications_per_command: 200,
        notifications_per_user: 8,
        notifications_slice_ms: 0,
        batch_ms: 60_000,
        rates: false,
        ..Limits::default()
    };
    assert_eq!(limits.check(), [], "the limits are allowed");
    limits
}

/// Returns a database with the rows of `rows.sql`.
fn template() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let template = dir.path().join("template.db");
    let mut db = database::open_writer(&template, Synchronous::Normal).unwrap();
    database::migrate(&mut db, &template).unwrap();
    db.batch_execute(include_str!("statements_test/rows.sql")).unwrap();
    database::checkpoint_truncate(&mut db).unwrap();
    (dir, template)
}

#[test]
fn commands_stay_below_the_limit_of_statements() {
    let (dir, template) = template();
    let (mut counts, mut above, mut names, mut failed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for case in cases::all() {
        names.push(case.name);
        let label = case.label.clone();
        let statements = match case.statements(&template, dir.path()) {
            Ok(statements) => statements,
            Err(error) => {
                failed.push(format!("{label}: {error}"));
                continue;
            }
        };
        let exception = EXCEPTIONS.iter().find(|(name, ..)| *name == label).map(|(_, max, _)| *max);
        let statements: Vec<_> = statements.into_iter().filter(|sql| !sql.contains(EVICTION)).collect();
        let count = statements.len();
        let is_allowed = count <= exception.unwrap_or(STATEMENTS_PER_COMMAND_MAX);
        if !is_allowed {
            let first = statements.iter().take(40).map(|sql| sql.chars().take(160).collect::<String>());
            let first = first.collect::<Vec<_>>().join("\n  ");
            above.push(format!("{label}: {count} statements\n  {first}"));
        }
        counts.push((count, label));
    }
    counts.sort_unstable_by(|one, other| other.cmp(one));
    for (count, label) in counts {
        println!("{count:5} {label}");
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(above.is_empty(), "above {STATEMENTS_PER_COMMAND_MAX}:\n{}", above.join("\n"));
    let missing: Vec<_> = DbWriterActor::MESSAGES.iter().filter(|name| !names.contains(name)).collect();
    assert_eq!(missing, [&"Drain", &"ReadLog"], "every command is counted");
}

/// Each notification executed a DELETE that ranked all notifications of its user.
#[test]
fn notifications_below_their_limit_are_not_ranked() {
    let (dir, template) = template();
    for case in cases::notified() {
        let label = case.label.clone();
        let statements = case.after("DELETE FROM notifications").statements(&template, dir.path()).unwrap();
        let has = |text: &str| statements.iter().any(|statement| statement.contains(text));
        assert!(has("INSERT INTO `notifications`") && !has(EVICTION), "{label}: {statements:#?}");
    }
}
