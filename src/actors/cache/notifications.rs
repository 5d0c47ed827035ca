//! Each user's newest notifications.
//!
//! Memory is bounded twice: [`NOTIFICATIONS_CACHED`] of each user, and
//! [`NOTIFICATIONS_CACHED_IN_ALL`] of all. Notifications below a user's *floor* are not in memory,
//! and pages that reach below it come from the database.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::core::limits::{NOTIFICATIONS_CACHED, NOTIFICATIONS_CACHED_IN_ALL};
use crate::domain::event::Event;
use crate::domain::ids::{NotificationId, UserId};
use crate::domain::notification::{Notification, WhichRead};
use crate::domain::timestamp::Timestamp;
use crate::storage::snapshot::Snapshot;

/// The part of the maximum (one in `EVICTED_PART`) that is evicted at once when there are too many.
const EVICTED_PART: usize = 8;

#[derive(Debug)]
pub(super) struct Notifications {
    of_user: HashMap<UserId, Own>,
    /// The floor of all users.
    floor: NotificationId,
    count: usize,
    count_max: usize,
}

impl Default for Notifications {
    fn default() -> Self {
        Self {
            of_user: HashMap::new(),
            floor: NotificationId(0),
            count: 0,
            count_max: NOTIFICATIONS_CACHED_IN_ALL,
        }
    }
}

/// All notifications of one user above the floor.
#[derive(Debug)]
struct Own {
    /// Oldest first.
    list: VecDeque<Arc<Notification>>,
    floor: NotificationId,
}

