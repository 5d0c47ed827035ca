//! The list of chats: names, choice by the user, and rounds of listing. For both front ends.

use std::collections::BTreeSet;

use crate::domain::chat::channel_key;
use crate::domain::ids::ChatId;
use crate::domain::text::nfc;

/// Chats that are named when several match.
const MATCHES_MAX: usize = 8;

/// Returns the title of a chat: its name, the other user of a direct chat, or its id.
pub(super) fn title(id: ChatId, name: Option<&str>, peer: Option<&str>) -> String {
    match (name, peer) {
        (Some(name), _) => name.to_owned(),
        (None, Some(peer)) => format!("@{peer}"),
        (None, None) => format!("chat {id}"),
    }
}

/// Returns the chat with a number, from 1, or a title. The strictest reading that matches wins: the
/// exact title, a title without regard to case, the beginning of a title.
pub(super) fn find(wanted: &str, numbered: &[ChatId], titles: &[(ChatId, String)]) -> Result<ChatId, String> {
    let number = wanted.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let is_known = |id: &&ChatId| titles.iter().any(|(other, _)| other == *id);
    if let Some(id) = number.and_then(|index| numbered.get(index)).filter(is_known) {
        return Ok(*id);
    }
    let bare = wanted.trim_start_matches(['#', '@']);
    let (exact, lower) = (nfc(bare), channel_key(bare));
    let readings: [&dyn Fn(&str) -> bool; 3] =
        [&|title| nfc(title) == exact, &|title| channel_key(title) == lower, &|title| {
            channel_key(title).starts_with(&lower)
        }];
    for fits in readings {
        let found = titles.iter().filter(|(_, title)| fits(title.trim_start_matches(['#', '@'])));
        let mut found: Vec<_> = found.map(|(id, _)| *id).collect();
        found.sort();
        found.dedup();
        match found.as_slice() {
            [] => {}
            [id] => return Ok(*id),
            several => {
                return Err(format!("several chats match {wanted}: {}", listed(several, numbered, titles)));
            }
        }
    }
    Err(format!("no chat in your list is called {wanted}: /chats shows the list"))
}

/// Returns the numbers and titles of some chats.
fn listed(ids: &[ChatId], numbered: &[ChatId], titles: &[(ChatId, String)]) -> String {
    let name = |id: &ChatId| {
        let number = numbered.iter().position(|other| other == id).map(|index| format!("{} ", index + 1));
        let title = titles.iter().find(|(other, _)| other == id).map_or("", |(_, title)| title.as_str());
        format!("{}{title}", number.unwrap_or_default())
    };
    let shown: Vec<_> = ids.iter().take(MATCHES_MAX).map(name).collect();
    let more = ids.len() - shown.len();
    format!("{}{}", shown.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() })
}

/// A round of listing. Chats that no page of it names are those that the user is no longer in.
#[derive(Debug, Default)]
pub(super) struct Listing(Option<BTreeSet<ChatId>>);

impl Listing {
    pub(super) fn begin(&mut self) {
        self.0 = Some(BTreeSet::new());
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// The user is in a chat: a page names it, or an event of it was pushed.
    pub(super) fn found(&mut self, id: ChatId) {
        if let Some(found) = &mut self.0 {
            found.insert(id);
        }
    }

    /// The user is no longer in a chat.
    pub(super) fn lost(&mut self, id: ChatId) {
        if let Some(found) = &mut self.0 {
            found.remove(&id);
        }
    }

    /// Ends the round, and returns the known chats that it did not find.
    pub(super) fn end<'a>(&mut self, known: impl Iterator<Item = &'a ChatId>) -> Vec<ChatId> {
        let Some(found) = self.0.take() else { return Vec::new() };
        known.filter(|id| !found.contains(id)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictest_reading_of_a_title_wins() {
        let titles = ["team", "Team two", "@bob", "general", "@teamster"];
        let titles: Vec<_> = (1..).map(ChatId).zip(titles.map(str::to_owned)).collect();
        let numbered: Vec<_> = titles.iter().map(|(id, _)| *id).collect();
        for (wanted, id) in [("2", 2), ("team", 1), ("TEAM TWO", 2), ("bob", 3), ("@bob", 3), ("#gen", 4)] {
            assert_eq!(find(wanted, &numbered, &titles), Ok(ChatId(id)), "{wanted}");
        }
        assert!(find("te", &numbered, &titles).unwrap_err().contains("several"));
        assert!(find("6", &numbered, &titles).unwrap_err().contains("no chat"));
    }

    #[test]
    fn listing_returns_the_chats_that_it_did_not_find() {
        let (mut listing, known) = (Listing::default(), [ChatId(1), ChatId(2), ChatId(3)]);
        listing.found(ChatId(1));
        assert!(listing.end(known.iter()).is_empty(), "no round is running");
        listing.begin();
        (1..=2).for_each(|id| listing.found(ChatId(id)));
        listing.lost(ChatId(1));
        assert!(listing.is_running());
        assert_eq!(listing.end(known.iter()), [ChatId(1), ChatId(3)]);
        assert!(!listing.is_running());
    }
}
