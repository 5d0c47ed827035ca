//! Links in the message of a commit: to commits of the repository, and to users.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::http::address::path_encoded;
use crate::protocol::code::Code;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::paint::commit_text::{CommitLinks, CommitText, commit_text};
use crate::web::visitor::Visitor;

/// Maximum ids, and names, of a message that are looked up.
const LOOKED_UP_MAX: usize = 20;

/// Collects what a message names, and links nothing.
#[derive(Default)]
struct Named {
    ids: RefCell<BTreeSet<String>>,
    names: RefCell<BTreeSet<String>>,
}

impl CommitLinks for Named {
    fn commit(&self, hex: &str) -> Option<String> {
        push(&self.ids, hex);
        None
    }

    fn user(&self, name: &str) -> Option<String> {
        push(&self.names, name);
        None
    }
}

fn push(texts: &RefCell<BTreeSet<String>>, text: &str) {
    let mut texts = texts.borrow_mut();
    if texts.len() < LOOKED_UP_MAX {
        texts.insert(text.to_owned());
    }
}

/// The addresses of what exists.
#[derive(Default)]
struct Known {
    commits: BTreeMap<String, String>,
    users: BTreeMap<String, String>,
}

impl CommitLinks for Known {
    fn commit(&self, hex: &str) -> Option<String> {
        self.commits.get(hex).cloned()
    }

    fn user(&self, name: &str) -> Option<String> {
        self.users.get(name).cloned()
    }
}

/// A message as HTML.
pub(super) struct LinkedMessage {
    pub(super) text: CommitText,
    /// Whether every link was looked up. If not, a later page may have more.
    pub(super) is_whole: bool,
}

/// Returns whether the same text will not be found later either.
fn is_missing(error: &ServiceError) -> bool {
    matches!(error.code, Code::NotFound | Code::BadRequest | Code::TooLarge)
}

/// Returns the message as HTML. Commits are linked if they exist, users if the visitor may see
/// them.
pub(super) async fn linked(
    services: &Services,
    visitor: &Visitor,
    view: &RepositoryView,
    base: &str,
    message: &str,
) -> LinkedMessage {
    let named = Named::default();
    let text = commit_text(message, &named);
    let (ids, names) = (named.ids.into_inner(), named.names.into_inner());
    let (mut known, mut is_whole) = (Known::default(), true);
    for hex in ids {
        match services.resolve_id(view, hex.clone()).await {
            Ok(commit) => drop(known.commits.insert(hex, format!("{base}/-/commit/{}", commit.oid))),
            Err(error) => is_whole &= is_missing(&error),
        }
    }
    if let Some(who) = visitor.who() {
        for name in names {
            match services.person(who, name.clone()).await {
                Ok(user) => {
                    drop(known.users.insert(name, format!("/people/{}", path_encoded(&user.username))));
                }
                Err(error) => is_whole &= is_missing(&error),
            }
        }
    }
    let has_links = !known.commits.is_empty() || !known.users.is_empty();
    LinkedMessage { text: if has_links { commit_text(message, &known) } else { text }, is_whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_server_does_not_decide_that_a_link_is_missing() {
        for code in [Code::NotFound, Code::BadRequest, Code::TooLarge] {
            assert!(is_missing(&ServiceError::new(code, "")), "{code:?}");
        }
        for code in [Code::Overloaded, Code::RateLimited, Code::Internal] {
            assert!(!is_missing(&ServiceError::new(code, "")), "{code:?}");
        }
    }
}
