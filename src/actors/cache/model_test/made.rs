//! Values that acts on projects are built from.

use super::acts::NAMES;
use crate::domain::ids::UserId;
use crate::domain::name::Name;
use crate::domain::project::Visibility;
use crate::domain::push::{PushSummary, PushedCommit, RefUpdate};

pub(super) fn a_name(index: usize) -> Name {
    Name::parse(NAMES[index]).unwrap()
}

pub(super) fn visibility(public: bool) -> Visibility {
    if public { Visibility::Public } else { Visibility::Private }
}

pub(super) fn to_main() -> RefUpdate {
    RefUpdate { name: "refs/heads/main".into(), old: None, new: Some("1".repeat(40)) }
}

pub(super) fn summary_of(push: i64, named: UserId) -> PushSummary {
    let commit = PushedCommit { oid: "1".repeat(40), summary: "a commit".into(), author: "x".into() };
    PushSummary {
        refs: vec![to_main()],
        ref_count: 1,
        commits: vec![commit],
        commit_count: 1,
        mentioned: vec![named],
        size_bytes: push,
        default_branch: None,
    }
}
