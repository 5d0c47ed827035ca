//! Who may do what in a chat.
//!
//! Each rule takes roles and answers `Ok` or the [`Refusal`]. Somebody who may not
//! know of a chat learns nothing: to them it is not found.

use crate::domain::chat::{Audience, Chat, ChatKind, ChatRole};
use crate::domain::refusal::Refusal;

/// Reading messages, events and people.
pub fn read(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    match (role, chat.audience) {
        (Some(_), _) | (None, Audience::Public) => Ok(()),
        (None, Audience::Joinable) => Err(Refusal::Forbidden("join the channel first")),
        (None, Audience::Members) => Err(Refusal::NotFound("chat")),
    }
}

/// Seeing that the chat exists.
pub fn see(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    if role.is_some() || chat.audience != Audience::Members { Ok(()) } else { Err(Refusal::NotFound("chat")) }
}

/// The role of somebody who must be in the chat.
fn member(chat: &Chat, role: Option<ChatRole>) -> Result<ChatRole, Refusal> {
    read(chat, role)?;
    role.ok_or(Refusal::Forbidden("only members of the project may do this"))
}

/// The role of a user in a chat that is not archived.
fn writable(chat: &Chat, role: Option<ChatRole>) -> Result<ChatRole, Refusal> {
    let role = member(chat, role)?;
    if chat.archived { Err(Refusal::Forbidden("the chat is archived")) } else { Ok(role) }
}

pub fn post(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    if member(chat, role)? < ChatRole::Member {
        return Err(Refusal::Forbidden("readers of a channel cannot write in it"));
    }
    writable(chat, role).map(drop)
}

/// Posting in a direct chat, whose other person may be deactivated: nobody would read it.
pub fn post_to_peer(is_peer_active: bool) -> Result<(), Refusal> {
    if is_peer_active {
        Ok(())
    } else {
        Err(Refusal::Forbidden("the other person of this chat is deactivated and cannot read it"))
    }
}

/// Changing what a message says: its sender alone.
pub fn edit(chat: &Chat, role: Option<ChatRole>, is_sender: bool) -> Result<(), Refusal> {
    post(chat, role)?;
    if is_sender { Ok(()) } else { Err(Refusal::Forbidden("only who wrote a message may edit it")) }
}

/// Taking a message back: its sender, also as a reader by now, and whoever keeps order in the chat.
pub fn delete(chat: &Chat, role: Option<ChatRole>, is_sender: bool) -> Result<(), Refusal> {
    let role = writable(chat, role)?;
    if is_sender || role >= ChatRole::Admin {
        return Ok(());
    }
    Err(Refusal::Forbidden("only who wrote a message, owners and admins may delete it"))
}

/// Taking back a message in a chat that is not the own affair: administrators of the server, against spam. `refused` is
/// what [`delete`] said.
pub fn moderate(refused: Refusal, is_administrator: bool) -> Result<(), Refusal> {
    if is_administrator { Ok(()) } else { Err(refused) }
}

/// Reactions: everyone in the chat, readers too.
pub fn react(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    writable(chat, role).map(drop)
}

/// Hiding a chat from the own list until the next message: direct chats, which cannot be left.
pub fn hide(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    member(chat, role)?;
    if chat.kind == ChatKind::Direct {
        Ok(())
    } else {
        Err(Refusal::Forbidden("only direct chats can be hidden; leave or mute others"))
    }
}

/// Moving the own cursors, forward or back.
pub fn mark(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    read(chat, role)?;
    role.map(drop).ok_or(Refusal::NotFound("chat"))
}

/// Renaming and archiving.
pub fn manage(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    let role = member(chat, role)?;
    if chat.kind == ChatKind::Direct {
        return Err(Refusal::Forbidden("a direct chat has no settings"));
    }
    follows_no_project(chat)?;
    if role < ChatRole::Admin {
        Err(Refusal::Forbidden("only owners and admins may change a chat"))
    } else {
        Ok(())
    }
}

