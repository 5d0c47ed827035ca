//! Results of a search, for both front ends.

use super::link::packet_of;
use super::listing;
use super::text::clean_line;
use crate::domain::percent::{path_encoded, percent_encoded};
use crate::protocol::found::{Found, FoundChat, MessageHit};
use crate::protocol::packet::MessagePacket;

/// Group of results that continues at a cursor.
const MESSAGES: &str = "messages";
/// Groups of the first page.
const ALL: &str = "messages,code,commits";
/// Characters of an object id in a line.
const OID_CHARS: usize = 8;

/// Returns the groups of a page: further pages have messages only.
pub(super) fn groups(is_first: bool) -> &'static str {
    if is_first { ALL } else { MESSAGES }
}

/// Returns the request for a page of messages.
pub(super) fn packet(query: &str, cursor: Option<String>, limit: u16) -> MessagePacket {
    MessagePacket {
        q: Some(query.to_owned()),
        groups: Some(groups(cursor.is_none()).to_owned()),
        cursor,
        limit: Some(limit),
        ..packet_of("Search")
    }
}

/// Returns the reason of a refused search. The server names the field `q` first.
pub(super) fn refusal(reason: &str) -> &str {
    reason.strip_prefix("q ").unwrap_or(reason)
}

/// Returns the title of the chat of a hit.
pub(super) fn place(chat: &FoundChat) -> String {
    listing::title(chat.id, chat.name.as_deref(), chat.peer.as_deref())
}

/// Returns the lines of the code and the commits that were found, without control characters. With
/// the address of the server, each hit has its own address.
pub(super) fn lines_of_repositories(found: &Found, server: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    for hit in found.code.iter().flat_map(|code| &code.hits) {
        let line = |line: &crate::protocol::found::CodeLine| {
            format!("{} {}:{}: {}", hit.repository, hit.path, line.number, line.text.trim())
        };
        lines.extend(hit.lines.iter().map(line));
        lines.extend(server.map(|server| {
            let [repository, branch, path] =
                [&hit.repository, &hit.branch, &hit.path].map(|it| path_encoded(it));
            let line = hit.lines.first().map(|line| format!("#L{}", line.number)).unwrap_or_default();
            format!("    {server}/{repository}/-/blob/{branch}/{path}{line}")
        }));
    }
    for hit in found.commits.iter().flat_map(|commits| &commits.hits) {
        let oid = hit.oid.get(..OID_CHARS).unwrap_or(&hit.oid);
        lines.push(format!("{} {oid} {} ({})", hit.repository, hit.subject, hit.author));
        lines.extend(server.map(|server| {
            format!("    {server}/{}/-/commit/{}", path_encoded(&hit.repository), percent_encoded(&hit.oid))
        }));
    }
    lines.iter().map(|line| clean_line(line)).collect()
}

/// Returns a hit as parts of one line, and whether each is a match. The line begins at most
/// `before` characters before the first match. Control characters are removed.
pub(super) fn parts(hit: &MessageHit, before: usize) -> Vec<(String, bool)> {
    let characters: Vec<char> = hit.excerpt.chars().collect();
    let mut at = hit.highlights.first().map_or(0, |[from, _]| from.saturating_sub(before));
    at = at.min(characters.len());
    let mut parts = Vec::new();
    let mut push = |text: Option<&[char]>, is_match: bool| {
        let text = clean_line(&text.unwrap_or_default().iter().collect::<String>());
        if !text.is_empty() {
            parts.push((text, is_match));
        }
    };
    if at > 0 {
        push(Some(&['…']), false);
    }
    for [from, to] in &hit.highlights {
        if *from < at || to <= from || *to > characters.len() {
            continue;
        }
        push(characters.get(at..*from), false);
        push(characters.get(*from..*to), true);
        at = *to;
    }
    push(characters.get(at..), false);
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hit(excerpt: &str, highlights: &[[usize; 2]]) -> MessageHit {
        serde_json::from_value(json!({
            "chat": {"id": 7, "kind": "group", "name": "team"}, "message_id": 1, "seq": 3, "sender_id": 2,
            "sender": "bob", "created_at": 0, "excerpt": excerpt, "highlights": highlights,
        }))
        .unwrap()
    }

    fn line(hit: &MessageHit, before: usize) -> String {
        let parts = parts(hit, before).into_iter();
        parts.map(|(text, is_match)| if is_match { format!("<{text}>") } else { text }).collect()
    }

    #[test]
    fn line_begins_near_the_first_match() {
        assert_eq!(line(&hit("the größe\nis größe", &[[4, 9], [13, 18]]), 20), "the <größe> is <größe>");
        assert_eq!(line(&hit("many words before it", &[[11, 17]]), 6), "…words <before> it");
        assert_eq!(line(&hit("no words", &[]), 20), "no words");
    }

    #[test]
    fn hostile_hit_changes_neither_the_line_nor_the_terminal() {
        let evil = hit("a\u{1b}[2Jb\r\n\u{202e}c", &[[1, 3], [9, 40], [2, 1]]);
        let shown = line(&evil, 20);
        assert!(!shown.contains(['\u{1b}', '\n', '\r', '\u{202e}']), "{shown:?}");
        assert_eq!(line(&hit("ab", &[[9, 12]]), 3), "…");
    }

    #[test]
    fn code_and_commits_are_lines_without_control_characters() {
        let found = json!({
            "took_ms": 1,
            "code": {"hits": [{
                "repository_id": 1, "repository": "a/b/c", "path": "src/\u{1b}[2Jx", "ref": "main",
                "commit_oid": "0", "line_count": 9, "lines": [{"number": 7, "text": "\tlet x;\u{202e}"}],
            }]},
            "commits": {"hits": [{
                "repository_id": 1, "repository": "a/b/c", "oid": "0123456789", "subject": "a\nb",
                "author": "Ada", "committed_at": "2026-11-24T00:00:00Z", "excerpt": "",
            }]},
        });
        let found = serde_json::from_value(found).unwrap();
        let lines = lines_of_repositories(&found, None);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("a/b/c src/") && lines[0].contains(":7: let x;"), "{lines:?}");
        assert!(lines[1].starts_with("a/b/c 01234567 a") && lines[1].ends_with("b (Ada)"), "{lines:?}");
        assert!(!lines.concat().contains(['\u{1b}', '\n', '\t', '\u{202e}']), "{lines:?}");
        let lines = lines_of_repositories(&found, Some("http://a"));
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1].trim(), "http://a/a/b/c/-/blob/main/src/%1B%5B2Jx#L7");
        assert_eq!(lines[3].trim(), "http://a/a/b/c/-/commit/0123456789");
    }

    #[test]
    fn refusal_does_not_name_the_field() {
        assert_eq!(refusal("q from: needs a user name"), "from: needs a user name");
        assert_eq!(refusal("too many requests"), "too many requests");
    }
}
