//! Who may do what in a chat: the one set of rules that every transport asks.
//!
//! Each rule takes roles and answers `Ok` or the [`Refusal`]. Somebody who is not in a chat that is not a channel
//! learns nothing: to them it is not found.

use super::chat::{ChatKind, ChatRole};
use super::refusal::Refusal;

/// Reading messages, events and people.
pub fn read(kind: ChatKind, role: Option<ChatRole>) -> Result<ChatRole, Refusal> {
    match role {
        Some(role) => Ok(role),
        None if kind == ChatKind::Channel => Err(Refusal::Forbidden("join the channel first")),
        None => Err(Refusal::NotFound("chat")),
    }
}

/// Seeing that the chat exists.
pub fn see(kind: ChatKind, role: Option<ChatRole>) -> Result<(), Refusal> {
    if role.is_some() || kind == ChatKind::Channel { Ok(()) } else { Err(Refusal::NotFound("chat")) }
}

pub fn post(kind: ChatKind, role: Option<ChatRole>, archived: bool) -> Result<(), Refusal> {
    let role = read(kind, role)?;
    if role < ChatRole::Member {
        return Err(Refusal::Forbidden("readers of a channel cannot write in it"));
    }
    if archived { Err(Refusal::Forbidden("the chat is archived")) } else { Ok(()) }
}

/// Renaming and archiving.
pub fn manage(kind: ChatKind, role: Option<ChatRole>) -> Result<(), Refusal> {
    let role = read(kind, role)?;
    if kind == ChatKind::Direct {
        return Err(Refusal::Forbidden("a direct chat has no settings"));
    }
    if role < ChatRole::Admin {
        Err(Refusal::Forbidden("only owners and admins may change a chat"))
    } else {
        Ok(())
    }
}

/// Giving `wanted` to somebody who now has `current` (`None`: is not in the chat).
pub fn set_role(
    kind: ChatKind,
    actor: Option<ChatRole>,
    oneself: bool,
    current: Option<ChatRole>,
    wanted: ChatRole,
) -> Result<(), Refusal> {
    if kind == ChatKind::Direct {
        read(kind, actor)?;
        return Err(Refusal::Forbidden("a direct chat has exactly two people"));
    }
    if wanted == ChatRole::Reader && kind != ChatKind::Channel {
        read(kind, actor)?;
        return Err(Refusal::invalid("role", "reader exists in channels only"));
    }
    if oneself && current.is_none() {
        see(kind, actor)?;
        return if wanted <= ChatRole::Member {
            Ok(())
        } else {
            Err(Refusal::Forbidden("one joins as a member"))
        };
    }
    let actor = read(kind, actor)?;
    if oneself && wanted <= actor {
        return Ok(());
    }
    if actor < ChatRole::Admin {
        return Err(Refusal::Forbidden("only owners and admins may add people or change roles"));
    }
    let highest = current.map_or(wanted, |current| current.max(wanted));
    if highest > actor || (highest == ChatRole::Owner && actor != ChatRole::Owner) {
        return Err(Refusal::Forbidden("one cannot give or take a role above one's own"));
    }
    Ok(())
}

/// Taking somebody with the role `current` out.
pub fn remove(
    kind: ChatKind,
    actor: Option<ChatRole>,
    oneself: bool,
    current: ChatRole,
) -> Result<(), Refusal> {
    let actor = read(kind, actor)?;
    if kind == ChatKind::Direct {
        return Err(Refusal::Forbidden("a direct chat cannot be left"));
    }
    if oneself || (actor >= ChatRole::Admin && actor >= current) {
        return Ok(());
    }
    Err(Refusal::Forbidden("only owners and admins may remove people, and nobody above themselves"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChatKind::{Channel, Direct, Group};
    use ChatRole::{Admin, Member, Owner, Reader};

    #[test]
    fn an_outsider_does_not_learn_that_a_group_exists() {
        for answer in [
            post(Group, None, false),
            manage(Group, None),
            set_role(Group, None, true, None, Member),
            remove(Group, None, false, Member),
            see(Direct, None),
        ] {
            assert_eq!(answer, Err(Refusal::NotFound("chat")));
        }
    }

    #[test]
    fn everybody_may_join_a_channel_but_not_as_its_owner() {
        assert!(set_role(Channel, None, true, None, Member).is_ok());
        assert!(set_role(Channel, None, true, None, Reader).is_ok());
        assert!(set_role(Channel, None, true, None, Owner).is_err());
    }

    #[test]
    fn nobody_raises_themselves() {
        assert!(set_role(Group, Some(Member), true, Some(Member), Admin).is_err());
        assert!(set_role(Group, Some(Admin), true, Some(Admin), Owner).is_err());
        assert!(set_role(Group, Some(Admin), true, Some(Admin), Member).is_ok());
    }

    #[test]
    fn an_admin_does_not_touch_an_owner() {
        assert!(set_role(Group, Some(Admin), false, Some(Owner), Member).is_err());
        assert!(remove(Group, Some(Admin), false, Owner).is_err());
        assert!(remove(Group, Some(Admin), false, Member).is_ok());
        assert!(remove(Group, Some(Member), false, Member).is_err());
        assert!(remove(Group, Some(Member), true, Member).is_ok());
    }

    #[test]
    fn readers_read_and_an_archive_is_silent() {
        assert!(read(Channel, Some(Reader)).is_ok());
        assert!(post(Channel, Some(Reader), false).is_err());
        assert!(post(Group, Some(Owner), true).is_err());
    }
}
