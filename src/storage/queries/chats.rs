//! Chats, their participants, and the events that are not messages.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};

use super::given::given;
use super::messages;
use super::{Backend, Db};
use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, MessageId, PushId, Seq, UserId};
use crate::storage::rows::chat::ListedChat;
use crate::storage::rows::chat::{ChatEventRow, ChatRow, NewChatRow, ParticipantRow, own_ordinals};
use crate::storage::schema::{chat_events, chat_participants, chats};

pub use acquaintance::acquainted_among;
pub use after_message::{set_all_cursors, set_cursors, set_head};
pub use former::{enter_again, insert_former, met_in_the_past, move_to_former};
pub use owners::{company_of, has_other_owner, set_owners};
pub use removal::{empty_since, is_empty_since, purge_some, set_deleted, set_purged, to_purge};
pub use retention::{
    chat_to_trim, clear_trim_event_due, set_again_above, set_checked_again, set_retention, set_trimmed,
    to_trim,
};

mod acquaintance;
mod after_message;
pub mod cursors_behind;
mod former;
mod owners;
mod removal;
mod retention;

/// Returns a chat that is not deleted.
pub fn chat(db: &mut Db, id: ChatId) -> QueryResult<Option<Chat>> {
    let living = chats::table.find(id).filter(chats::deleted_at.is_null());
    let row = living.select(ChatRow::as_select()).first(db).optional()?;
    row.map(Chat::try_from).transpose()
}

/// Returns those of the chats that are not deleted.
pub fn chats_with(db: &mut Db, ids: &[ChatId]) -> QueryResult<HashMap<ChatId, Chat>> {
    let living = chats::table.filter(chats::id.eq_any(ids)).filter(chats::deleted_at.is_null());
    let rows = living.select(ChatRow::as_select()).load(db)?;
    rows.into_iter().map(|row| Chat::try_from(row).map(|chat| (chat.id, chat))).collect()
}

pub fn all_chats(db: &mut Db) -> QueryResult<Vec<Chat>> {
    let living = chats::table.filter(chats::deleted_at.is_null());
    let rows = living.order(chats::id).select(ChatRow::as_select()).load(db)?;
    rows.into_iter().map(Chat::try_from).collect()
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

/// Returns the channel with the first of these names (in lower case) that is in use.
pub fn channel_named(db: &mut Db, channel_keys: &[String]) -> QueryResult<Option<ChatId>> {
    let found: Vec<(Option<String>, ChatId)> = chats::table
        .filter(chats::channel_key.eq_any(channel_keys))
        .select((chats::channel_key, chats::id))
        .load(db)?;
    let named = |name: &String| found.iter().find(|(key, _)| key.as_ref() == Some(name));
    Ok(channel_keys.iter().find_map(named).map(|(_, id)| *id))
}

pub fn insert_chat(db: &mut Db, row: &NewChatRow<'_>) -> QueryResult<Chat> {
    let row: ChatRow =
        diesel::insert_into(chats::table).values(row).returning(ChatRow::as_returning()).get_result(db)?;
    row.try_into()
}

/// Moves heads after events that are not messages.
pub fn set_last_seqs(db: &mut Db, heads: &[(ChatId, Seq)]) -> QueryResult<()> {
    if let [(id, last_seq)] = *heads {
        return diesel::update(chats::table.find(id)).set(chats::last_seq.eq(last_seq)).execute(db).map(drop);
    }
    given(
        "chat_id, last_seq",
        heads.iter().map(|(chat, seq)| [chat.0, *seq]),
        "UPDATE chats SET last_seq = given.last_seq FROM given WHERE chats.id = given.chat_id",
    )
    .execute(db)
    .map(drop)
}

pub fn set_name(db: &mut Db, id: ChatId, name: &str, channel_key: Option<&str>) -> QueryResult<()> {
    diesel::update(chats::table.find(id))
        .set((chats::name.eq(name), chats::channel_key.eq(channel_key)))
        .execute(db)
        .map(drop)
}

/// Sets the names of chats that are not found by name.
pub fn set_names(db: &mut Db, names: &[(ChatId, String)]) -> QueryResult<()> {
    SetNames { names }.execute(db).map(drop)
}

struct SetNames<'a> {
    names: &'a [(ChatId, String)],
}

impl QueryId for SetNames<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Backend> for SetNames<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("WITH given (chat_id, name) AS (VALUES ");
        for (n, (chat, name)) in self.names.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            out.push_bind_param::<BigInt, _>(chat)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(name)?;
            out.push_sql(")");
        }
        out.push_sql(
            ") UPDATE chats SET name = given.name, channel_key = NULL FROM given WHERE chats.id = given.chat_id",
        );
        Ok(())
    }
}

impl RunQueryDsl<Db> for SetNames<'_> {}

pub fn set_archived(db: &mut Db, id: ChatId, archived_at: Option<i64>) -> QueryResult<()> {
    diesel::update(chats::table.find(id)).set(chats::archived_at.eq(archived_at)).execute(db).map(drop)
}

pub fn set_all_archived(db: &mut Db, ids: &[ChatId], archived_at: i64) -> QueryResult<()> {
    let archived = diesel::update(chats::table.filter(chats::id.eq_any(ids)));
    archived.set(chats::archived_at.eq(archived_at)).execute(db).map(drop)
}

