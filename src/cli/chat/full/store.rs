//! The state that the server reported: chats, their positions, and the rule of the client for
//! events (docs/PROTOCOL.md, sections 6, 9 and 10). A plain struct without I/O.
//!
//! Invariants
//! * `last` of a chat is the seq up to which every event was applied, each once and in order.
//! * An event after a gap is dropped, and the chat is resumed from `last`. While the replay runs,
//!   the chat is in `resuming`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use super::history::History;
use super::names::Names;
use super::switch::NO_CHAT;
use crate::cli::chat::listing::{self, Listing};
use crate::cli::chat::people::People;
use crate::domain::chat::{ChatKind, channel_key};
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::notification::NotifyLevel;
use crate::protocol::answer::ReceivedPacket;
use crate::protocol::view::{ChatSummary, EventData};

/// Chats without a summary whose heads are kept.
const UNLISTED_MAX: usize = 10_000;
/// Cursors in a `Resume`: the server's maximum.
const CURSORS_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Chat {
    pub(super) kind: ChatKind,
    pub(super) name: Option<String>,
    pub(super) peer: Option<String>,
    pub(super) archived: bool,
    pub(super) active: bool,
    pub(super) hidden: bool,
    pub(super) notify: NotifyLevel,
    pub(super) unread: i64,
    /// Unread messages up to this seq are in `unread` already.
    counted_seq: Seq,
    pub(super) read_seq: Seq,
    /// The read cursor that was sent to the server.
    pub(super) sent_read_seq: Seq,
    pub(super) last: Seq,
    pub(super) history: History,
}

impl Chat {
    fn of(summary: &ChatSummary) -> Self {
        Self {
            kind: summary.kind,
            name: None,
            peer: None,
            archived: false,
            active: true,
            hidden: false,
            notify: NotifyLevel::All,
            unread: 0,
            counted_seq: 0,
            read_seq: 0,
            sent_read_seq: 0,
            last: summary.last_seq,
            history: History::default(),
        }
    }

    /// Returns whether the user can write in the chat, as far as the client knows.
    pub(super) fn is_open(&self) -> bool {
        !self.archived && self.active
    }
}

/// Effect of an event that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// The event was dropped or is not a message of another user.
    Other,
    /// A new message of another user.
    Message,
    /// The user left the chat or was removed.
    Left,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) me: UserId,
    pub(super) chats: BTreeMap<ChatId, Chat>,
    pub(super) names: Names,
    pub(super) people: People,
    /// Chats by their number, from 1. A number that is free holds [`NO_CHAT`]. A chat keeps its
    /// number as long as the user is in it.
    pub(super) numbers: Vec<ChatId>,
    unlisted: HashMap<ChatId, Seq>,
    /// Chats that must be resumed.
    to_resume: BTreeSet<ChatId>,
    resuming: BTreeSet<ChatId>,
    listing: Listing,
    /// Pushes were dropped: no chat is live before it is resumed, also those that the running
    /// listing finds.
    is_behind: bool,
}

impl Store {
    pub(super) fn new(me: UserId) -> Self {
        Self {
            me,
            chats: BTreeMap::new(),
            names: Names::default(),
            people: People::default(),
            numbers: Vec::new(),
            unlisted: HashMap::new(),
            to_resume: BTreeSet::new(),
            resuming: BTreeSet::new(),
            listing: Listing::default(),
            is_behind: false,
        }
    }

    /// A session begins: nothing of the earlier one is in progress.
    pub(super) fn connected(&mut self) {
        self.resuming.clear();
        self.to_resume.clear();
        self.unlisted.clear();
        self.is_behind = false;
        self.people = People::default();
        self.chats.values_mut().for_each(|chat| {
            chat.history.loading = None;
            chat.sent_read_seq = 0;
        });
        self.begin_listing();
    }

    pub(super) fn begin_listing(&mut self) {
        self.listing.begin();
    }

    /// Stores a page of the list of chats.
    pub(super) fn list(&mut self, summaries: &[ChatSummary]) {
        for summary in summaries {
            self.learn(summary);
            self.listing.found(summary.id);
        }
    }

    /// Completes the listing. Returns the chats that the user is no longer in.
    pub(super) fn end_listing(&mut self) -> Vec<ChatId> {
        if !self.listing.is_running() {
            return Vec::new();
        }
        let gone = self.listing.end(self.chats.keys());
        gone.iter().for_each(|id| self.discard(*id));
        self.unlisted.clear();
        self.is_behind = false;
        self.number();
        gone
    }

    pub(super) fn discard(&mut self, id: ChatId) {
        self.chats.remove(&id);
        self.to_resume.remove(&id);
        self.resuming.remove(&id);
    }

