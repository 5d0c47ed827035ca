//! Commands about chats and their participants.

use serde_json::json;

use super::adding::{Adder, check_reach};
use super::leaving::{LAST_OWNER, is_last_owner, leave_chat, take_out};
use super::notifications::{Addition, write_all};
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::{Audience, Chat, ChatKind, ChatRole, Participant};
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::notification::NotifyLevel;
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::domain::{chat, text};
use crate::storage::queries::chats;
use crate::storage::rows::chat::{NewChatRow, direct_key};

const NAME_TAKEN: Refusal =
    Refusal::Taken { field: "name", sentence: "a channel with this name exists; choose another name" };

/// A chat to create. Its creator is always a participant.
#[derive(Debug, Clone)]
pub enum NewChat {
    Direct { with: UserId },
    Group { name: String, participants: Vec<UserId> },
    Channel { name: String, participants: Vec<UserId> },
}

pub struct CreateChat {
    pub who: Credential,
    pub chat: NewChat,
}

impl Command for CreateChat {
    /// The chat, and whether it existed before (a direct chat exists once per pair of users).
    type Output = (ChatId, bool);

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<(ChatId, bool)> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let me = self.who.user;
        let (kind, name, people) = match &self.chat {
            NewChat::Direct { with } => (ChatKind::Direct, None, std::slice::from_ref(with)),
            NewChat::Group { name, participants } => {
                (ChatKind::Group, Some(name.as_str()), participants.as_slice())
            }
            NewChat::Channel { name, participants } => {
                (ChatKind::Channel, Some(name.as_str()), participants.as_slice())
            }
        };
        let direct_key = match &self.chat {
            NewChat::Direct { with } => Some(direct_key(me, *with)),
            _ => None,
        };
        let channel_key = channel_key(kind, name);
        if let Some(key) = &direct_key
            && let Some(existing) = chats::direct_chat(tx.reader(), key)?
        {
            return Ok((existing, true));
        }
        let others: Vec<UserId> = people.iter().copied().filter(|user| *user != me).collect();
        check_reach(tx, self.who, &others)?;
        if let Some(key) = &channel_key
            && channel_with(tx, key)?.is_some()
        {
            return Err(NAME_TAKEN.into());
        }
        check_room_for(tx, me)?;
        let adder = Adder::load(tx, self.who)?;
        adder.count(tx, &others, false)?;
        let row = NewChatRow {
            kind: kind.as_str(),
            name,
            direct_key: direct_key.as_deref(),
            channel_key: channel_key.as_deref(),
            audience: Audience::of(kind).as_str(),
            created_at: tx.now.0,
        };
        let chat = chats::insert_chat(tx.write(), &row)?;
        let id = chat.id;
        tx.announce(Event::ChatCreated { chat: chat.into() });
        let creator = if kind == ChatKind::Direct { ChatRole::Member } else { ChatRole::Owner };
        join_new(tx, id, (me, creator), &others, &adder.addition(name))?;
        Ok((id, false))
    }
}

/// Adds the creator and other members to a new chat, and notifies these members.
fn join_new(
    tx: &mut Tx<'_>,
    chat: ChatId,
    (creator, role): (UserId, ChatRole),
    others: &[UserId],
    addition: &Addition,
) -> Execution<()> {
    let (mut participants, mut joins, mut last_seq) = (Vec::new(), Vec::new(), 0);
    let members = others.iter().map(|user| (*user, ChatRole::Member));
    for (user_id, role) in std::iter::once((creator, role)).chain(members) {
        joins.push(tx.next_event(chat, &mut last_seq, creator, Change::Join { user_id, role }));
        participants.push(Participant::joining(user_id, creator, role, last_seq, 0));
    }
    chats::insert_participants(tx.write(), chat, &participants)?;
    tx.store_events(&joins)?;
    let joined = joins.iter().zip(&participants);
    let rows = joined.filter_map(|(join, person)| addition.row((chat, join.seq), person.user_id, tx.now));
    let rows: Vec<_> = rows.collect();
    let mut written = write_all(tx, &rows)?;
    for (join, person) in joins.into_iter().zip(&participants) {
        tx.announce(Event::Chat(join.into()));
        written.announce(tx, person.user_id);
    }
    Ok(())
}

/// Renames, archives or reopens a chat. `None` leaves a field as it is.
pub struct UpdateChat {
    pub who: Credential,
    pub chat: ChatId,
    pub name: Option<String>,
    pub archived: Option<bool>,
}

