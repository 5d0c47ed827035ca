//! Messages of all chats: `/search` lists them with numbers, and `/goto` shows the messages around
//! one of them.

use reqwest::Method;

use super::line::Line;
use super::model::Model;
use super::session::{Session, Stop};
use crate::cli::chat::hits;
use crate::domain::ids::{ChatId, Seq};
use crate::domain::percent::percent_encoded;
use crate::protocol::found::{Found, FoundMessages};

/// Messages in a page.
const PAGE: usize = 20;
/// Messages that keep their numbers. Filters such as `before:` find others.
const HITS_MAX: usize = 1_000;
/// Messages around a message that was found, and how many of them are newer.
const AROUND: usize = 20;
const NEWER: Seq = 10;

/// The place of a message.
#[derive(Debug)]
struct Place {
    chat: ChatId,
    /// Title of the chat.
    title: String,
    seq: Seq,
}

/// The last search.
#[derive(Debug, Default)]
pub(super) struct FoundList {
    query: String,
    /// By the numbers that users see, from 1.
    places: Vec<Place>,
    next: Option<String>,
}

impl Model {
    /// Adds a page of a search, and returns its lines.
    fn found(&mut self, found: Found) -> Vec<Line> {
        let is_incomplete = !found.incomplete.is_empty();
        let others = hits::lines_of_repositories(&found, Some(&self.server));
        let FoundMessages { hits, next } = found.messages.unwrap_or_default();
        let list = &mut self.found;
        let mut lines = Vec::new();
        for hit in &hits {
            let chat = hits::place(&hit.chat);
            list.places.push(Place { chat: hit.chat.id, title: chat.clone(), seq: hit.seq });
            let (number, sender) = (list.places.len(), hit.sender.clone());
            lines.push(Line::Hit { number, chat, at: hit.created_at, sender, content: hit.excerpt.clone() });
        }
        list.next = next.filter(|_| list.places.len() < HITS_MAX);
        lines.extend(others.into_iter().map(Line::Info));
        let hint = match (list.places.is_empty(), &list.next) {
            (true, None) if !lines.is_empty() => "these are code and commits; no message is found",
            (true, None) => "no message is found",
            (false, None) => "these are all; /goto N shows the messages around one of them",
            (_, Some(_)) => "/search without words lists more; /goto N shows the messages around one of them",
        };
        lines.push(Line::Info(hint.to_owned()));
        if is_incomplete && self.found.next.is_none() {
            let text = "the server did not search everything yet: some results may be missing";
            lines.push(Line::Info(text.to_owned()));
        }
        lines
    }

    /// Returns the place of a message that was found.
    fn hit(&self, number: usize) -> Result<(ChatId, Seq), String> {
        let place = number.checked_sub(1).and_then(|index| self.found.places.get(index));
        match place {
            Some(place) if self.chats.contains_key(&place.chat) => Ok((place.chat, place.seq)),
            Some(place) => Err(format!("you are not in {}: /join opens a channel", place.title)),
            None => Err(format!("no message {number} was found: /search WORDS finds messages")),
        }
    }
}

impl Session {
    /// Lists messages; without words, the next ones of the last search.
    pub(super) async fn search(&mut self, query: String) -> Result<(), Stop> {
        let cursor = if query.is_empty() {
            match &self.model.found.next {
                Some(next) => format!("&cursor={}", percent_encoded(next)),
                None if self.model.found.query.is_empty() => {
                    return self.problem("usage: /search WORDS".to_owned());
                }
                None => return self.show(&[Line::Info("the last search has no more messages".to_owned())]),
            }
        } else {
            self.model.found = FoundList { query, ..FoundList::default() };
            String::new()
        };
        let query = percent_encoded(&self.model.found.query);
        let groups = hits::groups(cursor.is_empty());
        let path = format!("/api/search?in={groups}&limit={PAGE}&q={query}{cursor}");
        let Some(found) = self.ask::<Found>(Method::GET, &path, None).await? else { return Ok(()) };
        let lines = self.model.found(found);
        self.show(&lines)
    }

