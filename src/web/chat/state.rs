//! The data with which the chat program starts: a part of what its session sends later.
//!
//! The size has a bound. Chats come first, then the newest events of the open chat, then users.
//! Items that do not fit are left out and marked by `has_more`; the program requests them over its
//! session.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::domain::ids::ChatId;
use crate::domain::user::User;
use crate::protocol::view::{ChatSummary, EventView, UserView};
use crate::services::FirstChats;
use crate::services::chat_start::NewestEvents;
use crate::web::paint::SafeHtml;
use crate::web::paint::data_block::data_block;

/// Maximum size of the lists together, in bytes. About 15 KB after compression.
const LISTS_BYTES_MAX: usize = 60_000;
/// Maximum size of the list of chats, in bytes: 200 chats with names of usual length.
const CHATS_BYTES_MAX: usize = 36_000;
/// Minimum size that is left for users, in bytes: the senders of the events.
const USERS_BYTES_MIN: usize = 4_000;

/// The values of a page at its start.
pub(super) struct State<'a> {
    pub(super) me: &'a User,
    pub(super) first: &'a FirstChats,
    /// The open chat, if the user may read it.
    pub(super) open: Option<(ChatId, &'a NewestEvents)>,
}

/// The same values in the form of the protocol.
#[derive(Serialize)]
struct StateView<'a> {
    me: UserView,
    epoch: i64,
    version: &'static str,
    chats: Vec<&'a ChatSummary>,
    has_more: bool,
    users: Vec<UserView>,
    open: Option<OpenView<'a>>,
}

#[derive(Serialize)]
struct OpenView<'a> {
    chat_id: ChatId,
    /// Ascending.
    events: Vec<EventView<'a>>,
    has_more: bool,
}

/// Returns the state as the data block of the page.
pub(super) fn data_of(state: &State<'_>) -> SafeHtml {
    let State { me, first, open } = state;
    let chats = fitting(first.chats.items.iter(), CHATS_BYTES_MAX);
    let left = LISTS_BYTES_MAX.saturating_sub(chats.bytes);
    let newest = open.as_ref().map_or(&[][..], |(_, newest)| newest.page.events.as_slice());
    let newest_first = newest.iter().rev().map(|event| EventView::listed(event));
    let mut events = fitting(newest_first, left.saturating_sub(USERS_BYTES_MIN));
    events.items.reverse();
    let mut seen = BTreeSet::from([me.id]);
    let named = open.iter().flat_map(|(_, newest)| &newest.users).chain(&first.peers);
    let named = named.filter(|user| seen.insert(user.id)).map(|user| UserView::from(&**user));
    let users = fitting(named, left.saturating_sub(events.bytes)).items;
    data_block(&StateView {
        me: (*me).into(),
        epoch: first.epoch,
        version: env!("CARGO_PKG_VERSION"),
        has_more: first.chats.has_more || chats.items.len() < first.chats.items.len(),
        chats: chats.items,
        users,
        open: open.as_ref().map(|(chat, newest)| OpenView {
            chat_id: *chat,
            has_more: newest.page.has_more || events.items.len() < newest.page.events.len(),
            events: events.items,
        }),
    })
}

/// The beginning of a list, and its size as JSON.
struct Fitting<T> {
    items: Vec<T>,
    bytes: usize,
}

/// Returns the first items that take at most `bytes_max` bytes in the data block.
fn fitting<T: Serialize>(items: impl Iterator<Item = T>, bytes_max: usize) -> Fitting<T> {
    let mut kept = Fitting { items: Vec::new(), bytes: 0 };
    for item in items {
        // With the comma.
        let bytes = kept.bytes.saturating_add(data_block(&item).as_str().len()).saturating_add(1);
        if bytes > bytes_max {
            break;
        }
        kept.bytes = bytes;
        kept.items.push(item);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_cut_where_its_bytes_end() {
        let kept = fitting(["a", "<", "b"].into_iter(), 12);
        assert_eq!((kept.items.as_slice(), kept.bytes), (["a"].as_slice(), 4));
        let kept = fitting(["a", "<", "b"].into_iter(), 13);
        assert_eq!((kept.items.as_slice(), kept.bytes), (["a", "<"].as_slice(), 13));
        assert!(fitting(["long"].into_iter(), 3).items.is_empty());
    }
}
