//! OpenAPI schemas of responses whose types are defined in modules without HTTP. A test compares
//! them with real responses.

use serde::Serialize;
use utoipa::ToSchema;

/// A message. Fields that do not apply are absent.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageShape {
    id: i64,
    chat_id: i64,
    seq: i64,
    sender_id: i64,
    client_id: String,
    /// Empty when the message was deleted.
    content: String,
    reply_to: Option<i64>,
    /// Any object of at most 4096 bytes.
    metadata: Option<serde_json::Map<String, serde_json::Value>>,
    created_at: String,
    edited_at: Option<String>,
    files: Option<Vec<AttachedFileShape>>,
    deleted: Option<bool>,
    pinned: Option<bool>,
    reactions: Option<Vec<ReactionShape>>,
    /// The first message of the thread; present in replies.
    thread_id: Option<i64>,
    /// The last event that changed the message: of two copies, the copy with the larger seq is
    /// newer.
    updated_seq: Option<i64>,
}

/// A message that was just written.
#[derive(Serialize, ToSchema)]
#[schema(as = PostedMessage)]
pub(super) struct PostShape {
    #[serde(flatten)]
    message: MessageShape,
    /// `true`: the message was written, but not all members that it concerns are notified. Its
    /// sender exceeds the rate of `@all`, or has too many messages whose notifications are not
    /// written yet.
    unnotified: Option<bool>,
}

/// A file of a message; its bytes are at `/api/files/{id}`.
#[derive(Serialize, ToSchema)]
#[schema(as = AttachedFile)]
pub(super) struct AttachedFileShape {
    id: i64,
    name: String,
    /// Bytes.
    size: i64,
    /// The media type, as the server recognised it by the content.
    r#type: String,
    /// Width of an image in pixels.
    w: Option<i64>,
    /// Height of an image in pixels.
    h: Option<i64>,
}

/// An emoji, and the users who chose it.
#[derive(Serialize, ToSchema)]
#[schema(as = Reaction)]
pub(super) struct ReactionShape {
    emoji: String,
    user_ids: Vec<i64>,
}

/// An event of a chat. Fields that do not apply to its kind are absent.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventShape {
    chat_id: i64,
    seq: i64,
    /// `message`, `edit`, `delete`, `react`, `unreact`, `pin`, `unpin`, `join`, `leave`, `role`,
    /// `rename`, `archive`, `push`.
    kind: String,
    actor_id: i64,
    created_at: String,
    message: Option<MessageShape>,
    user_id: Option<i64>,
    role: Option<String>,
    name: Option<String>,
    archived: Option<bool>,
    /// The refs that a push moved, and its commits.
    push: Option<serde_json::Map<String, serde_json::Value>>,
    message_id: Option<i64>,
    emoji: Option<String>,
}

/// Settings of a project.
#[derive(Serialize, ToSchema)]
#[schema(as = ProjectConfig)]
pub(super) struct ProjectConfigShape {
    /// The default branch of new repositories.
    #[schema(required = false)]
    default_branch: String,
    #[schema(required = false)]
    protected_branches: Vec<BranchRuleShape>,
}

/// Permissions for branches whose names match a pattern.
#[derive(Serialize, ToSchema)]
#[schema(as = BranchRule)]
pub(super) struct BranchRuleShape {
    /// A branch name in which `*` stands for any characters.
    pattern: String,
    /// The lowest role that may push; default: `maintainer`.
    #[schema(required = false)]
    push: String,
    /// Whether history may be rewritten.
    #[schema(required = false)]
    force: bool,
    #[schema(required = false)]
    delete: bool,
}
