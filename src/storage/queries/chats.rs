//! Chats, their participants, and the events that are not messages.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::storage::queries::messages;
use crate::storage::rows::chat::{ChatEventRow, ChatRow, NewChatRow, ParticipantRow, own_ordinals};
use crate::storage::schema::{chat_events, chat_participants, chats};

pub use after_message::{set_cursors, set_head};
pub use former::{enter_again, insert_former, met_in_the_past};
pub use owners::{has_company, has_other_owner, heir};
pub use removal::{empty_since, is_empty_since, purge_some, set_deleted, set_purged, to_purge};
pub use retention::{
    Trims, clear_trim_event_due, set_again_above, set_retention, set_trim_event_due, set_trimmed, to_trim,
    trims,
};

mod after_message;
pub mod cursors_behind;
mod former;
mod owners;
mod removal;
mod retention;

type Db = SqliteConnection;

/// Returns a chat that is not deleted.
pub fn chat(db: &mut Db, id: ChatId) -> QueryResult<Option<Chat>> {
    let living = chats::table.find(id).filter(chats::deleted_at.is_null());
    let row = living.select(ChatRow::as_select()).first(db).optional()?;
    row.map(Chat::try_from).transpose()
}

pub fn all_chats(db: &mut Db) -> QueryResult<Vec<Chat>> {
    let living = chats::table.filter(chats::deleted_at.is_null());
    let rows = living.order(chats::id).select(ChatRow::as_select()).load(db)?;
    rows.into_iter().map(Chat::try_from).collect()
}

/// A chat in the operator's list, with the number of its participants.
pub struct ListedChat {
    pub chat: Chat,
    pub participants: i64,
}

/// Returns chats above an id.
pub fn chats_above(db: &mut Db, id: ChatId, limit: i64) -> QueryResult<Vec<ListedChat>> {
    let rows = chats::table.filter(chats::id.gt(id)).order(chats::id).limit(limit);
    let rows = rows.select(ChatRow::as_select()).load(db)?;
    let listed = |row: ChatRow| {
        let participants = participant_count(db, row.id)?;
        Ok(ListedChat { chat: Chat::try_from(row)?, participants })
    };
    rows.into_iter().map(listed).collect()
}

pub fn direct_chat(db: &mut Db, direct_key: &str) -> QueryResult<Option<ChatId>> {
    chats::table.filter(chats::direct_key.eq(direct_key)).select(chats::id).first(db).optional()
}

/// Returns the channel with this name (in lower case).
pub fn channel_named(db: &mut Db, channel_key: &str) -> QueryResult<Option<ChatId>> {
    chats::table.filter(chats::channel_key.eq(channel_key)).select(chats::id).first(db).optional()
}

pub fn insert_chat(db: &mut Db, row: &NewChatRow<'_>) -> QueryResult<Chat> {
    let row: ChatRow =
        diesel::insert_into(chats::table).values(row).returning(ChatRow::as_returning()).get_result(db)?;
    row.try_into()
}

/// Moves the head after an event that is not a message.
pub fn set_last_seq(db: &mut Db, id: ChatId, last_seq: i64) -> QueryResult<()> {
    diesel::update(chats::table.find(id)).set(chats::last_seq.eq(last_seq)).execute(db).map(drop)
}

pub fn set_name(db: &mut Db, id: ChatId, name: &str, channel_key: Option<&str>) -> QueryResult<()> {
    diesel::update(chats::table.find(id))
        .set((chats::name.eq(name), chats::channel_key.eq(channel_key)))
        .execute(db)
        .map(drop)
}

pub fn set_archived(db: &mut Db, id: ChatId, archived_at: Option<i64>) -> QueryResult<()> {
    diesel::update(chats::table.find(id)).set(chats::archived_at.eq(archived_at)).execute(db).map(drop)
}

pub fn participant(db: &mut Db, chat: ChatId, user: UserId) -> QueryResult<Option<Participant>> {
    let row = chat_participants::table
        .find((chat, user))
        .select(ParticipantRow::as_select())
        .first(db)
        .optional()?;
    row.map(Participant::try_from).transpose()
}

pub fn all_participants(db: &mut Db) -> QueryResult<Vec<ParticipantRow>> {
    chat_participants::table
        .inner_join(chats::table)
        .filter(chats::deleted_at.is_null())
        .select(ParticipantRow::as_select())
        .load(db)
}

