//! Presence by user and device, and which users see each other.
//!
//! A plain struct that receives the time as a parameter. Invariants:
//!
//! * Only users who share a chat see each other.
//! * Each change that was sent has its own version, so a client that receives two changes can order
//!   them.
//! * A user who is not known here is offline.
//! * In a cluster, all devices of a user at another node are a single device here. Its status is
//!   that of those devices together, so the user is shown as with all devices at one node.

mod remote;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::core::limits::Limits;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::presence::{Shown, Status};
use crate::protocol::view::PresenceView;

/// Exceeds the time until the last marks of an ended session are written and pushed.
const HIDDEN_AT_LEAST: Duration = Duration::from_secs(15);
/// Maximum number of users whose invisibility is remembered without a device: a few megabytes. At
/// the maximum, every user without a device counts as invisible.
const INVISIBLE_MAX: usize = 100_000;

#[derive(Debug, Default)]
struct Device {
    sessions: usize,
    /// The time of the last datagram.
    datagram_at: Option<Instant>,
    status: Status,
    version: u64,
}

#[derive(Debug, Default)]
struct TrackedUser {
    devices: HashMap<DeviceKey, Device>,
    chats: HashSet<ChatId>,
    shown: Shown,
    /// The status that was last sent to others, and its version.
    sent_status: Shown,
    version: u64,
    /// The time since which the user has no devices, while still shown or still hidden.
    gone: Option<Instant>,
    /// Every device is invisible, or was when the last device left.
    hidden: bool,
    /// The status of the devices at this node that was last announced to the other nodes.
    announced: Option<Status>,
    /// The time at which the user's state must be evaluated again.
    deadline: Option<Instant>,
}

/// The effective status of a device, after a client set a status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EffectiveStatus {
    pub(super) status: Status,
    pub(super) version: u64,
    /// Whether the effective status is the one that was set.
    pub(super) is_new: bool,
}

#[derive(Debug)]
pub(super) struct TrackedUsers {
    people: HashMap<UserId, TrackedUser>,
    /// The members of each chat among these users.
    chats: HashMap<ChatId, HashSet<UserId>>,
    /// The version of the last change that was sent.
    version: u64,
    /// Users whose shown status may differ from the one that was sent.
    dirty: BTreeSet<UserId>,
    /// Users who must be sent to others although their status is unchanged.
    again: BTreeSet<UserId>,
    deadlines: BTreeSet<(Instant, UserId)>,
    /// Users who were invisible when they last had a device, also after their sessions ended.
    invisible: BTreeSet<UserId>,
    /// Whether this node announces its users to others.
    announces: bool,
    /// Users whose devices at this node have another status than the one that was announced.
    unannounced: BTreeSet<UserId>,
    /// An invisible user has come: other nodes must know before the marks of that user reach them.
    is_urgent: bool,
    ttl: Duration,
    debounce: Duration,
    /// How long a user whose last device was invisible stays hidden.
    hidden_for: Duration,
}

