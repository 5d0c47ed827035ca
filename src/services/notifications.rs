//! Notifications: reading them, and marking them as read.

use std::sync::Arc;

use super::{ServiceError, Services};
use crate::actors::cache::NotificationList;
use crate::actors::writer::commands::MarkNotificationsRead;
use crate::core::actor::Who;
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::ids::NotificationId;
use crate::domain::notification::Notification;
use crate::storage::queries::notifications;

impl Services {
    /// One's notifications below `before`, the newest first; and whether there are more.
    pub async fn notifications(
        &self,
        who: Credential,
        before: Option<NotificationId>,
        unread: bool,
        limit: usize,
    ) -> Result<(Vec<Arc<Notification>>, bool), ServiceError> {
        let one_more = limit + 1;
        let found = self.cache.ask(who, NotificationList { before, unread, limit: one_more }).await?;
        let mut list = match found {
            Some(list) => list,
            None => {
                let below = before.map_or(i64::MAX, |id| id.0);
                let count = i64::try_from(one_more).unwrap_or(i64::MAX);
                let user = who.user.0;
                let read = self.readers.read(Holder::Account(who.user), move |db| {
                    notifications::below(db, user, below, unread, count)
                });
                read.await?.into_iter().map(Arc::new).collect()
            }
        };
        let has_more = list.len() > limit;
        list.truncate(limit);
        Ok((list, has_more))
    }

    /// One of them, or (`None`) all.
    pub async fn mark_notifications_read(
        &self,
        who: Credential,
        notification: Option<NotificationId>,
    ) -> Result<(), ServiceError> {
        let command = MarkNotificationsRead { who, notification };
        Ok(self.writer.execute(Who::User(who.user.0), command).await?)
    }
}