pub fn participant_count(db: &mut Db, chat: ChatId) -> QueryResult<i64> {
    chat_participants::table.filter(chat_participants::chat_id.eq(chat)).count().get_result(db)
}

pub fn chat_count_of(db: &mut Db, user: UserId) -> QueryResult<i64> {
    chat_participants::table.filter(chat_participants::user_id.eq(user)).count().get_result(db)
}

/// Returns chats that `adder` put `user` into and that the user can leave: at most `limit`, by
/// ascending id. Channels of existing projects are included only if `with_projects`.
pub fn put_into_by(
    db: &mut Db,
    user: UserId,
    adder: UserId,
    with_projects: bool,
    limit: i64,
) -> QueryResult<Vec<Chat>> {
    let mut query = chat_participants::table
        .inner_join(chats::table)
        .filter(chat_participants::user_id.eq(user))
        .filter(chat_participants::added_by.eq(adder))
        .filter(chats::kind.ne("direct"))
        .filter(chats::deleted_at.is_null())
        .order(chat_participants::chat_id)
        .limit(limit)
        .select(ChatRow::as_select())
        .into_boxed();
    if !with_projects {
        query = query.filter(chats::project_id.is_null().or(chats::archived_at.is_not_null()));
    }
    query.load(db)?.into_iter().map(Chat::try_from).collect()
}

/// Maximum number of chats checked by [`are_acquainted`]: the newest chats of the person.
const ACQUAINTANCE_CHATS: i64 = 500;

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

/// Maximum number of common chats, and of newest messages in each, that are searched for a message
/// of the person.
const ANSWERED_CHATS: i64 = 20;
const ANSWERED_MESSAGES: i64 = 100;

/// Returns whether both users are in a chat that shows an acquaintance. It is a chat that not all
/// users can join, into which `adder` did not put `person`, or a chat in which `person` has written
/// recently.
pub fn are_acquainted(db: &mut Db, adder: UserId, person: UserId) -> QueryResult<bool> {
    Ok(share_a_chat(db, adder, person)? || has_written_to(db, adder, person)?)
}

/// Returns whether `person` has written in one of the newest chats into which `adder` put them.
fn has_written_to(db: &mut Db, adder: UserId, person: UserId) -> QueryResult<bool> {
    let found: Found = diesel::sql_query(
        "SELECT EXISTS (
             SELECT 1 FROM (
                 SELECT own.chat_id FROM chat_participants own
                 JOIN chat_participants other ON other.chat_id = own.chat_id AND other.user_id = ?
                 WHERE own.user_id = ? AND own.added_by = ?
                 ORDER BY own.chat_id DESC LIMIT ?
             ) common
             WHERE ? IN (
                 SELECT sender_id FROM messages WHERE messages.chat_id = common.chat_id
                 ORDER BY seq DESC LIMIT ?
             )
         ) AS found",
    )
    .bind::<BigInt, _>(adder)
    .bind::<BigInt, _>(person)
    .bind::<BigInt, _>(adder)
    .bind::<BigInt, _>(ANSWERED_CHATS)
    .bind::<BigInt, _>(person)
    .bind::<BigInt, _>(ANSWERED_MESSAGES)
    .get_result(db)?;
    Ok(found.found != 0)
}

fn share_a_chat(db: &mut Db, adder: UserId, person: UserId) -> QueryResult<bool> {
    let found: Found = diesel::sql_query(
        "SELECT EXISTS (
             SELECT 1 FROM (
                 SELECT chat_id FROM chat_participants
                 WHERE user_id = ? AND (added_by IS NULL OR added_by <> ?)
                 ORDER BY chat_id DESC LIMIT ?
             ) own
             JOIN chat_participants other ON other.chat_id = own.chat_id AND other.user_id = ?
             JOIN chats ON chats.id = own.chat_id
             WHERE chats.audience <> 'joinable'
         ) AS found",
    )
    .bind::<BigInt, _>(person)
    .bind::<BigInt, _>(adder)
    .bind::<BigInt, _>(ACQUAINTANCE_CHATS)
    .bind::<BigInt, _>(adder)
    .get_result(db)?;
    Ok(found.found != 0)
}

pub fn insert_participant(db: &mut Db, chat: ChatId, participant: &Participant) -> QueryResult<()> {
    let row = ParticipantRow {
        chat_id: chat,
        user_id: participant.user_id,
        role: participant.role.as_str().to_owned(),
        read_seq: participant.read_seq,
        read_ordinal: participant.read_ordinal,
        delivered_seq: participant.delivered_seq,
        notify: participant.notify.as_str().to_owned(),
        added_by: participant.added_by,
        own_ordinals: own_ordinals(&participant.own),
        hidden_ordinal: participant.hidden_ordinal,
    };
    diesel::insert_into(chat_participants::table).values(&row).execute(db).map(drop)
}

