//! Names of branches and tags: as choices in forms, and in commands.

use crate::git::browse::{RefKind, ResolvedRef};
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::code::frame::name_in_address;

/// Maximum branches, and tags, that a form offers. It takes any name.
const OFFERED_MAX: usize = 100;

/// Returns the names that a form offers.
pub(super) async fn offered(services: &Services, view: &RepositoryView) -> Result<Vec<String>, ServiceError> {
    let names = services.ref_names(view, OFFERED_MAX).await?;
    let tags = names.tags.into_iter().map(|tag| tag.name);
    Ok(names.branches.into_iter().chain(tags).collect())
}

/// Returns the name of a ref in a clone with the remote `origin`, as an argument of a shell
/// command.
pub(super) fn in_clone(commit: &ResolvedRef) -> String {
    let name = name_in_address(commit);
    if commit.kind == RefKind::Branch { format!("origin/{name}") } else { name.to_owned() }
}

/// Quotes an argument for a POSIX shell, if it needs quotes.
pub(super) fn quoted(argument: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@+=:,".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_for_the_shell() {
        assert_eq!(quoted("origin/feature/x.y"), "origin/feature/x.y");
        assert_eq!(quoted("a;rm -rf $HOME"), "'a;rm -rf $HOME'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
