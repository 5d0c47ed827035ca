//! The open chat and the texts in its prompt.
//!
//! Invariant: typed text is never lost. A text that leaves the prompt is sent, is the draft of its
//! chat, waits beneath another text, is listed among the texts that were not sent, or can be
//! brought back by Ctrl-Z.

use reqwest::Method;

use super::draft::{Draft, Purpose};
use super::model::{Focus, Model, Pane, Then};
use crate::cli::chat::outgoing::Unsent;
use crate::domain::ids::ChatId;

/// Chats whose loaded history is kept besides the open one.
const LOADED_MAX: usize = 4;
/// The place of a text that was written while no chat was open.
pub(super) const NO_CHAT: ChatId = ChatId(0);

impl Model {
    /// Opens a chat. The text that was being written stays the draft of the former chat; a text
    /// that was written without an open chat goes along.
    pub(super) fn open_chat(&mut self, id: ChatId) {
        self.pane = Pane::Chat;
        self.focus = Focus::Compose;
        self.selected = None;
        self.completion = None;
        if self.open == Some(id) {
            return;
        }
        // The answer of a command that opens another chat comes too late.
        self.busy = None;
        let homeless = if self.open.is_none() { self.take_draft() } else { Draft::default() };
        self.put_draft_away();
        self.open = Some(id);
        self.anchor = None;
        self.scroll_rest = 0;
        self.jump = None;
        self.search = None;
        self.recent.retain(|other| *other != id);
        self.recent.push_front(id);
        self.unload_others();
        let mut draft = self.drafts.remove(&id).unwrap_or_default();
        if !homeless.is_empty() {
            let own = std::mem::replace(&mut draft, homeless);
            draft.put_beneath(own);
        }
        self.set_draft(draft);
        self.is_unsaved = true;
        if self.is_online() {
            let path = format!("/api/chats/{id}/participants?limit=100");
            self.call(Method::GET, path, None, Then::Participants { chat: id, show: false });
        }
        let Some(chat) = self.store.chats.get(&id) else { return };
        let has_unread = chat.unread > 0;
        let (read, last) = (chat.read_seq, chat.last);
        self.new_after = has_unread.then_some(read);
        self.seen_to = if has_unread { read } else { last };
        if has_unread {
            self.start_at_new(id);
        }
    }

    /// Returns everything in the prompt, and beneath it.
    pub(super) fn draft(&self) -> Draft {
        let beneath = self.beneath.clone();
        Draft { text: self.editor.text().to_owned(), purpose: self.purpose, beneath }
    }

    fn take_draft(&mut self) -> Draft {
        let (purpose, beneath) = (std::mem::take(&mut self.purpose), std::mem::take(&mut self.beneath));
        Draft { text: self.editor.take(), purpose, beneath }
    }

    pub(super) fn set_draft(&mut self, draft: Draft) {
        self.editor.set(draft.text);
        self.purpose = draft.purpose;
        self.beneath = draft.beneath;
        if self.editor.is_empty() && self.purpose == Purpose::Message {
            self.bring_up();
        }
    }

    /// The text in the prompt was sent or left: the text beneath it returns, unless further input
    /// waits, which was not meant for that text.
    pub(super) fn next_draft(&mut self) {
        self.purpose = Purpose::Message;
        self.is_unsaved = true;
        if self.ahead.is_empty() && self.editor.is_empty() {
            self.bring_up();
        }
    }

    fn bring_up(&mut self) {
        if let Some(next) = self.beneath.pop() {
            self.editor.set(next.text);
            self.purpose = next.purpose;
        }
    }

    /// Begins another text. The present one waits beneath it.
    pub(super) fn begin_draft(&mut self, text: String, purpose: Purpose) {
        let earlier = self.take_draft();
        let mut draft = Draft { text, purpose, beneath: earlier.beneath };
        draft.beneath.push(Draft::new(earlier.text, earlier.purpose));
        draft.limit();
        self.editor.set(draft.text);
        (self.purpose, self.beneath) = (draft.purpose, draft.beneath);
        self.focus = Focus::Compose;
        self.selected = None;
        self.is_unsaved = true;
    }

    /// Puts a text back that the server did not accept: into the prompt if it is empty, otherwise
    /// beneath the text that is being written.
    pub(super) fn bring_back(&mut self, chat: ChatId, draft: Draft) {
        self.is_unsaved = true;
        if self.open != Some(chat) {
            return self.drafts.entry(chat).or_default().put_beneath(draft);
        }
        let mut present = self.take_draft();
        present.put_beneath(draft);
        self.set_draft(present);
    }

    /// Keeps the text in the prompt as a draft and empties the prompt.
    pub(super) fn put_draft_away(&mut self) {
        let draft = self.take_draft();
        if !draft.is_empty() {
            self.drafts.entry(self.open.unwrap_or(NO_CHAT)).or_default().extend(draft);
        }
        self.is_unsaved = true;
    }

    /// Opens the chat that the input was typed for, before the chat could be opened. Its draft is
    /// not mixed with this input: it waits beneath.
    pub(super) fn open_with_text(&mut self, id: ChatId) {
        let typed = self.editor.take();
        let is_typing = !typed.is_empty() || !self.ahead.is_empty();
        self.open_chat(id);
        if is_typing {
            self.begin_draft(typed, Purpose::Message);
        }
    }

    /// The chat does not exist any more. If it was open, its text stays in the prompt; a draft of
    /// another chat is listed among the texts that were not sent.
    pub(super) fn close_chat(&mut self, id: ChatId, reason: &str) {
        if self.open == Some(id) {
            self.open = None;
            let mut draft = self.take_draft();
            draft.refer_to_nothing();
            self.set_draft(draft);
            self.pane = Pane::Chat;
            self.focus = Focus::Compose;
            self.selected = None;
            self.anchor = None;
            self.info(reason.to_owned());
        }
        if let Some(draft) = self.drafts.remove(&id) {
            for text in draft.texts() {
                let unsent = Unsent::new(id, text.to_owned(), None);
                self.sending.keep_draft(unsent);
            }
        }
        self.recent.retain(|other| *other != id);
        self.is_unsaved = true;
    }

    fn unload_others(&mut self) {
        let kept: Vec<_> = self.recent.iter().take(LOADED_MAX + 1).copied().collect();
        for (id, chat) in &mut self.store.chats {
            if !kept.contains(id) {
                chat.history.unload();
            }
        }
    }
}
