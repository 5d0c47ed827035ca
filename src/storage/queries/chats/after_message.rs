//! The updates that every message makes: the chat's head and its sender's cursors.
//!
//! diesel prepares the statement of an `update` each time. These two are prepared once: before,
//! they took an eighth of the server's time when messages came over HTTP.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};

use super::super::{Backend, Db};
use crate::domain::chat::Participant;
use crate::domain::ids::{ChatId, UserId};
use crate::storage::rows::chat::{ChatHead, own_ordinals};

#[derive(QueryId)]
struct SetHead(ChatHead);

impl QueryFragment<Backend> for SetHead {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("UPDATE chats SET last_seq = ");
        out.push_bind_param::<BigInt, _>(&self.0.last_seq)?;
        out.push_sql(", last_ordinal = ");
        out.push_bind_param::<BigInt, _>(&self.0.last_ordinal)?;
        out.push_sql(", last_message_id = ");
        out.push_bind_param::<BigInt, _>(&self.0.last_message_id)?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<BigInt, _>(&self.0.id)
    }
}

impl RunQueryDsl<Db> for SetHead {}

/// Moves the head after a message.
pub fn set_head(db: &mut Db, head: &ChatHead) -> QueryResult<()> {
    SetHead(*head).execute(db).map(drop)
}

#[derive(QueryId)]
struct SetCursors {
    read_seq: i64,
    read_ordinal: i64,
    delivered_seq: i64,
    own_ordinals: Option<String>,
    chat: ChatId,
    user: UserId,
}

impl QueryFragment<Backend> for SetCursors {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("UPDATE chat_participants SET read_seq = ");
        out.push_bind_param::<BigInt, _>(&self.read_seq)?;
        out.push_sql(", read_ordinal = ");
        out.push_bind_param::<BigInt, _>(&self.read_ordinal)?;
        out.push_sql(", delivered_seq = ");
        out.push_bind_param::<BigInt, _>(&self.delivered_seq)?;
        out.push_sql(", own_ordinals = ");
        out.push_bind_param::<Nullable<Text>, _>(&self.own_ordinals)?;
        out.push_sql(" WHERE chat_id = ");
        out.push_bind_param::<BigInt, _>(&self.chat)?;
        out.push_sql(" AND user_id = ");
        out.push_bind_param::<BigInt, _>(&self.user)
    }
}

impl RunQueryDsl<Db> for SetCursors {}

/// Stores the cursors of a participant, and the participant's own messages above the read cursor.
pub fn set_cursors(db: &mut Db, chat: ChatId, participant: &Participant) -> QueryResult<()> {
    let update = SetCursors {
        read_seq: participant.read_seq,
        read_ordinal: participant.read_ordinal,
        delivered_seq: participant.delivered_seq,
        own_ordinals: own_ordinals(&participant.own),
        chat,
        user: participant.user_id,
    };
    update.execute(db).map(drop)
}

/// Stores the cursors of many participants, like [`set_cursors`].
pub fn set_all_cursors(db: &mut Db, moved: &[(ChatId, Participant)]) -> QueryResult<()> {
    match moved {
        [] => Ok(()),
        [(chat, participant)] => set_cursors(db, *chat, participant),
        _ => {
            let own = moved.iter().map(|(_, participant)| own_ordinals(&participant.own)).collect();
            SetAllCursors { moved, own }.execute(db).map(drop)
        }
    }
}

struct SetAllCursors<'a> {
    moved: &'a [(ChatId, Participant)],
    own: Vec<Option<String>>,
}

impl QueryId for SetAllCursors<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Backend> for SetAllCursors<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql(
            "WITH given (chat_id, user_id, read_seq, read_ordinal, delivered_seq, own_ordinals) AS (VALUES ",
        );
        for (n, ((chat, person), own)) in self.moved.iter().zip(&self.own).enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            let numbers =
                [&chat.0, &person.user_id.0, &person.read_seq, &person.read_ordinal, &person.delivered_seq];
            for number in numbers {
                out.push_bind_param::<BigInt, _>(number)?;
                out.push_sql(", ");
            }
            out.push_bind_param::<Nullable<Text>, _>(own)?;
            out.push_sql(")");
        }
        out.push_sql(
            ") UPDATE chat_participants SET read_seq = given.read_seq, read_ordinal = given.read_ordinal,
                 delivered_seq = given.delivered_seq, own_ordinals = given.own_ordinals
             FROM given
             WHERE chat_participants.chat_id = given.chat_id AND chat_participants.user_id = given.user_id",
        );
        Ok(())
    }
}

impl RunQueryDsl<Db> for SetAllCursors<'_> {}

#[cfg(test)]
mod tests {
    use diesel::debug_query;
    use diesel::query_builder::QueryFragment;

    use super::*;
    use crate::domain::ids::MessageId;

    fn is_prepared_once<T: QueryFragment<Backend> + QueryId>(query: &T) -> bool {
        T::HAS_STATIC_QUERY_ID && query.is_safe_to_cache_prepared(&Backend::default()).unwrap_or(false)
    }

    #[test]
    fn updates_of_every_message_are_prepared_once() {
        let head = ChatHead { id: ChatId(4), last_seq: 1, last_ordinal: 2, last_message_id: MessageId(3) };
        let head = SetHead(head);
        assert!(is_prepared_once(&head), "{}", debug_query::<Backend, _>(&head));
        let cursors = SetCursors {
            read_seq: 1,
            read_ordinal: 2,
            delivered_seq: 3,
            own_ordinals: None,
            chat: ChatId(4),
            user: UserId(5),
        };
        assert!(is_prepared_once(&cursors), "{}", debug_query::<Backend, _>(&cursors));
    }
}
