//! Severities of git's object checks that differ from git's defaults (git-fsck(1), "FSCK
//! MESSAGES").
//!
//! Everything that git classifies as an error is refused. The list differs from git's defaults in
//! two ways:
//!
//! * Ignored: defects that old clients wrote into widely used histories and that do not affect
//!   readers. Gitaly ignores the same ones.
//! * Tightened: names that git only warns about and with which another client would write outside
//!   of its clone.

/// An fsck message id and its severity.
struct Severity {
    id: &'static str,
    severity: &'static str,
}

const SEVERITIES: &[Severity] = &[
    // Modes like 040000, written by the first versions of GitHub and by other libraries; found in
    // redis, flask, sinatra, ohmyzsh. git and libgit2 parse modes as octal numbers.
    Severity { id: "zeroPaddedFilemode", severity: "ignore" },
    // Time zones like +051800, written by a defect of a library of 2011; found in requests. The
    // time itself is correct.
    Severity { id: "badTimezone", severity: "ignore" },
    // `A U Thor <a@example.org>1234567890 +0000`, written by conversions from Subversion. Readers
    // use 0 as the time.
    Severity { id: "missingSpaceBeforeDate", severity: "ignore" },
    // Tree entries named `.`, `..` or `.git`, or that contain a slash.
    Severity { id: "hasDot", severity: "error" },
    Severity { id: "hasDotdot", severity: "error" },
    Severity { id: "hasDotgit", severity: "error" },
    Severity { id: "fullPathname", severity: "error" },
];

/// Returns the settings for pushes (`is_push`), or for `git fsck` of stored objects.
pub(super) fn settings(is_push: bool) -> impl Iterator<Item = String> {
    let section = if is_push { "receive.fsck" } else { "fsck" };
    SEVERITIES.iter().map(move |Severity { id, severity }| format!("{section}.{id}={severity}"))
}