    /// Stores a summary, which may be older than events that arrived before it.
    pub(super) fn learn(&mut self, summary: &ChatSummary) {
        let id = summary.id;
        let head = summary.last_seq.max(self.unlisted.remove(&id).unwrap_or(0));
        let chat = self.chats.entry(id).or_insert_with(|| Chat::of(summary));
        if summary.last_seq >= chat.last {
            chat.name.clone_from(&summary.name);
            chat.archived = summary.archived;
            chat.active = summary.active;
            chat.hidden = summary.hidden;
            chat.notify = summary.notify;
        }
        if summary.last_seq > chat.counted_seq {
            chat.unread = summary.unread_count;
            chat.counted_seq = summary.last_seq;
        }
        // An answer about a single chat does not include the other user of a direct chat.
        if summary.peer.is_some() {
            chat.peer.clone_from(&summary.peer);
        }
        chat.read_seq = chat.read_seq.max(summary.read_seq);
        if chat.last != head || self.is_behind {
            self.to_resume.insert(id);
        }
    }

    /// Returns the cursors of chats to resume now, and counts them as resuming.
    pub(super) fn cursors(&mut self) -> BTreeMap<ChatId, u64> {
        let ids = std::mem::take(&mut self.to_resume);
        let mut cursors = BTreeMap::new();
        for id in ids {
            let Some(chat) = self.chats.get(&id).filter(|_| !self.resuming.contains(&id)) else { continue };
            if cursors.len() == CURSORS_MAX {
                self.to_resume.insert(id);
                continue;
            }
            cursors.insert(id, u64::try_from(chat.last).unwrap_or(0));
            self.resuming.insert(id);
        }
        cursors
    }

    /// Applies an event that was pushed, by the rule of the client.
    pub(super) fn apply(&mut self, event: &EventData) -> Applied {
        let id = event.chat_id;
        let joined = event.chat.as_ref().filter(|_| event.kind == "join" && event.user_id == Some(self.me));
        if let (Some(summary), false) = (joined, self.chats.contains_key(&id)) {
            self.learn(summary);
            if let Some(chat) = self.chats.get_mut(&id) {
                chat.last = event.seq - 1;
            }
            self.to_resume.remove(&id);
            self.number();
        }
        self.listing.found(id);
        let Some(chat) = self.chats.get_mut(&id) else {
            if self.unlisted.len() < UNLISTED_MAX {
                let head = self.unlisted.entry(id).or_insert(event.seq);
                *head = event.seq.max(*head);
            }
            return Applied::Other;
        };
        if event.seq > chat.last + 1 {
            self.to_resume.insert(id);
        }
        if event.seq != chat.last + 1 {
            return Applied::Other;
        }
        chat.last = event.seq;
        chat.history.apply(event);
        self.take(event)
    }

    fn take(&mut self, event: &EventData) -> Applied {
        let (id, me) = (event.chat_id, self.me);
        let Some(chat) = self.chats.get_mut(&id) else { return Applied::Other };
        match event.kind.as_str() {
            "message" => {
                let Some(message) = &event.message else { return Applied::Other };
                let appears = std::mem::take(&mut chat.hidden);
                self.people.stops_typing(id, message.sender_id, Instant::now());
                if message.sender_id == me {
                    return Applied::Other;
                }
                if event.seq > chat.counted_seq {
                    chat.unread += 1;
                    chat.counted_seq = event.seq;
                }
                if appears {
                    self.number();
                }
                return Applied::Message;
            }
            "edit" => {
                event.actor_id.into_iter().for_each(|user| self.people.stops_typing(id, user, Instant::now()))
            }
            "rename" => chat.name.clone_from(&event.name),
            "archive" => chat.archived = event.archived.unwrap_or(false),
            // In a replay, a later event may join the user again.
            "leave" if event.user_id == Some(me) && !self.resuming.contains(&id) => {
                self.discard(id);
                return Applied::Left;
            }
            _ => {}
        }
        Applied::Other
    }

    /// Handles `Synced`: the chat is live.
    pub(super) fn synced(&mut self, id: ChatId) {
        self.resuming.remove(&id);
    }

    /// Handles `Limited` of a chat: too many events are missing. The part that is on the screen is
    /// loaded again.
    pub(super) fn limited(&mut self, id: ChatId, head: Seq) {
        self.resuming.remove(&id);
        if let Some(chat) = self.chats.get_mut(&id) {
            chat.last = chat.last.max(head);
            chat.history.unload();
        }
    }