    /// Opens the chat of a message that was found, and shows the messages around it.
    pub(super) async fn goto(&mut self, number: usize) -> Result<(), Stop> {
        let (id, seq) = match self.model.hit(number) {
            Ok(place) => place,
            Err(mistake) => return self.problem(mistake),
        };
        if self.model.open != Some(id) {
            self.open(id).await?;
        }
        if self.model.open != Some(id) {
            return Ok(());
        }
        let before = seq.saturating_add(NEWER);
        let path = format!("/api/chats/{id}/messages?limit={AROUND}&before_seq={before}");
        let Some(page) = self.page(&path).await? else { return Ok(()) };
        let title = format!("message {number} of the search");
        let lines = self.model.older(&title, &page.items, page.has_more);
        self.show(&lines)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::line::render;
    use super::*;
    use crate::domain::ids::UserId;

    fn results(seqs: &[Seq], next: Option<&str>, incomplete: &[&str]) -> Found {
        let hit = |seq: &Seq| -> Value {
            json!({
                "chat": {"id": 7, "kind": "group", "name": "team"}, "message_id": seq, "seq": seq, "sender_id": 2,
                "sender": "bob", "created_at": "2023-11-14T22:13:20Z", "excerpt": format!("the disk\n{seq}\u{1b}[2J"),
                "highlights": [[4, 8]],
            })
        };
        let hits: Vec<_> = seqs.iter().map(hit).collect();
        let next = next.map_or(json!({"hits": hits}), |next| json!({"hits": hits, "next": next}));
        serde_json::from_value(json!({"messages": next, "took_ms": 1, "incomplete": incomplete})).unwrap()
    }

    fn shown(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| render(line, false)).collect()
    }

    #[test]
    fn numbers_of_hits_continue_on_the_next_page() {
        let mut model = Model::new(UserId(1), "alice".into());
        model.found = FoundList { query: "disk".into(), ..FoundList::default() };
        let first = model.found(results(&[9, 8], Some("8"), &["messages"]));
        assert_eq!(
            shown(&first)[..2],
            ["  1. [team] 2023-11-14 22:13 bob: the disk 9", "  2. [team] 2023-11-14 22:13 bob: the disk 8",]
        );
        assert!(shown(&first)[2].contains("/search without words lists more"));
        let second = model.found(results(&[7], None, &[]));
        assert!(shown(&second)[0].starts_with("  3. ") && shown(&second)[1].contains("these are all"));
        assert!(model.hit(3).unwrap_err().contains("you are not in team"));
        assert!(model.hit(0).is_err() && model.hit(4).unwrap_err().contains("no message 4"));
    }

    #[test]
    fn search_of_an_index_that_is_built_is_reported() {
        let mut model = Model::new(UserId(1), "alice".into());
        let lines = shown(&model.found(results(&[], None, &["messages"])));
        assert_eq!(lines[0], "no message is found");
        assert!(lines[1].contains("did not search everything"));
    }

    #[test]
    fn code_has_an_address_and_no_message_is_not_all() {
        let mut model = Model::new(UserId(1), "alice".into());
        model.server = "http://a".into();
        let hit = json!({
            "repository_id": 1, "repository": "a/b/c", "path": "x y", "ref": "main", "commit_oid": "0",
            "line_count": 1, "lines": [{"number": 7, "text": "let x;"}],
        });
        let found = json!({"messages": {"hits": []}, "code": {"hits": [hit]}, "took_ms": 1});
        let lines = shown(&model.found(serde_json::from_value(found).unwrap()));
        assert!(lines[0].contains("x y:7: let x;"), "{lines:?}");
        assert!(lines[1].ends_with("http://a/a/b/c/-/blob/main/x%20y#L7"), "{lines:?}");
        assert_eq!(lines[2], "these are code and commits; no message is found");
    }
}