impl Command for UpdateChat {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let (chat, role) = load(tx, self.chat, self.who.user)?;
        permission::manage(&chat, role)?;
        let name = self.name.as_ref().filter(|name| chat.name.as_ref() != Some(name));
        let archived = self.archived.filter(|archived| chat.archived != *archived);
        let key = name.and_then(|name| channel_key(chat.kind, Some(name)));
        if let Some(key) = &key
            && channel_with(tx, key)?.is_some_and(|other| other != chat.id)
        {
            return Err(NAME_TAKEN.into());
        }
        let mut last_seq = chat.last_seq;
        if let Some(name) = name {
            chats::set_name(tx.write(), chat.id, name, key.as_deref())?;
            tx.audit(self.who, "chat.rename", ("chat", chat.id.0), &json!({"name": name}))?;
            tx.append_event(chat.id, &mut last_seq, self.who.user, Change::Rename { name: name.clone() })?;
        }
        if let Some(archived) = archived {
            let at = archived.then_some(tx.now.0);
            chats::set_archived(tx.write(), chat.id, at)?;
            tx.audit(self.who, "chat.archive", ("chat", chat.id.0), &json!({"archived": archived}))?;
            tx.append_event(chat.id, &mut last_seq, self.who.user, Change::Archive { archived })?;
        }
        Ok(())
    }
}

/// Adds a participant, lets the caller join, or changes a role.
pub struct SetParticipant {
    pub who: Credential,
    pub chat: ChatId,
    pub user: UserId,
    /// `None`: `Member` for a new participant, else the current role.
    pub role: Option<ChatRole>,
}

impl Command for SetParticipant {
    /// Whether the user was already in the chat.
    type Output = bool;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<bool> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let me = self.who.user;
        let current = chats::participant(tx.reader(), self.chat, self.user)?;
        if me != self.user && current.is_none() {
            check_reach(tx, self.who, &[self.user])?;
        }
        let (chat, role) = load(tx, self.chat, me)?;
        let wanted = self.role.or(current.as_ref().map(|p| p.role)).unwrap_or(ChatRole::Member);
        permission::set_role(&chat, role, me == self.user, current.as_ref().map(|p| p.role), wanted)?;
        let mut last_seq = chat.last_seq;
        let Some(current) = current else {
            if me == self.user {
                check_room_for(tx, me)?;
                check_return(tx, &chat, me, wanted)?;
            }
            let count = chats::participant_count(tx.reader(), chat.id)?;
            if usize::try_from(count).unwrap_or(usize::MAX) >= tx.limits.participants_per_chat {
                return Err(Refusal::Conflict("the chat is full").into());
            }
            let adder = if me == self.user { None } else { Some(Adder::load(tx, self.who)?) };
            if let Some(adder) = &adder {
                adder.count(tx, &[self.user], false)?;
            }
            join(tx, chat.id, (&mut last_seq, chat.last_ordinal), me, self.user, wanted)?;
            if let Some(adder) = adder {
                adder.addition(chat.name.as_deref()).notify(tx, (chat.id, last_seq), self.user)?;
            }
            return Ok(false);
        };
        if current.role == wanted {
            return Ok(true);
        }
        if is_last_owner(tx, &chat, &current)? {
            return Err(LAST_OWNER.into());
        }
        chats::set_role(tx.write(), chat.id, self.user, wanted.as_str())?;
        let detail = json!({"user_id": self.user, "role": wanted});
        tx.audit(self.who, "chat.role", ("chat", chat.id.0), &detail)?;
        tx.append_event(chat.id, &mut last_seq, me, Change::Role { user_id: self.user, role: wanted })?;
        Ok(true)
    }
}

/// Removes a participant, or lets the caller leave.
pub struct RemoveParticipant {
    pub who: Credential,
    pub chat: ChatId,
    pub user: UserId,
}

impl Command for RemoveParticipant {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let me = self.who.user;
        let (chat, own) = load_with_participant(tx, self.chat, me)?;
        let role = own.as_ref().map(|own| own.role);
        permission::read(&chat, role)?;
        let current = match own.filter(|own| own.user_id == self.user) {
            Some(own) => Some(own),
            None => chats::participant(tx.reader(), chat.id, self.user)?,
        };
        let current = current.ok_or(Refusal::NotFound("participant"))?;
        permission::remove(&chat, role, me == self.user, current.role)?;
        if me == self.user {
            return leave_chat(tx, chat, current);
        }
        if is_last_owner(tx, &chat, &current)? {
            return Err(LAST_OWNER.into());
        }
        tx.audit(self.who, "chat.remove", ("chat", chat.id.0), &json!({"user_id": self.user}))?;
        let mut last_seq = chat.last_seq;
        take_out(tx, &chat, &mut last_seq, me, &current)
    }
}

