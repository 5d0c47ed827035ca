//! Compares two states of the chats: the cache must equal the database.

use std::collections::{BTreeMap, BTreeSet};

use super::Chats;
#[cfg(test)]
use super::{ChatState, WindowState};
#[cfg(test)]
use crate::domain::ids::ChatId;

impl Chats {
    /// Returns how `self` differs from `fresh`, apart from windows; empty when they agree.
    pub(in crate::actors::cache) fn differences(&self, fresh: &Self) -> Vec<String> {
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
    pub(in crate::actors::cache) fn window_differences(&self, fresh: &Self) -> Vec<ChatId> {
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