pub fn participant(db: &mut Db, chat: ChatId, user: UserId) -> QueryResult<Option<Participant>> {
    let row = chat_participants::table
        .find((chat, user))
        .select(ParticipantRow::as_select())
        .first(db)
        .optional()?;
    row.map(Participant::try_from).transpose()
}

/// Returns a chat that is not deleted, with a user who may be in it.
pub fn chat_and_participant(
    db: &mut Db,
    id: ChatId,
    user: UserId,
) -> QueryResult<Option<(Chat, Option<Participant>)>> {
    let in_it = chat_participants::chat_id.eq(chats::id).and(chat_participants::user_id.eq(user));
    let found: Option<(ChatRow, Option<ParticipantRow>)> = chats::table
        .left_join(chat_participants::table.on(in_it))
        .filter(chats::id.eq(id))
        .filter(chats::deleted_at.is_null())
        .select((ChatRow::as_select(), Option::<ParticipantRow>::as_select()))
        .first(db)
        .optional()?;
    let Some((chat, participant)) = found else { return Ok(None) };
    Ok(Some((chat.try_into()?, participant.map(Participant::try_from).transpose()?)))
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
) -> QueryResult<Vec<(Chat, Participant)>> {
    let mut query = chat_participants::table
        .inner_join(chats::table)
        .filter(chat_participants::user_id.eq(user))
        .filter(chat_participants::added_by.eq(adder))
        .filter(chats::kind.ne("direct"))
        .filter(chats::deleted_at.is_null())
        .order(chat_participants::chat_id)
        .limit(limit)
        .select((ChatRow::as_select(), ParticipantRow::as_select()))
        .into_boxed();
    if !with_projects {
        query = query.filter(chats::project_id.is_null().or(chats::archived_at.is_not_null()));
    }
    let rows: Vec<(ChatRow, ParticipantRow)> = query.load(db)?;
    rows.into_iter().map(chat_of_participant).collect()
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

pub fn insert_participants(db: &mut Db, chat: ChatId, participants: &[Participant]) -> QueryResult<()> {
    let row = |participant: &Participant| ParticipantRow {
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
    let rows: Vec<_> = participants.iter().map(row).collect();
    diesel::insert_into(chat_participants::table).values(&rows).execute(db).map(drop)
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
pub fn unread_of(
    db: &mut Db,
    user: UserId,
    above: ChatId,
    limit: i64,
) -> QueryResult<Vec<(Chat, Participant)>> {
    let rows: Vec<(ChatRow, ParticipantRow)> = chat_participants::table
        .inner_join(chats::table)
        .filter(chat_participants::user_id.eq(user))
        .filter(chat_participants::chat_id.gt(above))
        .filter(chat_participants::read_seq.lt(chats::last_seq))
        .filter(chats::deleted_at.is_null())
        .order(chat_participants::chat_id)
        .limit(limit)
        .select((ChatRow::as_select(), ParticipantRow::as_select()))
        .load(db)?;
    rows.into_iter().map(chat_of_participant).collect()
}

/// Returns those of the chats that are not deleted and that the user is in.
pub fn chats_of(
    db: &mut Db,
    user: UserId,
    ids: &[ChatId],
) -> QueryResult<HashMap<ChatId, (Chat, Participant)>> {
    if let [id] = *ids {
        // This statement is prepared once.
        let found = chat_and_participant(db, id, user)?;
        let found = found.and_then(|(chat, me)| me.map(|me| (id, (chat, me))));
        return Ok(found.into_iter().collect());
    }
    let rows: Vec<(ChatRow, ParticipantRow)> = chat_participants::table
        .inner_join(chats::table)
        .filter(chat_participants::user_id.eq(user))
        .filter(chat_participants::chat_id.eq_any(ids))
        .filter(chats::deleted_at.is_null())
        .select((ChatRow::as_select(), ParticipantRow::as_select()))
        .load(db)?;
    rows.into_iter().map(|row| chat_of_participant(row).map(|(chat, me)| (chat.id, (chat, me)))).collect()
}

fn chat_of_participant((chat, participant): (ChatRow, ParticipantRow)) -> QueryResult<(Chat, Participant)> {
    Ok((chat.try_into()?, participant.try_into()?))
}

/// Inserts events that are not messages.
pub fn insert_events(db: &mut Db, events: &[ChatEvent]) -> QueryResult<()> {
    let rows: Vec<_> = events.iter().filter_map(ChatEventRow::of).collect();
    match rows.as_slice() {
        [] => Ok(()),
        // This statement is prepared once.
        [row] => diesel::insert_into(chat_events::table).values(row).execute(db).map(drop),
        rows => diesel::insert_into(chat_events::table).values(rows).execute(db).map(drop),
    }
}

/// Inserts the event of a push. The database accepts one event per push.
pub fn insert_event_of_push(db: &mut Db, event: &ChatEvent, push: PushId) -> QueryResult<()> {
    let row = ChatEventRow::of(event).map(|row| ChatEventRow { push_id: Some(push), ..row });
    match row {
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
