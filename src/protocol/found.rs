//! The results of a search, as clients see them: the same fields in JSON and in MessagePack.

use serde::{Deserialize, Serialize};

use super::view::ChatSummary;
use crate::domain::chat::ChatKind;
use crate::domain::ids::{ChatId, MessageId, ProjectId, RepositoryId, Seq, UserId};
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;

/// The results, in groups. A group that was not requested is absent, and so is a group of several
/// requested ones that cannot answer the query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Found {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub messages: Option<FoundMessages>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<FoundCode>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commits: Option<FoundCommits>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub people: Option<FoundPeople>,
    /// Milliseconds that the search took.
    pub took_ms: u64,
    /// The groups that may lack results: `messages`, `code` or `commits` while the index is behind,
    /// or when the search reached a limit. Then `next` continues it. `code` and `commits` also if
    /// another node of a cluster stores repositories. `people` when users were searched too often.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub incomplete: Vec<String>,
}

impl Found {
    /// Returns whether no group has a hit.
    pub fn is_empty(&self) -> bool {
        self.messages.as_ref().is_none_or(|group| group.hits.is_empty())
            && self.code.as_ref().is_none_or(|group| group.hits.is_empty())
            && self.commits.as_ref().is_none_or(|group| group.hits.is_empty())
            && self.people.as_ref().is_none_or(|group| group.hits.is_empty())
    }
}

/// Messages, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundMessages {
    pub hits: Vec<MessageHit>,
    /// The `cursor` that continues the search; absent if nothing is left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MessageHit {
    pub chat: FoundChat,
    #[schema(value_type = i64)]
    pub message_id: MessageId,
    pub seq: Seq,
    #[schema(value_type = i64)]
    pub sender_id: UserId,
    /// The user name of the sender.
    pub sender: String,
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub edited_at: Option<Timestamp>,
    /// The first message of the thread, in replies.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<i64>)]
    pub thread_id: Option<MessageId>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub pinned: bool,
    /// The content, at most 300 bytes around the first match. An ellipsis stands where it was cut.
    /// The names of the files of a message without content.
    pub excerpt: String,
    /// The matches: begin and end of ranges of characters (Unicode code points) of `excerpt`,
    /// sorted and disjoint. Absent if the query has filters only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Vec<usize>>, required = false)]
    pub highlights: Vec<[usize; 2]>,
}

/// The chat of a hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundChat {
    #[schema(value_type = i64)]
    pub id: ChatId,
    #[schema(value_type = String)]
    pub kind: ChatKind,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The other user of a direct chat.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
    /// The project whose channel this chat is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<i64>)]
    pub project_id: Option<ProjectId>,
}

impl From<ChatSummary> for FoundChat {
    fn from(chat: ChatSummary) -> Self {
        Self { id: chat.id, kind: chat.kind, name: chat.name, peer: chat.peer, project_id: chat.project_id }
    }
}

/// Files of default branches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundCode {
    pub hits: Vec<CodeHit>,
    /// The `cursor` that continues the search; absent if nothing is left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CodeHit {
    #[schema(value_type = i64)]
    pub repository_id: RepositoryId,
    /// `user/project/repository`
    pub repository: String,
    /// The path, written as in the routes of files.
    pub path: String,
    /// The default branch.
    #[serde(rename = "ref")]
    pub branch: String,
    /// The commit of the branch at the time of the search.
    pub commit_oid: String,
    /// The first lines that match.
    pub lines: Vec<CodeLine>,
    /// The number of all lines that match.
    pub line_count: usize,
}

/// A line that matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CodeLine {
    /// From 1 on.
    pub number: usize,
    /// The line, at most 300 bytes around the first match. An ellipsis stands where it was cut, and
    /// U+FFFD for bytes that are not UTF-8.
    pub text: String,
    /// The matches: begin and end of ranges of characters (Unicode code points) of `text`, sorted
    /// and disjoint.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Vec<usize>>, required = false)]
    pub highlights: Vec<[usize; 2]>,
}

/// Commits of default branches, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundCommits {
    pub hits: Vec<CommitHit>,
    /// The `cursor` that continues the search; absent if nothing is left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// A commit that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommitHit {
    #[schema(value_type = i64)]
    pub repository_id: RepositoryId,
    /// `user/project/repository`
    pub repository: String,
    pub oid: String,
    /// The first paragraph of the message as one line.
    pub subject: String,
    /// The name of the author, which is not verified.
    pub author: String,
    #[schema(value_type = String)]
    pub committed_at: Timestamp,
    /// The message, at most 300 bytes around the first match. An ellipsis stands where it was cut.
    pub excerpt: String,
    /// The matches: begin and end of ranges of characters (Unicode code points) of `excerpt`,
    /// sorted and disjoint.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Vec<usize>>, required = false)]
    pub highlights: Vec<[usize; 2]>,
}

/// Users, by user name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundPeople {
    pub hits: Vec<FoundPerson>,
    /// The `cursor` that continues the search; absent if nothing is left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// A user who was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundPerson {
    #[schema(value_type = i64)]
    pub id: UserId,
    pub username: String,
    pub display_name: String,
    /// The version of the avatar, if the user has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub avatar: Option<String>,
}

impl From<&User> for FoundPerson {
    fn from(user: &User) -> Self {
        let (username, display_name) = (user.username.clone(), user.display_name.clone());
        let avatar = user.shown_avatar().map(str::to_owned);
        Self { id: user.id, username, display_name, avatar }
    }
}
