//! Rows of `avatars`.

use diesel::prelude::*;

use crate::domain::avatar::{Avatar, AvatarOf};
use crate::domain::ids::{ChatId, ProjectId, UserId};
use crate::storage::schema::avatars;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = avatars)]
pub struct AvatarRow {
    pub version: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl From<AvatarRow> for Avatar {
    fn from(row: AvatarRow) -> Self {
        Self { version: row.version, media_type: row.media_type, bytes: row.bytes }
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = avatars)]
pub struct NewAvatarRow<'a> {
    pub user_id: Option<UserId>,
    pub project_id: Option<ProjectId>,
    pub chat_id: Option<ChatId>,
    pub version: &'a str,
    pub media_type: &'a str,
    pub bytes: &'a [u8],
    pub created_at: i64,
}

impl<'a> NewAvatarRow<'a> {
    pub fn new(of: AvatarOf, avatar: &'a Avatar, created_at: i64) -> Self {
        let (mut user_id, mut project_id, mut chat_id) = (None, None, None);
        match of {
            AvatarOf::User(id) => user_id = Some(id),
            AvatarOf::Project(id) => project_id = Some(id),
            AvatarOf::Chat(id) => chat_id = Some(id),
        }
        let Avatar { version, media_type, bytes } = avatar;
        Self { user_id, project_id, chat_id, version, media_type, bytes, created_at }
    }
}
