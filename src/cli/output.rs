//! Output of commands: results on standard output, errors and warnings on standard error.
//!
//! A closed pipe (`netbit doctor | head -1`) is not reported: the command ends silently, as if
//! SIGPIPE had ended it. The signal itself stays ignored, because a server in the same process must
//! survive it.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// Exit code that a shell reports for a command ended by SIGPIPE.
const EXIT_PIPE: u8 = 141;

/// Writes a line to standard output; fails with an [`io::Error`].
macro_rules! print_line {
    ($($arguments:tt)*) => {
        $crate::cli::output::line(format_args!($($arguments)*))
    };
}
pub(super) use print_line;

/// See [`print_line`].
pub(super) fn line(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(text)?;
    out.write_all(b"\n")
}

/// Writes a line to standard error and ignores failures, such as a closed pipe.
pub(super) fn warn(text: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "netbit: {text}"));
}

/// Prints the error of a failed command and returns the exit code.
pub(super) fn report_error(error: &anyhow::Error) -> ExitCode {
    let is_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_pipe) {
        return ExitCode::from(EXIT_PIPE);
    }
    warn(format_args!("{}", sentence(error)));
    ExitCode::FAILURE
}

/// Formats the error with its causes. Many errors already end with their cause; each cause appears
/// once.
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
