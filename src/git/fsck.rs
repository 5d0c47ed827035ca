//! What git's check of objects refuses, where it differs from git's own choice (git-fsck(1), "FSCK MESSAGES").
//!
//! Everything that git calls an error is refused. The exceptions are faults that clients of old wrote into histories which
//! every team has, and that change nothing for a reader; Gitaly takes the same ones. Tightened are names that git only
//! warns of, and with which another client would write outside of its clone.

/// A message of the check and what becomes of it.
struct Severity {
    id: &'static str,
    severity: &'static str,
}

const SEVERITIES: &[Severity] = &[
    // Modes like 040000, by the first versions of GitHub's and of other libraries: redis, flask, sinatra, ohmyzsh. git and
    // libgit2 read them as octal numbers.
    Severity { id: "zeroPaddedFilemode", severity: "ignore" },
    // Time zones like +051800, by a fault of a library of 2011: requests. The time itself is right.
    Severity { id: "badTimezone", severity: "ignore" },
    // `A U Thor <a@example.org>1234567890 +0000`, by conversions from Subversion. Readers take the time for 0.
    Severity { id: "missingSpaceBeforeDate", severity: "ignore" },
    // Entries named `.`, `..`, `.git`, or with a slash.
    Severity { id: "hasDot", severity: "error" },
    Severity { id: "hasDotdot", severity: "error" },
    Severity { id: "hasDotgit", severity: "error" },
    Severity { id: "fullPathname", severity: "error" },
];

/// The settings for pushes, or for `git fsck` of what is stored.
pub(super) fn settings(is_push: bool) -> impl Iterator<Item = String> {
    let section = if is_push { "receive.fsck" } else { "fsck" };
    SEVERITIES.iter().map(move |Severity { id, severity }| format!("{section}.{id}={severity}"))
}
