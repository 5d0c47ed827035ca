//! Permissions in a project and its repositories.
//!
//! Each rule takes the acting user's role (a token may have lowered it) and returns `Ok` or the
//! [`Refusal`]. Users who may not read receive "not found", so existence does not leak.

use crate::domain::chat::{Audience, ChatRole};
use crate::domain::project::{ProjectConfig, ProjectRole, Visibility};
use crate::domain::push::RefUpdate;
use crate::domain::refusal::Refusal;

/// An operation on a project or repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Read,
    Push,
    /// Create and change repositories.
    Maintain,
    /// Members, name, visibility, configuration, deletion.
    Manage,
}

/// Checks whether `role` may `act`; `noun` is the object that "not found" names.
pub fn check(
    act: Act,
    visibility: Visibility,
    role: Option<ProjectRole>,
    noun: &'static str,
) -> Result<(), Refusal> {
    if role.is_none() && visibility == Visibility::Private {
        return Err(Refusal::NotFound(noun));
    }
    match act {
        Act::Read => Ok(()),
        Act::Push if role < Some(ProjectRole::Writer) => {
            Err(Refusal::Forbidden("pushing needs the role writer"))
        }
        Act::Maintain if role < Some(ProjectRole::Maintainer) => {
            Err(Refusal::Forbidden("this needs the role maintainer"))
        }
        Act::Manage if role < Some(ProjectRole::Owner) => {
            Err(Refusal::Forbidden("this needs the role owner"))
        }
        Act::Push | Act::Maintain | Act::Manage => Ok(()),
    }
}

/// Checks whether a push by a user with this project role may create the repository `noun`, which
/// does not exist. For other roles the answer is the same as where pushes do not create
/// repositories.
///
/// # Errors
/// [`Refusal::NotFound`] unless the role is owner.
pub fn push_to_create(role: Option<ProjectRole>, noun: &'static str) -> Result<(), Refusal> {
    if role == Some(ProjectRole::Owner) { Ok(()) } else { Err(Refusal::NotFound(noun)) }
}

/// Checks whether `role` may make this update, by the rules for branches and tags. An existing tag
/// names a release: moving or deleting it needs the same role as rewriting a protected branch.
pub fn check_update(
    config: &ProjectConfig,
    role: Option<ProjectRole>,
    update: &RefUpdate,
) -> Result<(), Refusal> {
    if update.is_tag() && update.old.is_some() && role < Some(ProjectRole::Maintainer) {
        return Err(Refusal::Forbidden("moving or deleting a tag needs the role maintainer"));
    }
    let Some(rule) = update.branch().and_then(|branch| config.rule_for(branch)) else { return Ok(()) };
    if role < Some(rule.push) {
        return Err(Refusal::Forbidden(match rule.push {
            ProjectRole::Owner => "protected branch: pushing needs the role owner",
            ProjectRole::Maintainer => "protected branch: pushing needs the role maintainer",
            ProjectRole::Writer | ProjectRole::Reader => "protected branch: pushing needs the role writer",
        }));
    }
    if update.new.is_none() && !rule.delete {
        return Err(Refusal::Forbidden("protected branch: it cannot be deleted"));
    }
    Ok(())
}

/// Checks removing a lock of Git LFS. `is_own`: the user holds the lock.
pub fn unlock(role: Option<ProjectRole>, is_own: bool, is_forced: bool) -> Result<(), Refusal> {
    if is_own {
        return Ok(());
    }
    if !is_forced {
        return Err(Refusal::Forbidden(
            "another user holds the lock, whom git lfs locks names; ask for the unlock, or a maintainer to use \
             --force",
        ));
    }
    if role < Some(ProjectRole::Maintainer) {
        return Err(Refusal::Forbidden("removing the lock of another user needs the role maintainer"));
    }
    Ok(())
}

/// Returns whether an update must not rewrite history.
pub fn must_fast_forward(config: &ProjectConfig, update: &RefUpdate) -> bool {
    update.branch().and_then(|branch| config.rule_for(branch)).is_some_and(|rule| !rule.force)
}

/// Checks giving a user a role, or (`None`) removing them. `is_namesake`: the project is in their
/// namespace.
pub fn set_member(
    actor: Option<ProjectRole>,
    oneself: bool,
    is_namesake: bool,
    wanted: Option<ProjectRole>,
) -> Result<(), Refusal> {
    if actor < Some(ProjectRole::Owner) && !(oneself && wanted.is_none() && actor.is_some()) {
        return Err(Refusal::Forbidden("only owners may add members, change roles or remove other members"));
    }
    if is_namesake && wanted != Some(ProjectRole::Owner) {
        return Err(Refusal::Conflict("the project is in this user's namespace: the user remains its owner"));
    }
    Ok(())
}

