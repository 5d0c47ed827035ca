//! Notifications: writes the pending ones of messages, lists them, and marks them as read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ServiceError, Services};
use crate::actors::cache::NotificationList;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::{
    CountDeliveryAttempt, DeliverNotifications, MarkNotificationsRead, Undelivered,
};
use crate::core::actor::Caller;
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::ids::NotificationId;
use crate::domain::notification::Notification;
use crate::domain::page::Page;
use crate::storage::queries::notifications;

/// Pause after a failed delivery of notifications.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Services {
    /// Returns the user's notifications below `before`, newest first.
    pub async fn notifications(
        &self,
        who: Credential,
        before: Option<NotificationId>,
        unread: bool,
        limit: usize,
    ) -> Result<Page<Arc<Notification>>, ServiceError> {
        let one_more = limit + 1;
        let found = self.cache.ask(who, NotificationList { before, unread, limit: one_more }).await?;
        let list: Vec<_> = match found {
            Some(list) => list,
            None => {
                let below = before.unwrap_or(NotificationId(i64::MAX));
                let count = saturate::to_i64(one_more);
                let user = who.user;
                let read = self.readers.read(Holder::Account(who.user), move |db| {
                    notifications::below(db, user, below, unread, count)
                });
                read.await?.into_iter().map(Arc::new).collect()
            }
        };
        Ok(Page::take(list, limit))
    }

    /// Runs the writer's pending notification deliveries until the server stops. Queued commands go
    /// first, for a limited time.
    pub async fn deliver_notifications(&self) {
        let mut attempted = Instant::now();
        loop {
            self.let_commands_go_first().await;
            match self.writer.execute(Caller::Server, DeliverNotifications { only: None }).await {
                Ok(Undelivered::Some) => {}
                Ok(Undelivered::None) => self.writer.fan_out_waits().await,
                Ok(Undelivered::Failed) => tokio::select! {
                    () = self.writer.fan_out_waits() => {}
                    () = tokio::time::sleep(RETRY_AFTER.saturating_sub(attempted.elapsed())) => {
                        attempted = Instant::now();
                        self.deliver_alone().await;
                    }
                },
                // Only one of several messages fails.
                Err(CommandError::Internal) => self.deliver_alone().await,
                Err(
                    CommandError::Overloaded(_)
                    | CommandError::ReadOnly
                    | CommandError::DatabaseAway
                    | CommandError::Refused(_),
                ) => {
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Delivers the notifications of one message alone, so that no other message delays it or is
    /// delayed by it.
    async fn deliver_alone(&self) {
        let delivered = match self.writer.execute(Caller::Server, CountDeliveryAttempt).await {
            Ok(None) => return,
            Ok(only @ Some(_)) => {
                self.writer.execute(Caller::Server, DeliverNotifications { only }).await.map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = delivered {
            tracing::warn!(error = %chain(&error), "a notification delivery failed; it will be retried");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn let_commands_go_first(&self) {
        for _ in 0..self.limits.notifications_yield_ms {
            if self.writer.depth() <= self.limits.notifications_yield_to {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Marks one notification as read, or all (`None`).
    pub async fn mark_notifications_read(
        &self,
        who: Credential,
        notification: Option<NotificationId>,
    ) -> Result<(), ServiceError> {
        let command = MarkNotificationsRead { who, notification };
        Ok(self.writer.execute(who, command).await?)
    }
}
