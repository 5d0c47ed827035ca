//! The chats: heads, participants, cursors and windows.

mod differences;
mod removal;
mod windows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use windows::WindowState;
pub(super) use windows::{Fill, Lookup};

use super::deleted::DeletedOrdinals;
use super::window::{NotDense, Window};
use crate::domain::chat::{Audience, Chat, Participant};
use crate::domain::event::{Change, ChatEvent, Event};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::message::Message;
use crate::storage::snapshot::Snapshot;

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
            Event::ChatAvatarSet { chat_id, avatar } => {
                if let Some(state) = self.chats.get_mut(chat_id) {
                    state.chat.avatar.clone_from(avatar);
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
                    sender.record_sent(event.seq, message.ordinal, state.chat.trimmed_ordinal);
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

    pub(super) fn all(&self) -> impl Iterator<Item = &Chat> {
        self.chats.values().map(|state| &state.chat)
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
}