    /// Handles `Limited` without a chat: pushes were dropped, so every chat is resumed. Returns
    /// whether a listing begins; a running one continues.
    pub(super) fn fell_behind(&mut self) -> bool {
        self.resuming.clear();
        self.to_resume = self.chats.keys().copied().collect();
        self.is_behind = true;
        let begins = !self.listing.is_running();
        if begins {
            self.begin_listing();
        }
        begins
    }

    /// The server refused a `Resume`: its chats must still be resumed.
    pub(super) fn resume_refused(&mut self, chats: &[ChatId]) {
        for id in chats.iter().filter(|id| self.chats.contains_key(id)) {
            self.resuming.remove(id);
            self.to_resume.insert(*id);
        }
    }

    /// Handles `Reset` of a chat: the cursor was above the head.
    pub(super) fn reset(&mut self, id: ChatId, head: Seq) {
        self.resuming.remove(&id);
        if let Some(chat) = self.chats.get_mut(&id) {
            chat.last = head;
            chat.history.unload();
        }
    }

    /// Returns whether the sums of a heartbeat's answer match, or cannot be compared now.
    pub(super) fn agrees(&self, count: usize, heads_sum: Seq) -> bool {
        if self.listing.is_running() || !self.resuming.is_empty() || !self.to_resume.is_empty() {
            return true;
        }
        self.chats.len() == count && self.chats.values().map(|chat| chat.last).sum::<Seq>() == heads_sum
    }

    /// Handles `Marks`: the user's own cursor moved, perhaps on another device.
    pub(super) fn marked(&mut self, packet: &ReceivedPacket) {
        let own = packet.marks.iter().find(|mark| mark.user_id == self.me);
        let (Some(id), Some(own), Some(unread)) = (packet.chat_id, own, packet.unread_count) else { return };
        let Some(chat) = self.chats.get_mut(&id) else { return };
        chat.read_seq = own.read_seq;
        chat.unread = unread;
        chat.counted_seq = chat.counted_seq.max(chat.last);
        chat.hidden = packet.hidden.unwrap_or(false);
    }

    /// The chat was read up to `seq` on this screen.
    pub(super) fn read(&mut self, id: ChatId, seq: Seq) {
        if let Some(chat) = self.chats.get_mut(&id).filter(|chat| seq >= chat.last) {
            chat.unread = 0;
            chat.counted_seq = chat.counted_seq.max(seq);
        }
    }

    pub(super) fn title(&self, id: ChatId) -> String {
        let chat = self.chats.get(&id);
        listing::title(
            id,
            chat.and_then(|chat| chat.name.as_deref()),
            chat.and_then(|chat| chat.peer.as_deref()),
        )
    }

    /// Returns the chats of the list, in the order of the screen: direct chats, groups, channels.
    pub(super) fn order(&self) -> Vec<ChatId> {
        let shown = self.chats.iter().filter(|(_, chat)| !chat.hidden);
        let place = |kind| match kind {
            ChatKind::Direct => 0,
            ChatKind::Group => 1,
            ChatKind::Channel => 2,
        };
        let mut order: Vec<_> =
            shown.map(|(id, chat)| (place(chat.kind), channel_key(&self.title(*id)), *id)).collect();
        order.sort();
        order.into_iter().map(|(.., id)| id).collect()
    }

    /// Gives a number to each chat of the list that has none: the first one that is free.
    pub(super) fn number(&mut self) {
        for number in &mut self.numbers {
            if !self.chats.contains_key(number) {
                *number = NO_CHAT;
            }
        }
        while self.numbers.pop_if(|number| *number == NO_CHAT).is_some() {}
        for id in self.order().into_iter().filter(|id| !self.numbers.contains(id)).collect::<Vec<_>>() {
            match self.numbers.iter_mut().find(|number| **number == NO_CHAT) {
                Some(free) => *free = id,
                None => self.numbers.push(id),
            }
        }
    }

    /// Returns the number of a chat, from 1.
    pub(super) fn number_of(&self, id: ChatId) -> Option<usize> {
        self.numbers.iter().position(|other| *other == id).map(|index| index + 1)
    }

    /// Returns the chat at an index of the numbers.
    pub(super) fn numbered(&self, index: usize) -> Option<ChatId> {
        self.numbers.get(index).copied().filter(|id| self.chats.contains_key(id))
    }

    /// Returns the chat with a number of the list or a title.
    pub(super) fn find(&self, wanted: &str) -> Result<ChatId, String> {
        let titles: Vec<_> = self.chats.keys().map(|id| (*id, self.title(*id))).collect();
        listing::find(wanted, &self.numbers, &titles)
    }
}
