//! The groups of results, as the page shows them.

use crate::domain::chat::ChatKind;
use crate::http::address::{path_encoded, percent_encoded};
use crate::protocol::found::{
    CodeHit, CommitHit, Found, FoundChat, FoundMessages, FoundPeople, FoundPerson, MessageHit,
};
use crate::web::paint::SafeHtml;
use crate::web::paint::excerpt::excerpt;
use crate::web::shown::{Face, Moment};

/// Name in addresses and heading of each group.
pub(super) const GROUPS: [(&str, &str); 4] =
    [("messages", "Messages"), ("code", "Code"), ("commits", "Commits"), ("people", "People")];

/// The results in one group.
pub(super) struct Group<T> {
    pub(super) hits: Vec<T>,
    /// The address of further results.
    pub(super) more: Option<String>,
}

impl<T> Group<T> {
    fn has_any(&self) -> bool {
        !self.hits.is_empty() || self.more.is_some()
    }
}

/// A message that was found.
pub(super) struct MessageRow {
    /// The address of the message in the chat program.
    pub(super) href: String,
    /// The chat, with the prefix that the filter `in:` has for its kind.
    pub(super) chat: String,
    pub(super) sender: String,
    pub(super) is_reply: bool,
    pub(super) is_pinned: bool,
    pub(super) is_edited: bool,
    pub(super) at: Moment,
    pub(super) excerpt: SafeHtml,
}

impl MessageRow {
    fn of(hit: MessageHit) -> Self {
        Self {
            href: format!("/chat/{}/{}", hit.chat.id, hit.seq),
            chat: chat_name(&hit.chat),
            excerpt: excerpt(&hit.excerpt, &hit.highlights),
            sender: hit.sender,
            is_reply: hit.thread_id.is_some(),
            is_pinned: hit.pinned,
            is_edited: hit.edited_at.is_some(),
            at: Moment::of(hit.created_at),
        }
    }
}

/// A file that was found.
pub(super) struct FileRow {
    pub(super) repository: String,
    pub(super) path: String,
    /// The address of the file.
    pub(super) href: String,
    pub(super) lines: Vec<LineRow>,
    /// The number of lines that match and are not shown.
    pub(super) further: usize,
}

/// A line that matches.
pub(super) struct LineRow {
    pub(super) number: usize,
    pub(super) href: String,
    pub(super) text: SafeHtml,
}

impl FileRow {
    fn of(hit: CodeHit) -> Self {
        let (base, branch) = (path_encoded(&hit.repository), path_encoded(&hit.branch));
        let href = format!("/{base}/-/blob/{branch}/{}", path_encoded(&hit.path));
        let line = |line: &crate::protocol::found::CodeLine| LineRow {
            number: line.number,
            href: format!("{href}#L{}", line.number),
            text: excerpt(&line.text, &line.highlights),
        };
        let lines: Vec<_> = hit.lines.iter().map(line).collect();
        let further = hit.line_count.saturating_sub(lines.len());
        Self { repository: hit.repository, path: hit.path, href, lines, further }
    }
}

/// A commit that was found.
pub(super) struct CommitRow {
    pub(super) repository: String,
    /// The address of the commit.
    pub(super) href: String,
    pub(super) subject: String,
    pub(super) author: String,
    pub(super) at: Moment,
    pub(super) excerpt: SafeHtml,
}

impl CommitRow {
    fn of(hit: CommitHit) -> Self {
        Self {
            href: format!("/{}/-/commit/{}", path_encoded(&hit.repository), hit.oid),
            excerpt: excerpt(&hit.excerpt, &hit.highlights),
            at: Moment::of(hit.committed_at),
            repository: hit.repository,
            subject: hit.subject,
            author: hit.author,
        }
    }
}

/// Returns the name of a chat: `#general`, `@bob`, and the plain names of groups and projects.
fn chat_name(chat: &FoundChat) -> String {
    match (chat.kind, &chat.peer, &chat.name) {
        (ChatKind::Direct, Some(peer), _) => format!("@{peer}"),
        (ChatKind::Channel, _, Some(name)) if chat.project_id.is_none() => format!("#{name}"),
        (_, _, Some(name)) => name.clone(),
        _ => format!("chat {}", chat.id),
    }
}

fn face_of(found: &FoundPerson) -> Face {
    Face::new(&found.username, &found.display_name).with_avatar(found.avatar.as_deref())
}

/// The results of a search. A group that was not requested is absent.
#[derive(Default)]
pub(super) struct Results {
    pub(super) messages: Option<Group<MessageRow>>,
    pub(super) code: Option<Group<FileRow>>,
    pub(super) commits: Option<Group<CommitRow>>,
    pub(super) people: Option<Group<Face>>,
    /// Why results may be missing; empty if none are.
    pub(super) incomplete: &'static str,
}