/// Who may let its older messages be deleted for good: an owner, and in a direct chat nobody.
pub fn own(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    read(chat, role)?;
    match (chat.kind, role) {
        (ChatKind::Direct, _) => Err(Refusal::Forbidden("a direct chat keeps what was said")),
        (_, Some(ChatRole::Owner)) => Ok(()),
        _ => Err(Refusal::Forbidden("only an owner of the chat may do this")),
    }
}

/// Deleting a chat with all that was said in it: an owner.
pub fn delete_chat(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    own(chat, role)?;
    if is_left_behind(chat) { Ok(()) } else { follows_no_project(chat) }
}

/// Making an administrator of the server, or whom they name, an owner: only where no active user is one.
pub fn take_over(chat: &Chat, has_active_owner: bool) -> Result<(), Refusal> {
    if chat.kind == ChatKind::Direct {
        return Err(Refusal::Forbidden("a direct chat has no owner"));
    }
    follows_no_project(chat)?;
    if has_active_owner { Err(Refusal::Conflict("the chat has an active owner")) } else { Ok(()) }
}

/// The channel of a project that was deleted: archived, for nobody can archive that of a living one.
pub fn is_left_behind(chat: &Chat) -> bool {
    chat.project_id.is_some() && chat.archived
}

/// A project's channel is changed by changing the project.
fn follows_no_project(chat: &Chat) -> Result<(), Refusal> {
    if chat.project_id.is_some() {
        Err(Refusal::Forbidden("the channel follows its project: change the project instead"))
    } else {
        Ok(())
    }
}

