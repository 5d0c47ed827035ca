//! Devices at other nodes of the cluster, and the announcement of those at this node.

use std::time::Instant;

use super::{Device, TrackedUser, TrackedUsers};
use crate::domain::device::DeviceKey;
use crate::domain::ids::UserId;
use crate::domain::presence::Status;

impl TrackedUser {
    /// Returns the status of the devices at this node together; `None`: there are none.
    pub(super) fn status_here(&self) -> Option<Status> {
        let here = self.devices.iter().filter(|(key, _)| !matches!(key, DeviceKey::Remote(_)));
        // The least status is invisible: it stands for all devices only if each of them is.
        here.map(|(_, device)| device.status).max_by_key(|status| status.shown())
    }
}

impl TrackedUsers {
    /// Announces the users of this node to others from now on.
    pub(in crate::actors::presence) fn announce(&mut self) {
        self.announces = true;
    }

    pub(in crate::actors::presence) fn has_announcements(&self) -> bool {
        !self.unannounced.is_empty()
    }

    /// Returns whether the announcement must not wait for the next flush.
    pub(in crate::actors::presence) fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Returns the users whose status at this node has changed since it was announced.
    pub(in crate::actors::presence) fn take_announcements(&mut self) -> Vec<(UserId, Option<Status>)> {
        self.is_urgent = false;
        let mut changed = Vec::new();
        for user in std::mem::take(&mut self.unannounced) {
            if let Some(person) = self.people.get_mut(&user) {
                let status = person.status_here();
                if status != person.announced {
                    person.announced = status;
                    changed.push((user, status));
                }
            }
        }
        changed
    }

    /// Returns all users with devices at this node.
    pub(in crate::actors::presence) fn users_here(&self) -> Vec<(UserId, Status)> {
        let here = |(user, person): (&UserId, &TrackedUser)| Some((*user, person.announced?));
        self.people.iter().filter_map(here).collect()
    }

    /// Returns the users with a device at another node.
    pub(in crate::actors::presence) fn users_elsewhere(&self) -> impl Iterator<Item = UserId> + '_ {
        let is_remote = |key: &DeviceKey| matches!(key, DeviceKey::Remote(_));
        self.people
            .iter()
            .filter(move |(_, person)| person.devices.keys().any(is_remote))
            .map(|(user, _)| *user)
    }

    /// Sets the status of a user's devices at another node; `None`: there are none. Returns whether
    /// the user was unknown here, so that the chats of the user must be added.
    pub(in crate::actors::presence) fn set_remote(
        &mut self,
        user: UserId,
        node: i16,
        status: Option<Status>,
        now: Instant,
    ) -> bool {
        let is_new = !self.people.contains_key(&user);
        let key = DeviceKey::Remote(node);
        match status {
            Some(status) => {
                let device = Device { sessions: 1, datagram_at: None, status, version: 0 };
                self.people.entry(user).or_default().devices.insert(key, device);
            }
            None => {
                if let Some(person) = self.people.get_mut(&user) {
                    person.devices.remove(&key);
                }
            }
        }
        self.refresh(user, now);
        is_new && status.is_some()
    }

    /// Returns whether the user is known here.
    pub(in crate::actors::presence) fn is_tracked(&self, user: UserId) -> bool {
        self.people.contains_key(&user)
    }
}
