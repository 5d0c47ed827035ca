//! Who is there: presence by person and device, and who sees whom.
//!
//! A plain struct; time is passed in. Invariants: only people who share a chat see each other; every change that was told
//! has a version of its own, so that whoever hears of two knows which is newer; somebody who is not known here is offline.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::core::limits::Limits;
use crate::domain::ids::{ChatId, SessionId, UserId};
use crate::domain::presence::{Shown, Status};
use crate::protocol::view::PresenceView;

/// Longer than it takes until the last marks of a session that ended are written and pushed.
const HIDDEN_AT_LEAST: Duration = Duration::from_secs(15);

/// A device as its person names it; a session that names none is one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceKey {
    Named(String),
    Session(SessionId),
    /// A ticket that names none.
    Ticket(u64),
}

#[derive(Debug, Default)]
struct Device {
    sessions: usize,
    /// The last datagram.
    heard: Option<Instant>,
    status: Status,
    version: u64,
}

#[derive(Debug, Default)]
struct Person {
    devices: HashMap<DeviceKey, Device>,
    chats: HashSet<ChatId>,
    shown: Shown,
    /// What others were last told, and the version of that.
    told: Shown,
    version: u64,
    /// Since when nothing is there of a person who is still shown, or still hidden.
    gone: Option<Instant>,
    /// Every device is invisible, or was when the last of them went.
    hidden: bool,
    /// When this person must be looked at again.
    wake: Option<Instant>,
}

/// The status of a device that counts, after one was set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counting {
    pub(super) status: Status,
    pub(super) version: u64,
    /// It is the one that was set.
    pub(super) is_new: bool,
}

#[derive(Debug)]
pub(super) struct People {
    people: HashMap<UserId, Person>,
    /// Those of them who are in a chat.
    chats: HashMap<ChatId, HashSet<UserId>>,
    /// The last change that was told.
    version: u64,
    /// Those who may be shown differently from what was told.
    dirty: BTreeSet<UserId>,
    /// Those of whom others must hear although nothing changed.
    again: BTreeSet<UserId>,
    deadlines: BTreeSet<(Instant, UserId)>,
    ttl: Duration,
    debounce: Duration,
    /// How long a person whose last device was invisible stays hidden.
    hidden_for: Duration,
}