impl TrackedUsers {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            people: HashMap::new(),
            chats: HashMap::new(),
            version: 0,
            dirty: BTreeSet::new(),
            again: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            invisible: BTreeSet::new(),
            announces: false,
            unannounced: BTreeSet::new(),
            is_urgent: false,
            ttl: Duration::from_millis(limits.presence_ttl_ms),
            debounce: Duration::from_millis(limits.offline_debounce_ms),
            hidden_for: HIDDEN_AT_LEAST.max(Duration::from_millis(limits.offline_debounce_ms)),
        }
    }

    /// Adds a user who has a session, a ticket or a device at another node from now on. These are
    /// the chats of the user.
    pub(super) fn track_user(&mut self, user: UserId, chats: Vec<ChatId>) {
        let person = self.people.entry(user).or_default();
        let former = std::mem::take(&mut person.chats);
        let mut is_new_to_others = false;
        for chat in chats {
            if person.chats.insert(chat) && !former.contains(&chat) {
                is_new_to_others = true;
                self.chats.entry(chat).or_default().insert(user);
            }
        }
        for chat in former.difference(&person.chats) {
            remove_member(&mut self.chats, *chat, user);
        }
        if is_new_to_others && person.sent_status != Shown::Offline {
            self.version += 1;
            person.version = self.version;
            self.again.insert(user);
        }
    }

    pub(super) fn connect(&mut self, user: UserId, device: DeviceKey, now: Instant) {
        if let Some(person) = self.people.get_mut(&user) {
            person.devices.entry(device).or_default().sessions += 1;
            self.refresh(user, now);
        }
    }

    pub(super) fn disconnect(&mut self, user: UserId, device: &DeviceKey, now: Instant) {
        if let Some(device) = self.people.get_mut(&user).and_then(|person| person.devices.get_mut(device)) {
            device.sessions = device.sessions.saturating_sub(1);
            self.refresh(user, now);
        }
    }

    /// Records an authentic datagram from the device.
    pub(super) fn record_datagram(&mut self, user: UserId, device: &DeviceKey, now: Instant) {
        if let Some(person) = self.people.get_mut(&user) {
            person.devices.entry(device.clone()).or_default().datagram_at = Some(now);
            self.refresh(user, now);
        }
    }

    /// Sets the status that a device reports, unless a newer one is known. Returns the effective
    /// status.
    pub(super) fn set_status(
        &mut self,
        user: UserId,
        device: &DeviceKey,
        status: Status,
        version: Option<u64>,
        now: Instant,
    ) -> EffectiveStatus {
        let Some(device) = self.people.get_mut(&user).and_then(|person| person.devices.get_mut(device))
        else {
            return EffectiveStatus::default();
        };
        let version = version.unwrap_or(device.version.saturating_add(1));
        let is_new = version > device.version;
        if is_new {
            (device.status, device.version) = (status, version);
        }
        let counts = EffectiveStatus { status: device.status, version: device.version, is_new };
        self.refresh(user, now);
        counts
    }

    /// Returns the version of the device's effective status.
    pub(super) fn status_version(&self, user: UserId, device: &DeviceKey) -> u64 {
        self.people
            .get(&user)
            .and_then(|person| person.devices.get(device))
            .map_or(0, |device| device.version)
    }

    /// Adds a user to a chat. Its members see each other from now on: users whom they did not see
    /// before count as changed.
    pub(super) fn join(&mut self, chat: ChatId, user: UserId) {
        let Some(person) = self.people.get_mut(&user) else { return };
        if person.chats.insert(chat) {
            self.chats.entry(chat).or_default().insert(user);
            self.version += 1;
            if person.sent_status != Shown::Offline {
                person.version = self.version;
                self.again.insert(user);
            }
        }
    }

    pub(super) fn leave(&mut self, chat: ChatId, user: UserId) {
        if let Some(person) = self.people.get_mut(&user) {
            person.chats.remove(&chat);
        }
        remove_member(&mut self.chats, chat, user);
    }

    pub(super) fn remove_chat(&mut self, chat: ChatId) {
        for user in self.chats.remove(&chat).into_iter().flatten() {
            if let Some(person) = self.people.get_mut(&user) {
                person.chats.remove(&chat);
            }
        }
    }

    /// Evaluates all users whose deadline has passed, and returns them.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<UserId> {
        let mut expired = Vec::new();
        while let Some((at, user)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, user));
            if let Some(person) = self.people.get_mut(&user) {
                person.deadline = None;
            }
            self.refresh(user, now);
            expired.push(user);
        }
        expired
    }

    /// Returns the next time at which [`Self::expire`] has work to do; `None` while no state can
    /// expire.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Computes how a user is shown, and when that may change without an event.
    fn refresh(&mut self, user: UserId, now: Instant) {
        let Some(person) = self.people.get_mut(&user) else { return };
        let ttl = self.ttl;
        let alive = |device: &Device| {
            device.sessions > 0
                || device.datagram_at.is_some_and(|datagram_at| now.duration_since(datagram_at) < ttl)
        };
        person.devices.retain(|_, device| alive(device));
        let best = person.devices.values().map(|device| device.status.shown()).max();
        let shown = match best {
            Some(best) => {
                person.gone = None;
                person.hidden = person.devices.values().all(|device| device.status == Status::Invisible);
                best
            }
            None => {
                let gone = *person.gone.get_or_insert(now);
                let since = now.duration_since(gone);
                person.hidden &= since < self.hidden_for;
                if since >= self.debounce { Shown::Offline } else { person.shown }
            }
        };
        if !person.devices.is_empty() {
            if !person.hidden {
                self.invisible.remove(&user);
            } else if self.invisible.len() < INVISIBLE_MAX {
                self.invisible.insert(user);
            }
        }
        if shown != person.shown {
            person.shown = shown;
            self.dirty.insert(user);
        }
        if self.announces && person.status_here() != person.announced {
            self.unannounced.insert(user);
            self.is_urgent |= person.announced.is_none() && person.status_here() == Some(Status::Invisible);
        }
        let next = match person.gone {
            Some(gone) if person.shown != Shown::Offline => Some(gone + self.debounce),
            Some(gone) if person.hidden => Some(gone + self.hidden_for),
            Some(_) => None,
            // A device with a session cannot expire.
            None => person
                .devices
                .values()
                .filter(|d| d.sessions == 0)
                .filter_map(|d| d.datagram_at)
                .min()
                .map(|h| h + ttl),
        };
        if person.deadline != next {
            if let Some(old) = person.deadline {
                self.deadlines.remove(&(old, user));
            }
            person.deadline = next;
            self.deadlines.extend(next.map(|at| (at, user)));
        }
    }

    /// Removes a user who has neither sessions nor tickets and is shown as offline, once the others
    /// were notified of that.
    pub(super) fn remove_if_gone(&mut self, user: UserId) {
        let done = |person: &TrackedUser| {
            let is_shown = person.shown != Shown::Offline || person.sent_status != Shown::Offline;
            person.devices.is_empty() && !is_shown && !person.hidden
        };
        let is_waiting = self.dirty.contains(&user) || self.unannounced.contains(&user);
        if is_waiting || !self.people.get(&user).is_some_and(done) {
            return;
        }
        let Some(person) = self.people.remove(&user) else { return };
        if let Some(deadline) = person.deadline {
            self.deadlines.remove(&(deadline, user));
        }
        for chat in person.chats {
            remove_member(&mut self.chats, chat, user);
        }
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.dirty.is_empty() || !self.again.is_empty()
    }

    /// Assigns a new version to each user whose shown status differs from the one that was sent,
    /// and returns these users. A user who came and went in between is not included, so the visit
    /// of an invisible user does not leak.
    pub(super) fn take_changed(&mut self) -> BTreeSet<UserId> {
        let mut changed = std::mem::take(&mut self.again);
        for user in std::mem::take(&mut self.dirty) {
            if let Some(person) = self.people.get_mut(&user)
                && person.sent_status != person.shown
            {
                self.version += 1;
                (person.sent_status, person.version) = (person.shown, self.version);
                changed.insert(user);
            }
        }
        changed
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Returns the state that was last sent to others.
    fn view(&self, user: UserId) -> PresenceView {
        let (status, version) =
            self.people.get(&user).map_or((Shown::Offline, 0), |p| (p.sent_status, p.version));
        PresenceView { user_id: user, status, version }
    }

    /// Returns the chats of `user`, sorted. Users with the same chats see the same users, provided
    /// they have any chat.
    pub(super) fn chats(&self, user: UserId) -> Vec<ChatId> {
        let mut chats: Vec<_> =
            self.people.get(&user).into_iter().flat_map(|person| &person.chats).copied().collect();
        chats.sort_unstable();
        chats
    }

    /// Returns those of `users` who are in one of `chats`.
    pub(super) fn of_chats(&self, users: &BTreeSet<UserId>, chats: &[ChatId]) -> BTreeSet<UserId> {
        let is_in = |user: &UserId| {
            chats.iter().any(|chat| self.chats.get(chat).is_some_and(|people| people.contains(user)))
        };
        users.iter().copied().filter(is_in).collect()
    }

    /// Returns the members of a chat who have a session or a ticket.
    pub(super) fn people_of(&self, chat: ChatId) -> impl Iterator<Item = UserId> {
        self.chats.get(&chat).into_iter().flatten().copied()
    }

    /// Returns the users who see `user`: those who share a chat, and `user`.
    fn watchers(&self, user: UserId) -> HashSet<UserId> {
        let chats = self.people.get(&user).into_iter().flat_map(|person| &person.chats);
        let mut found: HashSet<_> =
            chats.filter_map(|chat| self.chats.get(chat)).flatten().copied().collect();
        found.insert(user);
        found
    }

    /// Returns the state of all users whom `watcher` sees that changed after version `after`, in
    /// the order of the changes. With `after` 0, offline users are left out: clients assume that
    /// unlisted users are offline.
    pub(super) fn seen_by(&self, watcher: UserId, after: u64) -> Vec<PresenceView> {
        self.seen_since(watcher, after, after)
    }

    /// Like [`Self::seen_by`], for a watcher who knows which users were offline at another version.
    pub(super) fn seen_since(&self, watcher: UserId, after: u64, offline_after: u64) -> Vec<PresenceView> {
        let is_news = |view: &PresenceView| offline_after > 0 && view.version > offline_after;
        let changed =
            |view: &PresenceView| view.version > after && (view.status != Shown::Offline || is_news(view));
        let mut seen: Vec<_> =
            self.watchers(watcher).into_iter().map(|user| self.view(user)).filter(changed).collect();
        seen.sort_unstable_by_key(|view| view.version);
        seen
    }

    /// Returns how `user` is shown to `watcher`; `share` is whether they share a chat.
    pub(super) fn as_seen_by(&self, watcher: UserId, user: UserId, share: bool) -> PresenceView {
        let now = || self.people.get(&user).map_or(Shown::Offline, |person| person.shown);
        if user == watcher || share {
            PresenceView { status: now(), ..self.view(user) }
        } else {
            PresenceView { user_id: user, status: Shown::Offline, version: 0 }
        }
    }

    pub(super) fn views(&self, users: &BTreeSet<UserId>) -> Vec<PresenceView> {
        users.iter().map(|user| self.view(*user)).collect()
    }

    /// Returns the members of a chat who have a session or a ticket, if `user` is one of them.
    pub(super) fn online_members(&self, chat: ChatId, user: UserId) -> Option<&HashSet<UserId>> {
        self.chats.get(&chat).filter(|people| people.contains(&user))
    }

    /// Returns whether the user's presence must not leak to others. This holds for a while after
    /// the last device has left, because the user's last marks arrive later.
    pub(super) fn is_hidden(&self, user: UserId) -> bool {
        self.people.get(&user).is_some_and(|person| person.hidden)
    }

    /// Returns whether the user chose to be invisible, now or before the last session ended.
    pub(super) fn is_invisible(&self, user: UserId) -> bool {
        let person = self.people.get(&user);
        let has_device = person.is_some_and(|person| !person.devices.is_empty());
        let is_unknown = !has_device && self.invisible.len() >= INVISIBLE_MAX;
        self.is_hidden(user) || self.invisible.contains(&user) || is_unknown
    }

    pub(super) fn is_shown(&self, user: UserId) -> bool {
        self.people.get(&user).is_some_and(|person| person.shown != Shown::Offline)
    }
}

fn remove_member(chats: &mut HashMap<ChatId, HashSet<UserId>>, chat: ChatId, user: UserId) {
    if let Some(people) = chats.get_mut(&chat) {
        people.remove(&user);
        if people.is_empty() {
            chats.remove(&chat);
        }
    }
}

#[cfg(test)]
#[path = "people_test.rs"]
mod tests;
