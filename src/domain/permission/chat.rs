//! Permissions in a chat.
//!
//! Each rule takes roles and returns `Ok` or the [`Refusal`]. Users who may not know of a chat
//! receive "not found", so its existence does not leak.

use crate::domain::chat::{Audience, Chat, ChatKind, ChatRole};
use crate::domain::refusal::Refusal;

/// Checks reading messages, events and participants.
pub fn read(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    match (role, chat.audience) {
        (Some(_), _) | (None, Audience::Public) => Ok(()),
        (None, Audience::Joinable) => Err(Refusal::Forbidden("join the channel first")),
        (None, Audience::Members) => Err(Refusal::NotFound("chat")),
    }
}

/// Checks seeing that the chat exists.
pub fn see(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    if role.is_some() || chat.audience != Audience::Members { Ok(()) } else { Err(Refusal::NotFound("chat")) }
}

/// Returns the role of a user who must be in the chat.
fn member(chat: &Chat, role: Option<ChatRole>) -> Result<ChatRole, Refusal> {
    read(chat, role)?;
    role.ok_or(Refusal::Forbidden("only members of the project may do this"))
}

/// Returns the role of a user in a chat that is not archived.
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

/// Checks posting in a direct chat. It is refused when the other user is deactivated and cannot
/// read it.
pub fn post_to_peer(is_peer_active: bool) -> Result<(), Refusal> {
    if is_peer_active {
        Ok(())
    } else {
        Err(Refusal::Forbidden("the other user of this chat is deactivated and cannot read it"))
    }
}

/// Checks editing a message: its sender only.
pub fn edit(chat: &Chat, role: Option<ChatRole>, is_sender: bool) -> Result<(), Refusal> {
    post(chat, role)?;
    if is_sender { Ok(()) } else { Err(Refusal::Forbidden("only the sender of a message may edit it")) }
}

/// Checks deleting a message: its sender, even when demoted to reader, and admins and owners of the
/// chat.
pub fn delete(chat: &Chat, role: Option<ChatRole>, is_sender: bool) -> Result<(), Refusal> {
    let role = writable(chat, role)?;
    if is_sender || role >= ChatRole::Admin {
        return Ok(());
    }
    Err(Refusal::Forbidden("only the sender of a message, owners and admins may delete it"))
}

/// Checks deleting a message as a server administrator, against spam. `refused` is the refusal that
/// [`delete`] returned.
pub fn moderate(refused: Refusal, is_administrator: bool) -> Result<(), Refusal> {
    if is_administrator { Ok(()) } else { Err(refused) }
}

/// Checks reacting: all users in the chat, including readers.
pub fn react(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    writable(chat, role).map(drop)
}

/// Checks hiding a chat from the user's own list until the next message: direct chats, which cannot
/// be left.
pub fn hide(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    member(chat, role)?;
    if chat.kind == ChatKind::Direct {
        Ok(())
    } else {
        Err(Refusal::Forbidden("only direct chats can be hidden; leave or mute others"))
    }
}

/// Checks moving the user's own cursors, forward or back.
pub fn mark(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    read(chat, role)?;
    role.map(drop).ok_or(Refusal::NotFound("chat"))
}

/// Checks renaming and archiving.
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

/// Checks setting the retention, which deletes older messages permanently: owners only, and not in
/// direct chats.
pub fn own(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    read(chat, role)?;
    match (chat.kind, role) {
        (ChatKind::Direct, _) => Err(Refusal::Forbidden("a direct chat keeps all its messages")),
        (_, Some(ChatRole::Owner)) => Ok(()),
        _ => Err(Refusal::Forbidden("only an owner of the chat may do this")),
    }
}

/// Checks deleting a chat with all its messages: owners only.
pub fn delete_chat(chat: &Chat, role: Option<ChatRole>) -> Result<(), Refusal> {
    own(chat, role)?;
    if is_orphaned(chat) { Ok(()) } else { follows_no_project(chat) }
}

