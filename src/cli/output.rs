//! What commands print: lines for people and scripts on standard output, what failed on standard error.
//!
//! A reader that has gone (`netbit doctor | head -1`) is not a failure worth a word: the command ends as quietly as one
//! that SIGPIPE ends. The signal itself stays ignored, for a server in the same process must survive it.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit code that a shell shows for a command that SIGPIPE ended.
const EXIT_PIPE: u8 = 141;

/// Writes a line to standard output; a failure is an [`io::Error`].
macro_rules! say {
    ($($arguments:tt)*) => {
        $crate::cli::output::line(format_args!($($arguments)*))
    };
}
pub(super) use say;

/// See [`say`].
pub(super) fn line(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(text)?;
    out.write_all(b"\n")
}

/// Writes a line to standard error. A reader that has gone misses it.
pub(super) fn warn(text: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "netbit: {text}"));
}

/// Prints why the command failed, and returns its exit code.
pub(super) fn complain(error: &anyhow::Error) -> ExitCode {
    let is_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_pipe) {
        return ExitCode::from(EXIT_PIPE);
    }
    warn(format_args!("{}", sentence(error)));
    ExitCode::FAILURE
}

/// The error with its causes. Many errors end with their cause themselves; each is named once.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;
    use crate::core::data_dir::DataDirError;

    #[test]
    fn cause_is_named_once() {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = anyhow::Error::from(DataDirError::Io { path: "/data/lock".into(), source });
        assert_eq!(sentence(&error), "/data/lock: permission denied");
        let error = Err::<(), _>(error).context("no server runs here").unwrap_err();
        assert_eq!(sentence(&error), "no server runs here: /data/lock: permission denied");
    }
}
