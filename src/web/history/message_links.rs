//! Links in the message of a commit: to commits of the repository, and to users.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::http::address::path_encoded;
use crate::services::{RepositoryView, Services};
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

/// Returns the message as HTML. Commits are linked if they exist, users if the visitor may see them.
pub(super) async fn linked(
    services: &Services,
    visitor: &Visitor,
    view: &RepositoryView,
    base: &str,
    message: &str,
) -> CommitText {
    let named = Named::default();
    let text = commit_text(message, &named);
    let (ids, names) = (named.ids.into_inner(), named.names.into_inner());
    let mut known = Known::default();
    for hex in ids {
        if let Ok(commit) = services.resolve_id(view, hex.clone()).await {
            known.commits.insert(hex, format!("{base}/-/commit/{}", commit.oid));
        }
    }
    if let Some(who) = visitor.who() {
        for name in names {
            if let Ok(user) = services.person(who, name.clone()).await {
                known.users.insert(name, format!("/people/{}", path_encoded(&user.username)));
            }
        }
    }
    if known.commits.is_empty() && known.users.is_empty() { text } else { commit_text(message, &known) }
}