/// Checks making a server administrator, or a user whom they name, an owner: only if no owner is
/// active.
pub fn take_over(has_active_owner: bool) -> Result<(), Refusal> {
    if has_active_owner { Err(Refusal::Conflict("the project has an active owner")) } else { Ok(()) }
}

/// Returns the role in the project's channel for a role in the project.
pub fn channel_role(role: ProjectRole) -> ChatRole {
    match role {
        ProjectRole::Owner => ChatRole::Owner,
        ProjectRole::Maintainer => ChatRole::Admin,
        ProjectRole::Writer => ChatRole::Member,
        ProjectRole::Reader => ChatRole::Reader,
    }
}

/// Returns the audience of the project's channel, in addition to its participants.
pub fn channel_audience(visibility: Visibility) -> Audience {
    match visibility {
        Visibility::Public => Audience::Public,
        Visibility::Private => Audience::Members,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProjectRole::{Maintainer, Owner, Reader, Writer};
    use Visibility::{Private, Public};

    #[test]
    fn role_limits_acts_and_outsiders_get_not_found() {
        let missing = Err(Refusal::NotFound("repository"));
        for act in [Act::Read, Act::Push, Act::Maintain, Act::Manage] {
            assert_eq!(check(act, Private, None, "repository"), missing);
        }
        for (role, highest) in [
            (None, Act::Read),
            (Some(Reader), Act::Read),
            (Some(Writer), Act::Push),
            (Some(Maintainer), Act::Maintain),
            (Some(Owner), Act::Manage),
        ] {
            for act in [Act::Read, Act::Push, Act::Maintain, Act::Manage] {
                assert_eq!(
                    check(act, Public, role, "repository").is_ok(),
                    act <= highest,
                    "{role:?} {act:?}"
                );
            }
        }
    }

    #[test]
    fn push_to_create_is_not_found_except_for_owners() {
        assert_eq!(push_to_create(Some(Owner), "repository"), Ok(()));
        for role in [None, Some(Reader), Some(Writer), Some(Maintainer)] {
            assert_eq!(push_to_create(role, "repository"), Err(Refusal::NotFound("repository")), "{role:?}");
        }
    }

    #[test]
    fn protected_branch_limits_push_and_delete() {
        let text = r#"{"protected_branches":[{"pattern":"main"}]}"#;
        let config: ProjectConfig = serde_json::from_str(text).unwrap();
        let update = |name: &str, new: Option<&str>| RefUpdate {
            name: name.to_owned(),
            old: Some("1".repeat(40)),
            new: new.map(str::to_owned),
        };
        let push = update("refs/heads/main", Some("2"));
        assert!(check_update(&config, Some(Writer), &push).is_err());
        assert!(check_update(&config, Some(Maintainer), &push).is_ok());
        assert!(check_update(&config, Some(Owner), &update("refs/heads/main", None)).is_err());
        assert!(check_update(&config, Some(Writer), &update("refs/heads/topic", None)).is_ok());
        assert!(must_fast_forward(&config, &push));
        assert!(!must_fast_forward(&config, &update("refs/heads/topic", None)));
    }

    #[test]
    fn writer_creates_tags_and_maintainer_moves_or_deletes_them() {
        let config = ProjectConfig::default();
        let update = |old: Option<&str>, new: Option<&str>| RefUpdate {
            name: "refs/tags/v1".to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        assert!(check_update(&config, Some(Writer), &update(None, Some("1"))).is_ok());
        for change in [update(Some("1"), Some("2")), update(Some("1"), None)] {
            assert!(check_update(&config, Some(Writer), &change).is_err());
            assert!(check_update(&config, Some(Maintainer), &change).is_ok());
        }
    }

    #[test]
    fn lock_is_removed_by_its_holder_or_by_force_of_a_maintainer() {
        for role in [Writer, Maintainer, Owner] {
            assert!(unlock(Some(role), true, false).is_ok() && unlock(Some(role), true, true).is_ok());
            assert!(unlock(Some(role), false, false).is_err());
        }
        assert!(unlock(Some(Writer), false, true).is_err());
        assert!(unlock(Some(Maintainer), false, true).is_ok());
    }

    #[test]
    fn only_owners_change_members_and_namesake_stays_owner() {
        assert!(set_member(Some(Owner), false, false, Some(Owner)).is_ok());
        assert!(set_member(Some(Maintainer), false, false, Some(Reader)).is_err());
        assert!(
            set_member(Some(Maintainer), true, false, Some(Owner)).is_err(),
            "a maintainer cannot become an owner"
        );
        assert!(set_member(Some(Reader), true, false, None).is_ok());
        assert!(set_member(None, true, false, None).is_err());
        assert!(matches!(set_member(Some(Owner), true, true, None), Err(Refusal::Conflict(_))));
        assert!(matches!(set_member(Some(Owner), false, true, Some(Reader)), Err(Refusal::Conflict(_))));
    }
}
