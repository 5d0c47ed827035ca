//! Commands about notifications, and how others write them.

use std::sync::Arc;

use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, Need};
use crate::domain::event::Event;
use crate::domain::ids::{NotificationId, UserId};
use crate::domain::refusal::Refusal;
use crate::storage::queries::notifications;
use crate::storage::rows::notification::NewNotificationRow;

/// Writes a notification: two rows at most, for the oldest one gives way.
pub(super) fn notify(tx: &mut Tx<'_>, row: &NewNotificationRow<'_>) -> Execution<()> {
    let keep = tx.limits.notifications_per_user;
    let notification = Arc::new(notifications::insert(tx.write(), row)?);
    let forgotten = notifications::forget_old(tx.write(), row.user_id, keep)?;
    tx.announce(Event::Notified { notification });
    if let Some(newest) = forgotten {
        let (user_id, up_to) = (UserId(row.user_id), NotificationId(newest));
        tx.announce(Event::NotificationsForgotten { user_id, up_to });
    }
    Ok(())
}

/// Marks one notification as read, or all.
pub struct MarkNotificationsRead {
    pub who: Credential,
    pub notification: Option<NotificationId>,
}

impl Command for MarkNotificationsRead {
    type Output = ();
    const NAME: &'static str = "MarkNotificationsRead";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, Need::ChatWrite)?;
        let UserId(user) = self.who.user;
        let id = self.notification.map(|id| id.0);
        if let Some(id) = id
            && !notifications::exists(tx.look(), user, id)?
        {
            return Err(Refusal::NotFound("notification").into());
        }
        let read_at = tx.now;
        if notifications::mark_read(tx.write(), user, id, read_at.0)? > 0 {
            tx.announce(Event::NotificationsRead {
                user_id: self.who.user,
                notification_id: self.notification,
                read_at,
            });
        }
        Ok(())
    }
}