impl Results {
    pub(super) fn of(found: Found, q: &str) -> Self {
        let more = |group: &str, next: Option<String>| {
            let next = percent_encoded(&next?);
            Some(format!("{}&cursor={next}", address(q, group)))
        };
        let messages = found.messages.map(|FoundMessages { hits, next }| Group {
            hits: hits.into_iter().map(MessageRow::of).collect(),
            more: more("messages", next),
        });
        let code = found.code.map(|found| Group {
            hits: found.hits.into_iter().map(FileRow::of).collect(),
            more: more("code", found.next),
        });
        let commits = found.commits.map(|found| Group {
            hits: found.hits.into_iter().map(CommitRow::of).collect(),
            more: more("commits", found.next),
        });
        let people = found.people.map(|FoundPeople { hits, next }| Group {
            hits: hits.iter().map(face_of).collect(),
            more: more("people", next),
        });
        let is_incomplete = |group: &str| found.incomplete.iter().any(|other| other == group);
        let lacks_messages = is_incomplete("messages");
        let lacks_files = is_incomplete("code") || is_incomplete("commits");
        let continues = match lacks_messages {
            true => continues(messages.as_ref()),
            false => {
                is_incomplete("code") && continues(code.as_ref())
                    || is_incomplete("commits") && continues(commits.as_ref())
            }
        };
        let incomplete = match (lacks_messages, lacks_files, continues) {
            (false, false, _) => "",
            (true, _, true) => {
                "The search has many messages to compare and is not at its end: More messages continues it."
            }
            (true, _, false) => {
                "The messages of this server are being indexed. Some are not found yet: search again in a few minutes."
            }
            (false, true, true) => {
                "Not all code and commits were searched yet: More code and More commits continue the search. Some may be missing even then: the server is indexing them, a limit was reached, or another server stores them."
            }
            (false, true, false) => {
                "Not all code and commits were searched: the server is indexing some, a limit was reached, or another server stores them."
            }
        };
        Self { messages, code, commits, people, incomplete }
    }

    /// Returns whether nothing was found, and no group continues.
    pub(super) fn are_empty(&self) -> bool {
        !self.messages.as_ref().is_some_and(Group::has_any)
            && !self.code.as_ref().is_some_and(Group::has_any)
            && !self.commits.as_ref().is_some_and(Group::has_any)
            && !self.people.as_ref().is_some_and(Group::has_any)
    }

    /// Returns whether there are messages and users, and nothing else.
    pub(super) fn are_in_columns(&self) -> bool {
        self.messages.as_ref().is_some_and(|group| !group.hits.is_empty())
            && self.people.as_ref().is_some_and(Group::has_any)
            && self.code.is_none()
            && self.commits.is_none()
    }

    /// Leaves out empty groups beside others, but not an empty group of messages.
    pub(super) fn without_empty_groups(mut self) -> Self {
        let groups = [self.messages.is_some(), self.code.is_some(), self.commits.is_some()];
        if groups.into_iter().filter(|is_there| *is_there).count() > 1 {
            self.code = self.code.filter(Group::has_any);
            self.commits = self.commits.filter(Group::has_any);
        }
        let has_others = self.messages.is_some() || self.code.is_some() || self.commits.is_some();
        if has_others && !self.people.as_ref().is_some_and(Group::has_any) {
            self.people = None;
        }
        self
    }
}

fn continues<T>(group: Option<&Group<T>>) -> bool {
    group.is_some_and(|group| group.more.is_some())
}

/// Returns the address of a search in a group; in all groups if `group` is empty.
pub(super) fn address(q: &str, group: &str) -> String {
    let group = if group.is_empty() { String::new() } else { format!("&in={}", percent_encoded(group)) };
    format!("/search?q={}{group}", percent_encoded(q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ChatId, ProjectId};
    use crate::protocol::found::FoundCommits;

    fn chat(kind: ChatKind, name: Option<&str>, peer: Option<&str>, project: Option<i64>) -> String {
        let (name, peer) = (name.map(str::to_owned), peer.map(str::to_owned));
        chat_name(&FoundChat { id: ChatId(7), kind, name, peer, project_id: project.map(ProjectId) })
    }

    #[test]
    fn chat_has_the_prefix_of_the_filter() {
        assert_eq!(chat(ChatKind::Direct, None, Some("bob"), None), "@bob");
        assert_eq!(chat(ChatKind::Channel, Some("general"), None, None), "#general");
        assert_eq!(chat(ChatKind::Channel, Some("alice/hello"), None, Some(2)), "alice/hello");
        assert_eq!(chat(ChatKind::Group, Some("our team"), None, None), "our team");
        assert_eq!(chat(ChatKind::Group, None, None, None), "chat 7");
    }

    #[test]
    fn address_keeps_the_query_as_it_is() {
        assert_eq!(address("a b&in=x", ""), "/search?q=a%20b%26in%3Dx");
        assert_eq!(address("from:bob", "messages"), "/search?q=from%3Abob&in=messages");
    }

    #[test]
    fn incomplete_search_states_how_it_continues() {
        let found = |next: Option<&str>| Found {
            messages: Some(FoundMessages { hits: Vec::new(), next: next.map(str::to_owned) }),
            people: Some(FoundPeople::default()),
            incomplete: vec!["messages".to_owned()],
            ..Found::default()
        };
        let cut = Results::of(found(Some("12")), "x").without_empty_groups();
        assert_eq!(cut.messages.as_ref().unwrap().more.as_deref(), Some("/search?q=x&in=messages&cursor=12"));
        assert!(cut.incomplete.contains("More messages") && !cut.are_empty() && cut.people.is_none());
        let building = Results::of(found(None), "x");
        assert!(building.incomplete.contains("indexed") && building.are_empty());
        let commits = |next: Option<&str>| Found {
            commits: Some(FoundCommits { hits: Vec::new(), next: next.map(str::to_owned) }),
            incomplete: vec!["commits".to_owned()],
            ..Found::default()
        };
        assert!(Results::of(commits(Some("12")), "x").incomplete.contains("More commits continue"));
        assert!(!Results::of(commits(None), "x").incomplete.contains("More commits"));
    }
}
