//! The chats: heads, participants, cursors and windows.

mod removal;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::counters::CacheCounters;
use super::deleted::DeletedOrdinals;
use super::window::{NotDense, Window};
use crate::core::fail_points;
use crate::domain::chat::{Audience, Chat, Participant};
use crate::domain::event::{Change, ChatEvent, Event};
use crate::domain::event_page::{EventPage, EventRange};
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::Message;
use crate::storage::snapshot::{Snapshot, WindowRows};

#[derive(Debug)]
pub(super) struct ChatState {
    pub(super) chat: Chat,
    pub(super) people: BTreeMap<UserId, Participant>,
    deleted: DeletedOrdinals,
    window: WindowState,
    /// Logical clock of the last access, for LRU eviction; 0 = never used.
    used: u64,
}

#[derive(Debug)]
enum WindowState {
    Absent,
    /// Being read from the database. Events of the meantime wait in `tail`, which begins at `from`.
    Filling {
        generation: u64,
        from: Seq,
        tail: Vec<Arc<ChatEvent>>,
        /// Messages that changed meanwhile, as they were after each change.
        changed: Vec<Arc<Message>>,
        /// Messages that were removed meanwhile and are shown by edits.
        removed: Vec<MessageId>,
    },
    Ready(Window),
}

/// A fill that the reader pool must do, identified by its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    pub(super) chat: ChatId,
    pub(super) generation: u64,
}

/// The result of reading a page from a window.
#[derive(Debug)]
pub(super) enum Lookup {
    Here(EventPage),
    /// The page lies below the window and must be read from the database.
    Below {
        as_of: Seq,
    },
    /// No window exists yet. `Some`: this is the first caller, and must have the window filled.
    Missing(Option<Fill>),
}

#[derive(Debug)]
pub(super) struct Chats {
    chats: HashMap<ChatId, ChatState>,
    of_user: HashMap<UserId, BTreeSet<ChatId>>,
    channels: BTreeSet<ChatId>,
    /// Chats that every user can read.
    public: BTreeSet<ChatId>,
    /// Uses of windows, oldest first: the order of eviction.
    uses: BTreeMap<u64, ChatId>,
    clock: u64,
    window_bytes: usize,
    window_bytes_max: usize,
    messages_max: usize,
    generation: u64,
}

impl ChatState {
    /// Returns whether the user has hidden the chat, and it has no new message since.
    pub(super) fn is_hidden(&self, user: UserId) -> bool {
        self.people.get(&user).is_some_and(|person| person.hides(self.chat.last_ordinal))
    }

    /// Returns the number of unread messages of a user, who may not be in the chat. Deleted and own
    /// messages do not count.
    pub(super) fn unread(&self, user: UserId) -> i64 {
        self.people.get(&user).map_or(0, |person| {
            let below = person.read_ordinal.max(self.chat.trimmed_ordinal);
            let own = |(first, last): (i64, i64)| last - first + 1 - self.deleted.within(first, last);
            let own: i64 = person.own.above(below).map(own).sum();
            self.chat.last_ordinal - below - self.deleted.above(below) - own
        })
    }
}

impl Chats {
    pub(super) fn load(snapshot: &mut Snapshot, messages_max: usize, window_bytes_max: usize) -> Self {
        let mut this = Self {
            chats: HashMap::with_capacity(snapshot.chats.len()),
            of_user: HashMap::new(),
            channels: BTreeSet::new(),
            public: BTreeSet::new(),
            uses: BTreeMap::new(),
            clock: 0,
            window_bytes: 0,
            window_bytes_max,
            messages_max,
            generation: 0,
        };
        for chat in std::mem::take(&mut snapshot.chats) {
            this.insert(chat, WindowState::Absent);
        }
        for (chat, participant) in std::mem::take(&mut snapshot.participants) {
            this.enter(chat, participant);
        }
        for (chat, ordinal) in std::mem::take(&mut snapshot.deleted) {
            if let Some(state) = this.chats.get_mut(&chat) {
                state.deleted.insert(ordinal);
            }
        }
        // The most recently active chats come first. The last window to be installed is the last to
        // be evicted.
        for rows in std::mem::take(&mut snapshot.windows).into_iter().rev() {
            let trimmed = this.get(rows.chat_id).map_or(0, |state| state.chat.trimmed_seq);
            match Window::from_rows(rows.entries, rows.head, messages_max) {
                Ok(mut window) => {
                    window.trim(trimmed, &[]);
                    this.install(rows.chat_id, window);
                }
                Err(NotDense) => tracing::error!(chat.id = %rows.chat_id, "the chat's events are not dense"),
            }
        }
        this.evict(None);
        this
    }