impl People {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            people: HashMap::new(),
            chats: HashMap::new(),
            version: 0,
            dirty: BTreeSet::new(),
            again: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            ttl: Duration::from_millis(limits.presence_ttl_ms),
            debounce: Duration::from_millis(limits.offline_debounce_ms),
            hidden_for: HIDDEN_AT_LEAST.max(Duration::from_millis(limits.offline_debounce_ms)),
        }
    }

    /// Somebody has a session or a ticket from now on, and is in these chats.
    pub(super) fn meet(&mut self, user: UserId, chats: Vec<ChatId>) {
        let person = self.people.entry(user).or_default();
        for chat in chats {
            if person.chats.insert(chat) {
                self.chats.entry(chat).or_default().insert(user);
            }
        }
    }

    pub(super) fn connect(&mut self, user: UserId, device: DeviceKey, now: Instant) {
        if let Some(person) = self.people.get_mut(&user) {
            person.devices.entry(device).or_default().sessions += 1;
            self.look_at(user, now);
        }
    }

    pub(super) fn disconnect(&mut self, user: UserId, device: &DeviceKey, now: Instant) {
        if let Some(device) = self.people.get_mut(&user).and_then(|person| person.devices.get_mut(device)) {
            device.sessions = device.sessions.saturating_sub(1);
            self.look_at(user, now);
        }
    }

    /// An authentic datagram came from the device.
    pub(super) fn heard(&mut self, user: UserId, device: &DeviceKey, now: Instant) {
        if let Some(person) = self.people.get_mut(&user) {
            person.devices.entry(device.clone()).or_default().heard = Some(now);
            self.look_at(user, now);
        }
    }

    /// Sets what a device says of itself, unless something newer is known; returns the status that counts.
    pub(super) fn set_status(
        &mut self,
        user: UserId,
        device: &DeviceKey,
        status: Status,
        version: Option<u64>,
        now: Instant,
    ) -> Counting {
        let Some(device) = self.people.get_mut(&user).and_then(|person| person.devices.get_mut(device))
        else {
            return Counting::default();
        };
        let version = version.unwrap_or(device.version.saturating_add(1));
        let is_new = version > device.version;
        if is_new {
            (device.status, device.version) = (status, version);
        }
        let counts = Counting { status: device.status, version: device.version, is_new };
        self.look_at(user, now);
        counts
    }

    /// The version of the device's status that counts.
    pub(super) fn status_version(&self, user: UserId, device: &DeviceKey) -> u64 {
        self.people
            .get(&user)
            .and_then(|person| person.devices.get(device))
            .map_or(0, |device| device.version)
    }

    /// The people of the chat see each other from now on: what they did not see before is a change to them.
    pub(super) fn join(&mut self, chat: ChatId, user: UserId) {
        let Some(person) = self.people.get_mut(&user) else { return };
        if person.chats.insert(chat) {
            self.chats.entry(chat).or_default().insert(user);
            self.version += 1;
            if person.told != Shown::Offline {
                person.version = self.version;
                self.again.insert(user);
            }
        }
    }

    pub(super) fn leave(&mut self, chat: ChatId, user: UserId) {
        if let Some(person) = self.people.get_mut(&user) {
            person.chats.remove(&chat);
        }
        if let Some(people) = self.chats.get_mut(&chat) {
            people.remove(&user);
            if people.is_empty() {
                self.chats.remove(&chat);
            }
        }
    }

    pub(super) fn remove_chat(&mut self, chat: ChatId) {
        for user in self.chats.remove(&chat).into_iter().flatten() {
            if let Some(person) = self.people.get_mut(&user) {
                person.chats.remove(&chat);
            }
        }
    }

    /// Looks at everybody whose time has come, and returns them.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<UserId> {
        let mut expired = Vec::new();
        while let Some((at, user)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, user));
            if let Some(person) = self.people.get_mut(&user) {
                person.wake = None;
            }
            self.look_at(user, now);
            expired.push(user);
        }
        expired
    }

    /// When [`Self::expire`] has something to do; `None` while nothing can change by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Works out how a person is shown, and when that may change by itself.
    fn look_at(&mut self, user: UserId, now: Instant) {
        let Some(person) = self.people.get_mut(&user) else { return };
        let ttl = self.ttl;
        let alive = |device: &Device| {
            device.sessions > 0 || device.heard.is_some_and(|heard| now.duration_since(heard) < ttl)
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
        if shown != person.shown {
            person.shown = shown;
            self.dirty.insert(user);
        }
        let next = match person.gone {
            Some(gone) if person.shown != Shown::Offline => Some(gone + self.debounce),
            Some(gone) if person.hidden => Some(gone + self.hidden_for),
            Some(_) => None,
            // A device with a session cannot vanish by itself.
            None => person
                .devices
                .values()
                .filter(|d| d.sessions == 0)
                .filter_map(|d| d.heard)
                .min()
                .map(|h| h + ttl),
        };
        if person.wake != next {
            if let Some(old) = person.wake {
                self.deadlines.remove(&(old, user));
            }
            person.wake = next;
            self.deadlines.extend(next.map(|at| (at, user)));
        }
    }

    /// Forgets somebody who has neither session nor ticket, is shown as offline, and whom everybody was told of.
    pub(super) fn forget(&mut self, user: UserId) {
        let done = |person: &Person| {
            let is_shown = person.shown != Shown::Offline || person.told != Shown::Offline;
            person.devices.is_empty() && !is_shown && !person.hidden
        };
        if self.dirty.contains(&user) || !self.people.get(&user).is_some_and(done) {
            return;
        }
        let Some(person) = self.people.remove(&user) else { return };
        if let Some(wake) = person.wake {
            self.deadlines.remove(&(wake, user));
        }
        for chat in person.chats {
            if let Some(people) = self.chats.get_mut(&chat) {
                people.remove(&user);
                if people.is_empty() {
                    self.chats.remove(&chat);
                }
            }
        }
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.dirty.is_empty() || !self.again.is_empty()
    }

    /// Gives those who are shown differently from what was told a new version, and answers them. Whoever came and went
    /// in between is not among them: nobody can tell that somebody invisible was here.
    pub(super) fn take_changed(&mut self) -> BTreeSet<UserId> {
        let mut changed = std::mem::take(&mut self.again);
        for user in std::mem::take(&mut self.dirty) {
            if let Some(person) = self.people.get_mut(&user)
                && person.told != person.shown
            {
                self.version += 1;
                (person.told, person.version) = (person.shown, self.version);
                changed.insert(user);
            }
        }
        changed
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// As others were told.
    fn view(&self, user: UserId) -> PresenceView {
        let (status, version) = self.people.get(&user).map_or((Shown::Offline, 0), |p| (p.told, p.version));
        PresenceView { user_id: user, status, version }
    }

    /// The chats of `user`, in order. People with the same chats see the same people, if they have any chat at all.
    pub(super) fn chats(&self, user: UserId) -> Vec<ChatId> {
        let mut chats: Vec<_> =
            self.people.get(&user).into_iter().flat_map(|person| &person.chats).copied().collect();
        chats.sort_unstable();
        chats
    }

    /// Those of `users` who are in one of `chats`.
    pub(super) fn of_chats(&self, users: &BTreeSet<UserId>, chats: &[ChatId]) -> BTreeSet<UserId> {
        let is_in = |user: &UserId| {
            chats.iter().any(|chat| self.chats.get(chat).is_some_and(|people| people.contains(user)))
        };
        users.iter().copied().filter(is_in).collect()
    }

    /// The people of a chat who have a session or a ticket.
    pub(super) fn people_of(&self, chat: ChatId) -> impl Iterator<Item = UserId> {
        self.chats.get(&chat).into_iter().flatten().copied()
    }

    /// The people who see `user`: those who share a chat, and `user` too.
    fn watchers(&self, user: UserId) -> HashSet<UserId> {
        let chats = self.people.get(&user).into_iter().flat_map(|person| &person.chats);
        let mut found: HashSet<_> =
            chats.filter_map(|chat| self.chats.get(chat)).flatten().copied().collect();
        found.insert(user);
        found
    }

    /// How everybody whom `watcher` sees is shown, as far as that changed above `after`, in the order of the changes.
    /// Above 0, those who are offline are left out: that is what everybody is who is not named.
    pub(super) fn seen_by(&self, watcher: UserId, after: u64) -> Vec<PresenceView> {
        let changed =
            |view: &PresenceView| view.version > after && (after > 0 || view.status != Shown::Offline);
        let mut seen: Vec<_> =
            self.watchers(watcher).into_iter().map(|user| self.view(user)).filter(changed).collect();
        seen.sort_unstable_by_key(|view| view.version);
        seen
    }

    /// How `user` is shown to `watcher`, who shares a chat with them or does not.
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

    /// The people of a chat who have a session or a ticket, if `user` is one of them.
    pub(super) fn company(&self, chat: ChatId, user: UserId) -> Option<&HashSet<UserId>> {
        self.chats.get(&chat).filter(|people| people.contains(&user))
    }

    /// Whether others must not learn that this person is here. It holds for a while after the last device has gone: what
    /// the person read comes later.
    pub(super) fn is_hidden(&self, user: UserId) -> bool {
        self.people.get(&user).is_some_and(|person| person.hidden)
    }

    pub(super) fn is_shown(&self, user: UserId) -> bool {
        self.people.get(&user).is_some_and(|person| person.shown != Shown::Offline)
    }
}

#[cfg(test)]
#[path = "people_test.rs"]
mod tests;