/// Giving `wanted` to somebody who now has `current` (`None`: is not in the chat).
pub fn set_role(
    chat: &Chat,
    actor: Option<ChatRole>,
    oneself: bool,
    current: Option<ChatRole>,
    wanted: ChatRole,
) -> Result<(), Refusal> {
    see(chat, actor)?;
    follows_no_project(chat)?;
    if chat.kind == ChatKind::Direct {
        return Err(Refusal::Forbidden("a direct chat has exactly two people"));
    }
    if wanted == ChatRole::Reader && chat.kind != ChatKind::Channel {
        return Err(Refusal::invalid("role", "reader exists in channels only"));
    }
    if oneself && current.is_none() {
        return if wanted <= ChatRole::Member {
            Ok(())
        } else {
            Err(Refusal::Forbidden("one joins as a member"))
        };
    }
    let actor = member(chat, actor)?;
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
pub fn remove(chat: &Chat, actor: Option<ChatRole>, oneself: bool, current: ChatRole) -> Result<(), Refusal> {
    let actor = member(chat, actor)?;
    if chat.kind == ChatKind::Direct {
        return Err(Refusal::Forbidden("a direct chat cannot be left"));
    }
    if oneself && is_left_behind(chat) {
        return Ok(());
    }
    follows_no_project(chat)?;
    if oneself || (actor >= ChatRole::Admin && actor >= current) {
        return Ok(());
    }
    Err(Refusal::Forbidden("only owners and admins may remove people, and nobody above themselves"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ChatId, ProjectId};
    use crate::domain::timestamp::Timestamp;
    use ChatKind::{Channel, Direct, Group};
    use ChatRole::{Admin, Member, Owner, Reader};

    fn chat(kind: ChatKind) -> Chat {
        Chat {
            id: ChatId(1),
            kind,
            name: None,
            between: None,
            project_id: None,
            audience: Audience::of(kind),
            last_seq: 0,
            last_ordinal: 0,
            last_message_id: None,
            retention: None,
            trimmed_seq: 0,
            trimmed_ordinal: 0,
            archived: false,
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn a_public_projects_channel_is_read_by_all_and_entered_through_the_project_only() {
        let channel = Chat { project_id: Some(ProjectId(1)), audience: Audience::Public, ..chat(Channel) };
        assert!(read(&channel, None).is_ok());
        let forbidden = |answer| matches!(answer, Err(Refusal::Forbidden(_)));
        assert!(forbidden(post(&channel, None)));
        assert!(forbidden(set_role(&channel, None, true, None, Member)));
        assert!(forbidden(set_role(&channel, Some(Owner), false, None, Member)));
        assert!(forbidden(remove(&channel, Some(Owner), true, Owner)));
        assert!(forbidden(manage(&channel, Some(Owner))));
        let left_behind = Chat { archived: true, ..channel.clone() };
        assert!(remove(&left_behind, Some(Owner), true, Owner).is_ok());
        assert!(forbidden(remove(&left_behind, Some(Owner), false, Member)));
        let private = Chat { audience: Audience::Members, ..channel };
        assert_eq!(set_role(&private, None, true, None, Member), Err(Refusal::NotFound("chat")));
        assert_eq!(read(&private, None), Err(Refusal::NotFound("chat")));
    }

    #[test]
    fn an_outsider_does_not_learn_that_a_group_exists() {
        for answer in [
            post(&chat(Group), None),
            manage(&chat(Group), None),
            set_role(&chat(Group), None, true, None, Member),
            remove(&chat(Group), None, false, Member),
            see(&chat(Direct), None),
        ] {
            assert_eq!(answer, Err(Refusal::NotFound("chat")));
        }
    }

    #[test]
    fn everybody_may_join_a_channel_but_not_as_its_owner() {
        assert!(set_role(&chat(Channel), None, true, None, Member).is_ok());
        assert!(set_role(&chat(Channel), None, true, None, Reader).is_ok());
        assert!(set_role(&chat(Channel), None, true, None, Owner).is_err());
    }

    #[test]
    fn nobody_raises_themselves() {
        assert!(set_role(&chat(Group), Some(Member), true, Some(Member), Admin).is_err());
        assert!(set_role(&chat(Group), Some(Admin), true, Some(Admin), Owner).is_err());
        assert!(set_role(&chat(Group), Some(Admin), true, Some(Admin), Member).is_ok());
    }

    #[test]
    fn an_admin_does_not_touch_an_owner() {
        assert!(set_role(&chat(Group), Some(Admin), false, Some(Owner), Member).is_err());
        assert!(remove(&chat(Group), Some(Admin), false, Owner).is_err());
        assert!(remove(&chat(Group), Some(Admin), false, Member).is_ok());
        assert!(remove(&chat(Group), Some(Member), false, Member).is_err());
        assert!(remove(&chat(Group), Some(Member), true, Member).is_ok());
    }

    #[test]
    fn owner_deletes_a_chat_and_nobody_else_does() {
        assert!(delete_chat(&chat(Group), Some(Owner)).is_ok());
        for role in [Some(Admin), Some(Member)] {
            assert!(matches!(delete_chat(&chat(Group), role), Err(Refusal::Forbidden(_))));
        }
        assert_eq!(delete_chat(&chat(Group), None), Err(Refusal::NotFound("chat")));
        assert!(delete_chat(&chat(Direct), Some(Member)).is_err());
        let channel = Chat { project_id: Some(ProjectId(1)), ..chat(Channel) };
        assert!(delete_chat(&channel, Some(Owner)).is_err());
        assert!(delete_chat(&Chat { archived: true, ..channel }, Some(Owner)).is_ok());
    }

    #[test]
    fn chat_without_an_active_owner_is_taken_over() {
        assert!(take_over(&chat(Group), false).is_ok());
        assert!(matches!(take_over(&chat(Group), true), Err(Refusal::Conflict(_))));
        assert!(take_over(&chat(Direct), false).is_err());
        let channel = Chat { project_id: Some(ProjectId(1)), ..chat(Channel) };
        assert!(take_over(&channel, false).is_err());
    }

    #[test]
    fn readers_read_and_an_archive_is_silent() {
        assert!(read(&chat(Channel), Some(Reader)).is_ok());
        assert!(post(&chat(Channel), Some(Reader)).is_err());
        assert!(react(&chat(Channel), Some(Reader)).is_ok());
        assert!(delete(&chat(Channel), Some(Reader), true).is_ok(), "a demoted author");
        assert!(delete(&chat(Channel), Some(Reader), false).is_err());
        assert!(react(&Chat { archived: true, ..chat(Group) }, Some(Owner)).is_err());
        assert!(hide(&chat(Direct), Some(Member)).is_ok() && hide(&chat(Group), Some(Member)).is_err());
        assert!(post(&Chat { archived: true, ..chat(Group) }, Some(Owner)).is_err());
    }
}