impl Notifications {
    pub(super) fn load(snapshot: &mut Snapshot) -> Self {
        let mut this = Self::default();
        let loaded = std::mem::take(&mut snapshot.notifications);
        // The snapshot reached its limit: there may be older ones.
        if loaded.len() >= NOTIFICATIONS_CACHED_IN_ALL {
            this.floor = loaded.first().map_or(this.floor, |first| NotificationId(first.id.0 - 1));
        }
        for notification in loaded {
            this.push(notification);
        }
        for own in this.of_user.values_mut().filter(|own| own.list.len() >= NOTIFICATIONS_CACHED) {
            own.floor = own.list.front().map_or(own.floor, |first| NotificationId(first.id.0 - 1));
        }
        this
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Notified { notification } => self.push(notification.clone()),
            Event::NotificationsRemoved { gone } => {
                gone.iter().for_each(|(user, id)| self.remove(*user, *id))
            }
            Event::NotificationsRead { user_id, which, read_at } => self.mark(*user_id, *which, *read_at),
            _ => {}
        }
    }

    fn push(&mut self, notification: Arc<Notification>) {
        let floor = self.floor;
        let own = self.of_user.entry(notification.user_id);
        let own = own.or_insert_with(|| Own { list: VecDeque::new(), floor });
        own.list.push_back(notification);
        self.count += 1;
        if own.list.len() > NOTIFICATIONS_CACHED
            && let Some(oldest) = own.list.pop_front()
        {
            own.floor = oldest.id;
            self.count -= 1;
        }
        if self.count > self.count_max {
            self.evict();
        }
    }

    /// Evicts the oldest notifications of all users.
    fn evict(&mut self) {
        let mut ids: Vec<_> =
            self.of_user.values().flat_map(|own| own.list.iter().map(|one| one.id)).collect();
        let excess = (self.count_max / EVICTED_PART).max(1).min(ids.len().saturating_sub(1));
        let (_, floor, _) = ids.select_nth_unstable(excess);
        self.floor = *floor;
        for own in self.of_user.values_mut() {
            own.list.retain(|one| one.id > self.floor);
            own.floor = own.floor.max(self.floor);
        }
        self.of_user.retain(|_, own| !own.list.is_empty() || own.floor > self.floor);
        self.count = self.of_user.values().map(|own| own.list.len()).sum();
    }

    fn remove(&mut self, user: UserId, id: NotificationId) {
        let Some(own) = self.of_user.get_mut(&user) else { return };
        let Ok(at) = own.list.binary_search_by_key(&id, |one| one.id) else { return };
        own.list.remove(at);
        self.count -= 1;
        if own.list.is_empty() && own.floor <= self.floor {
            self.of_user.remove(&user);
        }
    }

    fn mark(&mut self, user: UserId, which: WhichRead, read_at: Timestamp) {
        for notification in self.of_user.get_mut(&user).into_iter().flat_map(|own| &mut own.list) {
            let meant = match which {
                WhichRead::All => true,
                WhichRead::One(id) => id == notification.id,
                WhichRead::InChat(chat, seq) => {
                    notification.chat_id == Some(chat) && notification.seq.is_some_and(|own| own <= seq)
                }
            };
            if meant && notification.read_at.is_none() {
                let read = Notification { read_at: Some(read_at), ..(**notification).clone() };
                *notification = Arc::new(read);
            }
        }
    }

    fn floor_of(&self, user: UserId) -> NotificationId {
        self.of_user.get(&user).map_or(self.floor, |own| own.floor.max(self.floor))
    }

    /// Returns the notifications above `floor`, newest first.
    fn above(&self, user: UserId, floor: NotificationId) -> impl Iterator<Item = &Arc<Notification>> {
        let own = self.of_user.get(&user).into_iter().flat_map(|own| own.list.iter().rev());
        own.take_while(move |one| one.id > floor)
    }

    /// Returns the newest notifications below `before`, newest first. `None`: the page needs older
    /// ones than those in memory.
    pub(super) fn page(
        &self,
        user: UserId,
        before: Option<NotificationId>,
        unread: bool,
        limit: usize,
    ) -> Option<Vec<Arc<Notification>>> {
        let fits = |n: &&Arc<Notification>| {
            before.is_none_or(|before| n.id < before) && (!unread || n.read_at.is_none())
        };
        let floor = self.floor_of(user);
        let found: Vec<_> = self.above(user, floor).filter(fits).take(limit).cloned().collect();
        (found.len() == limit || floor == NotificationId(0)).then_some(found)
    }

    /// Returns whether both hold the same notifications above their higher floor.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        self.of_user.keys().chain(other.of_user.keys()).all(|user| {
            let floor = self.floor_of(*user).max(other.floor_of(*user));
            self.above(*user, floor).eq(other.above(*user, floor))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notification::NotificationKind;

    fn notified(user: i64, id: i64) -> Arc<Notification> {
        Arc::new(Notification {
            id: NotificationId(id),
            user_id: UserId(user),
            kind: NotificationKind::Mention,
            chat_id: None,
            message_id: None,
            actor_id: None,
            text: String::new(),
            created_at: Timestamp(1),
            read_at: None,
            seq: None,
            repository: None,
            reason: None,
        })
    }

    fn ids(notifications: &Notifications, user: i64, limit: usize) -> Option<Vec<i64>> {
        let page = notifications.page(UserId(user), None, false, limit)?;
        Some(page.iter().map(|one| one.id.0).collect())
    }

    #[test]
    fn oldest_of_all_users_are_evicted_beyond_the_bound() {
        let mut held = Notifications { count_max: 16, ..Notifications::default() };
        held.push(notified(1, 1));
        (2..=17).for_each(|id| held.push(notified(2, id)));
        // An eighth of 16 above the bound: 1, 2 and 3.
        assert_eq!((held.count, held.floor), (14, NotificationId(3)));
        assert_eq!(ids(&held, 1, 5), None, "only the database has it");
        assert_eq!(ids(&held, 3, 5), None);
        assert_eq!(ids(&held, 2, 2), Some(vec![17, 16]));
        assert_eq!(ids(&held, 2, 15), None);
        held.push(notified(1, 18));
        assert_eq!((ids(&held, 1, 1), ids(&held, 1, 2)), (Some(vec![18]), None));
        held.remove(UserId(1), NotificationId(18));
        assert_eq!((held.count, ids(&held, 1, 1)), (14, None));
        let mut fresh = Notifications::default();
        fresh.push(notified(1, 1));
        (2..=17).for_each(|id| fresh.push(notified(2, id)));
        assert!(held.agrees(&fresh) && fresh.agrees(&held));
        fresh.remove(UserId(2), NotificationId(9));
        assert!(!held.agrees(&fresh));
    }

    #[test]
    fn newest_of_one_user_stay_beyond_the_bound() {
        let mut held = Notifications::default();
        let many = i64::try_from(NOTIFICATIONS_CACHED).unwrap() + 5;
        (1..=many).for_each(|id| held.push(notified(1, id)));
        held.push(notified(2, many + 1));
        assert_eq!(held.floor_of(UserId(1)), NotificationId(5));
        assert_eq!((ids(&held, 2, 9), ids(&held, 3, 9)), (Some(vec![many + 1]), Some(vec![])));
        assert_eq!(ids(&held, 1, NOTIFICATIONS_CACHED + 1), None);
    }
}
