//! Each user's newest notifications.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::domain::event::Event;
use crate::domain::ids::{NotificationId, UserId};
use crate::domain::notification::Notification;
use crate::domain::timestamp::Timestamp;
use crate::storage::snapshot::{NOTIFICATIONS_CACHED, Snapshot};

#[derive(Debug, Default, PartialEq)]
pub(super) struct Notifications {
    /// Oldest first.
    of_user: HashMap<UserId, VecDeque<Arc<Notification>>>,
}

impl Notifications {
    pub(super) fn load(snapshot: &mut Snapshot) -> Self {
        let mut this = Self::default();
        for notification in std::mem::take(&mut snapshot.notifications) {
            this.push(notification);
        }
        this
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Notified { notification } => self.push(notification.clone()),
            Event::NotificationsForgotten { user_id, up_to } => self.forget(*user_id, *up_to),
            Event::NotificationsRead { user_id, notification_id, read_at } => {
                self.mark(*user_id, *notification_id, *read_at);
            }
            _ => {}
        }
    }

    fn push(&mut self, notification: Arc<Notification>) {
        let own = self.of_user.entry(notification.user_id).or_default();
        own.push_back(notification);
        if own.len() > usize::try_from(NOTIFICATIONS_CACHED).unwrap_or(usize::MAX) {
            own.pop_front();
        }
    }

    fn forget(&mut self, user: UserId, up_to: NotificationId) {
        let Some(own) = self.of_user.get_mut(&user) else { return };
        own.retain(|notification| notification.id > up_to);
        if own.is_empty() {
            self.of_user.remove(&user);
        }
    }

    fn mark(&mut self, user: UserId, id: Option<NotificationId>, read_at: Timestamp) {
        for notification in self.of_user.get_mut(&user).into_iter().flatten() {
            let meant = id.is_none_or(|id| id == notification.id);
            if meant && notification.read_at.is_none() {
                let read = Notification { read_at: Some(read_at), ..(**notification).clone() };
                *notification = Arc::new(read);
            }
        }
    }

    /// The newest below `before`, newest first; `None` when older ones than those in memory are needed to tell.
    pub(super) fn page(
        &self,
        user: UserId,
        before: Option<NotificationId>,
        unread: bool,
        limit: usize,
    ) -> Option<Vec<Arc<Notification>>> {
        let Some(own) = self.of_user.get(&user) else { return Some(Vec::new()) };
        let fits = |n: &&Arc<Notification>| {
            before.is_none_or(|before| n.id < before) && (!unread || n.read_at.is_none())
        };
        let found: Vec<_> = own.iter().rev().filter(fits).take(limit).cloned().collect();
        let all_here = own.len() < usize::try_from(NOTIFICATIONS_CACHED).unwrap_or(usize::MAX);
        (found.len() == limit || all_here).then_some(found)
    }
}
