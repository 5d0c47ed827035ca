//! Rows of `notifications`.

use diesel::prelude::*;

use super::chat::unreadable;
use crate::domain::ids::{ChatId, MessageId, NotificationId, UserId};
use crate::domain::notification::{Notification, NotificationKind, PushReason};
use crate::domain::timestamp::Timestamp;
use crate::storage::schema::notifications;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = notifications)]
pub struct NotificationRow {
    pub id: NotificationId,
    pub user_id: UserId,
    pub kind: String,
    pub chat_id: Option<ChatId>,
    pub message_id: Option<MessageId>,
    pub actor_id: Option<UserId>,
    pub text: String,
    pub created_at: i64,
    pub read_at: Option<i64>,
    pub seq: Option<i64>,
    pub repository: Option<String>,
    pub reason: Option<String>,
}

impl TryFrom<NotificationRow> for Notification {
    type Error = diesel::result::Error;

    fn try_from(row: NotificationRow) -> QueryResult<Self> {
        let reason = |name: &String| {
            PushReason::from_name(name).ok_or_else(|| unreadable("notifications.reason", name))
        };
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            kind: NotificationKind::from_name(&row.kind)
                .ok_or_else(|| unreadable("notifications.kind", &row.kind))?,
            chat_id: row.chat_id,
            message_id: row.message_id,
            actor_id: row.actor_id,
            text: row.text,
            created_at: Timestamp(row.created_at),
            read_at: row.read_at.map(Timestamp),
            seq: row.seq,
            reason: row.reason.as_ref().map(reason).transpose()?,
            repository: row.repository,
        })
    }
}

/// `None` is written as NULL, so that one statement inserts many rows.
#[derive(Debug, Insertable)]
#[diesel(table_name = notifications)]
#[diesel(treat_none_as_default_value = false)]
pub struct NewNotificationRow<'a> {
    pub user_id: UserId,
    pub kind: &'a str,
    pub chat_id: Option<ChatId>,
    pub message_id: Option<MessageId>,
    pub actor_id: Option<UserId>,
    pub text: &'a str,
    pub created_at: i64,
    pub read_at: Option<i64>,
    pub seq: Option<i64>,
    pub repository: Option<&'a str>,
    pub reason: Option<&'a str>,
}
