//! Values that all parts of a drawing share: widths of columns, by their content, and the newest
//! own message.

use unicode_width::UnicodeWidthStr;

use super::model::Model;
use crate::cli::chat::text::clean_line;

/// Columns of the list of chats beside the names: number, mark, counts and border.
const LIST_REST: usize = 9;
const LIST_MIN: usize = 12;
/// Width of the screen below which the list is narrow.
const NARROW: u16 = 90;
const LIST_NARROW_MAX: u16 = 18;
/// Width of the screen from which the list is shown.
const LIST_FROM: u16 = 70;
/// Columns of the names of senders.
const NAME_MIN: usize = 3;

/// Widths in columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Widths {
    /// 0: the list is not shown.
    pub(super) list: u16,
    pub(super) name: usize,
}

impl Model {
    /// Fits the columns to the chats of the list and to the senders of the open chat.
    pub(super) fn measure(&mut self) {
        let width = self.size.0;
        let me = self.store.me;
        self.newest_own = self.open_state().and_then(|chat| {
            let mut newest_first = chat.history.messages().rev();
            newest_first.find(|message| message.sender_id == me).map(|message| message.seq)
        });
        self.widths = Widths { list: self.list_columns(width), name: self.name_columns(width) };
    }

    fn list_columns(&self, width: u16) -> u16 {
        if self.list_hidden || width < LIST_FROM {
            return 0;
        }
        let shown = self.store.chats.iter().filter(|(_, chat)| !chat.hidden);
        let longest = shown.map(|(id, _)| clean_line(&self.store.title(*id)).width()).max().unwrap_or(0);
        let wanted = u16::try_from((longest + LIST_REST).max(LIST_MIN)).unwrap_or(u16::MAX);
        let limit = if width < NARROW { LIST_NARROW_MAX } else { u16::MAX };
        wanted.min(limit).min(self.config.list_width)
    }

    fn name_columns(&self, width: u16) -> usize {
        let most = match width {
            0..50 => 8,
            50..110 => 12,
            _ => 16,
        };
        let senders = self.open_state().into_iter().flat_map(|chat| chat.history.senders());
        let names = senders.chain([self.store.me]).map(|user| clean_line(&self.store.names.of(user)).width());
        names.max().unwrap_or(0).clamp(NAME_MIN, most)
    }
}
