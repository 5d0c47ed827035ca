//! The names of refs that clients can push to.

use crate::domain::project::{InvalidBranchName, check_branch_name};
use crate::domain::push::RefUpdate;

/// The ref namespaces that clients can push to.
const NAMESPACES: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/notes/"];
/// Maximum length of the name of a ref that can be deleted: longer names cannot be files.
const NAME_BYTES_MAX: usize = 1024;
/// Checks whether a ref of this name may be pushed by any user.
///
/// Some of the refused names would pass git's own checks and then break a repository
/// (`refs/replace/…`) or mislead users.
///
/// # Errors
/// The reason why the name is refused.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let short = NAMESPACES.iter().find_map(|space| name.strip_prefix(space));
    let Some(short) = short else {
        return Err("not accepted here: only refs/heads/, refs/tags/ and refs/notes/ can be pushed");
    };
    check_branch_name(short).map_err(|reason| match reason {
        InvalidBranchName::ObjectId => "the name reads like an object id",
        InvalidBranchName::TooLong => "the name has more than 1000 bytes",
        InvalidBranchName::PartTooLong => "the name has a part of more than 250 bytes",
        InvalidBranchName::TooManyParts => "the name has more than 16 parts between slashes",
        InvalidBranchName::Form => {
            "the name is not allowed: no refs/ in front, no invisible characters, nothing that git refuses"
        }
    })
}

/// Checks whether the name of the ref permits the update. A ref whose name was accepted by an
/// earlier version can be deleted.
///
/// # Errors
/// The reason why the name is refused.
pub fn check_update_name(update: &RefUpdate) -> Result<(), &'static str> {
    let deletes = update.new.is_none() && update.old.is_some();
    if deletes && update.name.len() <= NAME_BYTES_MAX && NAMESPACES.iter().any(|s| update.name.starts_with(s))
    {
        return Ok(());
    }
    check_name(&update.name)
}
