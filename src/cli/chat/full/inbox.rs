//! Notifications of the user.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cli::chat::text::{clean_line, shorten};
use crate::domain::ids::{ChatId, MessageId, NotificationId, Seq};
use crate::domain::message::Message;
use crate::domain::notification::{NotificationKind, PushReason};
use crate::protocol::answer::ReceivedPacket;
use crate::protocol::view::{EventData, NotificationView};

/// Notifications kept; the server keeps 400.
const KEPT_MAX: usize = 400;
/// Messages whose beginnings are kept.
const EXCERPTS_MAX: usize = 2 * KEPT_MAX;
const EXCERPT_CHARACTERS: usize = 160;

#[derive(Deserialize)]
struct Page {
    items: Vec<NotificationView>,
}

/// Whether the server's list is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Loading {
    #[default]
    Running,
    Done,
    /// The reason why the list cannot be read.
    Failed(String),
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) loading: Loading,
    by_id: BTreeMap<NotificationId, NotificationView>,
    excerpts: BTreeMap<MessageId, String>,
}

impl Inbox {
    pub(super) fn begin_loading(&mut self) {
        self.loading = Loading::Running;
    }

    /// Replaces everything by a page of the server's list.
    pub(super) fn load(&mut self, page: Value) {
        match serde_json::from_value::<Page>(page) {
            Ok(page) => {
                self.by_id = page.items.into_iter().map(|item| (item.id, item)).collect();
                self.loading = Loading::Done;
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// The list cannot be read. Notifications that are known already stay.
    pub(super) fn fail(&mut self, reason: &str) {
        self.loading = Loading::Failed(reason.to_owned());
    }

    pub(super) fn add(&mut self, notification: NotificationView) {
        self.by_id.insert(notification.id, notification);
        while self.by_id.len() > KEPT_MAX {
            self.by_id.pop_first();
        }
    }

    /// Handles `NotificationsRead`.
    pub(super) fn read(&mut self, packet: &ReceivedPacket) {
        for notification in self.by_id.values_mut().filter(|kept| kept.read_at.is_none()) {
            let is_read = match (packet.notification_id, packet.chat_id, packet.seq) {
                (Some(id), ..) => notification.id == id,
                (None, Some(chat), Some(seq)) => {
                    notification.chat_id == Some(chat) && notification.seq.is_some_and(|at| at <= seq)
                }
                _ => true,
            };
            if is_read {
                notification.read_at = packet.read_at;
            }
        }
    }

    /// A deleted message takes its notifications with it.
    pub(super) fn apply(&mut self, event: &EventData) {
        if let Some(message) = &event.message {
            self.quote(message);
        }
        if event.kind == "delete" {
            self.by_id.retain(|_, kept| kept.message_id.is_none() || kept.message_id != event.message_id);
        }
    }

    /// Returns the notifications, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &NotificationView> {
        self.by_id.values().rev()
    }

    pub(super) fn unread(&self) -> usize {
        self.by_id.values().filter(|kept| kept.read_at.is_none()).count()
    }

    /// Returns the number of unread mentions and replies in a chat.
    pub(super) fn mentions(&self, chat: ChatId, above: Seq) -> usize {
        self.mentions_of(chat, above).count()
    }

    /// Returns the seq of the first unread mention or reply in a chat behind a seq.
    pub(super) fn next_mention(&self, chat: ChatId, above: Seq) -> Option<Seq> {
        self.mentions_of(chat, above).min()
    }

    fn mentions_of(&self, chat: ChatId, above: Seq) -> impl Iterator<Item = Seq> {
        let unread =
            self.by_id.values().filter(move |kept| kept.read_at.is_none() && kept.chat_id == Some(chat));
        let counts = unread.filter(|kept| match kept.kind {
            NotificationKind::Mention | NotificationKind::Reply | NotificationKind::Thread => true,
            // A commit or the text of the push names the user.
            NotificationKind::Push => kept.reason == Some(PushReason::Named),
            _ => false,
        });
        counts.filter_map(|kept| kept.seq).filter(move |seq| *seq > above)
    }

    /// Returns the beginning of the message of a notification, if it is known.
    pub(super) fn excerpt(&self, message: MessageId) -> Option<&str> {
        self.excerpts.get(&message).map(String::as_str)
    }

    /// Keeps the beginning of a message, for notifications about it.
    pub(super) fn quote(&mut self, message: &Message) {
        if message.deleted {
            self.excerpts.remove(&message.id);
            return;
        }
        self.excerpts.insert(message.id, shorten(&clean_line(&message.content), EXCERPT_CHARACTERS));
        while self.excerpts.len() > EXCERPTS_MAX {
            self.excerpts.pop_first();
        }
    }

    /// Returns the places of messages whose text the first notifications lack.
    pub(super) fn unquoted(&self, count: usize) -> Vec<(ChatId, Seq)> {
        let shown = self.newest_first().take(count);
        let lacking = shown.filter(|kept| kept.message_id.is_some_and(|id| !self.excerpts.contains_key(&id)));
        lacking.filter_map(|kept| kept.chat_id.zip(kept.seq)).collect()
    }
}