pub fn set_notify(db: &mut Db, chat: ChatId, user: UserId, level: &str) -> QueryResult<()> {
    diesel::update(chat_participants::table.find((chat, user)))
        .set(chat_participants::notify.eq(level))
        .execute(db)
        .map(drop)
}

pub fn delete_participant(db: &mut Db, chat: ChatId, user: UserId) -> QueryResult<()> {
    diesel::delete(chat_participants::table.find((chat, user))).execute(db).map(drop)
}

pub fn set_role(db: &mut Db, chat: ChatId, user: UserId, role: &str) -> QueryResult<()> {
    diesel::update(chat_participants::table.find((chat, user)))
        .set(chat_participants::role.eq(role))
        .execute(db)
        .map(drop)
}

/// Hides a chat for a user until a message has a larger ordinal; `None` shows it.
pub fn set_hidden(db: &mut Db, chat: ChatId, user: UserId, ordinal: Option<i64>) -> QueryResult<()> {
    diesel::update(chat_participants::table.find((chat, user)))
        .set(chat_participants::hidden_ordinal.eq(ordinal))
        .execute(db)
        .map(drop)
}

/// Returns the chats of a user above an id that have unread events: at most `limit`, by ascending
/// id.
pub fn unread_of(db: &mut Db, user: UserId, above: ChatId, limit: i64) -> QueryResult<Vec<Chat>> {
    let rows = chat_participants::table
        .inner_join(chats::table)
        .filter(chat_participants::user_id.eq(user))
        .filter(chat_participants::chat_id.gt(above))
        .filter(chat_participants::read_seq.lt(chats::last_seq))
        .filter(chats::deleted_at.is_null())
        .order(chat_participants::chat_id)
        .limit(limit)
        .select(ChatRow::as_select())
        .load(db)?;
    rows.into_iter().map(Chat::try_from).collect()
}

pub fn insert_event(db: &mut Db, event: &ChatEvent) -> QueryResult<()> {
    match ChatEventRow::of(event) {
        Some(row) => diesel::insert_into(chat_events::table).values(&row).execute(db).map(drop),
        None => Ok(()),
    }
}

/// Returns the user who last removed `user` from the chat, and the role that `user` had then.
pub fn last_leave(db: &mut Db, chat: ChatId, user: UserId) -> QueryResult<Option<(UserId, ChatRole)>> {
    let row = chat_events::table
        .filter(chat_events::chat_id.eq(chat))
        .filter(chat_events::user_id.eq(user))
        .filter(chat_events::kind.eq("leave"))
        .order(chat_events::seq.desc())
        .select(ChatEventRow::as_select())
        .first(db)
        .optional()?;
    match row.map(|row| row.into_event(None)).transpose()? {
        Some(ChatEvent { actor_id, change: Change::Leave { role, .. }, .. }) => Ok(Some((actor_id, role))),
        _ => Ok(None),
    }
}

/// Returns the events that are not messages with `after < seq < before`: the first `limit`, or the
/// last if `newest`.
pub fn events_between(
    db: &mut Db,
    chat: ChatId,
    after: i64,
    before: i64,
    limit: i64,
    newest: bool,
) -> QueryResult<Vec<ChatEvent>> {
    let range = chat_events::table
        .filter(chat_events::chat_id.eq(chat))
        .filter(chat_events::seq.gt(after))
        .filter(chat_events::seq.lt(before))
        .limit(limit)
        .select(ChatEventRow::as_select());
    let mut rows = if newest {
        range.order(chat_events::seq.desc()).load(db)?
    } else {
        range.order(chat_events::seq.asc()).load(db)?
    };
    if newest {
        rows.reverse();
    }
    let shown: Vec<MessageId> = rows.iter().filter_map(ChatEventRow::shows).collect();
    let shown: HashMap<_, _> = if shown.is_empty() {
        HashMap::new()
    } else {
        let found = messages::by_ids(db, &shown)?;
        found.into_iter().map(|message| (message.id, Arc::new(message))).collect()
    };
    let event = |row: ChatEventRow| {
        let message = row.shows().and_then(|id| shown.get(&id).cloned());
        row.into_event(message)
    };
    rows.into_iter().map(event).collect()
}
