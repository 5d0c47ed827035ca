//! Former participants: users in the events of a chat who are not in it now.

use diesel::dsl::exists;
use diesel::prelude::*;

use super::super::Db;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::notification::NotifyLevel;
use crate::storage::rows::chat::notify_level;
use crate::storage::schema::{chat_former_participants, chat_participants, chats};

/// Inserts a user who left, with the user's notification level. An existing row keeps its level.
pub fn insert_former(db: &mut Db, chat: ChatId, user: UserId, notify: NotifyLevel) -> QueryResult<()> {
    diesel::insert_into(chat_former_participants::table)
        .values((
            chat_former_participants::user_id.eq(user),
            chat_former_participants::chat_id.eq(chat),
            chat_former_participants::notify.eq(notify.as_str()),
        ))
        .on_conflict_do_nothing()
        .execute(db)
        .map(drop)
}

/// Removes a user from chats and inserts the user as a former participant, with the user's
/// notification level in each. An existing row keeps its level.
pub fn move_to_former(db: &mut Db, user: UserId, left: &[(ChatId, NotifyLevel)]) -> QueryResult<()> {
    let chats = left.iter().map(|(chat, _)| *chat);
    let participants = chat_participants::table
        .filter(chat_participants::user_id.eq(user))
        .filter(chat_participants::chat_id.eq_any(chats));
    diesel::delete(participants).execute(db)?;
    let row = |(chat, notify): &(ChatId, NotifyLevel)| {
        (
            chat_former_participants::user_id.eq(user),
            chat_former_participants::chat_id.eq(*chat),
            chat_former_participants::notify.eq(notify.as_str()),
        )
    };
    let rows: Vec<_> = left.iter().map(row).collect();
    let insert = diesel::insert_into(chat_former_participants::table).values(&rows);
    insert.on_conflict_do_nothing().execute(db).map(drop)
}

/// Deletes the row of a user who returns. Returns the user's notification level if the user was in
/// the chat before.
pub fn enter_again(db: &mut Db, chat: ChatId, user: UserId) -> QueryResult<Option<NotifyLevel>> {
    let level: Option<String> = diesel::delete(chat_former_participants::table.find((user, chat)))
        .returning(chat_former_participants::notify)
        .get_result(db)
        .optional()?;
    level.as_deref().map(notify_level).transpose()
}

/// Returns those of `users` who were in a chat that `reader` can read now, or acted there. `users`
/// holds the ids of a single request.
pub fn met_in_the_past(db: &mut Db, reader: UserId, users: &[UserId]) -> QueryResult<Vec<UserId>> {
    let own = chat_participants::table
        .filter(chat_participants::chat_id.eq(chat_former_participants::chat_id))
        .filter(chat_participants::user_id.eq(reader));
    chat_former_participants::table
        .inner_join(chats::table)
        .filter(chat_former_participants::user_id.eq_any(users))
        .filter(chats::deleted_at.is_null())
        .filter(chats::audience.eq("public").or(exists(own)))
        .select(chat_former_participants::user_id)
        .distinct()
        .load(db)
}
