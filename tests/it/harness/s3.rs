//! Files of the tests in an S3-compatible store.
//!
//! `NETBIT_TEST_BLOBS=s3` runs the servers of the tests with `files.store = "s3"`.
//! `NETBIT_TEST_S3` is the URL of the store with the bucket `netbit-test`, as
//! `scripts/check/s3.sh start` prints it. Each data directory has a prefix of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use netbit::backup::OwnRepositories;
use netbit::core::config::{Config, FileStore};
use netbit::core::database::Source;

const BUCKET: &str = "netbit-test";
const KEY: &str = "test";

/// The URL of the store; `None`: tests store files on disk.
static ENDPOINT: LazyLock<Option<String>> = LazyLock::new(|| {
    match std::env::var("NETBIT_TEST_BLOBS").as_deref() {
        Err(_) | Ok("" | "disk") => return None,
        Ok("s3") => (),
        Ok(other) => panic!("NETBIT_TEST_BLOBS={other}: must be `disk` or `s3`"),
    }
    let endpoint = std::env::var("NETBIT_TEST_S3");
    Some(
        endpoint.expect("NETBIT_TEST_S3 is not set; set it to the URL that scripts/check/s3.sh start prints"),
    )
});

/// Returns whether the test must return early, because it is about files on disk. Then prints the
/// test and the reason to the standard error, also when the output of tests is captured.
pub(crate) fn skips(reason: &str) -> bool {
    if ENDPOINT.is_some() {
        let thread = std::thread::current();
        let line = format!("SKIPPED on S3: {}: {reason}\n", thread.name().unwrap_or("?"));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    ENDPOINT.is_some()
}

/// Sets the store of the files of a data directory, if S3 is used.
pub(crate) fn configure(config: &mut Config) {
    if let Some(endpoint) = ENDPOINT.as_deref() {
        use_bucket(config, endpoint, &prefix(&config.data_dir.0.clone()));
    }
}

/// Stores the files of a server in the bucket of an endpoint.
pub(crate) fn use_bucket(config: &mut Config, endpoint: &str, prefix: &str) {
    config.files.store = FileStore::S3;
    let s3 = &mut config.files.s3;
    (s3.endpoint, s3.bucket) = (endpoint.to_owned(), BUCKET.to_owned());
    (s3.prefix, s3.access_key_id) = (prefix.to_owned(), KEY.to_owned());
    s3.secret_access_key = Some(KEY.to_owned().into());
    s3.allow_http = true;
}

/// Returns the variables that store the files of a data directory in a bucket, if S3 is used.
pub(crate) fn environment(directory: &Path) -> Vec<(&'static str, String)> {
    let Some(endpoint) = ENDPOINT.as_deref() else { return Vec::new() };
    variables(endpoint, &prefix(directory))
}

/// Returns the variables that store files in the bucket of an endpoint.
pub(crate) fn variables(endpoint: &str, prefix: &str) -> Vec<(&'static str, String)> {
    vec![
        ("NETBIT_FILES__STORE", "s3".to_owned()),
        ("NETBIT_FILES__S3__ENDPOINT", endpoint.to_owned()),
        ("NETBIT_FILES__S3__BUCKET", BUCKET.to_owned()),
        ("NETBIT_FILES__S3__PREFIX", prefix.to_owned()),
        ("NETBIT_FILES__S3__ACCESS_KEY_ID", KEY.to_owned()),
        ("NETBIT_FILES__S3__SECRET_ACCESS_KEY", KEY.to_owned()),
        ("NETBIT_FILES__S3__ALLOW_HTTP", "true".to_owned()),
    ]
}

/// Like [`environment`], for the arguments of a command that name its data directory.
pub(crate) fn environment_of(arguments: &[&str]) -> Vec<(&'static str, String)> {
    let named = arguments.iter().position(|argument| *argument == "--data-dir");
    let directory = named.and_then(|named| arguments.get(named + 1)).map(Path::new);
    directory.filter(|directory| directory.is_absolute()).map(environment).unwrap_or_default()
}

/// Runs a command on a data directory; returns its output, and its exit status.
pub(crate) async fn command_on(
    directory: &(impl AsRef<Path> + ?Sized),
    arguments: &[&str],
    variables: Vec<(&'static str, String)>,
) -> (String, Option<i32>) {
    let (mut command, directory) =
        (std::process::Command::new(env!("CARGO_BIN_EXE_netbit")), directory.as_ref());
    command.args(arguments).arg("--data-dir").arg(directory);
    if let Some((name, url)) = super::postgres::environment(directory) {
        command.env(name, url);
    }
    command.envs(variables);
    let output = super::soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

/// Returns the names of the blobs of a data directory in the bucket, if S3 is used.
pub(crate) fn blobs(directory: &Path) -> Vec<PathBuf> {
    if ENDPOINT.is_none() {
        return Vec::new();
    }
    let config = super::config(directory, netbit::core::limits::Limits::default());
    let source = Source::of(&config).unwrap();
    // The store blocks the thread, which a runtime does not permit on its own.
    let list = move || {
        let store = OwnRepositories::blobs(&config, &source).unwrap();
        let parts = store.parts().unwrap().into_iter();
        parts.flat_map(|part| store.list(part).unwrap()).map(|hash| hash.to_string().into()).collect()
    };
    std::thread::spawn(list).join().unwrap()
}

fn prefix(directory: &Path) -> String {
    let name: String = directory.to_str().unwrap().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("tests/{}-{name}", std::process::id())
}