/// Sets which messages of a chat notify the caller.
pub struct SetNotifyLevel {
    pub who: Credential,
    pub chat: ChatId,
    pub level: NotifyLevel,
}

impl Command for SetNotifyLevel {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let user_id = self.who.user;
        let (chat, me) = load_with_participant(tx, self.chat, user_id)?;
        permission::read(&chat, me.as_ref().map(|me| me.role))?;
        let me = me.ok_or(Refusal::NotFound("chat"))?;
        if me.notify != self.level {
            chats::set_notify(tx.write(), chat.id, user_id, self.level.as_str())?;
            tx.announce(Event::NotifyLevelSet { chat_id: chat.id, user_id, level: self.level });
        }
        Ok(())
    }
}

/// Returns the chat and the role of `user` in it.
///
/// # Errors
/// [`Refusal::NotFound`] if the chat does not exist.
pub(super) fn load(tx: &mut Tx<'_>, chat: ChatId, user: UserId) -> Execution<(Chat, Option<ChatRole>)> {
    let (found, participant) = load_with_participant(tx, chat, user)?;
    Ok((found, participant.map(|p| p.role)))
}

/// Returns the chat, and `user` if they are in it.
///
/// # Errors
/// [`Refusal::NotFound`] if the chat does not exist.
pub(super) fn load_with_participant(
    tx: &mut Tx<'_>,
    chat: ChatId,
    user: UserId,
) -> Execution<(Chat, Option<Participant>)> {
    Ok(chats::chat_and_participant(tx.reader(), chat, user)?.ok_or(Refusal::NotFound("chat"))?)
}

pub(super) fn join(
    tx: &mut Tx<'_>,
    chat: ChatId,
    (last_seq, last_ordinal): (&mut Seq, i64),
    actor: UserId,
    user: UserId,
    role: ChatRole,
) -> Execution<()> {
    let mut participant = Participant::joining(user, actor, role, *last_seq + 1, last_ordinal);
    let before = participant.notify;
    if *last_seq > 0 {
        participant.notify = chats::enter_again(tx.write(), chat, user)?.unwrap_or(before);
    }
    chats::insert_participants(tx.write(), chat, std::slice::from_ref(&participant))?;
    tx.append_event(chat, last_seq, actor, Change::Join { user_id: user, role })?;
    if participant.notify != before {
        // The notification level survives a leave and a return.
        tx.announce(Event::NotifyLevelSet { chat_id: chat, user_id: user, level: participant.notify });
    }
    Ok(())
}

/// Lists a user who acts in a chat without being in it as a former participant. Events of the chat
/// name this user, so its readers must be able to read the name.
pub(super) fn keep_name(tx: &mut Tx<'_>, chat: ChatId, actor: UserId) -> Execution<()> {
    if chats::participant(tx.reader(), chat, actor)?.is_none() {
        chats::insert_former(tx.write(), chat, actor, NotifyLevel::All)?;
    }
    Ok(())
}

pub(super) fn check_room_for(tx: &mut Tx<'_>, user: UserId) -> Execution<()> {
    let count = chats::chat_count_of(tx.reader(), user)?;
    if usize::try_from(count).unwrap_or(usize::MAX) >= tx.limits.chats_per_user {
        return Err(Refusal::Conflict("you are in too many chats; leave a chat first").into());
    }
    Ok(())
}

/// Checks a user who joins a chat again: the role is at most the former one, and a removed user
/// cannot join.
fn check_return(tx: &mut Tx<'_>, chat: &Chat, me: UserId, wanted: ChatRole) -> Execution<()> {
    if chat.archived {
        return Err(Refusal::Forbidden("the chat is archived").into());
    }
    match chats::last_leave(tx.reader(), chat.id, me)? {
        Some((actor, _)) if actor != me => {
            Err(Refusal::Forbidden("you were removed; an owner or admin must add you again").into())
        }
        Some((_, ChatRole::Reader)) if wanted > ChatRole::Reader => {
            Err(Refusal::Forbidden("you were a reader; join with the role reader").into())
        }
        _ => Ok(()),
    }
}

/// Returns the key of a channel: channels are found by name, ignoring case.
fn channel_key(kind: ChatKind, name: Option<&str>) -> Option<String> {
    (kind == ChatKind::Channel).then(|| chat::channel_key(name.unwrap_or_default()))
}

/// Returns the channel with this key, or with its decomposed form, which earlier versions stored.
fn channel_with(tx: &mut Tx<'_>, key: &str) -> Execution<Option<ChatId>> {
    let forms: Vec<_> = [Some(key.to_owned()), text::other_form(key)].into_iter().flatten().collect();
    Ok(chats::channel_named(tx.reader(), &forms)?)
}
