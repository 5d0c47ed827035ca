//! Queries of avatars.

use diesel::prelude::*;

use super::Db;
use crate::domain::avatar::{Avatar, AvatarOf};
use crate::storage::rows::avatar::{AvatarRow, NewAvatarRow};
use crate::storage::schema::{avatars, chats, projects, users};

/// Returns the avatar of a user, a project or a chat.
pub fn avatar(db: &mut Db, of: AvatarOf) -> QueryResult<Option<Avatar>> {
    let all = avatars::table.select(AvatarRow::as_select());
    let row: Option<AvatarRow> = match of {
        AvatarOf::User(id) => all.filter(avatars::user_id.eq(id)).first(db),
        AvatarOf::Project(id) => all.filter(avatars::project_id.eq(id)).first(db),
        AvatarOf::Chat(id) => all.filter(avatars::chat_id.eq(id)).first(db),
    }
    .optional()?;
    Ok(row.map(Avatar::from))
}

/// Replaces the avatar, or removes it.
pub fn set_avatar(db: &mut Db, of: AvatarOf, avatar: Option<&Avatar>, now: i64) -> QueryResult<()> {
    let version = avatar.map(|avatar| avatar.version.as_str());
    match of {
        AvatarOf::User(id) => {
            diesel::delete(avatars::table.filter(avatars::user_id.eq(id))).execute(db)?;
            diesel::update(users::table.find(id)).set(users::avatar.eq(version)).execute(db)?;
        }
        AvatarOf::Project(id) => {
            diesel::delete(avatars::table.filter(avatars::project_id.eq(id))).execute(db)?;
            diesel::update(projects::table.find(id)).set(projects::avatar.eq(version)).execute(db)?;
        }
        AvatarOf::Chat(id) => {
            diesel::delete(avatars::table.filter(avatars::chat_id.eq(id))).execute(db)?;
            diesel::update(chats::table.find(id)).set(chats::avatar.eq(version)).execute(db)?;
        }
    }
    let Some(avatar) = avatar else { return Ok(()) };
    let row = NewAvatarRow::new(of, avatar, now);
    diesel::insert_into(avatars::table).values(&row).execute(db).map(drop)
}