/// Checks making a server administrator, or a user whom they name, an owner: only if no owner is
/// active.
pub fn take_over(chat: &Chat, has_active_owner: bool) -> Result<(), Refusal> {
    if chat.kind == ChatKind::Direct {
        return Err(Refusal::Forbidden("a direct chat has no owner"));
    }
    follows_no_project(chat)?;
    if has_active_owner { Err(Refusal::Conflict("the chat has an active owner")) } else { Ok(()) }
}

/// Returns whether the chat is the channel of a deleted project: it is archived, and channels of
/// existing projects cannot be archived.
pub fn is_orphaned(chat: &Chat) -> bool {
    chat.project_id.is_some() && chat.archived
}

/// Refuses to change a project's channel: it follows the project.
fn follows_no_project(chat: &Chat) -> Result<(), Refusal> {
    if chat.project_id.is_some() {
        Err(Refusal::Forbidden("the channel follows its project: change the project instead"))
    } else {
        Ok(())
    }
}

/// Checks giving `wanted` to a user who now has `current` (`None`: is not in the chat).
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
        return Err(Refusal::Forbidden("a direct chat has exactly two participants"));
    }
    if wanted == ChatRole::Reader && chat.kind != ChatKind::Channel {
        return Err(Refusal::invalid("role", "reader exists in channels only"));
    }
    if oneself && current.is_none() {
        return if wanted <= ChatRole::Member {
            Ok(())
        } else {
            Err(Refusal::Forbidden("users join as members"))
        };
    }
    let actor = member(chat, actor)?;
    if oneself && wanted <= actor {
        return Ok(());
    }
    if actor < ChatRole::Admin {
        return Err(Refusal::Forbidden("only owners and admins may add users or change roles"));
    }
    let highest = current.map_or(wanted, |current| current.max(wanted));
    if highest > actor || (highest == ChatRole::Owner && actor != ChatRole::Owner) {
        return Err(Refusal::Forbidden("you cannot give or take a role above your own"));
    }
    Ok(())
}

/// Checks removing a user with the role `current`.
pub fn remove(chat: &Chat, actor: Option<ChatRole>, oneself: bool, current: ChatRole) -> Result<(), Refusal> {
    let actor = member(chat, actor)?;
    if chat.kind == ChatKind::Direct {
        return Err(Refusal::Forbidden("a direct chat cannot be left"));
    }
    if oneself && is_orphaned(chat) {
        return Ok(());
    }
    follows_no_project(chat)?;
    if oneself || (actor >= ChatRole::Admin && actor >= current) {
        return Ok(());
    }
    Err(Refusal::Forbidden("only owners and admins may remove users, and none with a higher role"))
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
            avatar: None,
        }
    }

    #[test]
    fn public_project_channel_is_readable_but_not_joinable() {
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
    fn group_is_not_found_for_outsiders() {
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
    fn user_may_join_a_channel_but_not_as_its_owner() {
        assert!(set_role(&chat(Channel), None, true, None, Member).is_ok());
        assert!(set_role(&chat(Channel), None, true, None, Reader).is_ok());
        assert!(set_role(&chat(Channel), None, true, None, Owner).is_err());
    }

    #[test]
    fn user_cannot_raise_their_own_role() {
        assert!(set_role(&chat(Group), Some(Member), true, Some(Member), Admin).is_err());
        assert!(set_role(&chat(Group), Some(Admin), true, Some(Admin), Owner).is_err());
        assert!(set_role(&chat(Group), Some(Admin), true, Some(Admin), Member).is_ok());
    }

    #[test]
    fn admin_cannot_demote_or_remove_an_owner() {
        assert!(set_role(&chat(Group), Some(Admin), false, Some(Owner), Member).is_err());
        assert!(remove(&chat(Group), Some(Admin), false, Owner).is_err());
        assert!(remove(&chat(Group), Some(Admin), false, Member).is_ok());
        assert!(remove(&chat(Group), Some(Member), false, Member).is_err());
        assert!(remove(&chat(Group), Some(Member), true, Member).is_ok());
    }

    #[test]
    fn only_an_owner_deletes_a_chat() {
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
    fn readers_cannot_post_and_archived_chats_are_read_only() {
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