    fn insert(&mut self, chat: Chat, window: WindowState) {
        match chat.audience {
            Audience::Joinable => drop(self.channels.insert(chat.id)),
            Audience::Public => drop(self.public.insert(chat.id)),
            Audience::Members => {}
        }
        self.chats.insert(
            chat.id,
            ChatState { chat, people: BTreeMap::new(), deleted: DeletedOrdinals::default(), window, used: 0 },
        );
    }

    fn enter(&mut self, chat: ChatId, participant: Participant) {
        self.of_user.entry(participant.user_id).or_default().insert(chat);
        if let Some(state) = self.chats.get_mut(&chat) {
            state.people.insert(participant.user_id, participant);
        }
    }

    /// Applies a committed event. A gap in a chat's sequence is [`NotDense`].
    pub(super) fn apply(&mut self, event: &Event) -> Result<(), NotDense> {
        match event {
            Event::ChatCreated { chat } => {
                let window = Window::empty(self.messages_max);
                self.insert((**chat).clone(), WindowState::Ready(window));
                self.touch(chat.id);
                Ok(())
            }
            Event::Chat(event) => self.append(event),
            Event::ChatDeleted { chat_id } => {
                self.remove(*chat_id);
                Ok(())
            }
            Event::MessageChanged { message } => {
                self.change_message(message);
                Ok(())
            }
            Event::CursorsMoved { chat_id, participant } => {
                let people = self.chats.get_mut(chat_id).map(|state| &mut state.people);
                if let Some(known) = people.and_then(|people| people.get_mut(&participant.user_id)) {
                    known.merge_cursors(participant);
                }
                Ok(())
            }
            Event::CursorsMovedBack { chat_id, participant } => {
                let people = self.chats.get_mut(chat_id).map(|state| &mut state.people);
                if let Some(known) = people.and_then(|people| people.get_mut(&participant.user_id)) {
                    known.clone_from(participant);
                }
                Ok(())
            }
            Event::HiddenSet { chat_id, user_id, ordinal } => {
                if let Some(known) = self.chats.get_mut(chat_id).and_then(|s| s.people.get_mut(user_id)) {
                    known.hidden_ordinal = *ordinal;
                }
                Ok(())
            }
            Event::NotifyLevelSet { chat_id, user_id, level } => {
                if let Some(known) = self.chats.get_mut(chat_id).and_then(|s| s.people.get_mut(user_id)) {
                    known.notify = *level;
                }
                Ok(())
            }
            Event::Trimmed { chat_id, seq, ordinal, edited } => {
                self.trim(*chat_id, (*seq, *ordinal), edited);
                Ok(())
            }
            Event::RetentionSet { chat_id, keep } => {
                if let Some(state) = self.chats.get_mut(chat_id) {
                    state.chat.retention = *keep;
                }
                Ok(())
            }
            Event::AudienceChanged { chat_id, audience } => {
                if let Some(state) = self.chats.get_mut(chat_id) {
                    state.chat.audience = *audience;
                    match audience {
                        Audience::Public => self.public.insert(*chat_id),
                        Audience::Members | Audience::Joinable => self.public.remove(chat_id),
                    };
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, event: &Arc<ChatEvent>) -> Result<(), NotDense> {
        let Some(state) = self.chats.get_mut(&event.chat_id) else { return Err(NotDense) };
        if event.seq != state.chat.last_seq + 1 {
            return Err(NotDense);
        }
        state.chat.last_seq = event.seq;
        match &event.change {
            Change::Message(message) => {
                state.chat.last_ordinal = message.ordinal;
                state.chat.last_message_id = Some(message.id);
                if let Some(sender) = state.people.get_mut(&message.sender_id) {
                    sender.say(event.seq, message.ordinal, state.chat.trimmed_ordinal);
                }
            }
            Change::Join { user_id, role } => {
                let person =
                    Participant::joining(*user_id, event.actor_id, *role, event.seq, state.chat.last_ordinal);
                state.people.insert(*user_id, person);
                self.of_user.entry(*user_id).or_default().insert(event.chat_id);
            }
            Change::Leave { user_id, .. } => {
                state.people.remove(user_id);
                if let Some(chats) = self.of_user.get_mut(user_id) {
                    chats.remove(&event.chat_id);
                }
            }
            Change::Role { user_id, role } => {
                if let Some(participant) = state.people.get_mut(user_id) {
                    participant.role = *role;
                }
            }
            Change::Rename { name } => state.chat.name = Some(name.clone()),
            Change::Archive { archived } => state.chat.archived = *archived,
            Change::Push(_)
            | Change::Edit(_)
            | Change::Delete { .. }
            | Change::React { .. }
            | Change::Unreact { .. }
            | Change::Pin { .. }
            | Change::Unpin { .. }
            | Change::Trim { .. } => {}
        }
        match &mut state.window {
            WindowState::Absent => Ok(()),
            WindowState::Filling { tail, .. } => {
                tail.push(event.clone());
                Ok(())
            }
            WindowState::Ready(window) => {
                let before = window.bytes();
                window.push(event.clone())?;
                self.window_bytes = self.window_bytes + window.bytes() - before;
                Ok(())
            }
        }
    }

    /// Replaces the message wherever the chat's window shows it. A fill gets the change when it is
    /// joined.
    fn change_message(&mut self, message: &Arc<Message>) {
        let Some(state) = self.chats.get_mut(&message.chat_id) else { return };
        if message.deleted && message.ordinal > state.chat.trimmed_ordinal {
            state.deleted.insert(message.ordinal);
        }
        match &mut state.window {
            WindowState::Absent => {}
            WindowState::Filling { changed, .. } => changed.push(message.clone()),
            WindowState::Ready(window) => {
                let before = window.bytes();
                window.change(message);
                self.window_bytes = self.window_bytes + window.bytes() - before;
            }
        }
    }

    pub(super) fn get(&self, chat: ChatId) -> Option<&ChatState> {
        self.chats.get(&chat)
    }

    /// Returns the chats of a user, by id, above `after`.
    pub(super) fn of_user(&self, user: UserId, after: ChatId) -> impl Iterator<Item = &ChatState> {
        let ids = self.of_user.get(&user).map(|ids| ids.range(ChatId(after.0.saturating_add(1))..));
        ids.into_iter().flatten().filter_map(|id| self.chats.get(id))
    }

    /// Returns the ids of the chats of a user.
    pub(super) fn ids_of(&self, user: UserId) -> &BTreeSet<ChatId> {
        static NONE: BTreeSet<ChatId> = BTreeSet::new();
        self.of_user.get(&user).unwrap_or(&NONE)
    }

    /// Returns the chats that every user can read.
    pub(super) fn public(&self) -> &BTreeSet<ChatId> {
        &self.public
    }

    /// Returns the channels that `user` is not in, by id, above `after`.
    pub(super) fn channels_without(&self, user: UserId, after: ChatId) -> impl Iterator<Item = &ChatState> {
        let ids = self.channels.range(ChatId(after.0.saturating_add(1))..);
        ids.filter_map(|id| self.chats.get(id))
            .filter(move |s| !s.people.contains_key(&user) && !s.chat.archived)
    }

    pub(super) fn page(&mut self, chat: ChatId, range: &EventRange) -> Lookup {
        let Some(state) = self.chats.get_mut(&chat) else { return Lookup::Below { as_of: 0 } };
        let as_of = state.chat.last_seq;
        match &state.window {
            WindowState::Ready(window) => {
                let page = window.page(range);
                self.touch(chat);
                page.map_or(Lookup::Below { as_of }, Lookup::Here)
            }
            WindowState::Filling { .. } => Lookup::Missing(None),
            WindowState::Absent => {
                self.generation += 1;
                let generation = self.generation;
                state.window = WindowState::Filling {
                    generation,
                    from: as_of + 1,
                    tail: Vec::new(),
                    changed: Vec::new(),
                    removed: Vec::new(),
                };
                Lookup::Missing(Some(Fill { chat, generation }))
            }
        }
    }

    /// Returns the newest message, if it is in memory.
    pub(super) fn last_message(state: &ChatState) -> Option<&Arc<ChatEvent>> {
        match &state.window {
            WindowState::Ready(window) => window.last_message(),
            _ => None,
        }
    }

    /// Joins the rows of a fill with the events of the meantime. A fill of another generation is
    /// void.
    pub(super) fn filled(&mut self, fill: Fill, rows: WindowRows) -> Result<(), NotDense> {
        let messages_max = self.messages_max;
        let Some(state) = self.chats.get_mut(&fill.chat) else { return Ok(()) };
        let WindowState::Filling { generation, from, tail, changed, removed } = &mut state.window else {
            return Ok(());
        };
        if *generation != fill.generation {
            return Ok(());
        }
        let (from, changed, removed) = (*from, std::mem::take(changed), std::mem::take(removed));
        // Rows read before a trim lie below it.
        let trimmed = state.chat.trimmed_seq;
        // The read began after `from` was registered, so it may contain some of the tail: these are
        // taken once, from the tail.
        let below = rows.entries.into_iter().filter(|entry| entry.seq < from && entry.seq > trimmed);
        let joined = below.chain(std::mem::take(tail));
        match Window::from_rows(joined, state.chat.last_seq, messages_max) {
            Ok(mut window) => {
                changed.iter().for_each(|message| window.change(message));
                window.trim(trimmed, &removed);
                self.install(fill.chat, window);
                Ok(())
            }
            Err(NotDense) => {
                state.window = WindowState::Absent;
                Err(NotDense)
            }
        }
    }

    /// The fill could not be read. The next caller starts another one.
    pub(super) fn fill_failed(&mut self, fill: Fill) {
        if let Some(state) = self.chats.get_mut(&fill.chat)
            && matches!(state.window, WindowState::Filling { generation, .. } if generation == fill.generation)
        {
            state.window = WindowState::Absent;
        }
    }

    fn install(&mut self, chat: ChatId, window: Window) {
        if let Some(state) = self.chats.get_mut(&chat) {
            self.window_bytes += window.bytes();
            state.window = WindowState::Ready(window);
            self.touch(chat);
        }
    }

    fn touch(&mut self, chat: ChatId) {
        let Some(state) = self.chats.get_mut(&chat) else { return };
        self.uses.remove(&state.used);
        self.clock += 1;
        state.used = self.clock;
        self.uses.insert(self.clock, chat);
    }

    /// Evicts the least recently used windows until the budget holds.
    pub(super) fn evict(&mut self, counters: Option<&CacheCounters>) {
        while self.window_bytes > self.window_bytes_max {
            let Some((_, chat)) = self.uses.pop_first() else { return };
            fail_points::reach(fail_points::EVICTION);
            self.drop_window(chat);
            if let Some(counters) = counters {
                counters.evictions.inc();
            }
        }
    }

    fn drop_window(&mut self, chat: ChatId) {
        if let Some(state) = self.chats.get_mut(&chat)
            && let WindowState::Ready(window) = std::mem::replace(&mut state.window, WindowState::Absent)
        {
            self.window_bytes -= window.bytes();
            self.uses.remove(&state.used);
            state.used = 0;
        }
    }

    /// Evicts one window, whatever the budget. Tests inject evictions with it.
    #[cfg(test)]
    pub(super) fn evict_one(&mut self, chat: ChatId) {
        self.drop_window(chat);
    }

    /// Returns the generation of the last fill that was requested.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Continues the numbering of fills, so that a fill of an earlier load is never taken for a
    /// current one.
    pub(super) fn continue_from(&mut self, generation: u64) {
        self.generation = generation;
    }

    pub(super) fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// Returns how `self` differs from `fresh`, apart from windows; empty when they agree.
    pub(super) fn differences(&self, fresh: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let ids: BTreeSet<_> = self.chats.keys().chain(fresh.chats.keys()).collect();
        for id in ids {
            match (self.chats.get(id), fresh.chats.get(id)) {
                (Some(a), Some(b)) if a.chat == b.chat && a.people == b.people && a.deleted == b.deleted => {}
                (a, b) => found.push(format!(
                    "chat {id}: {:?} against {:?}",
                    a.map(|s| (&s.chat, &s.people, &s.deleted)),
                    b.map(|s| (&s.chat, &s.people, &s.deleted))
                )),
            }
        }
        let lists = |chats: &Self| {
            let all = chats.of_user.iter().filter(|(_, ids)| !ids.is_empty());
            all.map(|(user, ids)| (*user, ids.clone())).collect::<BTreeMap<_, _>>()
        };
        if lists(self) != lists(fresh) {
            found.push("the lists of chats by user differ".to_owned());
        }
        if self.channels != fresh.channels {
            found.push("the lists of channels differ".to_owned());
        }
        if self.public != fresh.public {
            found.push("the lists of public chats differ".to_owned());
        }
        found
    }

    /// Returns the chats whose windows are in memory on both sides and differ.
    #[cfg(test)]
    pub(super) fn window_differences(&self, fresh: &Self) -> Vec<ChatId> {
        let ready = |state: &ChatState| match &state.window {
            WindowState::Ready(window) => Some(window.clone()),
            _ => None,
        };
        let both = self
            .chats
            .iter()
            .filter_map(|(id, state)| Some((id, ready(state)?, ready(fresh.chats.get(id)?)?)));
        both.filter(|(_, ours, theirs)| ours != theirs).map(|(id, ..)| *id).collect()
    }
}
