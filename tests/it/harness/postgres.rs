//! Databases of a PostgreSQL server: one for each data directory of a test.
//!
//! `NETBIT_TEST_DATABASE=postgres` runs the servers of the tests on PostgreSQL.
//! `NETBIT_TEST_POSTGRES` is the URL of the database server, as `scripts/check/postgres.sh start`
//! prints it. Its user must be allowed to create databases. Statements run in `psql`; `pg_dump`
//! must be installed too.
//!
//! A test that is about SQLite itself returns early (see [`skips`]).
//!
//! A server that starts again on a directory gets the same database. A database is dropped some
//! time after its directory is removed, or by a later test process on the same machine.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, PoisonError};

use netbit::core::config::Config;

/// The names of databases: this prefix, the id of the test process, and a number.
const PREFIX: &str = "netbit_test_";
/// The variable that sets `database`.
const VARIABLE: &str = "NETBIT_DATABASE";

/// The URL of the database server; `None`: tests run on SQLite.
static SERVER: LazyLock<Option<String>> = LazyLock::new(|| {
    match std::env::var("NETBIT_TEST_DATABASE").as_deref() {
        Err(_) | Ok("" | "sqlite") => return None,
        Ok("postgres") => (),
        Ok(other) => panic!("NETBIT_TEST_DATABASE={other}: must be `sqlite` or `postgres`"),
    }
    let server = std::env::var("NETBIT_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "NETBIT_TEST_POSTGRES is not set; set it to the URL that scripts/check/postgres.sh start prints"
        )
    });
    drop_those_of_ended_processes(&server);
    Some(server)
});

/// Databases of this process.
#[expect(clippy::disallowed_types, reason = "the tests of a process run on several threads")]
static DATABASES: LazyLock<std::sync::Mutex<HashMap<PathBuf, Database>>> = LazyLock::new(Default::default);

struct Database {
    name: String,
    /// The data directory, or the folder that it will be created in. Once it is removed, no server
    /// uses the database.
    place: PathBuf,
}

/// Returns whether the servers of the tests run on PostgreSQL.
pub(crate) fn is_used() -> bool {
    SERVER.is_some()
}

/// Returns whether the test must return early, because it is about SQLite. Then prints the test and
/// the reason to the standard error, also when the output of tests is captured.
pub(crate) fn skips(reason: &str) -> bool {
    if is_used() {
        let thread = std::thread::current();
        let line = format!("SKIPPED on PostgreSQL: {}: {reason}\n", thread.name().unwrap_or("?"));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    is_used()
}

/// Returns all rows of the database of a directory as text, if PostgreSQL is used.
pub(crate) fn dump(directory: &Path) -> Option<Vec<u8>> {
    let output = Command::new("pg_dump").args(["--data-only", "-d", &url(directory)?]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// Sets the database of the configuration's data directory, if PostgreSQL is used.
pub(crate) fn configure(config: &mut Config) {
    let Some(url) = url(&config.data_dir.0) else { return };
    config.database = Some(url.into());
}

/// Returns the environment variable that sets the database of a data directory, if PostgreSQL is
/// used.
pub(crate) fn environment(directory: &Path) -> Option<(&'static str, String)> {
    Some((VARIABLE, url(directory)?))
}

/// Like [`environment`], for the arguments of a command that name its data directory. A relative
/// path belongs to a command that fails before it opens a database, or to one on SQLite.
pub(crate) fn environment_of(arguments: &[&str]) -> Option<(&'static str, String)> {
    let named = arguments.iter().position(|argument| *argument == "--data-dir")?;
    let directory = Path::new(arguments.get(named + 1)?);
    if directory.is_absolute() { environment(directory) } else { None }
}

/// Returns the URL of the database of a data directory, if PostgreSQL is used. Creates the database
/// at the first call.
pub(crate) fn url(directory: &Path) -> Option<String> {
    let server = SERVER.as_deref()?;
    let mut databases = DATABASES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = databases.get(directory) {
        return Some(with_database(server, &known.name));
    }
    let mut statements: Vec<_> = databases
        .extract_if(|_, database| !database.place.exists())
        .map(|(_, removed)| drop_statement(&removed.name))
        .collect();
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("{PREFIX}{}_{number}", std::process::id());
    statements.push(format!("CREATE DATABASE {name}"));
    psql(server, &statements).unwrap_or_else(|error| panic!("{name} is not created: {error}"));
    let url = with_database(server, &name);
    let place = directory.ancestors().find(|place| place.exists()).unwrap_or(directory).to_owned();
    databases.insert(directory.to_owned(), Database { name, place });
    Some(url)
}

/// Drops the databases of test processes that have ended.
fn drop_those_of_ended_processes(server: &str) {
    let all = format!("SELECT datname FROM pg_database WHERE starts_with(datname::text, '{PREFIX}')");
    let all = psql(server, &[all]).unwrap_or_else(|error| panic!("{server} does not answer: {error}"));
    let has_ended = |name: &&str| {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next());
        process.is_some_and(|process| !Path::new("/proc").join(process).exists())
    };
    for name in all.lines().filter(has_ended) {
        // Another test process may drop it at the same time.
        drop(psql(server, &[drop_statement(name)]));
    }
}

/// FORCE: ends the connections of a server that was killed.
fn drop_statement(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
}

/// Returns the URL with another database.
fn with_database(server: &str, name: &str) -> String {
    let (address, parameters) =
        server.split_once('?').map_or((server, ""), |(address, rest)| (address, rest));
    let scheme = address.find("://").map_or(0, |at| at + "://".len());
    let end = address[scheme..].find('/').map_or(address.len(), |at| scheme + at);
    let separator = if parameters.is_empty() { "" } else { "?" };
    format!("{}/{name}{separator}{parameters}", &address[..end])
}

/// Runs statements, each in its own transaction. Returns the printed rows.
///
/// # Errors
///
/// Returns the errors that `psql` printed.
pub(crate) fn psql(server: &str, statements: &[String]) -> Result<String, String> {
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", server]);
    // Not the notice that a database to be dropped does not exist.
    command.env("PGOPTIONS", "-c client_min_messages=warning").stdin(Stdio::null());
    for statement in statements {
        command.args(["-c", statement]);
    }
    let output = command.output().map_err(|error| format!("psql: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn url_names_another_database() {
    let named = |server| with_database(server, "one");
    assert_eq!(
        named("postgres://postgres@127.0.0.1:5432/postgres"),
        "postgres://postgres@127.0.0.1:5432/one"
    );
    assert_eq!(named("postgres://db"), "postgres://db/one");
    assert_eq!(named("postgres://a:b@db/x?host=/run/pg"), "postgres://a:b@db/one?host=/run/pg");
}

#[test]
fn directory_keeps_its_database_until_it_is_removed() {
    if !is_used() {
        return;
    }
    let server = SERVER.as_deref().unwrap();
    let (kept, removed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [first, second] = [&kept, &removed].map(|directory| url(directory.path()).unwrap());
    assert_ne!(first, second);
    assert_eq!(url(kept.path()), Some(first.clone()));
    removed.close().unwrap();
    let other = tempfile::tempdir().unwrap();
    url(other.path()).unwrap();
    let exists = |url: &str| {
        let name = url.rsplit('/').next().unwrap();
        psql(server, &[format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")]).unwrap()
    };
    assert_eq!((exists(&first).trim(), exists(&second).trim()), ("1", "0"));
}
